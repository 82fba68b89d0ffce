"""MyHDL's own event-driven simulator: slower than ``cycle_simulator``, but it writes waveforms."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from myhdl import always, block, delay


@block
def clocked(bench: Callable[..., Any], clock: Any, *args: Any) -> Any:
    """``bench(*args)`` and a clock of period 2 time units."""
    inside = bench(*args)

    @always(delay(1))
    def tick() -> None:
        clock.next = not clock

    return inside, tick


def event_driven(bench: Any, vcd: Path | None = None) -> None:
    """Runs an elaborated, clocked bench until StopSimulation; ``vcd`` receives the waveform of every signal."""
    try:
        if vcd is None:
            bench.run_sim(quiet=1)
            return
        # written beside its place and renamed, so that a run that fails leaves nothing half-written
        with tempfile.TemporaryDirectory(dir=vcd.parent, prefix=f".{vcd.name}.") as folder:
            bench.config_sim(trace=True, directory=folder, filename="core")
            try:
                bench.run_sim(quiet=1)
            finally:
                os.replace(Path(folder) / "core.vcd", vcd)
    finally:
        # a simulation that came to its end has been cleaned up already
        if not bench.sim._finished:
            bench.quit_sim()

"""MyHDL's own event-driven simulator: slower than ``cycle_simulator``, but it can drive another simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from myhdl import delay

from myhdl_fsa.elaboration import always, block

__all__ = ["clocked", "event_driven"]


@block
def clocked(bench: Callable[..., Any], clock: Any, *args: Any) -> Any:
    """``bench(*args)`` and a clock of period 2 time units."""
    inside = bench(*args)

    @always(delay(1))
    def tick() -> None:
        clock.next = not clock

    return inside, tick


def event_driven(bench: Any) -> None:
    """Runs an elaborated, clocked bench until StopSimulation."""
    try:
        bench.run_sim(quiet=1)
    finally:
        # a simulation that came to its end has been cleaned up already
        if not bench.sim._finished:
            bench.quit_sim()

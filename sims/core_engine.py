"""The engine that simulates in MyHDL, cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.accelerator_bench import DeviceRun, accelerator_bench, watched_accelerator
from myhdl_fsa.sims.core_bench import CoreRun, core_bench, watched_core
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.elaboration import shared_analysis
from myhdl_fsa.sims.event_driven import clocked, event_driven
from myhdl_fsa.sims.hardware_engine import HardwareEngine

__all__ = ["MyHDLEngine", "simulate"]


class MyHDLEngine(HardwareEngine):
    """Runs the MyHDL model itself."""

    name = "myhdl"

    def simulate_core(self, run: CoreRun) -> None:
        """In ``cycle_simulator``; for a waveform in MyHDL's own simulator. Intermediates go to ``run.captured``."""
        _simulate(core_bench, run, partial(watched_core, run=run))

    def simulate_device(self, run: DeviceRun) -> None:
        """Likewise."""
        _simulate(accelerator_bench, run, partial(watched_accelerator, run=run))


def simulate(run: CoreRun) -> None:
    """Simulates a run of the core to its end. Raises RunError at its limit."""
    MyHDLEngine().simulate_core(run)
    run.check_limit()


def _simulate(bench: Callable[..., Any], run: CoreRun | DeviceRun, make: Callable[..., Any]) -> None:
    vcd = run.watch.vcd
    clock = unsigned(1)
    with shared_analysis():
        inside = bench(run, clock, make) if vcd is None else clocked(bench, clock, run, clock, make)
    if vcd is None:
        CycleSimulator(inside).run()
    else:
        event_driven(inside, vcd)

"""The engine that simulates in MyHDL, cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from myhdl_fsa.convert.hierarchy import find
from myhdl_fsa.elaboration import shared_analysis
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.accelerator_bench import DeviceRun, accelerator_bench, watched_accelerator
from myhdl_fsa.sims.core_bench import CoreRun, core_bench, watched_core
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.hardware_engine import HardwareEngine
from myhdl_fsa.sims.trace.recorder import recorder
from myhdl_fsa.sims.waves.file import check_bounds, waveform_file
from myhdl_fsa.sims.waves.vcd import waveform

__all__ = ["MyHDLEngine", "simulate"]


class MyHDLEngine(HardwareEngine):
    """Runs the MyHDL model itself."""

    name = "myhdl"

    def simulate_core(self, run: CoreRun) -> None:
        """In ``cycle_simulator``. Intermediates go to ``run.captured``."""
        _simulate(core_bench, run, "core", partial(watched_core, run=run))

    def simulate_device(self, run: DeviceRun) -> None:
        """Likewise."""
        _simulate(accelerator_bench, run, "accelerator", partial(watched_accelerator, run=run))


def simulate(run: CoreRun) -> None:
    """Simulates a run of the core to its end. Raises RunError at its limit."""
    MyHDLEngine().simulate_core(run)
    run.check_limit()


def _simulate(bench: Callable[..., Any], run: CoreRun | DeviceRun, top: str, make: Callable[..., Any]) -> None:
    clock = unsigned(1)
    with shared_analysis():
        inside = bench(run, clock, make)
    simulator, watch = CycleSimulator(inside), run.watch
    with recorder(inside, run.recording) as observers:
        if watch.vcd is None:
            simulator.run(*observers)
            return
        failure: Exception | None = None
        with waveform_file(watch.vcd) as path:
            with waveform(path, top, find(inside, top), clock, watch.wave_from, watch.wave_to) as wave:
                try:
                    simulator.run(wave.sample, *observers)
                except OSError:
                    raise
                except Exception as error:  # the waveform up to there tells why
                    failure = error
            if failure is None:
                check_bounds(watch, run.cycle, run.check_limit)
        if failure is not None:
            raise failure

"""What can compute attention and run programs, behind one interface: the simulated hardware and the golden model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from myhdl_fsa.api.callable_module import make_callable
from myhdl_fsa.engine.base import RECORDING_ENGINES, Engine
from myhdl_fsa.engine.cycle_use import Stretch, Wait
from myhdl_fsa.engine.request import (
    AttentionRequest,
    EngineResult,
    ProgramRequest,
    Progress,
    RunError,
    Transfer,
    Watch,
    WaveformError,
)

__all__ = [
    "BUILDING_ENGINES",
    "ENGINES",
    "FST_ENGINES",
    "RECORDING_ENGINES",
    "AttentionRequest",
    "Engine",
    "EngineResult",
    "ProgramRequest",
    "Progress",
    "RunError",
    "Stretch",
    "Transfer",
    "Wait",
    "Watch",
    "WaveformError",
    "engine",
]


def _golden_engine() -> Engine:
    from myhdl_fsa.golden.engine import GoldenEngine

    return GoldenEngine()


def _myhdl_engine() -> Engine:
    from myhdl_fsa.sims.core_engine import MyHDLEngine

    return MyHDLEngine()


def _verilator_engine(build_dir: Path | None = None) -> Engine:
    from myhdl_fsa.sims.verilator_engine import VerilatorEngine

    return VerilatorEngine(build_dir)


def _icarus_engine(build_dir: Path | None = None) -> Engine:
    from myhdl_fsa.sims.icarus_engine import IcarusEngine

    return IcarusEngine(build_dir)


# Each entry is called when its engine is wanted, so that an engine's imports cost nothing to who does not use it.
ENGINES: dict[str, Callable[..., Engine]] = {
    "myhdl": _myhdl_engine, "golden": _golden_engine, "verilator": _verilator_engine, "icarus": _icarus_engine,
}
BUILDING_ENGINES = ("verilator", "icarus")
"""engines that build a program and keep it; each takes ``build_dir``, None for the user's cache folder"""
FST_ENGINES = ("verilator", "icarus")
"""engines that write a waveform as FST when its name ends in .fst"""


def engine(name: str, build_dir: Path | None = None) -> Engine:
    """The engine of that name, building below ``build_dir`` if it builds. Raises ValueError listing the known ones."""
    if name not in ENGINES:
        raise ValueError(f"engine {name!r}: must be one of {', '.join(ENGINES)}")
    return ENGINES[name](build_dir) if name in BUILDING_ENGINES else ENGINES[name]()


make_callable(__name__)

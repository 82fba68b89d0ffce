"""What can compute attention, behind one interface: the simulated hardware and the golden model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.program import Counters, Execution, Program, Timing

Progress = Callable[[int, int], None]
"""called now and then with (cycle, expected cycles)"""


@dataclass(frozen=True)
class EngineResult:
    """What one attention run gave."""

    output: Bits
    """acc-format bit patterns, [seq_q, d]"""
    cycles: int | None
    """from the first issue to idle; None where there is no clock"""
    inner_iteration_cycles: float | None
    """cycles an inner iteration takes; None where there is no clock"""
    trace: dict[str, Bits] = field(default_factory=dict)
    """intermediates by the golden model's names and in its shapes; empty unless asked for"""
    counters: Counters | None = None
    """of a run on the whole device"""


class RunError(Exception):
    """A run that did not finish, such as one that reached its cycle limit; the message is one line."""


class Engine(Protocol):
    """Something that computes attention, on the bare core or on the whole device, and runs programs."""

    name: str

    def attention(
        self,
        q: Bits,
        k: Bits,
        v: Bits,
        config: Config,
        *,
        causal: bool = False,
        trace: bool = False,
        vcd: Path | None = None,
        max_cycles: int | None = None,
        progress: Progress | None = None,
    ) -> EngineResult:
        """Attention over elem-format patterns: q [seq_q, d], k and v [seq_kv, d]. Raises RunError.

        ``vcd`` is a file for the waveform, ending in .vcd (or .fst, for an engine of ``FST_ENGINES``); it is whole when
        this returns or raises RunError.
        """
        ...

    def device_attention(
        self,
        q: Bits,
        k: Bits,
        v: Bits,
        config: Config,
        *,
        causal: bool = False,
        timing: Timing | None = None,
        trace: bool = False,
        vcd: Path | None = None,
        max_cycles: int | None = None,
        progress: Progress | None = None,
    ) -> EngineResult:
        """The same through instructions, DMA and memory; ``cycles`` is then the execution time. Raises RunError."""
        ...

    def execute(
        self,
        program: Program,
        config: Config,
        *,
        timing: Timing | None = None,
        vcd: Path | None = None,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Execution:
        """Runs a program on the whole device.

        ``timing`` says how host and memory behave (None: at full speed). ``progress`` is called with the cycle. Raises
        RunError for a run that does not end; one that ends in an error state is an Execution that says so.
        """
        ...


class GoldenEngine:
    """The numpy golden model: the hardware's bits without its clock."""

    name = "golden"

    def attention(
        self,
        q: Bits,
        k: Bits,
        v: Bits,
        config: Config,
        *,
        causal: bool = False,
        trace: bool = False,
        vcd: Path | None = None,
        max_cycles: int | None = None,
        progress: Progress | None = None,
    ) -> EngineResult:
        """As Engine.attention; has no waveform, cycles or progress to give."""
        from myhdl_fsa import golden

        if trace:
            output, intermediates = golden.attention(q, k, v, config, causal=causal, trace=True)
            return EngineResult(output, None, None, intermediates)
        return EngineResult(golden.attention(q, k, v, config, causal=causal), None, None)

    def device_attention(
        self,
        q: Bits,
        k: Bits,
        v: Bits,
        config: Config,
        *,
        causal: bool = False,
        timing: Timing | None = None,
        trace: bool = False,
        vcd: Path | None = None,
        max_cycles: int | None = None,
        progress: Progress | None = None,
    ) -> EngineResult:
        """As ``attention``: without a clock the device gives the same."""
        return self.attention(q, k, v, config, causal=causal, trace=trace)

    def execute(
        self,
        program: Program,
        config: Config,
        *,
        timing: Timing | None = None,
        vcd: Path | None = None,
        max_cycles: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Execution:
        """Interprets the program, as ``golden_device.execute``; has no counters, waveform or progress to give."""
        from myhdl_fsa import golden_device

        return golden_device.execute(program, config)


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
    "myhdl": _myhdl_engine, "golden": GoldenEngine, "verilator": _verilator_engine, "icarus": _icarus_engine,
}
BUILDING_ENGINES = ("verilator", "icarus")
"""engines that build a program and keep it; each takes ``build_dir``, None for the user's cache folder"""
FST_ENGINES = ("verilator",)
"""engines that write a waveform as FST when its name ends in .fst"""


def engine(name: str, build_dir: Path | None = None) -> Engine:
    """The engine of that name, building below ``build_dir`` if it builds. Raises ValueError listing the known ones."""
    if name not in ENGINES:
        raise ValueError(f"engine {name!r}: must be one of {', '.join(ENGINES)}")
    return ENGINES[name](build_dir) if name in BUILDING_ENGINES else ENGINES[name]()

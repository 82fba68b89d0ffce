"""What an engine is asked to run, how the run is watched, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.engine.cycle_use import Stretch, Wait
from myhdl_fsa.program import Counters, Program, Timing
from myhdl_fsa.tiling import AttentionShape

__all__ = [
    "AttentionRequest",
    "EngineResult",
    "ProgramRequest",
    "Progress",
    "RunError",
    "Transfer",
    "Watch",
    "WaveformError",
]

if TYPE_CHECKING:
    from myhdl_fsa.trace.contents import CycleTrace

Progress = Callable[[int, int | None], None]
"""called now and then with (cycle, expected cycles); None where nobody knows how many there will be; of a board with
bytes"""


class RunError(Exception):
    """A run that did not finish, such as one that reached its cycle limit; the message is one line."""


class WaveformError(RunError):
    """A waveform that cannot be written; ``reason`` says why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot write {path}: {reason}")
        self.reason = reason


@dataclass(frozen=True)
class AttentionRequest:
    """One attention problem and the machine that it runs on."""

    q: Bits
    k: Bits
    v: Bits
    """elem bit patterns: [seq_q, d], [seq_kv, d], [seq_kv, dv], or each with [batch, heads] before; d, dv at most N"""
    config: Config
    causal: bool = False
    """query i sees keys 0 to i"""
    top: Literal["accelerator", "core"] = "accelerator"
    """the whole device: instructions, DMA and memory; or the bare core, whose operands are always there in time"""
    timing: Timing = Timing()
    """of the device's host and memory"""
    scale: float | None = None
    """what the scores are multiplied by; None: 1 / sqrt(d)"""

    @property
    def shape(self) -> AttentionShape:
        """Raises ValueError for tensors that do not go together."""
        return AttentionShape.of([self.q.shape, self.k.shape, self.v.shape], self.config.rows, self.causal)


@dataclass(frozen=True)
class ProgramRequest:
    """Programs that run one after the other on one device, which is reset by software in between."""

    programs: Sequence[Program]
    config: Config
    timing: Timing = Timing()


@dataclass(frozen=True)
class Watch:
    """How a run is watched. An engine without a clock has no waveform, no limit and no progress to give.

    Raises ValueError for bounds of a waveform that hold no cycle.
    """

    trace: bool = False
    """keep the intermediates, where the engine sees inside"""
    vcd: Path | None = None
    """a file for the waveform, ending in .vcd (or .fst, for an engine of ``FST_ENGINES``); it is whole when the run
    returns or reaches its limit, and not there where that raises WaveformError"""
    max_cycles: int | None = None
    """cycles after which a run that has not ended raises RunError, saying where it stood"""
    progress: Progress | None = None
    wave_from: int = 0
    """the first cycle in the waveform; cycles count from the start of the simulation, as for ``max_cycles``"""
    wave_to: int | None = None
    """the last cycle in the waveform; None for the end of the run"""
    message: Callable[[str], None] | None = None
    """called with a line about what takes a while, such as a build"""
    record: bool = False
    """record attention cycle by cycle, from ``wave_from`` to ``wave_to``: ``EngineResult.recorded``. The engine
    ``myhdl`` can, for N up to 16; others raise RunError"""
    waits: bool = False
    """say what the cycles were used for, where the engine sees inside"""

    def __post_init__(self) -> None:
        if self.wave_from < 0:
            raise ValueError(f"wave_from {self.wave_from}: must be 0 or more")
        if self.wave_to is not None and self.wave_to < self.wave_from:
            raise ValueError(f"wave_to {self.wave_to}: must not be less than wave_from {self.wave_from}")

    def report(self, cycle: int, expected: int | None) -> None:
        """Calls ``progress``, if there is one; a run that has passed what was expected stays there."""
        if self.progress is not None:
            self.progress(cycle if expected is None else min(cycle, expected), expected)

    def say(self, text: str) -> None:
        """Calls ``message``, if there is one."""
        if self.message is not None:
            self.message(text)


@dataclass(frozen=True)
class Transfer:
    """What was carried between the PC and a board, for a part of a run."""

    name: str
    """``memory``: tensors to the board, and zeros to where its result will be; ``program``: its words, until the device
    was done; ``result``: back"""
    size: int
    """bytes"""
    seconds: float


@dataclass(frozen=True)
class EngineResult:
    """What one attention run gave."""

    output: Bits
    """acc-format bit patterns, [seq_q, dv] or [batch, heads, seq_q, dv]"""
    cycles: int | None
    """of the device, its execution time; of the bare core, from the first issue to idle; None without a clock"""
    inner_iteration_cycles: float | None
    """cycles an inner iteration takes on the bare core; None elsewhere"""
    trace: dict[str, Bits] = field(default_factory=dict)
    """intermediates by the golden model's names and in its shapes; empty unless asked for"""
    counters: Counters | None = None
    """of a run on the whole device"""
    poor_reciprocals: int | None = None
    """rows whose 1 / row sum is of no use, as only ``newton`` has them; None where nobody counted"""
    recorded: CycleTrace | None = None
    """what the machine held and did in each cycle, if asked for"""
    waits: tuple[Wait, ...] | None = None
    """what the matrix unit waited for; None unless asked for, or where the engine sees nothing inside"""
    stretches: tuple[Stretch, ...] | None = None
    """what every cycle of the run was used for, in their order; likewise"""
    transfers: tuple[Transfer, ...] = ()
    """what was carried, of a run on a board"""

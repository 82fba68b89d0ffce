"""The timetable of the stream dataflow: a table an instruction, from which control is generated.

A table says what happens in which cycle of row 0 and column 0, counted from the instruction's start. What a wave needs
on its way (comparator, accumulator) belongs to its entry and travels with it: the comparators take their part
``Times.to_comparator`` cycles after the slot, the accumulators theirs ``Times.to_accumulator`` cycles after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from myhdl_fsa.dataflows.stream.control import Accumulate, Compare, Lane, Left, Operation
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.isa import Function

__all__ = [
    "Entry",
    "LaneWords",
    "Mark",
    "Timetable",
    "WAVE_BIT",
    "WAVE_WIDTH",
    "Wave",
    "attention_score",
    "attention_value",
    "before_waves",
    "load_stationary",
    "timetables",
    "wave_memory",
]


@dataclass(frozen=True)
class Wave:
    """A wave in each of ``repeat`` slots from ``start``."""

    start: int
    operation: int = 0
    """``control.Operation``"""
    repeat: int = 1
    left: int = Left.NONE
    compare: int = 0
    """``control.Compare``, as for a tile that is not its query's first"""
    accumulate: int = 0
    """``control.Accumulate``"""
    latch_p: int = 0
    latch_q: int = 0


@dataclass(frozen=True)
class LaneWords:
    """``repeat`` words on the return lane, one each turn of the ring (``Times.ring`` cycles)."""

    start: int
    word: int
    """``control.Lane``"""
    repeat: int = 1


@dataclass(frozen=True)
class Mark:
    """Something that happens in one cycle: see ``Timetable``."""

    name: str
    start: int


Entry = Wave | LaneWords | Mark


@dataclass(frozen=True)
class Timetable:
    """One instruction. Raises ValueError when two entries want the same slot.

    Marks: ``release``, of its semaphore; ``summed``, from the next cycle on the divider may take the row sums;
    ``valued``, from the next cycle on all rows of O^T are on their way.
    """

    name: str
    function: int
    entries: tuple[Entry, ...]

    def __post_init__(self) -> None:
        slots = [slot for wave in self.waves for slot in range(wave.start, wave.start + wave.repeat)]
        for slot in slots:
            if slots.count(slot) > 1:
                raise ValueError(f"{self.name}: two waves in slot {slot}")

    @property
    def waves(self) -> Iterator[Wave]:
        """Its waves."""
        return (entry for entry in self.entries if isinstance(entry, Wave))

    @property
    def lane(self) -> Iterator[LaneWords]:
        """Its words on the lane."""
        return (entry for entry in self.entries if isinstance(entry, LaneWords))

    def mark(self, name: str) -> int:
        """When the mark is."""
        (start,) = (entry.start for entry in self.entries if isinstance(entry, Mark) and entry.name == name)
        return start

    def wave_at(self, slot: int) -> Wave:
        """The wave of a slot; an idle one where there is none."""
        found = [wave for wave in self.waves if wave.start <= slot < wave.start + wave.repeat]
        return found[0] if found else Wave(slot)


def load_stationary(times: Times) -> Timetable:
    """Q^T, its last row first, goes up the lane and is latched right behind the last wave that uses the old Q."""
    n = times.rows
    return Timetable("LOAD_STATIONARY", Function.LOAD_STATIONARY, (
        LaneWords(0, Lane.QUERY, n),
        Wave(n, latch_q=1),
        Mark("release", times.ring * (n - 1)),
    ))


def attention_score(times: Times) -> Timetable:
    """S falls into the edge buffers. A slot that the ATTN_VALUE beside it wants is left out, and the rest follow it."""
    n = times.rows
    return Timetable("ATTN_SCORE", Function.ATTN_SCORE, (
        Wave(0, Operation.QK, n, Left.ROW, Compare.UPDATE),
        Mark("release", n - 1),
    ))


def attention_value(times: Times) -> Timetable:
    """The maximum and S return, P = 2**((S - max) * scale) in place, then the row sums and O = O * a + P V."""
    n, ring, step = times.rows, times.ring, times.latency
    sub = times.lead
    return Timetable("ATTN_VALUE", Function.ATTN_VALUE, (
        LaneWords(0, Lane.MAX_LOW),
        LaneWords(ring, Lane.MAX_HIGH),
        LaneWords(2 * ring, Lane.SCORE, n),
        # -max goes on to the next row before SUB's own result is there, so it goes ahead and SUB leaves it
        Wave(sub - 1, Operation.PASS if times.pass_waves else 0, latch_p=1),
        Wave(sub, Operation.SUB, 1, Left.ONE, Compare.DIFF),
        # the difference of the maxima leaves with this wave
        Wave(sub + step, Operation.SCALE, 1, Left.SCALE, Compare.SEND, Accumulate.EXP_S1),
        Wave(sub + 2 * step, Operation.EXP, accumulate=Accumulate.EXP_S2),
        Wave(sub + 3 * step, Operation.PV, 1, Left.ONE, accumulate=Accumulate.ACC_SUM),
        Wave(sub + 3 * step + 1, Operation.PV, n, Left.ROW, accumulate=Accumulate.ACC_SA),
        Mark("summed", sub + 4 * step - 1),
        Mark("valued", sub + 3 * step + n),
        Mark("release", sub + 3 * step + n),
    ))


def timetables(times: Times) -> tuple[Timetable, ...]:
    """The three that use the array. ACC_RECIPROCAL and ATTN_LSE_NORM take one slot each, and N free ones."""
    return load_stationary(times), attention_score(times), attention_value(times)


_WORD = (
    ("operation", Operation.WIDTH), ("left", Left.WIDTH), ("compare", Compare.WIDTH),
    ("accumulate", Accumulate.WIDTH), ("summed", 1), ("valued", 1), ("release", 1), ("last", 1),
)
WAVE_BIT = {name: sum(width for _, width in _WORD[:i]) for i, (name, _) in enumerate(_WORD)}
"""the lowest bit of each field of a word of ``wave_memory``"""
WAVE_WIDTH = sum(width for _, width in _WORD)


def wave_memory(times: Times) -> tuple[int, ...]:
    """ATTN_VALUE's slots from SUB to the last row of V^T as a control memory.

    P is latched one slot earlier (``before_waves``), which may be that of the last wave of the ATTN_VALUE before.
    """
    table = attention_value(times)
    first, last = times.lead, times.lead + times.waves - 1
    marks = {name: table.mark(name) for name in ("summed", "valued", "release")}
    words = []
    for slot in range(first, last + 1):
        wave = table.wave_at(slot)
        word = sum(getattr(wave, name) << WAVE_BIT[name]
                   for name in ("operation", "left", "compare", "accumulate"))
        word |= sum(1 << WAVE_BIT[name] for name, when in marks.items() if when == slot)
        words.append(word | int(slot == last) << WAVE_BIT["last"])
    return tuple(words)


def before_waves(times: Times) -> Wave:
    """What is in ATTN_VALUE's slot before those of ``wave_memory``."""
    return attention_value(times).wave_at(times.lead - 1)

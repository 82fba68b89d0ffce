"""The time line below an array: lanes of instructions at work, and the stretches in which the array waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from myhdl_fsa.trace.contents import CycleTrace, Instruction

__all__ = ["Bar", "Lane", "Span", "TimeLine", "span", "surroundings", "time_line"]

_LANES = (("load", "loads"), ("array", "array"), ("store", "stores"))
"""by ``Instruction.unit``, in the order of a tile's way, and how they are called"""
_LEAST = 60
"""cycles of a time line"""


@dataclass(frozen=True)
class Bar:
    """An instruction or a wait. Cycles count from the trace's start."""

    first: int
    last: int
    labels: tuple[str, ...]
    """what it is called, the longest first: the first for which there is room is shown"""
    kind: str
    """``load``, ``array``, ``store`` or ``wait``"""


@dataclass(frozen=True)
class Lane:
    """Bars that do not overlap."""

    name: str
    """empty where it goes on with the lane above"""
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Span:
    """Cycles counted from the start of each trace, both ends included."""

    first: int
    last: int

    @property
    def cycles(self) -> int:
        """How many."""
        return self.last - self.first + 1

    def numbers(self) -> range:
        """Each of them."""
        return range(self.first, self.last + 1)


@dataclass(frozen=True)
class TimeLine:
    """All lanes of a machine, from top to bottom."""

    span: Span
    lanes: tuple[Lane, ...]


def span(traces: Sequence[CycleTrace]) -> Span:
    """What is recorded of any of them, without the reset before the first instruction."""
    first = min(trace.frames[0].cycle - trace.start for trace in traces)
    last = max(trace.frames[-1].cycle - trace.start for trace in traces)
    return Span(max(first, 0) if last >= 0 else first, last)


def surroundings(traces: Sequence[CycleTrace]) -> Span:
    """What time lines show: the recorded cycles, and of a short record what lies before and after it in the run."""
    recorded = span(traces)
    ends = [item.last - trace.start for trace in traces for item in trace.instructions]
    first = max(recorded.first - max(0, _LEAST - recorded.cycles) // 2, min(recorded.first, 0))
    return Span(first, max(recorded.last, min(first + _LEAST - 1, max(ends, default=0))))


def time_line(trace: CycleTrace, shown: Span) -> TimeLine:
    """Only what is in ``shown``."""
    lanes: list[Lane] = []
    for unit, name in _LANES:
        rows: list[list[Bar]] = []
        chosen = (item for item in trace.instructions if item.unit == unit)
        for item in sorted(chosen, key=lambda item: item.first):
            bar = Bar(item.first - trace.start, item.last - trace.start, _labels(item), unit)
            _place(rows, bar, shown)
        lanes += [Lane("" if index else name, tuple(bars)) for index, bars in enumerate(rows)]
    waits: list[list[Bar]] = []
    for wait in trace.waits:
        labels = (f"waits: {wait.cause}", wait.cause)
        _place(waits, Bar(wait.first - trace.start, wait.last - trace.start, labels, "wait"), shown)
    return TimeLine(shown, (*lanes, *(Lane("waits", tuple(bars)) for bars in waits)))


def _labels(item: Instruction) -> tuple[str, ...]:
    """``ATTN_SCORE K tile 1``, ``ATTN_SCORE K1``, ``ATTN_SCORE``, ``K1``; in their lanes, loads and stores do with
    what they are about."""
    if not item.what:
        return (item.name,)
    brief = item.what.replace(" tile ", "")
    full = f"{item.name} {item.what}"
    return (full, f"{item.name} {brief}", item.name, brief) if item.unit == "array" else (full, item.what, brief)


def _place(rows: list[list[Bar]], bar: Bar, shown: Span) -> None:
    """Into the first row that is free by then."""
    if bar.last < shown.first or bar.first > shown.last:
        return
    bar = Bar(max(bar.first, shown.first), min(bar.last, shown.last), bar.labels, bar.kind)
    for row in rows:
        if row[-1].last < bar.first:
            row.append(bar)
            return
    rows.append([bar])

"""Execution plans: an instruction as a table of (signal, start cycle, repeat, direction).

A plan is data. The sequencer, its control memory and the collision checks are generated from it; nothing here knows a
particular dataflow. Cycle 0 is the cycle after the instruction is accepted. Source: docs/specification.md section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from myhdl_fsa.dataflows.fsa.control import PE_BIT

__all__ = [
    "Accumulate",
    "AccumulatorRead",
    "Compare",
    "Direction",
    "Entry",
    "ExecutionPlan",
    "Flow",
    "PlanWord",
    "ScratchpadRead",
]


class Direction(Enum):
    """How PE control reaches the rows."""

    PARALLEL = "parallel"
    """all rows together"""
    DOWN = "down"
    """row r starts r cycles later"""
    UP = "up"
    """row r starts N-1-r cycles later"""


@dataclass(frozen=True)
class Flow:
    """PE control bits, held for ``repeat`` cycles from ``start`` in the first row that the direction reaches."""

    signals: str
    """names from ``control.PE_SIGNALS``, separated by spaces"""
    direction: Direction
    start: int
    repeat: int = 1

    @property
    def bits(self) -> int:
        """The PE control bundle."""
        total = 0
        for name in self.signals.split():
            total |= PE_BIT[name]
        return total

    def end(self, rows: int) -> int:
        """The cycle after the last one in which a row is under this control."""
        return self.start + self.repeat + (0 if self.direction is Direction.PARALLEL else rows - 1)


@dataclass(frozen=True)
class ScratchpadRead:
    """A row from the scratchpad each cycle, or ``constant`` (``control.Constant``) in every lane."""

    start: int
    repeat: int = 1
    constant: int | None = None


@dataclass(frozen=True)
class Compare:
    """A comparator command (``control.Comparator``) for column 0."""

    command: int
    start: int
    repeat: int = 1


@dataclass(frozen=True)
class AccumulatorRead:
    """A row from the accumulator RAM each cycle; written back one cycle later with what the accumulators make of it."""

    start: int
    repeat: int = 1
    write_back: bool = True


@dataclass(frozen=True)
class Accumulate:
    """An accumulator command (``control.Accumulator``) for all columns."""

    command: int
    start: int
    repeat: int = 1


Entry = Flow | ScratchpadRead | Compare | AccumulatorRead | Accumulate


@dataclass(frozen=True)
class ExecutionPlan:
    """One instruction of one dataflow for one array size.

    Raises ValueError when two entries want the same resource in the same cycle.
    """

    name: str
    function: int
    """the function field of the instruction word"""
    rows: int
    entries: tuple[Entry, ...]
    next_may_start: int
    """the cycle in which the following instruction may be accepted, at the earliest"""
    release: int | None = None
    """the cycle in which the instruction's semaphore is released"""
    _words: tuple[PlanWord, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_words", tuple(self._build()))

    @property
    def busy_cycles(self) -> int:
        """Cycles in which the sequencer is busy with the instruction."""
        ends = [e.end(self.rows) if isinstance(e, Flow) else e.start + e.repeat for e in self.entries]
        return max(ends)

    @property
    def scratchpad_rows(self) -> int:
        """Scratchpad rows that the instruction reads."""
        return sum(e.repeat for e in self.entries if isinstance(e, ScratchpadRead) and e.constant is None)

    @property
    def accumulator_rows(self) -> int:
        """Accumulator RAM rows that the instruction reads."""
        return sum(e.repeat for e in self.entries if isinstance(e, AccumulatorRead))

    @property
    def words(self) -> tuple[PlanWord, ...]:
        """The control of each busy cycle."""
        return self._words

    def _build(self) -> Iterator[PlanWord]:
        for cycle in range(self.busy_cycles):
            word = {"release": int(cycle == self.release), "may_start": int(cycle >= self.next_may_start),
                    "last": int(cycle == self.busy_cycles - 1)}
            for entry in self.entries:
                if entry.start <= cycle < entry.start + entry.repeat:
                    for name, value in _fields(entry).items():
                        if word.get(name, 0) & value if isinstance(entry, Flow) else word.get(name, 0):
                            raise ValueError(f"{self.name}: two entries drive {name} in cycle {cycle}")
                        word[name] = word.get(name, 0) | value
            if word.get("read", 0) and word.get("use_constant", 0):
                raise ValueError(f"{self.name}: a row and a constant want the scratchpad port in cycle {cycle}")
            yield PlanWord(**word)


@dataclass(frozen=True)
class PlanWord:
    """What a plan sends in one cycle."""

    parallel: int = 0
    down: int = 0
    up: int = 0
    read: int = 0
    use_constant: int = 0
    constant: int = 0
    compare: int = 0
    accumulator_read: int = 0
    write_back: int = 0
    accumulate: int = 0
    release: int = 0
    may_start: int = 0
    last: int = 0


def _fields(entry: Entry) -> dict[str, int]:
    match entry:
        case Flow():
            return {entry.direction.value: entry.bits}
        case ScratchpadRead(constant=None):
            return {"read": 1}
        case ScratchpadRead():
            return {"use_constant": 1, "constant": entry.constant or 0}
        case Compare():
            return {"compare": entry.command}
        case AccumulatorRead():
            return {"accumulator_read": 1, "write_back": int(entry.write_back)}
        case Accumulate():
            return {"accumulate": entry.command}

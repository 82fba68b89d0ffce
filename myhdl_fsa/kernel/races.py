"""Data races, hand-overs that may be lost, tiles used before they are loaded: a program followed once, without time.

A vector clock an instruction says which others are certainly over when it starts: those before it in its queue, those
before a release that it acquired, and those before a fence. Two that touch the same place, one of them writing, must be
ordered so. Source: docs/specification.md section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from myhdl_fsa.config import Config
from myhdl_fsa.isa import Dma, Fence, Function, Instruction, Matrix, Transfer
from myhdl_fsa.kernel.finding import Finding
from myhdl_fsa.kernel.legality import Rows, accumulator_rows, memory_rows, scratchpad_rows
from myhdl_fsa.kernel.queues import Schedule, Unit, unit_of
from myhdl_fsa.kernel.remedies import Remedy

__all__ = ["Clock", "races"]


def races(instructions: Sequence[Instruction], order: Schedule, config: Config) -> list[Finding]:
    """What goes wrong, or may, between the instructions of a program that ``order`` runs; none may be one to refuse."""
    return _Flow(instructions, config).follow(order)


class _Part(IntEnum):
    """Components of a clock: how many instructions of a unit are over."""

    MATRIX_READS = 0
    """matrix instructions that have read their scratchpad rows"""
    MATRIX_WRITES = 1
    """matrix instructions that are over"""
    LOADS = 2
    STORES = 3


Clock = list[int]
_OVER = {Unit.MATRIX: _Part.MATRIX_WRITES, Unit.LOAD: _Part.LOADS, Unit.STORE: _Part.STORES}


def _join(clock: Clock, other: Clock) -> None:
    for part in _Part:
        clock[part] = max(clock[part], other[part])


@dataclass
class _Accesses:
    """Who of one unit last touched each place of a memory: its number in the unit from 1, 0 for nobody."""

    unit: Unit
    part: _Part
    action: str
    last: npt.NDArray[np.int64]


@dataclass
class _Queue:
    """A unit: what is certain when its next instruction starts, and the instructions that it has run."""

    clock: Clock = field(default_factory=lambda: [0] * len(_Part))
    indices: list[int] = field(default_factory=list)
    fences: int = 0
    """fences that the clock knows of"""


class _Flow:
    """Follows a program and compares what instructions of different units touch."""

    def __init__(self, instructions: Sequence[Instruction], config: Config) -> None:
        self.instructions, self.config = instructions, config
        self.findings: list[Finding] = []
        self.queues = {unit: _Queue() for unit in Unit}
        self.fences: list[tuple[int, Clock]] = []
        self.releases: dict[int, Clock] = {}
        self.users: dict[int, tuple[Unit, int]] = {}
        """who used a semaphore last, and its number in the unit from 1"""
        self.takers: dict[tuple[int, int], tuple[Unit, int]] = {}
        """who acquired a semaphore at a value last"""
        self.memory = _StoredMemory(instructions)

        def accesses(unit: Unit, part: _Part, action: str, places: int) -> _Accesses:
            return _Accesses(unit, part, action, np.zeros(places, np.int64))

        scratchpad, accumulator, memory = config.scratchpad_rows, config.accumulator_rows, self.memory.pieces
        self.loaded = accesses(Unit.LOAD, _Part.LOADS, "load into", scratchpad)
        self.operand = accesses(Unit.MATRIX, _Part.MATRIX_READS, "read of", scratchpad)
        self.computed = accesses(Unit.MATRIX, _Part.MATRIX_WRITES, "write to", accumulator)
        self.stored = accesses(Unit.STORE, _Part.STORES, "store from", accumulator)
        self.written = accesses(Unit.STORE, _Part.STORES, "store to", memory)
        self.fetched = accesses(Unit.LOAD, _Part.LOADS, "load from", memory)

    def follow(self, order: Schedule) -> list[Finding]:
        for move in order.moves:
            instruction = self.instructions[move.index]
            if isinstance(instruction, Fence):
                self._fence(move.index, instruction)
                continue
            unit = unit_of(instruction)
            queue = self.queues[unit]
            while queue.fences < len(self.fences) and self.fences[queue.fences][0] < move.index:
                _join(queue.clock, self.fences[queue.fences][1])
                queue.fences += 1
            queue.indices.append(move.index)
            self._acquire(move.index, instruction)
            if move.acquired_from is not None:
                _join(queue.clock, self.releases[move.acquired_from])
            self._release(move.index, instruction)
            if isinstance(instruction, Matrix):
                self._matrix(move.index, instruction)
            elif instruction.function == Transfer.LOAD:
                self._load(move.index, instruction)
            else:
                self._store(move.index, instruction)
            if instruction.release:
                self.releases[move.index] = self._at_release(instruction)
        return self.findings

    def _acquire(self, index: int, instruction: Matrix | Dma) -> None:
        """Reports an acquire that could have been before another unit's of the same value."""
        key = instruction.semaphore, instruction.acquire_value
        if instruction.acquire:
            other = self._unordered(unit_of(instruction), self.takers.get(key))
            if other is not None:
                earlier = min(index, other)
                self.findings.append(Finding(
                    "error", max(index, other),
                    f"acquires semaphore {key[0]} at {key[1]}, as instruction {earlier} does: either may come first",
                    Remedy.SAME_ACQUIRE.fill(earlier=earlier, unit=self._fence_flag(earlier))))
            self.takers[key] = self._place(instruction)

    def _release(self, index: int, instruction: Matrix | Dma) -> None:
        """Reports a release that another unit's use of the semaphore may overtake, so that one of the two is lost."""
        number = instruction.semaphore
        if instruction.release and not instruction.acquire:
            other = self._unordered(unit_of(instruction), self.users.get(number))
            if other is not None:
                earlier = min(index, other)
                self.findings.append(Finding(
                    "error", max(index, other),
                    f"its use of semaphore {number} and that by instruction {earlier} are not ordered: "
                    "a release may be lost",
                    Remedy.LOST_RELEASE.fill(index=index, unit=self._fence_flag(earlier))))
        if instruction.release or instruction.acquire:
            self.users[number] = self._place(instruction)

    def _fence_flag(self, index: int) -> str:
        """What a fence waits for when it waits for an instruction."""
        return "matrix" if isinstance(self.instructions[index], Matrix) else "dma"

    def _place(self, instruction: Matrix | Dma) -> tuple[Unit, int]:
        unit = unit_of(instruction)
        return unit, len(self.queues[unit].indices)

    def _unordered(self, unit: Unit, place: tuple[Unit, int] | None) -> int | None:
        """The instruction at ``place`` if it is another unit's and may not have released when ``unit`` goes on."""
        if place is None or place[0] is unit:
            return None
        part = _Part.MATRIX_READS if place[0] is Unit.MATRIX else _OVER[place[0]]
        if place[1] <= self.queues[unit].clock[part]:
            return None
        return self.queues[place[0]].indices[place[1] - 1]

    def _fence(self, index: int, fence: Fence) -> None:
        clock = [0] * len(_Part)
        units = ([Unit.MATRIX] if fence.matrix else []) + ([Unit.LOAD, Unit.STORE] if fence.dma else [])
        for unit in units:
            queue = self.queues[unit]
            _join(clock, queue.clock)
            clock[_OVER[unit]] = len(queue.indices)
            if unit is Unit.MATRIX:
                clock[_Part.MATRIX_READS] = len(queue.indices)
        if self.fences:
            _join(clock, self.fences[-1][1])
        self.fences.append((index, clock))
        if fence.stop:
            left = [unit for unit, queue in self.queues.items() if clock[_OVER[unit]] < len(queue.indices)]
            if left:
                names = " and the ".join(unit.name.lower() for unit in left)
                waits = {"matrix": fence.matrix or Unit.MATRIX in left,
                         "dma": fence.dma or Unit.LOAD in left or Unit.STORE in left}
                self.findings.append(Finding(
                    "warning", index, f"stops without waiting for the {names} queue: what it still does may be lost",
                    Remedy.STOP_WAITS.fill(waits=", ".join(f"{name}=True" for name, on in waits.items() if on))))

    def _at_release(self, instruction: Matrix | Dma) -> Clock:
        """What is certain for who acquires the instruction's release."""
        unit = unit_of(instruction)
        queue = self.queues[unit]
        clock = list(queue.clock)
        count = len(queue.indices)
        over = count
        if isinstance(instruction, Matrix):
            clock[_Part.MATRIX_READS] = count
            if not _over_at_release(instruction):
                # the accumulators are still at work for it, and for the one before if that may overlap
                before = self.instructions[queue.indices[-2]] if count > 1 else None
                alone = instruction.wait_idle or (isinstance(before, Matrix) and _over_at_release(before))
                over = count - (1 if alone else 2)
        clock[_OVER[unit]] = max(clock[_OVER[unit]], over)
        return clock

    def _load(self, index: int, instruction: Dma) -> None:
        rows = scratchpad_rows(instruction, self.config)
        pieces = self.memory.touched(instruction)
        self._compare(index, self.loaded, self.operand, rows, "scratchpad rows")
        self._compare(index, self.fetched, self.written, pieces, "memory")

    def _store(self, index: int, instruction: Dma) -> None:
        rows = accumulator_rows(instruction, self.config)
        self._need(index, self.computed, rows, "stores accumulator rows {} before anything is written to them",
                   Remedy.STORE_AFTER)
        self._compare(index, self.stored, self.computed, rows, "accumulator rows")
        self._compare(index, self.written, self.fetched, self.memory.touched(instruction), "memory")

    def _matrix(self, index: int, instruction: Matrix) -> None:
        rows = scratchpad_rows(instruction, self.config)
        self._need(index, self.loaded, rows, "uses scratchpad rows {} before anything is loaded into them",
                   Remedy.LOAD_FIRST)
        self._compare(index, self.operand, self.loaded, rows, "scratchpad rows")
        rows = accumulator_rows(instruction, self.config)
        if not instruction.zero:
            self._need(index, self.computed, rows, "uses accumulator rows {} before anything is written to them",
                       _TO_COMPUTE.get(Function(instruction.function), Remedy.START_FROM_ZERO))
        if instruction.function != Function.ACC_RECIPROCAL:
            self._compare(index, self.computed, self.stored, rows, "accumulator rows")

    def _need(self, index: int, writes: _Accesses, rows: Rows, message: str, remedy: Remedy) -> None:
        missing = rows[writes.last[rows] == 0]
        if missing.size:
            self.findings.append(Finding("error", index, message.format(_span(missing)), remedy.fill()))

    def _compare(self, index: int, mine: _Accesses, theirs: _Accesses, places: Rows, where: str) -> None:
        """Reports the other unit's accesses that may not be over, then enters the instruction's own."""
        queue = self.queues[mine.unit]
        last = theirs.last[places]
        unordered = last > queue.clock[theirs.part]
        if unordered.any():
            other = self.queues[theirs.unit].indices[int(last[unordered].max()) - 1]
            span = where if where == "memory" else f"{where} {_span(places[unordered])}"
            later, earlier = (mine, theirs) if index > other else (theirs, mine)
            self.findings.append(Finding(
                "error", max(index, other),
                f"data race: its {later.action} {span} and the {earlier.action} "
                f"{'it' if where == 'memory' else 'them'} by instruction {min(index, other)} are not ordered",
                self._to_order(min(index, other), earlier)))
        mine.last[places] = len(queue.indices)


    def _to_order(self, earlier: int, access: _Accesses) -> str:
        """What would let another instruction come after the ``access`` of one before it."""
        instruction = self.instructions[earlier]
        if access.part is _Part.MATRIX_WRITES and isinstance(instruction, Matrix) and not _over_at_release(instruction):
            return Remedy.RACE_AFTER_RELEASE.fill(earlier=earlier)
        return Remedy.RACE.fill(earlier=earlier, unit=self._fence_flag(earlier))


_TO_COMPUTE = {Function.ACC_RECIPROCAL: Remedy.SUM_FIRST, Function.ATTN_LSE_NORM: Remedy.VALUE_FIRST}
"""for functions whose tile an earlier one computes; the others may begin it"""


def _over_at_release(instruction: Matrix) -> bool:
    """Whether an instruction has done everything when it releases its semaphore, and nothing starts before."""
    return instruction.function in (Function.ACC_RECIPROCAL, Function.ATTN_LSE_NORM)


def _span(rows: Rows) -> str:
    low, high = int(rows.min()), int(rows.max())
    return str(low) if low == high else f"{low} to {high}"


class _StoredMemory:
    """Memory cut where any store's row begins or ends; only what is stored to can race."""

    def __init__(self, instructions: Sequence[Instruction]) -> None:
        edges = [np.empty(0, np.int64)]
        for item in instructions:
            if isinstance(item, Dma) and item.function == Transfer.STORE:
                rows = memory_rows(item)
                edges += [rows, rows + item.size]
        self._edges = np.unique(np.concatenate(edges))
        self.pieces = max(len(self._edges) - 1, 0)

    def touched(self, instruction: Dma) -> Rows:
        """The pieces that the instruction's rows in memory overlap."""
        rows = memory_rows(instruction)
        first = np.maximum(np.searchsorted(self._edges, rows, "right") - 1, 0)
        after = np.minimum(np.searchsorted(self._edges, rows + instruction.size, "left"), self.pieces)
        counts = np.maximum(after - first, 0)
        starts = np.repeat(first - np.cumsum(counts) + counts, counts)
        return starts + np.arange(len(starts))

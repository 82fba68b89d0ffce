"""Data races, hand-overs that may be lost, tiles used before they are loaded: a program followed once, without time.

A vector clock an instruction says which others are certainly over when it starts: those before it in its queue, those
before a release that it acquired, and those before a fence. Two that touch the same place, one of them writing, must be
ordered so. Source: docs/specification.md section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.isa import Dma, Fence, Function, Instruction, Matrix, Transfer
from myhdl_fsa.kernel.finding import Finding
from myhdl_fsa.kernel.hazard import Clock, Part
from myhdl_fsa.kernel.legality import Rows, accumulator_rows, memory_rows, scratchpad_rows
from myhdl_fsa.kernel.queues import Schedule, Unit, unit_of
from myhdl_fsa.kernel.remedies import Remedy

__all__ = ["races"]


def races(instructions: Sequence[Instruction], order: Schedule, config: Config) -> list[Finding]:
    """What goes wrong, or may, between the instructions of a program that ``order`` runs; none may be one to refuse."""
    return _Flow(instructions, config).follow(order)


_OVER: dict[Unit, tuple[Part, ...]] = {
    Unit.MATRIX: (Part.SCORE_READS, Part.VALUE_READS, Part.SUMS, Part.NORMS), Unit.LOAD: (Part.LOADS,),
    Unit.STORE: (Part.STORES,)}


def _join(clock: Clock, other: Clock) -> None:
    for kind in Part:
        clock[kind] = max(clock[kind], other[kind])


@dataclass
class _Accesses:
    """Who of one unit last touched each place of a memory: its number in the unit from 1, 0 for nobody."""

    unit: Unit
    part: Part
    action: str
    last: npt.NDArray[np.int64]


@dataclass
class _Queue:
    """A unit: what is certain when its next instruction starts, and the instructions that it has run."""

    clock: Clock = field(default_factory=lambda: [0] * len(Part))
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

        def accesses(unit: Unit, part: Part, action: str, places: int) -> _Accesses:
            return _Accesses(unit, part, action, np.zeros(places, np.int64))

        scratchpad, accumulator, memory = config.scratchpad_rows, config.accumulator_rows, self.memory.pieces
        self.loaded = accesses(Unit.LOAD, Part.LOADS, "load into", scratchpad)
        self.rules = part(config, "rules").Rules(config)
        self.operands = {kind: accesses(Unit.MATRIX, kind, "read of", scratchpad)
                         for kind in (Part.SCORE_READS, Part.VALUE_READS)}
        self.computed = {kind: accesses(Unit.MATRIX, kind, "write to", accumulator) for kind in (Part.SUMS, Part.NORMS)}
        self.norm_order = np.zeros(accumulator, np.int64)
        """of a row that was normalised, which it was of its tile"""
        self.stored = accesses(Unit.STORE, Part.STORES, "store from", accumulator)
        self.written = accesses(Unit.STORE, Part.STORES, "store to", memory)
        self.fetched = accesses(Unit.LOAD, Part.LOADS, "load from", memory)

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
                self.rules.follow(instruction)
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
        index = self.queues[place[0]].indices[place[1] - 1]
        instruction = self.instructions[index]
        kind = self.rules.released(instruction) if isinstance(instruction, Matrix) else _OVER[place[0]][0]
        return None if place[1] <= self.queues[unit].clock[kind] else index

    def _fence(self, index: int, fence: Fence) -> None:
        clock = [0] * len(Part)
        units = ([Unit.MATRIX] if fence.matrix else []) + ([Unit.LOAD, Unit.STORE] if fence.dma else [])
        for unit in units:
            queue = self.queues[unit]
            _join(clock, queue.clock)
            for kind in _OVER[unit]:
                clock[kind] = len(queue.indices)
        if self.fences:
            _join(clock, self.fences[-1][1])
        self.fences.append((index, clock))
        if fence.stop:
            left = [unit for unit, queue in self.queues.items() if clock[_OVER[unit][-1]] < len(queue.indices)]
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
        if isinstance(instruction, Matrix):
            for kind, count in self.rules.certain().items():
                clock[kind] = max(clock[kind], count)
        else:
            clock[_OVER[unit][0]] = len(queue.indices)
        return clock

    def _load(self, index: int, instruction: Dma) -> None:
        rows = scratchpad_rows(instruction, self.config)
        pieces = self.memory.touched(instruction)
        self._compare(index, self.loaded, list(self.operands.values()), rows, "scratchpad rows")
        self._compare(index, self.fetched, [self.written], pieces, "memory")

    def _store(self, index: int, instruction: Dma) -> None:
        rows = accumulator_rows(instruction, self.config)
        self._need(index, rows, "stores accumulator rows {} before anything is written to them", Remedy.STORE_AFTER)
        self._compare(index, self.stored, list(self.computed.values()), rows, "accumulator rows")
        self._compare(index, self.written, [self.fetched], self.memory.touched(instruction), "memory")
        norms, sums = self.computed[Part.NORMS].last[rows], self.computed[Part.SUMS].last[rows]
        early = (norms > sums) & (self.norm_order[rows] > np.arange(len(rows)))
        if self.rules.NORM_RELEASES_EARLY and early.any():
            norm = self.queues[Unit.MATRIX].indices[int(norms[early].max()) - 1]
            self.findings.append(Finding(
                "error", index, f"stores accumulator rows {_span(rows[early])} sooner than the ATTN_LSE_NORM of "
                                f"instruction {norm}, which releases before its last row is written, may have them",
                Remedy.STORE_ORDER.fill()))

    def _matrix(self, index: int, instruction: Matrix) -> None:
        function = Function(instruction.function)
        rows = scratchpad_rows(instruction, self.config)
        missing = rows[self.loaded.last[rows] == 0]
        if missing.size:
            self.findings.append(Finding(
                "error", index, f"uses scratchpad rows {_span(missing)} before anything is loaded into them",
                Remedy.LOAD_FIRST.fill()))
        value = function is Function.ATTN_VALUE
        self._compare(index, self.operands[Part.VALUE_READS if value else Part.SCORE_READS], [self.loaded], rows,
                      "scratchpad rows")
        norm = function is Function.ATTN_LSE_NORM
        mine = self.computed[Part.NORMS if norm else Part.SUMS]
        for touched in self.rules.sums():
            if not touched.zero:
                self._need(index, touched.rows, "uses accumulator rows {} before anything is written to them",
                           _TO_COMPUTE.get(function, Remedy.START_FROM_ZERO))
            if touched.written:
                self._overtakes(index, touched.rows)
                self._compare(index, mine, [self.stored], touched.rows, "accumulator rows")
        if norm:
            rows = accumulator_rows(instruction, self.config)
            self.norm_order[rows] = np.arange(len(rows))

    def _need(self, index: int, rows: Rows, message: str, remedy: Remedy) -> None:
        written = self.computed[Part.SUMS].last[rows] + self.computed[Part.NORMS].last[rows]
        missing = rows[written == 0]
        if missing.size:
            self.findings.append(Finding("error", index, message.format(_span(missing)), remedy.fill()))

    def _overtakes(self, index: int, rows: Rows) -> None:
        """Reports rows that the accumulators may still be normalising when the array's sums come."""
        queue, norms = self.queues[Unit.MATRIX], self.computed[Part.NORMS]
        late = norms.last[rows] > max(queue.clock[Part.NORMS], self.rules.normalised())
        if late.any():
            other = queue.indices[int(norms.last[rows][late].max()) - 1]
            self.findings.append(Finding(
                "error", index, f"data race: its write to accumulator rows {_span(rows[late])} and the write to them "
                                f"by instruction {other} are not ordered",
                Remedy.RACE.fill(earlier=other, unit="matrix")))

    def _compare(self, index: int, mine: _Accesses, others: Sequence[_Accesses], places: Rows, where: str) -> None:
        """Reports the other unit's accesses that may not be over, then enters the instruction's own."""
        queue = self.queues[mine.unit]
        for theirs in others:
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
        if access.part is Part.SUMS and isinstance(instruction, Matrix):
            return Remedy.RACE_AFTER_RELEASE.fill(earlier=earlier)
        return Remedy.RACE.fill(earlier=earlier, unit=self._fence_flag(earlier))


_TO_COMPUTE = {Function.ACC_RECIPROCAL: Remedy.SUM_FIRST, Function.ATTN_LSE_NORM: Remedy.VALUE_FIRST}
"""for functions whose tile an earlier one computes; the others may begin it"""


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

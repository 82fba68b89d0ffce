"""The order in which a program can run, without time: decoder, three queues, semaphores.

Source: docs/specification.md section 4.

Matrix, load and store queue each run in order; each head acquires its semaphore, runs, and releases. Where more than
one could move, one fixed choice is made, so this is one of the orders that the hardware may take.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.isa import SEMAPHORES, Dma, Fence, Function, Instruction, Kind, Matrix, Transfer
from myhdl_fsa.kernel.remedies import Remedy

__all__ = [
    "Move",
    "Schedule",
    "Stuck",
    "Unit",
    "capacity",
    "schedule",
    "unit_of",
]


class Unit(IntEnum):
    """What runs an instruction."""

    MATRIX = 0
    LOAD = 1
    STORE = 2


@dataclass(frozen=True)
class Move:
    """An instruction runs, or a fence passes."""

    index: int
    acquired_from: int | None = None
    """the instruction whose release the acquire took; None for none, or the value of a reset"""


@dataclass(frozen=True)
class Stuck:
    """An instruction that can never run, what it waits for, and what would mend it."""

    index: int
    message: str
    remedy: str


@dataclass
class Schedule:
    """How far a program comes."""

    moves: list[Move] = field(default_factory=list)
    stuck: list[Stuck] = field(default_factory=list)
    decoded: int = 0
    """instructions that the decoder took"""
    moves_before_last: int | None = None
    """how many of ``moves`` were made when the decoder took the last instruction; None: it never did"""
    stopped: bool = False
    """a fence with stop has passed"""


@dataclass
class _Semaphore:
    value: int = 0
    busy: bool = False
    released_by: int | None = None
    taken_by: int | None = None


def unit_of(instruction: Matrix | Dma) -> Unit:
    """Which queue an instruction goes to."""
    if isinstance(instruction, Matrix):
        return Unit.MATRIX
    return Unit.LOAD if instruction.function == Transfer.LOAD else Unit.STORE


def capacity(config: Config) -> dict[Unit, int]:
    """Instructions that a queue holds, its head included."""
    return {Unit.MATRIX: config.matrix_queue, Unit.LOAD: config.load_inflight, Unit.STORE: config.store_inflight}


def schedule(instructions: Sequence[Instruction], config: Config, last_stays: bool = False) -> Schedule:
    """Runs the instructions until a fence with stop has passed or nothing moves any more.

    With ``last_stays`` the decoder takes the last one, if it comes to it, and never hands it on: it is a matrix or DMA
    instruction that is refused, or not whole.
    """
    result = Schedule()
    queues: dict[Unit, deque[int]] = {unit: deque() for unit in Unit}
    semaphores = [_Semaphore() for _ in range(SEMAPHORES)]
    pairs = _Pairs(part(config, "rules").announces)
    decoder = _Decoder(instructions, queues, capacity(config), result, len(instructions) - 1 if last_stays else None)
    while True:
        moved = decoder.run()
        if result.decoded == len(instructions) and result.moves_before_last is None:
            result.moves_before_last = len(result.moves)
        # One at a time, the DMA first: what it does too early, because nothing orders it, shows in this order.
        if moved or any(_run(instructions, queues[unit], semaphores, result, pairs) for unit in _FIRST):
            continue
        at = instructions[result.decoded] if result.decoded < len(instructions) else None
        if isinstance(at, Fence) and at.stop and not decoder.waits_for(at):
            result.moves.append(Move(result.decoded))
            result.decoded += 1
            result.stopped = True
        else:
            result.stuck += _stuck_heads(instructions, queues, semaphores)
            if at is not None:
                result.stuck.append(decoder.explain(result.decoded, at))
            result.stuck.sort(key=lambda item: item.index)
        return result


@dataclass
class _Pairs:
    """An instruction that announces the next one starts with it: what it releases waits for that one's semaphore."""

    announces: Callable[[Matrix], bool]
    _waiting: list[int] = field(default_factory=list)

    def begins(self, index: int, instruction: Matrix) -> bool:
        """Whether the instruction waits for the next."""
        if self.announces(instruction):
            self._waiting.append(index)
        return bool(self._waiting)

    def complete(self) -> list[int]:
        """Those that waited for the instruction that has come."""
        waited, self._waiting = self._waiting, []
        return waited


@dataclass
class _Decoder:
    """Takes instructions in order; it has one place for a matrix and one for a DMA instruction whose queue is full."""

    instructions: Sequence[Instruction]
    queues: dict[Unit, deque[int]]
    limits: dict[Unit, int]
    result: Schedule
    stays: int | None
    places: dict[Kind, int | None] = field(default_factory=lambda: {Kind.MATRIX: None, Kind.DMA: None})

    def run(self) -> bool:
        """Goes on as far as there is room; a fence with stop is left until nothing else moves."""
        start = self.result.decoded
        moved = self._hand_on()
        while self.result.decoded < len(self.instructions):
            instruction = self.instructions[self.result.decoded]
            if isinstance(instruction, Fence):
                if instruction.stop or self.waits_for(instruction):
                    break
                self.result.moves.append(Move(self.result.decoded))
            else:
                if self.places[instruction.KIND] is not None:
                    break
                self.places[instruction.KIND] = self.result.decoded
                self._hand_on()
            self.result.decoded += 1
        return moved or self.result.decoded > start

    def _hand_on(self) -> bool:
        moved = False
        for kind, index in self.places.items():
            if index is not None and index != self.stays:
                unit = self._unit(index)
                if len(self.queues[unit]) < self.limits[unit]:
                    self.queues[unit].append(index)
                    self.places[kind] = None
                    moved = True
        return moved

    def _unit(self, index: int) -> Unit:
        instruction = self.instructions[index]
        assert isinstance(instruction, (Matrix, Dma))
        return unit_of(instruction)

    def waits_for(self, fence: Fence) -> list[Unit]:
        """The units that hold a fence back."""
        units = ([Unit.MATRIX] if fence.matrix else []) + ([Unit.LOAD, Unit.STORE] if fence.dma else [])
        placed = {self._unit(index) for index in self.places.values() if index is not None}
        return [unit for unit in units if self.queues[unit] or unit in placed]

    def explain(self, index: int, at: Instruction) -> Stuck:
        """Why the decoder does not come past an instruction."""
        if isinstance(at, Fence):
            units = self.waits_for(at)
            names = " and ".join(unit.name.lower() for unit in units)
            heads = " and ".join(f"instruction {self._head(unit)}" for unit in units)
            return Stuck(index, f"fence waits for ever for the {names} queue",
                         Remedy.FENCE_NEVER_PASSES.fill(heads=heads))
        before = self.places[at.KIND]
        assert before is not None  # the place is taken, or the decoder would have come past
        unit = self._unit(before)
        name = unit.name.lower()
        return Stuck(index, f"never decoded: the {name} queue stays full and instruction {before} waits for it",
                     Remedy.QUEUE_STAYS_FULL.fill(head=self._head(unit), queue=name))

    def _head(self, unit: Unit) -> int:
        """The instruction that holds a unit up."""
        placed = (index for index in self.places.values() if index is not None and self._unit(index) is unit)
        return self.queues[unit][0] if self.queues[unit] else next(placed)


_FIRST = (Unit.LOAD, Unit.STORE, Unit.MATRIX)


def _run(instructions: Sequence[Instruction], queue: deque[int], semaphores: list[_Semaphore], result: Schedule,
         pairs: _Pairs) -> bool:
    """Runs the head of a queue if its semaphore lets it."""
    if not queue:
        return False
    index = queue[0]
    instruction = instructions[index]
    assert isinstance(instruction, (Matrix, Dma))
    semaphore = semaphores[instruction.semaphore]
    source = None
    if instruction.acquire:
        if semaphore.busy or semaphore.value != instruction.acquire_value:
            return False
        source = semaphore.released_by
        semaphore.busy, semaphore.taken_by = True, index
    result.moves.append(Move(index, source))
    queue.popleft()
    if isinstance(instruction, Matrix):
        for waiting in pairs.complete():
            _release(instructions, waiting, semaphores)
        if pairs.begins(index, instruction):
            return True
    _release(instructions, index, semaphores)
    return True


def _release(instructions: Sequence[Instruction], index: int, semaphores: list[_Semaphore]) -> None:
    instruction = instructions[index]
    assert isinstance(instruction, (Matrix, Dma))
    if instruction.release:
        semaphore = semaphores[instruction.semaphore]
        semaphore.busy, semaphore.value = False, instruction.release_value
        semaphore.released_by = index


def _stuck_heads(instructions: Sequence[Instruction], queues: dict[Unit, deque[int]],
                 semaphores: list[_Semaphore]) -> list[Stuck]:
    stuck = []
    for queue in queues.values():
        if queue:
            head = instructions[queue[0]]
            assert isinstance(head, (Matrix, Dma))
            semaphore = semaphores[head.semaphore]
            state = f"taken by instruction {semaphore.taken_by}" if semaphore.busy else f"at {semaphore.value}"
            stuck.append(Stuck(queue[0], f"never acquires semaphore {head.semaphore} at {head.acquire_value}: "
                                         f"it stays {state}", _to_acquire(head, semaphore)))
    return stuck


def _to_acquire(head: Matrix | Dma, semaphore: _Semaphore) -> str:
    """What would let an instruction have its semaphore."""
    wanted = {"semaphore": head.semaphore, "value": head.acquire_value}
    if semaphore.busy:
        return Remedy.TAKEN.fill(taker=semaphore.taken_by, **wanted)
    loads = (Function.LOAD_STATIONARY, Function.ATTN_SCORE, Function.ATTN_VALUE)
    operand = isinstance(head, Matrix) and head.function in loads
    remedy = Remedy.OPERAND_NEVER_LOADED if operand else Remedy.OTHER_NEVER_RELEASED
    return remedy.fill(now=semaphore.value, **wanted)

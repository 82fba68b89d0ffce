"""What stands around the bare core: a front end that decodes in no time and a memory that is never late.

The same program runs on it as on the device. Instructions go to three queues without end, of matrix instructions, loads
and stores; a fence holds the ones after it back until the queues that it names are empty. Semaphores order the queues
as in the device. Cycle for cycle as ``verilator/harness.cpp`` has it in C++. Source: docs/specification.md section 4.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.isa import SEMAPHORES, Dma, Fence, Instruction, Matrix, Transfer
from myhdl_fsa.kernel.tensor import element_bytes, unpack

__all__ = ["FrontEnd", "SemaphoreFile", "from_row", "pack", "to_row"]


class SemaphoreFile:
    """32 semaphores: a value and a busy bit each."""

    def __init__(self) -> None:
        self._values = [0] * SEMAPHORES
        self._busy = [False] * SEMAPHORES

    def free(self, instruction: Matrix | Dma) -> bool:
        """Whether the instruction may start: it acquires nothing, or its semaphore is free and has the value."""
        number = instruction.semaphore
        return not instruction.acquire or (
            not self._busy[number] and self._values[number] == instruction.acquire_value)

    def acquire(self, instruction: Matrix | Dma) -> bool:
        """The same; and if it may, its semaphore is taken."""
        if not self.free(instruction):
            return False
        if instruction.acquire:
            self._busy[instruction.semaphore] = True
        return True

    def release(self, number: int, value: int) -> None:
        """Sets the value and frees it."""
        self._values[number], self._busy[number] = value, False


class FrontEnd:
    """The instructions that may be done, each at the head of its queue until it is."""

    def __init__(self, instructions: Iterable[Instruction]) -> None:
        self._rest = deque(instructions)
        self.matrix: deque[Matrix] = deque()
        self.loads: deque[Dma] = deque()
        self.stores: deque[Dma] = deque()

    @property
    def fence(self) -> Fence | None:
        """The fence that holds back what comes after it; None where all is queued."""
        return self._rest[0] if self._rest and isinstance(self._rest[0], Fence) else None

    @property
    def transfers(self) -> bool:
        """Whether loads or stores are queued or under way."""
        return bool(self.loads or self.stores)

    def decode(self, array_idle: bool) -> None:
        """Queues what is left, up to a fence that has to wait; ``array_idle``: nothing is offered to it or runs."""
        while self._rest:
            instruction = self._rest[0]
            match instruction:
                case Fence():
                    waits_for_array = instruction.matrix and (self.matrix or not array_idle)
                    if waits_for_array or (instruction.dma and self.transfers):
                        return
                    if instruction.stop:
                        self._rest.clear()
                        return
                case Matrix():
                    self.matrix.append(instruction)
                case Dma(function=Transfer.LOAD):
                    self.loads.append(instruction)
                case Dma():
                    self.stores.append(instruction)
            self._rest.popleft()


def to_row(data: bytes, fmt: FloatFormat) -> int:
    """A row of a RAM, element 0 in the low bits, from its bytes in memory."""
    if fmt.width % 8 == 0:
        return int.from_bytes(data, "little")
    return pack(unpack(np.frombuffer(data, np.uint8).reshape(-1, element_bytes(fmt)), fmt), fmt.width)


def from_row(row: int, elements: int, fmt: FloatFormat) -> bytes:
    """The bytes in memory of a RAM's row of so many elements."""
    size, width = element_bytes(fmt), fmt.width
    if width % 8 == 0:
        return row.to_bytes(elements * size, "little")
    mask = (1 << width) - 1
    return b"".join((row >> (index * width) & mask).to_bytes(size, "little") for index in range(elements))


def pack(words: Iterable[int], width: int) -> int:
    """Words side by side, the first in the low bits."""
    total = 0
    for index, word in enumerate(words):
        total |= int(word) << (index * width)
    return total

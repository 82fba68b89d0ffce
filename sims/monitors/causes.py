"""What the instructions of an attention program wait for, read off the program: its semaphores, tensors and fences."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate

from myhdl_fsa.isa import Dma, Fence, Instruction, Transfer
from myhdl_fsa.kernel.context import Kernel
from myhdl_fsa.kernel.flash_attention import tensor_at

__all__ = ["Causes"]



class Causes:
    """Of a kernel of attention, in the words of ``engine.cycle_use.CAUSES``."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._instructions = kernel.instructions
        self._transfers: dict[Transfer, list[tuple[int, Dma]]] = {kind: [] for kind in Transfer}
        self._ends = list(accumulate(item.WORDS for item in kernel.instructions))
        self._semaphores: list[str] = []
        released: dict[int, str] = {}
        for number, item in enumerate(kernel.instructions):
            if isinstance(item, Fence):
                continue
            if isinstance(item, Dma):
                self._transfers[Transfer(item.function)].append((number, item))
            else:
                self._semaphores.append(released.get(item.semaphore, "array") if item.acquire else "array")
            if item.release:
                released[item.semaphore] = self.transfer(item) if isinstance(item, Dma) else "array"

    @property
    def count(self) -> int:
        """Matrix instructions."""
        return len(self._semaphores)

    def semaphore(self, index: int) -> str:
        """What the semaphore of a matrix instruction stands for: whatever releases it before."""
        return self._semaphores[index]

    def transfer(self, transfer: Dma) -> str:
        """What a load brings, or the store."""
        if transfer.function == Transfer.STORE:
            return "store of O"
        return tensor_at(self._kernel, transfer.address)[0]

    def of_word(self, index: int) -> tuple[int, Instruction]:
        """The instruction that a word of the program belongs to, and its number."""
        number = bisect_right(self._ends, index)
        return number, self._instructions[number]

    def unfinished(self, before: int, done: Mapping[Transfer, int], kinds: Iterable[Transfer] = Transfer) -> str:
        """What the first transfer of ``kinds`` does that is not done, of those before an instruction's number.

        ``done`` are the loads and the stores that are; stores are looked at first. ``array`` where none is left.
        """
        for kind in sorted(kinds, reverse=True):
            for number, transfer in self._transfers[kind][done[kind]:done[kind] + 1]:
                if number < before:
                    return self.transfer(transfer)
        return "array"

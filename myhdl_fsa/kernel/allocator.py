"""Hands out stretches of an address space, the first that fits."""

from __future__ import annotations

from bisect import insort

from myhdl_fsa.kernel.errors import KernelError

__all__ = ["Allocator"]


class Allocator:
    """Addresses ``base`` .. ``base + size - 1`` of the space ``name``, in ``unit`` (``rows`` or ``bytes``)."""

    def __init__(self, name: str, base: int, size: int, unit: str, alignment: int = 1) -> None:
        if alignment < 1:
            raise KernelError(f"{name}: alignment {alignment}: must be at least 1")
        self.name, self.base, self.size, self.unit, self.alignment = name, base, size, unit, alignment
        self._taken: list[tuple[int, int]] = []

    @property
    def left(self) -> int:
        """What is not handed out, in all; it may lie in several pieces."""
        return self.size - sum(stop - start for start, stop in self._taken)

    def allocate(self, size: int, purpose: str = "") -> int:
        """The address of ``size`` free units, aligned. Raises KernelError when there is no such stretch."""
        if size < 1:
            raise KernelError(f"{self.name}: {size} {self.unit} wanted{_for(purpose)}: must be at least 1")
        end = self.base + self.size
        start = self._align(self.base)
        for taken_start, taken_stop in [*self._taken, (end, end)]:
            if start + size <= taken_start:
                insort(self._taken, (start, start + size))
                return start
            start = self._align(max(start, taken_stop))
        raise KernelError(
            f"{self.name}: {size} {self.unit} wanted{_for(purpose)}, {self.left} of {self.size} left"
            + (" but in pieces" if self.left >= size else "")
        )

    def reserve(self, address: int, size: int, purpose: str = "") -> None:
        """Takes a stretch at a given address. Raises KernelError when it is not all free or not all there."""
        stop = address + size
        where = f"{self.name}: {self.unit} {address:#x} to {stop:#x} wanted{_for(purpose)}"
        if address < self.base or stop > self.base + self.size:
            raise KernelError(f"{where}: must lie from {self.base:#x} to {self.base + self.size:#x}")
        if any(address < taken_stop and taken_start < stop for taken_start, taken_stop in self._taken):
            raise KernelError(f"{where}: must be free, and part is in use")
        insort(self._taken, (address, stop))

    def free(self, address: int) -> None:
        """Gives back what was handed out at ``address``. Raises KernelError when nothing was."""
        for stretch in self._taken:
            if stretch[0] == address:
                self._taken.remove(stretch)
                return
        raise KernelError(f"{self.name}: nothing was allocated at {address:#x}")

    def _align(self, address: int) -> int:
        return -(-address // self.alignment) * self.alignment


def _for(purpose: str) -> str:
    return f" for {purpose}" if purpose else ""

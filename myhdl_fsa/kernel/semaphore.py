"""Semaphores as a kernel uses them: a number of the device and the value that the next acquire waits for."""

from __future__ import annotations

from myhdl_fsa.isa import SEMAPHORE_VALUES, SEMAPHORES
from myhdl_fsa.kernel.errors import KernelError

__all__ = ["Semaphore"]


class Semaphore:
    """Counts the hand-overs of one buffer: each release writes the next of ``values`` values, after the last one 0.

    An acquire waits for the value that the release before it wrote; a device starts with every semaphore at 0.
    Raises KernelError for a number outside 0..31 or values outside 2..8.
    """

    def __init__(self, number: int, values: int = 2) -> None:
        for name, given, allowed in (("semaphore", number, range(SEMAPHORES)),
                                     ("semaphore values", values, range(2, SEMAPHORE_VALUES + 1))):
            if not isinstance(given, int) or isinstance(given, bool) or given not in allowed:
                raise KernelError(f"{name} = {given!r}: must be an integer from {allowed[0]} to {allowed[-1]}")
        self.number, self.values = number, values
        self.value = 0
        """what the next acquire waits for"""

    def advance(self) -> int:
        """Moves on and returns the value that a release writes."""
        self.value = (self.value + 1) % self.values
        return self.value

    def __repr__(self) -> str:
        return f"Semaphore({self.number}, values={self.values}) at {self.value}"

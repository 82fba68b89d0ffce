"""The bus of a SoC as the PC sees it: 32-bit words at byte addresses, in bursts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from myhdl_fsa.engine.request import RunError

__all__ = ["Bus", "BusError", "WORD_BYTES", "bursts"]

WORD_BYTES = 4


class BusError(RunError):
    """The line to the board failed, or brought what cannot be; the message is one line that names the line."""


class Bus(ABC):
    """A subclass moves one burst; addresses are multiples of 4. Every method raises BusError."""

    name = ""
    """the line, as errors call it"""
    read_burst = write_burst = push_burst = 1
    """words of one burst, at most"""

    def read(self, address: int, count: int) -> list[int]:
        """``count`` words from ``address`` on."""
        found: list[int] = []
        for start, words in bursts(range(count), self.read_burst):
            found += self.read_one(address + WORD_BYTES * start, len(words))
        return found

    def write(self, address: int, words: Sequence[int]) -> None:
        """Words from ``address`` on; none of them is answered, so that a read must follow to know."""
        for start, part in bursts(words, self.write_burst):
            self.write_one(address + WORD_BYTES * start, part)

    def push(self, address: int, words: Sequence[int]) -> None:
        """Words one after the other to the same address."""
        for _, part in bursts(words, self.push_burst):
            self.push_one(address, part)

    @abstractmethod
    def read_one(self, address: int, count: int) -> list[int]:
        """A burst of ``read``."""

    @abstractmethod
    def write_one(self, address: int, words: Sequence[int]) -> None:
        """A burst of ``write``."""

    @abstractmethod
    def push_one(self, address: int, words: Sequence[int]) -> None:
        """A burst of ``push``."""

    @abstractmethod
    def close(self) -> None:
        """Gives the line back; what is still under way is dropped. Raises nothing."""


def bursts(words: Sequence[int], most: int) -> Iterator[tuple[int, Sequence[int]]]:
    """The words in parts of at most ``most``, each with the number of its first."""
    for start in range(0, len(words), most):
        yield start, words[start:start + most]

"""Where a value stands in Verilog: a net or local, one of a vector's elements, or a word of a memory."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Reference", "sum_of", "times"]


def times(factor: int | str, index: str) -> str:
    """``factor * index`` as text."""
    if index == "0":
        return "0"
    if str(factor) == "1":
        return index
    if index == "1":
        return str(factor)
    if index.isdecimal() and isinstance(factor, int):
        return str(factor * int(index))
    simple = index.replace("_", "").isalnum() or (index.startswith("(") and index.endswith(")"))
    return f"{factor}*{index if simple else f'({index})'}"


def sum_of(one: str, other: int | str) -> str:
    """``one + other`` as text."""
    if str(other) == "0":
        return one
    if one == "0":
        return str(other)
    if one.isdecimal() and str(other).isdecimal():
        return str(int(one) + int(other))
    return f"{one} + {other}"


@dataclass(frozen=True)
class Reference:
    """``width`` bits of ``name``: all of them, or from bit ``offset`` up, or the word ``[word]`` of a memory."""

    name: str
    width: int
    signed: bool = False
    offset: str | None = None
    word: str | None = None
    size: str | None = None
    """the width as text, where it has a name"""
    scope: str = ""
    """the process or function that it is a local of"""

    @property
    def bare(self) -> bool:
        """Whether it is a name: a part of something, and a word of a memory, is unsigned to Verilog."""
        return self.offset is None and self.word is None

    def whole(self) -> str:
        """All of it."""
        return self.part(0, self.width)

    def part(self, low: int, width: int) -> str:
        """Bits ``low`` to ``low + width - 1``."""
        if self.word is not None:
            name = f"{self.name}[{self.word}]"
        else:
            name = self.name
        if self.offset is None:
            if (low, width) == (0, self.width):
                return name
            return f"{name}[{low}]" if width == 1 else f"{name}[{low + width - 1}:{low}]"
        start = sum_of(self.offset, low)
        if width == 1 and not (self.size and width == self.width):
            return f"{name}[{start}]"
        return f"{name}[{start} +: {self.size if self.size and width == self.width else width}]"

    def indexed(self, low: str, width: int) -> str:
        """The same from a bit that is only known when it runs."""
        name = self.name if self.word is None else f"{self.name}[{self.word}]"
        start = low if self.offset is None else f"{self.offset} + {low}"
        return f"{name}[{start}]" if width == 1 else f"{name}[{start} +: {width}]"

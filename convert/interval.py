"""Intervals of integers: what an expression can be, and with it how many bits hold it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BIT", "Interval", "UnboundedError", "ZERO"]

_LONGEST = 1 << 16
"""bits of the longest word that anybody can mean"""


class UnboundedError(ValueError):
    """An interval that cannot be bounded, or a shift by what may be negative."""


@dataclass(frozen=True, slots=True)
class Interval:
    """The integers from ``low`` to ``high``, both included."""

    low: int
    high: int

    @classmethod
    def of_bits(cls, width: int, signed: bool = False) -> Interval:
        """All that so many bits hold."""
        return cls(-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else cls(0, (1 << width) - 1)

    @property
    def signed(self) -> bool:
        """Whether a value may be negative."""
        return self.low < 0

    @property
    def width(self) -> int:
        """Bits that hold every value, at least 1; a sign bit among them where a value may be negative."""
        if self.low < 0:
            return max(self.high.bit_length() if self.high > 0 else 0, (~self.low).bit_length()) + 1
        return max(1, self.high.bit_length())

    def signed_width(self) -> int:
        """Bits that hold every value beside one that may be negative: a sign bit among them in any case."""
        return max(self.high.bit_length() if self.high > 0 else 0, (~self.low).bit_length() if self.low < 0 else 0) + 1

    def join(self, other: Interval) -> Interval:
        """What either can be."""
        if self.low <= other.low and self.high >= other.high:
            return self
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def holds(self, other: Interval) -> bool:
        """Whether all of another interval lies in this one."""
        return self.low <= other.low and other.high <= self.high

    def meet(self, low: int | None = None, high: int | None = None) -> Interval | None:
        """What lies within the bounds too; None where nothing does."""
        low = self.low if low is None else max(low, self.low)
        high = self.high if high is None else min(high, self.high)
        if low > high:
            return None
        return self if (low, high) == (self.low, self.high) else Interval(low, high)

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __invert__(self) -> Interval:
        return Interval(~self.high, ~self.low)

    def __mul__(self, other: Interval) -> Interval:
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        return Interval(min(corners), max(corners))

    def __lshift__(self, amount: Interval) -> Interval:
        amount.check_shift()
        if amount.high + self.width > _LONGEST:
            raise UnboundedError(f"a shift to the left by up to {amount.high}")
        corners = [a << n for a in (self.low, self.high) for n in (amount.low, amount.high)]
        return Interval(min(corners), max(corners))

    def __rshift__(self, amount: Interval) -> Interval:
        amount.check_shift()
        corners = [a >> n for a in (self.low, self.high) for n in (amount.low, min(amount.high, _LONGEST))]
        return Interval(min(corners), max(corners))

    def check_shift(self) -> None:
        """Raises UnboundedError for a shift by a negative number, which Python does not do."""
        if self.low < 0:
            raise UnboundedError(f"a shift by what may be negative, down to {self.low}")

    def __and__(self, other: Interval) -> Interval:
        if self.low >= 0 and other.low >= 0:
            if self.low == self.high and other.low == other.high:
                return Interval(self.low & other.low, self.low & other.low)
            high = min(self.high, other.high)
            for mask, word in ((self, other), (other, self)):
                if mask.low == mask.high:  # the bits of the mask that the word has
                    high = min(high, mask.low & ((1 << word.high.bit_length()) - 1))
            return Interval(0, high)
        for word, mask in ((self, other), (other, self)):
            if word.low >= 0:
                if mask.low == mask.high:
                    return Interval(0, min(word.high, ((1 << word.high.bit_length()) - 1) & mask.low))
                return Interval(0, word.high)
        return Interval.of_bits(max(self.signed_width(), other.signed_width()), True)

    def __or__(self, other: Interval) -> Interval:
        if self.low < 0 or other.low < 0:
            return Interval.of_bits(max(self.signed_width(), other.signed_width()), True)
        # never more than the sum: fields that do not overlap stay as narrow as they are
        top = (1 << max(self.high.bit_length(), other.high.bit_length())) - 1
        return Interval(max(self.low, other.low), min(top, self.high + other.high))

    def __xor__(self, other: Interval) -> Interval:
        if self.low < 0 or other.low < 0:
            return Interval.of_bits(max(self.signed_width(), other.signed_width()), True)
        return Interval(0, (1 << max(self.high.bit_length(), other.high.bit_length())) - 1)


ZERO = Interval(0, 0)
BIT = Interval(0, 1)

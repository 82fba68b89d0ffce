"""2**x by a chord per piece of (-1, 0], on the processing element's own multiplier and adder.

Source: docs/specification.md section 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits, FloatFormat, Values
from myhdl_fsa.arithmetic.rounding import encode, operands, round_values, sticky_sum

__all__ = ["Exp2"]


@dataclass(frozen=True)
class Exp2:
    """``2**x`` for ``x`` and the slopes in the format ``mul``, the intercepts in the format ``add``.

    Raises ValueError when ``pieces`` is not a power of two of at least 2.
    """

    mul: FloatFormat
    add: FloatFormat
    pieces: int = 8

    def __post_init__(self) -> None:
        if self.pieces < 2 or self.pieces & (self.pieces - 1):
            raise ValueError(f"exp2 pieces = {self.pieces}: must be a power of two, at least 2")

    @property
    def slopes(self) -> tuple[int, ...]:
        """The chords' slopes as patterns of ``mul``; piece 0 is next to zero."""
        return tuple(int(bits) for bits in encode(_chords(self)[0], self.mul))

    @property
    def intercepts(self) -> tuple[int, ...]:
        """The chords' values at zero as patterns of ``add``; piece 0 is next to zero."""
        return tuple(int(bits) for bits in encode(_chords(self)[1], self.add))

    @property
    def streamed_intercepts(self) -> tuple[int, ...]:
        """The intercepts as they travel to the units: the piece number in exponent bits [E-1:1], whose value is known.

        All intercepts lie in (0.5, 1], so only the lowest exponent bit tells them apart.
        Source: docs/specification.md section 3.
        """
        known = self.add.mantissa_bits + 1
        kept = (1 << known) - 1
        return tuple((piece << known) | (bits & kept) for piece, bits in enumerate(self.intercepts))

    def compute(self, x_bits: Any, out: FloatFormat | None = None) -> Bits:
        """Patterns of ``mul`` in, patterns of ``out`` (``mul`` unless given) back, in the same shape.

        Raises TypeError for anything but unsigned arrays and ValueError for a pattern wider than ``mul``.
        """
        out = self.mul if out is None else out
        shape, (x,) = operands((x_bits, self.mul))
        return encode(self.compute_values(x, out), out).reshape(shape)

    def compute_values(self, x: Values, out: FloatFormat | None = None) -> Values:
        """The same on float64 values that ``mul`` holds; at least one dimension."""
        out = self.mul if out is None else out
        slopes, intercepts = _chords(self)
        limit = 2.0**self.mul.exponent_bits
        unordered = np.isnan(x)
        inside = np.abs(x) < limit
        argument = np.where(inside, x, 0.0)
        integer = np.trunc(argument)
        fraction = argument - integer
        piece = (np.abs(fraction) * self.pieces).astype(np.intp)
        chord = sticky_sum(slopes[piece] * fraction, intercepts[piece], out)
        # |Xi| < 2**8, so the scaling is exact and the one rounding is still to come
        result = round_values(np.ldexp(chord, integer.astype(np.int32)), out)
        # Inf and an integer part too large give +0, whatever the sign
        result[~inside] = 0.0
        result[unordered] = np.nan
        return result


@lru_cache(maxsize=64)
def _chords(unit: Exp2) -> tuple[Values, Values]:
    """Slopes and intercepts as values, piece 0 next to zero: chords in float64, then one rounding."""
    x = np.linspace(-1, 0, unit.pieces + 1, dtype=np.float64)
    y = np.float64(2) ** x
    slope = (y[1:] - y[:-1]) / (x[1:] - x[:-1])
    intercept = y[:-1] - slope * x[:-1]
    return round_values(slope[::-1].copy(), unit.mul), round_values(intercept[::-1].copy(), unit.add)

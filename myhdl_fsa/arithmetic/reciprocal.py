"""1/x in the accumulator: Newton steps on its own multiply-add, or a correctly rounded divider.

Source: docs/specification.md section 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.fma import MultiplyAdd
from myhdl_fsa.arithmetic.formats import Bits, FloatFormat, Values
from myhdl_fsa.arithmetic.rounding import encode, min_normal, operands, round_values

__all__ = ["METHODS", "Reciprocal"]

METHODS = ("newton", "division")
_USEFUL = 2.0**-10
"""relative error: that of an fp16 result"""


@dataclass(frozen=True)
class Reciprocal:
    """``1 / x`` in one format, by ``newton`` or by ``division``. Raises ValueError for another method."""

    fmt: FloatFormat
    method: str = "newton"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"reciprocal method {self.method!r}: must be one of {', '.join(METHODS)}")

    @property
    def iterations(self) -> int:
        """Newton steps of two multiply-adds each, or quotient cycles of two bits each."""
        mantissa = self.fmt.mantissa_bits
        if self.method == "newton":
            return math.ceil(math.log2(mantissa + 1)) + 4
        return math.ceil((mantissa + 3) / 2)

    @property
    def latency(self) -> int:
        """Cycles from the operand to the result."""
        return 2 * self.iterations + 1 if self.method == "newton" else self.iterations + 2

    def compute(self, x_bits: Any) -> Bits:
        """Patterns in, patterns back, in the same shape and ``fmt.dtype``: 1/0 is Inf of its sign, 1/Inf is 0.

        ``division`` keeps the sign of a zero result; ``newton`` ends with FMA(r, s * 2**-e, +0), whose zero is +0.

        Raises TypeError for anything but unsigned arrays and ValueError for a pattern wider than the format.
        """
        shape, (x,) = operands((x_bits, self.fmt))
        return encode(self.compute_values(x), self.fmt).reshape(shape)

    def compute_values(self, x: Values) -> Values:
        """The same on float64 values that the format holds; at least one dimension."""
        with np.errstate(all="ignore"):
            if self.method == "division":
                # 53 >= 2 * 24 + 2: rounding the quotient to float64 first cannot change the second rounding
                return round_values(1.0 / x, self.fmt)
            return self._newton(x)

    @property
    def useful(self) -> float:
        """The relative error up to which a result is of use: 2**-10, or 2**(1-M) for a mantissa of M < 11 bits.

        That of an fp16 result, but never what rounding alone may come to: Newton steps that have come to their end are
        within 1.5 * 2**-M.
        """
        return max(_USEFUL, 2.0 ** (1 - self.fmt.mantissa_bits))

    def poor(self, x: Values) -> npt.NDArray[np.bool_]:
        """Where the result is of no use: off by more than ``useful`` of 1/x, where x and 1/x are normal numbers.

        ``newton`` begins with 1 for a mantissa in [1, 2), and has not come far from it where that is just below 2.
        """
        with np.errstate(all="ignore"):
            ordinary = np.isfinite(x) & (np.abs(x) >= min_normal(self.fmt)) & (np.abs(1.0 / x) >= min_normal(self.fmt))
            # two mantissas of at most 24 bits: product and difference are exact
            return ordinary & (np.abs(self.compute_values(x) * x - 1.0) > self.useful)

    def _newton(self, x: Values) -> Values:
        fma = MultiplyAdd(self.fmt, self.fmt).compute_values
        ordinary = np.isfinite(x) & (x != 0)
        mantissa, exponent = np.frexp(np.where(ordinary, np.abs(x), 1.0))
        divisor = 2 * mantissa
        guess = np.ones_like(divisor)
        for _ in range(self.iterations):
            guess = fma(guess, fma(guess, -divisor, 2.0), 0.0)
        # 0, Inf and NaN have no mantissa to iterate on: d = 1 keeps r = 1
        scale = np.where(ordinary, np.copysign(np.ldexp(1.0, 1 - exponent), x), 1.0 / x)
        # an exponent field of 0 reads as zero
        scale[np.abs(scale) < min_normal(self.fmt)] *= 0
        return fma(guess, scale, 0.0)

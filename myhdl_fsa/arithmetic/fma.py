"""Fused multiply-add with mixed formats, and the maximum that is built on it.

Source: docs/specification.md section 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits, FloatFormat, RoundingMode, Values
from myhdl_fsa.arithmetic.rounding import add_values, check_bits, decode, encode, operands

__all__ = ["MultiplyAdd", "maximum", "select_second"]


@dataclass(frozen=True)
class MultiplyAdd:
    """``a * b + c``, rounded once: ``a`` and ``b`` in the format ``mul``, ``c`` in the format ``add``."""

    mul: FloatFormat
    add: FloatFormat

    def compute(
        self,
        a_bits: Any,
        b_bits: Any,
        c_bits: Any,
        out: FloatFormat | None = None,
        mode: RoundingMode = RoundingMode.RNE,
    ) -> Bits:
        """Patterns in, patterns of ``out`` (``add`` unless given) back, in the broadcast shape.

        Raises TypeError for anything but unsigned arrays and ValueError for a pattern wider than its format.
        """
        out = self.add if out is None else out
        shape, (a, b, c) = operands((a_bits, self.mul), (b_bits, self.mul), (c_bits, self.add))
        return encode(self.compute_values(a, b, c, out, mode), out).reshape(shape)

    def compute_values(
        self,
        a: Values | float,
        b: Values | float,
        c: Values | float,
        out: FloatFormat | None = None,
        mode: RoundingMode = RoundingMode.RNE,
    ) -> Values:
        """The same on float64 values that the formats hold; broadcasts, and one argument has a dimension."""
        with np.errstate(all="ignore"):
            # two mantissas of at most 24 bits: exact in float64
            product = np.multiply(a, b)
        return add_values(product, c, self.add if out is None else out, mode)


def select_second(a: Values, b: Values) -> np.ndarray:
    """True where MAX(a, b) takes ``b``: where FMA(a, 1, -b) has its sign bit set. A NaN never has."""
    # equal operands of opposite sign are zeros; -0 - +0 is the one zero difference with a sign
    return (a < b) | ((a == b) & np.signbit(a) & ~np.signbit(b))


def maximum(a_bits: Any, b_bits: Any, fmt: FloatFormat) -> Bits:
    """MAX(a, b): one operand's own pattern, in the broadcast shape and ``fmt.dtype``.

    Raises TypeError for anything but unsigned arrays and ValueError for a pattern wider than ``fmt``.
    """
    a, b = check_bits(a_bits, fmt), check_bits(b_bits, fmt)
    second = select_second(decode(np.atleast_1d(a), fmt), decode(np.atleast_1d(b), fmt))
    chosen = np.where(second, b, a).astype(fmt.dtype)
    return chosen.reshape(np.broadcast_shapes(a.shape, b.shape))

"""Bit patterns to values and back, and the one rounding every operation ends with.

"Values" are float64 arrays whose elements a format can hold; "bits" are unsigned arrays of ``FloatFormat.dtype``.
Rounding works on the float64 pattern as an integer, so the exponent is unbounded until the last step, where a field
of 0 or less becomes zero and one of all ones or more becomes Inf, in every mode.
Source: docs/specification.md section 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import FP16, FP32, Bits, FloatFormat, RoundingMode, Values

__all__ = [
    "add_values",
    "check_bits",
    "decode",
    "encode",
    "max_finite",
    "min_normal",
    "operands",
    "round_values",
    "sticky_sum",
]

_DOUBLE_MANTISSA = 52
_DOUBLE_BIAS = 1023
_DOUBLE_SIGN = np.uint64(1 << 63)
_DOUBLE_MAGNITUDE = np.uint64((1 << 63) - 1)
_DOUBLE_INFINITY = np.uint64(0x7FF << 52)
_ONE = np.uint64(1)


def min_normal(fmt: FloatFormat) -> float:
    """The smallest nonzero magnitude the format holds."""
    return float(2.0 ** (1 - fmt.bias))


def max_finite(fmt: FloatFormat) -> float:
    """The largest finite magnitude the format holds."""
    return (2.0 - 2.0**-fmt.mantissa_bits) * 2.0**fmt.bias


def check_bits(bits: Any, fmt: FloatFormat) -> Bits:
    """``bits`` as an array of ``fmt.dtype``. Raises TypeError unless unsigned, ValueError for a pattern too wide."""
    array = np.asarray(bits)
    if array.dtype.kind != "u":
        raise TypeError(f"{fmt} bit patterns must be an unsigned integer array, not {array.dtype}")
    if array.dtype.itemsize * 8 > fmt.width and array.size and int(array.max()) >> fmt.width:
        raise ValueError(f"{fmt} bit pattern {int(array.max()):#x} is wider than {fmt.width} bits")
    return array.astype(fmt.dtype, copy=False)


def operands(*pairs: tuple[Any, FloatFormat]) -> tuple[tuple[int, ...], list[Values]]:
    """Checks and decodes (bits, format) pairs: the broadcast shape, and the values with at least one dimension."""
    arrays = [check_bits(bits, fmt) for bits, fmt in pairs]
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    return shape, [decode(np.atleast_1d(array), fmt) for array, (_, fmt) in zip(arrays, pairs, strict=True)]


def decode(bits: Bits, fmt: FloatFormat) -> Values:
    """Patterns (of ``fmt.dtype``, trusted to fit) to values: subnormals read as zero with their sign. Any shape."""
    if fmt in (FP16, FP32):
        # numpy holds these two itself; only the subnormals have to go
        field = bits & fmt.infinity
        narrow = np.where(field == 0, bits & fmt.sign_mask, bits).astype(fmt.dtype)
        with np.errstate(invalid="ignore"):
            return narrow.view(np.float16 if fmt == FP16 else np.float32).astype(np.float64)
    wide = bits.astype(np.uint64)
    magnitude = wide & np.uint64(fmt.sign_mask - 1)
    moved = magnitude << np.uint64(_DOUBLE_MANTISSA - fmt.mantissa_bits)
    moved += np.uint64((_DOUBLE_BIAS - fmt.bias) << _DOUBLE_MANTISSA)
    moved[magnitude <= fmt.mantissa_mask] = 0
    moved[magnitude == fmt.infinity] = _DOUBLE_INFINITY
    moved[magnitude > fmt.infinity] = np.float64(np.nan).view(np.uint64)
    moved |= (wide >> np.uint64(fmt.width - 1)) << np.uint64(63)
    return moved.view(np.float64)


def encode(values: Values, fmt: FloatFormat) -> Bits:
    """Values the format holds exactly to patterns of ``fmt.dtype``; every NaN becomes the one canonical NaN."""
    bits: Bits
    if fmt in (FP16, FP32):
        bits = values.astype(np.float16 if fmt == FP16 else np.float32).view(fmt.dtype)
    else:
        wide = np.ascontiguousarray(values, dtype=np.float64).view(np.uint64)
        magnitude = (wide & _DOUBLE_MAGNITUDE) >> np.uint64(_DOUBLE_MANTISSA - fmt.mantissa_bits)
        offset = np.uint64((_DOUBLE_BIAS - fmt.bias) << fmt.mantissa_bits)
        # below the offset there is only zero, above the range only Inf and NaN
        magnitude = np.minimum(np.maximum(magnitude, offset) - offset, np.uint64(fmt.infinity))
        bits = (magnitude | (wide >> np.uint64(63)) << np.uint64(fmt.width - 1)).astype(fmt.dtype)
    unordered = np.isnan(values)
    if unordered.any():
        bits[unordered] = fmt.nan
    return bits


def round_values(values: Values, fmt: FloatFormat, mode: RoundingMode = RoundingMode.RNE) -> Values:
    """Rounds float64 values once to ``fmt``. Any shape of at least one dimension; the argument is not changed."""
    if mode == RoundingMode.RNE and fmt == FP32:
        return _round_fp32(values)
    source = values.view(np.uint64)
    dropped = _DOUBLE_MANTISSA - fmt.mantissa_bits
    mask = np.uint64((1 << dropped) - 1)
    if mode == RoundingMode.RNE:
        bits = source >> np.uint64(dropped)
        bits &= _ONE
        bits += np.uint64((1 << (dropped - 1)) - 1)
        bits += source
    elif mode == RoundingMode.RMM:
        bits = source + np.uint64(1 << (dropped - 1))
    elif mode == RoundingMode.RTZ:
        bits = source.copy()
    else:
        # away from zero on one side only
        up = (source >> np.uint64(63)) == (0 if mode == RoundingMode.RUP else 1)
        bits = source + np.where(up, mask, np.uint64(0))
    bits &= ~mask
    rounded = bits.view(np.float64)
    magnitude = np.abs(rounded)
    with np.errstate(invalid="ignore"):
        # times 0 keeps the sign, and a NaN stays one
        rounded *= magnitude >= min_normal(fmt)
    over = magnitude > max_finite(fmt)
    if over.any():
        rounded[over] = np.copysign(np.inf, rounded[over])
    unordered = np.isnan(values)
    if unordered.any():
        rounded[unordered] = np.nan
    return rounded


def _round_fp32(values: Values) -> Values:
    """The same through the processor's own conversion, which differs only where it would give a subnormal."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        rounded = values.astype(np.float32).astype(np.float64)
    # below this, even an unbounded exponent leaves the result under the smallest normal
    flushed = np.abs(values) < min_normal(FP32) * (1 - 2.0**-25)
    if flushed.any():
        rounded[flushed] = np.copysign(0.0, values[flushed])
    return rounded


def add_values(
    x: Values | float, y: Values | float, fmt: FloatFormat, mode: RoundingMode = RoundingMode.RNE
) -> Values:
    """``x + y`` rounded once to ``fmt``. Broadcasts; at least one argument has a dimension."""
    with np.errstate(all="ignore"):
        return round_values(sticky_sum(x, y, fmt, mode), fmt, mode)


def sticky_sum(x: Values | float, y: Values | float, fmt: FloatFormat, mode: RoundingMode = RoundingMode.RNE) -> Values:
    """``x + y`` in float64, moved one unit off where that alone would make rounding to ``fmt`` wrong.

    float64 rounds too. That first rounding can only mislead the second when it lands on a point where the second
    changes its mind: a midpoint (nearest modes) or a representable value (directed modes). There the exact error of
    the sum says on which side the exact sum lies.
    """
    total: Values = np.add(x, y)
    dropped = _DOUBLE_MANTISSA - fmt.mantissa_bits
    nearest = mode in (RoundingMode.RNE, RoundingMode.RMM)
    point = np.uint64(1 << (dropped - 1) if nearest else 0)
    suspect = (total.view(np.uint64) & np.uint64((1 << dropped) - 1)) == point
    count = np.count_nonzero(suspect)
    if 8 * count > total.size:
        # many, as when both are multiples of one power of two: then the sums are mostly exact, which is cheap to see
        suspect &= np.abs(_sum_error(x, y, total)) > 0
        count = np.count_nonzero(suspect)
    if count == 0:
        return total
    at = np.nonzero(suspect)
    s = total[at]
    error = _sum_error(np.broadcast_to(x, total.shape)[at], np.broadcast_to(y, total.shape)[at], s)
    # an Inf or NaN sum has a NaN error, which compares false and so stays
    outward = np.where(s < 0, error < 0, error > 0)
    inward = np.where(s < 0, error > 0, error < 0)
    moved = s.view(np.uint64) + outward.astype(np.uint64) - inward.astype(np.uint64)
    total[at] = moved.view(np.float64)
    return total


def _sum_error(x: Values | float, y: Values | float, total: Values) -> Values:
    """What float64 dropped from ``total = x + y``: exact, since no sum of two products overflows float64."""
    virtual = total - x
    error: Values = (x - (total - virtual)) + (y - virtual)
    return error

"""Bit-exact floating point on numpy arrays: the arithmetic of the machine as plain functions.

Every function takes unsigned integer arrays of bit patterns (any shape, broadcast against each other; the patterns sit
in the low bits) and returns an array of the result format's own unsigned type (``FloatFormat.dtype``). A format is a
FloatFormat or its name: one of ``arithmetic.formats.FORMATS``, or ``e<E>m<M>``. Each function raises TypeError for an
array that is not unsigned and for what can be no format, ValueError for a pattern wider than its format and for an
unknown name.

>>> import numpy as np
>>> one = from_float(np.array([1.0, 2.5]), "fp16")
>>> to_float(fma(one, one, from_float(np.zeros(2), "fp32")), "fp32")
array([1.  , 6.25])
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic import fma as _fma
from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.fma import MultiplyAdd
from myhdl_fsa.arithmetic.formats import BF16, E4M3, E5M2, FP16, FP32, TF32, Bits, FloatFormat, RoundingMode, as_format
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.arithmetic.rounding import encode, operands, round_values

Format = FloatFormat | str
"""a format or its name"""

__all__ = [
    "BF16",
    "E4M3",
    "E5M2",
    "FP16",
    "FP32",
    "TF32",
    "Exp2",
    "FloatFormat",
    "Format",
    "MultiplyAdd",
    "Reciprocal",
    "RoundingMode",
    "as_format",
    "convert",
    "exp2",
    "fma",
    "from_float",
    "maximum",
    "reciprocal",
    "to_float",
]


def fma(
    a_bits: npt.ArrayLike,
    b_bits: npt.ArrayLike,
    c_bits: npt.ArrayLike,
    mul: Format = FP16,
    add: Format = FP32,
    out: Format = FP32,
    mode: RoundingMode = RoundingMode.RNE,
) -> Bits:
    """``a * b + c`` rounded once to ``out``; ``a`` and ``b`` are patterns of ``mul``, ``c`` of ``add``."""
    return MultiplyAdd(as_format(mul), as_format(add)).compute(a_bits, b_bits, c_bits, as_format(out), mode)


def exp2(
    x_bits: npt.ArrayLike,
    mul: Format = FP16,
    add: Format = FP32,
    out: Format = FP16,
    pieces: int = 8,
) -> Bits:
    """``2**x`` by ``pieces`` chords, rounded once to ``out``; ``x`` is a pattern of ``mul``.

    Raises ValueError too when ``pieces`` is not a power of two of at least 2.
    """
    return Exp2(as_format(mul), as_format(add), pieces).compute(x_bits, as_format(out))


def maximum(a_bits: npt.ArrayLike, b_bits: npt.ArrayLike, fmt: Format = FP32) -> Bits:
    """``b`` where ``a - b`` has its sign bit set, else ``a``; a NaN on either side selects ``a``."""
    return _fma.maximum(a_bits, b_bits, as_format(fmt))


def reciprocal(x_bits: npt.ArrayLike, fmt: Format = FP32, method: str = "newton") -> Bits:
    """``1 / x`` by ``newton`` or ``division``; raises ValueError too for another method."""
    return Reciprocal(as_format(fmt), method).compute(x_bits)


def convert(
    x_bits: npt.ArrayLike, src: Format, dst: Format, mode: RoundingMode = RoundingMode.RNE
) -> Bits:
    """Patterns of ``src`` as patterns of ``dst``, rounded once."""
    target = as_format(dst)
    shape, (x,) = operands((x_bits, as_format(src)))
    return encode(round_values(x, target, mode), target).reshape(shape)


def from_float(x: npt.ArrayLike, fmt: Format, mode: RoundingMode = RoundingMode.RNE) -> Bits:
    """A float16, float32 or float64 array as patterns of ``fmt``, rounded once. Raises TypeError for other types."""
    target, array = as_format(fmt), np.asarray(x)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise TypeError(f"values must be a float16, float32 or float64 array, not {array.dtype}")
    values = np.atleast_1d(array).astype(np.float64)
    return encode(round_values(values, target, mode), target).reshape(array.shape)


def to_float(bits: npt.ArrayLike, fmt: Format, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Patterns of ``fmt`` as an array of ``dtype`` (float64 holds every format exactly); subnormals become zero."""
    shape, (values,) = operands((bits, as_format(fmt)))
    with np.errstate(all="ignore"):
        return values.reshape(shape).astype(dtype)

"""Binary floating-point formats: widths, special bit patterns, and the five rounding modes.

A format is a pair (exponent bits E, mantissa bits M) with bias ``2**(E-1) - 1``. Exponent field 0 reads as zero
(subnormals are flushed, the sign is kept); all ones is Inf with mantissa 0 and NaN otherwise.
Source: docs/specification.md section 1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

__all__ = [
    "BF16",
    "Bits",
    "E4M3",
    "E5M2",
    "FORMATS",
    "FP16",
    "FP32",
    "FloatFormat",
    "RoundingMode",
    "TF32",
    "Values",
    "as_format",
    "shown_names",
]


class RoundingMode(IntEnum):
    """How an exact result becomes a representable one. Attention uses RNE only."""

    RNE = 0
    """to nearest, ties to even"""
    RTZ = 1
    """toward zero"""
    RDN = 2
    """toward minus infinity"""
    RUP = 3
    """toward plus infinity"""
    RMM = 4
    """to nearest, ties away from zero"""


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format of ``1 + exponent_bits + mantissa_bits`` bits.

    Raises ValueError for a size whose products would leave float64, which the software reference computes in
    (exponent 3..8 bits, mantissa 2..23 bits).
    """

    exponent_bits: int
    mantissa_bits: int

    def __post_init__(self) -> None:
        if not (3 <= self.exponent_bits <= 8 and 2 <= self.mantissa_bits <= 23):
            raise ValueError(
                f"float format (E={self.exponent_bits}, M={self.mantissa_bits}): "
                "E must be 3 to 8 and M must be 2 to 23"
            )

    @property
    def width(self) -> int:
        """Bits in all."""
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def memory_bytes(self) -> int:
        """Bytes that one value takes in memory: whole bytes, the pattern in the low bits."""
        return (self.width + 7) // 8

    @property
    def bias(self) -> int:
        """What the exponent field of 1.0 holds."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def exponent_max(self) -> int:
        """The exponent field of Inf and NaN: all ones."""
        return (1 << self.exponent_bits) - 1

    @property
    def mantissa_mask(self) -> int:
        """The mantissa field, all ones."""
        return (1 << self.mantissa_bits) - 1

    @property
    def sign_mask(self) -> int:
        """The sign bit alone; also the pattern of -0."""
        return 1 << (self.width - 1)

    @property
    def one(self) -> int:
        """The pattern of 1.0."""
        return self.bias << self.mantissa_bits

    @property
    def infinity(self) -> int:
        """The pattern of +Inf."""
        return self.exponent_max << self.mantissa_bits

    @property
    def minus_infinity(self) -> int:
        """The pattern of -Inf."""
        return self.sign_mask | self.infinity

    @property
    def nan(self) -> int:
        """The only NaN an operation produces: sign 0, top mantissa bit 1."""
        return self.infinity | (1 << (self.mantissa_bits - 1))

    @property
    def dtype(self) -> np.dtype:
        """The smallest numpy unsigned type that holds a pattern."""
        return np.dtype(np.uint8 if self.width <= 8 else np.uint16 if self.width <= 16 else np.uint32)

    @property
    def name(self) -> str:
        """Its first in ``FORMATS``, or ``e<E>m<M>``."""
        for known, fmt in FORMATS.items():
            if fmt == self:
                return known
        return f"e{self.exponent_bits}m{self.mantissa_bits}"

    def __str__(self) -> str:
        return self.name


FP16 = FloatFormat(5, 10)
BF16 = FloatFormat(8, 7)
FP32 = FloatFormat(8, 23)

TF32 = FloatFormat(8, 10)
E4M3 = FloatFormat(4, 3)
"""with Inf and NaNs as in every format here, so up to 240; OCP's E4M3 (torch's ``float8_e4m3fn``) gives them up for
numbers up to 448"""
E5M2 = FloatFormat(5, 2)

FORMATS: dict[str, FloatFormat] = {
    "fp16": FP16, "bf16": BF16, "fp32": FP32, "tf32": TF32, "e4m3": E4M3, "e5m2": E5M2,
    "fp8_e4m3": E4M3, "fp8_e5m2": E5M2,
    # as torch and ml_dtypes call them
    "float16": FP16, "bfloat16": BF16, "float32": FP32, "float8_e4m3": E4M3, "float8_e5m2": E5M2,
}
"""the formats that have names; the first of several is the one that is shown"""

_WITHOUT_INF = ("float8_e4m3fn", "fp8_e4m3fn")


def shown_names() -> str:
    """The names that formats are shown by, as a list in words."""
    return ", ".join(fmt.name for fmt in dict.fromkeys(FORMATS.values()))


def as_format(value: FloatFormat | str) -> FloatFormat:
    """The format itself, or the one of that name: one of ``FORMATS``, or ``e<E>m<M>``.

    Raises ValueError for another name and TypeError for anything else, in one line that says what is allowed.
    """
    if isinstance(value, FloatFormat):
        return value
    allowed = f"must be one of {shown_names()} or e<E>m<M>, as in e6m9"
    if not isinstance(value, str):
        # an array's text would be many lines
        raise TypeError(f"float format of type {type(value).__name__}: {allowed}, or a FloatFormat")
    if value in FORMATS:
        return FORMATS[value]
    if value in _WITHOUT_INF:
        raise ValueError(f"float format {value!r}: must be e4m3, which has Inf and NaNs and so ends at 240")
    match = re.fullmatch(r"e([0-9]{1,3})m([0-9]{1,3})", value)
    if match is None:
        raise ValueError(f"float format {value[:40]!r}: {allowed}")
    return FloatFormat(int(match[1]), int(match[2]))


Bits = npt.NDArray[np.unsignedinteger]
Values = npt.NDArray[np.float64]

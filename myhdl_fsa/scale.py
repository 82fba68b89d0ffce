"""What scores are multiplied by before they become exponents of two: a pair of registers of the device."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.config import Config
from myhdl_fsa.easyfloat import from_float

__all__ = ["Scale"]

_LOG2_E = math.log2(math.e)


@dataclass(frozen=True)
class Scale:
    """``log2(e) * scale``, rounded once to each format. Source: docs/specification.md section 2."""

    elem: int
    """pattern: the processing elements', for the weights"""
    acc: int
    """pattern: the accumulators', for the rescaling"""

    @classmethod
    def of(cls, config: Config, scale: float | None = None, head_dim: int | None = None) -> Scale:
        """That of softmax(scale * q k^T) v; None: ``1 / sqrt(head_dim)``.

        With neither it is what the machine has after a reset, ``1 / sqrt(rows)`` whether or not a format can hold it.
        Raises ValueError for a scale that is no positive number, or that a format cannot hold.
        """
        if scale is None:
            factor = _LOG2_E / math.sqrt(config.rows if head_dim is None else head_dim)
            said = f"scale {1 / math.sqrt(head_dim or config.rows):.4g}, 1 / sqrt({head_dim})"
        else:
            number = _number(scale)
            if not 0 < number < math.inf:
                raise ValueError(f"scale {_shown(scale)}: must be a positive number")
            factor, said = _LOG2_E * number, f"scale {scale}"
        formats = (config.elem, config.acc)
        if scale is not None or head_dim is not None:
            for fmt in formats:
                _check(factor, fmt, said)
        return cls(*(int(from_float(factor, fmt)) for fmt in formats))


def _number(scale: Any) -> float:
    """NaN for what is no number; a bool is a Real, and no factor that anybody means."""
    if isinstance(scale, bool) or not isinstance(scale, Real):
        return math.nan
    try:
        return float(scale)
    except OverflowError:
        return math.inf


def _shown(scale: Any) -> str:
    return str(scale) if isinstance(scale, Real) else repr(scale)


def _check(factor: float, fmt: FloatFormat, said: str) -> None:
    least = 1 << fmt.mantissa_bits
    if not least <= int(from_float(factor, fmt)) < fmt.infinity:
        low, high = 2.0 ** (1 - fmt.bias), (2 - 2.0**-fmt.mantissa_bits) * 2.0**fmt.bias
        raise ValueError(f"{said}: must be from {_inside(low / _LOG2_E, math.ceil)} to "
                         f"{_inside(high / _LOG2_E, math.floor)}, what {fmt} can hold")


def _inside(bound: float, towards: Callable[[float], int]) -> str:
    """A bound with four digits, rounded so that what is printed is allowed too."""
    last = math.floor(math.log10(bound)) - 3
    return f"{float(f'{towards(bound * 10.0**-last)}e{last}'):.4g}"

"""What scores are multiplied by before they become exponents of two: a pair of registers of the device."""

from __future__ import annotations

import math
from dataclasses import dataclass

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.config import Config
from myhdl_fsa.easyfloat import from_float

__all__ = ["Scale"]


@dataclass(frozen=True)
class Scale:
    """``log2(e) * scale``, rounded once to each format. Source: docs/specification.md section 2."""

    elem: int
    """pattern: the processing elements', for the weights"""
    acc: int
    """pattern: the accumulators', for the rescaling"""

    @classmethod
    def of(cls, config: Config, scale: float | None = None, head_dim: int | None = None) -> Scale:
        """That of softmax(scale * q k^T) v; None: ``1 / sqrt(head_dim)``, of the array's side unless given.

        The machine has ``Scale.of(config)`` after a reset. Raises ValueError for a scale that is no positive number, or
        that a format cannot hold.
        """
        if scale is None:
            factor = math.log2(math.e) / math.sqrt(config.rows if head_dim is None else head_dim)
        else:
            if not 0 < scale < math.inf:
                raise ValueError(f"scale {scale}: must be a positive number")
            factor = math.log2(math.e) * scale
        return cls(*(_rounded(factor, fmt, scale) for fmt in (config.elem, config.acc)))


def _rounded(factor: float, fmt: FloatFormat, scale: float | None) -> int:
    bits = int(from_float(factor, fmt))
    least = 1 << fmt.mantissa_bits
    if not least <= bits < fmt.infinity:
        low, high = (2.0 ** e / math.log2(math.e) for e in (1 - fmt.bias, fmt.bias + 1))
        raise ValueError(f"scale {scale}: must be from {low:.3g} to {high:.3g}, what {fmt} can hold")
    return bits

"""What a GPU kernel looks up instead of computing: made once for a machine, a scale and a device."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.rounding import encode
from myhdl_fsa.config import Config
from myhdl_fsa.golden.model import weight_table
from myhdl_fsa.scale import Scale

__all__ = ["Tables", "tables"]


class Tables(NamedTuple):
    """Read-only tensors on one device."""

    weights: torch.Tensor
    """int16 [65536]: the pattern of P for every pattern of x1 = S - m"""
    coefficients: torch.Tensor
    """float32 [1 + 2 * pieces]: the accumulators' scale, then of each piece of 2**x its slope and its intercept"""


@lru_cache(maxsize=64)
def tables(config: Config, scale: Scale, device: torch.device) -> Tables:
    """The tables of a machine with elements of 16 bits and fp32 accumulators."""
    weights = encode(weight_table(config, scale).astype(np.float64), config.elem).view(np.int16)
    unit = Exp2(config.acc, config.acc, config.exp2_pieces)
    pieces = np.stack([unit.slopes, unit.intercepts], axis=1)
    coefficients = np.concatenate([[scale.acc], pieces.ravel()]).astype(np.uint32).view(np.float32)
    return Tables(torch.from_numpy(weights).to(device), torch.from_numpy(coefficients).to(device))

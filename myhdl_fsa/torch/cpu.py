"""The operator on CPU tensors: the golden model on all cores."""

from __future__ import annotations

import math

import numpy as np
import torch

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import BF16, FP32, Bits, FloatFormat
from myhdl_fsa.arithmetic.tensors import to_bits
from myhdl_fsa.config import Config
from myhdl_fsa.easyfloat import to_float
from myhdl_fsa.torch.poor_reciprocals import warn_of_poor_reciprocals

__all__ = ["attention"]


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, config: Config, *, causal: bool = False,
    scale: float | None = None,
) -> torch.Tensor:
    """The machine's output, float32 [batch, heads, seq_q, dv]: every number of an accumulation format is one.

    ``query`` is [batch, heads, seq_q, d], ``key`` and ``value`` are [batch, kv_heads, seq_kv, d or dv].
    """
    q, k, v = (_patterns(tensor, config.elem) for tensor in (query, key, value))
    found = golden.evaluate(q, k, v, config, causal, scale=scale, workers=None)
    if found.poor_reciprocals:
        warn_of_poor_reciprocals(config, found.poor_reciprocals, math.prod(query.shape[:-1]))
    bits = np.ascontiguousarray(found.output)
    return torch.from_numpy(bits.view(np.float32) if config.acc == FP32 else to_float(bits, config.acc).astype("f4"))


def _patterns(tensor: torch.Tensor, elem: FloatFormat) -> Bits:
    """The tensor's values as patterns of ``elem``, rounded to nearest even."""
    if tensor.dtype == torch.bfloat16 and elem == BF16:
        # numpy has no bfloat16, and rounding would change nothing
        return tensor.detach().contiguous().view(torch.int16).numpy().view(np.uint16)
    return to_bits(tensor, elem)

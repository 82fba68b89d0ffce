"""The published error metrics, against torch and against float64, and how busy the array's multipliers were."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa import tiling
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, Bits, FloatFormat
from myhdl_fsa.config import Config
from myhdl_fsa.workbench.workload import Workload

__all__ = [
    "Errors",
    "error_metrics",
    "float64_attention",
    "tile_pairs",
    "to_float32",
    "torch_attention",
    "utilisation",
]

Errors = dict[str, np.float32]
"""MAE, MSE, MaxErr and RelErr by name"""
_BLOCK_SCORES = 1 << 22
"""scores at once: 32 MiB"""


def to_float32(bits: Bits, fmt: FloatFormat) -> npt.NDArray[np.float32]:
    """The float32 values of ``fmt`` patterns, same shape; exact for every format here."""
    if fmt == FP32:
        return np.ascontiguousarray(bits, dtype=np.uint32).view(np.float32)
    from myhdl_fsa import easyfloat

    return easyfloat.to_float(bits, fmt).astype(np.float32)


def torch_attention(work: Workload, fmt: FloatFormat, causal: bool = False) -> npt.NDArray[np.floating[Any]]:
    """torch's ``scaled_dot_product_attention`` on the CPU: [seq_q, d], float16 for fp16 patterns, else float32.

    torch computes in float16 for fp16 and bfloat16 for bf16, in float32 for any other format. Its causal mask lets
    query i see keys 0..i, as ours does.
    """
    # Importing torch takes over a second, so it is done where it is needed.
    import torch

    def tensor(bits: Bits) -> torch.Tensor:
        if fmt == FP16:
            return torch.from_numpy(bits.view(np.float16))
        if fmt == BF16:
            return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(to_float32(bits, fmt))

    with torch.no_grad():
        out = torch.nn.functional.scaled_dot_product_attention(
            tensor(work.q), tensor(work.k), tensor(work.v), is_causal=causal
        )
    return (out.float() if fmt == BF16 else out).numpy()


def float64_attention(work: Workload, fmt: FloatFormat, causal: bool = False) -> npt.NDArray[np.float64]:
    """softmax(q k^T / sqrt(d)) v in float64 on the very values that ``fmt`` patterns stand for: [seq_q, d].

    A reference without a rounding of its own to speak of. Inf and NaN go the ways of float64.
    """
    from myhdl_fsa import easyfloat

    q, k, v = (easyfloat.to_float(bits, fmt) for bits in (work.q, work.k, work.v))
    result = np.empty(q.shape)
    block = max(1, _BLOCK_SCORES // len(k))
    with np.errstate(all="ignore"):
        for first in range(0, len(q), block):
            scores = q[first : first + block] @ k.T / np.sqrt(q.shape[1])
            if causal:
                queries, keys = np.arange(first, first + len(scores)), np.arange(len(k))
                scores[keys > queries[:, None]] = -np.inf
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            result[first : first + block] = weights @ v / weights.sum(axis=1, keepdims=True)
    return result


def error_metrics(result: npt.NDArray[np.float32], reference: npt.NDArray[np.floating[Any]]) -> Errors:
    """MAE, MSE, MaxErr and RelErr = mean(abs((a-b)/(b+1e-8))) as published, two arrays of one shape.

    A float16 reference stays float16 in the arithmetic, as published: there 1e-8 is zero, and a zero in the reference
    makes RelErr infinite or NaN. Against a float64 reference the arithmetic is float64.
    """
    with np.errstate(all="ignore"):
        error = result - reference
        return {
            "MAE": np.float32(np.mean(np.abs(error))),
            "MSE": np.float32(np.mean(error**2)),
            "MaxErr": np.float32(np.max(np.abs(error))),
            "RelErr": np.float32(np.mean(np.abs(error / (reference + 1e-8)))),
        }


def tile_pairs(seq_q: int, seq_kv: int, tile: int, causal: bool = False) -> int:
    """Pairs of a Q tile and a K/V tile that are computed; causal skips those wholly after the diagonal."""
    return tiling.tile_pairs(seq_q // tile, seq_kv // tile, causal)


def utilisation(config: Config, seq_q: int, seq_kv: int, cycles: int, causal: bool = False) -> float:
    """Matmul utilisation, 0 to 1: the 2*N useful MAC cycles of every tile pair over ``cycles``."""
    return 2 * config.rows * tile_pairs(seq_q, seq_kv, config.rows, causal) / cycles

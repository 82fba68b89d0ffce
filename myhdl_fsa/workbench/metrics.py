"""The published error metrics, against torch and against float64, and how busy the array's multipliers were."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, Bits, FloatFormat, Values
from myhdl_fsa.config import Config
from myhdl_fsa.tiling import AttentionShape, key_tiles, tiles
from myhdl_fsa.workbench.workload import Workload

__all__ = [
    "Errors",
    "error_metrics",
    "float64_attention",
    "to_float32",
    "torch_attention",
    "utilisation",
]

Errors = dict[str, np.float32]
"""MAE, MSE, MaxErr and RelErr by name"""
_BLOCK_SCORES = 1 << 22
"""scores at once: 32 MiB"""
_TORCH_SCORES = 1 << 28
"""of all heads, which torch may hold all at once; with more of them it is given a head at a time"""


def to_float32(bits: Bits, fmt: FloatFormat) -> npt.NDArray[np.float32]:
    """The float32 values of ``fmt`` patterns, same shape; exact for every format here."""
    if fmt == FP32:
        return np.ascontiguousarray(bits, dtype=np.uint32).view(np.float32)
    from myhdl_fsa import easyfloat

    return easyfloat.to_float(bits, fmt).astype(np.float32)


def torch_attention(
    work: Workload, fmt: FloatFormat, causal: bool = False, scale: float | None = None
) -> npt.NDArray[np.floating[Any]]:
    """torch's ``scaled_dot_product_attention`` on the CPU, in the result's shape, float16 for fp16, else float32.

    torch computes in float16 for fp16 and bfloat16 for bf16, in float32 for any other format. Its causal mask lets
    query i see keys 0..i, as ours does; ``scale`` None is 1 / sqrt(d). Raises MemoryError.
    """
    # Importing torch takes over a second, so it is done where it is needed.
    import torch

    def tensor(bits: Bits) -> torch.Tensor:
        if fmt == FP16:
            return torch.from_numpy(bits.view(np.float16))
        if fmt == BF16:
            return torch.from_numpy(bits.view(np.int16)).view(torch.bfloat16)
        return torch.from_numpy(to_float32(bits, fmt))

    def attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, grouped: bool = False) -> torch.Tensor:
        return torch.nn.functional.scaled_dot_product_attention(
            q, k, v, is_causal=causal, scale=scale, enable_gqa=grouped)

    shape = work.shape()
    q, k, v = (tensor(bits) for bits in (work.q, work.k, work.v))
    try:
        with torch.no_grad():
            if shape.query_heads * shape.seq_q * shape.seq_kv <= _TORCH_SCORES:
                out = attention(q, k, v, shape.heads != shape.kv_heads)
            else:
                q, k, v = (one.reshape(-1, 1, 1, *one.shape[-2:]) for one in (q, k, v))
                key_heads = map(shape.key_head, range(shape.query_heads))
                out = torch.cat([attention(one, k[head], v[head]) for one, head in zip(q, key_heads, strict=True)])
    except RuntimeError as error:
        if "memory" not in str(error):
            raise
        raise MemoryError from None
    out = out.reshape(*shape.leading, shape.seq_q, shape.value_dim)
    return (out.float() if fmt == BF16 else out).numpy()


def float64_attention(
    work: Workload, fmt: FloatFormat, causal: bool = False, scale: float | None = None
) -> npt.NDArray[np.float64]:
    """softmax(scale * q k^T) v in float64 on the very values that ``fmt`` patterns stand for, in the result's shape.

    A reference without a rounding of its own to speak of; ``scale`` None is 1 / sqrt(d). Inf and NaN go the ways of
    float64.
    """
    from myhdl_fsa import easyfloat

    shape = work.shape()
    arrays = (easyfloat.to_float(bits, fmt) for bits in (work.q, work.k, work.v))
    q, k, v = (array.reshape(-1, *array.shape[-2:]) for array in arrays)
    result = np.empty((shape.query_heads, shape.seq_q, shape.value_dim))
    for head in range(shape.query_heads):
        key_head = shape.key_head(head)
        result[head] = _float64_head(q[head], k[key_head], v[key_head], causal, scale)
    return result.reshape(*shape.leading, *result.shape[1:])


def _float64_head(q: Values, k: Values, v: Values, causal: bool, scale: float | None) -> Values:
    result = np.empty((len(q), v.shape[1]))
    block = max(1, _BLOCK_SCORES // len(k))
    with np.errstate(all="ignore"):
        for first in range(0, len(q), block):
            products = q[first : first + block] @ k.T
            scores = products / np.sqrt(q.shape[1]) if scale is None else products * scale
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


def utilisation(config: Config, shape: AttentionShape, cycles: int) -> float:
    """Matmul utilisation, 0 to 1: multiply-adds of Q K^T and P V that count, over what the array does in ``cycles``.

    Of a tile pair that is computed every query that is one counts with every key, one on the diagonal whole: 2*N cycles
    where tiles are full and the head dimensions are N.
    """
    n, products = config.rows, 0
    kv_tiles = tiles(shape.seq_kv, n)
    for tile in range(tiles(shape.seq_q, n)):
        queries = min(n, shape.seq_q - tile * n)
        keys = min(shape.seq_kv, key_tiles(tile, kv_tiles, shape.causal) * n)
        products += queries * keys
    return shape.query_heads * products * (shape.head_dim + shape.value_dim) / (n * n * cycles)

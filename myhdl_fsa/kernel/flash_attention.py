"""FlashAttention as a kernel, free of races at any memory speed. Source: docs/specification.md section 4 (kernel)."""

from __future__ import annotations

from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.kernel.context import Context, Kernel, kernel
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.stream_attention import stream_attention
from myhdl_fsa.kernel.tensor import MemoryTensor
from myhdl_fsa.program import Execution
from myhdl_fsa.tiling import key_tiles

__all__ = ["attention_kernel", "attention_output", "flash_attention"]


@kernel
def flash_attention(ctx: Context, q: MemoryTensor, k: MemoryTensor, v_t: MemoryTensor, causal: bool) -> MemoryTensor:
    """softmax(q k^T / sqrt(d)) v: ``q`` [seq_q, d], ``k`` [seq_kv, d], ``v_t`` [d, seq_kv] (V^T); gives O^T [d, seq_q].

    The stream dataflow takes Q^T [d, seq_q] for ``q``, and has an order of its own (``stream_attention``).
    Two tiles each of Q, K and V^T, if they fit, let loads run ahead. O^T has two too where there is room for them: the
    normalisation of one query tile waits until the one before is stored, so the tile after it finds its O^T stored.
    Raises KernelError for shapes that are no whole tiles or differ.
    """
    rows, cols = ctx.config.rows, ctx.config.cols
    if v_t.shape != k.shape[::-1]:
        raise KernelError(f"v_t has shape {list(v_t.shape)}: must be that of k reversed, {list(k.shape[::-1])}")
    stream = ctx.config.dataflow == "stream"
    o_t = ctx.alloc_memory((rows, q.shape[1 if stream else 0]), ctx.config.acc, "O^T")
    if stream:
        stream_attention(ctx, q, k, v_t, o_t, causal)
        return o_t
    buffers = 2 if ctx.config.scratchpad_rows >= 2 * cols + 4 * rows else 1
    q_tiles = [(ctx.alloc_scratchpad(cols, "Q"), ctx.semaphore()) for _ in range(buffers)]
    k_tiles = [(ctx.alloc_scratchpad(rows, "K"), ctx.semaphore()) for _ in range(buffers)]
    v_tiles = [(ctx.alloc_scratchpad(rows, "V^T"), ctx.semaphore()) for _ in range(buffers)]
    l_tile = ctx.alloc_accumulator(1, "L")
    o_count = 2 if ctx.config.accumulator_rows > 2 * rows else 1
    o_tiles = [ctx.alloc_accumulator(rows, "O^T") for _ in range(o_count)]
    o_semaphore = ctx.semaphore()

    o_parts, key_parts = o_t.split(cols, dim=1), list(zip(k.split(rows, dim=0), v_t.split(rows, dim=1), strict=True))
    for i, q_part in enumerate(q.split(cols, dim=0)):
        q_tile, q_semaphore = q_tiles[i % buffers]
        o_tile = o_tiles[i % o_count]
        seen = key_parts[: key_tiles(i, len(key_parts), causal)]
        ctx.load_tile(q_part, q_tile, q_semaphore)
        for j, (k_part, v_part) in enumerate(seen):
            (k_tile, k_semaphore), (v_tile, v_semaphore) = k_tiles[j % buffers], v_tiles[j % buffers]
            ctx.load_stationary(q_tile.reverse(dim=0), q_semaphore, acquire=j == 0, release=j == len(seen) - 1)
            ctx.load_tile(k_part, k_tile, k_semaphore)
            ctx.attn_score(k_tile, l_tile, j > 0, k_semaphore, causal=causal and i == j)
            ctx.load_tile(v_part, v_tile, v_semaphore)
            if o_count == 1 and i > 0 and j == 0:
                ctx.fence(dma=True)  # the only O^T tile is still being stored
            ctx.attn_value(v_tile, o_tile, j > 0, v_semaphore)
        ctx.reciprocal(l_tile)
        ctx.attn_lse_norm(o_tile, o_semaphore)
        ctx.store_tile(o_tile, o_parts[i], o_semaphore)
    ctx.fence(matrix=True, dma=True, stop=True)
    return o_t


def attention_kernel(q: Any, k: Any, v: Any, config: Config, causal: bool = False) -> Kernel:
    """``flash_attention`` of arrays as ``golden.attention`` takes them: ``q`` [seq_q, d], ``k`` and ``v`` [seq_kv, d].

    Floating arrays, rounded to elem, or unsigned arrays of elem patterns. Raises KernelError for a shape that does not
    fit the machine or tensors that do not fit its memory.
    """
    q, k, v = (np.asarray(array) for array in (q, k, v))
    for name, array, tile in (("q", q, config.cols), ("k", k, config.rows), ("v", v, config.rows)):
        if array.ndim != 2 or array.shape[1] != config.rows or array.shape[0] == 0 or array.shape[0] % tile:
            raise KernelError(f"{name} has shape {list(array.shape)}: "
                              f"must be [a positive multiple of {tile}, {config.rows}]")
    if k.shape != v.shape:
        raise KernelError(f"k has shape {list(k.shape)} and v {list(v.shape)}: must be equal")
    return flash_attention(config, q=q.T if config.dataflow == "stream" else q, k=k, v_t=v.T, causal=causal)


def attention_output(kernel: Kernel, execution: Execution) -> Bits:
    """O [seq_q, d], acc patterns, from the O^T that ``attention_kernel``'s program stored."""
    (o_t,) = kernel.tensors(execution)
    return np.ascontiguousarray(o_t.T)

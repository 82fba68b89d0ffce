"""FlashAttention's instructions in the published order. Source: docs/specification.md section 4 (kernel)."""

from __future__ import annotations

from collections.abc import Sequence

from myhdl_fsa.kernel.context import Context
from myhdl_fsa.kernel.tensor import MemoryTensor
from myhdl_fsa.tiling import Visit

__all__ = ["QUERIES_TRANSPOSED", "flash_attention"]

QUERIES_TRANSPOSED = False
"""Q lies in memory as [seq_q, d]"""


def flash_attention(ctx: Context, q: MemoryTensor, k: MemoryTensor, v_t: MemoryTensor, o_t: MemoryTensor,
                    visits: Sequence[Visit]) -> None:
    """softmax(scale * q k^T) v: ``q`` [seq_q, d], ``k`` [seq_kv, d], ``v_t`` [d, seq_kv]; ``o_t`` [d, seq_q].

    Two tiles each of Q, K and V^T, if they fit, let loads run ahead. O^T has two too where there is room for them: the
    normalisation of one query tile waits until the one before is stored, so the tile after it finds its O^T stored.
    """
    rows, cols = ctx.config.rows, ctx.config.cols
    buffers = 2 if ctx.config.scratchpad_rows >= 2 * cols + 4 * rows else 1
    q_tiles = [(ctx.alloc_scratchpad(cols, "Q"), ctx.semaphore()) for _ in range(buffers)]
    k_tiles = [(ctx.alloc_scratchpad(rows, "K"), ctx.semaphore()) for _ in range(buffers)]
    v_tiles = [(ctx.alloc_scratchpad(rows, "V^T"), ctx.semaphore()) for _ in range(buffers)]
    l_tile = ctx.alloc_accumulator(1, "L")
    o_count = 2 if ctx.config.accumulator_rows > 2 * rows else 1
    o_tiles = [ctx.alloc_accumulator(rows, "O^T") for _ in range(o_count)]
    o_semaphore = ctx.semaphore()

    q_parts, o_parts = q.split(cols, dim=0), o_t.split(cols, dim=1)
    k_parts, v_parts = k.split(rows, dim=0), v_t.split(rows, dim=1)
    j = 0
    for visit in visits:
        i = visit.query_tile
        j = 0 if visit.first else j + 1
        q_tile, q_semaphore = q_tiles[i % buffers]
        o_tile = o_tiles[i % o_count]
        (k_tile, k_semaphore), (v_tile, v_semaphore) = k_tiles[j % buffers], v_tiles[j % buffers]
        if visit.first:
            ctx.load_tile(q_parts[i], q_tile, q_semaphore)
        ctx.load_stationary(q_tile.reverse(dim=0), q_semaphore, acquire=visit.first, release=visit.last)
        ctx.load_tile(k_parts[visit.key_tile], k_tile, k_semaphore)
        ctx.attn_score(k_tile, l_tile, not visit.first, k_semaphore, causal=visit.causal, hidden=visit.hidden)
        ctx.load_tile(v_parts[visit.key_tile], v_tile, v_semaphore)
        if o_count == 1 and i > 0 and visit.first:
            ctx.fence(dma=True)  # the only O^T tile is still being stored
        ctx.attn_value(v_tile, o_tile, not visit.first, v_semaphore)
        if visit.last:
            ctx.reciprocal(l_tile)
            ctx.attn_lse_norm(o_tile, o_semaphore)
            ctx.store_tile(o_tile, o_parts[i], o_semaphore)
    ctx.fence(matrix=True, dma=True, stop=True)

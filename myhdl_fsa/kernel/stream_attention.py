"""FlashAttention's instructions in the order that the stream dataflow wants."""

from __future__ import annotations

from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.isa import SEMAPHORES
from myhdl_fsa.kernel.context import Context
from myhdl_fsa.kernel.tensor import MemoryTensor
from myhdl_fsa.tiling import visits

__all__ = ["MOST_RESIDENT", "stream_attention"]

MOST_RESIDENT = (SEMAPHORES - 8) // 2
"""K/V tiles that have a semaphore each, beside those of Q and O"""


def stream_attention(ctx: Context, q_t: MemoryTensor, k: MemoryTensor, v_t: MemoryTensor, o_t: MemoryTensor,
                     causal: bool) -> None:
    """softmax(q k^T / sqrt(d)) v: ``q_t`` [d, seq_q], ``k`` [seq_kv, d], ``v_t`` [d, seq_kv]; ``o_t`` [d, seq_q].

    The ATTN_VALUE of a tile pair stands directly before the ATTN_SCORE that starts beside it, ``Times.slots`` pairs
    later, and a new Q directly behind the last ATTN_SCORE of the old one, while whose waves fall it rises.
    K and V stay in the scratchpad where all their tiles fit; else two of each are loaded in turn. An O^T tile is used
    again some query tiles later. Where V stays, the first ATTN_VALUE of a query tile needs no semaphore for it, and
    waits itself until the O^T tile is stored; else there is a semaphore fewer than O^T tiles, and normalising one tile
    waits until the one that comes into use next is stored.
    """
    rows, cols, config = ctx.config.rows, ctx.config.cols, ctx.config
    slots = Times.of(config).slots
    q_parts, o_parts = q_t.split(cols, dim=1), o_t.split(cols, dim=1)
    k_parts, v_parts = k.split(rows, dim=0), v_t.split(rows, dim=1)

    q_tiles = [(ctx.alloc_scratchpad(rows, "Q^T"), ctx.semaphore()) for _ in range(2)]
    places = (config.scratchpad_rows - 2 * cols) // (2 * rows)
    resident = len(k_parts) <= min(places, MOST_RESIDENT)
    buffers = len(k_parts) if resident else min(2, places)
    k_tiles = [(ctx.alloc_scratchpad(rows, "K"), ctx.semaphore()) for _ in range(buffers)]
    v_tiles = [(ctx.alloc_scratchpad(rows, "V^T"), ctx.semaphore()) for _ in range(buffers)]
    l_tile = ctx.alloc_accumulator(1, "L")
    o_count = min(len(o_parts), (config.accumulator_rows - 1) // rows, 4)
    o_tiles = [ctx.alloc_accumulator(rows, "O^T") for _ in range(o_count)]
    o_semaphores = [ctx.semaphore() for _ in range(o_count if resident else max(1, o_count - 1))]

    pairs = visits(len(q_parts), len(k_parts), causal)
    first = [j == 0 for _, j in pairs]
    last = [step + 1 == len(pairs) or first[step + 1] for step in range(len(pairs))]
    # the first visit of a K/V tile, and any visit of one that does not stay
    loads = [not resident or (0 if not causal else j) == i for i, j in pairs]

    def place(step: int) -> int:
        return pairs[step][1] if resident else step % buffers

    def load_q(i: int) -> None:
        if i < len(q_parts):
            tile, semaphore = q_tiles[i % 2]
            ctx.load_tile(q_parts[i], tile, semaphore)

    def load_stationary(i: int) -> None:
        tile, semaphore = q_tiles[i % 2]
        ctx.load_stationary(tile.reverse(dim=0), semaphore)

    def load_v(step: int) -> None:
        if 0 <= step < len(pairs) and loads[step]:
            tile, semaphore = v_tiles[place(step)]
            ctx.load_tile(v_parts[pairs[step][1]], tile, semaphore)

    def score(step: int) -> None:
        i, j = pairs[step]
        tile, semaphore = k_tiles[place(step)]
        ctx.attn_score(tile.reverse(dim=0), l_tile, not first[step], semaphore, causal=causal and i == j,
                       acquire=loads[step], release=not resident)

    def value(step: int, paired: bool) -> None:
        i = pairs[step][0]
        tile, semaphore = v_tiles[place(step)]
        acquire = loads[step]
        if first[step] and i > 0:
            if resident:
                semaphore, acquire = o_semaphores[i % o_count], True
            elif o_count == 1:
                ctx.fence(dma=True)  # the only O^T tile is still being stored
        ctx.attn_value(tile, o_tiles[i % o_count], not first[step], semaphore, acquire=acquire,
                       release=not resident, paired=paired)

    load_q(0)
    for step in range(len(pairs) + slots):
        behind, more = step - slots, step < len(pairs)
        if more and loads[step]:
            tile, semaphore = k_tiles[place(step)]
            ctx.load_tile(k_parts[pairs[step][1]], tile, semaphore)
        if step == 0:
            load_v(0)
            load_stationary(0)
        elif behind > 0:
            load_v(behind)
        if behind >= 0:
            value(behind, paired=more)
        if more:
            score(step)
            if first[step]:
                load_q(pairs[step][0] + 1)
            if last[step] and step + 1 < len(pairs):
                load_stationary(pairs[step + 1][0])
        if behind >= 0 and last[behind]:
            i = pairs[behind][0]
            semaphore = o_semaphores[i % len(o_semaphores)]
            ctx.reciprocal(l_tile)
            ctx.attn_lse_norm(o_tiles[i % o_count], semaphore, acquire=not resident or i == 0)
            ctx.store_tile(o_tiles[i % o_count], o_parts[i], semaphore)
    ctx.fence(matrix=True, dma=True, stop=True)

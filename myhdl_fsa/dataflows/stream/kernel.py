"""FlashAttention's instructions in the order that the stream dataflow wants."""

from __future__ import annotations

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.kernel.context import Context
from myhdl_fsa.kernel.semaphore import Semaphore
from myhdl_fsa.kernel.tensor import MemoryTensor
from myhdl_fsa.tiling import visits

__all__ = ["MOST_BUFFERS", "MOST_O_TILES", "QUERIES_TRANSPOSED", "RESIDENT_SEMAPHORES", "flash_attention", "residency"]

QUERIES_TRANSPOSED = True
"""Q lies in memory as Q^T, [d, seq_q]"""
RESIDENT_SEMAPHORES = 4
"""that hand resident tiles over, of K as of V: so many loads of them run ahead at most"""
MOST_BUFFERS = 8
"""tiles, of K as of V, that are loaded in turn"""
MOST_O_TILES = 4


def residency(config: Config, kv_tiles: int) -> tuple[int, int]:
    """How many of K's tiles, and of V's, stay in the scratchpad, and how many places the others take in turn.

    Where not all fit two places suffice while memory is near; one tile that stays leaves the DMA time for Q. Of more
    room latency and bandwidth have half each.
    """
    places = (config.scratchpad_rows - 2 * config.cols) // (2 * config.rows)
    if kv_tiles <= places:
        return kv_tiles, 0
    buffers = min(places, 2 + max(0, places - 3) // 2, MOST_BUFFERS)
    return places - buffers, buffers


def flash_attention(ctx: Context, q_t: MemoryTensor, k: MemoryTensor, v_t: MemoryTensor, o_t: MemoryTensor,
                    causal: bool) -> None:
    """softmax(q k^T / sqrt(d)) v: ``q_t`` [d, seq_q], ``k`` [seq_kv, d], ``v_t`` [d, seq_kv]; ``o_t`` [d, seq_q].

    The ATTN_VALUE of a tile pair stands directly before the ATTN_SCORE that starts beside it, ``Times.slots`` pairs
    later, and a new Q directly behind the last ATTN_SCORE of the old one, while whose waves fall it rises.
    The first tiles of K and V stay in the scratchpad, as many as ``residency`` says. An O^T tile is used again some
    query tiles later. Where the first tile of V stays, the first ATTN_VALUE of a query tile needs no semaphore for it,
    and waits itself until the O^T tile is stored; else there is a semaphore fewer than O^T tiles, and normalising one
    tile waits until the one that comes into use next is stored.
    """
    rows, cols, config = ctx.config.rows, ctx.config.cols, ctx.config
    slots = Times.of(config).slots
    q_parts, o_parts = q_t.split(cols, dim=1), o_t.split(cols, dim=1)
    k_parts, v_parts = k.split(rows, dim=0), v_t.split(rows, dim=1)

    q_tiles = [(ctx.alloc_scratchpad(rows, "Q^T"), ctx.semaphore()) for _ in range(2)]
    resident, buffers = residency(config, len(k_parts))
    k_tiles, v_tiles = ([ctx.alloc_scratchpad(rows, name) for _ in range(resident + buffers)] for name in ("K", "V^T"))
    k_semaphores, v_semaphores = (
        [ctx.semaphore() for _ in range(min(resident, RESIDENT_SEMAPHORES) + buffers)] for _ in range(2))
    l_tile = ctx.alloc_accumulator(1, "L")
    o_count = min(len(o_parts), (config.accumulator_rows - 1) // rows, MOST_O_TILES)
    o_tiles = [ctx.alloc_accumulator(rows, "O^T") for _ in range(o_count)]
    value_waits = resident > 0
    o_semaphores = [ctx.semaphore() for _ in range(o_count if value_waits else max(1, o_count - 1))]

    pairs = visits(len(q_parts), len(k_parts), causal)
    first = [j == 0 for _, j in pairs]
    last = [step + 1 == len(pairs) or first[step + 1] for step in range(len(pairs))]
    # the first visit of a tile that stays, and any visit of one that does not
    loads = [j >= resident or (j if causal else 0) == i for i, j in pairs]
    streamed = [0] * len(pairs)
    """how many visits of tiles that do not stay came before"""
    for step in range(1, len(pairs)):
        streamed[step] = streamed[step - 1] + (pairs[step - 1][1] >= resident)

    def place(step: int) -> int:
        j = pairs[step][1]
        return j if j < resident else resident + streamed[step] % buffers

    def handed_over(step: int, semaphores: list[Semaphore]) -> Semaphore:
        j = pairs[step][1]
        return semaphores[j % RESIDENT_SEMAPHORES if j < resident else streamed[step] % buffers - buffers]

    def load_q(i: int) -> None:
        if i < len(q_parts):
            tile, semaphore = q_tiles[i % 2]
            ctx.load_tile(q_parts[i], tile, semaphore)

    def load_stationary(i: int) -> None:
        tile, semaphore = q_tiles[i % 2]
        ctx.load_stationary(tile.reverse(dim=0), semaphore)

    def load_k(step: int) -> None:
        if step < len(pairs) and loads[step]:
            ctx.load_tile(k_parts[pairs[step][1]], k_tiles[place(step)], handed_over(step, k_semaphores))

    def load_v(step: int) -> None:
        if 0 <= step < len(pairs) and loads[step]:
            ctx.load_tile(v_parts[pairs[step][1]], v_tiles[place(step)], handed_over(step, v_semaphores))

    def score(step: int) -> None:
        i, j = pairs[step]
        ctx.attn_score(k_tiles[place(step)].reverse(dim=0), l_tile, not first[step], handed_over(step, k_semaphores),
                       causal=causal and i == j, acquire=loads[step], release=loads[step])

    def value(step: int, paired: bool) -> None:
        i = pairs[step][0]
        semaphore, acquire, release = handed_over(step, v_semaphores), loads[step], loads[step]
        if first[step] and i > 0:
            if value_waits:
                semaphore, acquire, release = o_semaphores[i % o_count], True, False
            elif o_count == 1:
                ctx.fence(dma=True)  # the only O^T tile is still being stored
        ctx.attn_value(v_tiles[place(step)], o_tiles[i % o_count], not first[step], semaphore, acquire=acquire,
                       release=release, paired=paired)

    load_q(0)
    for step in range(len(pairs) + slots):
        behind, more = step - slots, step < len(pairs)
        load_k(step)
        if step == 0:
            load_stationary(0)
        if step == slots - 1:
            load_v(0)
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
            ctx.attn_lse_norm(o_tiles[i % o_count], semaphore, acquire=not value_waits or i == 0)
            ctx.store_tile(o_tiles[i % o_count], o_parts[i], semaphore)
    ctx.fence(matrix=True, dma=True, stop=True)

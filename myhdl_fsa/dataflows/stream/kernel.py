"""FlashAttention's instructions in the order that the stream dataflow wants."""

from __future__ import annotations

from collections.abc import Sequence

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.kernel.context import Context
from myhdl_fsa.kernel.semaphore import Semaphore
from myhdl_fsa.kernel.tensor import MemoryTensor
from myhdl_fsa.tiling import Visit

__all__ = [
    "MOST_BUFFERS",
    "MOST_O_TILES",
    "MOST_REPLACED",
    "QUERIES_TRANSPOSED",
    "RESIDENT_SEMAPHORES",
    "flash_attention",
    "residency",
]

QUERIES_TRANSPOSED = True
"""Q lies in memory as Q^T, [d, seq_q]"""
RESIDENT_SEMAPHORES = 4
"""that hand tiles over that stay to the end, of K as of V: so many loads of them run ahead at most"""
MOST_BUFFERS = 8
"""tiles, of K as of V, that are loaded in turn"""
MOST_O_TILES = 4
MOST_REPLACED = 13
"""places, of K as of V, each with a semaphore of its own; Q and O^T have the others"""


def residency(config: Config, kv_tiles: int, heads: int = 1) -> tuple[int, int]:
    """How many of a head's K tiles, and V tiles, stay in the scratchpad, and how many places the others take in turn.

    Where not all fit two places suffice while memory is near; one tile that stays leaves the DMA time for Q. Of more
    room latency and bandwidth have half each. With several K/V ``heads`` what stays is replaced by the next one's:
    where there is room for the tiles of more than one head, those have it in turn.
    """
    places = (config.scratchpad_rows - 2 * config.cols) // (2 * config.rows)
    if heads > 1:
        places = min(places, MOST_REPLACED)
    if kv_tiles <= places:
        return min(heads, places // kv_tiles) * kv_tiles, 0
    buffers = min(places, 2 + max(0, places - 3) // 2, MOST_BUFFERS)
    return places - buffers, buffers


def flash_attention(ctx: Context, q_t: MemoryTensor, k: MemoryTensor, v_t: MemoryTensor, o_t: MemoryTensor,
                    visits: Sequence[Visit]) -> None:
    """softmax(scale * q k^T) v: ``q_t`` [d, seq_q], ``k`` [seq_kv, d], ``v_t`` [d, seq_kv]; ``o_t`` [d, seq_q].

    The ATTN_VALUE of a tile pair stands directly before the ATTN_SCORE that starts beside it, ``Times.slots`` pairs
    later, and a new Q directly behind the last ATTN_SCORE of the old one, while whose waves fall it rises.
    The first tiles of a head's K and V stay in the scratchpad, as many as ``residency`` says. An O^T tile is used again
    some query tiles later. Where the first tile of the only V stays, the first ATTN_VALUE of a query tile needs no
    semaphore for it, and waits itself until the O^T tile is stored; else there is a semaphore fewer than O^T tiles, and
    normalising one tile waits until the one that comes into use next is stored.
    """
    rows, cols, config = ctx.config.rows, ctx.config.cols, ctx.config
    slots = Times.of(config).slots
    q_parts, o_parts = q_t.split(cols, dim=1), o_t.split(cols, dim=1)
    k_parts, v_parts = k.split(rows, dim=0), v_t.split(rows, dim=1)
    count = len(visits)
    numbers = [0] * count
    """of the visited tile in its head"""
    for step in range(1, count):
        numbers[step] = 0 if visits[step].first else numbers[step - 1] + 1
    heads = len({visit.key_tile - number for visit, number in zip(visits, numbers, strict=True)})
    kv_tiles = len(k_parts) // heads
    resident, buffers = residency(config, kv_tiles, heads)
    held = max(1, resident // kv_tiles)
    """heads whose tiles the scratchpad holds"""
    replaced = heads > held

    q_tiles = [(ctx.alloc_scratchpad(rows, "Q^T"), ctx.semaphore()) for _ in range(2)]
    k_tiles, v_tiles = ([ctx.alloc_scratchpad(rows, name) for _ in range(resident + buffers)] for name in ("K", "V^T"))
    stay_semaphores = resident if replaced else min(resident, RESIDENT_SEMAPHORES)
    k_semaphores, v_semaphores = ([ctx.semaphore() for _ in range(stay_semaphores + buffers)] for _ in range(2))
    l_tile = ctx.alloc_accumulator(1, "L")
    o_count = min(len(o_parts), (config.accumulator_rows - 1) // rows, MOST_O_TILES)
    o_tiles = [ctx.alloc_accumulator(rows, "O^T") for _ in range(o_count)]
    value_waits = resident > 0 and heads == 1
    o_semaphores = [ctx.semaphore() for _ in range(o_count if value_waits else max(1, o_count - 1))]

    begins = {visit.key_tile: step for step, visit in reversed(list(enumerate(visits)))}
    ends = {visit.key_tile: step for step, visit in enumerate(visits)}
    stays = [number < resident for number in numbers]
    # the first visit of a tile that stays, and any visit of one that does not
    loads = [not stays[step] or begins[visits[step].key_tile] == step for step in range(count)]
    # a tile that stays is handed back where another one takes its place
    frees = [loads[step] if not (stays[step] and replaced) else ends[visits[step].key_tile] == step
             for step in range(count)]
    streamed = [0] * count
    """how many visits of tiles that do not stay came before"""
    for step in range(1, count):
        streamed[step] = streamed[step - 1] + (not stays[step - 1])

    def place(step: int) -> int:
        if stays[step]:
            return visits[step].key_tile // kv_tiles % held * kv_tiles + numbers[step]
        return resident + streamed[step] % buffers

    def handed_over(step: int, semaphores: list[Semaphore]) -> Semaphore:
        return semaphores[place(step) % stay_semaphores if stays[step] else streamed[step] % buffers - buffers]

    def load_q(i: int) -> None:
        if i < len(q_parts):
            tile, semaphore = q_tiles[i % 2]
            ctx.load_tile(q_parts[i], tile, semaphore)

    def load_stationary(i: int) -> None:
        tile, semaphore = q_tiles[i % 2]
        ctx.load_stationary(tile.reverse(dim=0), semaphore)

    def load_k(step: int) -> None:
        if step < count and loads[step]:
            ctx.load_tile(k_parts[visits[step].key_tile], k_tiles[place(step)], handed_over(step, k_semaphores))

    def load_v(step: int) -> None:
        if 0 <= step < count and loads[step]:
            ctx.load_tile(v_parts[visits[step].key_tile], v_tiles[place(step)], handed_over(step, v_semaphores))

    def score(step: int) -> None:
        visit = visits[step]
        ctx.attn_score(k_tiles[place(step)].reverse(dim=0), l_tile, not visit.first, handed_over(step, k_semaphores),
                       causal=visit.causal, acquire=loads[step], release=frees[step], hidden=visit.hidden)

    def value(step: int, paired: bool) -> None:
        visit = visits[step]
        i = visit.query_tile
        semaphore, acquire, release = handed_over(step, v_semaphores), loads[step], frees[step]
        if visit.first and i > 0:
            if value_waits:
                semaphore, acquire, release = o_semaphores[i % o_count], True, False
            elif o_count == 1:
                ctx.fence(dma=True)  # the only O^T tile is still being stored
        ctx.attn_value(v_tiles[place(step)], o_tiles[i % o_count], not visit.first, semaphore, acquire=acquire,
                       release=release, paired=paired)

    load_q(0)
    for step in range(count + slots):
        behind, more = step - slots, step < count
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
            if visits[step].first:
                load_q(visits[step].query_tile + 1)
            if visits[step].last and step + 1 < count:
                load_stationary(visits[step + 1].query_tile)
        if behind >= 0 and visits[behind].last:
            i = visits[behind].query_tile
            semaphore = o_semaphores[i % len(o_semaphores)]
            ctx.reciprocal(l_tile)
            ctx.attn_lse_norm(o_tiles[i % o_count], semaphore, acquire=not value_waits or i == 0)
            ctx.store_tile(o_tiles[i % o_count], o_parts[i], semaphore)
    ctx.fence(matrix=True, dma=True, stop=True)

"""FlashAttention on the core as a list of matrix instructions, and which scratchpad tile each one needs.

The bare core has no DMA: the bench plays its part, one scratchpad row a cycle. Source: spec section 4 (kernel).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa import Function


class Operand(IntEnum):
    """What a scratchpad tile holds."""

    Q = 0
    K = 1
    V = 2


@dataclass(frozen=True)
class Tile:
    """One tile of Q, K or V^T and the scratchpad buffer (0 or 1 of its operand) it goes to."""

    operand: Operand
    index: int
    """tile number in its matrix"""
    buffer: int

    @property
    def semaphore(self) -> int:
        """The semaphore that is released when the buffer may be overwritten."""
        return 2 * self.operand + self.buffer


@dataclass(frozen=True)
class Step:
    """A matrix instruction of the kernel: fields of ``MatrixInstruction`` and the tile it reads."""

    function: Function
    query_tile: int
    key_tile: int
    fields: dict[str, int]
    tile: Tile | None = None

    def __str__(self) -> str:
        return f"{self.function.name} of query tile {self.query_tile}, K/V tile {self.key_tile}"


STORE_SEMAPHORE = 6
"""released when O^T is ready to be read"""
L_ROW = 0
O_ROW = 1
"""accumulator RAM rows: L, then O^T"""


def scratchpad_row(config: Config, tile: Tile) -> int:
    """The first scratchpad row of the tile's buffer: two Q tiles, then two of K, then two of V^T."""
    first = {Operand.Q: 0, Operand.K: 2 * config.cols, Operand.V: 2 * config.cols + 2 * config.rows}[tile.operand]
    return first + tile.buffer * (config.cols if tile.operand is Operand.Q else config.rows)


def key_tiles(query_tile: int, count: int, causal: bool) -> int:
    """How many K/V tiles a query tile visits: all, or those that are not wholly after it."""
    return min(query_tile + 1, count) if causal else count


def flash_attention(config: Config, query_tiles: int, kv_tiles: int, causal: bool) -> list[Step]:
    """The kernel of ``query_tiles`` x ``kv_tiles`` tiles (only those not wholly masked when ``causal``)."""
    steps = []
    for i in range(query_tiles):
        q = Tile(Operand.Q, i, i % 2)
        visits = key_tiles(i, kv_tiles, causal)
        for j in range(visits):
            k, v = Tile(Operand.K, j, j % 2), Tile(Operand.V, j, j % 2)
            old = {"zero": int(j == 0)}
            steps.append(Step(Function.LOAD_STATIONARY, i, j, {
                "scratchpad_row": scratchpad_row(config, q) + config.cols - 1, "scratchpad_stride": -1,
                "semaphore": q.semaphore, "release": int(j == visits - 1),
            }, q))
            steps.append(Step(Function.ATTN_SCORE, i, j, {
                "scratchpad_row": scratchpad_row(config, k), "scratchpad_stride": 1,
                "reverse_in": 1, "reverse_out": 1, "delay": 1,
                "accumulator_row": L_ROW, "accumulator_stride": 1, "causal": int(causal and i == j), **old,
                "semaphore": k.semaphore, "release": 1,
            }, k))
            steps.append(Step(Function.ATTN_VALUE, i, j, {
                "scratchpad_row": scratchpad_row(config, v), "scratchpad_stride": 1,
                "reverse_in": 1, "reverse_out": 0, "delay": 1,
                "accumulator_row": O_ROW, "accumulator_stride": 1, **old,
                "semaphore": v.semaphore, "release": 1,
            }, v))
        steps.append(Step(Function.ACC_RECIPROCAL, i, visits - 1, {"accumulator_row": L_ROW, "wait_idle": 1}))
        steps.append(Step(Function.ATTN_LSE_NORM, i, visits - 1, {
            "accumulator_row": O_ROW, "accumulator_stride": 1, "wait_idle": 1,
            "semaphore": STORE_SEMAPHORE, "release": 1,
        }))
    return steps


def tile_loads(steps: Sequence[Step]) -> list[Tile]:
    """The tiles in the order in which the bench writes them: a step's, except a Q tile that is there already."""
    return [
        step.tile for index, step in enumerate(steps)
        if step.tile is not None and not (step.tile.operand is Operand.Q and step.key_tile > 0 and index > 0)
    ]


def expected_cycles(config: Config, query_tiles: int, kv_tiles: int, causal: bool, latency: int) -> int:
    """Cycles from first issue to idle with memory never in the way (spec section 3); ``latency`` of the reciprocal.

    An inner iteration takes 5N + 13 cycles with the published 8 exp2 pieces, and one fewer or more with each.
    """
    visits = sum(key_tiles(i, kv_tiles, causal) for i in range(query_tiles))
    return visits * (5 * config.rows + 5 + config.exp2_pieces) + query_tiles * (2 * config.rows + 4 + latency) + 1

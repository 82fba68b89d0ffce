"""How long the published dataflow takes, and what its instructions go through."""

from __future__ import annotations

from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.tiling import tile_pairs

__all__ = ["attention_cycles", "iteration_cycles", "rows_read"]


def rows_read(config: Config) -> dict[int, tuple[int, int]]:
    """By matrix function, the rows of the scratchpad and of the accumulator RAM that an instruction goes through."""
    return {plan.function: (plan.scratchpad_rows, plan.accumulator_rows) for plan in plans(config)}


def iteration_cycles(config: Config) -> int:
    """Of one K/V tile in the steady state: 5N + 13 with the published 8 exp2 pieces, one fewer or more with each."""
    return 5 * config.rows + 5 + config.exp2_pieces


def attention_cycles(config: Config, query_tiles: int, kv_tiles: int, causal: bool) -> int:
    """Cycles from first issue to idle with memory never in the way (docs/specification.md section 3)."""
    query_tile = 2 * config.rows + 4 + Reciprocal(config.acc, config.reciprocal).latency
    return tile_pairs(query_tiles, kv_tiles, causal) * iteration_cycles(config) + query_tiles * query_tile + 1

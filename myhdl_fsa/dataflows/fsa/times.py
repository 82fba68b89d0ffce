"""How long the published dataflow takes, and what its instructions go through."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.isa import Function
from myhdl_fsa.tiling import tile_pairs

__all__ = ["attention_cycles", "iteration_cycles", "measured_iteration", "operand_rows", "rows_read"]


def rows_read(config: Config) -> dict[int, tuple[int, int]]:
    """By matrix function, the rows of the scratchpad and of the accumulator RAM that an instruction goes through."""
    return {plan.function: (plan.scratchpad_rows, plan.accumulator_rows) for plan in plans(config)}


def operand_rows(config: Config) -> dict[int, range]:
    """By matrix function, where in the scratchpad its rows may lie: anywhere."""
    return {plan.function: range(config.scratchpad_rows) for plan in plans(config)}


def iteration_cycles(config: Config) -> int:
    """Of one K/V tile in the steady state: 5N + 13 with the published 8 exp2 pieces, one fewer or more with each."""
    return 5 * config.rows + 5 + config.exp2_pieces


def attention_cycles(config: Config, query_tiles: int, kv_tiles: int, causal: bool, heads: int) -> int:
    """Cycles from first issue to idle with memory never in the way (docs/specification.md section 3)."""
    query_tile = 2 * config.rows + 4 + Reciprocal(config.acc, config.reciprocal).latency
    head = tile_pairs(query_tiles, kv_tiles, causal) * iteration_cycles(config) + query_tiles * query_tile
    return heads * head + 1


def measured_iteration(
    config: Config, functions: Sequence[Function], issued: Sequence[int], overlap: Sequence[int], total: int
) -> float:
    """From one LOAD_STATIONARY to where the next could be accepted, averaged over a run."""
    loads = [i for i, function in enumerate(functions) if function is Function.LOAD_STATIONARY]
    values = [i for i, function in enumerate(functions) if function is Function.ATTN_VALUE]
    return fmean(overlap[value] - issued[load] for load, value in zip(loads, values, strict=True))

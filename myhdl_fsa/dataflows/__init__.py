"""The dataflows that an array can run, a folder each, chosen by ``Config.dataflow``.

A folder has these modules, which the rest of the machine finds by their names; all else in it is its own::

    times  ``rows_read``, ``operand_rows``, ``iteration_cycles``, ``attention_cycles``, ``measured_iteration``
    rules  ``Rules``: what it asks of a program; ``ORDER`` and ``ORDER_CHECK``: in which order its instructions must
           come, as a Python object and as the decoder's block, or None
    kernel ``flash_attention``: FlashAttention as a program; ``QUERIES_TRANSPOSED``: whether it takes Q^T
    golden ``Array``: what the instructions make of the two RAMs, without a clock
    core   ``core``: controller, array, accumulators and their memories, as a block; ``QUEUES``: whether its controller
           takes instructions long before it can start them
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.isa import Function
from myhdl_fsa.tiling import AttentionShape, tiles

__all__ = [
    "attention_cycles",
    "expected_cycles",
    "iteration_cycles",
    "measured_iteration",
    "operand_rows",
    "part",
    "rows_read",
]


def part(config: Config, name: str) -> Any:
    """A module of the folder of the configuration's dataflow."""
    return import_module(f"{__name__}.{config.dataflow}.{name}")


def rows_read(config: Config) -> dict[int, tuple[int, int]]:
    """By matrix function, the rows of the scratchpad and of the accumulator RAM that an instruction goes through."""
    rows: dict[int, tuple[int, int]] = part(config, "times").rows_read(config)
    return rows


def operand_rows(config: Config) -> dict[int, range]:
    """By matrix function, where in the scratchpad its rows may lie."""
    rows: dict[int, range] = part(config, "times").operand_rows(config)
    return rows


def iteration_cycles(config: Config) -> int:
    """Cycles of one more K/V tile in the steady state."""
    cycles: int = part(config, "times").iteration_cycles(config)
    return cycles


def attention_cycles(
    config: Config, query_tiles: int, kv_tiles: int, causal: bool = False, heads: int = 1
) -> int:
    """Cycles of attention on the bare core, from the first issue to idle, with memory never in the way.

    Tiles are those of one head.
    """
    cycles: int = part(config, "times").attention_cycles(config, query_tiles, kv_tiles, causal, heads)
    return cycles


def expected_cycles(config: Config, shape: AttentionShape) -> int:
    """``attention_cycles`` of a shape."""
    query_tiles, kv_tiles = tiles(shape.seq_q, config.rows), tiles(shape.seq_kv, config.rows)
    return attention_cycles(config, query_tiles, kv_tiles, shape.causal, shape.query_heads)


def measured_iteration(
    config: Config, functions: Sequence[Function], issued: Sequence[int], overlap: Sequence[int], total: int
) -> float:
    """``iteration_cycles`` as a run of attention on the bare core took them, averaged.

    Per matrix instruction its function, the cycle in which it was accepted, and the first cycle after its own in which
    the next one could have been; and the cycles of the whole run.
    """
    cycles: float = part(config, "times").measured_iteration(config, functions, issued, overlap, total)
    return cycles

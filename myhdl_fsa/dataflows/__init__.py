"""The dataflows that an array can run, a folder each, chosen by ``Config.dataflow``.

A folder has these modules, which the rest of the machine finds by their names; all else in it is its own:

    times  ``rows_read``, ``iteration_cycles``, ``attention_cycles``
    core   ``core``: controller, array, accumulators and their memories, as a block
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from myhdl_fsa.config import Config

__all__ = ["attention_cycles", "iteration_cycles", "part", "rows_read"]


def part(config: Config, name: str) -> Any:
    """A module of the folder of the configuration's dataflow."""
    return import_module(f"{__name__}.{config.dataflow}.{name}")


def rows_read(config: Config) -> dict[int, tuple[int, int]]:
    """By matrix function, the rows of the scratchpad and of the accumulator RAM that an instruction goes through."""
    rows: dict[int, tuple[int, int]] = part(config, "times").rows_read(config)
    return rows


def iteration_cycles(config: Config) -> int:
    """Cycles of one more K/V tile in the steady state."""
    cycles: int = part(config, "times").iteration_cycles(config)
    return cycles


def attention_cycles(config: Config, query_tiles: int, kv_tiles: int, causal: bool = False) -> int:
    """Cycles of attention on the bare core, from the first issue to idle, with memory never in the way."""
    cycles: int = part(config, "times").attention_cycles(config, query_tiles, kv_tiles, causal)
    return cycles

"""Watchers of a running core: its dataflow's rules as assertions, and the capture of every intermediate of attention.

Each dataflow has a module here of its name, with the blocks ``rules`` and ``capture``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
from myhdl import block

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.tiling import visits

__all__ = ["CollisionError", "Intermediates", "watchers"]


class CollisionError(AssertionError):
    """Two instructions, or two directions, drove the same control in the same cycle; names cycle, row and signals."""


class Intermediates:
    """Every intermediate of one attention run, as the hardware has it."""

    def __init__(self, config: Config, query_tiles: int, kv_tiles: int, causal: bool) -> None:
        n, elem, acc = config.rows, config.elem, config.acc
        seq_q, seq_kv = query_tiles * n, kv_tiles * n
        self.config = config
        self.visits = visits(query_tiles, kv_tiles, causal)
        self.trace: dict[str, Bits] = {
            name: np.zeros((seq_q, seq_kv), (acc if name == "S" else elem).dtype)
            for name in ("S", "S_elem", "X1", "X2", "P")
        }
        """by the golden model's names and in its shapes"""
        for name in ("running_max", "delta", "scaled_delta", "rescale", "row_sum", "L"):
            self.trace[name] = np.zeros((seq_q, kv_tiles), acc.dtype)
        for name in ("O_partial", "O"):
            self.trace[name] = np.zeros((seq_q, kv_tiles, n), acc.dtype)
        self.trace["reciprocal"] = np.zeros(seq_q, acc.dtype)


@block
def watchers(clock: Any, probe: dict[str, Any], config: Config, rules: bool, captured: Intermediates | None) -> Any:
    """Watches what ``probe`` shows: with ``rules`` the assertions, and what fills ``captured``.

    Not convertible: it watches a simulation.
    """
    monitors: Any = import_module(f"{__name__}.{config.dataflow}")
    blocks: list[tuple[Callable[..., Any], Any]] = [(monitors.rules, config)] if rules else []
    if captured is not None:
        blocks.append((monitors.capture, captured))
    return [watcher(clock, probe, of) for watcher, of in blocks]

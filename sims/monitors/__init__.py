"""Watchers of a running core: its dataflow's rules as assertions, and the capture of every intermediate of attention.

Each dataflow has a module here of its name, with the blocks ``rules`` and ``capture``, and ``work``, which says what
the array multiplies. What a run's cycles are used for is watched by ``waits``.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.elaboration import block
from myhdl_fsa.tiling import AttentionShape, tiles, visits

__all__ = ["CollisionError", "Intermediates", "watchers"]


class CollisionError(AssertionError):
    """Two instructions, or two directions, drove the same control in the same cycle; names cycle, row and signals."""


class Intermediates:
    """Every intermediate of one attention run, as the hardware has it."""

    def __init__(self, config: Config, shape: AttentionShape) -> None:
        n, elem, acc = config.rows, config.elem, config.acc
        kv_tiles = tiles(shape.seq_kv, n)
        seq_q, seq_kv = shape.query_heads * tiles(shape.seq_q, n) * n, kv_tiles * n
        self.config, self.shape = config, shape
        self.visits = [(visit.query_tile, visit.key_tile % kv_tiles) for visit in visits(shape, n)]
        """query tile, counted through the heads, and key tile of its head"""
        self.trace: dict[str, Bits] = {
            name: np.zeros((seq_q, seq_kv), (acc if name == "S" else elem).dtype)
            for name in ("S", "S_elem", "X1", "X2", "P")
        }
        """by the golden model's names, whole tiles, all heads one after the other"""
        for name in ("running_max", "delta", "scaled_delta", "rescale", "row_sum", "L"):
            self.trace[name] = np.zeros((seq_q, kv_tiles), acc.dtype)
        for name in ("O_partial", "O"):
            self.trace[name] = np.zeros((seq_q, kv_tiles, n), acc.dtype)
        self.trace["reciprocal"] = np.zeros(seq_q, acc.dtype)

    def cut(self) -> dict[str, Bits]:
        """In the golden model's shapes."""
        shape = self.shape
        last = {"S": shape.seq_kv, "S_elem": shape.seq_kv, "X1": shape.seq_kv, "X2": shape.seq_kv, "P": shape.seq_kv,
                "O_partial": shape.value_dim, "O": shape.value_dim}
        found = {}
        for name, array in self.trace.items():
            by_head = array.reshape(shape.query_heads, -1, *array.shape[1:])[:, : shape.seq_q]
            kept = by_head[..., : last[name]] if name in last else by_head
            found[name] = np.ascontiguousarray(kept).reshape(*shape.leading, *kept.shape[1:])
        return found


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

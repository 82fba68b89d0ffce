"""What a simulation of the converted Verilog calls the signals of the MyHDL design."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from myhdl_fsa.convert.hierarchy import Module

__all__ = ["net_names"]


def net_names(module: Module, name: str, signals: Sequence[Any], path: str, lane: int | None) -> list[str]:
    """``signals``, which processes of a block drive as ``name``, as Verilog expressions.

    ``path`` is the hierarchical name of the block's instance, ``lane`` the block's among those that it stands for. What
    no process drives in this configuration, since a branch is never taken, has no net: it is its start value for ever.
    """
    found = module.driven[name]
    if not found:
        return [f"{max(1, len(signal))}'h{int(signal._init):x}" for signal in signals]
    if len(found) != len(signals):
        raise ValueError(f"{module.name}: {len(found)} nets for the {len(signals)} signals of {name}")
    return [f"{path}.{location.text(lane)}" for location in found]

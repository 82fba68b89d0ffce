"""The ports of the core, the machine without front end and DMA; each dataflow has a core of its own behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.scale import Scale
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["AccumulatorReadPort", "ScalePort", "ScratchpadWrite", "core_block"]


class ScratchpadWrite:
    """Writes one scratchpad row a cycle: ``rows`` elem values, element 0 in the low bits."""

    def __init__(self, config: Config) -> None:
        self.valid = unsigned(1)
        self.row = unsigned(address_width(config.scratchpad_rows))
        self.data = unsigned(config.rows * config.elem.width)


class AccumulatorReadPort:
    """Reads one accumulator RAM row: ``cols`` acc values, column 0 in the low bits.

    A request is taken when ``valid`` and ``ready`` are both 1; its data are there in the next cycle only.
    """

    def __init__(self, config: Config) -> None:
        self.valid = unsigned(1)
        self.ready = unsigned(1)
        self.row = unsigned(address_width(config.accumulator_rows))
        self.data = unsigned(config.cols * config.acc.width)


class ScalePort:
    """What the array multiplies a score less its maximum by (``scale.Scale``); steady while instructions run."""

    def __init__(self, config: Config) -> None:
        reset = Scale.of(config)
        self.elem = unsigned(config.elem.width, reset.elem)
        self.acc = unsigned(config.acc.width, reset.acc)


def core_block(config: Config) -> Callable[..., Any]:
    """The block ``core`` of the configuration's dataflow; the ports of all are those of ``dataflows.fsa.core.core``."""
    block: Callable[..., Any] = part(config, "core").core
    return block

"""The blocks of the machine as Verilog tops: each built with fresh ports, by its name."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.scalar import local_width
from myhdl_fsa.config import Config
from myhdl_fsa.convert.verilog import to_verilog
from myhdl_fsa.core import AccumulatorReadPort, ScratchpadWrite, core
from myhdl_fsa.sequencer import MatrixInstruction, SemaphoreRelease
from myhdl_fsa.signals import unsigned


def build_core(config: Config) -> Any:
    """An elaborated ``core`` with fresh ports."""
    return core(
        unsigned(1), unsigned(1), MatrixInstruction(config), SemaphoreRelease(), unsigned(1), ScratchpadWrite(config),
        AccumulatorReadPort(config), config,
    )


def widest_local(config: Config) -> int:
    """Bits that hold every int local of every process, sign included."""
    rows, cols, elem, acc = config.rows, config.cols, config.elem, config.acc
    return max(local_width(elem, acc), local_width(acc, acc), rows * elem.width + 1, cols * acc.width + 1)


def verilog_modules(config: Config, top: str = "core") -> dict[str, str]:
    """The Verilog of ``top`` and all it instantiates, by module name, ``top`` last."""
    return {top: to_verilog(build_core(config), top, widest_local(config))}

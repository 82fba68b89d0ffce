"""The machine's blocks as Verilog modules."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from myhdl_fsa.accelerator import accelerator
from myhdl_fsa.axi import AxiLite, MemoryPorts
from myhdl_fsa.config import Config
from myhdl_fsa.convert.distinct import distinct_blocks
from myhdl_fsa.convert.hierarchy import PREFIX, Design, Module, find
from myhdl_fsa.convert.memories import RAM_STYLES, ram_styles
from myhdl_fsa.core import AccumulatorReadPort, ScalePort, ScratchpadWrite, core_block
from myhdl_fsa.elaboration import shared_analysis
from myhdl_fsa.instruction import MatrixInstruction, SemaphoreRelease
from myhdl_fsa.signals import unsigned

__all__ = [
    "DEFAULT_TOP",
    "IN_CORE",
    "ONLY_IN",
    "TOPS",
    "build_accelerator",
    "build_core",
    "design",
    "header",
    "installed_version",
    "modules",
    "tops",
    "verilog_modules",
]

_FSA_TOPS = ("sequencer", "input_skew", "left_edge")
_STREAM_TOPS = ("column_top", "diagonal", "delay_line", "start_rules", "score_player", "value_player",
                "slot_stages", "lane_ring")
TOPS = {"accelerator": "accelerator", "core": "core", "array": "systolic", "pe_row": "pe_row", "pe": "pe",
        "comparator": "comparator", "accumulator": "accumulator", "accumulator_unit": "accumulator_unit",
        "controller": "matrix_controller", "output_skew": "output_skew",
        **{name: name for name in (*_FSA_TOPS, *_STREAM_TOPS)},
        "ram": "ram", "registers": "registers", "decoder": "decoder", "semaphores": "semaphores",
        "matrix_issue": "matrix_issue", "dma": "dma_engine", "loads": "loads", "stores": "stores",
        "load_port": "load_port", "store_port": "store_port"}
"""what can be converted by itself: name -> block"""
DEFAULT_TOP = "accelerator"
IN_CORE = ("core", "array", "pe_row", "pe", "comparator", "accumulator", "accumulator_unit", "controller",
           "output_skew", *_FSA_TOPS, *_STREAM_TOPS, "ram")
"""those that the bare core holds, which more configurations can have"""
ONLY_IN = {**dict.fromkeys(_FSA_TOPS, "fsa"), **dict.fromkeys(_STREAM_TOPS, "stream")}
"""those that one dataflow alone has"""


def tops(config: Config) -> list[str]:
    """What of ``TOPS`` a configuration has, apart from what only the bare core can be."""
    return [name for name in TOPS if ONLY_IN.get(name, config.dataflow) == config.dataflow]


def build_core(config: Config) -> Any:
    """A ``core`` with fresh ports, elaborated for conversion (not for simulation): each distinct block once."""
    with shared_analysis(), distinct_blocks():
        return core_block(config)(
            unsigned(1), unsigned(1), MatrixInstruction(config), SemaphoreRelease(), unsigned(1),
            ScratchpadWrite(config), AccumulatorReadPort(config), ScalePort(config), config,
        )


def build_accelerator(config: Config) -> Any:
    """An ``accelerator`` with fresh ports, likewise. Raises ConfigError where only the core can be built."""
    with shared_analysis(), distinct_blocks():
        return accelerator(unsigned(1), unsigned(1), AxiLite(), MemoryPorts(config), unsigned(1), config)


def design(
    config: Config, top: str = DEFAULT_TOP, prefix: str = PREFIX, style: str = RAM_STYLES[0]
) -> Design:
    """The design of ``top``, a key of ``TOPS``, not converted yet; ``prefix`` is that of the modules' names.

    ``style``, of ``RAM_STYLES``, says what synthesis is to make the scratchpad and the accumulator RAM of.

    Raises ValueError for an unknown top, or one of the other dataflow's, and ConfigError for one that the configuration
    cannot have.
    """
    if top not in TOPS:
        raise ValueError(f"top {top!r} is unknown: known are {', '.join(TOPS)}")
    if top not in tops(config):
        raise ValueError(f"top {top!r} is a block of the dataflow {ONLY_IN[top]} only")
    built = build_core(config) if top in IN_CORE else build_accelerator(config)
    return Design(built, find(built, TOPS[top]), TOPS[top], prefix, ram_styles=ram_styles(style))


def modules(config: Config, top: str = DEFAULT_TOP, prefix: str = PREFIX) -> dict[str, Module]:
    """The modules of ``top`` (a key of ``TOPS``) and all it instantiates, by the block's name, children first, it last.

    Raises ValueError for an unknown top, HierarchyError, ReadError and InferenceError.
    """
    return design(config, top, prefix).convert()


def verilog_modules(config: Config, top: str = DEFAULT_TOP, prefix: str = PREFIX) -> dict[str, str]:
    """The text of ``modules`` by the module's name, each with a line that names version and configuration."""
    head = header(config)
    return {module.name: head + module.text for module in modules(config, top, prefix).values()}


def header(config: Config) -> str:
    """The comment on top of every module: version and the configuration's name; the same from run to run."""
    # a name is any text: it must not end the comment's line
    name = json.dumps(config.name)[1:-1] or "unnamed configuration"
    return f"// myhdl-fsa {installed_version()}, {name}\n//\n"


def installed_version() -> str:
    """Of this package; ``unknown`` where it runs without being installed."""
    try:
        return version("myhdl-fsa")
    except PackageNotFoundError:
        return "unknown"

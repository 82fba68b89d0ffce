"""Area in gate equivalents and longest path in gates, of static CMOS gates that no library has to describe.

Area is in transistors over the 4 of a NAND2: a plain count of cells would take an inverter for an XOR. A flip-flop is 6
NAND2; its enable and its reset are gates like others. A path is in gates, each of which counts as one level, and is one
module's own, from its registers and inputs to its registers and outputs.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import Any

from area import yosys
from myhdl_fsa.fpga.hierarchy import Hierarchy, Source

__all__ = ["Array", "Part", "array", "flip_flop_bits", "part", "part_of"]

# transistors, as yosys counts them for its mapping; of its 16 for a flip-flop no library makes one
TRANSISTORS = {
    "NOT": 2, "NAND": 4, "NOR": 4, "AND": 6, "OR": 6, "ANDNOT": 6, "ORNOT": 6, "AOI3": 6, "OAI3": 6, "AOI4": 8,
    "OAI4": 8, "NMUX": 10, "MUX": 12, "XOR": 12, "XNOR": 12, "DFF_P": 24,
}
SCRIPT = [
    "synth -flatten -noabc",
    # no whole opt here: it would put enables and resets back into the flip-flops
    "dfflegalize -cell $_DFF_P_ 01", "simplemap", "opt_expr", "opt_merge", "opt_clean",
    "abc -g cmos", "opt_clean", "write_json netlist.json",
]


@dataclass(frozen=True)
class Part:
    """One module, without what it instantiates."""

    gates: Counter[str]
    """by type, flip-flops included"""
    levels: int
    """gates on its longest path"""

    @property
    def flip_flops(self) -> int:
        return self.gates["DFF_P"]

    @property
    def area(self) -> float:
        """In gate equivalents."""
        return sum(TRANSISTORS[gate] * count for gate, count in self.gates.items()) / TRANSISTORS["NAND"]


@dataclass(frozen=True)
class Array:
    """Modules, and how often each is there."""

    parts: dict[str, Part]
    times: Counter[str]

    @property
    def area(self) -> float:
        """In gate equivalents."""
        return sum(part.area * self.times[name] for name, part in self.parts.items())

    @property
    def flip_flops(self) -> int:
        return sum(part.flip_flops * self.times[name] for name, part in self.parts.items())

    @property
    def levels(self) -> int:
        """Gates on the longest path of any of them."""
        return max(part.levels for part in self.parts.values())

    @property
    def gates(self) -> int:
        """Flip-flops included."""
        return sum(part.gates.total() * self.times[name] for name, part in self.parts.items())


def array(hierarchy: Hierarchy, top: str, outside: tuple[str, ...]) -> Array:
    """The gates of a module and of all it instantiates, but for modules whose names start as ``outside`` says."""
    times = hierarchy.parts(top, outside)
    return Array({name: part(hierarchy.part(name)) for name in times}, times)


@cache
def part(source: Source) -> Part:
    """One module."""
    return part_of(_netlist(source, SCRIPT))


@cache
def flip_flop_bits(source: Source) -> int:
    """Bits of a module's registers as they are written, without a synthesis."""
    script = ["proc", "flatten", "opt_clean", "memory", "opt_clean", "write_json netlist.json"]
    cells = _netlist(source, script)["cells"]
    return sum(len(cell["connections"]["Q"]) for cell in cells.values() if cell["type"].endswith(("dff", "dffe")))


def _netlist(source: Source, script: list[str]) -> dict[str, Any]:
    """The module as yosys describes it; with parameters of its own it is called otherwise."""
    netlist, _ = yosys.run(source.files, [*source.script, *script], "netlist.json")
    top: dict[str, Any]
    (top,) = (module for module in json.loads(netlist)["modules"].values()
              if int(module["attributes"].get("top", "0"), 2))
    return top


def part_of(module: dict[str, Any]) -> Part:
    """What a module consists of, as yosys describes it."""
    gates = Counter(cell["type"].removeprefix("$_").removesuffix("_") for cell in module["cells"].values()
                    if cell["type"].startswith("$_"))
    if unknown := gates.keys() - TRANSISTORS.keys():
        raise SystemExit(f"synthesis: error: no area is known for {', '.join(sorted(unknown))}")
    return Part(gates, _longest_path(module))


def _longest_path(module: dict[str, Any]) -> int:
    """Gates on the longest path; flip-flops and instances start it and end it."""
    inputs: dict[int, list[int]] = {}
    for cell in module["cells"].values():
        if cell["type"].startswith("$_") and "DFF" not in cell["type"]:
            (driven,) = cell["connections"]["Y"]
            inputs[driven] = [bit for port, bits in cell["connections"].items() if port != "Y" for bit in bits]
    levels: dict[int, int] = {}
    for start in inputs:
        pending = [start]
        while pending:
            bit = pending[-1]
            missing = [source for source in inputs[bit] if source in inputs and source not in levels]
            if missing:
                pending += missing
            else:
                levels[bit] = 1 + max((levels.get(source, 0) for source in inputs[bit]), default=0)
                pending.pop()
    return max(levels.values(), default=0)

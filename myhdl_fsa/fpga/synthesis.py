"""Synthesis of a converted design, each distinct module once: its cells, and the netlist of all of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from myhdl_fsa.fpga import yosys
from myhdl_fsa.fpga.hierarchy import Hierarchy, Source
from myhdl_fsa.fpga.resources import Family, Resources

__all__ = ["Announce", "Area", "Mapped", "Part", "mapped", "synthesize"]

Announce = Callable[[str, int, int], None]
"""is told a module before it is synthesised, and how much of the design was and will be: characters of Verilog"""


@dataclass(frozen=True)
class Mapped:
    """One module, without those that it instantiates where these are synthesised by themselves."""

    cells: Counter[str]
    """by type; instances of our modules among them"""
    netlist: str
    """in yosys' RTLIL"""


@cache
def mapped(source: Source, family: Family) -> Mapped:
    """Synthesises one module. Raises YosysError, MissingTool and OSError."""
    flow = [f"{family.flow} -flatten", "tee -q -o stat.json stat -json", f"rename -top {source.top}",
            f"select {source.top}", "write_rtlil -selected mapped.il"]
    stat, netlist, _ = yosys.run(source.files, [*source.script, *flow], "stat.json", "mapped.il")
    return Mapped(Counter(json.loads(stat)["design"]["num_cells_by_type"]), netlist)


@dataclass(frozen=True)
class Part:
    """A module of a design."""

    name: str
    times: int
    """how often it is instantiated"""
    takes: Resources
    """once, without modules that have a line of their own"""

    @property
    def all(self) -> Resources:
        """What all instances take."""
        return self.takes * self.times


@dataclass(frozen=True)
class Area:
    """What a design takes."""

    parts: tuple[Part, ...]
    """those that take something and those that do not, the top first"""

    @cached_property
    def total(self) -> Resources:
        """What all instances of all parts take."""
        return sum((part.all for part in self.parts), Resources())

    def over(self, capacity: Resources) -> Mapping[str, float]:
        """By how much the total is over what a part has, by resource; those that fit are not in it."""
        have = capacity.to_dict()
        return {name: value - have[name] for name, value in self.total.to_dict().items() if value > have[name]}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"modules": {part.name: {"instances": part.times, "each": part.takes.to_dict(),
                                        "all": part.all.to_dict()} for part in self.parts},
                "total": self.total.to_dict()}


def synthesize(hierarchy: Hierarchy, top: str, family: Family, announce: Announce) -> Area:
    """The area of ``top`` and all it instantiates, module by module. Raises YosysError, MissingTool and OSError."""
    counts = hierarchy.parts(top)
    sources = {name: hierarchy.part(name) for name in counts}
    sizes = {name: sum(map(len, source.texts)) for name, source in sources.items()}
    parts, done = [], 0
    for name, times in counts.items():
        announce(name, done, sum(sizes.values()))
        done += sizes[name]
        parts.append(Part(name, times, family.resources(mapped(sources[name], family).cells)))
    return Area(tuple(parts))

"""LUTs, carries, DSPs and flip-flops on an UltraScale+ FPGA, and multiplications by any flow."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache

from area import yosys
from myhdl_fsa.fpga.hierarchy import Source
from myhdl_fsa.fpga.resources import XCUP
from myhdl_fsa.fpga.synthesis import mapped

__all__ = ["Resources", "multiplications", "resources"]


@dataclass(frozen=True)
class Resources:
    """What a module takes, with all that is inside it and without pads and clock buffers."""

    cells: Counter[str]
    """by type"""

    def _count(self, *starts: str) -> int:
        return sum(count for kind, count in self.cells.items() if kind.startswith(starts))

    @property
    def luts(self) -> int:
        """Without the inverters, which go into what they drive."""
        return self._count("LUT")

    @property
    def carries(self) -> int:
        return self._count("CARRY")

    @property
    def dsps(self) -> int:
        return self._count("DSP")

    @property
    def flip_flops(self) -> int:
        return self._count("FD")

    @property
    def memories(self) -> int:
        """Block RAMs, and LUTs used as RAM or as shift registers."""
        return self._count("RAM", "SRL")

    def __str__(self) -> str:
        return (f"{self.luts} LUT, {self.carries} CARRY, {self.dsps} DSP48E2, {self.flip_flops} FF"
                + (f", {self.memories} RAM" if self.memories else ""))


@cache
def resources(source: Source) -> Resources:
    """What one module takes."""
    return Resources(mapped(source, XCUP).cells)


@cache
def multiplications(source: Source) -> tuple[str, ...]:
    """The widths of what a module and all inside it multiply, such as ``11x11``, as far as it is no shift."""
    flow = ["proc", "flatten", "opt", "wreduce", "peepopt", "opt", "write_json netlist.json"]
    netlist, _ = yosys.run(source.files, [*source.script, *flow], "netlist.json")
    cells = [cell["parameters"] for module in json.loads(netlist)["modules"].values()
             for cell in module["cells"].values() if cell["type"] == "$mul"]
    return tuple(sorted(f"{int(cell['A_WIDTH'], 2)}x{int(cell['B_WIDTH'], 2)}" for cell in cells))

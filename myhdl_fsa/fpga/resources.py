"""What a netlist takes of an FPGA, by what a part has: LUTs, flip-flops, multipliers, memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

__all__ = ["ECP5", "XCUP", "Family", "Resources"]


@dataclass(frozen=True)
class Resources:
    """Counts of what a part has, or what a design takes of it."""

    lut: float = 0
    ff: float = 0
    dsp: float = 0
    bram: float = 0
    uram: float = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(**{name: value + other.to_dict()[name] for name, value in self.to_dict().items()})

    def __mul__(self, times: int) -> Resources:
        return Resources(**{name: value * times for name, value in self.to_dict().items()})

    def to_dict(self) -> dict[str, float]:
        """By name; a whole number is an int."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: int(value) if value == int(value) else value for name, value in values.items()}


@dataclass(frozen=True, eq=False)
class Family:
    """A family of FPGAs, as yosys maps to it."""

    title: str
    flow: str
    """yosys' command, without pads and clock buffers"""
    library: tuple[str, ...]
    """yosys' files of the cells' ports"""
    names: Mapping[str, str]
    """what each of the resources is called there; one that the family has not is not in it"""
    weights: Mapping[str, Mapping[str, float]]
    """how many of each resource a cell takes, by the pattern of its type; other cells take none"""

    def resources(self, cells: Mapping[str, int]) -> Resources:
        """What cells take, given by type."""
        return Resources(**{
            name: sum(count * weight for kind, count in cells.items() for pattern, weight in weights.items()
                      if fnmatchcase(kind, pattern))
            for name, weights in self.weights.items()
        })


ECP5 = Family(
    # a wider LUT is made of LUT4s, more of them than a tree of LUT4s has
    "ECP5", "synth_ecp5 -nowidelut -cmp2softlogic", ("+/ecp5/cells_sim.v", "+/ecp5/cells_bb.v"),
    {"lut": "LUT4", "ff": "FF", "dsp": "MULT18", "bram": "EBR"},
    {
        # two bits of carry stand in the two LUTs of a slice; a 16 x 4 RAM in those of two, and a third writes it
        "lut": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        "ff": {"TRELLIS_FF": 1},
        "dsp": {"MULT18X18D": 1},
        "bram": {"DP16KD": 1},
    },
)
XCUP = Family(
    "UltraScale+", "synth_xilinx -family xcup -noiopad -noclkbuf", ("+/xilinx/cells_sim.v", "+/xilinx/cells_xtra.v"),
    {"lut": "LUT", "ff": "FF", "dsp": "DSP48E2", "bram": "BRAM36", "uram": "URAM"},
    {
        # inverters go into what they drive; the LUTs of a RAM are those of UG574, table "distributed RAM"
        "lut": {"LUT[1-6]": 1, "SRL*": 1, "RAM32M": 4, "RAM64M": 4, "RAM32M16": 8, "RAM64M8": 8, "RAM32X1D": 2,
                "RAM64X1D": 2, "RAM128X1D": 4, "RAM256X1D": 8, "RAM32X1S": 1, "RAM64X1S": 1, "RAM128X1S": 2,
                "RAM256X1S": 4, "RAM512X1S": 8},
        "ff": {"FD?E": 1},
        "dsp": {"DSP48E2": 1},
        "bram": {"RAMB36E2": 1, "RAMB18E2": 0.5},
        "uram": {"URAM288*": 1},
    },
)

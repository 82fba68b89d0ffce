"""Area and longest path in a 0.18 um standard cell library, the one that Debian packages."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from area import yosys
from myhdl_fsa.fpga.hierarchy import Hierarchy, Source

__all__ = ["LIBERTY", "Cells", "area", "cells", "require"]

LIBERTY = Path("/usr/share/qflow/tech/osu018/osu018_stdcells.lib")
PACKAGE = "qflow-tech-osu018"

SPEED = ("strash;ifraig;scorr;dc2;strash;dch;if,-g;strash;dch;if,-g;strash;dch;map,-B,0.9;"
         "topo;buffer,-c;topo;upsize,-c;dnsize,-c;stime,-p")
"""ABC's commands for the shortest path: logic restructured for depth, gates sized for what they drive, no wires"""

_DELAY = re.compile(r"Delay = *([\d.]+) ps")


def require() -> None:
    """Ends the program with the command that installs the library where it is missing."""
    if not LIBERTY.exists():
        raise SystemExit(f"synthesis: error: {LIBERTY} is missing: run `apt-get install {PACKAGE}`")


@dataclass(frozen=True)
class Cells:
    """One module, mapped twice: for area, and for speed."""

    area: float
    """um2, flip-flops included, mapped for area"""
    path: float
    """ns from registers and inputs to registers and outputs, mapped for speed; without a flip-flop's own delay"""


@cache
def cells(source: Source) -> Cells:
    """One module in cells."""
    stat, log = yosys.run(source.files, [
        *source.script, "synth -flatten", f"dfflibmap -liberty {LIBERTY}", "design -save mapped",
        f"abc -liberty {LIBERTY}", "opt_clean", f"tee -q -o stat.json stat -json -liberty {LIBERTY}",
        "design -load mapped", f"abc -liberty {LIBERTY} -script +{SPEED}",
    ], "stat.json")
    # yosys also maps the enables of flip-flops by ABC, before the module's own logic, which comes last
    delays = _DELAY.findall(log)
    # nothing is said of a module that only instantiates others
    return Cells(float(json.loads(stat)["design"].get("area", 0)), float(delays[-1]) / 1000 if delays else 0.0)


def area(hierarchy: Hierarchy, top: str, outside: tuple[str, ...] = ()) -> float:
    """um2 of a module and of all it instantiates, but for modules whose names start as ``outside`` says."""
    return sum(cells(hierarchy.part(name)).area * times for name, times in hierarchy.parts(top, outside).items())

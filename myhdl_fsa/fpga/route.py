"""Place and route by nextpnr: the clock that a netlist reaches, and the path that limits it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from myhdl_fsa.fpga.devices import Nextpnr
from myhdl_fsa.fpga.netlist import DESIGN, HARNESS
from myhdl_fsa.fpga.nextpnr import place_and_route

__all__ = [
    "Clock",
    "Path",
    "Routed",
    "Step",
    "innermost",
    "length",
    "place",
    "register_paths",
    "route",
    "steps",
    "used",
]

_INSERTED = "$nextpnr"
"""what the names of cells begin with that nextpnr puts in"""
Path = Sequence[Mapping[str, Any]]
"""a path as nextpnr's report has it"""


@dataclass(frozen=True)
class Step:
    """What of a path lies in one module."""

    place: str
    """the path of the instance; empty for the top"""
    module: str
    """its module; empty for the harness"""
    logic: float
    """ns in cells"""
    routing: float
    """ns in wires, those that lead to it among them"""
    cells: int

    def to_dict(self) -> dict[str, Any]:
        """For JSON; ns."""
        return {"instance": self.place, "module": self.module, "logic": round(self.logic, 3),
                "routing": round(self.routing, 3), "cells": self.cells}


@dataclass(frozen=True)
class Routed:
    """What place and route came to."""

    frequency: float
    """MHz that the clock may have"""
    path: tuple[Step, ...]
    """the slowest, from register to register"""
    used: Mapping[str, int]
    """cells by nextpnr's types"""

    @property
    def nanoseconds(self) -> float:
        """The length of the path."""
        return length(self.path)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; lengths in ns, the frequency in MHz."""
        return {"frequency": self.frequency, "path": [step.to_dict() for step in self.path], "used": dict(self.used)}


@dataclass(frozen=True)
class Clock:
    """A clock as it was asked for, and what was reached."""

    domain: str
    wanted: float
    """MHz"""
    reached: float
    """MHz"""
    path: tuple[Step, ...]
    """the slowest, from register to register"""

    @property
    def met(self) -> bool:
        """Whether it may run so fast."""
        return self.reached >= self.wanted

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"wanted": round(self.wanted, 3), "reached": round(self.reached, 3), "met": self.met,
                "path": [step.to_dict() for step in self.path]}


def route(
    netlist: str, instances: Mapping[str, str], nextpnr: Nextpnr, frequency: float, announce: Callable[[str], None]
) -> Routed:
    """Places and routes a netlist, with ``frequency`` in MHz to aim at. Raises RouteError, MissingTool and OSError.

    ``instances`` are those of the hierarchy; ``announce`` is told each stage that begins.
    """
    # of pins it has none but a clock and two more, wherever they stand
    options = ["--freq", f"{frequency:g}", "--lpf-allow-unconstrained"]
    report = place_and_route(nextpnr, {"netlist.json": netlist}, options, announce).report
    reached = min((float(clock["achieved"]) for clock in report["fmax"].values()), default=math.inf)
    paths = [steps(path, lambda cell: place(cell, instances), instances) for path in register_paths(report).values()]
    return Routed(reached, max(paths, key=length, default=()), used(report))


def used(report: Mapping[str, Any]) -> dict[str, int]:
    """The cells that are used, by nextpnr's types."""
    return {kind: int(found["used"]) for kind, found in report["utilization"].items() if found["used"]}


def register_paths(report: Mapping[str, Any]) -> dict[str, Path]:
    """The slowest path from register to register of each clock, by nextpnr's name of its net."""
    found = (path for path in report["critical_paths"] if path["from"] == path["to"])
    return {path["from"].removeprefix("posedge "): path["path"] for path in found
            if path["from"].startswith("posedge ")}


def length(path: Sequence[Step]) -> float:
    """Of a path, in ns."""
    return sum(step.logic + step.routing for step in path)


def steps(path: Path, locate: Callable[[str], str], instances: Mapping[str, str]) -> tuple[Step, ...]:
    """A path by the instances that it passes; those in a row that are the same are one.

    ``locate`` gives the path of the instance that a cell stands in, ``instances`` the modules by these.
    """
    found: list[Step] = []
    for piece in path:
        delay, wire, cell = float(piece["delay"]), piece["type"] == "routing", piece["to"]["cell"]
        # one that was put in is in a chain of carries
        here = found[-1].place if cell.startswith(_INSERTED) and found else locate(cell)
        step = Step(here, instances.get(here, ""), 0 if wire else delay, delay if wire else 0, int(not wire))
        if found and found[-1].place == here:
            last = found.pop()
            step = replace(last, logic=last.logic + step.logic, routing=last.routing + step.routing,
                           cells=last.cells + step.cells)
        found.append(step)
    return tuple(found)


def place(cell: str, instances: Mapping[str, str]) -> str:
    """The path of the instance that a cell of a flattened netlist stands in, from its name; empty for the top itself.

    Yosys writes ``$flatten\\design.\\array.$abc$...`` for a cell without a name of its own, and
    ``design.array.register_TRELLIS_FF_Q`` for one that has the name of what it drives.
    """
    own = _plain(cell)
    if not own.startswith(f"{DESIGN}."):
        return HARNESS
    return innermost(own.removeprefix(f"{DESIGN}."), instances)


def innermost(cell: str, instances: Mapping[str, str]) -> str:
    """The longest of the instances' paths that a cell's name begins with; empty for the top itself."""
    found = _plain(cell)
    while found and found not in instances:
        found = found.rpartition(".")[0]
    return found


def _plain(cell: str) -> str:
    return cell.removeprefix("$flatten").replace("\\", "")

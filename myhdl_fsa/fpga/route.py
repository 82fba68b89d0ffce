"""Place and route by nextpnr: the clock that a netlist reaches, and the path that limits it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from myhdl_fsa.fpga.devices import Nextpnr
from myhdl_fsa.fpga.netlist import DESIGN, HARNESS
from myhdl_fsa.fpga.tools import ToolError, router
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["RouteError", "Routed", "Step", "place", "route"]

_STAGES = {"Info: Packing": "packing", "Info: Creating initial analytic placement": "placing",
           "Info: Running simulated annealing": "placing, refined", "Info: Routing": "routing"}
"""what is announced, by how the line of its log begins"""
_INSERTED = "$nextpnr"
"""what the names of cells begin with that nextpnr puts in"""


class RouteError(ToolError):
    """The design does not fit, cannot be routed, or the tool failed; the message is its first error."""


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
        return sum(step.logic + step.routing for step in self.path)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; lengths in ns, the frequency in MHz."""
        return {"frequency": self.frequency, "path": [
            {"instance": step.place, "module": step.module, "logic": round(step.logic, 3),
             "routing": round(step.routing, 3), "cells": step.cells} for step in self.path], "used": dict(self.used)}


def route(
    netlist: str, instances: Mapping[str, str], nextpnr: Nextpnr, frequency: float, announce: Callable[[str], None]
) -> Routed:
    """Places and routes a netlist, with ``frequency`` in MHz to aim at. Raises RouteError, MissingTool and OSError.

    ``instances`` are those of the hierarchy; ``announce`` is told each stage that begins.
    """
    tool = router(nextpnr.tool)
    with temporary_folder() as folder:
        (folder / "netlist.json").write_text(netlist)
        # of its routers only this one ends in minutes; which stage it is in, its log alone says
        command = [tool, *nextpnr.options, "--json", "netlist.json", "--freq", f"{frequency:g}", "--router", "router2",
                   "--timing-allow-fail", "--lpf-allow-unconstrained", "--report", "report.json"]
        errors = []
        with tools.started(command, folder, scratch=folder, stdout=DEVNULL, stderr=PIPE) as process:
            assert process.stderr is not None
            told = ""
            for line in process.stderr:
                stage = next((stage for begin, stage in _STAGES.items() if line.startswith(begin)), told)
                if stage != told:
                    announce(stage)
                    told = stage
                if line.startswith(("ERROR:", "terminate", "Traceback")):
                    errors.append(line.removeprefix("ERROR: ").strip())
        if process.returncode or not (folder / "report.json").exists():
            raise RouteError(f"{Path(tool).name}: {errors[0] if errors else f'ended with status {process.returncode}'}")
        return _read(json.loads((folder / "report.json").read_text()), instances)


def _read(report: Mapping[str, Any], instances: Mapping[str, str]) -> Routed:
    frequency = min((float(clock["achieved"]) for clock in report["fmax"].values()), default=math.inf)
    paths: list[list[Mapping[str, Any]]] = [
        path["path"] for path in report["critical_paths"]
        if path["from"].startswith("posedge") and path["from"] == path["to"]
    ]
    slowest = max(paths, key=lambda path: sum(float(step["delay"]) for step in path), default=[])
    used = {kind: int(found["used"]) for kind, found in report["utilization"].items() if found["used"]}
    return Routed(frequency, tuple(_steps(slowest, instances)), used)


def _steps(path: Sequence[Mapping[str, Any]], instances: Mapping[str, str]) -> list[Step]:
    """A path by the instances that it passes; those in a row that are the same are one."""
    steps: list[Step] = []
    for piece in path:
        delay, wire, cell = float(piece["delay"]), piece["type"] == "routing", piece["to"]["cell"]
        if cell.startswith(_INSERTED) and steps:
            # it is in a chain of carries
            here = steps[-1].place
        else:
            here = place(cell, instances)
        step = Step(here, instances.get(here, ""), 0 if wire else delay, delay if wire else 0, int(not wire))
        if steps and steps[-1].place == here:
            last = steps.pop()
            step = replace(last, logic=last.logic + step.logic, routing=last.routing + step.routing,
                           cells=last.cells + step.cells)
        steps.append(step)
    return steps


def place(cell: str, instances: Mapping[str, str]) -> str:
    """The path of the instance that a cell of a flattened netlist stands in, from its name; empty for the top itself.

    Yosys writes ``$flatten\\design.\\array.$abc$...`` for a cell without a name of its own, and
    ``design.array.register_TRELLIS_FF_Q`` for one that has the name of what it drives.
    """
    own = cell.removeprefix("$flatten").replace("\\", "")
    if not own.startswith(f"{DESIGN}."):
        return HARNESS
    found = own.removeprefix(f"{DESIGN}.")
    while found and found not in instances:
        found = found.rpartition(".")[0]
    return found

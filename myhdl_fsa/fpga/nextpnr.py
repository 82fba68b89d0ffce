"""Runs nextpnr: place and route of a netlist, with its report of clocks and slowest paths."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

from myhdl_fsa.fpga.devices import Nextpnr
from myhdl_fsa.fpga.tools import ToolError, router
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["Outcome", "RouteError", "place_and_route"]

_STAGES = {"Info: Packing": "packing", "Info: Creating initial analytic placement": "placing",
           "Info: Running simulated annealing": "placing, refined", "Info: Routing": "routing"}
"""what is announced, by how the line of its log begins"""
# of its routers only this one ends in minutes; a clock that is missed is told of with its path
_ALWAYS = ("--json", "netlist.json", "--router", "router2", "--timing-allow-fail", "--report", "report.json")


class RouteError(ToolError):
    """The design does not fit, cannot be routed, or the tool failed; the message is its first error."""


@dataclass(frozen=True)
class Outcome:
    """What nextpnr wrote."""

    report: Mapping[str, Any]
    """its own, as it is"""
    files: tuple[str, ...]
    """the texts of the files that were asked for"""


def place_and_route(
    nextpnr: Nextpnr, files: Mapping[str, str], options: Sequence[str], announce: Callable[[str], None], *wanted: str
) -> Outcome:
    """Places and routes ``netlist.json``, one of ``files``; ``wanted`` are the files to give back.

    ``announce`` is told each stage that begins. Raises RouteError, MissingTool and OSError.
    """
    tool = router(nextpnr.tool)
    with temporary_folder() as folder:
        for name, text in files.items():
            (folder / name).write_text(text)
        errors = []
        command = [tool, *nextpnr.options, *_ALWAYS, *options]
        with tools.started(command, folder, scratch=folder, stdout=DEVNULL, stderr=PIPE) as process:
            assert process.stderr is not None
            told = ""
            # which stage it is in, its log alone says
            for line in process.stderr:
                stage = next((stage for begin, stage in _STAGES.items() if line.startswith(begin)), told)
                if stage != told:
                    announce(stage)
                    told = stage
                if line.startswith(("ERROR:", "terminate", "Traceback")):
                    errors.append(line.removeprefix("ERROR: ").strip())
        if process.returncode or not all((folder / name).exists() for name in ("report.json", *wanted)):
            raise RouteError(f"{Path(tool).name}: {errors[0] if errors else f'ended with status {process.returncode}'}")
        return Outcome(json.loads((folder / "report.json").read_text()),
                       tuple((folder / name).read_text() for name in wanted))

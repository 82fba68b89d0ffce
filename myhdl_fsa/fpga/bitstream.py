"""From a system that LiteX made to a bitstream: synthesis, place and route, and the report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from myhdl_fsa.fpga import yosys
from myhdl_fsa.fpga.boards import Board
from myhdl_fsa.fpga.hierarchy import Hierarchy
from myhdl_fsa.fpga.netlist import linked
from myhdl_fsa.fpga.nextpnr import place_and_route
from myhdl_fsa.fpga.resources import Family
from myhdl_fsa.fpga.route import Clock, innermost, register_paths, steps, used
from myhdl_fsa.fpga.synthesis import Announce, Area, Part, synthesize
from myhdl_fsa.fpga.system.request import TOP, Generated
from myhdl_fsa.fpga.tools import ToolError, packer
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["SYSTEM", "Implemented", "PackError", "Synthesized", "clocks", "implement", "pack", "synthesize_system"]

SYSTEM = "litex"
"""the line of the area's table for all that is not the accelerator"""
_ACCELERATOR = "accelerator"
_CPU = "VexRiscv"
_GLOBAL, _PIN = "$glbnet$", "$TRELLIS_IO_IN"
"""what nextpnr puts around the name of a clock's net"""


class PackError(ToolError):
    """No bitstream can be made of what was placed and routed."""


@dataclass(frozen=True)
class Synthesized:
    """A system in the part's cells."""

    area: Area
    netlist: str
    """flat, as JSON for nextpnr"""
    nets: Mapping[str, str]
    """the clock domains by the names of their clocks' nets, of which each has several"""
    instances: Mapping[str, str]
    """the modules by the paths of the instances that a path is told by"""


@dataclass(frozen=True)
class Implemented:
    """A system placed and routed."""

    configuration: str
    """of the part's switches, as text for ecppack"""
    clocks: tuple[Clock, ...]
    used: Mapping[str, int]
    """cells by nextpnr's types"""


def synthesize_system(generated: Generated, family: Family, announce: Announce) -> Synthesized:
    """Maps LiteX's modules as one and the accelerator's each once, and puts them together.

    Raises YosysError, MissingTool and OSError.
    """
    hierarchy = generated.accelerator
    announce(SYSTEM, 0, 0)
    outer, cells = _mapped(generated, family)
    parts = [Part(SYSTEM, 1, family.resources(cells))]
    if hierarchy is not None:
        parts += synthesize(hierarchy, _ACCELERATOR, family, announce).parts
    # aliases of each clock's net: nextpnr calls it by any of them
    further = [f"select -write {domain}.txt w:{domain}_clk %a" for domain in generated.domains]
    files = [f"{domain}.txt" for domain in generated.domains]
    netlist, *aliases = linked(outer, TOP, hierarchy, _ACCELERATOR, family, further, *files)
    nets = {line.removeprefix(f"{TOP}/").replace("\\", ""): domain
            for domain, text in zip(generated.domains, aliases, strict=True) for line in text.splitlines()}
    return Synthesized(Area(tuple(parts)), netlist, nets, _instances(hierarchy))


def _mapped(generated: Generated, family: Family) -> tuple[str, Mapping[str, int]]:
    """The system without the accelerator, in RTLIL, and its cells by type."""
    files = {f"source_{index}.v": text for index, text in enumerate(generated.verilog)}
    script = [f"read_verilog {name}" for name in files]
    if generated.accelerator is not None:
        files["stub.v"] = generated.accelerator.part(_ACCELERATOR).texts[0]
        script = ["read_verilog -lib stub.v", *script]
    # a clock's net would else keep any of its names
    script += [f"setattr -set keep 1 {TOP}/w:{domain}_clk" for domain in generated.domains]
    script += [f"{family.flow} -flatten -top {TOP}", "tee -q -o stat.json stat -json",
               f"select {TOP}", "write_rtlil -selected mapped.il"]
    stat, netlist, _ = yosys.run({**files, **generated.memories}, script, "stat.json", "mapped.il")
    return netlist, json.loads(stat)["design"]["num_cells_by_type"]


def _instances(hierarchy: Hierarchy | None) -> dict[str, str]:
    found = {"": SYSTEM, _CPU: _CPU}
    if hierarchy is not None:
        found |= hierarchy.instances(_ACCELERATOR, hierarchy.source(_ACCELERATOR).top)
    return found


def implement(
    synthesized: Synthesized, board: Board, constraints: str, seed: int, announce: Callable[[str], None]
) -> Implemented:
    """Places and routes for a board. Raises RouteError, MissingTool and OSError."""
    assert board.device.nextpnr is not None
    files = {"netlist.json": synthesized.netlist, "pins.lpf": constraints}
    options = ["--lpf", "pins.lpf", "--textcfg", "part.config", "--seed", str(seed)]
    outcome = place_and_route(board.device.nextpnr, files, options, announce, "part.config")
    return Implemented(outcome.files[0], clocks(outcome.report, synthesized), used(outcome.report))


def clocks(report: Mapping[str, Any], synthesized: Synthesized) -> tuple[Clock, ...]:
    """Every clock of nextpnr's report, by its domain."""
    paths = register_paths(report)
    found = []
    for net, fmax in report["fmax"].items():
        name = net.removeprefix(_GLOBAL).removesuffix(_PIN)
        path = steps(paths.get(net, ()), lambda cell: innermost(cell, synthesized.instances), synthesized.instances)
        found.append(Clock(synthesized.nets.get(name, name), float(fmax.get("constraint", math.nan)),
                           float(fmax["achieved"]), path))
    return tuple(sorted(found, key=lambda clock: clock.domain))


def pack(configuration: str) -> tuple[bytes, bytes]:
    """The bitstream, for the part or its flash memory, and as SVF. Raises PackError, MissingTool and OSError."""
    with temporary_folder() as folder:
        (folder / "part.config").write_text(configuration)
        command = [packer(), "--compress", "part.config", "--bit", "part.bit", "--svf", "part.svf"]
        done = tools.run(command, folder, scratch=folder)
        made = [folder / "part.bit", folder / "part.svf"]
        if done.returncode or not all(path.exists() for path in made):
            raise PackError(f"ecppack failed: {(done.stderr or done.stdout).strip()[-500:]}")
        return made[0].read_bytes(), made[1].read_bytes()

"""Verilator around the SoC: LiteX's simulation core with a model that counts cycles, built once and kept."""

from __future__ import annotations

import os
import platform as machine
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litex.build.sim import verilator

from myhdl_fsa.sims.build_cache import BuildCache, digest, require, run_tool
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["MODULES", "PROGRAM", "Toolchain", "simulator"]

PROGRAM = "soc"
MODULES = ("clocker", "serial2console", "serial2tcp")
"""of LiteX's simulation core, those that are built"""
_CORE = Path(verilator.core_directory)
_MODEL = Path(__file__).with_name("model.cpp")
_FLAGS = (
    "--cc", "--exe", "--build", "-Mdir", "obj", "--prefix", "Vsim", "--top-module", "sim", "-o", PROGRAM,
    "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-style",
    "-DPRINTF_COND=0", "--output-split", "5000", "--output-split-cfuncs", "500", "--relative-includes",
    "-LDFLAGS", "-Wl,--no-as-needed -ljson-c -levent -ldl -lm",
    "-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O1",
)


class Toolchain(verilator.SimVerilatorToolchain):
    """Writes what LiteX's own writes, and leaves building and running to others."""

    def build(self, platform: Any, fragment: Any, build_dir: str = "build", build_name: str = "sim",
              **options: Any) -> Any:
        """Writes the SoC's Verilog, memories' contents and the simulation core's headers; gives the names."""
        back = os.getcwd()
        os.makedirs(build_dir, exist_ok=True)
        os.chdir(build_dir)
        try:
            platform.finalize(fragment)
            output = platform.get_verilog(fragment, name=build_name)
            platform.resolve_signals(output.ns)
            output.write(f"{build_name}.v")
            verilator._generate_sim_h(platform)
            verilator._generate_sim_cpp(platform)
            verilator._generate_sim_config(options["sim_config"])
        finally:
            os.chdir(back)
        return output.ns


def simulator(
    gateware: Path, sources: list[Path], build_dir: Path | None = None, say: Callable[[str], None] | None = None,
) -> Path:
    """The folder of the built simulator: ``PROGRAM``, and ``modules`` beside it.

    ``gateware`` is where ``Toolchain`` wrote; ``sources`` are the Verilog files that the SoC instantiates. The folder
    is in the cache below ``build_dir``. Raises RunError for a missing tool or a build that fails.
    """
    tool = require("verilator", "apt-get install verilator")
    texts = {path.name: path.read_text() for path in (gateware / "sim.v", *sources, _MODEL)}
    texts |= {name: (gateware / name).read_text() for name in ("sim_init.cpp", "sim_header.h")}
    # LiteX's headline has the date
    texts["sim.v"] = "".join(line for line in texts["sim.v"].splitlines(True) if not line.startswith("//"))
    version = tools.run([tool, "--version"]).stdout
    key = digest([*(part for item in sorted(texts.items()) for part in item), *_FLAGS, version, machine.machine()])
    cache = BuildCache("soc", build_dir, say)
    return cache.get(key, lambda place: _build(tool, texts, [path.name for path in sources], place), about=(
        "building the SoC's simulator once"))


def _build(tool: str, texts: dict[str, str], sources: list[str], place: Path) -> None:
    compiler = require("gcc", "apt-get install gcc")
    require("g++", "apt-get install g++")
    require("make", "apt-get install make")
    (place / "modules").mkdir()
    # make takes no path with a space in it
    plain = re.fullmatch(r"[\w./+-]+", str(place)) is not None
    with temporary_folder(place if plain else None) as work:
        _compile(tool, compiler, texts, sources, place, work)


def _compile(tool: str, compiler: str, texts: dict[str, str], sources: list[str], place: Path, work: Path) -> None:
    for name, text in texts.items():
        (work / name).write_text(text)
    for module in MODULES:
        run_tool([compiler, "-O2", "-fPIC", "-shared", f"-I{_CORE}", "-o", str(place / "modules" / f"{module}.so"),
                  str(_CORE / "modules" / module / f"{module}.c"), "-ljson-c", "-levent"], work)
    core = sorted(path for path in _CORE.glob("*.c"))
    for path in core:
        run_tool([compiler, "-O2", f"-I{work}", f"-I{_CORE}", "-c", "-o", path.with_suffix(".o").name, str(path)], work)
    jobs = str(len(os.sched_getaffinity(0)))
    run_tool([tool, *_FLAGS, "-CFLAGS", f"-I{_CORE}", "-j", jobs, "sim.v", *sources, "sim_init.cpp", _MODEL.name,
              *(str(work / path.with_suffix(".o").name) for path in core)], work)
    shutil.move(work / "obj" / PROGRAM, place / PROGRAM)

"""The engine that runs the converted Verilog in Verilator: the same kernel, bits and cycles as the MyHDL simulation.

The benches are C++ (``verilator/``). This module builds one around a machine, once, into the build cache, and runs it;
``verilator_core`` and ``verilator_device`` write what it plays and read what it leaves.
"""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import myhdl

from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import RunError, Watch
from myhdl_fsa.sims.accelerator_bench import DeviceRun
from myhdl_fsa.sims.build_cache import BuildCache, digest, package_digest, require, run_tool
from myhdl_fsa.sims.build_time import announcement
from myhdl_fsa.sims.core_bench import CoreRun
from myhdl_fsa.sims.hardware_engine import HardwareEngine
from myhdl_fsa.sims.waves.file import FATAL_SIGNALS, check_bounds, check_fst, last_time, waveform_file
from myhdl_fsa.sims.waves.scopes import PERIOD
from myhdl_fsa.sims.waves.verilog import WAVES, waves
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = [
    "BENCH",
    "CANNOT_WRITE",
    "HARNESS",
    "NONE",
    "OLDEST",
    "Run",
    "VERILATOR_FLAGS",
    "VerilatorEngine",
    "WAVEFORM_FLAGS",
    "exchange",
    "executable",
    "one_file",
]

HARNESS = Path(__file__).with_name("verilator") / "harness.cpp"
BENCH = "bench.cpp"
"""the harness's name where it is built"""
OLDEST = (5, 6)
"""the oldest version of Verilator that is known to work"""
VERILATOR_FLAGS = (
    "--cc", "--exe", "--build", "-Mdir", "obj",
    "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-style",
    # a loop over lanes stays a loop, and words of more than 128 bits too
    "--unroll-count", "1024", "--unroll-stmts", "1", "--expand-limit", "4",
    # instances of a module stay alike, so that they share their code
    "--inline-mult", "1", "-fno-gate",
    "-MAKEFLAGS", "OPT_FAST=-O2 OPT_GLOBAL=-O1",
)
WAVEFORM_FLAGS: dict[str, tuple[str, ...]] = {
    # most of the code compares what is shown, which -O2 makes no faster
    kind: (trace, "--trace-max-width", "0", "--timescale", "1ns/1ns", "-Wno-MULTITOP", "-MAKEFLAGS", "OPT_FAST=-O1")
    for kind, trace in ((".vcd", "--trace"), (".fst", "--trace-fst"))
} | {"": ()}
"""per kind of waveform, what makes the build write it"""
CANNOT_WRITE = 3
"""exit status of a bench that cannot write its waveform; the last line on standard error says why"""
NONE = (1 << 64) - 1


class VerilatorEngine(HardwareEngine):
    """Runs the converted Verilog, built with Verilator into ``build_dir`` (None: the user's cache folder)."""

    name = "verilator"

    def __init__(self, build_dir: Path | None = None) -> None:
        self.build_dir = build_dir

    def simulate_core(self, run: CoreRun) -> None:
        """Intermediates stay inside the Verilog. The waveform is FST when its name ends in .fst."""
        from myhdl_fsa.sims import verilator_core

        verilator_core.simulate(run, build_dir=self.build_dir)

    def simulate_device(self, run: DeviceRun) -> None:
        """Likewise."""
        from myhdl_fsa.sims import verilator_device

        verilator_device.simulate(run, build_dir=self.build_dir)


Run = TypeVar("Run", CoreRun, DeviceRun)


def exchange(
    run: Run, build: Callable[[str], Path], write: Callable[[Run, Path], None], read: Callable[[Run, Path], None],
) -> None:
    """Runs the bench that ``build`` gives for a kind of waveform, on what ``write`` leaves, and has its answer read.

    Raises RunError when it cannot be built or run.
    """
    vcd = run.watch.vcd
    try:
        program = build("" if vcd is None else ".fst" if vcd.suffix == ".fst" else ".vcd")
        with temporary_folder() as folder:
            given, answer = folder / "run", folder / "result"
            write(run, given)
            _play_and_trace([str(program), str(given), str(answer)], run, lambda: read(run, answer), folder / "errors")
    except OSError as error:
        raise RunError(f"cannot simulate: {error.filename or 'temporary files'}: {error.strerror or error}") from None


def _play_and_trace(command: list[str], run: CoreRun | DeviceRun, read: Callable[[], None], errors: Path) -> None:
    """Runs the harness, which writes the waveform that is wanted of ``run`` too, and has its answer read."""
    watch = run.watch
    if watch.vcd is None:
        _play(command, watch, run.expected, errors)
        read()
        return
    last = NONE if watch.wave_to is None else watch.wave_to
    with waveform_file(watch.vcd) as path:
        traced = [*command, os.path.abspath(path), str(PERIOD), str(watch.wave_from), str(last)]
        _play(traced, watch, run.expected, errors)
        read()
        check_bounds(watch, run.cycle, run.check_limit)
        if path.suffix == ".fst":
            check_fst(path, last_time(watch, run.cycle))


def _play(command: list[str], watch: Watch, expected: int | None, errors: Path) -> None:
    """Runs the harness; each line it prints is a cycle count for ``watch``. What it complains of goes to ``errors``."""
    with (
        errors.open("w") as complaints,
        tools.started(command, stdout=subprocess.PIPE, stderr=complaints) as process,
    ):
        for line in process.stdout or ():
            if line.strip().isdigit():
                watch.report(int(line), expected)
    if process.returncode:
        said = errors.read_text(errors="replace").strip().splitlines()
        if process.returncode == CANNOT_WRITE:
            raise OSError(errno.EIO, said[-1])
        if -process.returncode in FATAL_SIGNALS and watch.vcd is not None:
            raise OSError(errno.EIO, FATAL_SIGNALS[-process.returncode])
        why = said[-1] if said else f"exit status {process.returncode}"
        raise RunError(f"the Verilator simulation failed: {why}")


def one_file(path: Path, generated: Mapping[str, str] | None = None) -> str:
    """A bench's C++ with its own headers inside, each once: what it includes from its folder, and ``generated``.

    The build cache then knows them all by one text.
    """
    texts = {header.name: header.read_text() for header in path.parent.glob("*.h")} | dict(generated or {})

    def lines(name: str, text: str) -> Iterator[str]:
        for number, line in enumerate(text.splitlines(), 1):
            included = re.match(r'#include "([^"]+)"', line)
            if included is not None and included[1] in texts:
                # the compiler's messages go on naming the files as they are in the folder
                yield f'#line 1 "{included[1]}"'
                yield from lines(included[1], texts.pop(included[1]))
                yield f'#line {number + 1} "{name}"'
            elif line != "#pragma once" and (included is None or not (path.parent / included[1]).exists()):
                yield line
            else:
                yield ""

    return "\n".join(lines(path.name, path.read_text())) + "\n"


def executable(
    config: Config, *, waveform: str = "", build_dir: Path | None = None, top: str = "core", harness: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Path:
    """The bench around a ``top`` of ``config``, built unless the cache below ``build_dir`` has it.

    ``top`` is one of fsa-convert's; ``harness``, the bench's C++, includes V<top>.h (None: the core's own).
    ``waveform`` is a key of WAVEFORM_FLAGS; ``say`` is BuildCache's. Raises RunError for a missing
    tool or a build that fails.
    """
    harness = one_file(HARNESS) if harness is None else harness
    # the name is no part of the machine
    config = config.replace(name="")
    cache = BuildCache("verilator", build_dir, say)
    tool = require("verilator", "apt-get install verilator")
    flags = [*VERILATOR_FLAGS, "--prefix", f"V{top}", "-o", top, *WAVEFORM_FLAGS[waveform]]
    built_with: list[str | bytes] = [harness, *flags, _version(tool), platform.machine()]
    key = digest([*built_with, config.to_json(), package_digest(), myhdl.__version__, platform.python_version()])
    folder = cache.find_by(key)
    if folder is None:
        sources = _sources(config, top, waveform != "")
        name = f"{config.rows}x{config.cols}-{config.elem}-{digest([*built_with, *sources, *sources.values()])}"
        if top != "core":
            name = f"{top}-{name}"
        folder = cache.get(
            name + waveform.replace(".", "-"), lambda place: _build(tool, sources, harness, flags, place / top), key,
            announcement("verilator", top, config.rows),
        )
    return folder / top


def _sources(config: Config, top: str, waveform: bool) -> dict[str, str]:
    """The Verilog files by name, without suffix; the last one holds the top module, or what a waveform shows."""
    # who finds its program in the cache has nothing to convert
    from myhdl_fsa.convert.design import design, verilog_modules

    if not waveform:
        return verilog_modules(config, top)
    converted = design(config, top)
    modules = converted.convert()
    files = {module.name: f"/* verilator tracing_off */\n{module.text}" for module in modules.values()}
    return files | {WAVES: waves(converted, modules[top].name)}


def _build(tool: str, sources: dict[str, str], harness: str, flags: list[str], program: Path) -> None:
    """Builds ``program``, named as in ``flags``, and leaves nothing else in its folder."""
    require("make", "apt-get install make")
    require("g++", "apt-get install g++")
    # make takes no path with a space in it
    plain = re.fullmatch(r"[\w./+-]+", str(program.parent)) is not None
    with temporary_folder(program.parent if plain else None) as work:
        for name, text in sources.items():
            (work / f"{name}.v").write_text(text)
        (work / BENCH).write_text(harness)
        jobs = str(len(os.sched_getaffinity(0)))
        # a module comes after those that it instantiates; the scopes of a waveform are a second top beside it
        top = [] if WAVES in sources else ["--top-module", list(sources)[-1]]
        run_tool([tool, *flags, *top, "-j", jobs, *(f"{name}.v" for name in sources), BENCH], work)
        shutil.move(work / "obj" / program.name, program)


def _version(tool: str) -> str:
    """What ``verilator --version`` says. Raises RunError for one that is too old."""
    said = tools.run([tool, "--version"]).stdout.strip()
    found = re.match(r"Verilator (\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise RunError(f"{said.splitlines()[0] if said else tool}: version 5.006 or later is needed: "
                       "run `apt-get install verilator`")
    return said

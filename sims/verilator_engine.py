"""The engine that runs the converted Verilog in Verilator: the same kernel, bits and cycles as the MyHDL simulation.

The benches are C++ (``verilator/``). This module builds one around a machine, once, into the build cache, and runs it;
``verilator_core`` and ``verilator_device`` write what it plays and read what it leaves.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import myhdl

from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import RunError, Watch
from myhdl_fsa.sims.accelerator_bench import DeviceRun
from myhdl_fsa.sims.build_cache import BuildCache, digest, package_digest, require, run_tool
from myhdl_fsa.sims.core_bench import CoreRun
from myhdl_fsa.sims.hardware_engine import HardwareEngine
from myhdl_fsa.sims.verilator_source import prepare

HARNESS = Path(__file__).with_name("verilator") / "harness.cpp"
BENCH = "bench.cpp"
"""the harness's name where it is built"""
OLDEST = (5, 6)
"""the oldest version of Verilator that is known to work"""
VERILATOR_FLAGS = (
    "--cc", "--exe", "--build", "-Mdir", "obj",
    "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal", "-Wno-lint", "-Wno-style",
    # a loop over the rows is unrolled for a delayed assignment in it; words of more than 128 bits stay loops
    "--unroll-count", "256", "--expand-limit", "4",
    "-MAKEFLAGS", "OPT_FAST=-O2 OPT_GLOBAL=-O1",
)
WAVEFORM_FLAGS: dict[str, tuple[str, ...]] = {
    "": (),
    ".vcd": ("--trace", "--trace-max-width", "0", "--trace-max-array", "0"),
    ".fst": ("--trace-fst", "--trace-max-width", "0", "--trace-max-array", "0"),
}
"""per kind of waveform, what makes the build write it"""
CHAIN = ("pe_row", "pe")
"""the module whose instances become a loop, and that of the instances: most of any machine"""
PLAIN_WAVEFORM_TO = 8
"""rows up to which a build with a waveform has no such loops: its signals are the modules', but it builds slowly"""
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
        with tempfile.TemporaryDirectory(prefix="fsa-sim-") as folder:
            given, answer = Path(folder) / "run", Path(folder) / "result"
            write(run, given)
            waveform: list[str] = [] if vcd is None else [os.path.abspath(vcd)]
            _play([str(program), str(given), str(answer), *waveform], run.watch, run.expected)
            read(run, answer)
    except OSError as error:
        raise RunError(f"cannot simulate: {error.filename or 'temporary files'}: {error.strerror or error}") from None


def _play(command: list[str], watch: Watch, expected: int | None) -> None:
    """Runs the harness; each line it prints is a cycle count for ``watch``."""
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            for line in process.stdout or ():
                if line.strip().isdigit():
                    watch.report(int(line), expected)
            process.wait()
        except BaseException:
            process.kill()
            raise
        errors.seek(0)
        said = errors.read().strip().splitlines()
    if process.returncode:
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
) -> Path:
    """The bench around a ``top`` of ``config``, built unless the cache below ``build_dir`` has it.

    ``top`` is one of fsa-convert's; ``harness``, the bench's C++, includes V<top>.h (None: the core's own).
    ``waveform`` is a key of WAVEFORM_FLAGS. Raises RunError for a missing tool or a build that fails.
    """
    harness = one_file(HARNESS) if harness is None else harness
    # the name is no part of the machine
    config = config.replace(name="")
    cache = BuildCache("verilator", build_dir)
    tool = require("verilator", "apt-get install verilator")
    flags = [*VERILATOR_FLAGS, "--prefix", f"V{top}", "-o", top, *WAVEFORM_FLAGS[waveform]]
    built_with: list[str | bytes] = [harness, *flags, _version(tool), platform.machine()]
    key = digest([*built_with, config.to_json(), package_digest(), myhdl.__version__, platform.python_version()])
    folder = cache.find_by(key)
    if folder is None:
        # who finds its program in the cache has nothing to convert
        from myhdl_fsa.convert.design import verilog_modules

        plain = waveform != "" and config.rows <= PLAIN_WAVEFORM_TO
        sources = prepare(verilog_modules(config, top), None if plain else CHAIN)
        name = f"{config.rows}x{config.cols}-{config.elem}-{digest([*built_with, *sources, *sources.values()])}"
        if top != "core":
            name = f"{top}-{name}"
        folder = cache.get(
            name + waveform.replace(".", "-"), lambda place: _build(tool, sources, harness, flags, place / top), key
        )
    return folder / top


def _build(tool: str, sources: dict[str, str], harness: str, flags: list[str], program: Path) -> None:
    """Builds ``program``, named as in ``flags``, and leaves nothing else in its folder."""
    require("make", "apt-get install make")
    require("g++", "apt-get install g++")
    # make takes no path with a space in it
    plain = re.fullmatch(r"[\w./+-]+", str(program.parent)) is not None
    with tempfile.TemporaryDirectory(dir=program.parent if plain else None, prefix="build-") as folder:
        work = Path(folder)
        for name, text in sources.items():
            (work / f"{name}.v").write_text(text)
        (work / BENCH).write_text(harness)
        jobs = str(len(os.sched_getaffinity(0)))
        # a module comes after those that it instantiates
        top = ["--top-module", list(sources)[-1]]
        run_tool([tool, *flags, *top, "-j", jobs, *(f"{name}.v" for name in sources), BENCH], work)
        shutil.move(work / "obj" / program.name, program)


def _version(tool: str) -> str:
    """What ``verilator --version`` says. Raises RunError for one that is too old."""
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    found = re.match(r"Verilator (\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < OLDEST:
        raise RunError(f"{said.splitlines()[0] if said else tool}: version 5.006 or later is needed: "
                       "run `apt-get install verilator`")
    return said

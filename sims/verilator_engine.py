"""The engine that runs the converted Verilog in Verilator: the same kernel, bits and cycles as the MyHDL simulation.

The bench is C++ (``verilator/harness.cpp``); this module writes its schedule, builds it once per machine into the build
cache, runs it and reads what it leaves.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import myhdl
import numpy as np

from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import RunError, Watch
from myhdl_fsa.sequencer import MatrixInstruction
from myhdl_fsa.sims.accelerator_bench import DeviceRun
from myhdl_fsa.sims.build_cache import BuildCache, digest, package_digest, require, run_tool
from myhdl_fsa.sims.build_time import announcement
from myhdl_fsa.sims.core_bench import RESET_CYCLES, CoreRun
from myhdl_fsa.sims.hardware_engine import HardwareEngine
from myhdl_fsa.sims.schedule import (
    O_ROW,
    STORE_SEMAPHORE,
    Tile,
    scratchpad_row,
    tile_loads,
)
from myhdl_fsa.sims.verilator_source import prepare
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

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

# The harness's Step, after the tile.
_FIELDS = ("function", "wait_idle", "semaphore", "release", "release_value", "scratchpad_row", "scratchpad_stride",
           "reverse_in", "reverse_out", "delay", "accumulator_row", "accumulator_stride", "zero", "causal")
NONE = (1 << 64) - 1


class VerilatorEngine(HardwareEngine):
    """Runs the converted Verilog, built with Verilator into ``build_dir`` (None: the user's cache folder)."""

    name = "verilator"

    def __init__(self, build_dir: Path | None = None) -> None:
        self.build_dir = build_dir

    def simulate_core(self, run: CoreRun) -> None:
        """Intermediates stay inside the Verilog. The waveform is FST when its name ends in .fst."""
        _simulate(run, self.build_dir)

    def simulate_device(self, run: DeviceRun) -> None:
        """Likewise."""
        from myhdl_fsa.sims import verilator_device

        verilator_device.simulate(run, build_dir=self.build_dir)


def simulate(run: CoreRun, *, build_dir: Path | None = None) -> None:
    """Simulates ``run`` to its end. Raises RunError at its cycle limit, or when it cannot be built or run."""
    _simulate(run, build_dir)
    run.check_limit()


def _simulate(run: CoreRun, build_dir: Path | None) -> None:
    exchange(
        run, lambda kind: executable(run.config, waveform=kind, build_dir=build_dir, say=run.watch.say),
        write_schedule, read_result,
    )


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
            waveform: list[str] = [] if vcd is None else [os.path.abspath(vcd)]
            _play([str(program), str(given), str(answer), *waveform], run.watch, run.expected, folder / "errors")
            read(run, answer)
    except OSError as error:
        raise RunError(f"cannot simulate: {error.filename or 'temporary files'}: {error.strerror or error}") from None


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
        # who finds its program in the cache has nothing to convert
        from myhdl_fsa.convert.design import verilog_modules

        plain = waveform != "" and config.rows <= PLAIN_WAVEFORM_TO
        sources = prepare(verilog_modules(config, top), None if plain else CHAIN)
        name = f"{config.rows}x{config.cols}-{config.elem}-{digest([*built_with, *sources, *sources.values()])}"
        if top != "core":
            name = f"{top}-{name}"
        folder = cache.get(
            name + waveform.replace(".", "-"), lambda place: _build(tool, sources, harness, flags, place / top), key,
            announcement("verilator", top, config.rows),
        )
    return folder / top


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
        # a module comes after those that it instantiates
        top = ["--top-module", list(sources)[-1]]
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


def write_schedule(run: CoreRun, path: Path) -> None:
    """Writes what the harness plays: ``run``'s steps, the order of its loads, and its tiles as scratchpad rows."""
    config, steps, limit = run.config, run.steps, run.watch.max_cycles
    loads = tile_loads(steps)
    tiles: dict[Tile, int] = {}
    for tile in (*loads, *(step.tile for step in steps if step.tile is not None)):
        tiles.setdefault(tile, len(tiles))
    row_words = _words(config.rows * config.elem.width)
    head = [
        row_words, _words(config.cols * config.acc.width), RESET_CYCLES, min(3, len(loads)), STORE_SEMAPHORE, O_ROW,
        config.rows, NONE if limit is None else limit, len(tiles), len(loads), len(steps),
    ]
    for tile in tiles:
        head += [tile.semaphore, scratchpad_row(config, tile), config.rows]
    head += [tiles[tile] for tile in loads]
    signals = MatrixInstruction(config)
    masks = {name: (1 << len(getattr(signals, name))) - 1 for name in _FIELDS}
    for step in steps:
        fields = {**step.fields, "function": int(step.function)}
        if run.serial:
            fields["wait_idle"] = 1
        head.append(NONE if step.tile is None else tiles[step.tile])
        head += [fields.get(name, 0) & mask for name, mask in masks.items()]
    with path.open("wb") as file:
        file.write(np.array(head, np.uint64).tobytes())
        for tile in tiles:
            for row in run.tile_rows(tile):
                file.write(row.to_bytes(4 * row_words, "little"))


def read_result(run: CoreRun, path: Path) -> None:
    """Fills ``run`` with what the harness wrote."""
    data = path.read_bytes()
    cycle, limit, finished, issued, overlap, idle, output = (int(word) for word in np.frombuffer(data, np.uint64, 7))
    lists = np.frombuffer(data, np.uint64, issued + overlap + idle, 7 * 8).tolist()
    run.cycle, run.limit_reached, run.finished = cycle, bool(limit), None if finished == NONE else finished
    run.issued, run.overlap, run.idle = lists[:issued], lists[issued:issued + overlap], lists[issued + overlap:]
    start, size = (7 + len(lists)) * 8, 4 * _words(run.config.cols * run.config.acc.width)
    rows = [int.from_bytes(data[at:at + size], "little") for at in range(start, start + 4 * output, size)]
    run.output = [rows[at:at + run.config.rows] for at in range(0, len(rows), run.config.rows)]


def _words(bits: int) -> int:
    """32-bit words that hold so many bits."""
    return (bits + 31) // 32

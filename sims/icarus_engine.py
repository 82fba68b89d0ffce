"""The engine that runs the converted Verilog in Icarus, driven by the MyHDL bench through MyHDL's co-simulation."""

from __future__ import annotations

import itertools
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import myhdl
from myhdl import Cosimulation, CosimulationError

from myhdl_fsa.config import Config
from myhdl_fsa.elaboration import always, block, shared_analysis
from myhdl_fsa.engine.request import RunError
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.accelerator_bench import DevicePorts, DeviceRun, accelerator_bench
from myhdl_fsa.sims.build_cache import BuildCache, digest, package_digest, require, run_tool
from myhdl_fsa.sims.build_time import announcement
from myhdl_fsa.sims.core_bench import CorePorts, CoreRun, core_bench
from myhdl_fsa.sims.event_driven import clocked, event_driven
from myhdl_fsa.sims.hardware_engine import HardwareEngine
from myhdl_fsa.sims.waves import icarus
from myhdl_fsa.sims.waves.file import check_bounds, waveform_file
from myhdl_fsa.sims.waves.verilog import WAVES, waves
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = [
    "INSTALL",
    "IcarusEngine",
    "co_simulate",
    "cosimulated",
    "joint",
    "recorded",
    "vpi_source",
]

INSTALL = "apt-get install iverilog g++ make"


class IcarusEngine(HardwareEngine):
    """Runs the converted Verilog in Icarus; ``build_dir`` replaces the user's cache folder."""

    name = "icarus"

    def __init__(self, build_dir: Path | None = None) -> None:
        self._build_dir = build_dir

    def simulate_core(self, run: CoreRun) -> None:
        """Co-simulates; there are no intermediates, because only ports are seen. A waveform comes from a replay."""
        self._simulate(core_bench, run, "core", CorePorts(run.config))

    def simulate_device(self, run: DeviceRun) -> None:
        """Likewise."""
        self._simulate(accelerator_bench, run, "accelerator", DevicePorts(run.config))

    def _simulate(
        self, bench: Callable[..., Any], run: CoreRun | DeviceRun, top: str, ports: CorePorts | DevicePorts
    ) -> None:
        tools = [require(name, INSTALL) for name in ("iverilog", "vvp", "iverilog-vpi")]
        cache = BuildCache("icarus", self._build_dir, run.watch.say)
        vpi = _vpi(cache, tools)
        program = _program(cache, run.config, top, ports, tools)
        # -n: an interrupt that reaches it from the terminal ends it, rather than ask what to do
        command = [tools[1], "-n", "-M", str(vpi.parent), "-m", vpi.stem, str(program)]
        if run.watch.vcd is None:
            co_simulate(bench, run, partial(cosimulated, command=command))
            return
        replay = _replay(cache, run.config, top, ports, tools)
        try:
            with temporary_folder() as folder:
                inputs = folder / "inputs.hex"
                with inputs.open("w") as file:
                    co_simulate(bench, run, partial(recorded, command=command, file=file, last=run.watch.wave_to))
                check_bounds(run.watch, run.cycle, run.check_limit)
                with waveform_file(run.watch.vcd) as path:
                    icarus.write(tools[1], replay, inputs, path, run.watch, run.cycle)
        except OSError as error:
            where = error.filename or "temporary files"
            raise RunError(f"cannot simulate: {where}: {error.strerror or error}") from None


def co_simulate(bench: Callable[..., Any], run: CoreRun | DeviceRun, make: Callable[..., Any]) -> None:
    """Runs a bench around the block that ``make`` gives. Raises RunError when the simulator dies."""
    clock = unsigned(1)
    try:
        with shared_analysis():
            inside = clocked(bench, clock, run, clock, make)
        event_driven(inside)
    except (CosimulationError, BrokenPipeError):
        raise RunError("the Icarus simulation ended early") from None


def _vpi(cache: BuildCache, tools: Sequence[str]) -> Path:
    """MyHDL's VPI module, built from the sources that the installed MyHDL brings."""
    source = vpi_source()
    key = digest(["vpi", myhdl.__version__, *tools, *(path.read_bytes() for path in sorted(source.glob("*.c")))])

    def build(folder: Path) -> None:
        for path in source.glob("myhdl*.c"):
            shutil.copy(path, folder)
        run_tool([tools[2], "myhdl.c", "myhdl_table.c"], folder)

    return cache.get(key, build) / "myhdl.vpi"


def _program(
    cache: BuildCache, config: Config, top: str, ports: CorePorts | DevicePorts, tools: Sequence[str]
) -> Path:
    """The compiled Verilog and the module that joins it to MyHDL."""
    key = digest([top, package_digest(), repr(config), *tools])

    def build(folder: Path) -> None:
        from myhdl_fsa.convert.design import verilog_modules

        files = verilog_modules(config, top)
        # the top module is the last one
        files["cosimulation"] = joint(list(files)[-1], ports)
        _compile(tools[0], files, ["cosimulation"], folder)

    return cache.get(key, build, about=announcement("icarus", top, config.rows)) / "top.vvp"


def _replay(
    cache: BuildCache, config: Config, top: str, ports: CorePorts | DevicePorts, tools: Sequence[str]
) -> Path:
    """The compiled Verilog, and what applies recorded inputs to it and writes the waveform."""
    key = digest(["waves", top, package_digest(), repr(config), *tools])

    def build(folder: Path) -> None:
        from myhdl_fsa.convert.design import design

        converted = design(config, top)
        modules = converted.convert()
        files = {module.name: module.text for module in modules.values()}
        files[WAVES] = waves(converted, f"{icarus.REPLAY}.{icarus.MACHINE}")
        files[icarus.REPLAY] = icarus.replay(modules[top].name, top, *ports.split())
        _compile(tools[0], files, [icarus.REPLAY, top], folder)

    return cache.get(key, build, about=announcement("icarus", top, config.rows)) / "top.vvp"


def _compile(iverilog: str, files: Mapping[str, str], tops: Sequence[str], folder: Path) -> None:
    for name, text in files.items():
        (folder / f"{name}.v").write_text(text)
    roots = [part for top in tops for part in ("-s", top)]
    run_tool([iverilog, "-g2005", *roots, "-o", "top.vvp", *(f"{name}.v" for name in files)], folder)


def vpi_source() -> Path:
    """The folder of MyHDL's co-simulation sources for Icarus. Raises RunError when the installation lacks it."""
    roots = [sysconfig.get_path("data"), sys.prefix, sys.base_prefix]
    for root in dict.fromkeys(roots):
        folder = Path(root) / "share" / "myhdl" / "cosimulation" / "icarus"
        if (folder / "myhdl.c").is_file():
            return folder
    raise RunError("MyHDL's co-simulation sources are missing: run `pip install --force-reinstall myhdl`")


def joint(module: str, ports: CorePorts | DevicePorts) -> str:
    """The Verilog module ``cosimulation`` that hands the ports of ``module`` to MyHDL."""
    inputs, outputs = ports.split()
    inputs = {"clock": unsigned(1), **inputs}
    lines = ["`timescale 1ns/10ps", "module cosimulation;"]
    lines += [f"  reg [{max(1, len(s)) - 1}:0] {name};" for name, s in inputs.items()]
    lines += [f"  wire [{max(1, len(s)) - 1}:0] {name};" for name, s in outputs.items()]
    connections = ", ".join(f".{name}({name})" for name in (*inputs, *outputs))
    lines += [
        f"  {module} machine ({connections});",
        "  initial begin",
        f"    $from_myhdl({', '.join(inputs)});",
        f"    $to_myhdl({', '.join(outputs)});",
        "  end",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


@block
def cosimulated(clock: Any, ports: CorePorts | DevicePorts, command: Sequence[str]) -> Any:
    """The converted Verilog in a process of its own, behind the MyHDL block's ports; ``command`` starts it."""
    inputs, outputs = ports.split()
    # Standard output is the caller's. It dies with this process: it ends when nobody is left to write to the pipe that
    # it reads from.
    silenced = ["sh", "-c", 'exec "$@" </dev/null >/dev/null', "sh", *command]
    return Cosimulation(silenced, clock=clock, **inputs, **outputs)


@block
def recorded(
    clock: Any, ports: CorePorts | DevicePorts, command: Sequence[str], file: TextIO, last: int | None
) -> Any:
    """``cosimulated``, with the inputs of every cycle up to ``last`` (None: all) in ``file``, a line each."""
    inside = cosimulated(clock, ports, command)
    signals = list(ports.split()[0].values())
    cycles = itertools.count()

    @always(clock.posedge)
    def record() -> None:
        if last is None or next(cycles) <= last:
            word = 0
            for signal in signals:
                word = word << max(1, len(signal)) | int(signal)
            file.write(f"{word:x}\n")

    return inside, record

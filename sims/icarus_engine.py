"""The engine that runs the converted Verilog in Icarus, driven by the MyHDL bench through MyHDL's co-simulation."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import myhdl
from myhdl import Cosimulation, block

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.convert.hierarchy import flatten
from myhdl_fsa.engine import EngineResult, RunError
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.build_cache import BuildCache, digest, package_digest
from myhdl_fsa.sims.core_bench import CorePorts, CoreRun, core_bench
from myhdl_fsa.sims.core_engine import output_matrix
from myhdl_fsa.sims.elaboration import shared_analysis
from myhdl_fsa.sims.event_driven import clocked, event_driven
from myhdl_fsa.sims.schedule import expected_cycles, flash_attention, limit_message

INSTALL = "apt-get install iverilog g++ make"


class IcarusEngine:
    """Runs attention on the converted core in Icarus; ``build_dir`` replaces the user's cache folder."""

    name = "icarus"

    def __init__(self, build_dir: Path | None = None) -> None:
        self._cache = BuildCache("icarus", build_dir)

    def attention(
        self, q: Bits, k: Bits, v: Bits, config: Config, *, causal: bool = False, trace: bool = False,
        vcd: Path | None = None, max_cycles: int | None = None, progress: Callable[[int, int], None] | None = None,
    ) -> EngineResult:
        """Co-simulates the kernel on q [seq_q, d] and k, v [seq_kv, d] (elem bit patterns, whole tiles).

        ``trace`` gives no intermediates: only ports are seen. ``vcd`` is written by Icarus. Raises RunError at the
        cycle limit and when a tool is missing.
        """
        tools = [tool("iverilog"), tool("vvp"), tool("iverilog-vpi")]
        tiles_q, tiles_kv = len(q) // config.cols, len(k) // config.rows
        steps = flash_attention(config, tiles_q, tiles_kv, causal)
        latency = Reciprocal(config.acc, config.reciprocal).latency
        expected = expected_cycles(config, tiles_q, tiles_kv, causal, latency)
        report = None if progress is None else lambda cycle: progress(min(cycle, expected), expected)
        run = CoreRun(config, steps, q, k, v, max_cycles=max_cycles, progress=report)

        vpi = self._vpi(tools)
        program = self._program(config, tools)
        command = [tools[1], "-M", str(vpi.parent), "-m", vpi.stem, str(program)]
        if vcd is not None:
            command.append(f"+vcd={vcd}")
        clock = unsigned(1)
        with shared_analysis():
            bench = clocked(core_bench, clock, run, clock, partial(cosimulated_core, command=command))
        event_driven(bench)
        if run.limit_reached:
            raise RunError(limit_message(run.steps, len(run.issued), run.max_cycles))
        return EngineResult(
            output=output_matrix(run), cycles=run.cycles, inner_iteration_cycles=run.inner_iteration_cycles()
        )

    def _vpi(self, tools: Sequence[str]) -> Path:
        """MyHDL's VPI module, built from the sources that the installed MyHDL brings."""
        source = vpi_source()
        key = digest(["vpi", myhdl.__version__, *tools, *(path.read_bytes() for path in sorted(source.glob("*.c")))])

        def build(folder: Path) -> None:
            for path in source.glob("myhdl*.c"):
                shutil.copy(path, folder)
            execute([tools[2], "myhdl.c", "myhdl_table.c"], folder)

        return self._cache.get(key, build) / "myhdl.vpi"

    def _program(self, config: Config, tools: Sequence[str]) -> Path:
        """The compiled core and the module that joins it to MyHDL."""
        key = digest(["core", package_digest(), repr(config), *tools])

        def build(folder: Path) -> None:
            from myhdl_fsa.convert.design import verilog_modules

            for name, text in verilog_modules(config, "core").items():
                (folder / f"{name}.v").write_text(text)
            (folder / "cosimulation.v").write_text(joint(CorePorts(config)))
            sources = sorted(path.name for path in folder.glob("*.v"))
            execute([tools[0], "-g2005", "-s", "cosimulation", "-o", "core.vvp", *sources], folder)

        return self._cache.get(key, build) / "core.vvp"


def tool(name: str) -> str:
    """The path of an executable. Raises RunError with the command that installs it."""
    path = shutil.which(name)
    if path is None:
        raise RunError(f"{name} is not installed: run `{INSTALL}`")
    return path


def execute(command: Sequence[str], folder: Path) -> None:
    """Runs a build step. Raises RunError with the first line of what it complained of."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RunError(f"{Path(command[0]).name} failed: {said[0] if said else f'exit status {done.returncode}'}")


def vpi_source() -> Path:
    """The folder of MyHDL's co-simulation sources for Icarus. Raises RunError when the installation lacks it."""
    roots = [sysconfig.get_path("data"), sys.prefix, sys.base_prefix]
    for root in dict.fromkeys(roots):
        folder = Path(root) / "share" / "myhdl" / "cosimulation" / "icarus"
        if (folder / "myhdl.c").is_file():
            return folder
    raise RunError("MyHDL's co-simulation sources are missing: run `pip install --force-reinstall myhdl`")


DRIVEN = ("reset", "instruction", "scratchpad_write", "accumulator_read")
"""ports whose signals the bench drives, but for the two that answer"""
ANSWERS = ("instruction_ready", "accumulator_read_ready", "accumulator_read_data")


def port_signals(ports: CorePorts) -> tuple[dict[str, Any], dict[str, Any]]:
    """The core's inputs (without the clock) and outputs, by their Verilog names."""
    every: dict[str, Any] = {}
    for name, port in vars(ports).items():
        every.update(flatten(name, port))
    inputs = {name: signal for name, signal in every.items() if name.startswith(DRIVEN) and name not in ANSWERS}
    return inputs, {name: signal for name, signal in every.items() if name not in inputs}


def joint(ports: CorePorts) -> str:
    """The Verilog module that hands the core's ports to MyHDL."""
    inputs, outputs = port_signals(ports)
    inputs = {"clock": unsigned(1), **inputs}
    lines = ["`timescale 1ns/10ps", "module cosimulation;"]
    lines += [f"  reg [{max(1, len(s)) - 1}:0] {name};" for name, s in inputs.items()]
    lines += [f"  wire [{max(1, len(s)) - 1}:0] {name};" for name, s in outputs.items()]
    connections = ", ".join(f".{name}({name})" for name in (*inputs, *outputs))
    lines += [
        f"  core core_0 ({connections});",
        "  reg [8*4096-1:0] vcd;",
        "  initial begin",
        '    if ($value$plusargs("vcd=%s", vcd)) begin $dumpfile(vcd); $dumpvars(0, core_0); end',
        f"    $from_myhdl({', '.join(inputs)});",
        f"    $to_myhdl({', '.join(outputs)});",
        "  end",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"


@block
def cosimulated_core(clock: Any, ports: CorePorts, command: Sequence[str]) -> Any:
    """The converted core in a process of its own, behind the MyHDL core's ports; ``command`` starts it."""
    inputs, outputs = port_signals(ports)
    # Icarus announces a waveform on standard output, which is the caller's
    silenced = ["sh", "-c", 'exec "$@" >/dev/null', "sh", *command]
    return Cosimulation(silenced, clock=clock, **inputs, **outputs)

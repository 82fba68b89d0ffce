"""Lockstep: the MyHDL core and its converted Verilog on the same stimulus, every output and register, every cycle.

The MyHDL run records the core's inputs, and the value of every output and every register and memory word of the
hierarchy. A Verilog bench applies the inputs and writes the same values out, which are compared cycle by cycle.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from myhdl import always, block
from myhdl._always import _Always
from myhdl._always_comb import _AlwaysComb

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.convert.design import build_core
from myhdl_fsa.convert.hierarchy import Design, children, find, twin_of
from myhdl_fsa.engine import RunError
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.build_cache import BuildCache, digest, package_digest
from myhdl_fsa.sims.core_bench import CorePorts, CoreRun, core_bench, watched_core
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.elaboration import shared_analysis
from myhdl_fsa.sims.icarus_engine import execute, port_signals, tool
from myhdl_fsa.sims.schedule import flash_attention, limit_message

SIMULATORS = ("icarus", "verilator")


@dataclass(frozen=True)
class LockstepReport:
    """What was found equal."""

    simulator: str
    cycles: int
    signals: int
    bits: int
    """of all signals together, each cycle"""

    def __str__(self) -> str:
        return (f"Lockstep: {self.signals} outputs and registers ({self.bits} bits) equal in myhdl and {self.simulator}"
                f" in each of {self.cycles} cycles")


class LockstepMismatch(RunError):
    """The first difference: cycle, signal and both values."""


def lockstep(
    simulator: str, q: Bits, k: Bits, v: Bits, config: Config, *, causal: bool = False, build_dir: Path | None = None,
    max_cycles: int | None = None,
) -> LockstepReport:
    """Runs attention on q [seq_q, d] and k, v [seq_kv, d] (elem bits) in MyHDL and in ``simulator``, and compares.

    Raises LockstepMismatch at the first difference, and RunError when a tool is missing.
    """
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator {simulator!r}: must be one of {', '.join(SIMULATORS)}")
    tools = [tool("iverilog"), tool("vvp")] if simulator == "icarus" else [tool("verilator"), tool("make"), tool("g++")]
    steps = flash_attention(config, len(q) // config.cols, len(k) // config.rows, causal)
    run = CoreRun(config, steps, q, k, v, max_cycles=max_cycles)
    ports = CorePorts(config)
    inputs, outputs = port_signals(ports)
    log = _Log(list(inputs.values()), [])
    clock = unsigned(1)
    with shared_analysis():
        bench = core_bench(run, clock, partial(_logged_core, run=run, log=log), ports)
    built = build_core(config)
    design = Design(built, built, "core")
    design.convert()
    registers = dict(_registers(find(bench, "core"), built, "core_0", design))
    state = {**outputs, **registers}
    log.state.extend(state.values())
    CycleSimulator(bench).run()
    if run.limit_reached:
        raise RunError(limit_message(run.steps, len(run.issued), run.max_cycles))

    program = _program(simulator, config, inputs, outputs, list(registers), tools, build_dir)
    widths = [max(1, len(signal)) for signal in state.values()]
    _compare(program, log, list(state), widths, list(inputs.values()), simulator)
    return LockstepReport(simulator, len(log.seen), len(state), sum(widths))


@dataclass
class _Log:
    inputs: list[Any]
    state: list[Any]
    applied: list[list[int]] = None  # type: ignore[assignment]
    seen: list[list[int]] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.applied, self.seen = [], []


@block
def _logged_core(clock: Any, ports: CorePorts, run: CoreRun, log: _Log) -> Any:
    inside = watched_core(clock, ports, run)

    @always(clock.posedge)
    def record() -> None:
        log.applied.append([int(signal) for signal in log.inputs])
        log.seen.append([int(signal) for signal in log.state])

    return inside, record


def _registers(block_: Any, twin: Any, path: str, design: Design) -> Iterator[tuple[str, Any]]:
    """Every signal that a clocked process of the hierarchy drives, by its hierarchical Verilog name.

    ``twin`` is the block that was converted: elaborated alike, but without the probes of a test bench.
    """
    module = design.module_of(twin)
    for process in block_.subs:
        if isinstance(process, _Always) and not isinstance(process, _AlwaysComb):
            for name in sorted(process.outputs):
                driven = process.symdict[name]
                if isinstance(driven, list):
                    yield from ((f"{path}.{module.driven[name]}[{i}]", signal) for i, signal in enumerate(driven))
                else:
                    yield f"{path}.{module.driven[name]}", driven
    for instance, child, other in zip(module.instances, children(block_), children(twin_of(twin)), strict=True):
        yield from _registers(child, other, f"{path}.{instance}", design)


def _program(
    simulator: str, config: Config, inputs: dict[str, Any], outputs: dict[str, Any], registers: Sequence[str],
    tools: Sequence[str], build_dir: Path | None,
) -> list[str]:
    """The command that applies ``inputs.hex`` in its working folder and writes ``state.txt``."""
    key = digest(["lockstep", simulator, package_digest(), repr(config), *tools])

    def build(folder: Path) -> None:
        from myhdl_fsa.convert.design import verilog_modules

        for name, text in verilog_modules(config, "core").items():
            (folder / f"{name}.v").write_text(text)
        (folder / "lockstep.v").write_text(_bench(inputs, outputs, registers))
        sources = sorted(path.name for path in folder.glob("*.v"))
        if simulator == "icarus":
            execute([tools[0], "-g2005", "-s", "lockstep", "-o", "lockstep.vvp", *sources], folder)
        else:
            execute([tools[0], "--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-j", "2",
                     "-CFLAGS", "-O0", "--top-module", "lockstep", *sources], folder)

    folder = BuildCache("lockstep", build_dir).get(key, build)
    if simulator == "icarus":
        return [tools[1], "-n", str(folder / "lockstep.vvp")]
    return [str(folder / "obj_dir" / "Vlockstep")]


def _bench(inputs: dict[str, Any], outputs: dict[str, Any], registers: Sequence[str]) -> str:
    """Inputs change just after a rising edge; outputs and registers are written out just before the next."""
    width = sum(max(1, len(signal)) for signal in inputs.values())
    connections = ", ".join(f".{name}({name})" for name in ("clock", *inputs, *outputs))
    names = [*outputs, *registers]
    chunks = [names[first:first + 32] for first in range(0, len(names), 32)]
    return "\n".join([
        "`timescale 1ns/10ps",
        "module lockstep;",
        "  reg clock = 0;",
        *(f"  reg [{max(1, len(s)) - 1}:0] {name} = {int(s._init)};" for name, s in inputs.items()),
        *(f"  wire [{max(1, len(s)) - 1}:0] {name};" for name, s in outputs.items()),
        f"  core core_0 ({connections});",
        f"  reg [{width - 1}:0] word;",
        "  integer source, sink, got;",
        "  initial begin",
        '    source = $fopen("inputs.hex", "r"); sink = $fopen("state.txt", "w");',
        '    got = $fscanf(source, "%h", word);',
        "    while (got == 1) begin",
        f"      {{{', '.join(inputs)}}} = word;",
        "      #4;",
        *(f'      $fwrite(sink, "{"%h " * len(chunk)}", {", ".join(chunk)});' for chunk in chunks),
        '      $fwrite(sink, "\\n");',
        "      #1 clock = 1; #5 clock = 0;",
        '      got = $fscanf(source, "%h", word);',
        "    end",
        "    $fclose(sink);",
        "    $finish;",
        "  end",
        "endmodule",
    ]) + "\n"


def _compare(
    program: list[str], log: _Log, names: list[str], widths: list[int], inputs: list[Any], simulator: str
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "inputs.hex").open("w") as file:
            for values in log.applied:
                word = 0
                for signal, value in zip(inputs, values, strict=True):
                    word = (word << max(1, len(signal))) | value
                file.write(f"{word:x}\n")
        execute(program, folder)
        with (folder / "state.txt").open() as file:
            for cycle, expected in enumerate(log.seen):
                found = file.readline().split()
                if len(found) != len(names):
                    raise RunError(f"{simulator} ended in cycle {cycle} of {len(log.seen)}")
                for signal, width, ours, theirs in zip(names, widths, expected, found, strict=True):
                    if theirs.lstrip("0") != (f"{ours:x}" if ours else ""):
                        raise LockstepMismatch(
                            f"cycle {cycle}: {signal.removeprefix('core_0.')}: myhdl {ours:0{(width + 3) // 4}x}, "
                            f"{simulator} {theirs}"
                        )

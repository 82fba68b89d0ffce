"""Replays a block's MyHDL stimuli in Icarus and Verilator and compares every output bit, cycle by cycle.

A wrong width converts silently, so every block runs the vectors of its Python test in both Verilog simulators.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myhdl._Signal import _Signal

from myhdl_fsa.convert.hierarchy import Design, Module
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.workbench import tools

__all__ = [
    "Case",
    "Dut",
    "MissingTool",
    "Port",
    "SIMULATORS",
    "Stimuli",
    "VerilogMismatch",
    "case_bench",
    "case_ports",
    "check",
    "check_all",
    "connections",
    "converted_case",
    "flatten",
    "replay",
    "replay_all",
    "require",
    "simulate",
    "vectors",
]

SIMULATORS = {
    "icarus": ("iverilog", "apt-get install iverilog"), "verilator": ("verilator", "apt-get install verilator"),
}

Stimuli = Mapping[str, Sequence[int]]
"""a value a cycle for each input"""


class MissingTool(RuntimeError):
    """A simulator is not installed; the message gives the command that installs it."""


class VerilogMismatch(AssertionError):
    """The Verilog differs from the MyHDL simulation; the message names cycle, port and both values."""


@dataclass(frozen=True)
class Port:
    """A signal of a port of the module under test: name, bits, and its value per cycle."""

    name: str
    width: int
    values: Sequence[int]


@dataclass(frozen=True)
class Case:
    """A Verilog module and what it has to answer; ``clock`` is its clock's name, None for a combinational module."""

    module: str
    verilog: str
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    clock: str | None = None
    connections: Mapping[str, str] = field(default_factory=dict)
    """what the module's ports are connected to, as expressions of ``inputs`` and ``outputs``; without any, a port of
    each one's name"""
    settled: int = 0
    """the first cycle to compare"""
    lenient: bool = False
    """whether bits that the module leaves unknown are not compared"""

    @property
    def cycles(self) -> int:
        """Cycles to compare."""
        return len(self.inputs[0].values)


@dataclass
class Dut:
    """An elaborated block under test, and its ports by their Verilog names."""

    name: str
    instance: Any
    inputs: dict[str, Any]
    outputs: dict[str, Any]
    clock: Any = None
    """None for a combinational block"""

    def design(self) -> Design:
        """The block to be converted, with everything in it; names of modules begin with the name of this one."""
        return Design(self.instance, self.instance, self.instance.func.__name__, f"{self.name}_")


def connections(module: Module) -> dict[str, str]:
    """What a module's ports are, of signals named as in Python: a vector's, side by side, the first in the low bits."""
    parts: dict[str, list[tuple[int, str]]] = {name: [] for name in module.ports}
    for name, place in module.located.items():
        parts[place.net].append((place.offset or 0, name))
    return {name: f"{{{', '.join(part for _, part in sorted(parts[name], reverse=True))}}}" if port.count else name
            for name, port in module.ports.items()}


def flatten(name: str, port: Any) -> dict[str, Any]:
    """A port's signals by their Verilog names: an interface's attribute ``x`` is ``<name>_x``."""
    if isinstance(port, _Signal):
        return {name: port}
    signals: dict[str, Any] = {}
    for attribute, value in vars(port).items():
        if isinstance(value, _Signal):
            signals[f"{name}_{attribute}"] = value
    return signals


def simulate(dut: Dut, stimuli: Stimuli) -> dict[str, list[int]]:
    """Applies ``stimuli`` (a value a cycle for each input) in MyHDL; returns the outputs, a value a cycle.

    Inputs take their values just after a rising edge, outputs are read just before the next. Inputs that are not
    named keep their initial value.
    """
    simulator = CycleSimulator(dut.instance)
    simulator.start()
    cycles = len(next(iter(stimuli.values())))
    seen: dict[str, list[int]] = {name: [] for name in dut.outputs}
    for cycle in range(cycles):
        for name, values in stimuli.items():
            dut.inputs[name].next = int(values[cycle])
        simulator.settle()
        for name, signal in dut.outputs.items():
            seen[name].append(int(signal))
        simulator.edge()
    return seen


def check(
    make: Callable[[], Dut], stimuli: Stimuli, simulators: Sequence[str], folder: Path
) -> dict[str, list[int]]:
    """Simulates in MyHDL, converts, and replays the same cycles in ``simulators``; returns MyHDL's outputs.

    ``make`` builds the block with fresh signals. Raises VerilogMismatch at the first difference, and MissingTool.
    """
    return check_all([(make, stimuli)], simulators, folder)[0]


def check_all(
    jobs: Sequence[tuple[Callable[[], Dut], Stimuli]], simulators: Sequence[str], folder: Path
) -> list[dict[str, list[int]]]:
    """``check`` of several blocks, each with its stimuli, in one build a simulator; returns their outputs in order.

    Blocks of one name have to convert to one text. Raises as ``check`` does.
    """
    cases, outputs = [], []
    for make, stimuli in jobs:
        dut = make()
        seen = simulate(dut, stimuli)
        cases.append(converted_case(make(), stimuli, seen))
        outputs.append(seen)
    for simulator in simulators:
        replay_all(simulator, cases, folder / simulator)
    return outputs


def converted_case(dut: Dut, stimuli: Stimuli, seen: Mapping[str, Sequence[int]]) -> Case:
    """A block, not simulated yet, in Verilog, and ``seen``, its outputs in MyHDL with ``stimuli``."""
    design = dut.design()
    modules = design.convert()
    top = modules[design.name]
    text = "\n".join(module.text for module in modules.values())
    return Case(top.name, text, *case_ports(dut, stimuli, seen), "clock" if "clock" in top.ports else None,
                connections(top))


def case_ports(dut: Dut, stimuli: Stimuli, seen: Mapping[str, Sequence[int]]) -> tuple[list[Port], list[Port]]:
    """Inputs, those that are not named keeping their initial value, and outputs."""
    widths = {name: max(1, len(signal)) for name, signal in (dut.inputs | dut.outputs).items()}
    cycles = len(next(iter(stimuli.values())))
    return (
        [Port(name, widths[name], stimuli.get(name, [int(signal)] * cycles)) for name, signal in dut.inputs.items()],
        [Port(name, widths[name], seen[name]) for name in dut.outputs],
    )


def require(simulator: str) -> str:
    """The path of the simulator's executable. Raises MissingTool."""
    tool, install = SIMULATORS[simulator]
    path = shutil.which(tool)
    if path is None:
        raise MissingTool(f"{tool} is not installed: run `{install}`")
    return path


def replay(
    simulator: str, verilog: str, module: str, inputs: Sequence[Port], outputs: Sequence[Port], folder: Path,
    clock: str | None = None,
) -> int:
    """Runs the module on ``inputs`` and compares ``outputs`` every cycle; returns the number of cycles compared.

    Inputs take their values just after a rising edge of ``clock`` (None: a combinational module) and outputs are
    read just before the next one. ``folder`` receives the sources and the build. Raises MissingTool,
    VerilogMismatch, and RuntimeError when the simulator rejects the text.
    """
    return replay_all(simulator, [Case(module, verilog, inputs, outputs, clock)], folder)


def replay_all(simulator: str, cases: Sequence[Case], folder: Path) -> int:
    """``replay`` of several modules side by side in one build; returns the cycles compared in all.

    Raises as ``replay`` does, and ValueError when two modules of one name differ.
    """
    tool = require(simulator)
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, str] = {}
    for case in cases:
        if texts.setdefault(case.module, case.verilog) != case.verilog:
            raise ValueError(f"two modules called {case.module} differ")
    (folder / "dut.v").write_text("\n".join(texts.values()))
    (folder / "bench.v").write_text(_bench(cases))
    for index, case in enumerate(cases):
        (folder / f"{index}_in.hex").write_text(vectors(case.inputs))
        (folder / f"{index}_out.hex").write_text(vectors(case.outputs))
    if simulator == "icarus":
        _run([tool, "-g2005-sv", "-s", "bench", "-o", "bench.vvp", "bench.v", "dut.v"], folder)
        text = _run(["vvp", "-n", "bench.vvp"], folder)
    else:
        text = _run([str(_verilate(tool, folder))], folder)
    verdicts = text.splitlines()
    for index, case in enumerate(cases):
        if f"{index} PASS {case.cycles}" not in verdicts:
            mark = f"{index} FAIL "
            first = next((line[len(mark):] for line in verdicts if line.startswith(mark)), text.strip()[:400])
            raise VerilogMismatch(f"{simulator}: {case.module}: FAIL {first}")
    return sum(case.cycles for case in cases)


_RUNTIME = ("verilated.o", "verilated_timing.o", "verilated_threads.o")
_runtime_objects: dict[str, bytes] = {}
"""Verilator's own library, which takes longer to compile than most blocks: by file name, from this process's first
build"""


def _verilate(tool: str, folder: Path) -> Path:
    """Builds ``bench`` from the sources in ``folder``; returns the executable."""
    build = folder / "obj_dir"
    shutil.rmtree(build, ignore_errors=True)
    # a regression compiles for longer than it runs; -O0 alone would warn that the order of gated clocks may suffer
    _run([tool, "--cc", "--exe", "--main", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-O0", "-fgate",
          "--top-module", "bench", "bench.v", "dut.v"], folder)
    for name, content in _runtime_objects.items():
        (build / name).write_bytes(content)
    _run(["make", "-f", "Vbench.mk", "OPT_FAST=-O0", "OPT_SLOW=-O0", "OPT_GLOBAL=-O0", "Vbench"], build)
    if not _runtime_objects:
        _runtime_objects.update({name: (build / name).read_bytes() for name in _RUNTIME if (build / name).exists()})
    return build / "Vbench"


def _run(command: list[str], folder: Path) -> str:
    done = tools.run(command, folder, scratch=folder, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[:2000]}")
    return done.stdout


def vectors(ports: Sequence[Port]) -> str:
    """One hex word a cycle, the first port in the most significant bits."""
    lines = []
    for values in zip(*(port.values for port in ports), strict=True):
        word = 0
        for port, value in zip(ports, values, strict=True):
            word = (word << port.width) | int(value)
        lines.append(f"{word:x}")
    return "\n".join(lines) + "\n"


def _bench(cases: Sequence[Case]) -> str:
    """A module a case, which prints ``<index> PASS <cycles>`` or ``<index> FAIL ...``, and ``bench`` over them."""
    lines = []
    for index, case in enumerate(cases):
        lines += case_bench(f"bench_{index}", case, str(index), f"{index} ")
    # without a $finish: the simulation ends when every module has come to its end
    lines += ["module bench;", *(f"  bench_{index} case_{index}();" for index in range(len(cases))), "endmodule"]
    return "\n".join(lines) + "\n"


def case_bench(name: str, case: Case, files: str, mark: str = "", stop: bool = False) -> list[str]:
    """A module ``name`` that compares ``case`` with ``vectors`` in ``<files>_in.hex`` and ``<files>_out.hex``.

    It prints ``<mark>PASS <cycles>`` or ``<mark>FAIL ...``. With ``stop`` it ends the simulation, by $stop if it fails.
    """
    inputs, outputs, cycles = case.inputs, case.outputs, case.cycles
    total_in, total_out = sum(p.width for p in inputs), sum(p.width for p in outputs)
    given = dict(case.connections) or {p.name: p.name for p in (*inputs, *outputs)}
    if case.clock is not None:
        given[case.clock] = "clock_"
    differs = "(|(got ^ want)) === 1" if case.lenient else "got !== want"
    lines = [
        f"module {name};",
        "  reg clock_ = 0;",
        "  reg same_ = 1;",
        f"  reg [{total_in - 1}:0] in_mem [0:{cycles - 1}], in_word;",
        f"  reg [{total_out - 1}:0] out_mem [0:{cycles - 1}], got, want;",
        "  integer cycle;",
        # without a value: the first is a change, for which combinational processes wait
        *(f"  reg [{p.width - 1}:0] {p.name};" for p in inputs),
        *(f"  wire [{p.width - 1}:0] {p.name};" for p in outputs),
        f"  {case.module} dut ({', '.join(f'.{port}({text})' for port, text in given.items())});",
        "  initial begin",
        f'    $readmemh("{files}_in.hex", in_mem); $readmemh("{files}_out.hex", out_mem);',
        "    #1;",
        f"    for (cycle = 0; same_ && cycle < {cycles}; cycle = cycle + 1) begin",
        "      in_word = in_mem[cycle];",
        f"      {{{', '.join(p.name for p in inputs)}}} = in_word;",
        "      #4;",
        f"      got = {{{', '.join(p.name for p in outputs)}}};",
        "      want = out_mem[cycle];",
        f"      if ({f'cycle >= {case.settled} && ' if case.settled else ''}{differs}) begin",
        "        same_ = 0;",
    ]
    position = total_out
    for port in outputs:
        high, low = position - 1, position - port.width
        position = low
        lines += [
            f"        if (got[{high}:{low}] !== want[{high}:{low}])",
            f'          $display("{mark}FAIL cycle %0d {port.name}: verilog %h, myhdl %h, inputs %h", cycle,'
            f" got[{high}:{low}], want[{high}:{low}], in_word);",
        ]
    return [
        *lines,
        "      end",
        "      #1 clock_ = 1; #5 clock_ = 0;",
        "    end",
        f'    if (same_) $display("{mark}PASS {cycles}");',
        *(["    if (!same_) $stop;", "    $finish;"] if stop else []),
        "  end",
        "endmodule",
    ]

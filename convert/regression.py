"""Replays a block's MyHDL stimuli in Icarus and Verilator and compares every output bit, cycle by cycle.

A wrong width converts silently, so every block runs the vectors of its Python test in both Verilog simulators.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SIMULATORS = {"icarus": ("iverilog", "apt-get install iverilog"), "verilator": ("verilator", "apt-get install verilator")}


class MissingTool(RuntimeError):
    """A simulator is not installed; the message gives the command that installs it."""


class VerilogMismatch(AssertionError):
    """The Verilog differs from the MyHDL simulation; the message names cycle, port and both values."""


@dataclass(frozen=True)
class Port:
    """A port of the module under test: name, bits, and per cycle its value (None: not compared)."""

    name: str
    width: int
    values: Sequence[int | None]


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
    tool = require(simulator)
    folder.mkdir(parents=True, exist_ok=True)
    cycles = len(inputs[0].values)
    bench = _bench(module, inputs, outputs, clock, cycles)
    (folder / "dut.v").write_text(verilog)
    (folder / "bench.v").write_text(bench)
    _write_vectors(folder / "in.hex", inputs, [port.values for port in inputs])
    _write_vectors(folder / "out.hex", outputs, [[v or 0 for v in port.values] for port in outputs])
    _write_vectors(folder / "mask.hex", outputs,
                   [[0 if v is None else (1 << port.width) - 1 for v in port.values] for port in outputs])
    if simulator == "icarus":
        _run([tool, "-g2005-sv", "-o", "bench.vvp", "bench.v", "dut.v"], folder)
        text = _run(["vvp", "-n", "bench.vvp"], folder)
    else:
        _run([tool, "--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-O3", "-CFLAGS", "-O1",
              "--top-module", "bench", "bench.v", "dut.v"], folder)
        text = _run([str(folder / "obj_dir" / "Vbench")], folder)
    if f"PASS {cycles}" not in text:
        first = next((line for line in text.splitlines() if line.startswith("FAIL")), text.strip()[:400])
        raise VerilogMismatch(f"{simulator}: {module}: {first}")
    return cycles


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[:2000]}")
    return done.stdout


def _write_vectors(path: Path, ports: Sequence[Port], values: Sequence[Sequence[int | None]]) -> None:
    """One hex word a cycle, the first port in the most significant bits."""
    lines = []
    for cycle in range(len(values[0])):
        word = 0
        for port, column in zip(ports, values, strict=True):
            word = (word << port.width) | int(column[cycle] or 0)
        lines.append(f"{word:x}")
    path.write_text("\n".join(lines) + "\n")


def _bench(module: str, inputs: Sequence[Port], outputs: Sequence[Port], clock: str | None, cycles: int) -> str:
    total_in, total_out = sum(p.width for p in inputs), sum(p.width for p in outputs)
    connections = [f".{p.name}({p.name})" for p in (*inputs, *outputs)]
    if clock is not None:
        connections.append(f".{clock}(clock_)")
    lines = [
        "`timescale 1ns/1ps",
        "module bench;",
        "  reg clock_ = 0;",
        f"  reg [{total_in - 1}:0] in_mem [0:{cycles - 1}], in_word;",
        f"  reg [{total_out - 1}:0] out_mem [0:{cycles - 1}], mask_mem [0:{cycles - 1}], got, want, mask;",
        "  integer cycle;",
        *(f"  reg [{p.width - 1}:0] {p.name} = 0;" for p in inputs),
        *(f"  wire [{p.width - 1}:0] {p.name};" for p in outputs),
        f"  {module} dut ({', '.join(connections)});",
        "  initial begin",
        '    $readmemh("in.hex", in_mem); $readmemh("out.hex", out_mem); $readmemh("mask.hex", mask_mem);',
        f"    for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin",
        "      in_word = in_mem[cycle];",
        f"      {{{', '.join(p.name for p in inputs)}}} = in_word;",
        "      #4;",
        f"      got = {{{', '.join(p.name for p in outputs)}}};",
        "      want = out_mem[cycle]; mask = mask_mem[cycle];",
        "      if ((got & mask) !== (want & mask)) begin",
    ]
    position = total_out
    for port in outputs:
        high, low = position - 1, position - port.width
        position = low
        lines += [
            f"        if ((got[{high}:{low}] & mask[{high}:{low}]) !== (want[{high}:{low}] & mask[{high}:{low}]))",
            f'          $display("FAIL cycle %0d {port.name}: verilog %h, myhdl %h, inputs %h", cycle,'
            f" got[{high}:{low}], want[{high}:{low}], in_word);",
        ]
    lines += [
        "        $finish;",
        "      end",
        "      #1 clock_ = 1; #5 clock_ = 0;",
        "    end",
        f'    if (cycle == {cycles}) $display("PASS {cycles}");',
        "    $finish;",
        "  end",
        "endmodule",
    ]
    return "\n".join(lines) + "\n"

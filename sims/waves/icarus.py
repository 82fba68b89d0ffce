"""Waveforms of the converted Verilog in Icarus: a run's inputs once more, without MyHDL, and every scope dumped.

MyHDL's co-simulation takes simulated time for its delta cycles, sees ports only, and has to go on where a waveform
ends. The replay has none of these: a cycle is ``PERIOD`` nanoseconds, and it ends with the last cycle that is wanted.
"""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from myhdl_fsa.engine.request import RunError, Watch
from myhdl_fsa.sims.waves.file import FATAL_SIGNALS, check_fst, last_time
from myhdl_fsa.sims.waves.scopes import PERIOD
from myhdl_fsa.workbench import tools

__all__ = ["MACHINE", "REPLAY", "replay", "write"]

REPLAY = "replay"
"""the bench's module"""
MACHINE = "machine"
"""the design's instance in it"""
_CHUNK = 1 << 16
_SILENT: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def replay(module: str, scope: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    """The bench that applies the lines of +inputs to ``module`` and dumps ``scope`` to +wave, cycles +from to +to."""
    width = sum(max(1, len(signal)) for signal in inputs.values())
    connections = ", ".join(f".{name}({name})" for name in ("clock", *inputs, *outputs))
    return "\n".join([
        "`timescale 1ns/1ns",
        f"module {REPLAY};",
        "  reg clock = 0;",
        # unknown until a little after all processes began to wait: what depends on them then sees a change
        *(f"  reg [{max(1, len(s)) - 1}:0] {name};" for name, s in inputs.items()),
        *(f"  wire [{max(1, len(s)) - 1}:0] {name};" for name, s in outputs.items()),
        f"  {module} {MACHINE} ({connections});",
        f"  reg [{width - 1}:0] word;",
        "  reg [8*4096-1:0] inputs_file, wave_file;",
        "  integer source, got, cycle, first, last;",
        "  initial begin",
        '    got = $value$plusargs("inputs=%s", inputs_file); got = $value$plusargs("wave=%s", wave_file);',
        '    got = $value$plusargs("from=%d", first); got = $value$plusargs("to=%d", last);',
        '    source = $fopen(inputs_file, "r");',
        "    for (cycle = 0; cycle <= last; cycle = cycle + 1) begin",
        '      got = $fscanf(source, "%h", word);',
        # what the clock's edge samples is what stands before it
        f"      {{{', '.join(inputs)}}} <= word;",
        "      clock = cycle != 0;",
        f"      if (cycle == first) begin $dumpfile(wave_file); $dumpvars(0, {scope}); end",
        f"      #{PERIOD // 2} clock = 0;",
        f"      if (cycle != last) #{PERIOD - PERIOD // 2};",
        "    end",
        "    $finish;",
        "  end",
        "endmodule",
    ]) + "\n"


def write(vvp: str, program: Path, inputs: Path, path: Path, watch: Watch, cycles: int) -> None:
    """Writes the waveform of a run of that many cycles.

    Raises OSError where ``path`` cannot be written, and RunError.
    """
    end = last_time(watch, cycles)
    arguments = [f"+inputs={inputs}", f"+from={watch.wave_from}", f"+to={end // PERIOD}"]
    command = [vvp, "-n", str(program)]
    if path.suffix == ".fst":
        _run([*command, "-fst", *arguments, f"+wave={path}"])
        check_fst(path, end)
    else:
        _write_vcd([*command, *arguments], inputs.with_name("wave.vcd"), path, end)


def _write_vcd(command: Sequence[str], link: Path, path: Path, end: int) -> None:
    """Icarus does not look at what its writes give, so it writes into a pipe and the file is written here."""
    reader, writer = os.pipe()
    # to a name without a suffix Icarus adds one
    link.symlink_to(f"/dev/fd/{writer}")
    tail = b""
    with path.open("wb") as file, open(reader, "rb") as pipe:
        with tools.started([*command, f"+wave={link}"], **_SILENT, pass_fds=(writer,)) as process:
            os.close(writer)
            while chunk := pipe.read(_CHUNK):
                file.write(chunk)
                tail = (tail + chunk)[-_CHUNK:]
    _check_status(process.returncode)
    if f"#{end}\n".encode() not in tail:
        raise RunError(f"vvp failed: the waveform ends before {end} ns")


def _run(command: Sequence[str]) -> None:
    with tools.started(command, **_SILENT) as process:
        pass
    _check_status(process.returncode)


def _check_status(status: int) -> None:
    if -status in FATAL_SIGNALS:
        raise OSError(errno.EIO, FATAL_SIGNALS[-status])
    if status:
        raise RunError(f"vvp failed: exit status {status}")

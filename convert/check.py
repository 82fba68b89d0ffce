"""Verilator's lint and Icarus's elaboration of a folder of converted files."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from myhdl_fsa.convert.regression import require

WAIVED = {
    "WIDTH": "arithmetic is that of Python's ints, in signed locals wide enough for all of a process's values: what is "
             "assigned is cut to the target's width on purpose, and the regressions compare every bit",
    "UNUSEDSIGNAL": "the last outputs of chains and grids have no reader, an interface brings signals that not every "
                    "block wants, and the high bits of a wide local may be sign only",
    "SYMRSVDWORD": "a port may be called as something in C++, such as interrupt: only Verilator's own C++ renames it",
}
"""Verilator's warnings that are not looked at, and why"""
_BENCH_WAIVED = ("BLKSEQ",)
"""and in a testbench, which is no hardware: it counts in a clocked process"""


class CheckError(Exception):
    """What was converted does not pass; the message is one line with the tool's first complaint."""


def check(folder: Path, top: str, files: Sequence[str], bench: str | None = None) -> None:
    """Lints the modules in ``files``, names in ``folder``, with ``top`` on top, and elaborates them in Icarus.

    ``bench`` is a testbench's file, ``<module>.v``, to check with them. Raises CheckError for any warning that is not
    waived, and regression.MissingTool.
    """
    verilator, icarus = require("verilator"), require("icarus")
    waivers = [f"-Wno-{name}" for name in WAIVED]
    _silent([verilator, "--lint-only", "-Wall", *waivers, "--top-module", top, *files], folder)
    with tempfile.TemporaryDirectory() as scratch:
        elaborate = [icarus, "-g2005", "-Wall", "-o", f"{scratch}/out.vvp", "-s"]
        _silent([*elaborate, top, *files], folder)
        if bench is not None:
            module = Path(bench).stem
            waivers += [f"-Wno-{name}" for name in _BENCH_WAIVED]
            lint = [verilator, "--lint-only", "--timing", "-Wall", *waivers]
            _silent([*lint, "--top-module", module, *files, bench], folder)
            _silent([*elaborate, module, *files, bench], folder)


def _silent(command: list[str], folder: Path) -> None:
    """Runs a command that has to have nothing to say."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    if said or done.returncode:
        first = said[0].strip() if said else f"exit status {done.returncode}"
        raise CheckError(f"{Path(command[0]).name}: {first} ({len(said)} lines)" if len(said) > 1
                         else f"{Path(command[0]).name}: {first}")

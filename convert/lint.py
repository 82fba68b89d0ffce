"""What four tools have to say about Verilog files, a line per complaint: Verilator, Icarus, yosys and slang.

``python -m myhdl_fsa.convert.lint FILE...`` prints it, and exits with 1 where there is anything. No tool is told what
to leave out: a waiver stands in the text, on the line that it concerns.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from myhdl_fsa.convert.check import LINTS
from myhdl_fsa.convert.regression import MissingTool, require
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["LINTERS", "icarus_lint", "lint", "main", "slang_lint", "verilator_lint", "yosys_check"]

_VERILOG = "1364-2005"
"""the standard, as slang calls it"""
_TEST_EXTRA = f"{sys.executable} -m pip install -c constraints.txt -e '.[test]'"

# Processes of their own: yosys ends the process it runs in, and both print what they find.
_YOSYS = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""
_SLANG = """\
import sys
from pyslang import driver
slang = driver.Driver()
slang.addStandardArgs()
ready = slang.parseCommandLine(" ".join(["slang", *sys.argv[1:]])) and slang.processOptions()
sys.exit(not (ready and slang.parseAllSources() and slang.runFullCompilation(True)))
"""

_YOSYS_SAYS = re.compile(r"Warning: |ERROR: |Latch inferred ")
_SLANG_SAYS = re.compile(r":\d+:\d+: (?:warning|error|fatal error): |^(?:warning|error): ")


def verilator_lint(files: Sequence[Path]) -> list[str]:
    """Verilator's lint with all its warnings, by name; without those of style."""
    return _complaints([require("verilator"), *LINTS["verilator"], *_names(files)], files,
                       lambda line: line.startswith("%") and not line.startswith("%Error: Exiting due to"))


def icarus_lint(files: Sequence[Path]) -> list[str]:
    """What Icarus says of files as Verilog-2005."""
    return _complaints([require("icarus"), *LINTS["icarus"], "-o", os.devnull, *_names(files)], files, bool)


def yosys_check(files: Sequence[Path]) -> list[str]:
    """What yosys warns of: nets without a driver or with several, loops of logic, latches, memories made registers."""
    _require_module("pyosys")
    script = [*(f"read_verilog {name}" for name in _names(files)), "hierarchy -check -auto-top", "proc",
              "check -assert"]
    return _complaints([sys.executable, "-c", _YOSYS, *script], files, lambda line: bool(_YOSYS_SAYS.search(line)))


def slang_lint(files: Sequence[Path], warnings: Sequence[str] = ("-Wextra",)) -> list[str]:
    """What slang says of files as Verilog-2005, with the warnings asked for on top of its own; each line names its."""
    _require_module("pyslang")
    options = ["--std", _VERILOG, "--error-limit", "0", *warnings]
    return _complaints([sys.executable, "-c", _SLANG, *options, *_names(files)], files,
                       lambda line: bool(_SLANG_SAYS.search(line)))


LINTERS: dict[str, Callable[[Sequence[Path]], list[str]]] = {
    "verilator": verilator_lint, "iverilog": icarus_lint, "yosys": yosys_check, "slang": slang_lint,
}


def lint(files: Sequence[Path], names: Iterable[str] = tuple(LINTERS)) -> list[str]:
    """What the tools named complain of, each line with the tool's name in front. Raises MissingTool."""
    return [f"{name}: {line}" for name in names for line in LINTERS[name](files)]


def _folder(files: Sequence[Path]) -> Path:
    """Where a tool runs: it then names files by themselves."""
    return Path(os.path.commonpath([file.resolve().parent for file in files]))


def _names(files: Sequence[Path]) -> list[str]:
    folder = _folder(files)
    return [str(file.resolve().relative_to(folder)) for file in files]


def _complaints(command: list[str], files: Sequence[Path], says: Callable[[str], bool]) -> list[str]:
    """The lines of a tool's output that complain, each once; its last line where it fails without any."""
    with temporary_folder() as scratch:
        done = tools.run(command, _folder(files), scratch=scratch)
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    found = list(dict.fromkeys(line for line in lines if says(line)))
    if done.returncode and not found:
        found = lines[-1:] or [f"exit status {done.returncode}"]
    return found


def _require_module(name: str) -> None:
    if importlib.util.find_spec(name) is None:
        raise MissingTool(f"{name} is not installed: run `{_TEST_EXTRA}`")


def main() -> None:
    """Lints the files of a command line."""
    parser = argparse.ArgumentParser(prog="lint", description=__doc__)
    parser.add_argument("--tool", action="append", choices=LINTERS, help="only this tool; repeatable")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="one design's modules")
    arguments = parser.parse_args()
    try:
        found = lint(arguments.files, arguments.tool or LINTERS)
    except MissingTool as error:
        raise SystemExit(f"lint: error: {error}") from None
    print("\n".join(found or ["no warnings"]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

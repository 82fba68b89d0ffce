"""Verilator's lint and Icarus's elaboration of a folder of converted files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from myhdl_fsa.convert.regression import require
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["CheckError", "LINTS", "check"]

LINTS = {"verilator": ("--lint-only", "-Wall"), "icarus": ("-g2005", "-Wall")}
"""simulator -> flags; none of them waives a warning"""


class CheckError(Exception):
    """What was converted does not pass; the message is one line with the tool's first complaint."""


def check(folder: Path, top: str, files: Sequence[str], bench: str | None = None) -> None:
    """Lints the modules in ``files``, names in ``folder``, with ``top`` on top, and elaborates them in Icarus.

    ``bench`` is a testbench's file, ``<module>.v``, to check with them. Raises CheckError for any warning, and
    regression.MissingTool.
    """
    _lint(folder, top, files)
    if bench is not None:
        _lint(folder, Path(bench).stem, [*files, bench], timing=["--timing"])


def _lint(folder: Path, top: str, files: Sequence[str], timing: Sequence[str] = ()) -> None:
    verilator, icarus = require("verilator"), require("icarus")
    with temporary_folder() as scratch:
        _silent([verilator, *LINTS["verilator"], *timing, "--top-module", top, *files], folder, scratch)
        _silent([icarus, *LINTS["icarus"], "-o", f"{scratch}/out.vvp", "-s", top, *files], folder, scratch)


def _silent(command: list[str], folder: Path, scratch: Path) -> None:
    """Runs a command that has to have nothing to say."""
    done = tools.run(command, folder, scratch=scratch)
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    if said or done.returncode:
        first = said[0].strip() if said else f"exit status {done.returncode}"
        raise CheckError(f"{Path(command[0]).name}: {first} ({len(said)} lines)" if len(said) > 1
                         else f"{Path(command[0]).name}: {first}")

"""Runs yosys, as the Python package pyosys brings it, on texts of Verilog."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["INSTALL", "YosysError", "require", "run"]

INSTALL = f"{sys.executable} -m pip install -c constraints.txt -e '.[bench]'"
"""what installs it"""

# ABC9 would compare its result with what it was given, which takes minutes and has never found a difference.
_DRIVER = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in ["scratchpad -set abc9.verify false", *sys.stdin.read().splitlines()]:
    libyosys.run_pass(command, design)
"""


class YosysError(RuntimeError):
    """Yosys ended with an error; the message has its last lines."""


def require() -> None:
    """Ends the program with the command that installs yosys where it is missing."""
    if importlib.util.find_spec("pyosys") is None:
        raise SystemExit(f"synthesis: error: yosys is not installed: run `{INSTALL}`")


def run(files: Mapping[str, str], script: Sequence[str], *results: str) -> tuple[str, ...]:
    """Runs a script on files, in a folder and process of their own: the texts of the files it makes, and the log.

    Yosys numbers what it makes, and ABC's result depends on these numbers: a second module in one process, or a path
    in a command, would change the figures by some percent.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for name, text in files.items():
            (folder / name).write_text(text)
        done = subprocess.run([sys.executable, "-c", _DRIVER], input="\n".join(script), cwd=folder, capture_output=True,
                              text=True)
        # a build of yosys whose ABC fails can end early without an error
        if done.returncode or not all((folder / name).exists() for name in results):
            raise YosysError(f"yosys failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return *((folder / name).read_text() for name in results), done.stdout

"""Runs yosys, as the Python package pyosys brings it, on texts of Verilog."""

from __future__ import annotations

import importlib.util
import sys

from myhdl_fsa.fpga.yosys import YosysError, run

__all__ = ["INSTALL", "YosysError", "require", "run"]

INSTALL = f"{sys.executable} -m pip install -c constraints.txt -e '.[bench]'"
"""what installs it"""


def require() -> None:
    """Ends the program with the command that installs yosys where it is missing."""
    if importlib.util.find_spec("pyosys") is None:
        raise SystemExit(f"synthesis: error: yosys is not installed: run `{INSTALL}`")

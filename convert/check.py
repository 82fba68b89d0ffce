"""Verilator's lint and Icarus's elaboration of a folder of converted files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from myhdl_fsa.convert.regression import require
from myhdl_fsa.convert.stubs import stub
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["CheckError", "WAIVED", "check", "check_apart"]

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

_UNROLL = ("--unroll-count", "256")
"""a loop over the lanes of a large array is unrolled, for a delayed assignment in it"""


class CheckError(Exception):
    """What was converted does not pass; the message is one line with the tool's first complaint."""


def check(folder: Path, top: str, files: Sequence[str], bench: str | None = None) -> None:
    """Lints the modules in ``files``, names in ``folder``, with ``top`` on top, and elaborates them in Icarus.

    ``bench`` is a testbench's file, ``<module>.v``, to check with them. Raises CheckError for any warning that is not
    waived, and regression.MissingTool.
    """
    _lint(folder, top, files)
    if bench is not None:
        _lint(folder, Path(bench).stem, [*files, bench], bench=True)


def check_apart(folder: Path, children: Mapping[str, Sequence[str]], bench: str | None = None) -> None:
    """As ``check``, each module by itself with stubs for what it instantiates, which ``children`` names, top last.

    For arrays so large that a tool would take minutes to see thousands of instances of one module.
    """
    texts = {name: (folder / f"{name}.v").read_text() for name in children}
    jobs = [(name, texts[name], list(parts), False) for name, parts in children.items()]
    if bench is not None:
        jobs.append((Path(bench).stem, (folder / bench).read_text(), [list(children)[-1]], True))
    for name, text, parts, is_bench in jobs:
        with temporary_folder() as scratch:
            (scratch / f"{name}.v").write_text(text)
            for part in parts:
                (scratch / f"{part}.v").write_text(stub(texts[part]))
            _lint(scratch, name, [*(f"{part}.v" for part in parts), f"{name}.v"], bench=is_bench)


def _lint(folder: Path, top: str, files: Sequence[str], bench: bool = False) -> None:
    verilator, icarus = require("verilator"), require("icarus")
    waivers = [f"-Wno-{name}" for name in (*WAIVED, *(_BENCH_WAIVED if bench else ()))]
    timing = ["--timing"] if bench else []
    with temporary_folder() as scratch:
        _silent([verilator, "--lint-only", *_UNROLL, *timing, "-Wall", *waivers, "--top-module", top, *files],
                folder, scratch)
        _silent([icarus, "-g2005", "-Wall", "-o", f"{scratch}/out.vvp", "-s", top, *files], folder, scratch)


def _silent(command: list[str], folder: Path, scratch: Path) -> None:
    """Runs a command that has to have nothing to say."""
    done = tools.run(command, folder, scratch=scratch)
    said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    if said or done.returncode:
        first = said[0].strip() if said else f"exit status {done.returncode}"
        raise CheckError(f"{Path(command[0]).name}: {first} ({len(said)} lines)" if len(said) > 1
                         else f"{Path(command[0]).name}: {first}")

"""What is asked of LiteX for a board, and what it answers, between this process and the one that LiteX runs in.

LiteX changes the working folder, prints, and runs compilers, so it gets a process of its own.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from myhdl_fsa.fpga.hierarchy import Hierarchy
from myhdl_fsa.fpga.tools import MissingTool, ToolError
from myhdl_fsa.litex.requirements import COMPILERS, INSTALL
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["ANSWER", "ERROR", "REQUEST", "TOP", "Generated", "GenerationError", "Request", "generate", "require"]

REQUEST, ANSWER, ERROR = "request.json", "answer.json", "error.txt"
"""files in the folder that both processes see"""
TOP = "top"
"""the module of the whole"""


class GenerationError(ToolError):
    """LiteX made no system of this request; the message says why."""


@dataclass(frozen=True)
class Request:
    """A system; frequencies in MHz."""

    board: str
    """by its name"""
    system: float
    accelerator: float
    config: Mapping[str, Any] | None
    """of the accelerator, as its file has it; None: the system has none"""


@dataclass(frozen=True)
class Generated:
    """What LiteX made."""

    verilog: tuple[str, ...]
    """the texts of its modules, the processor's and its own, whose top is ``TOP``"""
    memories: Mapping[str, str]
    """what memories hold at first, by the names of the files that the Verilog reads"""
    accelerator: Hierarchy | None
    constraints: str
    """pins and frequencies, in an .lpf file"""
    domains: tuple[str, ...]
    """of clocks; the net of one has its name and ``_clk``"""
    config: Mapping[str, Any] | None
    """the request's, with the memory that the accelerator has in this system"""
    files: Mapping[str, str]
    """csr.json, csr.h, and config.json where there is an accelerator, by name"""


def require() -> None:
    """Raises MissingTool where LiteX, or the compiler that it needs, is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("litex", "litex_boards", "litedram")):
        raise MissingTool(f"LiteX is not installed: run `{INSTALL}`")
    if not any(shutil.which(f"{prefix}-gcc") for prefix in COMPILERS):
        raise MissingTool("a C compiler for RISC-V is not installed: run `apt-get install gcc-riscv64-unknown-elf`")
    if shutil.which("make") is None:
        raise MissingTool("make is not installed: run `apt-get install make`")


def generate(request: Request) -> Generated:
    """Has LiteX make the Verilog, with its software compiled into the ROM. Raises GenerationError and OSError."""
    with temporary_folder() as folder:
        (folder / REQUEST).write_text(json.dumps(asdict(request)))
        command = [sys.executable, "-m", "myhdl_fsa.fpga.system.generate"]
        done = tools.run(command, folder, scratch=folder)
        if done.returncode:
            raise GenerationError(_reason(folder, done.stdout + done.stderr))
        answer = json.loads((folder / ANSWER).read_text())
        return Generated(
            tuple(Path(name).read_text() for name in answer["verilog"]),
            {Path(name).name: Path(name).read_text() for name in answer["memories"]},
            Hierarchy({Path(name).stem: Path(name).read_text() for name in answer["accelerator"]})
            if answer["accelerator"] else None,
            Path(answer["constraints"]).read_text(),
            tuple(answer["domains"]),
            answer["config"],
            {Path(name).name: Path(name).read_text() for name in answer["files"]},
        )


def _reason(folder: Path, printed: str) -> str:
    if (folder / ERROR).exists():
        return (folder / ERROR).read_text()
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"(?i)\berror\b", line)]
    return f"LiteX: {[*errors, *lines[-1:], 'ended without a word'][0]}"

"""All that is needed to repeat a run, as the object ``run`` of fsa-sim's JSON."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from myhdl_fsa.program import Timing

__all__ = [
    "InputFile",
    "PACKAGES",
    "RunRecord",
    "TOOLS",
    "input_files",
    "program_dict",
    "timing_dict",
    "tool_versions",
    "versions",
]

PACKAGES = {"myhdl_fsa": "myhdl-fsa", "numpy": "numpy", "torch": "torch", "myhdl": "myhdl"}
_VERSION_FLAGS = {"verilator": "--version", "iverilog": "-V"}
TOOLS = {"verilator": "verilator", "icarus": "iverilog"}
"""the program behind an engine"""


@dataclass(frozen=True)
class InputFile:
    """A file that the run read."""

    option: str
    path: str
    """absolute"""
    sha256: str | None
    """of its bytes, before the run; None for what cannot be read twice, as a pipe"""


@dataclass(frozen=True)
class RunRecord:
    """The object ``run``; its fields are the keys of the JSON."""

    versions: dict[str, str | None]
    """``python`` and the packages ``myhdl_fsa``, ``numpy``, ``torch`` and ``myhdl``; null for one not installed"""
    tools: dict[str, str]
    """what ``verilator --version`` or ``iverilog -V`` says, of those that the run used"""
    options: dict[str, str | bool | list[str]]
    """the options in effect, defaults too, as they are written on the command line: a flag is true, an option that may
    be repeated a list of its values"""
    inputs: list[InputFile]
    """every file read"""
    tensors: dict[str, Any] | None
    """of attention: ``source``, ``generated`` with ``seed`` and ``distribution``, or ``files``; and the values that are
    not finite in the input format: ``overflowed`` to Inf, ``infinite`` and ``nan`` before. Null for a program"""
    timing: dict[str, Any] | None
    """of the device's memory and host: cycles, and beats a cycle as fractions; null where no device is simulated"""
    program: dict[str, Any] | None
    """``words``, their count, and ``sha256``, of the instruction words as little-endian 32-bit numbers; both by
    dataflow where several are compared; null where no program runs"""
    wall_seconds: float
    """from the command's start until this was written"""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def versions() -> dict[str, str | None]:
    """As RunRecord."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name, package in PACKAGES.items():
        try:
            found[name] = version(package)
        except PackageNotFoundError:
            found[name] = None
    return found


def tool_versions(engines: Sequence[str | None]) -> dict[str, str]:
    """The first line that each tool behind ``engines`` says of its version."""
    found = {}
    for tool in sorted({TOOLS[name] for name in engines if name in TOOLS}):
        path = shutil.which(tool)
        if path is None:
            continue
        command = [path, _VERSION_FLAGS[tool]]
        said = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
        found[tool] = said.strip().splitlines()[0].strip() if said.strip() else "unknown"
    return found


def input_files(paths: Sequence[tuple[str, Path]]) -> list[InputFile]:
    """Option and file of each input, with its hash. Raises OSError for one that cannot be read."""
    found = []
    for name, path in paths:
        digest = None
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.append(InputFile(name, str(path.absolute()), digest))
    return found


def timing_dict(timing: Timing) -> dict[str, Any]:
    """As RunRecord."""
    values: Mapping[str, Any] = asdict(timing)
    return {name: str(value) if name.endswith("bandwidth") else value for name, value in values.items()}


def program_dict(words: Sequence[int]) -> dict[str, Any]:
    """As RunRecord."""
    return {"words": len(words), "sha256": hashlib.sha256(np.array(words, "<u4").tobytes()).hexdigest()}

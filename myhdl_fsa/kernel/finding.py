"""What the checker reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Origin"]


@dataclass(frozen=True)
class Origin:
    """Where an instruction was written: a line of a Python function, or of a text for the assembler."""

    line: int
    file: str = ""
    """empty for a text"""
    function: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}" if self.file else f"line {self.line}"


@dataclass(frozen=True)
class Finding:
    """Something wrong (error), or something that is hardly meant (warning)."""

    severity: Literal["error", "warning"]
    index: int | None
    """number of the instruction, from 0; None for a program without any"""
    message: str
    """one line"""
    remedy: str = ""
    """what would mend it, one line in the imperative"""
    origin: Origin | None = None
    """where the instruction was written, if that is known"""

    @property
    def text(self) -> str:
        """All of it but the severity, on one line."""
        where = "program" if self.index is None else f"instruction {self.index}"
        where += "" if self.origin is None else f" ({self.origin})"
        return f"{where}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")

    def __str__(self) -> str:
        return f"{self.severity}: {self.text}"

"""What the checker reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """Something wrong (error), or something that is hardly meant (warning)."""

    severity: Literal["error", "warning"]
    index: int
    """number of the instruction, from 0"""
    message: str
    """one line"""

    def __str__(self) -> str:
        return f"{self.severity}: instruction {self.index}: {self.message}"

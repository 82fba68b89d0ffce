"""The registers of a device as IP-XACT has them: where, what for, who may read and write, and what a reset leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from myhdl_fsa.config import Config
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.scale import Scale
from myhdl_fsa.workbench.c_header.attribute_docs import attribute_docs

__all__ = ["RegisterEntry", "registers"]


@dataclass(frozen=True)
class RegisterEntry:
    """A register."""

    name: str
    offset: int
    """bytes"""
    meaning: str
    access: str
    """as IP-XACT has it: ``read-only``, ``write-only`` or ``read-write``"""
    reset: int = 0


def registers(config: Config) -> Iterator[RegisterEntry]:
    """The hardware's own table, in its order, for a device of ``config``."""
    said, scale = attribute_docs(Register), Scale.of(config)
    resets = {Register.WATCHDOG: WATCHDOG_CYCLES, Register.SCALE_ELEM: scale.elem, Register.SCALE_ACC: scale.acc}
    for register in Register:
        meaning = said[register.name]
        yield RegisterEntry(register.name, int(register), meaning, _access(meaning), resets.get(register, 0))


def _access(meaning: str) -> str:
    """By how the table begins what it says: ``read: ...``, ``read: ...; write of ...``, ``write: ...``, or neither."""
    if meaning.startswith("write"):
        return "write-only"
    return "read-only" if meaning.startswith("read:") and "write" not in meaning else "read-write"

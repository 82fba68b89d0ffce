"""Where a SoC has the device and its memory, as LiteX writes it to ``csr.json``, and which machine the device is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from myhdl_fsa.config import Config, ConfigError
from myhdl_fsa.program import Region

__all__ = ["CONSTANT", "DEVICE", "HARDWARE", "MEMORY", "MOST_BYTES", "Soc", "SocError"]

DEVICE, MEMORY = "fsa", "main_ram"
"""names of the device's registers and of its memory among ``memories``"""
CONSTANT = "fsa_config_"
"""what the constants begin with that have a field of the device's Config"""
HARDWARE = ("rows", "elem", "acc", "dataflow", "reciprocal", "exp2_pieces", "instruction_queue", "matrix_queue",
            "beat_bytes", "scratchpad_rows", "accumulator_rows")
"""fields of which a program or its result is made"""
MOST_BYTES = 1 << 24
"""of a ``csr.json``"""


class SocError(ValueError):
    """A ``csr.json`` that cannot be used, or a Config that is not the SoC's; the message is one line."""


_ADDRESSES = 1 << 32
"""of a bridge's bus, in bytes"""
_Address = Annotated[int, Field(ge=0, lt=_ADDRESSES)]


class _Register(BaseModel):
    addr: _Address


class _Memory(BaseModel):
    base: _Address
    size: Annotated[int, Field(gt=0)]


class _CsrJson(BaseModel):
    csr_registers: dict[str, _Register] = {}
    constants: dict[str, Any] = {}
    memories: dict[str, _Memory] = {}


@dataclass(frozen=True)
class Soc:
    """A SoC with the device in it; addresses in bytes."""

    registers: int
    """first address of the device's registers"""
    memory: Region
    """what the device can load and store"""
    scratch: int | None = None
    """address of LiteX's scratch register, by which a line is tried"""
    clock: int | None = None
    """Hz"""
    machine: tuple[tuple[str, str | int], ...] = ()
    """fields of the device's Config, of ``HARDWARE``, as far as the SoC says them"""

    @classmethod
    def read(cls, path: Path) -> Soc:
        """From a ``csr.json``. Raises SocError."""
        try:
            with path.open("rb") as file:
                text = file.read(MOST_BYTES)
        except (OSError, ValueError) as error:
            raise SocError(f"cannot read: {getattr(error, 'strerror', None) or error}") from None
        try:
            found = _CsrJson.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise SocError(f"is not LiteX's csr.json: {f'{place}: ' if place else ''}{first['msg']}") from None
        for name, what in ((DEVICE, "the device's registers"), (MEMORY, "its memory")):
            if name not in found.memories:
                raise SocError(f"has no {name} among its memories, {what}: is another SoC's")
            if found.memories[name].base + found.memories[name].size > _ADDRESSES:
                raise SocError(f"{name} reaches beyond the addresses of 32 bits that a bridge has")
        memory, scratch = found.memories[MEMORY], found.csr_registers.get("ctrl_scratch")
        clock = found.constants.get("config_clock_frequency")
        return cls(found.memories[DEVICE].base, Region(memory.base, memory.size),
                   None if scratch is None else scratch.addr, clock if isinstance(clock, int) else None,
                   tuple((field, found.constants[CONSTANT + field]) for field in HARDWARE
                         if CONSTANT + field in found.constants))

    def place(self, config: Config) -> Config:
        """The same machine with the SoC's memory: its upper half, since software is at the beginning.

        Raises SocError for a Config that is not the device's, or a memory that it cannot have.
        """
        for field, theirs in self.machine:
            ours = getattr(config, field)
            if str(ours).lower() != str(theirs).lower():
                raise SocError(f"{field} is {ours}, and {theirs} in the SoC's device")
        half = self.memory.size // 2
        try:
            return config.replace(memory_base=self.memory.address + half, memory_size=half)
        except ConfigError as error:
            raise SocError(f"the SoC's memory of {self.memory.size} bytes cannot be the machine's: {error}") from None

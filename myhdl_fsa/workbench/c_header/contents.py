"""What the C header says, read from the tables of the hardware: groups of constants, and the instructions' fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from myhdl_fsa.config import DATAFLOWS, Config
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.isa import KIND, KINDS, SEMAPHORE_VALUES, SEMAPHORES, Field, Function, Instruction, Kind, Transfer
from myhdl_fsa.program import ErrorCode, State
from myhdl_fsa.scale import Scale
from myhdl_fsa.workbench.c_header.attribute_docs import attribute_docs

__all__ = ["Constant", "Group", "InstructionField", "InstructionKind", "groups", "instruction_kinds"]

_ENUMERATIONS = {ErrorCode: "ERROR", Function: "FUNCTION", Transfer: "TRANSFER"}
"""those that docstrings name -> what their constants begin with"""


@dataclass(frozen=True)
class Constant:
    """A macro; its name is without the prefix, its value as C has it."""

    name: str
    value: str
    meaning: str = ""
    """one line, or nothing"""


@dataclass(frozen=True)
class Group:
    """Constants that belong together."""

    title: str
    constants: tuple[Constant, ...]


@dataclass(frozen=True)
class InstructionField:
    """A member of an instruction's structure."""

    name: str
    meaning: str
    field: Field

    @property
    def signed(self) -> bool:
        """Whether it holds negative values."""
        return self.field.signed

    @property
    def divided(self) -> bool:
        """Whether its high bits stand apart."""
        return self.field.high_part is not None

    @property
    def type(self) -> str:
        """The C type that holds every value."""
        return f"{'' if self.signed else 'u'}int{64 if self.field.total_width > 32 else 32}_t"

    @property
    def constants(self) -> Iterator[Constant]:
        """Where it stands and what it may be; bit 32*w + b of an instruction is bit b of word w."""
        name = self.name.upper()
        yield Constant(f"{name}_LOW", _number(self.field.low))
        yield Constant(f"{name}_WIDTH", _number(self.field.width))
        if self.field.high_part is not None:
            low, width = self.field.high_part
            yield Constant(f"{name}_HIGH_LOW", _number(low))
            yield Constant(f"{name}_HIGH_WIDTH", _number(width))
        allowed = self.field.allowed
        if self.signed:
            yield Constant(f"{name}_MIN", f"({allowed[0]})")
        yield Constant(f"{name}_MAX", str(allowed[-1]) if self.signed else _number(allowed[-1]))


@dataclass(frozen=True)
class InstructionKind:
    """An instruction's structure."""

    name: str
    meaning: str
    words: int
    fields: tuple[InstructionField, ...]


def groups(config: Config) -> list[Group]:
    """The constants of a device of ``config``, apart from the instructions' fields. Raises OSError, without sources."""
    return [
        Group("The configuration.", tuple(_configuration(config))),
        Group("The dataflow: 1 for the one that this device has.", tuple(
            Constant(f"DATAFLOW_{name.upper()}", _number(int(name == config.dataflow))) for name in DATAFLOWS)),
        Group("Byte offsets of the registers, each of 32 bits.", tuple(_members("REGISTER", Register, "0x{:02X}u"))),
        Group("The state register.", tuple(_members("STATE", State))),
        Group("The error register.", tuple(_members("ERROR", ErrorCode))),
        Group("The type field of every instruction, and where it stands.", (
            *_members("KIND", Kind), Constant("KIND_LOW", _number(KIND.low)),
            Constant("KIND_WIDTH", _number(KIND.width)))),
        Group("The function field of a matrix instruction.", tuple(_members("FUNCTION", Function))),
        Group("The function field of a DMA instruction.", tuple(_members("TRANSFER", Transfer))),
    ]


def instruction_kinds() -> list[InstructionKind]:
    """The instructions, fields in the order of ``isa``. Raises OSError, without sources."""
    return [_instruction_kind(Kind(number), cls) for number, cls in KINDS.items()]


def _instruction_kind(kind: Kind, cls: type[Instruction]) -> InstructionKind:
    docs = attribute_docs(cls)
    fields = tuple(InstructionField(name, _in_c(docs[name]), field) for name, field in cls.LAYOUT.items())
    meaning = " ".join((cls.__doc__ or "").split()).replace("``", "")
    return InstructionKind(kind.name.lower(), meaning, cls.WORDS, fields)


def _configuration(config: Config) -> Iterator[Constant]:
    scale = Scale.of(config)
    yield Constant("N", _number(config.rows), "rows and columns of the array, queries and keys of a tile")
    for what, fmt in (("ELEM", config.elem), ("ACC", config.acc)):
        of = "of Q, K and V" if what == "ELEM" else "of O"
        yield Constant(f"{what}_BITS", _number(fmt.width), f"bits of a value {of}, {fmt}")
        yield Constant(f"{what}_EXPONENT_BITS", _number(fmt.exponent_bits))
        yield Constant(f"{what}_MANTISSA_BITS", _number(fmt.mantissa_bits))
        yield Constant(f"{what}_BYTES", _number(fmt.memory_bytes), f"bytes in memory of a value {of}")
    yield Constant("MEMORY_PORTS", _number(config.memory_ports), "AXI4 managers")
    yield Constant("BEAT_BYTES", _number(config.beat_bytes),
                   "bytes of an AXI4 beat; addresses and strides are multiples")
    yield Constant("MEMORY_BASE", _address(config.memory_base), "first byte address of the memory")
    yield Constant("MEMORY_SIZE", _address(config.memory_size), "bytes of the memory")
    yield Constant("MEMORY_ALIGN", _number(config.memory_align), "bytes: alignment of a tensor in memory")
    yield Constant("SCRATCHPAD_ROWS", _number(config.scratchpad_rows), "rows of the scratchpad")
    yield Constant("SCRATCHPAD_ROW_BYTES", _number(config.scratchpad_row_bytes),
                   "bytes of a scratchpad row: size of a load")
    yield Constant("ACCUMULATOR_ROWS", _number(config.accumulator_rows), "rows of the accumulator RAM")
    yield Constant("ACCUMULATOR_ROW_BYTES", _number(config.accumulator_row_bytes),
                   "bytes of a row of the accumulator RAM: size of a store")
    yield Constant("INSTRUCTION_QUEUE_WORDS", _number(config.instruction_queue),
                   "words that the instruction queue holds")
    yield Constant("SEMAPHORES", _number(SEMAPHORES), "semaphores, numbered from 0")
    yield Constant("SEMAPHORE_VALUES", _number(SEMAPHORE_VALUES), "a semaphore's value is below this")
    yield Constant("WATCHDOG_RESET", _number(WATCHDOG_CYCLES), "the watchdog register after a reset, in cycles")
    yield Constant("SCALE_ELEM_RESET", f"0x{scale.elem:X}u", "the scale registers after a reset by the signal")
    yield Constant("SCALE_ACC_RESET", f"0x{scale.acc:X}u")


def _members(group: str, enumeration: type[IntEnum], form: str = "{}u") -> Iterator[Constant]:
    docs = attribute_docs(enumeration)
    for member in enumeration:
        yield Constant(f"{group}_{member.name}", form.format(member.value), _in_c(docs.get(member.name, "")))


def _in_c(text: str) -> str:
    """A docstring with the names of C's constants for those of their classes."""
    for cls, group in _ENUMERATIONS.items():
        text = re.sub(rf"(a )?(\w+\.)?\b{cls.__name__}\b", f"{group}_...", text)
    return text


def _number(value: int) -> str:
    return f"{value}u" if value < 1 << 32 else f"UINT64_C({value})"


def _address(value: int) -> str:
    return f"UINT64_C(0x{value:X})"

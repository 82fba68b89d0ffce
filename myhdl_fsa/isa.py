"""The instruction words: one table of fields that the assembler, the disassembler and the hardware's decoder all read.

An instruction is a whole number of 32-bit words, the first word first; here it is one integer whose bit 32*w + b is
bit b of word w. Source: docs/specification.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import ClassVar

__all__ = [
    "Dma",
    "Fence",
    "Field",
    "Function",
    "Instruction",
    "InstructionError",
    "KIND",
    "KINDS",
    "Kind",
    "Layout",
    "MEMORY_ADDRESS_WIDTH",
    "Matrix",
    "SEMAPHORES",
    "SEMAPHORE_VALUES",
    "Transfer",
    "WORD_WIDTH",
    "decode",
    "decode_all",
    "encode",
    "encode_all",
]

WORD_WIDTH = 32
SEMAPHORES = 32
SEMAPHORE_VALUES = 8
MEMORY_ADDRESS_WIDTH = 39
"""bits of a byte address"""


class InstructionError(ValueError):
    """A field out of its range, or words that are no instruction; the message is one line."""


class Kind(IntEnum):
    """The type field."""

    FENCE = 0
    MATRIX = 1
    DMA = 2


class Function(IntEnum):
    """The function field of a matrix instruction (docs/specification.md section 4)."""

    LOAD_STATIONARY = 0
    """a tile of Q moves into the array, a query a column"""
    ATTN_SCORE = 1
    """S = Q K^T, the running maximum, P = exp2 of what is left, and the row sums L"""
    ATTN_VALUE = 2
    """O = O * factor + P V, a row of V^T a cycle"""
    ACC_RECIPROCAL = 3
    """1 / L in every column's accumulator"""
    ATTN_LSE_NORM = 4
    """O times that"""


class Transfer(IntEnum):
    """The function field of a DMA instruction."""

    LOAD = 0
    """memory to scratchpad"""
    STORE = 1
    """accumulator RAM to memory"""


@dataclass(frozen=True)
class Field:
    """Bits of an instruction; a field of two parts has its high bits at ``high_part`` = (lowest bit, width)."""

    low: int
    width: int
    signed: bool = False
    high_part: tuple[int, int] | None = None

    @property
    def total_width(self) -> int:
        """Bits of the value."""
        return self.width + (self.high_part[1] if self.high_part else 0)

    @property
    def allowed(self) -> range:
        """The values it holds."""
        size = 1 << self.total_width
        return range(-size // 2, size // 2) if self.signed else range(size)

    def insert(self, value: int) -> int:
        """The value at its place."""
        bits = (value & ((1 << self.width) - 1)) << self.low
        if self.high_part:
            low, width = self.high_part
            bits |= ((value >> self.width) & ((1 << width) - 1)) << low
        return bits

    def extract(self, bits: int) -> int:
        """The value in an instruction."""
        value = (bits >> self.low) & ((1 << self.width) - 1)
        if self.high_part:
            low, width = self.high_part
            value |= ((bits >> low) & ((1 << width) - 1)) << self.width
        if self.signed and value >> (self.total_width - 1):
            value -= 1 << self.total_width
        return value


Layout = Mapping[str, Field]


def _at(word: int, high: int, low: int, signed: bool = False) -> Field:
    return Field(WORD_WIDTH * word + low, high - low + 1, signed)


KIND = _at(0, 31, 29)
_SEMAPHORE = {
    "semaphore": _at(0, 28, 24), "acquire": _at(0, 23, 23), "acquire_value": _at(0, 22, 20),
    "release": _at(0, 19, 19), "release_value": _at(0, 18, 16),
}


@dataclass(frozen=True)
class Fence:
    """Waits until the matrix unit or the DMA has nothing left to do; with ``stop`` the device is done then."""

    matrix: int = 0
    """wait until matrix queue and matrix unit are empty"""
    dma: int = 0
    """wait until all loads and stores are over, the last write response included"""
    stop: int = 0
    """then the device is done, state 2; it takes no word after this one"""

    KIND: ClassVar[Kind] = Kind.FENCE
    WORDS: ClassVar[int] = 1
    LAYOUT: ClassVar[Layout] = {"matrix": _at(0, 28, 28), "dma": _at(0, 27, 27), "stop": _at(0, 26, 26)}


@dataclass(frozen=True)
class Matrix:
    """Work for the array. Rows and strides are in rows of the scratchpad and the accumulator RAM."""

    function: int
    """what to do: a ``Function``"""
    semaphore: int = 0
    """which one"""
    acquire: int = 0
    """wait for it before the start"""
    acquire_value: int = 0
    """the value to wait for"""
    release: int = 0
    """give it back when the operands are free again"""
    release_value: int = 0
    """the value it then has"""
    wait_idle: int = 0
    """start only when the array is idle (published: waitPrevAcc)"""
    scratchpad_row: int = 0
    """first row read"""
    scratchpad_stride: int = 0
    """rows from one row read to the next"""
    reverse_in: int = 0
    """turn a row round before the skew"""
    reverse_out: int = 0
    """turn it round after the skew"""
    delay: int = 0
    """skew it"""
    accumulator_row: int = 0
    """first row of the accumulator RAM"""
    accumulator_stride: int = 0
    """rows of the accumulator RAM from one to the next"""
    zero: int = 0
    """the old value is +0, whatever the RAM holds"""
    causal: int = 0
    """of an ATTN_SCORE: later keys are hidden; stream has it in ATTN_VALUE too: an ATTN_SCORE follows"""
    hidden: int = 0
    """of an ATTN_SCORE: keys at the end of the tile whose scores are -Inf (published: 0)"""

    KIND: ClassVar[Kind] = Kind.MATRIX
    WORDS: ClassVar[int] = 3
    LAYOUT: ClassVar[Layout] = {
        "function": _at(0, 15, 11), **_SEMAPHORE, "wait_idle": _at(0, 10, 10),
        "hidden": _at(0, 7, 0),
        "scratchpad_row": _at(1, 31, 12), "scratchpad_stride": _at(1, 11, 7, signed=True),
        "reverse_in": _at(1, 6, 6), "reverse_out": _at(1, 5, 5), "delay": _at(1, 4, 4),
        "accumulator_row": _at(2, 31, 12), "accumulator_stride": _at(2, 11, 7, signed=True),
        "zero": _at(2, 6, 6), "causal": _at(2, 5, 5),
    }


@dataclass(frozen=True)
class Dma:
    """Moves rows between memory (bytes) and the scratchpad or the accumulator RAM (rows)."""

    function: int
    """what to do: a ``Transfer``"""
    semaphore: int = 0
    """which one"""
    acquire: int = 0
    """wait for it before the first row"""
    acquire_value: int = 0
    """the value to wait for"""
    release: int = 0
    """give it back when every row has arrived"""
    release_value: int = 0
    """the value it then has"""
    rows: int = 0
    """how many; 0 is allowed"""
    row: int = 0
    """first row of the scratchpad or the accumulator RAM"""
    stride: int = 0
    """rows from one row to the next"""
    accumulator: int = 0
    """1: the accumulator RAM, 0: the scratchpad"""
    memory_stride: int = 0
    """bytes from one row to the next"""
    address: int = 0
    """of the first row in memory, in bytes"""
    size: int = 0
    """bytes a row"""

    KIND: ClassVar[Kind] = Kind.DMA
    WORDS: ClassVar[int] = 4
    LAYOUT: ClassVar[Layout] = {
        "function": _at(0, 15, 12), **_SEMAPHORE, "rows": _at(0, 11, 3),
        "row": _at(1, 31, 12), "stride": _at(1, 11, 7, signed=True), "accumulator": _at(1, 6, 6),
        "memory_stride": Field(WORD_WIDTH * 2 + 10, 15, signed=True, high_part=(WORD_WIDTH, 6)),
        "address": Field(WORD_WIDTH * 2 + 25, MEMORY_ADDRESS_WIDTH), "size": _at(2, 9, 0),
    }


Instruction = Fence | Matrix | Dma
KINDS: dict[int, type[Instruction]] = {kind.KIND: kind for kind in (Fence, Matrix, Dma)}


# What ``encode`` needs of each field, worked out once: a kernel has many instructions.
_TABLES = {
    kind: tuple((name, field, field.allowed, (1 << field.width) - 1, field.low) for name, field in kind.LAYOUT.items())
    for kind in KINDS.values()
}


def encode(instruction: Instruction) -> list[int]:
    """The instruction's words. Raises InstructionError naming a field that does not fit."""
    return list(_words(instruction))


@lru_cache(maxsize=1 << 16)  # a kernel encodes each instruction to check it, and again to give its words
def _words(instruction: Instruction) -> tuple[int, ...]:
    bits = KIND.insert(instruction.KIND)
    for name, field, allowed, mask, low in _TABLES[type(instruction)]:
        value = getattr(instruction, name)
        if value not in allowed:
            raise InstructionError(f"{type(instruction).__name__.lower()} instruction: {name} = {value}: "
                                   f"must be from {allowed[0]} to {allowed[-1]}")
        bits |= (int(value) & mask) << low if field.high_part is None else field.insert(int(value))
    return tuple(bits >> (WORD_WIDTH * word) & 0xFFFF_FFFF for word in range(instruction.WORDS))


def decode(words: Sequence[int]) -> Instruction:
    """The instruction that ``words`` are, bits that no field uses ignored. Raises InstructionError."""
    kind = KIND.extract(words[0]) if words else None
    if kind not in KINDS:
        what = "no words" if kind is None else f"word {words[0]:#010x}: type {kind}"
        raise InstructionError(f"{what}: must be one of {', '.join(f'{k.value} ({k.name.lower()})' for k in Kind)}")
    cls = KINDS[kind]
    if len(words) != cls.WORDS:
        raise InstructionError(f"{len(words)} words: a {cls.__name__.lower()} instruction has {cls.WORDS}")
    bits = sum(word << (WORD_WIDTH * index) for index, word in enumerate(words))
    return cls(**{name: field.extract(bits) for name, field in cls.LAYOUT.items()})


def decode_all(words: Sequence[int]) -> Iterator[Instruction]:
    """Each instruction of a program. Raises InstructionError, saying at which word, for a bad or cut one."""
    at = 0
    while at < len(words):
        cls = KINDS.get(KIND.extract(words[at]))
        count = 1 if cls is None else cls.WORDS
        try:
            yield decode(words[at:at + count])
        except InstructionError as error:
            raise InstructionError(f"word {at}: {error}") from None
        at += count


def encode_all(instructions: Iterable[Instruction]) -> list[int]:
    """The words of a program. Raises InstructionError, saying of which instruction."""
    words: list[int] = []
    for index, instruction in enumerate(instructions):
        try:
            words += encode(instruction)
        except InstructionError as error:
            raise InstructionError(f"instruction {index}: {error}") from None
    return words



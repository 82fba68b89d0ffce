"""What one instruction touches and why the decoder would refuse it, in the order in which the hardware looks.

Source: docs/specification.md section 4; the row counts come from the execution plans.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import operand_rows, part, rows_read
from myhdl_fsa.isa import (
    KIND,
    KINDS,
    MEMORY_ADDRESS_WIDTH,
    Dma,
    Fence,
    Function,
    Instruction,
    InstructionError,
    Matrix,
    Transfer,
    decode,
)
from myhdl_fsa.kernel.remedies import Remedy
from myhdl_fsa.program import ErrorCode

__all__ = [
    "Illegal",
    "NO_ROWS",
    "Refusal",
    "Rows",
    "accumulator_rows",
    "faults",
    "memory_rows",
    "outside_memory",
    "parse",
    "refusals",
    "scratchpad_rows",
]

Rows = npt.NDArray[np.int64]
"""row numbers, in the order in which they are used"""
NO_ROWS: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class Illegal:
    """Words that are no instruction."""

    message: str
    code: ErrorCode | None = ErrorCode.ILLEGAL_TYPE
    """None for an instruction whose last words are missing: the device waits for them"""
    part: Instruction | None = None
    """such an instruction, as far as it goes"""


class Refusal(NamedTuple):
    """Why the decoder refuses an instruction, and what would mend it."""

    code: ErrorCode
    message: str
    remedy: str


@dataclass(frozen=True)
class _RowCounts:
    """Rows that a matrix function reads, worked out once."""

    scratchpad: int
    accumulator: int
    operands: range
    """where those of the scratchpad may lie"""


@lru_cache(maxsize=64)
def _row_counts(config: Config) -> dict[int, _RowCounts]:
    """By function; a function that is not there has no plan."""
    operands = operand_rows(config)
    return {function: _RowCounts(*rows, operands[function]) for function, rows in rows_read(config).items()}


def parse(words: Sequence[int]) -> Iterator[Instruction | Illegal]:
    """The instructions of a program, a bad one as Illegal; a type that is none takes up one word."""
    at = 0
    while at < len(words):
        kind = KINDS.get(KIND.extract(words[at]))
        count = 1 if kind is None else kind.WORDS
        if at + count > len(words):
            missing = at + count - len(words)
            part = decode([*words[at:], *[0] * missing])
            yield Illegal(f"the last instruction lacks {missing} of its {count} words", None, part)
        else:
            try:
                yield decode(words[at:at + count])
            except InstructionError as error:
                yield Illegal(str(error))
        at += count


def scratchpad_rows(instruction: Instruction, config: Config) -> Rows:
    """Scratchpad rows that the instruction reads or writes."""
    match instruction:
        case Matrix():
            count = _row_counts(config)[instruction.function].scratchpad
            return _rows(instruction.scratchpad_row, instruction.scratchpad_stride, count)
        case Dma(accumulator=0):
            return _rows(instruction.row, instruction.stride, instruction.rows)
    return NO_ROWS


def accumulator_rows(instruction: Instruction, config: Config) -> Rows:
    """Accumulator RAM rows that the instruction reads or writes."""
    match instruction:
        case Matrix():
            count = _row_counts(config)[instruction.function].accumulator
            return _rows(instruction.accumulator_row, instruction.accumulator_stride, count)
        case Dma(accumulator=1):
            return _rows(instruction.row, instruction.stride, instruction.rows)
    return NO_ROWS


def memory_rows(instruction: Dma) -> Rows:
    """Byte addresses of the rows in memory; addresses wrap round after 39 bits."""
    addresses = _rows(instruction.address, instruction.memory_stride, instruction.rows)
    return addresses & ((1 << MEMORY_ADDRESS_WIDTH) - 1)


def outside_memory(instruction: Dma, config: Config) -> Rows:
    """Those of ``memory_rows`` that do not lie in memory whole."""
    addresses = memory_rows(instruction)
    end = config.memory_base + config.memory_size - instruction.size
    return addresses[(addresses < config.memory_base) | (addresses > end)]


def _rows(first: int, stride: int, count: int) -> Rows:
    return first + stride * np.arange(count, dtype=np.int64)


def faults(instruction: Instruction | Illegal, config: Config) -> Iterator[Refusal]:
    """Why the decoder refuses an instruction, the reason that it gives first; nothing for one that it takes.

    A DMA instruction of no rows is taken when its row size, address and strides are right.
    """
    match instruction:
        case Illegal(code=ErrorCode()):
            yield Refusal(ErrorCode.ILLEGAL_TYPE, instruction.message, Remedy.TYPE.fill())
        case Matrix():
            yield from _matrix_faults(instruction, config)
        case Dma():
            yield from _dma_faults(instruction, config)


def refusals(program: Iterable[Instruction | Illegal], config: Config) -> Iterator[tuple[int, Refusal]]:
    """``faults`` of each instruction of a program, and what must not come where it stands, with its number."""
    make = part(config, "rules").ORDER
    order = None if make is None else make(config)
    for index, item in enumerate(program):
        refused = False
        for refusal in faults(item, config):
            yield index, refusal
            refused = True
        if order is None or refused or isinstance(item, Illegal):
            continue
        message = None
        if isinstance(item, Matrix):
            message = order.fault(item)
            if message is None:
                order.take(item)
        elif isinstance(item, Fence) and order.announced:
            message = ("fence after an ATTN_VALUE that announces an ATTN_SCORE (causal 1): "
                       "must come after that ATTN_SCORE")
        if message is not None:
            yield index, Refusal(ErrorCode.ORDER, message, Remedy.ORDER.fill())


def _matrix_faults(instruction: Matrix, config: Config) -> Iterator[Refusal]:
    known = _row_counts(config)
    if instruction.function not in known:
        names = ", ".join(f"{f.value} ({f.name})" for f in Function if f in known)
        yield Refusal(ErrorCode.ILLEGAL_FUNCTION, f"matrix function {instruction.function}: must be one of {names}",
                      Remedy.FUNCTION.fill())
        return
    rows, everywhere = scratchpad_rows(instruction, config), range(config.scratchpad_rows)
    outside = list(_row_fault(rows, everywhere, False))
    yield from outside
    yield from _row_fault(accumulator_rows(instruction, config), range(config.accumulator_rows), True)
    if instruction.function == Function.ATTN_SCORE and instruction.hidden >= config.rows:
        yield Refusal(ErrorCode.HIDDEN_KEYS, f"{instruction.hidden} hidden keys: must be from 0 to {config.rows - 1}, "
                                             "one key of the tile counts", Remedy.HIDDEN.fill())
    if not outside:
        yield from _row_fault(rows, known[instruction.function].operands, False)


def _dma_faults(instruction: Dma, config: Config) -> Iterator[Refusal]:
    match instruction.function, instruction.accumulator:
        case (Transfer.LOAD, 1):
            yield Refusal(ErrorCode.ILLEGAL_FUNCTION, "load into the accumulator RAM: must go to the scratchpad",
                          Remedy.LOAD_TARGET.fill())
            return
        case (Transfer.STORE, 0):
            yield Refusal(ErrorCode.ILLEGAL_FUNCTION, "store from the scratchpad: must come from the accumulator RAM",
                          Remedy.STORE_SOURCE.fill())
            return
        case (Transfer.LOAD | Transfer.STORE, _):
            pass
        case _:
            yield Refusal(ErrorCode.ILLEGAL_FUNCTION,
                          f"DMA function {instruction.function}: must be 0 (load) or 1 (store)",
                          Remedy.FUNCTION.fill())
            return
    accumulator = bool(instruction.accumulator)
    row_bytes = config.accumulator_row_bytes if accumulator else config.scratchpad_row_bytes
    if instruction.size != row_bytes:
        yield Refusal(ErrorCode.ROW_SIZE, f"rows of {instruction.size} bytes: must be {row_bytes}, "
                                          f"a row of the {_ram(accumulator)}", Remedy.ROW_SIZE.fill(size=row_bytes))
    beat = config.beat_bytes
    for what, value, remedy in ((f"address {instruction.address:#x}", instruction.address, Remedy.ADDRESS),
                                (f"stride {instruction.memory_stride}", instruction.memory_stride,
                                 Remedy.MEMORY_STRIDE)):
        if value % beat:
            yield Refusal(ErrorCode.MISALIGNED, f"memory {what}: must be a multiple of {beat} bytes, a beat",
                          remedy.fill(beat=beat))
    limit = config.accumulator_rows if accumulator else config.scratchpad_rows
    rows = _rows(instruction.row, instruction.stride, instruction.rows)
    yield from _row_fault(rows, range(limit), accumulator)


def _row_fault(rows: Rows, allowed: range, accumulator: bool) -> Iterator[Refusal]:
    if rows.size and not (allowed.start <= min(rows[0], rows[-1]) and max(rows[0], rows[-1]) < allowed.stop):
        code = ErrorCode.ACCUMULATOR_ROW if accumulator else ErrorCode.SCRATCHPAD_ROW
        remedy = Remedy.ACCUMULATOR_ROWS if accumulator else Remedy.SCRATCHPAD_ROWS
        yield Refusal(code, f"{_ram(accumulator)} rows {rows[0]} to {rows[-1]}: "
                            f"must be from {allowed.start} to {allowed.stop - 1}", remedy.fill())


def _ram(accumulator: bool) -> str:
    return "accumulator RAM" if accumulator else "scratchpad"

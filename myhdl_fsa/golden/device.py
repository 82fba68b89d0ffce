"""The whole device without a clock: runs a program's words on numpy, bit for bit what the machine computes.

Tile by tile with the steps of ``golden``. The array is one register a processing element, the accumulators one factor a
column; docs/specification.md sections 2 to 4 say what each instruction makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import Bits, Values
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.arithmetic.rounding import add_values, decode, encode
from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import RunError
from myhdl_fsa.isa import Dma, Fence, Function, Instruction, Matrix, Transfer
from myhdl_fsa.kernel.legality import (
    Illegal,
    accumulator_rows,
    faults,
    memory_rows,
    outside_memory,
    overlap_hazard,
    parse,
    scratchpad_rows,
    skew_fault,
)
from myhdl_fsa.kernel.queues import schedule
from myhdl_fsa.kernel.tensor import pack, unpack
from myhdl_fsa.program import ErrorCode, Execution, Program, State

__all__ = ["execute"]

_PAGE = 1 << 16
"""bytes"""


def execute(program: Program, config: Config) -> Execution:
    """Runs a program from reset, in the one order that ``kernel.queues`` chooses.

    Both RAMs, the array's registers and the factors start as zero, the running maxima as -Inf, so any order of matrix
    instructions means something: an ATTN_SCORE takes what the array holds (queries, or the weights of the one before),
    an ATTN_VALUE likewise. A program with a data race gives one of its possible results.

    Errors are results, as in the hardware. The decoder runs ahead of memory and array as far as the queues let it, so
    an instruction that it refuses comes before a wrong response of the memory, unless a fence or a full queue keeps the
    decoder from it; with a slow host hardware may report the response. TIMEOUT is about the instruction that the
    decoder comes to next, or the number of instructions where it took all. With an error, outputs hold what was stored
    until then.

    Raises RunError for what has no defined result: a matrix instruction that starts while the one before it is still
    at work (``legality.overlap_hazard``), scratchpad flags that do not match the function's timing
    (``legality.skew_fault``), and formats that are not whole bytes.
    """
    for fmt in (config.elem, config.acc):
        if fmt.width % 8:
            raise RunError(f"format {fmt}: the accelerator needs formats of whole bytes")
    instructions, error, held = _until_fault(program.words, config)
    order = schedule(instructions, config, held)
    device = _Device(program, config)
    refused = error is not ErrorCode.NONE and order.moves_before_last is not None
    for move in order.moves[: order.moves_before_last if refused else None]:
        instruction = instructions[move.index]
        try:
            code = device.run(instruction)
        except RunError as problem:
            raise RunError(f"instruction {move.index}: {problem}") from None
        if code is not ErrorCode.NONE:
            return device.leave(program, code, move.index)
    if refused:
        return device.leave(program, error, len(instructions) - held)
    if order.stopped:
        return device.leave(program, ErrorCode.NONE, 0)
    return device.leave(program, ErrorCode.TIMEOUT, order.decoded)


def _until_fault(words: Sequence[int], config: Config) -> tuple[list[Instruction], ErrorCode, bool]:
    """The instructions up to the first that the decoder does not hand on, why not, and whether it is among them.

    It is not when its type is none, since then the decoder does not even take it.
    """
    instructions: list[Instruction] = []
    for item in parse(words):
        for code, *_ in faults(item, config):
            if not isinstance(item, Illegal):
                instructions.append(item)
            return instructions, code, not isinstance(item, Illegal)
        if isinstance(item, Illegal):
            # cut short: the decoder waits for the rest
            return [*instructions, *([item.part] if item.part else [])], ErrorCode.NONE, True
        instructions.append(item)
    return instructions, ErrorCode.NONE, False


class _Memory:
    """Sparse bytes, zero where nothing was written."""

    def __init__(self) -> None:
        self._pages: dict[int, np.ndarray] = {}

    def write(self, address: int, data: np.ndarray) -> None:
        done = 0
        while done < len(data):
            page, start = divmod(address + done, _PAGE)
            count = min(_PAGE - start, len(data) - done)
            if page not in self._pages:
                self._pages[page] = np.zeros(_PAGE, np.uint8)
            self._pages[page][start : start + count] = data[done : done + count]
            done += count

    def read(self, address: int, size: int) -> np.ndarray:
        data = np.zeros(size, np.uint8)
        done = 0
        while done < size:
            page, start = divmod(address + done, _PAGE)
            count = min(_PAGE - start, size - done)
            if page in self._pages:
                data[done : done + count] = self._pages[page][start : start + count]
            done += count
        return data


class _Device:
    """What the instructions read and change."""

    def __init__(self, program: Program, config: Config) -> None:
        rows, cols = config.rows, config.cols
        self.config = config
        self.memory = _Memory()
        for address, data in program.memory:
            self.memory.write(address, np.frombuffer(data, np.uint8))
        self.scratchpad: Bits = np.zeros((config.scratchpad_rows, rows), config.elem.dtype)
        self.accumulator: Values = np.zeros((config.accumulator_rows, cols))
        self.registers: Values = np.zeros((rows, cols))
        """the elem register of each processing element: queries, then weights with the last key in row 0"""
        self.running_max: Values = np.full(cols, -np.inf)
        self.factor: Values = np.zeros(cols)
        """the accumulators' register: what rescales O and L, then 1 / L"""
        self.previous: Matrix | None = None
        """the matrix instruction that may still be at work"""

    def leave(self, program: Program, code: ErrorCode, instruction: int) -> Execution:
        outputs = tuple(self.memory.read(region.address, region.size).tobytes() for region in program.outputs)
        state = State.DONE if code is ErrorCode.NONE else State.ERROR
        return Execution(state, code, instruction, None, outputs)

    def run(self, instruction: Instruction) -> ErrorCode:
        match instruction:
            case Fence():
                if instruction.matrix:
                    self.previous = None
            case Dma(function=Transfer.LOAD):
                return self._load(instruction)
            case Dma():
                return self._store(instruction)
            case Matrix():
                hazard = skew_fault(instruction) or overlap_hazard(self.previous, instruction)
                if hazard is not None:
                    raise RunError(f"{hazard.message}; this has no defined result in the golden model")
                self.previous = instruction
                with np.errstate(all="ignore"):
                    self._matrix(instruction)
        return ErrorCode.NONE

    def _load(self, instruction: Dma) -> ErrorCode:
        if outside_memory(instruction, self.config).size:
            return ErrorCode.READ_RESPONSE
        elem = self.config.elem
        for row, address in zip(scratchpad_rows(instruction, self.config), memory_rows(instruction), strict=True):
            data = self.memory.read(int(address), instruction.size)
            self.scratchpad[row] = unpack(data.reshape(self.config.rows, -1), elem)
        return ErrorCode.NONE

    def _store(self, instruction: Dma) -> ErrorCode:
        if outside_memory(instruction, self.config).size:
            return ErrorCode.WRITE_RESPONSE
        acc = self.config.acc
        for row, address in zip(accumulator_rows(instruction, self.config), memory_rows(instruction), strict=True):
            data = pack(encode(self.accumulator[row], acc), acc)
            self.memory.write(int(address), np.frombuffer(data, np.uint8))
        return ErrorCode.NONE

    def _matrix(self, instruction: Matrix) -> None:
        match Function(instruction.function):
            case Function.LOAD_STATIONARY:
                # the row read first ends up in the last column
                self.registers = self._operand(instruction)[::-1].T
            case Function.ATTN_SCORE:
                self._score(instruction)
            case Function.ATTN_VALUE:
                # on its way down a sum meets row 0 first; a fold begins with the last
                values = self._operand(instruction)
                weighted = golden.fold(values.T[::-1, :, None], self.registers[::-1, None, :], self.config)
                self._accumulate(instruction, weighted)
            case Function.ACC_RECIPROCAL:
                ((total,), _) = self._old(instruction)
                self.factor = Reciprocal(self.config.acc, self.config.reciprocal).compute_values(total)
            case Function.ATTN_LSE_NORM:
                self._accumulate(instruction, 0.0)
                self.running_max = np.full(self.config.cols, -np.inf)

    def _score(self, instruction: Matrix) -> None:
        config = self.config
        keys = self._operand(instruction)
        score = golden.fold(keys.T[:, :, None], self.registers[:, None, :], config)[None]
        if instruction.causal:
            golden.mask_later(score, range(1))
        old, new = golden.running_max(score, self.running_max)
        self.running_max = new[-1]
        weights = golden.exp_weights(score, new, config)[0]
        self.factor = golden.rescale_factor(old, new, config)[0]
        self.registers = weights[::-1].astype(np.float64)
        self._accumulate(instruction, golden.fold(np.ones((config.rows, 1)), weights, config)[None])

    def _operand(self, instruction: Matrix) -> Values:
        """The scratchpad rows that the instruction reads, [row read, array row that meets the element]."""
        values = decode(self.scratchpad[scratchpad_rows(instruction, self.config)], self.config.elem)
        turned = instruction.reverse_in ^ instruction.reverse_out
        return values[:, ::-1] if turned else values

    def _old(self, instruction: Matrix) -> tuple[Values, np.ndarray]:
        """The accumulator rows before, and which they are."""
        rows = accumulator_rows(instruction, self.config)
        old = self.accumulator[rows]
        return (np.zeros_like(old) if instruction.zero else old), rows

    def _accumulate(self, instruction: Matrix, addend: Values | float) -> None:
        old, rows = self._old(instruction)
        self.accumulator[rows] = add_values(old * self.factor, addend, self.config.acc)

"""The whole device without a clock: runs a program's words on numpy, bit for bit what the machine computes.

Tile by tile with the steps of ``golden``: memory, the two RAMs, and the array of the configuration's dataflow.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits, Values
from myhdl_fsa.arithmetic.rounding import encode
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.engine.request import RunError
from myhdl_fsa.isa import Dma, Fence, Instruction, Matrix, Transfer
from myhdl_fsa.kernel.legality import (
    Illegal,
    accumulator_rows,
    memory_rows,
    outside_memory,
    parse,
    refusals,
    scratchpad_rows,
)
from myhdl_fsa.kernel.queues import schedule
from myhdl_fsa.kernel.tensor import pack, unpack
from myhdl_fsa.program import ErrorCode, Execution, Program, State
from myhdl_fsa.scale import Scale

__all__ = ["execute"]

_PAGE = 1 << 16
"""bytes"""


def execute(program: Program, config: Config) -> Execution:
    """Runs a program from reset, in the one order that ``kernel.queues`` chooses.

    Both RAMs, the array's registers and the factors start as zero, the running maxima as -Inf, so any order of matrix
    instructions that the decoder takes means something (``golden`` of the dataflow). A program with a data race gives
    one of its possible results.

    Errors are results, as in the hardware. The decoder runs ahead of memory and array as far as the queues let it, so
    an instruction that it refuses comes before a wrong response of the memory, unless a fence or a full queue keeps the
    decoder from it; with a slow host hardware may report the response. TIMEOUT is about the instruction that the
    decoder comes to next, or the number of instructions where it took all. With an error, outputs hold what was stored
    until then.

    Raises RunError for what has no defined result: a matrix instruction that the dataflow's ``rules`` find a hazard in
    (scratchpad flags that do not match the function's timing, one that starts while the one before it is still at
    work).
    """
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

    It is not when its type is none, or when it is a fence, since then the decoder does not even take it.
    """
    instructions: list[Instruction] = []
    items = list(parse(words))
    instructions = [item for item in items if not isinstance(item, Illegal)]
    for index, refusal in refusals(items, config):
        at = items[index]
        if isinstance(at, (Illegal, Fence)):
            return instructions[:index], refusal.code, False
        return instructions[:index + 1], refusal.code, True
    if items and isinstance(items[-1], Illegal):
        # cut short: the decoder waits for the rest
        return [*instructions, *([items[-1].part] if items[-1].part else [])], ErrorCode.NONE, True
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
        self.config = config
        self.memory = _Memory()
        for address, data in program.memory:
            self.memory.write(address, np.frombuffer(data, np.uint8))
        self.scratchpad: Bits = np.zeros((config.scratchpad_rows, config.rows), config.elem.dtype)
        self.accumulator: Values = np.zeros((config.accumulator_rows, config.cols))
        self.array = part(config, "golden").Array(config, program.scale or Scale.of(config))
        self.rules = part(config, "rules").Rules(config)

    def leave(self, program: Program, code: ErrorCode, instruction: int) -> Execution:
        outputs = tuple(self.memory.read(region.address, region.size).tobytes() for region in program.outputs)
        state = State.DONE if code is ErrorCode.NONE else State.ERROR
        return Execution(state, code, instruction, None, outputs)

    def run(self, instruction: Instruction) -> ErrorCode:
        match instruction:
            case Fence():
                if instruction.matrix:
                    self.rules.idle()
            case Dma(function=Transfer.LOAD):
                return self._load(instruction)
            case Dma():
                return self._store(instruction)
            case Matrix():
                self.rules.follow(instruction)
                for hazard in self.rules.hazards():
                    raise RunError(f"{hazard.message}; this has no defined result in the golden model")
                with np.errstate(all="ignore"):
                    self.array.run(instruction, self.scratchpad, self.accumulator)
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

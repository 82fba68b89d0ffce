"""Runs the converted core in Verilator: the same cycles and rows as ``core_bench``.

The bench is C++ (``verilator/harness.cpp``); this module writes what it plays, has it built around the core into the
build cache, runs it and reads what it leaves.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import IntEnum
from pathlib import Path

import numpy as np

from myhdl_fsa.engine.request import RunError
from myhdl_fsa.instruction import MatrixInstruction
from myhdl_fsa.isa import Dma, Fence, Matrix, Transfer
from myhdl_fsa.sims.core_bench import MATRIX_FIELDS, PRIMING_LOADS, RESET_CYCLES, CoreRun
from myhdl_fsa.sims.verilator_engine import NONE, exchange, executable

__all__ = ["read_result", "simulate", "write_run"]


class _Kind(IntEnum):
    """What an instruction is to the harness."""

    FENCE = 0
    MATRIX = 1
    LOAD = 2
    STORE = 3


_INSTRUCTION = (
    "matrix", "dma", "row", "stride", "rows", "data", "semaphore", "acquire", "acquire_value", "release",
    "release_value", "function", "wait_idle", "scratchpad_row", "scratchpad_stride", "reverse_in", "reverse_out",
    "delay", "accumulator_row", "accumulator_stride", "zero", "causal", "hidden",
)
"""the harness's Instruction, after the kind"""


def simulate(run: CoreRun, *, build_dir: Path | None = None) -> None:
    """Simulates ``run`` to its end or its cycle limit, which ``run`` then says.

    Raises RunError when it cannot be built or run, and for late transfers.
    """
    if run.late:
        raise RunError("late transfers: only the MyHDL bench has them")
    exchange(
        run, lambda kind: executable(run.config, waveform=kind, build_dir=build_dir, say=run.watch.say), write_run,
        read_result,
    )


def write_run(run: CoreRun, path: Path) -> None:
    """Writes what the harness plays: the kernel up to its stop, and the scratchpad rows that each load brings."""
    config, limit = run.config, run.watch.max_cycles
    signals = MatrixInstruction(config)
    masks = {name: (1 << (len(getattr(signals, name)) or 1)) - 1 for name in MATRIX_FIELDS}
    places: dict[tuple[int, ...], int] = {}
    data: list[int] = []
    words: list[int] = []
    count = 0
    for instruction in run.kernel.instructions:
        fields = asdict(instruction)
        match instruction:
            case Fence(stop=1):
                break
            case Fence():
                kind = _Kind.FENCE
            case Matrix():
                kind = _Kind.MATRIX
                fields.update((name, fields[name] & mask) for name, mask in masks.items())
            case Dma(function=Transfer.LOAD):
                kind = _Kind.LOAD
                # a tile of K or V is loaded once for every query tile, and written to the file once
                place = instruction.address, instruction.memory_stride, instruction.rows, instruction.size
                if place not in places:
                    places[place] = len(data)
                    data += run.load_rows(instruction)
                fields["data"] = places[place]
            case Dma():
                kind = _Kind.STORE
        words += [int(kind), *(fields.get(name, 0) % (1 << 64) for name in _INSTRUCTION)]
        count += 1
    row_words = _words(config.rows * config.elem.width)
    head = [
        row_words, _words(config.cols * config.acc.width), RESET_CYCLES, PRIMING_LOADS, int(run.serial),
        NONE if limit is None else limit, run.scale.elem, run.scale.acc, count, len(data),
    ]
    with path.open("wb") as file:
        file.write(np.array(head + words, np.uint64).tobytes())
        for row in data:
            file.write(row.to_bytes(4 * row_words, "little"))


def read_result(run: CoreRun, path: Path) -> None:
    """Fills ``run`` with what the harness wrote."""
    data = path.read_bytes()
    cycle, limit, finished, issued, overlap, idle, stored = (int(word) for word in np.frombuffer(data, np.uint64, 7))
    lists = np.frombuffer(data, np.uint64, issued + overlap + idle, 7 * 8).tolist()
    run.cycle, run.limit_reached, run.finished = cycle, bool(limit), None if finished == NONE else finished
    run.issued, run.overlap, run.idle = lists[:issued], lists[issued:issued + overlap], lists[issued + overlap:]
    start, size = (7 + len(lists)) * 8, 4 * _words(run.config.cols * run.config.acc.width)
    run.stored = [int.from_bytes(data[at:at + size], "little") for at in range(start, start + 4 * stored, size)]


def _words(bits: int) -> int:
    """32-bit words that hold so many bits."""
    return (bits + 31) // 32

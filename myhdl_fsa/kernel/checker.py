"""Finds, before a program runs, what would stop it, hang it, or make its result depend on the memory's speed.

Each instruction by itself (``kernel.legality``), then the program as a whole: whether it comes to its end
(``kernel.queues``) and whether everything that must be ordered is (``kernel.races``). Source: spec section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from myhdl_fsa.config import Config
from myhdl_fsa.isa import Dma, Fence, Instruction, Matrix
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.finding import Finding
from myhdl_fsa.kernel.legality import Illegal, faults, outside_memory, overlap_hazard, parse, skew_fault
from myhdl_fsa.kernel.queues import schedule
from myhdl_fsa.kernel.races import races


def check(program: Sequence[int] | Sequence[Instruction], config: Config) -> list[Finding]:
    """What is wrong with a program, given as words or as instructions, in its order; nothing for a good one.

    Where an instruction is one that the decoder refuses, only such instructions are reported: what the others would do
    is not known then. What comes after a fence with stop is not looked at.
    """
    parsed = _instructions(program)
    findings = list(_ends(parsed))
    stop = _stop(parsed)
    parsed = parsed if stop is None else parsed[: stop + 1]
    findings += [
        Finding("error", index, message)
        for index, instruction in enumerate(parsed)
        for _, message in faults(instruction, config)
    ]
    if not any(finding.severity == "error" for finding in findings):
        instructions = [instruction for instruction in parsed if not isinstance(instruction, Illegal)]
        findings += _each(instructions, config)
        order = schedule(instructions, config)
        findings += [Finding("error", stuck.index, stuck.message) for stuck in order.stuck]
        findings += races(instructions, order, config)
    return sorted(findings, key=lambda finding: finding.index)


def ensure(program: Sequence[int] | Sequence[Instruction], config: Config) -> None:
    """Raises KernelError with the first error that ``check`` finds; warnings pass."""
    for finding in check(program, config):
        if finding.severity == "error":
            raise KernelError(f"instruction {finding.index}: {finding.message}")


def _instructions(program: Sequence[int] | Sequence[Instruction]) -> list[Instruction | Illegal]:
    parsed: list[Instruction | Illegal] = []
    words: list[int] = []
    for item in program:
        if isinstance(item, (Fence, Matrix, Dma)):
            parsed.append(item)
        else:
            words.append(int(item))
    if parsed and words:
        raise KernelError("program: must be all words or all instructions")
    return parsed or list(parse(words))


def _ends(parsed: Sequence[Instruction | Illegal]) -> Iterator[Finding]:
    """How the program ends."""
    last = len(parsed) - 1
    stop = _stop(parsed)
    if stop is None:
        if parsed and isinstance(parsed[-1], Illegal) and parsed[-1].code is None:
            yield Finding("error", last, parsed[-1].message)
        yield Finding("warning", max(last, 0), "no fence with stop: the device is never done")
    elif stop < last:
        yield Finding("warning", stop + 1, f"comes after the stop of instruction {stop} and never runs")


def _stop(parsed: Sequence[Instruction | Illegal]) -> int | None:
    """The first fence with stop."""
    return next((index for index, item in enumerate(parsed) if isinstance(item, Fence) and item.stop), None)


def _each(instructions: Sequence[Instruction], config: Config) -> Iterator[Finding]:
    """What one instruction, or a matrix instruction and the one before it, tell."""
    previous: Matrix | None = None
    for index, instruction in enumerate(instructions):
        match instruction:
            case Fence(matrix=1):
                previous = None
            case Matrix():
                for message in (skew_fault(instruction), overlap_hazard(previous, instruction)):
                    if message:
                        yield Finding("error", index, message)
                previous = instruction
            case Dma():
                outside = outside_memory(instruction, config)
                if outside.size:
                    end = config.memory_base + config.memory_size
                    yield Finding("error", index, f"memory row at {int(outside[0]):#x} of {instruction.size} bytes: "
                                                  f"must lie from {config.memory_base:#x} to {end:#x}")

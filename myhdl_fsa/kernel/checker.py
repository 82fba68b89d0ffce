"""Finds, before a program runs, what would stop it, hang it, or make its result depend on the memory's speed.

Each instruction by itself (``kernel.legality``), then the program as a whole: whether it comes to its end
(``kernel.queues``) and whether everything that must be ordered is (``kernel.races``).
Source: docs/specification.md section 4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, Protocol, runtime_checkable

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.isa import Dma, Fence, Instruction, Matrix
from myhdl_fsa.kernel.assembly import AssembledWords
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.finding import Finding, Origin
from myhdl_fsa.kernel.legality import Illegal, outside_memory, parse, refusals
from myhdl_fsa.kernel.queues import schedule
from myhdl_fsa.kernel.races import races
from myhdl_fsa.kernel.remedies import Remedy

__all__ = ["Checkable", "WrittenKernel", "check", "ensure"]


@runtime_checkable
class WrittenKernel(Protocol):
    """A whole kernel, such as ``kernel.Kernel``."""

    @property
    def config(self) -> Config:
        """The machine that it is written for."""
        ...

    @property
    def instructions(self) -> Sequence[Instruction]:
        """In order."""
        ...

    @property
    def origins(self) -> Sequence[Origin | None]:
        """Where each instruction was written; empty when nobody knows."""
        ...

    @property
    def definition(self) -> Origin | None:
        """Where the kernel itself is written."""
        ...


Checkable = WrittenKernel | Sequence[int] | Sequence[Instruction]


def check(program: Checkable, config: Config | None = None) -> list[Finding]:
    """What is wrong with a program of words or instructions, or with a Kernel, in its order; nothing for a good one.

    ``config`` is the machine, a Kernel's own unless given. Findings about a Kernel, or about words as ``assemble``
    returns them, say where the instruction was written. Where an instruction is one that the decoder refuses, only such
    instructions are reported: what the others would do is not known then. What comes after a fence with stop is not
    looked at.

    A Kernel that is empty or has no fence with stop is wrong: it is whole, so the device would never be done. Of words
    and instructions that is a warning only: the host may push more of them, and a device that waits, or stops with
    TIMEOUT, does as they say.

    Raises KernelError for a mixture of words and instructions, and for either without ``config``.
    """
    if isinstance(program, WrittenKernel):
        config = program.config if config is None else config
        return _check(list(program.instructions), config, program.origins, program.definition, whole=True)
    if config is None:
        raise KernelError("check: config is missing: must be given with words or instructions")
    parsed = _instructions(program)
    return _check(parsed, config, _lines(program, parsed), None, whole=False)


def ensure(program: Checkable, config: Config | None = None) -> None:
    """Raises KernelError with the first error that ``check`` finds; warnings pass."""
    for finding in check(program, config):
        if finding.severity == "error":
            raise KernelError(finding.text)


def _check(parsed: list[Instruction | Illegal], config: Config, origins: Sequence[Origin | None],
           definition: Origin | None, whole: bool) -> list[Finding]:
    findings = list(_ends(parsed, whole))
    stop = _stop(parsed)
    parsed = parsed if stop is None else parsed[: stop + 1]
    refused = [Finding("error", index, refusal.message, refusal.remedy) for index, refusal in refusals(parsed, config)]
    instructions = [instruction for instruction in parsed if not isinstance(instruction, Illegal)]
    if not refused and len(instructions) == len(parsed):
        findings += _each(instructions, config)
        order = schedule(instructions, config)
        findings += [Finding("error", stuck.index, stuck.message, stuck.remedy) for stuck in order.stuck]
        findings += races(instructions, order, config)
    ordered = sorted([*findings, *refused], key=lambda finding: finding.index or 0)
    return [replace(finding, origin=_origin(finding.index, origins, definition)) for finding in ordered]


def _origin(index: int | None, origins: Sequence[Origin | None], definition: Origin | None) -> Origin | None:
    if index is None:
        return definition
    return origins[index] if index < len(origins) else None


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


def _lines(program: Sequence[int] | Sequence[Instruction], parsed: Sequence[Instruction | Illegal]) -> list[Origin]:
    """The line on which each instruction begins, for a program from a text."""
    if not isinstance(program, AssembledWords):
        return []
    at, origins = 0, []
    for item in parsed:
        origins.append(Origin(program.lines[at]))
        at += 1 if isinstance(item, Illegal) else item.WORDS  # one that is cut short is the last
    return origins


def _ends(parsed: Sequence[Instruction | Illegal], whole: bool) -> Iterator[Finding]:
    """How the program ends; ``whole`` when nothing can follow it."""
    last = len(parsed) - 1
    stop = _stop(parsed)
    if stop is None:
        if parsed and isinstance(parsed[-1], Illegal) and parsed[-1].code is None:
            yield Finding("error", last, parsed[-1].message, Remedy.MISSING_WORDS.fill())
        severity: Literal["error", "warning"] = "error" if whole else "warning"
        if parsed:
            yield Finding(severity, last, "no fence with stop: the device is never done", Remedy.NO_STOP.fill())
        else:
            yield Finding(severity, None, "no instructions: the device is never done", Remedy.EMPTY.fill())
    elif stop < last:
        yield Finding("warning", stop + 1, f"comes after the stop of instruction {stop} and never runs",
                      Remedy.AFTER_STOP.fill())


def _stop(parsed: Sequence[Instruction | Illegal]) -> int | None:
    """The first fence with stop."""
    return next((index for index, item in enumerate(parsed) if isinstance(item, Fence) and item.stop), None)


def _each(instructions: Sequence[Instruction], config: Config) -> Iterator[Finding]:
    """What one instruction, or a matrix instruction and those before it, tell."""
    rules = part(config, "rules").Rules(config)
    for index, instruction in enumerate(instructions):
        match instruction:
            case Fence(matrix=1):
                rules.idle()
            case Matrix():
                rules.follow(instruction)
                for hazard in rules.hazards():
                    yield Finding("error", index, *hazard)
            case Dma():
                outside = outside_memory(instruction, config)
                if outside.size:
                    end = config.memory_base + config.memory_size
                    yield Finding("error", index, f"memory row at {int(outside[0]):#x} of {instruction.size} bytes: "
                                                  f"must lie from {config.memory_base:#x} to {end:#x}",
                                  Remedy.MEMORY.fill())

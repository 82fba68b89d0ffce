"""A trace: what each unit of the array holds, takes and does in each cycle. docs/trace.md describes it for readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from myhdl_fsa.engine.cycle_use import Wait

__all__ = ["CycleTrace", "Frame", "Instruction", "Kind", "State", "Unit", "Value", "WORKS"]

WORKS: Mapping[str, str] = {
    "idle": "idle",
    "load": "Q comes in",
    "score": "S = Q K\u1d40",
    "maximum": "running maximum",
    "return": "S goes back",
    "subtract": "S \u2212 max",
    "scale": "\u00b7 log2(e) / \u221ad",
    "exp2": "P = 2^x",
    "sum": "row sum",
    "value": "P V",
    "reciprocal": "1 / row sum",
    "normalise": "O / row sum",
    "pass": "passes on",
}
"""What a unit does in a cycle, in the order of attention, and how it is said."""

Value = tuple[str, str]
"""The bits of a value in hex, and its name (``Q01``); the name is empty where nothing is known of it."""


@dataclass(frozen=True)
class Unit:
    """A part of the machine that a trace follows."""

    name: str
    """``pe_2_3``"""
    kind: str
    """one of ``CycleTrace.kinds``"""
    row: int | None = None
    """None for a unit of a column"""
    column: int | None = None
    """None for a unit of a row"""


@dataclass(frozen=True)
class Kind:
    """What a trace says of units of one kind: values by name, each with its format, ``elem``, ``acc`` or ``lane``."""

    holds: Mapping[str, str]
    """registers: always there"""
    takes: Mapping[str, str]
    """what is used in a cycle; None in the others"""


@dataclass(frozen=True)
class Instruction:
    """When an instruction is at work; cycles as the trace counts them."""

    number: int
    """its place in the program, from 0"""
    name: str
    """``ATTN_SCORE``"""
    unit: str
    """``array``, ``load`` or ``store``"""
    what: str
    """what it is about, ``K tile 1``; empty where that is not known"""
    first: int
    last: int


State = dict[str, dict[str, Any]]
"""By a unit's name: ``work``, a key of ``WORKS``; ``control``, its control bits or command by name; and every value
that its kind holds or takes, or None."""


@dataclass(frozen=True)
class Frame:
    """One cycle, as what changes from the one before it."""

    cycle: int
    """clock edges since the start of the simulation; the state is what this edge samples"""
    multiplies: int
    """multiply-adds of Q K^T and P V up to this cycle, its own included"""
    units: Mapping[str, Mapping[str, Any]]
    """by unit, as in ``State``, but only what is not as it was in the frame before; the first one is complete"""


@dataclass(frozen=True)
class CycleTrace:
    """A run of attention on the array, cycle by cycle."""

    dataflow: str
    config: Mapping[str, Any]
    """the configuration, as configuration files have it"""
    rows: int
    columns: int
    formats: Mapping[str, tuple[int, int] | int]
    """of ``elem`` and ``acc``: bits of exponent and mantissa; of ``lane``, where there is one, the bits of its words"""
    kinds: Mapping[str, Kind]
    order: tuple[str, ...]
    """the kinds of a column from its top to its bottom; ``pe`` stands for all rows. A kind that is missing here is one
    of rows, left of the array"""
    units: tuple[Unit, ...]
    start: int
    """the cycle from which ``cycles`` counts: the first instruction's"""
    cycles: int
    """what ``fsa-sim`` prints for the run"""
    instructions: tuple[Instruction, ...]
    waits: tuple[Wait, ...]
    """what the matrix unit waited for, cycles as the trace counts them"""
    frames: tuple[Frame, ...] = field(repr=False)

    def states(self) -> Iterator[tuple[Frame, State]]:
        """Every frame, with the whole state in its cycle: the same objects, updated from frame to frame."""
        state: State = {unit.name: {} for unit in self.units}
        for frame in self.frames:
            for name, changes in frame.units.items():
                state[name].update(changes)
            yield frame, state

    def utilisation(self, frame: Frame) -> float:
        """Multiply-adds of Q K^T and P V so far, over those that the array could have done since ``start``."""
        cycles = frame.cycle - self.start + 1
        return frame.multiplies / (self.rows * self.columns * cycles) if cycles > 0 else 0.0

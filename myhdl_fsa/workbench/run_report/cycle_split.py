"""Where the cycles of a run went, as parts of one bar that sum up to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from myhdl_fsa.config import Config
from myhdl_fsa.engine import EngineResult
from myhdl_fsa.engine.cycle_use import cycles_by_use
from myhdl_fsa.isa import Function, Instruction, Matrix

__all__ = ["LABELS", "CycleSplit", "Part", "cycle_split"]

LABELS = {
    "products": ("products", "a row of K or V is multiplied"),
    "softmax": ("softmax", "minus the maximum, times the scale, the exponential, the row sum"),
    "Q": ("wait for Q", "no instruction can go before a tile of Q is loaded"),
    "K": ("wait for K", "no instruction can go before a tile of K is loaded"),
    "V": ("wait for V", "no instruction can go before a tile of V is loaded"),
    "store of O": ("wait for the store of O", "a result has to be stored first; at the end, the last one"),
    "host": ("wait for the host", "the next instruction's words are not there or are being decoded"),
    "array": ("array", "dependencies in the array: waves on their way, Q shifting in"),
    "fill": ("fill", "before the first product: the first instructions and tiles come"),
    "drain": ("drain", "after the last product: the last results are divided and normalised"),
    "busy": ("other work", "the matrix unit is at work on anything else"),
    "idle": ("idle", "the matrix unit has nothing under way"),
    "rest": ("all else", "softmax, dependencies in the array, fill and drain"),
}
"""by the key of a part: its name and what it means, for readers"""


@dataclass(frozen=True)
class Part:
    """A part of the bar."""

    key: str
    """one of ``LABELS``"""
    cycles: int
    share: float
    """of all cycles, 0 to 1"""


@dataclass(frozen=True)
class CycleSplit:
    """The parts of a run's cycles, which sum up to them; none is empty."""

    parts: tuple[Part, ...]
    source: str
    """``watched``: each cycle was looked at; ``counters``: from the device's; ``program``: from its instructions"""


def cycle_split(config: Config, instructions: Iterable[Instruction], result: EngineResult) -> CycleSplit:
    """Of a run with a clock: from its stretches, or as far as the device's counters tell."""
    total = result.cycles
    assert total is not None
    multiplying = (Function.ATTN_SCORE, Function.ATTN_VALUE)
    products = config.rows * sum(isinstance(item, Matrix) and item.function in multiplying for item in instructions)
    if result.stretches is not None:
        found, source = cycles_by_use(result.stretches), "watched"
    elif result.counters is not None:
        active = result.counters.matrix_active
        found, source = {"products": products, "busy": active - products, "idle": total - active}, "counters"
    else:
        found, source = {"products": products, "rest": total - products}, "program"
    return CycleSplit(tuple(Part(key, count, count / total) for key, count in found.items() if count), source)

"""The words of the controller's queues: tables of fields, and a queue's word as an interface of signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.instruction import SEMAPHORE_VALUE_WIDTH, SEMAPHORE_WIDTH, hidden_width
from myhdl_fsa.signals import address_width, unsigned

__all__ = [
    "Ended",
    "QUEUE_DEPTH",
    "RELEASE",
    "TAG_WIDTH",
    "Word",
    "WordLayout",
    "accumulator_word",
    "array_word",
    "counter",
]

QUEUE_DEPTH = 4
TAG_WIDTH = 4
"""bits of a count of ATTN_VALUEs; two counts that are compared never lie half of it apart"""


@dataclass(frozen=True)
class WordLayout:
    """Fields of a word, name and width in bits, from bit 0 up."""

    fields: tuple[tuple[str, int], ...]

    @property
    def width(self) -> int:
        """Bits of the word."""
        return sum(width for _, width in self.fields)

    @property
    def low(self) -> dict[str, int]:
        """The lowest bit of each field."""
        return {name: sum(width for _, width in self.fields[:i]) for i, (name, _) in enumerate(self.fields)}

    @property
    def mask(self) -> dict[str, int]:
        """The greatest value of each field."""
        return {name: (1 << width) - 1 for name, width in self.fields}


RELEASE = WordLayout((("valid", 1), ("semaphore", SEMAPHORE_WIDTH), ("value", SEMAPHORE_VALUE_WIDTH)))
"""what an instruction releases at its end"""


def array_word(config: Config) -> WordLayout:
    """A word of the array's queue: LOAD_STATIONARY, ATTN_SCORE, ATTN_VALUE. Rows and strides are in rows."""
    scratchpad, accumulator = address_width(config.scratchpad_rows), address_width(config.accumulator_rows)
    return WordLayout((
        ("function", 3), ("row", scratchpad), ("stride", scratchpad), ("accumulator_row", accumulator),
        ("accumulator_stride", accumulator), ("zero", 1), ("causal", 1), ("hidden", hidden_width(config)),
        ("releases", RELEASE.width),
    ))


def accumulator_word(config: Config) -> WordLayout:
    """A word of the accumulators' queue: ACC_RECIPROCAL and ATTN_LSE_NORM.

    The tag is the number of ATTN_VALUEs accepted before it, of which it follows the last.
    """
    accumulator = address_width(config.accumulator_rows)
    return WordLayout((
        ("tag", TAG_WIDTH), ("norm", 1), ("row", accumulator), ("stride", accumulator), ("releases", RELEASE.width),
    ))


class Word:
    """A queue's word as a port: a signal a field."""

    def __init__(self, layout: WordLayout) -> None:
        for name, width in layout.fields:
            setattr(self, name, unsigned(width))


class Ended:
    """That an instruction is over, and what it releases. Registers."""

    def __init__(self) -> None:
        self.due = unsigned(1)
        """in the cycle after its end"""
        self.releases = unsigned(RELEASE.width)
        """``RELEASE``; stays until the next is due"""


def counter(most: int) -> Any:
    """A signal that counts from 0 to ``most``."""
    return unsigned(max(2, most.bit_length()))

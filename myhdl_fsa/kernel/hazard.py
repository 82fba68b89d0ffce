"""What a dataflow's rules say of matrix instructions: why one may go wrong, what it touches, and when that is over."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from myhdl_fsa.kernel.legality import Rows

__all__ = ["Clock", "Hazard", "Part", "Sums"]


class Part(IntEnum):
    """A component of a clock: how many instructions of a unit, in their order, have that part of their work behind."""

    SCORE_READS = 0
    """LOAD_STATIONARYs and ATTN_SCOREs: the reading of their scratchpad rows"""
    VALUE_READS = 1
    """ATTN_VALUEs: likewise"""
    SUMS = 2
    """what the array sends to the accumulators"""
    NORMS = 3
    """what the accumulators do by themselves"""
    LOADS = 4
    STORES = 5


Clock = list[int]
"""a count for each Part; the array's instructions are counted together"""


class Hazard(NamedTuple):
    """Why an instruction that the decoder takes would go wrong, and what would mend it."""

    message: str
    remedy: str


class Sums(NamedTuple):
    """Rows of the accumulator RAM that an instruction goes through."""

    rows: Rows
    zero: bool
    """their old values do not matter"""
    written: bool

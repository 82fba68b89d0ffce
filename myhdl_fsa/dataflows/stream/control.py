"""The control words of the stream dataflow: what a wave does in the PEs, the comparators and the accumulators."""

from __future__ import annotations

from myhdl_fsa.config import Config

__all__ = [
    "Accumulate",
    "Capture",
    "Compare",
    "LATCH_P",
    "LATCH_Q",
    "Lane",
    "Left",
    "OPERAND_WIDTH",
    "Operation",
    "addend_at",
    "lane_width",
    "pe_control_width",
    "result_at",
    "word_width",
]


class Operation:
    """What the wave of a slot does in a PE; 0 is idle. ``left`` and ``above`` are the PE's inputs."""

    QK = 1
    """down <- Q * left + above"""
    PASS = 2
    """down <- -0 + above, through the adder (only with ``Times.hop`` above 1)"""
    SUB = 3
    """P <- P * left + above, as elem; down <- above, or with ``Times.hop`` above 1 it stays as PASS left it"""
    SCALE = 4
    """P <- P * left + 0, as elem"""
    EXP = 5
    """P <- EXP2(P)"""
    PV = 6
    """down <- P * left + above"""
    WIDTH = 3


LATCH_P = 1 << Operation.WIDTH
"""P <- the word on the lane"""
LATCH_Q = 1 << (Operation.WIDTH + 1)
"""Q <- the word on the lane"""
OPERAND_WIDTH = Operation.WIDTH + 2
"""the operation where register and left operand are taken, and the latches"""


def addend_at(config: Config) -> int:
    """The bit of a PE's control from which on the operation stands that takes its addend."""
    return OPERAND_WIDTH if config.mac_stages else 0


def result_at(config: Config) -> int:
    """The bit from which on the operation stands whose result is written."""
    return addend_at(config) if config.adder_stages == 1 else pe_control_width(config) - Operation.WIDTH


def pe_control_width(config: Config) -> int:
    """Bits of a PE's control: the operation comes again for each of the above that is a cycle of its own."""
    return OPERAND_WIDTH + Operation.WIDTH * (int(config.mac_stages > 0) + int(config.adder_stages > 1))


class Left:
    """What enters the rows from the left."""

    NONE = 0
    ROW = 1
    """a row of the K/V scratchpad"""
    ONE = 2
    SCALE = 3
    """the elem value of the scale registers"""
    WIDTH = 2


class Compare:
    """Comparator commands; 0 is idle."""

    UPDATE = 1
    """maximum <- MAX(score, maximum); the score goes to the edge buffer as elem"""
    UPDATE_FIRST = 2
    """the same for the first score of a query: the maximum was -Inf"""
    DIFF = 3
    """difference <- (maximum in use) - (maximum that passes); the latter comes into use"""
    DIFF_FIRST = 4
    """the same for the first tile of a query: the maximum in use was -Inf"""
    SEND = 5
    """the difference leaves in place of what comes from above"""
    WIDTH = 3


class Lane:
    """What a column sends up the return lane; 0 is nothing."""

    MAX_LOW = 1
    MAX_HIGH = 2
    SCORE = 3
    """the word of the edge buffer whose number stands above the kind"""
    QUERY = 4
    """a word of the Q scratchpad"""
    WIDTH = 3


def lane_width(config: Config, slots: int) -> int:
    """Bits of the lane's control: the kind, and the number of a word of an edge buffer of so many tiles."""
    return Lane.WIDTH + (config.rows * slots - 1).bit_length()


def word_width(config: Config) -> int:
    """Bits of the return lane: an elem value, and half an acc value, since a maximum goes up in two words."""
    return max(config.elem.width, (config.acc.width + 1) // 2)


class Accumulate:
    """Accumulator commands; 0 is idle. ``ram`` is the word read the cycle before."""

    EXP_S1 = 1
    """a <- (value from the array) * scale"""
    EXP_S2 = 2
    """a <- EXP2(a)"""
    ACC_SUM = 3
    """out <- a * ram + (value from the array), and into ``l`` too: the row sums"""
    ACC_SA = 4
    """out <- a * ram + (value from the array)"""
    NORM = 5
    """out <- reciprocal * ram"""
    WIDTH = 3


class Capture:
    """What a column's top takes off the lane; 0 is nothing."""

    LOW = 1
    HIGH = 2
    WIDTH = 2

"""The control words of the stream dataflow: what a wave does in the PEs, the comparators and the accumulators."""

from __future__ import annotations

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
    "pe_control_width",
]


class Operation:
    """What the wave of a slot does in a PE; 0 is idle. ``left`` and ``above`` are the PE's inputs."""

    QK = 1
    """down <- Q * left + above"""
    PASS = 2
    """down <- above, through the adder (only with ``Times.hop`` above 1)"""
    SUB = 3
    """P <- P * left + above, as elem; down <- above"""
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


def pe_control_width(mac_stages: int) -> int:
    """Bits of a PE's control: with multiplier stages the operation comes again, where the addend is taken."""
    return OPERAND_WIDTH + (Operation.WIDTH if mac_stages else 0)


class Left:
    """What enters the rows from the left."""

    NONE = 0
    ROW = 1
    """a row of the K/V scratchpad"""
    ONE = 2
    SCALE = 3
    """log2(e) / sqrt(d)"""
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
    """the next word of the edge buffer"""
    QUERY = 4
    """a word of the Q scratchpad"""
    WIDTH = 3


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

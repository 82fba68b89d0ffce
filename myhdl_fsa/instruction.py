"""A matrix instruction between the front end and the array's controller, and the semaphore that it releases."""

from __future__ import annotations

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.signals import address_width, unsigned

__all__ = [
    "FUNCTION_WIDTH",
    "MatrixInstruction",
    "SEMAPHORE_VALUE_WIDTH",
    "SEMAPHORE_WIDTH",
    "STRIDE_WIDTH",
    "SemaphoreRelease",
    "hidden_width",
]

FUNCTION_WIDTH = 5
STRIDE_WIDTH = 5
"""signed"""
SEMAPHORE_WIDTH = 5
SEMAPHORE_VALUE_WIDTH = 3


class MatrixInstruction:
    """A decoded matrix instruction on a valid/ready port (fields: docs/specification.md section 4).

    It is accepted in a cycle in which ``valid`` and ``ready`` are both 1. Row numbers and strides are in rows.
    """

    def __init__(self, config: Config) -> None:
        scratchpad, accumulator = address_width(config.scratchpad_rows), address_width(config.accumulator_rows)
        self.valid = unsigned(1)
        self.ready = unsigned(1)
        self.function = unsigned(FUNCTION_WIDTH)
        self.wait_idle = unsigned(1)
        """start only when both sequencers are idle (waitPrevAcc)"""
        self.semaphore = unsigned(SEMAPHORE_WIDTH)
        self.release = unsigned(1)
        self.release_value = unsigned(SEMAPHORE_VALUE_WIDTH)
        self.scratchpad_row = unsigned(scratchpad)
        self.scratchpad_stride = unsigned(scratchpad)
        """two's complement, sign-extended to the address width"""
        self.reverse_in = unsigned(1)
        self.reverse_out = unsigned(1)
        self.delay = unsigned(1)
        self.accumulator_row = unsigned(accumulator)
        self.accumulator_stride = unsigned(accumulator)
        """two's complement, sign-extended to the address width"""
        self.zero = unsigned(1)
        """the old value is +0, whatever the RAM holds"""
        self.causal = unsigned(1)
        self.hidden = unsigned(hidden_width(config))
        """keys at the end of the tile that do not count, fewer than all"""
        if part(config, "core").QUEUES:
            # a controller that queues what it has accepted also says what comes of it
            self.starved = unsigned(1)
            """out: it could start an instruction and has none"""
            self.moving = unsigned(1)
            """out: something is under way, beside instructions that wait to start"""


class SemaphoreRelease:
    """A semaphore released in this cycle."""

    def __init__(self) -> None:
        self.valid = unsigned(1)
        self.semaphore = unsigned(SEMAPHORE_WIDTH)
        self.value = unsigned(SEMAPHORE_VALUE_WIDTH)


def hidden_width(config: Config) -> int:
    """Bits of a count of hidden keys, and of the comparators' countdown, which starts at most at rows."""
    return max(2, config.rows.bit_length())

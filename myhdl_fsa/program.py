"""What the accelerator is given to do, what the memory around it is like, and what comes back."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING

from myhdl_fsa.config import Config

__all__ = [
    "Counters",
    "ErrorCode",
    "Execution",
    "Program",
    "Region",
    "State",
    "Timing",
    "error_message",
    "memory_fault",
]

if TYPE_CHECKING:
    from myhdl_fsa.scale import Scale


class State(IntEnum):
    """The state register."""

    IDLE = 0
    ACTIVE = 1
    DONE = 2
    ERROR = 3


class ErrorCode(IntEnum):
    """The error register: why the device stopped in state 3."""

    NONE = 0
    """no error"""
    ILLEGAL_TYPE = 1
    """an instruction type that is not fence, matrix or DMA"""
    ILLEGAL_FUNCTION = 2
    """a function without a plan, a load into the accumulator RAM or a store from the scratchpad"""
    SCRATCHPAD_ROW = 3
    """a row outside the scratchpad"""
    ACCUMULATOR_ROW = 4
    """a row outside the accumulator RAM"""
    ROW_SIZE = 5
    """bytes a row that are not one row of the RAM, and so not its whole number of beats"""
    MISALIGNED = 6
    """a memory address or stride that is not a whole number of beats"""
    READ_RESPONSE = 7
    """an AXI read was not answered OKAY"""
    WRITE_RESPONSE = 8
    """an AXI write was not answered OKAY"""
    TIMEOUT = 9
    """nothing moved for as long as the watchdog allows: a semaphore that never comes, or no fence with stop"""
    ORDER = 10
    """a matrix instruction, or a fence, that must not come after those before it (of the stream dataflow)"""
    HIDDEN_KEYS = 11
    """an ATTN_SCORE that hides every key of its tile"""


@dataclass(frozen=True)
class Counters:
    """The published counters (docs/specification.md section 4), in cycles, words or instructions."""

    execution_time: int = 0
    matrix_bubble: int = 0
    matrix_active: int = 0
    dma_active: int = 0
    raw: int = 0
    matrix: int = 0
    dma: int = 0
    fence: int = 0
    enqueued: int = 0
    dequeued: int = 0

    def to_dict(self) -> dict[str, int]:
        """By name, in the order of the registers."""
        return asdict(self)


@dataclass(frozen=True)
class Timing:
    """How the memory and the host behave. Latencies in cycles, bandwidths in beats a cycle of each port."""

    read_latency: int = 1
    """from an accepted address to the first beat, at least 1"""
    write_latency: int = 1
    """from the last beat to its response, at least 1"""
    read_bandwidth: Fraction = Fraction(1)
    write_bandwidth: Fraction = Fraction(1)
    stall_seed: int | None = None
    """None: no random back-pressure"""
    push_interval: int = 1
    """cycles from one instruction word to the next, at least; the queue may take longer"""

    def __post_init__(self) -> None:
        for name in ("read_latency", "write_latency", "push_interval"):
            value = getattr(self, name)
            if not 1 <= value <= 1_000_000:
                raise ValueError(f"{name} = {value}: must be from 1 to 1000000")
        for name in ("read_bandwidth", "write_bandwidth"):
            value = Fraction(getattr(self, name)).limit_denominator(100_000)
            if not 0 < value <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be above 0 and at most 1")
            object.__setattr__(self, name, value)
        if self.stall_seed is not None and not 0 <= self.stall_seed < 1 << 32:
            raise ValueError(f"stall_seed = {self.stall_seed}: must be from 0 to 4294967295")


@dataclass(frozen=True)
class Region:
    """A stretch of memory: byte address and size."""

    address: int
    size: int


def memory_fault(region: Region, config: Config) -> str:
    """What is wrong with a region that is not in the configuration's memory whole; or nothing."""
    base, end = config.memory_base, config.memory_base + config.memory_size
    if base <= region.address and region.address + region.size <= end:
        return ""
    return f"memory is from {base:#x} to {end - 1:#x}"


@dataclass(frozen=True)
class Program:
    """Instruction words, what memory holds before, and what is wanted of it after."""

    words: tuple[int, ...]
    """32-bit, in the order in which the host pushes them"""
    memory: tuple[tuple[int, bytes], ...] = ()
    """(byte address, data) before; memory is zero elsewhere"""
    outputs: tuple[Region, ...] = ()
    watchdog: int | None = None
    """cycles without progress after which the device stops with TIMEOUT; None leaves the register as it resets"""
    scale: Scale | None = None
    """what the host writes to the scale registers; None leaves them as they reset"""


@dataclass(frozen=True)
class Execution:
    """What a run of a program left."""

    state: State
    """DONE or ERROR"""
    error: ErrorCode
    error_instruction: int
    """number of the instruction, from 0, that ``error`` is about"""
    counters: Counters | None
    """None where there is no clock"""
    outputs: tuple[bytes, ...]
    """what ``Program.outputs`` hold, in their order"""
    cycles: int | None = None
    """cycles of the whole run, host's accesses included; None where there is no clock"""


def error_message(execution: Execution) -> str:
    """Why the device stopped."""
    return (f"the device stopped with error {execution.error.value} ({execution.error.name.lower().replace('_', ' ')}) "
            f"at instruction {execution.error_instruction}")

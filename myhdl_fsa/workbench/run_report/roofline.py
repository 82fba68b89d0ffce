"""Operations a byte against the memory's bandwidth: whether the array or the memory sets the pace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import iteration_cycles
from myhdl_fsa.isa import Dma, Instruction, Transfer
from myhdl_fsa.program import Timing

__all__ = ["Roofline", "roofline"]


@dataclass(frozen=True)
class Roofline:
    """A run on the device, and the roofs above it, in operations a cycle.

    Reads and writes have channels of their own, so the direction that would take longer at full bandwidth is the one
    that counts.
    """

    operations: int
    """2 for each multiply-add of Q K^T and P V that the problem needs"""
    bytes_read: int
    bytes_written: int
    direction: str
    """``reads`` or ``writes``: the one that counts"""
    intensity: float
    """operations a byte of that direction"""
    bandwidth: Fraction
    """bytes a cycle of that direction, all ports together"""
    achieved: float
    """operations a cycle of the run"""
    peak: int
    """operations a cycle of the array: 2 for each multiply-adder"""
    steady: float
    """of the dataflow's inner iteration, which has cycles for the softmax too"""

    @property
    def memory_roof(self) -> float:
        """What the memory allows at this intensity."""
        return self.intensity * float(self.bandwidth)

    @property
    def roof(self) -> float:
        """What memory and array allow together."""
        return min(self.memory_roof, self.peak)

    @property
    def bound(self) -> str:
        """``memory`` or ``array``: whose roof is the lower one, that of the dataflow's iteration being the array's."""
        return "memory" if self.memory_roof < self.steady else "array"


def roofline(
    config: Config, instructions: Iterable[Instruction], timing: Timing, utilisation: float, cycles: int
) -> Roofline:
    """Of a run of a program on the device; ``utilisation`` and ``cycles`` are the run's."""
    moved = dict.fromkeys(Transfer, 0)
    for item in instructions:
        if isinstance(item, Dma):
            moved[Transfer(item.function)] += item.rows * item.size
    n, ports = config.rows, config.beat_bytes * config.memory_ports
    peak = 2 * n * n
    operations = round(utilisation * peak * cycles)
    ways = {"reads": (moved[Transfer.LOAD], ports * timing.read_bandwidth),
            "writes": (moved[Transfer.STORE], ports * timing.write_bandwidth)}
    direction = max(ways, key=lambda way: ways[way][0] / ways[way][1])
    count, bandwidth = ways[direction]
    return Roofline(operations, moved[Transfer.LOAD], moved[Transfer.STORE], direction, operations / count, bandwidth,
                    operations / cycles, peak, peak * 2 * n / iteration_cycles(config))

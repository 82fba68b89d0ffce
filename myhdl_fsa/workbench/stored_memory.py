"""Which memory a program leaves its marks on, and whether two runs left the same there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from myhdl_fsa.config import Config
from myhdl_fsa.isa import Dma, Fence, Transfer
from myhdl_fsa.kernel.legality import Illegal, memory_rows, parse
from myhdl_fsa.program import Execution, Region, State, error_message, memory_fault

__all__ = ["MemoryComparison", "compare_memory", "stored_regions", "union"]


@dataclass(frozen=True)
class MemoryComparison:
    """The memory that two runs of a program left, byte for byte, and how they ended."""

    count: int
    """bytes compared"""
    differing: int
    first: tuple[int, int, int] | None
    """address, our byte and the golden model's, where they first differ"""
    endings: tuple[str, str] | None
    """how ours and the golden model's ended, when not alike"""

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.first is None and self.endings is None

    def __str__(self) -> str:
        what = "bytes of memory, all that the program stores or --dump names"
        if self.endings is not None:
            return f"FSA differs from the golden model: FSA: {self.endings[0]}; golden: {self.endings[1]}"
        if self.first is None:
            return f"FSA equals the golden model bit for bit ({self.count} {what})"
        address, ours, golden = self.first
        return (f"FSA differs from the golden model in {self.differing} of {self.count} {what}, "
                f"first at {address:#x}: FSA {ours:02x}, golden {golden:02x}")


def stored_regions(words: Sequence[int], config: Config) -> list[Region]:
    """The rows in memory that a program's store instructions name, up to the first fence with stop; those outside
    memory, where no store comes to its end, are left out."""
    return [region for region in _rows_stored(words, config) if region.size and not memory_fault(region, config)]


def _rows_stored(words: Sequence[int], config: Config) -> Iterator[Region]:
    for instruction in parse(words):
        if isinstance(instruction, Illegal) or (isinstance(instruction, Fence) and instruction.stop):
            return
        if isinstance(instruction, Dma) and instruction.function == Transfer.STORE:
            yield from (Region(int(address), instruction.size) for address in memory_rows(instruction))


def union(regions: Iterable[Region]) -> list[Region]:
    """The bytes of all regions, each once, as stretches in ascending order with gaps between them."""
    merged: list[Region] = []
    for region in sorted(regions, key=lambda region: region.address):
        last = merged[-1] if merged else None
        if last is not None and region.address <= last.address + last.size:
            end = max(last.address + last.size, region.address + region.size)
            merged[-1] = Region(last.address, end - last.address)
        else:
            merged.append(region)

    return merged


def compare_memory(
    regions: Sequence[Region], ours: Execution, our_data: Sequence[bytes], golden: Execution,
    golden_data: Sequence[bytes],
) -> MemoryComparison:
    """Compares what two runs left in ``regions``, given for each in their order, and how they ended."""
    differing, first = 0, None
    for region, one, other in zip(regions, our_data, golden_data, strict=True):
        where = np.flatnonzero(np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8))
        differing += len(where)
        if len(where) and first is None:
            at = int(where[0])
            first = (region.address + at, one[at], other[at])
    endings = None if _ending(ours) == _ending(golden) else (_ending(ours), _ending(golden))
    return MemoryComparison(sum(region.size for region in regions), differing, first, endings)


def _ending(execution: Execution) -> str:
    return "done" if execution.state is State.DONE else error_message(execution)

"""What synthesis is to make the machine's RAMs of: the attribute ``ram_style``, as Vivado and yosys read it."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from myhdl_fsa.fpga.devices import DEVICES

__all__ = ["RAM_STYLES", "RamStyle", "for_device", "ram_styles"]

RamStyle = Callable[[int, int], str]
"""for a memory of so many rows of so many bits: ``distributed`` (LUTs), ``block`` or ``ultra``"""
RAM_STYLES = ("none", "auto", "distributed", "block", "ultra")
"""``none`` leaves it to synthesis, ``auto`` is ``for_device``"""

_LUT_ROWS = 64
"""a LUT of UltraScale+ is a RAM of so many bits"""
_BLOCK_ROWS, _ULTRA_ROWS, _WIDTH = 512, 4096, 72
"""of a block RAM and an UltraRAM at the width that both have for one port to read and one to write"""


def ram_styles(choice: str) -> dict[str, RamStyle]:
    """What a choice of ``RAM_STYLES`` means, by the block whose memory it is. Raises ValueError for another.

    The other memories are small, and some are no RAM that could be chosen.
    """
    if choice not in RAM_STYLES:
        raise ValueError(f"RAM style {choice!r} is unknown: known are {', '.join(RAM_STYLES)}")
    if choice == "none":
        return {}
    return {"ram": for_device if choice == "auto" else lambda rows, width: choice}


def for_device(rows: int, width: int) -> str:
    """LUTs for what is shallow; else block RAM or UltraRAM, of which it takes the smaller part of an XCU55C.

    LUTs are what the machine runs out of, so a deeper memory never gets any.
    """
    if rows <= _LUT_ROWS:
        return "distributed"
    have = DEVICES["xcu55c"].capacity
    assert have is not None
    side_by_side = ceil(width / _WIDTH)
    block, ultra = (side_by_side * ceil(rows / deep) for deep in (_BLOCK_ROWS, _ULTRA_ROWS))
    return "block" if block / have.bram <= ultra / have.uram else "ultra"

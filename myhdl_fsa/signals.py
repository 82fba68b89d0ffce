"""Signals by width, and bundles of signals that blocks take as one port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myhdl import Signal, intbv


def unsigned(width: int, value: int = 0) -> Any:
    """A signal of ``width`` bits (a bool signal for one bit) that starts at ``value``."""
    return Signal(bool(value)) if width == 1 else Signal(intbv(value)[width:])


def address_width(rows: int) -> int:
    """Bits that address ``rows`` rows, at least 2 (a one-bit signal would be a bool)."""
    return max(2, (rows - 1).bit_length())


class Lanes:
    """``count`` signals of ``width`` bits side by side: one port of a block, ``lane0`` ... in its Verilog."""

    def __init__(self, count: int, width: int) -> None:
        self.count = count
        for index in range(count):
            setattr(self, f"lane{index}", unsigned(width))

    def __getitem__(self, index: int) -> Any:
        return getattr(self, f"lane{range(self.count)[index]}")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self.count))

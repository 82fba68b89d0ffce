"""What attention costs: the arrays with their accumulators over a plain weight-stationary array of the same size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from area import dataflows, osu018, plain_array
from myhdl_fsa.config import Config
from myhdl_fsa.fpga.hierarchy import Hierarchy

__all__ = ["report"]

OUTSIDE = ("matrix_controller", "ram")
"""an array counts with its accumulators: the plain one has an adder and a register in their place"""
PAPER = 0.12
"""the paper's figure, at 16 nm and N=128"""


def report(sizes: Sequence[int]) -> Iterator[str]:
    """A line per size and dataflow."""
    for size in sizes:
        plain = Hierarchy(plain_array.convert(Config(rows=size)))
        plain_area, plain_pe = osu018.area(plain, "plain_array"), osu018.cells(plain.source("plain_pe")).area
        yield f"plain array N={size}: {plain_area / 1e6:.3f} mm2, a PE {plain_pe:.0f} um2"
        for label in ("fsa", "stream"):
            core = dataflows.converted(size, label)
            area, pe = osu018.area(core, "core", OUTSIDE), osu018.cells(core.source("pe")).area
            yield (f"array {label} N={size} with accumulators: {area / 1e6:.3f} mm2, {area / plain_area - 1:+.0%} over "
                   f"the plain one (the paper: {PAPER:+.0%}); a PE {pe / plain_pe - 1:+.0%}")

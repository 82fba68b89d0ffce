"""The modules of the smallest device: FPGA resources, multiplications, standard cells and longest paths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from area import dataflows, osu018, xcup
from area.requirement import Requirement
from myhdl_fsa.fpga.hierarchy import STRUCTURE, Hierarchy

__all__ = ["Limits", "report"]

SIZE = 4
"""the modules measured here hardly change with the array's size"""
MEMORIES = ("ram", "fifo")
"""modules that are RAM macros in silicon, and that yosys would make of flip-flops"""
MAY_MULTIPLY = ("pe", "accumulator_unit")
PUBLISHED_CORE = 3.68
"""mm2 of the published core without RAMs in these cells, N=4"""
CORE_RATIO = 0.8
NOISE = 1.02
"""ABC ends some 2 % elsewhere when it starts from the same gates in another order"""


@dataclass(frozen=True)
class Limits:
    """The most that a module may take; None where nothing is required."""

    luts: int | None = None
    dsps: int | None = None
    flip_flops: int | None = None
    area: float | None = None
    """um2"""
    path: float | None = None
    """ns"""


LIMITS = {
    "fsa": {
        "pe": Limits(750, 1, 106, 97_000, path=11.07),
        "comparator": Limits(700, 0, path=8.92),
        "accumulator_unit": Limits(1400, 2, path=16.07),
        "semaphores": Limits(400, 0, path=2.26),
    },
    "stream": {
        "pe": Limits(dsps=1, path=11.82),
        "comparator": Limits(dsps=0, path=8.19),
        "accumulator_unit": Limits(dsps=2, path=16.29),
        "semaphores": Limits(400, 0, path=2.26),
    },
}
"""by dataflow and module; a path is that of the converter without exact widths"""


def report() -> Iterator[str | Requirement]:
    """A line per module and figure, and the requirements."""
    for label, limits in LIMITS.items():
        device = dataflows.converted(SIZE, label, "accelerator")
        yield from _fpga(label, device, limits)
        yield from _multiplications(label, device)
        yield from _cells(label, device, limits)
        core = osu018.area(device, "core", outside=("ram",)) / 1e6
        yield f"{label} N={SIZE}, core without RAMs: {core:.3f} mm2, {core / PUBLISHED_CORE:.3f} of the published one"
        if label == "fsa":
            yield Requirement("core without RAMs over the published one", core / PUBLISHED_CORE, CORE_RATIO)


def _fpga(label: str, device: Hierarchy, limits: dict[str, Limits]) -> Iterator[str | Requirement]:
    for name, limit in limits.items():
        takes = xcup.resources(device.source(name))
        yield f"{label} N={SIZE}, {name}: {takes}"
        yield from _required(f"LUTs of {label}'s {name}", takes.luts, limit.luts)
        yield from _required(f"DSP48E2 of {label}'s {name}", takes.dsps, limit.dsps)
        yield from _required(f"flip-flops of {label}'s {name}", takes.flip_flops, limit.flip_flops)


def _multiplications(label: str, device: Hierarchy) -> Iterator[str | Requirement]:
    elsewhere = 0
    for name, times in device.parts("accelerator").items():
        found = xcup.multiplications(device.part(name))
        if found:
            yield f"{label} N={SIZE}, {times} x {name}: multiplications {', '.join(found)}"
        if name not in MAY_MULTIPLY:
            elsewhere += times * len(found)
    yield Requirement(f"multiplications outside PEs and accumulators of {label}", elsewhere, 0)


def _cells(label: str, device: Hierarchy, limits: dict[str, Limits]) -> Iterator[str | Requirement]:
    for name, times in device.parts("accelerator", MEMORIES).items():
        if name not in limits and xcup.multiplications(device.part(name)):
            # ABC takes many minutes for a wide multiplier, which is a fault already
            yield f"{label} N={SIZE}, {times} x {name}: not made of cells, since it multiplies"
            continue
        made = osu018.cells(device.part(name))
        limit = limits.get(name, Limits())
        if made.area:
            itself = " itself" if name in STRUCTURE else ""
            yield (f"{label} N={SIZE}, {times} x {name}{itself}: {made.area:.0f} um2 each, "
                   f"longest path {made.path:.2f} ns")
        yield from _required(f"um2 of {label}'s {name}", made.area, limit.area)
        most = None if limit.path is None else limit.path * NOISE
        yield from _required(f"ns on the longest path of {label}'s {name}", made.path, most)


def _required(what: str, figure: float, most: float | None) -> Iterator[Requirement]:
    if most is not None:
        yield Requirement(what, figure, most)

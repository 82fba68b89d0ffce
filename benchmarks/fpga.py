"""What the machine takes of an FPGA, both dataflows and pipelines, and the clock where a router exists: tables.

Run from the repository: ``python benchmarks/fpga.py [--device NAME] [--size N]... [--machine FIELD=VALUE,...]...
[--quick] [--route] [--extrapolate N]...``. Prints a table in Markdown for the device and one for its core: docs/fpga.md
has them for the ECP5 (``--device ecp5-85k --quick --route``) and for the U55C, which is the default. Progress goes to
standard error.

Every distinct module is synthesised once and counts as often as it is instantiated; so is it for all machines that have
it alike. ``--extrapolate`` adds arrays that are too large to synthesise in minutes, from the two largest sizes, whose
larger must be twice the smaller: each module grows from doubling to doubling as it did between these two, RAMs are
measured at their size, and the instances are counted in the converted design. Which size fits at most is said below.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import log2
from typing import Any

from myhdl_fsa.config import Config, ConfigError
from myhdl_fsa.convert.design import modules
from myhdl_fsa.fpga.devices import DEVICES, Device
from myhdl_fsa.fpga.extrapolation import extrapolated
from myhdl_fsa.fpga.hierarchy import Hierarchy
from myhdl_fsa.fpga.netlist import netlist
from myhdl_fsa.fpga.resources import Resources
from myhdl_fsa.fpga.route import route
from myhdl_fsa.fpga.synthesis import Area, mapped, synthesize

__all__ = ["MACHINES", "Row", "area", "machines", "tables"]

STREAM = {"dataflow": "stream", "reciprocal": "division"}
MACHINES: dict[str, dict[str, Any]] = {"fsa": {}} | {
    "stream" + (f" M={multiply}" if multiply else "") + (f" H={add}" if add > 1 else ""):
        {**STREAM, "mac_stages": multiply, "adder_stages": add}
    for add in (1, 2) for multiply in (0, 1, 2)
}
"""label -> fields of Config; M is mac_stages, H adder_stages"""
SIZES = (4, 8, 16)
TOPS = ("accelerator", "core")
MEMORIES = ("ram", "fifo")
"""modules that are synthesised at every size: they do not grow as the others do"""
AIM = 50.0
"""MHz that place and route aims at, where none are asked for"""
STEP = 4
"""between the sizes of which the largest that fits is sought"""


@dataclass(frozen=True)
class Row:
    """A machine of a size."""

    label: str
    size: int
    area: Area
    measured: bool
    clock: float | None = None
    """MHz"""


def machines(extra: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``MACHINES``, and one for each text of fields."""
    found = dict(MACHINES)
    for text in extra:
        pairs = (pair.partition("=") for pair in text.split(","))
        found[text] = {name: int(value) if value.isdecimal() else value for name, _, value in pairs}
    return found


@cache
def _hierarchy(config: Config) -> Hierarchy:
    return Hierarchy({name: module.text for name, module in modules(config, "accelerator").items()})


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def area(config: Config, top: str, device: Device) -> Area:
    """What ``top`` of a machine takes, module by module. Raises YosysError and MissingTool."""
    label = f"{config.dataflow} N={config.rows}"
    return synthesize(_hierarchy(config), top, device.family, lambda name, done, whole: _say(f"{label}: {name}"))


def larger_area(config: Config, top: str, device: Device, smaller: Mapping[int, Area]) -> Area:
    """What ``top`` of a large machine would take, from those of two sizes."""
    below, base = sorted(smaller)[-2:]
    design = _hierarchy(config)
    counts = design.parts(top)
    known = {name: device.family.resources(mapped(design.part(name), device.family).cells)
             for name in counts if name.startswith(MEMORIES)}
    return extrapolated(smaller[below], smaller[base], log2(config.rows / base), counts, known)


def clock(config: Config, top: str, device: Device, aim: float) -> float:
    """MHz that ``top`` of a machine reaches by place and route. Raises RouteError and MissingTool."""
    assert device.nextpnr is not None
    design = _hierarchy(config)
    text = netlist(design, top, device.family)
    _say(f"{config.dataflow} N={config.rows}: place and route")
    return route(text, design.instances(top), device.nextpnr, aim, _say).frequency


def rows(
    top: str, device: Device, chosen: Mapping[str, Mapping[str, Any]], sizes: Sequence[int], larger: Sequence[int],
    aim: float | None,
) -> Iterator[Row | str]:
    """A row a machine and size, and a line for one that cannot be."""
    for label, fields in chosen.items():
        measured: dict[int, Area] = {}
        for size in (*sizes, *larger):
            try:
                config = Config(rows=size, **fields)
            except ConfigError as error:
                yield f"{label}, N={size}: left out: {error}"
                continue
            if size in larger:
                yield Row(label, size, larger_area(config, top, device, measured), measured=False)
                continue
            measured[size] = area(config, top, device)
            # what does not fit is not placed
            fits = device.capacity is None or not measured[size].over(device.capacity)
            reached = clock(config, top, device, aim) if aim is not None and fits else None
            yield Row(label, size, measured[size], measured=True, clock=reached)
        if larger and device.capacity is not None:
            yield _largest(label, fields, top, device, measured)


def _largest(
    label: str, fields: Mapping[str, Any], top: str, device: Device, measured: Mapping[int, Area]
) -> str:
    """Which array is the largest that is not too big, with nothing left for what stands around it."""
    assert device.capacity is not None
    have, base = device.capacity.to_dict(), max(measured)

    def part(found: Area) -> tuple[float, str]:
        return max((used / have[name], name) for name, used in found.total.to_dict().items() if have[name])

    def of(size: int) -> tuple[float, str]:
        return part(larger_area(Config(rows=size, **fields), top, device, measured) if size > base else measured[base])

    # PEs are most of it, and so the square of the side tells nearly where to begin
    size = max(base, int(base / part(measured[base])[0] ** 0.5) // STEP * STEP)
    while size > base and of(size)[0] > 1:
        size -= STEP
    if of(size)[0] > 1:
        return f"{label}: {top} of N={base} does not fit"
    while of(size + STEP)[0] <= 1:
        size += STEP
    full, most = of(size)
    return f"{label}: {top} of N={size} is the largest that fits, with {full:.0%} of the {device.family.names[most]}"


def tables(top: str, device: Device, found: Sequence[Row | str]) -> Iterator[str]:
    """A line a machine in Markdown, and after it what was left out and what fits."""
    names, lines = device.family.names, [row for row in found if isinstance(row, Row)]
    routed = any(row.clock is not None for row in lines)
    head = [f"{top} on {device.part}", "N", *names.values(), *(["of the part"] if device.capacity else []),
            *(["clock"] if routed else [])]
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in lines:
        cells = [row.label, str(row.size) + ("" if row.measured else ", extrapolated"), *_counts(row.area.total, names)]
        if device.capacity is not None:
            have, used = device.capacity.to_dict(), row.area.total.to_dict()
            cells.append(f"{max(used[name] / have[name] for name in names if have[name]):.1%}")
        cells += [f"{row.clock:.1f} MHz" if row.clock is not None else ""] if routed else []
        yield f"| {' | '.join(cells)} |"
    texts = [line for line in found if isinstance(line, str)]
    yield from ["", *texts] if texts else []


def _counts(resources: Resources, names: Mapping[str, str]) -> list[str]:
    values = resources.to_dict()
    return [f"{values[name]:.10g}" for name in names]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=DEVICES, default="xcu55c", help="the part (default: xcu55c)")
    parser.add_argument("--size", type=int, action="append", metavar="N", help="only this array size; repeatable")
    parser.add_argument("--quick", action="store_true", help="the smallest array only")
    parser.add_argument("--top", action="append", choices=TOPS, help="only the device or the core; repeatable")
    parser.add_argument("--only", action="append", metavar="LABEL",
                        help=f"only this machine, of {', '.join(MACHINES)}; repeatable")
    parser.add_argument("--machine", action="append", default=[], metavar="FIELD=VALUE,...",
                        help="one more machine, by fields of Config; repeatable")
    parser.add_argument("--route", nargs="?", type=float, const=AIM, metavar="MHZ",
                        help=f"place and route too, and the clock reached; aims at MHZ (default: {AIM:g})")
    parser.add_argument("--extrapolate", type=int, action="append", default=[], metavar="N",
                        help="an array of this size too, from the two largest others; repeatable")
    given = parser.parse_args()
    device, chosen = DEVICES[given.device], machines(given.machine)
    if unknown := set(given.only or ()) - set(chosen):
        parser.error(f"--only {', '.join(sorted(unknown))}: must be of {', '.join(chosen)}")
    if given.route is not None and device.nextpnr is None:
        parser.error(f"--route: {device.part} has no open router")
    sizes = sorted(given.size or (SIZES[:1] if given.quick else SIZES))
    if given.extrapolate and (len(sizes) < 2 or sizes[-1] != 2 * sizes[-2]):
        parser.error("--extrapolate: the two largest sizes must be one twice the other")
    chosen = {label: fields for label, fields in chosen.items() if not given.only or label in given.only}
    for top in given.top or TOPS:
        found = list(rows(top, device, chosen, sizes, sorted(given.extrapolate), given.route))
        print("\n".join(tables(top, device, found)), flush=True)
        print(flush=True)


if __name__ == "__main__":
    main()

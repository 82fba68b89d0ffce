"""The report as text: what each module takes, the sum, and the slowest path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from myhdl_fsa.fpga.devices import Device
from myhdl_fsa.fpga.resources import Resources
from myhdl_fsa.fpga.route import Routed, Step
from myhdl_fsa.fpga.synthesis import Area

__all__ = ["area_lines", "excess", "path_lines", "path_text"]


def area_lines(area: Area, device: Device) -> list[str]:
    """A line a module, with what all its instances take, then the sum, what the part has, and the per cent of it."""
    names = device.family.names
    rows = [["module", "instances", *names.values()]]
    rows += [[part.name, str(part.times), *_cells(part.all, names)] for part in area.parts]
    rows.append(["sum", "", *_cells(area.total, names)])
    if device.capacity is not None:
        total, have = area.total.to_dict(), device.capacity.to_dict()
        rows.append([f"{device.part} has", "", *_cells(device.capacity, names)])
        rows.append(["per cent", "", *(f"{100 * total[name] / have[name]:.1f}" if have[name] else "-"
                                       for name in names)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                   zip(row[1:], widths[1:], strict=True))]) for row in rows]


def _cells(resources: Resources, names: Mapping[str, str]) -> list[str]:
    values = resources.to_dict()
    return [f"{values[name]}" for name in names]


def excess(area: Area, device: Device) -> str:
    """By how much a design is too big for a part, or nothing: ``37000 LUT4 more than the 24288 that it has``."""
    if device.capacity is None:
        return ""
    have, names = device.capacity.to_dict(), device.family.names
    return ", ".join(f"{more} {names[name]} more than its {have[name]}"
                     for name, more in area.over(device.capacity).items())


def path_lines(routed: Routed) -> Iterator[str]:
    """The clock reached, and a line an instance on the slowest path, from register to register."""
    yield f"Clock: {routed.frequency:.2f} MHz; slowest path, {routed.nanoseconds:.1f} ns:"
    for step in routed.path:
        yield (f"  {step.logic + step.routing:6.1f} ns in {_named(step)}: {step.logic:.1f} logic, "
               f"{step.routing:.1f} wires, {step.cells} cells")


def path_text(routed: Routed) -> str:
    """The same in one line, without what is logic and what wires."""
    steps = ", ".join(f"{step.logic + step.routing:.1f} in {_named(step)}" for step in routed.path)
    return f"{routed.frequency:.2f} MHz; slowest path {routed.nanoseconds:.1f} ns: {steps}"


def _named(step: Step) -> str:
    if not step.module:
        return "the shift registers around it"
    return f"{step.place} ({step.module})" if step.place else f"{step.module} itself"

"""The report as text: what each module takes, the sum, and the slowest path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from myhdl_fsa.fpga.devices import Device
from myhdl_fsa.fpga.resources import Resources
from myhdl_fsa.fpga.route import Clock, Routed, Step, length
from myhdl_fsa.fpga.synthesis import Area

__all__ = ["area_lines", "clock_lines", "excess", "missed", "path_lines", "path_text"]


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
    yield from _step_lines(routed.path)


def clock_lines(clocks: Sequence[Clock]) -> Iterator[str]:
    """A line a clock, with what was asked for and what was reached, then the slowest path of each."""
    width = max((len(clock.domain) for clock in clocks), default=0)
    for clock in clocks:
        yield (f"Clock {clock.domain.ljust(width)}  {clock.wanted:7.2f} MHz wanted, {clock.reached:7.2f} MHz reached"
               f"{'' if clock.met else ': not met'}")
    for clock in clocks:
        if clock.path:
            yield f"Slowest path of {clock.domain}, {length(clock.path):.1f} ns:"
            yield from _step_lines(clock.path)


def missed(clock: Clock) -> str:
    """In one line, that a clock is not met, and the path: ``fsa: 12.10 MHz of 20.00 MHz; slowest path ...``."""
    return f"{clock.domain}: {clock.reached:.2f} MHz of {clock.wanted:.2f} MHz; {_path_text(clock.path)}"


def path_text(routed: Routed) -> str:
    """The clock reached and its slowest path in one line, without what is logic and what wires."""
    return f"{routed.frequency:.2f} MHz; {_path_text(routed.path)}"


def _path_text(path: Sequence[Step]) -> str:
    steps = ", ".join(f"{step.logic + step.routing:.1f} in {_named(step)}" for step in path)
    return f"slowest path {length(path):.1f} ns: {steps}"


def _step_lines(path: Sequence[Step]) -> Iterator[str]:
    for step in path:
        yield (f"  {step.logic + step.routing:6.1f} ns in {_named(step)}: {step.logic:.1f} logic, "
               f"{step.routing:.1f} wires, {step.cells} cells")


def _named(step: Step) -> str:
    if not step.module:
        return "the shift registers around it"
    return f"{step.place} ({step.module})" if step.place else f"{step.module} itself"

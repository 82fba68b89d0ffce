"""``fsa-fpga report``: what a machine takes of a part, and the clock that it reaches there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from myhdl_fsa.cli.command import GroupedCommand, Groups, option, said
from myhdl_fsa.cli.common import (
    CONTEXT,
    FILE,
    check_output,
    write_output,
)
from myhdl_fsa.cli.constraints import Constraint, Lacks, Needs
from myhdl_fsa.cli.design_options import DesignOptions, machine_options
from myhdl_fsa.cli.fpga_progress import SynthesisAnnouncements
from myhdl_fsa.cli.types import OneOf, PositiveNumber
from myhdl_fsa.config import Config
from myhdl_fsa.fpga import tools
from myhdl_fsa.fpga.devices import DEVICES, Device

__all__ = ["CONSTRAINTS", "GROUPS", "Options", "report"]

if TYPE_CHECKING:
    from myhdl_fsa.fpga.hierarchy import Hierarchy
    from myhdl_fsa.fpga.route import Routed
    from myhdl_fsa.fpga.synthesis import Area

_AIM = 50.0
"""MHz, where none are asked for"""

GROUPS: Groups = {
    "Machine": (
        *machine_options(),
        option("--top", default="accelerator", metavar="NAME",
               help="The device, the bare core, or one block, with all it instantiates; fsa-convert --list has them."),
    ),
    "FPGA": (
        option("--device", type=OneOf(tuple(DEVICES)), default="ecp5-85k",
               help="The part; xcup is UltraScale+ of any size."),
        option("--route", is_flag=True, help="Place and route the whole, and say the clock reached and its slowest "
               "path; takes minutes."),
        option("--frequency", type=PositiveNumber(), metavar="MHZ", help="The clock that --route must reach; "
               "status 1 if it does not.  [default: any]"),
    ),
    "Output": (
        option("--json", type=FILE, metavar="FILE", help="Write the report there too (-: standard output, which then "
               "holds nothing else)."),
        option("--quiet", is_flag=True, help="Print nothing but errors."),
    ),
}
CONSTRAINTS: tuple[Constraint, ...] = (
    Lacks("--device " + "|".join(name for name, device in DEVICES.items() if device.nextpnr is None),
          "has no open router", "--route"),
    Needs("--frequency", "--route"),
)


@dataclass(frozen=True)
class Options(DesignOptions):
    """The command line, as given; None where nothing was."""

    device: str
    route: bool
    frequency: float | None


def _report(**given: object) -> int:
    """What the machine takes of a part, module by module, and with --route the clock that it reaches."""
    options = Options(**given)  # type: ignore[arg-type]
    device = DEVICES[options.device]
    config = options.machine()
    options.check_top(config, said("--top"))
    if options.json is not None:
        check_output("--json", options.json)
        options.check_not_config(said("--json"))
    announcements = SynthesisAnnouncements(options.quiet)
    try:
        tools.synthesizer()
        if options.route and device.nextpnr is not None:
            tools.router(device.nextpnr.tool)
        return _run(options, config, device, announcements)
    except tools.MissingTool as error:
        raise click.ClickException(str(error)) from None
    except tools.ToolError as error:
        raise click.ClickException(f"{said('--config')}, {said('--device')}: {error}") from None


report = GroupedCommand("report", callback=_report, help=_report.__doc__, groups=GROUPS, constraints=CONSTRAINTS,
                        context_settings=CONTEXT)


def _run(options: Options, config: Config, device: Device, announcements: SynthesisAnnouncements) -> int:
    from myhdl_fsa.fpga.synthesis import synthesize
    from myhdl_fsa.fpga.table import area_lines, excess, path_lines, path_text

    hierarchy, top = _converted(options, config)
    area = synthesize(hierarchy, top, device.family, announcements.module)
    _say(options, area_lines(area, device))
    over = excess(area, device)
    routed = _routed(hierarchy, top, options, device, announcements) if options.route and not over else None
    if routed is not None:
        _say(options, path_lines(routed))
    write_output("--json", options.json, _document(options, config, device, area, routed))
    if over:
        raise click.ClickException(f"{said('--config')}: {options.top} is too big for {said('--device')}, "
                                   f"{device.part}: {over}")
    if routed is not None and options.frequency is not None and routed.frequency < options.frequency:
        raise click.ClickException(f"{said('--frequency')}: not reached: {path_text(routed)}")
    return 0


def _converted(options: Options, config: Config) -> tuple[Hierarchy, str]:
    """The design, and the name of its top."""
    from myhdl_fsa.convert.design import modules
    from myhdl_fsa.fpga.hierarchy import Hierarchy

    try:
        found = modules(config, options.top)
    except ValueError as error:
        raise click.ClickException(f"cannot convert {options.top} of {options.config}: {error}") from None
    return Hierarchy({name: module.text for name, module in found.items()}), list(found)[-1]


def _routed(
    hierarchy: Hierarchy, top: str, options: Options, device: Device, announcements: SynthesisAnnouncements
) -> Routed:
    from myhdl_fsa.fpga.netlist import netlist
    from myhdl_fsa.fpga.route import route

    assert device.nextpnr is not None
    announcements.say("the netlist of the whole")
    text = netlist(hierarchy, top, device.family)
    announcements.say(f"place and route by {device.nextpnr.tool}: minutes")
    return route(text, hierarchy.instances(top), device.nextpnr, options.frequency or _AIM, announcements.say)


def _say(options: Options, lines: Any) -> None:
    if options.prints:
        for line in lines:
            click.echo(line)


def _document(options: Options, config: Config, device: Device, area: Area, routed: Routed | None) -> bytes:
    from myhdl_fsa.workbench.report import to_json

    capacity = None if device.capacity is None else device.capacity.to_dict()
    return to_json({
        "config": config.to_dict(), "top": options.top,
        "device": {"name": options.device, "part": device.part, "family": device.family.title, "has": capacity},
        **area.to_dict(),
        "over": {} if device.capacity is None else area.over(device.capacity),
        "route": None if routed is None else {"wanted": options.frequency, **routed.to_dict()},
    })

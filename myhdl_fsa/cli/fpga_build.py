"""``fsa-fpga build``: a bitstream of a system with the accelerator for a board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli.command import GroupedCommand, Groups, option, said
from myhdl_fsa.cli.common import CONTEXT, FILE, check_output, write_output
from myhdl_fsa.cli.design_options import DesignOptions, machine_options
from myhdl_fsa.cli.fpga_progress import SynthesisAnnouncements
from myhdl_fsa.cli.types import Integer, OneOf, PositiveNumber
from myhdl_fsa.config import Config
from myhdl_fsa.fpga import tools
from myhdl_fsa.fpga.boards import ACCELERATOR, BOARDS, Board
from myhdl_fsa.workbench.file_set import check_folder, write_set
from myhdl_fsa.workbench.files import OutputError

__all__ = ["GROUPS", "Options", "build"]

if TYPE_CHECKING:
    from myhdl_fsa.fpga.bitstream import Implemented, Synthesized
    from myhdl_fsa.fpga.system.request import Generated

def _given(context: click.Context, parameter: click.Parameter, value: str | None) -> str:
    if value is None and not context.resilient_parsing:
        raise click.UsageError(f"--board: must be given: {' or '.join(BOARDS)}", context)
    return value or ""


GROUPS: Groups = {
    "Machine": machine_options(),
    "Board": (
        option("--board", type=OneOf(tuple(BOARDS)), callback=_given,
               help="The board: ULX3S with an LFE5U-85F, or ECPIX-5 with an LFE5UM5G-85F; must be given."),
        option("--clock", type=PositiveNumber(), metavar="MHZ", help="The accelerator's.  "
               "[default: " + ", ".join(f"{board.accelerator:g} on {name}" for name, board in BOARDS.items()) + "]"),
        option("--system-clock", type=PositiveNumber(), metavar="MHZ", help="That of CPU, bus and memory.  "
               "[default: " + ", ".join(f"{board.system:g} on {name}" for name, board in BOARDS.items()) + "]"),
        option("--seed", type=Integer(0, 2**31 - 1), default=1, metavar="N", help="Where placement begins: another "
               "one reaches another clock."),
    ),
    "Output": (
        option("--out", type=FILE, metavar="DIR", help="The folder to write to.  [default: build/<board>]"),
        option("--json", type=FILE, metavar="FILE", help="Write the report there too (-: standard output, which then "
               "holds nothing else)."),
        option("--quiet", is_flag=True, help="Print nothing but errors."),
    ),
}


@dataclass(frozen=True)
class Options(DesignOptions):
    """The command line, as given; None where nothing was."""

    board: str
    clock: float | None
    system_clock: float | None
    seed: int
    out: Path | None

    @property
    def folder(self) -> Path:
        """Where files are written to."""
        return Path("build") / self.board if self.out is None else self.out

    @property
    def accelerator_mhz(self) -> float:
        """The accelerator's clock."""
        return self.clock or BOARDS[self.board].accelerator

    @property
    def system_mhz(self) -> float:
        """The clock of the rest."""
        return self.system_clock or BOARDS[self.board].system

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all that a build can write."""
        return *(f"{self.board}{suffix}" for suffix in (".bit", ".svf")), *_BESIDE


_BESIDE = ("config.json", "csr.json", "csr.h", "report.json", "report.txt")


def _build(**given: object) -> int:
    """Make a bitstream: processor, memory, serial line and the accelerator, on a board; takes minutes."""
    options = Options(top="accelerator", **given)  # type: ignore[arg-type]
    config, board = options.machine(), BOARDS[options.board]
    options.check_top(config, "")
    _check_clocks(options, board)
    _check_outputs(options)
    announcements = SynthesisAnnouncements(options.quiet)
    try:
        _require(board)
        return _run(options, config, board, announcements)
    except tools.MissingTool as error:
        raise click.ClickException(str(error)) from None
    except tools.ToolError as error:
        raise click.ClickException(f"{said('--config')}, {said('--board')}: {error}") from None


build = GroupedCommand("build", callback=_build, help=_build.__doc__, groups=GROUPS, context_settings=CONTEXT)


def _check_clocks(options: Options, board: Board) -> None:
    for name, value, (low, high) in (("--clock", options.clock, board.accelerator_range),
                                     ("--system-clock", options.system_clock, board.system_range)):
        if value is not None and not low <= value <= high:
            raise click.UsageError(f"{said(name)}: must be from {low:g} to {high:g} MHz on {board.title}")


def _check_outputs(options: Options) -> None:
    try:
        check_folder(options.folder)
    except OutputError as error:
        raise click.UsageError(f"--out {options.folder}: cannot write: {error}") from None
    if options.json is not None:
        check_output("--json", options.json)
        options.check_not_config(said("--json"))


def _require(board: Board) -> None:
    """Raises MissingTool for the first that is missing, before minutes are spent."""
    from myhdl_fsa.fpga.system.request import require

    require()
    tools.synthesizer()
    assert board.device.nextpnr is not None
    tools.router(board.device.nextpnr.tool)
    tools.packer()


def _run(options: Options, config: Config, board: Board, announcements: SynthesisAnnouncements) -> int:
    from myhdl_fsa.fpga.bitstream import implement, pack, synthesize_system
    from myhdl_fsa.fpga.system.request import Request, generate
    from myhdl_fsa.fpga.table import area_lines, clock_lines, excess, missed

    announcements.say("LiteX makes the system, and its software is compiled")
    generated = generate(Request(options.board, options.system_mhz, options.accelerator_mhz, config.to_dict()))
    synthesized = synthesize_system(generated, board.device.family, announcements.module)
    lines = area_lines(synthesized.area, board.device)
    _say(options, lines)
    over = excess(synthesized.area, board.device)
    if over:
        _finish(options, generated, _document(options, board, generated, synthesized, None), lines, {})
        raise click.ClickException(f"{said('--config')}: the system is too big for {said('--board')}, "
                                   f"{board.device.part}: {over}")
    announcements.say("place and route: minutes")
    implemented = implement(synthesized, board, generated.constraints, options.seed, announcements.say)
    told = list(clock_lines(implemented.clocks))
    _say(options, told)
    document = _document(options, board, generated, synthesized, implemented)
    slow = [clock for clock in implemented.clocks if not clock.met]
    made = {}
    if not slow:
        announcements.say("the bitstream")
        bit, svf = pack(implemented.configuration)
        made = {f"{options.board}.bit": bit, f"{options.board}.svf": svf}
    _finish(options, generated, document, [*lines, *told], made)
    if slow:
        named = {f"--clock {options.accelerator_mhz:g}" if clock.domain == ACCELERATOR else
                 f"--system-clock {options.system_mhz:g}": None for clock in slow}
        raise click.ClickException(f"{', '.join(named)}: not met, so no bitstream is written: "
                                   f"{'; '.join(map(missed, slow))}")
    _say(options, [f"In {options.folder}: {', '.join(made)}"])
    return 0


def _document(
    options: Options, board: Board, generated: Generated, synthesized: Synthesized, implemented: Implemented | None
) -> bytes:
    from myhdl_fsa.workbench.report import to_json

    assert board.device.capacity is not None
    area = synthesized.area
    return to_json({
        "config": generated.config, "board": {"name": options.board, "title": board.title},
        "device": {"part": board.device.part, "family": board.device.family.title,
                   "has": board.device.capacity.to_dict()},
        **area.to_dict(),
        "over": area.over(board.device.capacity),
        "seed": options.seed,
        "clocks": {} if implemented is None else {clock.domain: clock.to_dict() for clock in implemented.clocks},
        "used": {} if implemented is None else dict(implemented.used),
    })


def _finish(
    options: Options, generated: Generated, document: bytes, lines: Iterable[str], made: Mapping[str, bytes]
) -> None:
    """Writes the folder's files, and --json's."""
    texts = {**generated.files, "report.txt": "".join(f"{line}\n" for line in lines)}
    files = {**{name: text.encode() for name, text in texts.items()}, "report.json": document, **made}
    try:
        write_set(options.folder, files, options.files)
    except OutputError as error:
        raise click.ClickException(f"--out {options.folder}: cannot write: {error}") from None
    write_output("--json", options.json, document)


def _say(options: Options, lines: Iterable[str]) -> None:
    if options.prints:
        for line in lines:
            click.echo(line)

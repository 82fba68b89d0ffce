"""``fsa-fpga run``: attention on a device that stands in a LiteX SoC, from the PC that the board is connected to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli import sim_options
from myhdl_fsa.cli.command import GroupedCommand, Groups, option, said
from myhdl_fsa.cli.common import CONTEXT, DEFAULT_CONFIG, FILE, check_accelerator, load_config, with_dataflow
from myhdl_fsa.cli.constraints import Constraint, Excludes, Needs
from myhdl_fsa.cli.types import Host, Integer, PositiveNumber
from myhdl_fsa.config import Config
from myhdl_fsa.program import Timing

__all__ = ["CONSTRAINTS", "GROUPS", "Options", "run"]

if TYPE_CHECKING:
    from myhdl_fsa.fpga.host.bus import Bus
    from myhdl_fsa.fpga.host.soc import Soc

_BESIDE = "config.json"
_SIM = {item.opts[0]: item for group in sim_options.GROUPS.values() for item in group}

GROUPS: Groups = {
    "Board": (
        option("--port", metavar="PORT", help="The serial port of the SoC's UARTBone, as /dev/ttyUSB0, or a URL of "
               "pyserial's, as socket://localhost:1111."),
        option("--baud", type=Integer(50, 20_000_000), default=115200, help="Its rate."),
        option("--connect", type=Host(1234), help="Instead of a port, LiteX's server (litex_server), which has any of "
               "LiteX's bridges behind it; port 1234 unless given."),
        option("--csr", type=FILE, default="csr.json", metavar="FILE", help="What LiteX wrote of the SoC: where the "
               "device's registers and its memory are."),
        option("--timeout", type=PositiveNumber(), default=10.0, metavar="SECONDS", help="Give up after so long "
               "without progress, and say where the run stood."),
    ),
    "Attention": tuple(
        item if item.opts[0] != "--scale" else option("--scale", type=PositiveNumber(), help="What scores are "
                                                      "multiplied by: a positive number that the formats can hold.  "
                                                      "[default: 1/sqrt(d)]")
        for item in sim_options.GROUPS["Attention"]
    ),
    "Machine": (
        option("--config", metavar="NAME|FILE.json", help="The machine in the SoC: a known configuration, or a file of "
               f"its fields.  [default: {_BESIDE} beside the --csr file if there is one, or {DEFAULT_CONFIG}]"),
        *(_SIM[name] for name in ("--reciprocal", "--dataflow")),
    ),
    "Output (FILE may be -, standard output, which then holds nothing else)": tuple(
        _SIM[name] for name in ("--json", "--dump-asm", "--quiet")),
}
CONSTRAINTS: tuple[Constraint, ...] = (
    Excludes("--baud, --port", "a serial port", "--connect"),
    Needs("--baud", "--port"),
    *sim_options.TENSOR_CONSTRAINTS,
)


@dataclass(frozen=True, kw_only=True)
class Options(sim_options.Options):
    """The command line, as given, and as what runs attention in ``fsa-sim`` reads it."""

    port: str | None
    baud: int
    connect: tuple[str, int] | None
    csr: Path
    timeout: float

    @property
    def line(self) -> str:
        """The option that says where the board is."""
        return "--port" if self.connect is None else "--connect"

    @property
    def engine_used(self) -> str:
        """As Options."""
        return "board"

    @property
    def simulated_timing(self) -> Timing | None:
        """None: memory and host are what they are."""
        return None

    @property
    def counted(self) -> str:
        """As Options."""
        return "bytes"

    @property
    def compares(self) -> bool:
        """Always: what a board gives is held against the golden model."""
        return True

    @property
    def inputs(self) -> list[tuple[str, Path]]:
        """As Options."""
        return [*super().inputs, ("--csr", self.csr)]


def _run(**given: object) -> int:
    """Run attention on a board, and print what fsa-sim prints, whether every bit is the golden model's, and times."""
    from myhdl_fsa.cli.attention import run_attention
    from myhdl_fsa.cli.outputs import Recorder, check_outputs

    if given["config"] is None:
        given["config"] = _default_config(Path(str(given["csr"])))
    options = Options(**given)  # type: ignore[arg-type]
    config = load_config(options.config, options.reciprocal)
    chooses = None if options.dataflow is None else said("--dataflow")
    config = with_dataflow(options.config, config, options.dataflow, chooses)
    check_accelerator(options.config, config, chooses)
    check_outputs(options)
    if options.port is None and options.connect is None:
        raise click.UsageError("--port or --connect must say where the board is")
    soc = _soc(options)
    config = _placed(options, soc, config)
    recorder = Recorder(options)
    with _connected(options) as bus:
        from myhdl_fsa.fpga.host.engine import BoardEngine

        return run_attention(options, config, recorder, BoardEngine(bus, soc, options.timeout))


run = GroupedCommand("run", callback=_run, help=_run.__doc__, groups=GROUPS, constraints=CONSTRAINTS,
                     context_settings=CONTEXT)


def _default_config(csr: Path) -> str:
    """What --config is when it is not given."""
    beside = csr.absolute().with_name(_BESIDE)
    return str(beside) if beside.exists() else DEFAULT_CONFIG


def _soc(options: Options) -> Soc:
    from myhdl_fsa.fpga.host.soc import Soc, SocError

    try:
        return Soc.read(options.csr)
    except SocError as error:
        raise click.UsageError(f"{said('--csr')}: {error}") from None


def _placed(options: Options, soc: Soc, config: Config) -> Config:
    from myhdl_fsa.fpga.host.soc import SocError

    try:
        return soc.place(config)
    except SocError as error:
        raise click.UsageError(f"--config {options.config}: {error} ({said('--csr')})") from None


@contextmanager
def _connected(options: Options) -> Iterator[Bus]:
    """The line to the board.

    Raises click.UsageError where it cannot be opened, click.ClickException for one that is never silent, and without
    LiteX.
    """
    try:
        from myhdl_fsa.fpga.host.bus import BusError
        from myhdl_fsa.fpga.host.litex_bus import CannotOpen, SerialBus, ServerBus
    except ModuleNotFoundError as error:
        from myhdl_fsa.litex.requirements import INSTALL

        raise click.ClickException(f"{error.name} is not installed: run `{INSTALL}`") from None
    try:
        bus: Bus
        if options.connect is not None:
            bus = ServerBus(*options.connect)
        else:
            assert options.port is not None
            bus = SerialBus(options.port, options.baud)
    except CannotOpen as error:
        raise click.UsageError(f"{options.line} {error}") from None
    except BusError as error:
        raise click.ClickException(str(error)) from None
    try:
        yield bus
    finally:
        bus.close()

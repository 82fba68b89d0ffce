"""``fsa-fpga simulate``: a SoC with the machine and a processor in Verilator, and attention as its program."""

from __future__ import annotations

import math
import re
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli.announcements import Announcements
from myhdl_fsa.cli.command import GroupedCommand, Groups, option, said
from myhdl_fsa.cli.common import CONTEXT, FILE, check_output, write_output
from myhdl_fsa.cli.constraints import Constraint, Excludes, Needs
from myhdl_fsa.cli.design_options import DesignOptions, machine_options
from myhdl_fsa.cli.types import Integer, OneOf
from myhdl_fsa.config import Config

__all__ = ["CONSTRAINTS", "GROUPS", "Options", "simulate"]

if TYPE_CHECKING:
    from myhdl_fsa.litex.simulation import Ended

_PROCESSORS = ("vexriscv", "rocket")
_MOST_ROWS = 1024
"""of a tensor: the program holds all of them"""
_OURS = ".fsa-fpga-simulate"
"""in a folder of --out: it may be built in again"""

GROUPS: Groups = {
    "Tensors": (
        option("--seq-q", type=Integer(1, _MOST_ROWS), help="Queries.  [default: 4, or one tile]"),
        option("--seq-kv", type=Integer(1, _MOST_ROWS), help="Keys and values.  [default: 4, or one tile]"),
        option("--seed", type=Integer(0, (1 << 32) - 1), default=0, help="Seed of the generated tensors."),
    ),
    "Machine": machine_options("; its memory is the SoC's main RAM"),
    "SoC": (
        option("--cpu", type=OneOf(_PROCESSORS), default="vexriscv", help="The processor; rocket is of 64 bits, and "
               "takes minutes to build."),
        option("--own-clock", is_flag=True, help="The machine runs at twice the processor's clock, behind clock domain "
               "crossings, instead of at the same."),
        option("--out", type=FILE, metavar="DIR", help="Keep what is built there: csr.json, software and Verilog."),
        option("--build-dir", type=FILE, metavar="DIR", help="Keep simulators and libraries there, for reuse.  "
               "[default: the user's cache folder]"),
        option("--bridge", type=Integer(1, 65535), metavar="PORT", help="Instead of a processor a bridge, for fsa-fpga "
               "run --port socket://localhost:PORT with the csr.json in --out; until Ctrl-C."),
        option("--max-cycles", type=Integer(1), default=100_000_000, metavar="CYCLES", help="Give up after that many "
               "of the processor's, and say where the run stood."),
    ),
    "Output": (
        option("--json", type=FILE, metavar="FILE", help="Write what the processor printed as JSON too (-: standard "
               "output, which then holds nothing else)."),
        option("--quiet", is_flag=True, help="Print nothing but errors."),
    ),
}
CONSTRAINTS: tuple[Constraint, ...] = (
    Excludes("--seq-q, --seq-kv, --seed, --cpu, --own-clock, --max-cycles, --json", "a SoC with a processor",
             "--bridge"),
    Needs("--bridge", "--out"),
)


@dataclass(frozen=True)
class Options(DesignOptions):
    """The command line, as given; None where nothing was."""

    cpu: str
    own_clock: bool
    seq_q: int | None
    seq_kv: int | None
    seed: int
    out: Path | None
    build_dir: Path | None
    bridge: int | None
    max_cycles: int


def _simulate(**given: object) -> int:
    """Attention by a program on a processor, beside the machine in one SoC, simulated in Verilator.

    The processor loads the tensors, runs the kernel's words, compares every bit with the golden model's and prints the
    errors and counters. Status 1 if a bit differs.
    """
    options = Options(**given, top="accelerator")  # type: ignore[arg-type]
    config = options.machine()
    options.check_top(config, said("--config"))
    if options.json is not None:
        check_output("--json", options.json)
        options.check_not_config(said("--json"))
    if options.out is not None:
        _check_folder(options.out)
    from myhdl_fsa.engine.request import RunError
    from myhdl_fsa.kernel.errors import KernelError
    from myhdl_fsa.litex.requirements import check_installed

    try:
        check_installed(options.cpu)
        return _run(options, config) if options.bridge is None else _serve(options, config, options.bridge)
    except (RunError, KernelError) as error:
        raise click.ClickException(str(error)) from None


simulate = GroupedCommand("simulate", callback=_simulate, help=_simulate.__doc__, groups=GROUPS,
                          constraints=CONSTRAINTS, context_settings=CONTEXT)


def _check_folder(folder: Path) -> None:
    """Raises click.UsageError for one that is not to be built in."""
    if " " in str(folder.absolute()):
        raise click.UsageError(f"{said('--out')}: its path must have no space in it: make takes none")
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"{said('--out')}: is not a folder")
    if folder.exists() and not (folder / _OURS).exists() and any(folder.iterdir()):
        raise click.UsageError(f"{said('--out')}: holds files that are not from fsa-fpga simulate: must be another "
                               "folder")


def _run(options: Options, config: Config) -> int:
    from myhdl_fsa.litex import simulation
    from myhdl_fsa.workbench.temporary import temporary_folder
    from myhdl_fsa.workbench.workload import default_seq

    announcements = Announcements("fsa-fpga", options.quiet)
    queries, keys = (default_seq(config) if size is None else size for size in (options.seq_q, options.seq_kv))
    with ExitStack() as stack:
        if options.out is None:
            folder = stack.enter_context(temporary_folder())
        else:
            folder = _folder(options.out)
        gateware = simulation.build(config, options.cpu, queries, keys, options.seed, folder, options.build_dir,
                                    announcements.say, options.own_clock)
        announcements.say("simulation")
        ended = simulation.run(gateware, options.max_cycles, click.echo if options.prints else _nothing)
        announcements.say(f"{ended.cycles} cycles of the processor simulated")
    if options.json is not None:
        write_output("--json", options.json, _document(options, config, (queries, keys), ended))
    if ended.status and not options.prints:
        raise click.ClickException(_verdict(ended))
    return 1 if ended.status else 0


def _folder(out: Path) -> Path:
    """The folder of --out, made and marked as ours."""
    folder = out.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _OURS).touch()
    return folder


def _serve(options: Options, config: Config, port: int) -> int:
    """Runs the SoC with a bridge until a signal ends it."""
    from myhdl_fsa.litex import bridged

    assert options.out is not None
    if not bridged.is_free(port):
        raise click.UsageError(f"{said('--bridge')}: another program listens at that port")
    announcements = Announcements("fsa-fpga", options.quiet)
    gateware = bridged.build(config, port, _folder(options.out), options.build_dir, announcements.say)
    bridged.serve(gateware, port, lambda: announcements.say(f"the bridge is at socket://localhost:{port}"))
    return 1


def _nothing(line: str) -> None:
    pass


def _verdict(ended: Ended) -> str:
    """Why the program ended with a status that is not 0."""
    lines = [line for line in ended.console if "differs" in line or "device" in line]
    return lines[-1] if lines else f"the program ended with status {ended.status}"


def _finite(text: str) -> float | None:
    """A number as JSON has it: None for what is none."""
    return float(text) if math.isfinite(float(text)) else None


def _document(options: Options, config: Config, shape: tuple[int, int], ended: Ended) -> bytes:
    from myhdl_fsa.workbench.report import COUNTER_FORMS, to_json

    printed = "\n".join(ended.console)
    errors = {
        reference: {name: _finite(value) for name, value in re.findall(r"'(\w+)': ([^,}]+)", values)}
        for reference, values in re.findall(r"^Error of FSA vs (\w+): \{(.*)\}$", printed, re.M)}
    counters = {
        name: int(found[1]) for name, form in COUNTER_FORMS.items()
        if (found := re.search(f"^{re.escape(form).replace(re.escape('{}'), '([0-9]+)')}$", printed, re.M))}
    return to_json({
        "config": config.to_dict(), "cpu": options.cpu, "own_clock": options.own_clock,
        "shape": {"seq_q": shape[0], "seq_kv": shape[1]}, "seed": options.seed,
        "bit_exact": ended.status == 0, "processor_cycles": ended.cycles,
        "errors": errors.get("torch"), "errors_float64": errors.get("float64"), "counters": counters,
        "console": list(ended.console),
    })

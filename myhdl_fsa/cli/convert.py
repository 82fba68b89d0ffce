"""``fsa-convert``: the machine, or one block of it, as Verilog, a module a file."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli.base import OneLineCommand
from myhdl_fsa.cli.common import (
    CONTEXT,
    DEFAULT_CONFIG,
    FILE,
    check_output,
    is_config_file,
    write_output,
)
from myhdl_fsa.cli.convert_beside import BOARDS, Options, beside
from myhdl_fsa.cli.design_options import same_file
from myhdl_fsa.cli.types import PositiveNumber
from myhdl_fsa.config import DATAFLOWS, PRESETS, RECIPROCALS, Config
from myhdl_fsa.convert.memories import RAM_STYLES
from myhdl_fsa.workbench.files import OutputError

__all__ = ["Conversion", "instance_counts", "main"]

if TYPE_CHECKING:
    from myhdl_fsa.convert.hierarchy import Module


@dataclass(frozen=True)
class Conversion:
    """What is written: the modules, children first, and all files by name."""

    modules: dict[str, Module]
    """by name, with the prefix"""
    files: dict[str, str]
    bench: str | None
    """the testbench's file"""
    beside: tuple[str, ...] = ()
    """the files of --header, --fusesoc and --vivado"""

    @property
    def top(self) -> str:
        """The name of the last module."""
        return list(self.modules)[-1]

    @property
    def sources(self) -> list[str]:
        """The modules' files, children first."""
        return [f"{name}.v" for name in self.modules]


def _list(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from myhdl_fsa.convert.design import TOPS

    click.echo("Tops:")
    for name, block in TOPS.items():
        click.echo(f"  {name}" if name == block else f"  {name} (module {block})")
    click.echo("Configurations:")
    for name in PRESETS:
        click.echo(f"  {name}")
    context.exit()


def _schema(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from myhdl_fsa.config_schema import schema_text

    click.echo(schema_text(), nl=False)
    context.exit()


@click.command("fsa-convert", cls=OneLineCommand, context_settings=CONTEXT)
@click.option("--config", default=DEFAULT_CONFIG, metavar="NAME|FILE.json",
              help="The machine: a known configuration, or a file of its fields.")
@click.option("--reciprocal", type=click.Choice(RECIPROCALS), help="1/x, instead of the configuration's own.")
@click.option("--dataflow", type=click.Choice(DATAFLOWS), help="Instead of the configuration's own.")
@click.option("--top", default="accelerator", metavar="NAME",
              help="What to convert: the device, the bare core, or one block, with all it instantiates; see --list.")
@click.option("--prefix", default="fsa_", show_default=True, metavar="TEXT",
              help="What the names of modules and of their files begin with: the beginning of a Verilog name, "
              "or nothing.")
@click.option("--ram-style", type=click.Choice(RAM_STYLES), default="none", show_default=True,
              help="What synthesis is to make scratchpad and accumulator RAM of, as an attribute that Vivado and yosys "
              "read: auto is by rows and width for the U55C, distributed LUTs, ultra UltraRAM.")
@click.option("--out", type=FILE, metavar="DIR", help="The folder to write to.  [default: build/<configuration>]")
@click.option("--json", type=FILE, metavar="FILE",
              help="Write the configuration there too, as a file for --config (-: standard output).")
@click.option("--testbench", is_flag=True,
              help="Write a self-checking testbench for plain Icarus and Verilator too, tb_<module>.v and "
              "the .hex files that it reads.")
@click.option("--header", is_flag=True,
              help="Write the device's registers, instructions and sizes as a C header too, <prefix>registers.h.")
@click.option("--fusesoc", is_flag=True,
              help="Write a FuseSoC core file too, <module>.core, with the targets lint and, with --testbench, sim.")
@click.option("--vivado", is_flag=True,
              help="Write the device as an IP for Vivado too: component.xml (IP-XACT), and constraints.")
@click.option("--board", type=click.Choice(BOARDS),
              help="With --vivado: a Tcl script that makes a project of the IP with PCIe and HBM for the card too, "
              "<board>.tcl and .xdc.")
@click.option("--frequency", type=PositiveNumber(), metavar="MHZ",
              help="With --vivado: the device's clock in constraints and project, 10 to 500.  [default: 50]")
@click.option("--check", is_flag=True,
              help="verilator --lint-only -Wall and iverilog -g2005 -Wall on what was written, the testbench "
              "too, with no flag that waives a warning.")
@click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=_list,
              help="Print what can be converted, and the known configurations.")
@click.option("--schema", is_flag=True, is_eager=True, expose_value=False, callback=_schema,
              help="Print the JSON schema of configuration files, for editors.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.version_option(package_name="myhdl-fsa")
def main(**given: object) -> int:
    """Convert the machine to Verilog: one file a module, and a list of them, children first."""
    options = Options(**given)  # type: ignore[arg-type]
    start = time.perf_counter()
    config = options.machine()
    name = Path(options.config).stem if is_config_file(options.config) else options.config
    folder = Path("build") / name if options.out is None else options.out
    _check_options(options, config, folder)
    if options.check:
        _require_tools()
    conversion = _convert(options, config, name)
    own_json = _check_json(options, folder, name, conversion)
    _write(options, folder, conversion)
    if not own_json:
        write_output("--json", options.json, config.to_json().encode())
    if options.prints:
        _report(folder, conversion, time.perf_counter() - start)
    if options.check:
        _check(options, folder, conversion)
    return 0


def _require_tools() -> None:
    from myhdl_fsa.convert.regression import SIMULATORS, MissingTool, require

    try:
        for simulator in SIMULATORS:
            require(simulator)
    except MissingTool as error:
        raise click.ClickException(f"--check: {error}") from None


def _check_options(options: Options, config: Config, folder: Path) -> None:
    options.check_top(config, f"--top {options.top}")
    options.check_beside(config)
    if options.json is not None:
        if folder.exists() or not same_file(options.json.parent, folder):  # it may be in the folder that this run makes
            check_output("--json", options.json)
        options.check_not_config(f"--json {options.json}")


def _convert(options: Options, config: Config, name: str) -> Conversion:
    from myhdl_fsa.convert.design import design, header
    from myhdl_fsa.convert.keywords import VERILOG_KEYWORDS
    from myhdl_fsa.convert.testbench import testbench
    from myhdl_fsa.convert.testbench_data import TestbenchError

    try:
        converting = design(config, options.top, options.prefix, options.ram_style)
        modules = {module.name: module for module in converting.convert().values()}
        bench = testbench(config, converting) if options.testbench else {}
    except TestbenchError as error:
        raise click.ClickException(f"--testbench: {error}") from None
    except ValueError as error:
        raise click.ClickException(f"cannot convert {options.top} of {name}: {error}") from None
    if options.ram_style != "none" and not any("ram_style" in module.text for module in modules.values()):
        raise click.UsageError(f"--ram-style {options.ram_style}: --top {options.top} holds none of the RAMs: "
                               "must be --top accelerator, core or ram")
    for module in modules.keys() & VERILOG_KEYWORDS:
        raise click.UsageError(f"--prefix {options.prefix}: makes a module {module}, which is a keyword of Verilog")
    head = header(config)
    files = {f"{module}.v": head + found.text for module, found in modules.items()}
    top = list(modules)[-1]
    files[f"{top}.f"] = "".join(f"{module}.v\n" for module in modules)
    files[f"{name}.json"] = config.to_json()
    files.update({file: head + text if file.endswith(".v") else text for file, text in bench.items()})
    others = beside(options, config, name, modules, list(bench))
    return Conversion(modules, {**files, **others}, f"tb_{top}.v" if bench else None, tuple(others))


def _check_json(options: Options, folder: Path, name: str, conversion: Conversion) -> bool:
    """Whether --json is the file that every folder gets anyway. Raises click.UsageError for another of the folder's."""
    if options.json is None:
        return False
    for file in conversion.files:
        if same_file(options.json, folder / file):
            if file == f"{name}.json":
                return True
            raise click.UsageError(f"--json {options.json}: is a file of the converted folder too: must be another")
    return False


def _write(options: Options, folder: Path, conversion: Conversion) -> None:
    from myhdl_fsa.convert.output import write_folder

    try:
        write_folder(folder, conversion.files)
    except OutputError as error:
        raise click.ClickException(f"--out {folder}: cannot write: {error}") from None


def _report(folder: Path, conversion: Conversion, seconds: float) -> None:
    counts = instance_counts(conversion.modules)
    width = max(map(len, conversion.modules))
    click.echo(f"{'module':{width}}  {'lines':>7}  {'bytes':>9}  instances")
    lines = size = 0
    for name in conversion.modules:
        text = conversion.files[f"{name}.v"]
        lines, size = lines + text.count("\n"), size + len(text.encode())
        click.echo(f"{name:{width}}  {text.count(chr(10)):7}  {len(text.encode()):9}  {counts[name]:9}")
    others = [*([] if conversion.bench is None else [conversion.bench]), *conversion.beside]
    said = f", and {', '.join(others)}" if others else ""
    click.echo(f"{len(conversion.modules)} modules, {lines} lines, {size} bytes in {folder}{said}: {seconds:.1f} s")


def instance_counts(modules: dict[str, Module]) -> Counter[str]:
    """How many of each module the last one, the top, holds in all, itself included."""
    counts: Counter[str] = Counter({list(modules)[-1]: 1})
    for name in reversed(modules):
        for inside in modules[name].instantiated:
            counts[inside] += counts[name]
    return counts


def _check(options: Options, folder: Path, conversion: Conversion) -> None:
    from myhdl_fsa.convert.check import CheckError, check

    try:
        check(folder, conversion.top, conversion.sources, conversion.bench)
    except CheckError as error:
        raise click.ClickException(f"--check: {error}") from None
    if options.prints:
        click.echo("verilator --lint-only -Wall, iverilog -g2005 -Wall: no warnings, and no flag that waives one")


if __name__ == "__main__":
    main()

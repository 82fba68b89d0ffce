"""Writes the reference tables of docs/*.md from the code: ``make docs-tables``.

A table stands in a page between ``<!-- table: NAME -->`` and ``<!-- end of table -->``, so that who reads the page in
the repository sees it too. ``python docs/tables.py --check`` writes nothing, and fails when a page is not up to date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from enum import IntEnum
from pathlib import Path

import click
from inner_loop import N, rows
from sphinx.pycode import ModuleAnalyzer

from myhdl_fsa.cli import convert, fpga_build, fpga_report, fpga_run, fpga_simulate, sim
from myhdl_fsa.cli.command import GroupedCommand
from myhdl_fsa.config import PRESETS
from myhdl_fsa.config_schema import table as configuration
from myhdl_fsa.fpga.boards import BOARDS
from myhdl_fsa.frontend.registers import Register
from myhdl_fsa.isa import KIND, KINDS, WORD_WIDTH, Field, Function, Kind, Transfer
from myhdl_fsa.program import ErrorCode

PAGES = Path(__file__).parent
MARKED = re.compile(r"(<!-- table: (.+?) -->\n)(.*?)(<!-- end of table -->)", re.S)


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = list(columns)
    lines = [f"| {' | '.join(cells)} |\n" for cells in (head, *rows)]
    return "".join([lines[0], "|---" * len(head) + "|\n", *lines[1:]])


def _said(cls: type, name: str) -> str:
    """The docstring behind an attribute or a member, in one line."""
    found = ModuleAnalyzer.for_module(cls.__module__).find_attr_docs()
    return " ".join(" ".join(found[cls.__qualname__, name]).split()).replace("``", "`")


def options(command: click.Command) -> str:
    """Every option of a command: a table a group where its help has groups."""
    context = click.Context(command, info_name=command.name, **command.context_settings)
    if not isinstance(command, GroupedCommand):
        return _option_table(context, command.get_params(context))
    return "\n".join(f"**{title}**\n\n{_option_table(context, group)}" for title, group in command.groups.items())


def _option_table(context: click.Context, parameters: Iterable[click.Parameter]) -> str:
    names = sorted((name for parameter in context.command.get_params(context) for name in parameter.opts), reverse=True)
    rows = []
    for parameter in parameters:
        record = parameter.get_help_record(context)
        if record is not None and not {"--help", "--version"} & set(parameter.opts):
            option, meaning = (text.replace("|", "\\|") for text in record)
            said = re.sub(r"\.?  +\[default: (.*)\]$", r" (default: \1)", meaning.replace("<", "\\<")).removesuffix(".")
            rows.append([f"`{option}`", re.sub(rf"(?<![\w-])({'|'.join(names)})(?![\w-])", r"`\1`", said)])
    return _table(["option", "meaning"], rows)


def members(enumeration: type[IntEnum], number: str, name: str, form: str = "{}") -> str:
    """Value, name and docstring of each member."""
    return _table([number, name, "meaning"], ([form.format(item.value), f"`{item.name}`", _said(enumeration, item.name)]
                                              for item in enumeration))


def fields(kind: Kind) -> str:
    """The fields of an instruction of one kind, from the first bit of its first word on."""
    cls = KINDS[kind]
    layout = {"type": KIND, **cls.LAYOUT}
    rows = []
    for name, field in sorted(layout.items(), key=lambda item: (item[1].low // WORD_WIDTH, -item[1].low)):
        meaning = f"{kind.value}: {kind.name.lower()}" if name == "type" else _said(cls, name)
        rows.append([f"`{name}`", "; ".join(_places(field)), f"{field.allowed[0]} to {field.allowed[-1]}", meaning])
    return _table(["field", "word: bits", "values", "meaning"], rows)


def _places(field: Field) -> Iterator[str]:
    high = [field.high_part] if field.high_part else []
    for low, width in [*high, (field.low, field.width)]:
        first, last = low // WORD_WIDTH, (low + width - 1) // WORD_WIDTH
        top, bottom = low + width - 1 - WORD_WIDTH * last, low - WORD_WIDTH * first
        if first != last:
            yield f"{last}: {top}:0 and {first}: {WORD_WIDTH - 1}:{bottom}"
        else:
            yield f"{first}: {top}" if width == 1 else f"{first}: {top}:{bottom}"


def presets() -> str:
    """Every configuration known by name that is not another's by the prefix AXI4."""
    rows = [[f"`{name}`", str(config.rows), str(config.elem), f"`{config.dataflow}`", f"`{config.reciprocal}`",
             str(config.memory_ports), str(config.scratchpad_rows), str(config.accumulator_rows)]
            for name, config in PRESETS.items() if not name.startswith("AXI4")]
    return _table(["name", "N", "input format", "dataflow", "reciprocal", "memory ports", "scratchpad rows",
                   "accumulator rows"], rows)


def inner_loop() -> str:
    """An inner iteration in column 0, a cycle a row."""
    return _table(["cycle", "comparator", *(f"PE row {row}" for row in range(N)), "accumulator"], rows())


def boards() -> str:
    """What fsa-fpga builds for."""
    rows = [[f"`{name}`", board.title, board.device.part, board.memory, f"{board.system:g} MHz",
             f"{board.accelerator:g} MHz"] for name, board in BOARDS.items()]
    return _table(["`--board`", "board", "part", "memory, driven as", "CPU, bus and memory", "accelerator"], rows)


TABLES: dict[str, Callable[[], str]] = {
    "configuration": configuration,
    "presets": presets,
    "options of fsa-sim": lambda: options(sim.main),
    "options of fsa-convert": lambda: options(convert.main),
    "options of fsa-fpga": lambda: options(fpga_report.report),
    "options of fsa-fpga simulate": lambda: options(fpga_simulate.simulate),
    "options of fsa-fpga build": lambda: options(fpga_build.build),
    "boards": boards,
    "options of fsa-fpga run": lambda: options(fpga_run.run),
    "registers": lambda: members(Register, "offset", "register", "0x{:02X}"),
    "errors": lambda: members(ErrorCode, "code", "error"),
    "inner loop": inner_loop,
    "matrix functions": lambda: members(Function, "function", "instruction"),
    "transfers": lambda: members(Transfer, "function", "instruction"),
    **{f"fields of {kind.name.lower()}": lambda kind=kind: fields(kind) for kind in Kind},  # type: ignore[misc]
}


def current(text: str) -> str:
    """A page with its tables as the code has them. Raises KeyError for a table that nothing makes."""
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n{found[4]}", text)


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail when a page is not up to date.")
def main(check: bool) -> None:
    """Write the tables of docs/*.md from the code."""
    pages = {path: path.read_text() for path in sorted(PAGES.glob("*.md"))}
    stale = {path: new for path, text in pages.items() if (new := current(text)) != text}
    if check and stale:
        names = ", ".join(path.name for path in stale)
        sys.exit(f"error: tables that are not up to date in {names}: make docs-tables writes them")
    for path, text in stale.items():
        path.write_text(text)
        click.echo(f"docs/{path.name}")


if __name__ == "__main__":
    main()

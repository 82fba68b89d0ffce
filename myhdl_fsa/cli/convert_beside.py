"""What ``fsa-convert`` writes beside the Verilog: a C header, a core file for FuseSoC, an IP for Vivado."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli.design_options import DesignOptions
from myhdl_fsa.config import Config

__all__ = ["BOARDS", "Options", "beside"]

if TYPE_CHECKING:
    from myhdl_fsa.convert.module import Module

BOARDS = ("u55c",)
"""for which --board makes a project"""
_FREQUENCY = 50.0
"""MHz, where none are asked for; nobody has measured what the device reaches in Vivado"""
_FREQUENCIES = 10, 500
"""MHz: what a clock wizard of every family makes"""
_PREFIX = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)?")


@dataclass(frozen=True)
class Options(DesignOptions):
    """The command line, as given; None where nothing was."""

    prefix: str
    out: Path | None
    ram_style: str
    testbench: bool
    header: bool
    fusesoc: bool
    vivado: bool
    board: str | None
    frequency: float | None
    check: bool

    def check_beside(self, config: Config) -> None:
        """Raises click.UsageError for what --prefix, --header and --vivado and their like cannot be."""
        from myhdl_fsa.convert.design import DEFAULT_TOP

        if not _PREFIX.fullmatch(self.prefix):
            raise click.UsageError(f"--prefix {self.prefix}: must be letters, digits and underscores, no digit first")
        for option, given in (("--header", self.header), ("--vivado", self.vivado)):
            if given and self.top != DEFAULT_TOP:
                raise click.UsageError(
                    f"{option}: --top {self.top} is not the whole device: must be --top {DEFAULT_TOP}")
        if not self.vivado:
            for option, value in (("--board", self.board), ("--frequency", self.frequency)):
                if value is not None:
                    shown = f"{value:g}" if isinstance(value, float) else value
                    raise click.UsageError(f"{option} {shown}: needs --vivado")
        self._check_project(config)

    def _check_project(self, config: Config) -> None:
        from myhdl_fsa.convert.vivado.u55c import misfit

        least, most = _FREQUENCIES
        if self.frequency is not None and not least <= self.frequency <= most:
            raise click.UsageError(f"--frequency {self.frequency:g}: must be {least} to {most}")
        if self.board is not None and (why := misfit(config)):
            raise click.UsageError(f"--board {self.board}: --config {self.config}: {why}")


def beside(
    options: Options, config: Config, name: str, modules: dict[str, Module], bench: list[str]
) -> dict[str, str]:
    """The files of --header, --fusesoc and --vivado, by name, for a configuration called ``name``.

    ``modules`` are by their names, the top last; ``bench`` are the testbench's files, its module's first.
    """
    from myhdl_fsa.convert.design import installed_version
    from myhdl_fsa.convert.fusesoc import core_file, core_name
    from myhdl_fsa.workbench.c_header.text import header_name, header_text

    files, top, version = {}, list(modules)[-1], installed_version()
    sources = [f"{module}.v" for module in modules]
    if options.header:
        files[header_name(options.prefix)] = header_text(config, options.prefix, version)
    if options.fusesoc:
        files[f"{top}.core"] = core_file(core_name(name, top, version), sources, bench)
    if options.vivado:
        files |= _vivado(options, config, name, modules, bench)
    return files


def _vivado(
    options: Options, config: Config, name: str, modules: dict[str, Module], bench: list[str]
) -> dict[str, str]:
    from myhdl_fsa.convert.design import installed_version
    from myhdl_fsa.convert.vivado import component, u55c

    top = list(modules)[-1]
    named = component.identifier(name, top, installed_version())
    frequency = options.frequency or _FREQUENCY
    files = {
        component.COMPONENT: component.component(named, modules[top], [f"{module}.v" for module in modules], config,
                                                 bench),
        component.constraints_name(top): component.constraints(top, frequency),
    }
    if options.board is not None:
        files |= u55c.project(named, config, frequency)
    return files

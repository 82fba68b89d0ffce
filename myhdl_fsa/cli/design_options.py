"""What the commands about a converted design have in common: which machine, which part of it, and what is said."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import click

from myhdl_fsa.cli.command import option
from myhdl_fsa.cli.common import (
    DEFAULT_CONFIG,
    check_accelerator,
    is_config_file,
    is_standard_output,
    load_config,
    with_dataflow,
)
from myhdl_fsa.cli.types import OneOf
from myhdl_fsa.config import DATAFLOWS, RECIPROCALS, Config

__all__ = ["DesignOptions", "machine_options", "same_file"]


def machine_options(also: str = "") -> tuple[click.Option, ...]:
    """Those that say which machine; ``also`` is said of its configuration."""
    return (
        option("--config", default=DEFAULT_CONFIG, metavar="NAME|FILE.json",
               help=f"The machine: a known configuration, or a file of its fields{also}."),
        option("--reciprocal", type=OneOf(RECIPROCALS), help="1/x, instead of the configuration's own."),
        option("--dataflow", type=OneOf(DATAFLOWS), help="Instead of the configuration's own."),
    )


@dataclass(frozen=True)
class DesignOptions:
    """Of the command line, as given; None where nothing was."""

    config: str
    reciprocal: str | None
    dataflow: str | None
    top: str
    json: Path | None
    quiet: bool

    @property
    def prints(self) -> bool:
        """Whether lines go to standard output: not when --quiet, nor when it is --json's file."""
        return not self.quiet and not is_standard_output(self.json)

    @property
    def _dataflow_option(self) -> str | None:
        """--dataflow with its value, for errors."""
        return None if self.dataflow is None else f"--dataflow {self.dataflow}"

    def machine(self) -> Config:
        """The configuration. Raises click.UsageError of one line."""
        config = load_config(self.config, self.reciprocal)
        return with_dataflow(self.config, config, self.dataflow, self._dataflow_option)

    def check_top(self, config: Config, said: str) -> None:
        """Raises click.UsageError where ``config`` has no such top; ``said`` is --top as the user wrote it."""
        from myhdl_fsa.convert.design import IN_CORE, ONLY_IN, TOPS, tops

        if self.top not in TOPS:
            raise click.UsageError(f"{said}: unknown: known are {', '.join(TOPS)}")
        if self.top not in tops(config):
            raise click.UsageError(f"{said}: only the dataflow {ONLY_IN[self.top]} has it: this is {config.dataflow}")
        if self.top not in IN_CORE:
            check_accelerator(self.config, config, self._dataflow_option)

    def check_not_config(self, said: str) -> None:
        """Raises click.UsageError where --json would write over the configuration's file."""
        if self.json is not None and is_config_file(self.config) and same_file(self.json, Path(self.config)):
            raise click.UsageError(f"{said}: is the file of --config too: must be another")


def same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same place."""
    return os.path.realpath(one) == os.path.realpath(other)

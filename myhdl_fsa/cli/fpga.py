"""``fsa-fpga``: the machine on an FPGA."""

from __future__ import annotations

import click

from myhdl_fsa.cli.base import OneLineGroup
from myhdl_fsa.cli.common import CONTEXT
from myhdl_fsa.cli.fpga_build import build
from myhdl_fsa.cli.fpga_report import report
from myhdl_fsa.cli.fpga_run import run
from myhdl_fsa.cli.fpga_simulate import simulate

__all__ = ["main"]


@click.group("fsa-fpga", cls=OneLineGroup, context_settings=CONTEXT, commands=[report, build, run, simulate])
@click.version_option(package_name="myhdl-fsa")
def main() -> None:
    """The machine on an FPGA, with open tools."""


if __name__ == "__main__":
    main()

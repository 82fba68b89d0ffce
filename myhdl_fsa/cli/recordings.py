"""``fsa-sim --trace`` and ``--animate``: what may be recorded, and the files of what was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli.command import said, spelled
from myhdl_fsa.cli.common import write_output
from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.config import Config
from myhdl_fsa.engine.base import MAX_RECORDED

__all__ = ["check_recordable", "write_recorded"]

if TYPE_CHECKING:
    from myhdl_fsa.trace.contents import CycleTrace


def check_recordable(options: Options, config: Config) -> None:
    """Raises click.UsageError for an array that is too large to record."""
    if options.records and config.rows > MAX_RECORDED:
        option = "--trace" if options.trace is not None else "--animate"
        raise click.UsageError(f"{said(option)}: the array is {config.rows} x {config.cols}: must be at most "
                               f"{MAX_RECORDED} x {MAX_RECORDED}")


def write_recorded(options: Options, traces: Sequence[CycleTrace | None]) -> None:
    """Writes the files of what was recorded, of each dataflow. Raises click.ClickException of one line."""
    there = [trace for trace in traces if trace is not None]
    if options.trace is not None:
        from myhdl_fsa.trace import write_trace

        (trace,) = there
        write_output(spelled("--trace"), options.trace, "".join(f"{line}\n" for line in write_trace(trace)).encode())
    if options.animate is not None:
        from myhdl_fsa.workbench import animation

        draw = {".html": animation.html, ".gif": animation.gif, ".png": animation.png}[options.animate.suffix]
        drawn = draw(there)
        write_output(spelled("--animate"), options.animate, drawn.encode() if isinstance(drawn, str) else drawn)

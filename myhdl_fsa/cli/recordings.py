"""``fsa-sim --trace`` and ``--animate``: what may be recorded, and the files of what was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli.command import said, spelled
from myhdl_fsa.cli.common import write_output
from myhdl_fsa.cli.outputs import messages
from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.config import Config
from myhdl_fsa.engine.base import MAX_RECORDED

__all__ = ["MAX_FILM", "PATIENCE", "SECONDS", "check_recordable", "write_recorded"]

if TYPE_CHECKING:
    from myhdl_fsa.trace.contents import CycleTrace


def check_recordable(options: Options, config: Config) -> None:
    """Raises click.UsageError for an array that is too large to record."""
    if options.records and config.rows > MAX_RECORDED:
        option = "--trace" if options.trace is not None else "--animate"
        raise click.UsageError(f"{said(option)}: the array is {config.rows} x {config.cols}: must be at most "
                               f"{MAX_RECORDED} x {MAX_RECORDED}")


SECONDS = 0.012, 0.0002
"""to draw a cycle, and for each unit in it"""
PATIENCE = 10
"""seconds after which a user wonders"""
MAX_FILM = 1000
"""cycles of a film: one takes 11 kB at N = 4 and 60 kB at N = 16"""


def _check_film(options: Options, traces: Sequence[CycleTrace]) -> None:
    """Raises click.ClickException for a film without end."""
    cycles = max(len(trace.frames) for trace in traces)
    if options.animate is not None and options.animate.suffix == ".gif" and cycles > MAX_FILM:
        first = traces[0].frames[0].cycle
        raise click.ClickException(
            f"{said('--animate')}: {cycles} cycles: a film has at most {MAX_FILM}: bound them, as with "
            f"--wave-from {first} --wave-to {first + MAX_FILM - 1}, or make a page (.html)")


def _announce(options: Options, traces: Sequence[CycleTrace]) -> None:
    """Says about how long a film takes to draw, if that is long."""
    tell = messages(options)
    seconds = sum(len(trace.frames) * (SECONDS[0] + SECONDS[1] * len(trace.units)) for trace in traces)
    if options.animate is not None and options.animate.suffix == ".gif" and seconds > PATIENCE and tell is not None:
        tell(f"drawing {max(len(trace.frames) for trace in traces)} cycles, about {seconds:.0f} s")


def write_recorded(options: Options, traces: Sequence[CycleTrace | None]) -> None:
    """Writes the files of what was recorded, of each dataflow. Raises click.ClickException of one line."""
    there = [trace for trace in traces if trace is not None]
    if options.trace is not None:
        from myhdl_fsa.trace import write_trace

        (trace,) = there
        write_output(spelled("--trace"), options.trace, "".join(f"{line}\n" for line in write_trace(trace)).encode())
    if options.animate is not None:
        _check_film(options, there)
        from myhdl_fsa.workbench import animation

        if options.animate.suffix == ".html":
            drawn = animation.html(there).encode()
        else:
            _announce(options, there)
            drawn = {".gif": animation.gif, ".png": animation.png}[options.animate.suffix](there)
        write_output(spelled("--animate"), options.animate, drawn)

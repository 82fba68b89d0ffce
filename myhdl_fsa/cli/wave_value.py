"""The command fsa-wave-value: GTKWave's translate filter for the save files of waveforms."""

from __future__ import annotations

import sys

import click

from myhdl_fsa.cli.base import OneLineCommand
from myhdl_fsa.sims.wave_values import CODES, FLAGS, reader, translate

__all__ = ["main"]


@click.command(
    cls=OneLineCommand, name="fsa-wave-value", context_settings={"help_option_names": ["-h", "--help"]},
    epilog="KIND is a float format (fp16, bf16, fp32, tf32, e4m3, e5m2, or e<E>m<M>), or one of "
           + ", ".join([*CODES, *FLAGS]) + ".",
)
@click.argument("kind")
def main(kind: str) -> None:
    """Answers each line of standard input, hexadecimal digits of a signal, with a text: the number or the name.

    GTKWave starts it as the save files beside waveforms say. Of a signal that holds a row of numbers, lane 0 is first.
    """
    try:
        reader(kind)
    except ValueError as error:
        raise click.UsageError(f"KIND {error}, or one of {', '.join([*CODES, *FLAGS])}") from None
    translate(kind, iter(sys.stdin.readline, ""), sys.stdout)

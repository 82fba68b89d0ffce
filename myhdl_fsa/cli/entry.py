"""The entry points: they handle signals first, and only then import what the command needs, which takes a while."""

from __future__ import annotations

import sys

from myhdl_fsa.cli.termination import Terminated, exit_at_once

__all__ = ["fsa_convert", "fsa_fpga", "fsa_sim", "fsa_wave_value"]


def fsa_sim() -> None:
    """The command fsa-sim."""
    _run("myhdl_fsa.cli.sim")


def fsa_convert() -> None:
    """The command fsa-convert."""
    _run("myhdl_fsa.cli.convert")


def fsa_fpga() -> None:
    """The command fsa-fpga."""
    _run("myhdl_fsa.cli.fpga")


def fsa_wave_value() -> None:
    """The command fsa-wave-value."""
    _run("myhdl_fsa.cli.wave_value")


def _run(module: str) -> None:
    exit_at_once()
    from importlib import import_module

    try:
        import_module(module).main()
    except Terminated as signal:
        # it came when the command was over and was about to go back to exit_at_once
        sys.exit(signal.status)

"""The commands."""

import sys

from myhdl_fsa.cli.termination import exit_at_once

__all__ = []

# `python -m myhdl_fsa.cli.sim`, which imports this package on its way to the module
if sys.argv[:1] == ["-m"]:
    exit_at_once()

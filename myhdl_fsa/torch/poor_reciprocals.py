"""The warning that a machine divides by some row sums in a way that is of no use: once a machine."""

from __future__ import annotations

import warnings

from myhdl_fsa.config import Config

__all__ = ["warn_of_newton", "warn_of_poor_reciprocals"]

_warned: set[Config] = set()
"""the machines that a warning was given about"""


def warn_of_poor_reciprocals(config: Config, poor: int, rows: int) -> None:
    """Warns that the reciprocal is of no use in ``poor`` of ``rows`` rows of the output."""
    _warn(config, f"{poor} of {rows} rows of attention are divided by a sum whose reciprocal is off by more than "
                  f"2**-10 with reciprocal = {config.reciprocal}; it is right with reciprocal = division")


def warn_of_newton(config: Config) -> None:
    """Warns of a machine that may have such rows, where counting them would mean to wait for a GPU."""
    if config.reciprocal == "newton":
        _warn(config, "about 1 % of the rows of attention are divided by a sum whose reciprocal is off with "
                      "reciprocal = newton, not counted on CUDA tensors; it is right with reciprocal = division")


def _warn(config: Config, text: str) -> None:
    if config not in _warned:
        _warned.add(config)
        warnings.warn(text, RuntimeWarning, stacklevel=3)

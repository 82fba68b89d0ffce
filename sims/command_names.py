"""The names of the commands that a class of ``dataflows/*/control.py`` declares, one a constant."""

from __future__ import annotations

__all__ = ["command_names"]


def command_names(commands: type) -> dict[int, str]:
    """By number, in the order of the class."""
    return {number: name for name, number in vars(commands).items() if name.isupper() and name != "WIDTH"}

"""What a command says of a stage that takes a while."""

from __future__ import annotations

import time

import click

__all__ = ["Announcements"]


class Announcements:
    """What is under way, a line each on standard error, with the seconds since the command began."""

    def __init__(self, command: str, quiet: bool) -> None:
        self._command, self._quiet, self._start = command, quiet, time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the command began."""
        return time.monotonic() - self._start

    def say(self, text: str) -> None:
        """A stage begins."""
        if not self._quiet:
            click.echo(f"{self._command}: {self.seconds:.0f} s: {text}", err=True)

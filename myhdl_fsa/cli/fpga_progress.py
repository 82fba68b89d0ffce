"""What ``fsa-fpga`` says while it works."""

from __future__ import annotations

import time

import click

__all__ = ["Announcements"]


class Announcements:
    """What is under way, a line each on standard error, with the time that is left where that is known."""

    def __init__(self, quiet: bool) -> None:
        self._quiet, self._start = quiet, time.monotonic()
        self._synthesis = self._start

    def say(self, text: str) -> None:
        """A stage begins."""
        if not self._quiet:
            click.echo(f"fsa-fpga: {time.monotonic() - self._start:.0f} s: {text}", err=True)

    def module(self, name: str, done: int, whole: int) -> None:
        """A module's synthesis begins; ``done`` of ``whole`` is behind it."""
        if not done:
            self._synthesis = time.monotonic()
        left = (time.monotonic() - self._synthesis) * (whole - done) / done if done else None
        self.say(f"synthesis of {name}" + ("" if left is None else f", about {left:.0f} s left"))

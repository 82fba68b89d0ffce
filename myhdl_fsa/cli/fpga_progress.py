"""What ``fsa-fpga`` says of a synthesis."""

from __future__ import annotations

from myhdl_fsa.cli.announcements import Announcements

__all__ = ["SynthesisAnnouncements"]


class SynthesisAnnouncements(Announcements):
    """Also of the time that is left, where that is known."""

    def __init__(self, quiet: bool) -> None:
        super().__init__("fsa-fpga", quiet)
        self._began = 0.0

    def module(self, name: str, done: int, whole: int) -> None:
        """A module's synthesis begins; ``done`` of ``whole`` is behind it."""
        if not done:
            self._began = self.seconds
        left = (self.seconds - self._began) * (whole - done) / done if done else None
        self.say(f"synthesis of {name}" + ("" if left is None else f", about {left:.0f} s left"))

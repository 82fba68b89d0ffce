"""What ends a command from outside, SIGINT, SIGTERM and SIGHUP: it cleans up and exits with 128 + the signal's number.

The entry points import it before anything else, so it imports next to nothing.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["SIGNALS", "TYPE_CHECKING", "Terminated", "Termination", "exit_at_once"]

TYPE_CHECKING = False  # typing takes longer to import than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_AGAIN_AFTER = 0.01
"""seconds from an exception that Python dropped to the next"""


class Terminated(BaseException):
    """A signal arrived. Not an Exception, so that it passes whatever deals with errors on its way."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


def exit_at_once() -> None:
    """From now on a signal ends the process on the spot: for as long as there is nothing to clean up."""
    _install(lambda number, frame: os._exit(128 + number))


def _install(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Sets the handler of each signal, and returns those before. What the parent ignores, as nohup does, stays so."""
    before: dict[int, Any] = {}
    for number in SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, handler)
    return before


class Termination:
    """A block in which the first signal raises ``Terminated``; later ones do not disturb the cleaning up.

    Anywhere but in the main thread, where Python handles no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        """128 + the number of the signal that arrived"""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Termination:
        self._hook = sys.unraisablehook
        try:
            self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._again)
        except ValueError:
            return self
        sys.unraisablehook = self._dropped
        self._before |= _install(self._first)
        return self

    def __exit__(self, *raised: object) -> None:
        sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _first(self, number: int, frame: FrameType | None) -> None:
        if self.status is None:
            self.status = 128 + number
            raise Terminated(number)

    def _dropped(self, what: Any) -> None:
        # Python drops what is raised in a destructor or in a weak reference's callback, of which each import has one:
        # raise it again, a moment later
        if isinstance(what.exc_value, Terminated):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN_AFTER)
        else:
            self._hook(what)

    def _again(self, number: int, frame: FrameType | None) -> None:
        if self.status is not None:
            raise Terminated(self.status - 128)

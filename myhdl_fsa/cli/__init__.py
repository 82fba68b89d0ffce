"""The commands, and what they share: errors of one line, and exit statuses."""

from __future__ import annotations

import sys
from typing import Any

import click


class OneLineCommand(click.Command):
    """A command whose every error is one line on standard error.

    Exit status 2 for bad usage, 1 for a run that failed, 130 for Ctrl-C.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Runs the command and exits with the status its function returns."""
        run: Any = super().main  # click's own overloads do not take arguments passed through
        if not standalone_mode:
            return run(*args, standalone_mode=False, **kwargs)
        kwargs["prog_name"] = self.name
        try:
            status = run(*args, standalone_mode=False, **kwargs)
        except click.Abort:
            sys.exit(130)
        except click.ClickException as error:
            self._fail(error.format_message(), error.exit_code)
        except MemoryError:
            self._fail("out of memory", 1)
        except OSError as error:
            self._fail(str(error), 1)
        sys.exit(status or 0)

    def _fail(self, message: str, status: int) -> None:
        click.echo(f"{self.name}: error: {' '.join(message.split())}", err=True)
        sys.exit(status)

"""What the commands share: errors of one line, and exit statuses."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

from myhdl_fsa.cli.termination import Terminated, Termination

__all__ = ["OneLineCommand", "OneLineGroup"]


class OneLineCommand(click.Command):
    """A command whose every error is one line on standard error.

    Exit status 2 for bad usage, 1 for a run that failed, 128 + n for signal n: Ctrl-C, SIGTERM, SIGHUP, and SIGPIPE
    when nobody reads the output any more.
    """

    def main(self, *args: Any, standalone_mode: bool = True, **kwargs: Any) -> Any:
        """Runs the command and exits with the status its function returns."""
        run: Any = super().main  # click's own overloads do not take arguments passed through
        if not standalone_mode:
            return run(*args, standalone_mode=False, **kwargs)
        kwargs["prog_name"] = self.name
        with Termination() as termination:
            try:
                status = self._status(run, args, kwargs)
            except BaseException:
                # after a signal, whatever the cleaning up came to: the terminal may be gone
                if termination.status is None:
                    raise
            status = termination.status or status
        if status:
            _drop_what_cannot_be_written()
        sys.exit(status)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """As click has it, for --help in a pipe."""
        with _broken_pipe():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """As click has it, but for a broken pipe."""
        with _broken_pipe():
            return super().invoke(ctx)

    def _status(self, run: Any, args: Any, kwargs: Any) -> int:
        try:
            return run(*args, standalone_mode=False, **kwargs) or 0
        except Terminated as error:
            return error.status
        except click.Abort:
            return 128 + signal.SIGINT
        except click.ClickException as error:
            return self._fail(error.format_message(), error.exit_code)
        except MemoryError:
            return self._fail("out of memory", 1)
        except OSError as error:
            return self._fail(str(error), 1)

    def _fail(self, message: str, status: int) -> int:
        with suppress(OSError):
            click.echo(f"{self.name}: error: {' '.join(message.split())}", err=True)
        return status


class OneLineGroup(OneLineCommand, click.Group):
    """A command of several commands, whose errors are likewise."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the command line. Raises click.UsageError where no command is named."""
        if not args and not ctx.resilient_parsing:
            raise click.UsageError(f"a command must follow: {self._known(ctx)}", ctx)
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is named. Raises click.UsageError where it is none."""
        if self.get_command(ctx, args[0]) is None and not ctx.resilient_parsing:
            raise click.UsageError(f"{args[0] or repr('')}: unknown: must be {self._known(ctx)}", ctx)
        return super().resolve_command(ctx, args)

    def _known(self, ctx: click.Context) -> str:
        return " or ".join(self.list_commands(ctx))


@contextmanager
def _broken_pipe() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise Terminated(signal.SIGPIPE) from None


def _drop_what_cannot_be_written() -> None:
    """Python would try again when it exits, complain, and exit with another status."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

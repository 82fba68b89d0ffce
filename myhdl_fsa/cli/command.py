"""A command whose options are declared in groups, with a table of constraints, and whose errors name them as written.

Also what the command's own code wants to know of the command line: ``said`` and ``spelled`` for its errors,
``options_in_effect`` for its record.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from myhdl_fsa.cli.base import OneLineCommand
from myhdl_fsa.cli.constraints import CommandLine, Constraint, Written, first_violation, in_effect, shortened

__all__ = ["GroupedCommand", "Groups", "command_written", "option", "options_in_effect", "said", "spelled"]

Groups = Mapping[str, Sequence[click.Option]]
"""options by their title in the help"""
_LINE = f"{__name__}.line"
_OTHERS = "Help"
"""title of the options that are in no group"""


def option(name: str, **attributes: Any) -> click.Option:
    """An option by its name, ``--seq-q``, and the attributes that click has."""
    return click.Option((name,), **attributes)


class GroupedCommand(OneLineCommand):
    """Options in groups, held to constraints once they are read."""

    def __init__(self, *args: Any, groups: Groups, constraints: Sequence[Constraint] = (), **attributes: Any) -> None:
        attributes["params"] = [item for group in groups.values() for item in group] + attributes.get("params", [])
        super().__init__(*args, **attributes)
        self.groups, self.constraints = groups, tuple(constraints)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Reads the command line. Raises click.UsageError of one line, also for what the constraints refuse."""
        line = self._command_line(ctx, args)
        ctx.meta[_LINE] = line
        try:
            rest = super().parse_args(ctx, list(args))  # which it uses up
        except click.NoSuchOption as error:
            spelling = _spelling(args, ctx, error.option_name)
            raise click.NoSuchOption(spelling, possibilities=error.possibilities, ctx=ctx) from None
        except click.BadOptionUsage as error:
            name = _spelling(args, ctx, error.option_name)
            if self._takes_value(error.option_name):
                raise click.UsageError(f"{name}: must be followed by a value", ctx) from None
            raise click.UsageError(f"{name}: is a flag: must have no value", ctx) from None
        except click.BadParameter as error:
            if error.param is None:
                raise
            written = line.written.get(error.param.opts[0])
            name = error.param.opts[0] if written is None else written.spelling
            raise click.UsageError(f"{name} {error.message}", ctx) from None
        violation = None if ctx.resilient_parsing else first_violation(self.constraints, line)
        if violation is not None:
            raise click.UsageError(violation.message, ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, a section a group."""
        grouped = [item for group in self.groups.values() for item in group]
        others = [item for item in self.get_params(ctx) if item not in grouped]
        for title, group in {**self.groups, _OTHERS: others}.items():
            records = [record for item in group if (record := item.get_help_record(ctx)) is not None]
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def _takes_value(self, name: str) -> bool:
        return any(isinstance(item, click.Option) and name in item.opts and not item.is_flag for item in self.params)

    def _command_line(self, ctx: click.Context, args: Sequence[str]) -> CommandLine:
        options = {name: item for item in self.get_params(ctx) if isinstance(item, click.Option) for name in item.opts}
        written: dict[str, Written] = {}
        tokens = iter(args)
        for token in tokens:
            if token == "--":
                break
            spelling, equals, value = token.partition("=")
            item = options.get(_normalized(spelling, ctx))
            if item is None:
                continue
            if not item.is_flag and not equals:
                value = next(tokens, "")
                if _normalized(value, ctx) in options and not ctx.resilient_parsing:
                    raise click.UsageError(f"{spelling}: must be followed by a value, not by {value}: "
                                           f"write {spelling}={value} if that is its value", ctx)
            name = item.opts[0]
            earlier = written[name].values if name in written else ()
            written[name] = Written(spelling, () if item.is_flag else (*earlier, value), item.multiple)
        defaults = {
            item.opts[0]: str(default) for item in options.values()
            if not item.is_flag and isinstance(default := item.get_default(ctx), (str, int))
        }
        choices = {
            name: list(item.type.choices) for name, item in options.items() if isinstance(item.type, click.Choice)
        }
        return CommandLine(written, defaults, choices)


def said(name: str) -> str:
    """An option of the running command, ``--seq-q``, as the user wrote it and with its value, for an error."""
    return _line().said(name)


def spelled(name: str) -> str:
    """The same without a value."""
    written = _line().written.get(name)
    return name if written is None else written.spelling


def command_written(leave_out: str) -> str:
    """The running command with the options that were written, in their order, for a shell; one is left out."""
    written = _line().written
    words = [click.get_current_context().command.name or ""]
    for name, entry in written.items():
        for value in (entry.values if entry.repeatable else entry.values[-1:]) or (None,):
            words += [] if name == leave_out else [entry.spelling] if value is None else [entry.spelling, value]
    return shlex.join(words)


def options_in_effect() -> dict[str, str | bool | list[str]]:
    """What the running command was given, and the defaults that mean something beside it, as on a command line.

    By name, as ``--seq-q``; a flag is True, an option that may be repeated the list of its values.
    """
    context = click.get_current_context()
    command, line = context.command, _line()
    assert isinstance(command, GroupedCommand)
    return dict(_effective(command, line))


def _effective(command: GroupedCommand, line: CommandLine) -> Iterator[tuple[str, str | bool | list[str]]]:
    for item in (item for group in command.groups.values() for item in group):
        name = item.opts[0]
        if in_effect(command.constraints, line, name):
            values = line.values(name) or ()
            yield name, True if item.is_flag else list(values) if item.multiple else values[-1]


def _line() -> CommandLine:
    line: CommandLine = click.get_current_context().meta[_LINE]
    return line


def _normalized(spelling: str, ctx: click.Context) -> str:
    if not spelling.startswith("--") or ctx.token_normalize_func is None:
        return spelling
    return f"--{ctx.token_normalize_func(spelling[2:])}"


def _spelling(args: Sequence[str], ctx: click.Context, name: str) -> str:
    """How an option that click names is written."""
    spellings = (token.partition("=")[0] for token in args)
    return shortened(next((text for text in spellings if _normalized(text, ctx) == name), name))

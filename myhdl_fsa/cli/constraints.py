"""Which option needs, excludes, or means nothing beside which: rows of a table, from which come check and error texts.

A row names uses of options: ``--program`` is that option with any value, ``--engine golden|icarus`` only with one of
those, ``--vcd *.fst`` with a value of that form; a list of uses has a comma and a space between them. The option that
a row refuses must have been written on the command line; what it is refused beside may also be a default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

__all__ = [
    "Alone",
    "CommandLine",
    "Constraint",
    "Excludes",
    "Lacks",
    "Needs",
    "Together",
    "Use",
    "Violation",
    "Written",
    "first_violation",
    "in_effect",
    "listed",
    "shortened",
    "uses",
]

_LONGEST = 200
"""characters of a value that an error repeats, at most"""


@dataclass(frozen=True)
class Written:
    """An option as it stands on the command line."""

    spelling: str
    """``--seq_q`` where that was written for ``--seq-q``"""
    values: tuple[str, ...]
    """one each time that it was written; none for a flag"""
    repeatable: bool = False
    """every value counts, not the last alone"""

    def __str__(self) -> str:
        """With the value that counts, or the first of those that do."""
        if not self.values:
            return self.spelling
        value = self.values[0 if self.repeatable else -1]
        return f"{self.spelling} {shortened(value)}"


@dataclass(frozen=True)
class CommandLine:
    """The options of a command: those that were written, and what the others then are; by name, as ``--seq-q``."""

    written: Mapping[str, Written]
    defaults: Mapping[str, str]
    """of the options that have one"""
    choices: Mapping[str, Sequence[str]]
    """what an option may be, for those that have a list"""

    def values(self, option: str) -> tuple[str, ...] | None:
        """The values in effect; None for an option that is neither written nor has a default."""
        if option in self.written:
            entry = self.written[option]
            return entry.values if entry.repeatable else entry.values[-1:]
        return (self.defaults[option],) if option in self.defaults else None

    def said(self, option: str) -> str:
        """The option as the user wrote it, with its value; one that was not written with its default."""
        if option in self.written:
            return str(self.written[option])
        return f"{option} {self.defaults[option]}" if option in self.defaults else option

    def writing(self, option: str) -> CommandLine:
        """The same with an option's default written out."""
        return replace(self, written={**self.written, option: Written(option, (self.defaults[option],))})


@dataclass(frozen=True)
class Use:
    """An option, with any value or with one of some form."""

    option: str
    patterns: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Use:
        """From ``--option`` or ``--option pattern|pattern``."""
        option, _, patterns = text.partition(" ")
        return cls(option, tuple(patterns.split("|")) if patterns else ())

    def on(self, line: CommandLine) -> bool:
        """Whether the command line has it, written or by default; without patterns, written."""
        if not self.patterns:
            return self.option in line.written
        return any(fnmatchcase(value, form) for value in line.values(self.option) or () for form in self.patterns)

    def written(self, line: CommandLine) -> bool:
        """Whether it is written."""
        return self.option in line.written and self.on(line)


def uses(text: str) -> tuple[Use, ...]:
    """The uses of a list of them."""
    return tuple(Use.parse(part) for part in text.split(", "))


@dataclass(frozen=True)
class Violation:
    """An option that is refused."""

    option: str
    message: str
    """one line, which names it as it was written"""


class Constraint(ABC):
    """A row of the table."""

    @abstractmethod
    def violations(self, line: CommandLine) -> Iterator[Violation]:
        """What the row refuses of a command line."""


@dataclass(frozen=True)
class Needs(Constraint):
    """Options that mean nothing without another, or without one of several."""

    options: str
    others: str

    def violations(self, line: CommandLine) -> Iterator[Violation]:
        """As Constraint."""
        if not any(use.on(line) for use in uses(self.others)):
            for use in uses(self.options):
                if use.written(line):
                    yield Violation(use.option, f"{line.said(use.option)}: needs {listed(self.others.split(', '))}")


@dataclass(frozen=True)
class Together(Constraint):
    """Options of which all are written, or none."""

    options: str

    def violations(self, line: CommandLine) -> Iterator[Violation]:
        """As Constraint."""
        written = [use.option for use in uses(self.options) if use.written(line)]
        missing = [use.option for use in uses(self.options) if use.option not in written]
        if missing:
            for option in written:
                yield Violation(option, f"{line.said(option)}: needs {' and '.join(missing)} too")


@dataclass(frozen=True)
class Excludes(Constraint):
    """Options about something that another leaves out."""

    options: str
    about: str
    others: str

    def violations(self, line: CommandLine) -> Iterator[Violation]:
        """As Constraint."""
        for use in uses(self.options):
            for other in uses(self.others):
                if use.written(line) and other.on(line):
                    yield Violation(use.option, f"{line.said(use.option)}: is about {self.about}: "
                                                f"cannot go with {line.said(other.option)}")
                    break


@dataclass(frozen=True)
class Alone(Constraint):
    """An option that does one thing and nothing of what the others say, but for those it ``goes_with``."""

    option: str
    goes_with: str

    def violations(self, line: CommandLine) -> Iterator[Violation]:
        """As Constraint."""
        allowed = {self.option, *(use.option for use in uses(self.goes_with))}
        others = [option for option in line.written if option not in allowed]
        if self.option in line.written and others:
            yield Violation(self.option, f"{line.said(self.option)}: does nothing else: "
                                         f"cannot go with {line.said(others[0])}")


@dataclass(frozen=True)
class Lacks(Constraint):
    """What something does not have, and so the options that mean nothing with it."""

    where: str
    lacks: str
    options: str
    unless: str = ""
    """uses that give the options a meaning all the same"""
    or_else: str = ""
    """another way out, for the error"""

    def violations(self, line: CommandLine) -> Iterator[Violation]:
        """As Constraint."""
        if self.unless and any(use.on(line) for use in uses(self.unless)):
            return
        for use in uses(self.options):
            for place in uses(self.where):
                if use.written(line) and place.on(line):
                    yield Violation(use.option, f"{line.said(use.option)}: {line.said(place.option)} {self.lacks}: "
                                                f"{self._allowed(place, line)}")
                    break

    def _allowed(self, place: Use, line: CommandLine) -> str:
        choices = [choice for choice in line.choices.get(place.option, ()) if choice not in place.patterns]
        ways = [f"needs {place.option} {listed(choices)}" if choices else "leave one of them out"]
        ways += [f"or {'' if choices else 'add '}{use.option}" for use in uses(self.unless) if self.unless]
        ways += [self.or_else] if self.or_else else []
        return ", ".join(ways)


def first_violation(table: Sequence[Constraint], line: CommandLine) -> Violation | None:
    """The first in the table's order."""
    return next((violation for row in table for violation in row.violations(line)), None)


def in_effect(table: Sequence[Constraint], line: CommandLine, option: str) -> bool:
    """Whether an option has a value that means something: written, or by default where it might be written."""
    if option in line.written:
        return True
    if option not in line.defaults:
        return False
    return all(found.option != option for row in table for found in row.violations(line.writing(option)))


def listed(items: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join(filter(None, [", ".join(items[:-1]), items[-1]]))


def shortened(value: str) -> str:
    """A value as an error repeats it: not without end, and visible when it is empty."""
    return (value if len(value) <= _LONGEST else f"{value[:_LONGEST]}...") or "''"

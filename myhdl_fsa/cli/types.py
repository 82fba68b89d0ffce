"""Types of options, whose errors give the value and what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import click

from myhdl_fsa.cli.common import STANDARD_OUTPUT
from myhdl_fsa.cli.constraints import shortened
from myhdl_fsa.program import Region

__all__ = [
    "AnimationFile",
    "Bandwidth",
    "Dump",
    "DumpType",
    "Host",
    "Integer",
    "Latency",
    "Load",
    "LoadType",
    "OneOf",
    "OutputFile",
    "PositiveNumber",
    "ReadWrite",
    "Several",
    "output_path",
]

_LONGEST = 1_000_000
"""cycles"""
_MAX_DIGITS = 4000
"""fewer than Python refuses to read"""


class Integer(click.ParamType):
    """A whole number in decimal digits, ``low`` to ``high``; None for no bound."""

    name = "N"

    def __init__(self, low: int | None = None, high: int | None = None) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number."""
        text = str(value)
        number = int(text) if re.fullmatch(f"[+-]?[0-9]{{1,{_MAX_DIGITS}}}", text) else None
        below = number is not None and self.low is not None and number < self.low
        above = number is not None and self.high is not None and number > self.high
        if number is None or below or above:
            bounds = "" if self.low is None else f" from {self.low}"
            bounds += "" if self.high is None else f" to {self.high}"
            self.fail(f"{shortened(text)}: must be an integer{bounds}", param, ctx)
        return number


class Host(click.ParamType):
    """A host's name or address, and a port of it."""

    name = "HOST[:PORT]"

    def __init__(self, port: int) -> None:
        """``port`` is that of a host that is given without."""
        self.port = port

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """The two."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:\[\]]+)(?::([0-9]{1,5}))?", value)
        port = self.port if found is None or found[2] is None else int(found[2])
        if found is None or not 1 <= port <= 65535:
            _refuse(self, value, "HOST or HOST:PORT, the port from 1 to 65535, as localhost:1234", param, ctx)
        return found[1].strip("[]"), port


class PositiveNumber(click.ParamType):
    """A finite number above 0."""

    name = "X"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number."""
        try:
            number = float(value) if len(str(value)) < _MAX_DIGITS else math.nan
        except ValueError:
            number = math.nan
        if not 0 < number < math.inf:
            _refuse(self, str(value), "a positive number", param, ctx)
        return number


class OneOf(click.Choice[str]):
    """One of some words."""

    def __init__(self, choices: Iterable[str]) -> None:
        super().__init__(list(choices))

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """What is allowed."""
        return f"{shortened(str(value))}: must be one of {', '.join(map(repr, self.choices))}"


class Several(click.ParamType):
    """Two or more of some words, each once, with commas between them."""

    def __init__(self, choices: Iterable[str], name: str) -> None:
        self.choices, self.name = list(choices), f"{name},{name}"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """The words, in their order."""
        if isinstance(value, tuple):
            return value
        words = tuple(word.strip() for word in value.split(","))
        if len(words) < 2 or len(set(words)) < len(words) or not set(words) <= set(self.choices):
            _refuse(self, value, f"two or more of {', '.join(map(repr, self.choices))}, each once, with commas between "
                    "them", param, ctx)
        return words


class ReadWrite(click.ParamType):
    """One value for reads and writes, or two with a comma."""

    name = "READ[,WRITE]"

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed

    def one(self, text: str) -> Any:
        """A value. Raises ValueError."""
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The pair."""
        if not isinstance(value, str):
            return value
        parts = value.split(",")
        try:
            if len(parts) > 2:
                raise ValueError
            values = [self.one(part.strip()) for part in parts]
        except (ValueError, ZeroDivisionError):
            self.fail(f"{shortened(value)}: must be {self.allowed}, or two of that with a comma: reads, writes",
                      param, ctx)
        return values[0], values[-1]


class Latency(ReadWrite):
    """Cycles."""

    def __init__(self) -> None:
        super().__init__(f"cycles from 1 to {_LONGEST}")

    def one(self, text: str) -> int:
        """Raises ValueError."""
        if not re.fullmatch("[0-9]{1,20}", text) or not 1 <= int(text) <= _LONGEST:
            raise ValueError
        return int(text)


class Bandwidth(ReadWrite):
    """Beats a cycle."""

    def __init__(self) -> None:
        super().__init__("beats a cycle, above 0 and at most 1, as 0.02 or 1/50")

    def one(self, text: str) -> Fraction:
        """Raises ValueError."""
        value = Fraction(text).limit_denominator(100_000) if len(text) < 32 else Fraction(0)
        if not 0 < value <= 1:
            raise ValueError
        return value


@dataclass(frozen=True)
class Load:
    """``--load ADDR=FILE.npy``."""

    address: int
    path: Path
    text: str
    """as it was written"""


@dataclass(frozen=True)
class Dump:
    """``--dump ADDR:BYTES=FILE.bin``."""

    region: Region
    path: Path
    text: str
    """as it was written"""


_NUMBER = r"(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})"


class OutputFile(click.ParamType):
    """A file to write; ``-`` is standard output."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Its path."""
        return output_path(value)


class AnimationFile(click.ParamType):
    """A file to write whose name says how."""

    name = "FILE"
    suffixes = (".html", ".gif", ".png")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Its path."""
        path = output_path(value)
        if path.suffix not in self.suffixes:
            _refuse(self, str(value), "a name that ends in .html, .gif or .png", param, ctx)
        return path


def output_path(value: str | Path) -> Path:
    """The path of an output, STANDARD_OUTPUT for ``-`` alone."""
    path = Path(value)
    # pathlib makes "-" of "./-", which names a file
    return path.absolute() if path == STANDARD_OUTPUT and str(value) != "-" else path


class LoadType(click.ParamType):
    """A file's contents at an address."""

    name = "ADDR=FILE.npy"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The Load."""
        if isinstance(value, Load):
            return value
        found = re.fullmatch(f"{_NUMBER}=(.+)", value)
        if found is None:
            _refuse(self, value, "ADDR=FILE.npy, the address in bytes, as 0x80000000=q.npy", param, ctx)
        return Load(_integer(found[1]), Path(found[2]), value)


class DumpType(click.ParamType):
    """A stretch of memory, to a file."""

    name = "ADDR:BYTES=FILE.bin"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The Dump."""
        if isinstance(value, Dump):
            return value
        found = re.fullmatch(f"{_NUMBER}:{_NUMBER}=(.+)", value)
        if found is None or _integer(found[2]) == 0:
            _refuse(self, value, "ADDR:BYTES=FILE.bin, at least one byte, as 0x80000000:64=o.bin", param, ctx)
        return Dump(Region(_integer(found[1]), _integer(found[2])), output_path(found[3]), value)


def _integer(text: str) -> int:
    # Python's own reading refuses the leading zeros of a decimal number
    return int(text, 16 if text[:2] in ("0x", "0X") else 10)


def _refuse(
    kind: click.ParamType, value: str, allowed: str, param: click.Parameter | None, ctx: click.Context | None
) -> NoReturn:
    kind.fail(f"{shortened(value)}: must be {allowed}", param, ctx)

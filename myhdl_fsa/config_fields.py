"""How a field of the configuration is declared, and the words of its errors: in Python's names or in the file's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from functools import wraps
from typing import Annotated, Any, TypeVar, get_args

from pydantic import Field, PlainValidator, ValidationError, WithJsonSchema
from pydantic.fields import FieldInfo

from myhdl_fsa.arithmetic.formats import FORMATS, FloatFormat, as_format

__all__ = [
    "C",
    "ConfigError",
    "Fields",
    "InBytes",
    "Machine",
    "Names",
    "NumberFormat",
    "SHOWN",
    "SUGGESTED",
    "choice",
    "explain",
    "in_bytes",
    "integer",
    "number_format",
    "one_line_errors",
    "printable",
    "read_object",
    "suggestion",
    "text",
]

SHOWN = 60
"""characters of a value that a message repeats at most"""
SUGGESTED = 100
"""characters of an unknown name up to which a near one is looked for"""

Machine = Mapping[str, Any]
"""the fields declared before the one in question, by their Python names"""
Fields = Mapping[str, FieldInfo]
C = TypeVar("C")


class ConfigError(ValueError):
    """A configuration that cannot be built; the message is one line naming the field, its value and what is allowed."""


def printable(text: str) -> str:
    """The text with a question mark for what a terminal would take as a command, or as another line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


class Names(Enum):
    """Whose names a configuration was made with; the value begins its messages."""

    PYTHON = "configuration"
    FILE = "configuration file"

    def name_of(self, field: str, fields: Fields) -> str:
        """The field as its user calls it."""
        return fields[field].alias or field if self is Names.FILE else field

    def show(self, value: Any) -> str:
        """The value as its user writes it, cut where it is long."""
        if isinstance(value, FloatFormat):
            return value.name
        try:
            text = repr(value) if self is Names.PYTHON else json.dumps(value, ensure_ascii=False, default=repr)
        except (ValueError, RecursionError):  # an integer of thousands of digits, and nesting as deep
            text = type(value).__name__ + " too large to show"
        return printable(text if len(text) <= SHOWN else text[:SHOWN] + "...")


@dataclass(frozen=True)
class InBytes:
    """Marks a field that counts rows in Python and bytes in the file."""

    row_bytes: Callable[[Machine], int]

    def rows(self, size: int, machine: Machine, most: int) -> int:
        """The rows in ``size`` bytes. Raises ValueError for what is not one row or more, up to ``most``."""
        row = self.row_bytes(machine)
        if size <= 0 or size % row or size // row > most:
            raise ValueError(f"must be a positive multiple of one row ({row} bytes), up to {most * row}")
        return size // row


def in_bytes(field: FieldInfo) -> InBytes | None:
    """The field's mark, if it has one."""
    return next((mark for mark in field.metadata if isinstance(mark, InBytes)), None)


def integer(
    default: int | Callable[[Machine], int], low: int, high: int, description: str, *, unit: str = "",
    published: str | None = None, schema: dict[str, Any] | None = None,
) -> Any:
    """An integer field from ``low`` to ``high``.

    A function as default says what the field follows. ``published`` is its name in the file, where that is another;
    ``schema`` is what holds there beside or instead of the bounds.
    """
    start: dict[str, Any] = {"default_factory": default} if callable(default) else {"default": default}
    return Field(**start, strict=True, ge=low, le=high, alias=published, json_schema_extra=schema,
                 description=f"{description} [{unit}]" if unit else description)


def choice(default: str, description: str) -> Any:
    """A field that is one of the words of its Literal."""
    return Field(default=default, description=description)


def text(default: str, most: int, description: str) -> Any:
    """A field of any text, up to ``most`` characters."""
    return Field(default=default, strict=True, max_length=most, description=description)


def number_format(default: FloatFormat, description: str, published: str) -> Any:
    """A field of type NumberFormat."""
    return Field(default=default, alias=published, description=description,
                 json_schema_extra={"default": default.name, "examples": [*FORMATS, "e6m9"]})


def _read_format(value: Any) -> FloatFormat:
    try:
        return as_format(value)
    except (TypeError, ValueError) as error:
        # the value is named by the field's own message, and a file has no FloatFormat
        raise ValueError(str(error).partition(": ")[2].removesuffix(", or a FloatFormat")) from None


NumberFormat = Annotated[
    FloatFormat, PlainValidator(_read_format),
    WithJsonSchema({"type": "string", "pattern": f"^({'|'.join(FORMATS)}|e[3-8]m([2-9]|1[0-9]|2[0-3]))$"}),
]
"""a FloatFormat, or its name"""


def suggestion(name: str, known: Iterable[str], near: float = 0.6) -> str:
    """``did you mean 'x'?`` for the known name that is nearest, letter case aside, or nothing.

    ``near`` is difflib's ratio from where on a name is near.
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = get_close_matches(name.lower(), by_lower, 1, near) if len(name) <= SUGGESTED else []
    return f"did you mean {by_lower[found[0]]!r}?" if found else ""


def explain(error: ValidationError, fields: Fields, names: Names, given: Mapping[str, Any]) -> str:
    """The first of the errors in one line; ``given`` is what was validated."""
    # a field that follows an unusable one is not to blame
    details = [found for found in error.errors(include_url=False) if found["type"] != "default_factory_not_called"][0]
    cause = details.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):
        return str(cause)
    said = str(details["loc"][0])
    field = next((field for field in fields if names.name_of(field, fields) == said), None)
    if field is None:
        return f"{names.value}: {_unknown(said, fields, names)}"
    value = given.get(said, details["input"])
    return f"{names.value}: {said} = {names.show(value)}: {_allowed(fields[field], details['type'], cause)}"


def _unknown(said: str, fields: Fields, names: Names) -> str:
    known = {names.name_of(field, fields): field for field in fields}
    # the other side's name is as near as can be
    same = [mine for mine, field in known.items() if said in (field, fields[field].alias)]
    near = f"did you mean {same[0]!r}?" if same else suggestion(said, known)
    return f"unknown field {said[:SHOWN]!r}: {near or 'known are ' + ', '.join(sorted(known))}"


def _allowed(field: FieldInfo, kind: str, cause: Any) -> str:
    if cause is not None:
        return str(cause)
    limits = {limit: getattr(mark, limit) for mark in field.metadata for limit in ("ge", "le", "max_length")
              if getattr(mark, limit, None) is not None}
    if field.annotation is int:
        if in_bytes(field) is not None and kind == "int_type":
            return "must be an integer"
        return f"must be an integer from {limits['ge']} to {limits['le']}"
    if kind == "literal_error":
        return f"must be one of {', '.join(get_args(field.annotation))}"
    return f"must be text of at most {limits['max_length']} characters"


def one_line_errors(cls: type[C]) -> type[C]:
    """Lets a pydantic dataclass raise ConfigError where it would raise ValidationError."""
    validate: Callable[..., None] = cls.__init__

    @wraps(validate)
    def __init__(self: C, *args: Any, **fields: Any) -> None:
        declared: Fields = cls.__pydantic_fields__  # type: ignore[attr-defined]
        if len(args) > len(declared):
            raise ConfigError(f"{Names.PYTHON.value}: {len(args)} fields by position: there are {len(declared)}")
        by_position = dict(zip(declared, args, strict=False))
        for twice in by_position.keys() & fields.keys():
            raise ConfigError(f"{Names.PYTHON.value}: {twice} is given by position and by name: must be given once")
        given = {**by_position, **fields}
        try:
            validate(self, **given)
        except ValidationError as error:
            raise ConfigError(explain(error, declared, Names.PYTHON, given)) from None

    cls.__init__ = __init__  # type: ignore[assignment,method-assign]
    return cls


def read_object(source: str) -> dict[str, Any]:
    """The one JSON object in the text. Raises ConfigError, for a name that is there twice too."""
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise ConfigError(f"{Names.FILE.value}: {Names.FILE.show(name)} is there twice: must be there once")
            found[name] = value
        return found

    def whole(digits: str) -> int:
        # far beyond every bound either way, and Python refuses to read thousands of digits
        return int(digits[:1000])

    try:
        fields = json.loads(source, object_pairs_hook=once, parse_int=whole)
    except ConfigError:
        raise
    except RecursionError:
        raise ConfigError(f"{Names.FILE.value}: not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        reason = "the file is empty" if not source.strip() else re.sub(r" \(char \d+\)$", "", str(error))
        raise ConfigError(f"{Names.FILE.value}: not JSON: {reason}") from None
    if not isinstance(fields, dict):
        raise ConfigError(f"{Names.FILE.value}: must hold one JSON object, {{...}}, and holds {_KINDS[type(fields)]}")
    return fields


_KINDS = {list: "an array", str: "text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}

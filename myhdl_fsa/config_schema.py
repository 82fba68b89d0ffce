"""The declaration of ``Config`` for readers: a JSON schema for editors, and the table of docs/configuration.md."""

from __future__ import annotations

import json
from typing import Any, get_args

from pydantic import TypeAdapter

from myhdl_fsa.config import Config

__all__ = ["schema", "schema_text", "table"]


def schema() -> dict[str, Any]:
    """The JSON schema (2020-12) of a configuration file.

    It says what a field alone may be; how fields must fit together is for the command to check.
    """
    made = TypeAdapter(Config).json_schema(by_alias=True)
    # an editor finds a file's schema by this field
    fields = {"$schema": {"type": "string", "description": "where editors find this schema"}, **made["properties"]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of one FSA machine",
        **{name: value for name, value in made.items() if name not in ("title", "description", "properties")},
        "properties": {name: _without_title(field) for name, field in fields.items()},
    }


def _without_title(field: dict[str, Any]) -> dict[str, Any]:
    # it would only repeat the name
    return {name: value for name, value in field.items() if name != "title"}


def schema_text() -> str:
    """The schema as JSON text."""
    return json.dumps(schema(), indent=2) + "\n"


def table() -> str:
    """The fields as a table in Markdown."""
    lines = ["| field | in Python | allowed | default | meaning |", "|---|---|---|---|---|"]
    by_name = {field.alias or name: (name, field) for name, field in
               Config.__pydantic_fields__.items()}  # type: ignore[attr-defined]
    for said, shown in schema()["properties"].items():
        if said in by_name:
            name, field = by_name[said]
            meaning = shown["description"].replace("<", "\\<")  # e<E>m<M> is no tag
            lines.append(f"| `{said}` | `{name}` | {_allowed(shown, get_args(field.annotation))} | "
                         f"{_code(shown['default']) if shown.get('default', '') != '' else ''} | "
                         f"{meaning} |")
    return "\n".join(lines) + "\n"


def _allowed(shown: dict[str, Any], words: tuple[Any, ...]) -> str:
    if shown["type"] == "integer":
        return f"{shown['minimum']} to {shown['maximum']}"
    if words:
        return ", ".join(map(_code, words))
    return f"at most {shown['maxLength']} characters" if "maxLength" in shown else "a format"


def _code(value: Any) -> str:
    return f"`{value}`"

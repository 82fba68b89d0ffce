"""The C header's text: the contents in its template."""

from __future__ import annotations

import json
import textwrap

from myhdl_fsa.config import Config
from myhdl_fsa.workbench.c_header.contents import groups, instruction_kinds
from myhdl_fsa.workbench.templates import template

__all__ = ["c_prefix", "header_name", "header_text"]

_WIDTH = 110


def header_name(prefix: str) -> str:
    """The header's file."""
    return f"{prefix}registers.h"


def c_prefix(prefix: str) -> str:
    """What C names begin with where those of the modules begin with ``prefix``: that with one underscore at its end.

    It is never nothing: C has names such as ``write`` already.
    """
    return f"{prefix.rstrip('_') or 'fsa'}_"


def header_text(config: Config, prefix: str, version: str) -> str:
    """The header of a device of ``config``, C99 and C++11. ``prefix`` is that of the modules' names."""
    c = c_prefix(prefix)
    text: str = template(__package__, "registers.h", filters={"comment": _comment}, escape=False).render(
        c=c, C=c.upper(), groups=groups(config), kinds=instruction_kinds(), version=version,
        name=json.dumps(config.name)[1:-1] or "unnamed configuration")
    return text


def _comment(text: str, indent: int = 0) -> str:
    """A comment of lines that are not too long, whatever is in the text."""
    for marks in ("*/", "/*", "??"):  # the last begins a trigraph
        while marks in text:
            text = text.replace(marks, " ".join(marks))
    pad = " " * indent
    return textwrap.fill(text, _WIDTH, initial_indent=f"{pad}/* ", subsequent_indent=f"{pad}   ",
                         break_on_hyphens=False) + " */"

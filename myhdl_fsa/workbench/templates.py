"""What is written from a template of Jinja that lies beside the module that fills it: pages and headers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

__all__ = ["template"]


@cache
def _environment(package: str, folder: str, escape: bool) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # which takes a while

    return Environment(loader=PackageLoader(package, folder), autoescape=escape, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)


def template(
    package: str, name: str, folder: str = ".", filters: Mapping[str, Callable[..., str]] | None = None,
    escape: bool = True,
) -> Any:
    """The template ``name`` in a folder of a package; ``filters`` are those that it names.

    What is put in is escaped as HTML wants it unless it is markup, or nothing is to be escaped.
    """
    environment = _environment(package, folder, escape)
    environment.filters.update(filters or {})
    return environment.get_template(name)

"""HTML pages: Jinja templates beside the modules that fill them. What is put in is escaped, unless it is markup."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

__all__ = ["html_template"]


@cache
def _environment(package: str, folder: str) -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # which takes a while

    return Environment(loader=PackageLoader(package, folder), autoescape=True, undefined=StrictUndefined,
                       trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)


def html_template(
    package: str, name: str, folder: str = ".", filters: Mapping[str, Callable[..., str]] | None = None
) -> Any:
    """The template ``name`` in a folder of a package, compiled once; ``filters`` are those that it names."""
    environment = _environment(package, folder)
    environment.filters.update(filters or {})
    return environment.get_template(name)

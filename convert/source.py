"""Where a function stands in its file: its syntax tree, and the comments that stand on lines of their own."""

from __future__ import annotations

import ast
import io
import linecache
import tokenize
from functools import cache
from types import CodeType

__all__ = ["comments_above", "definition", "docstring"]


@cache
def _definitions(file: str) -> dict[int, ast.FunctionDef]:
    """The functions of a file by their first line, which may be a decorator's."""
    lines = linecache.getlines(file)
    return {min([node.lineno, *(part.lineno for part in node.decorator_list)]): node
            for node in ast.walk(ast.parse("".join(lines))) if isinstance(node, ast.FunctionDef)}


@cache
def _comments(file: str) -> dict[int, str]:
    """The comments that stand alone, by line."""
    lines = linecache.getlines(file)
    return {token.start[0]: token.string.lstrip("#").strip()
            for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline)
            if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#")}


def definition(code: CodeType) -> ast.FunctionDef | None:
    """The definition of a function by its code; None where its file cannot be read."""
    return _definitions(code.co_filename).get(code.co_firstlineno)


def comments_above(file: str, line: int) -> tuple[str, ...]:
    """The lines of the comment right above a line."""
    comments = _comments(file)
    first = line
    while first - 1 in comments:
        first -= 1
    return tuple(comments[at] for at in range(first, line))


def docstring(code: CodeType) -> str:
    """A function's docstring, or nothing."""
    node = definition(code)
    return (ast.get_docstring(node) or "") if node is not None else ""

"""The docstrings that stand behind the attributes of a class, which Python does not keep."""

from __future__ import annotations

import ast
import inspect
import textwrap

__all__ = ["attribute_docs"]


def attribute_docs(cls: type) -> dict[str, str]:
    """By attribute or member, the string on the lines after it, in one line and without marks of literals.

    An attribute with none is left out. Raises OSError where the class has no source.
    """
    (found,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(found, ast.ClassDef)
    docs = {}
    for attribute, after in zip(found.body, found.body[1:], strict=False):
        target = attribute.targets[0] if isinstance(attribute, ast.Assign) else getattr(attribute, "target", None)
        if isinstance(target, ast.Name) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            docs[target.id] = " ".join(str(after.value.value).split()).replace("``", "")
    return docs

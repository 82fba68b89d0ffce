"""A package that can be called: as a function of its own name, and still a package with everything else in it."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

__all__ = ["make_callable"]


class _CallableModule(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(module: str) -> None:
    """Lets the module of that full name be called as the function in it that has its short name."""
    sys.modules[module].__class__ = _CallableModule

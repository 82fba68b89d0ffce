"""Elaboration for conversion: of blocks that are the same module, only the first is elaborated.

The others keep their ports and nothing else, so that an N x N array costs N rows and one row of N PEs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from myhdl._block import _Block

from myhdl_fsa.convert.hierarchy import identity

__all__ = ["distinct_blocks"]


@contextmanager
def distinct_blocks() -> Iterator[None]:
    """Blocks instantiated inside are elaborated once each; a repeated one has the first as its ``twin``."""
    elaborate = _Block.__init__
    first: dict[Any, Any] = {}

    def construct(self: Any, func: Any, deco: Any, name: Any, file: Any, line: Any, skip: Any, *args: Any, **kwargs: Any
                  ) -> None:
        self.func, self.args, self.kwargs = func, args, kwargs
        twin = first.setdefault(identity(self), self)
        if twin is self:
            elaborate(self, func, deco, name, file, line, skip, *args, **kwargs)
        else:
            elaborate(self, _nothing, deco, name, file, line, skip, *args, **kwargs)
            self.func, self.twin = func, twin

    with patch.object(_Block, "__init__", construct):
        yield


def _nothing(*args: Any, **kwargs: Any) -> tuple[()]:
    return ()

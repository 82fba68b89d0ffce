"""Elaboration for conversion: of blocks that are the same module, only the first is elaborated.

The others keep their ports and nothing else, so that an N x N array costs N rows and one row of N PEs. Blocks that
MyHDL's own decorator makes are elaborated in full: they convert to the same modules, after a longer time.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

from myhdl_fsa.convert.blocks import identity
from myhdl_fsa.elaboration import elaborated_once

__all__ = ["distinct_blocks"]


def distinct_blocks() -> AbstractContextManager[None]:
    """Blocks instantiated inside are elaborated once each; a repeated one has the first as its ``twin``."""
    return elaborated_once(identity)

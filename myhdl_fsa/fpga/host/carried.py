"""How much of a program's bytes has been carried to the board and back, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from myhdl_fsa.engine.request import Transfer, Watch
from myhdl_fsa.fpga.host.bus import WORD_BYTES
from myhdl_fsa.program import Program

__all__ = ["Carried"]


class Carried:
    """Of one program. Memory that it fills, outputs twice, since they are cleared before, and its words."""

    def __init__(self, program: Program, watch: Watch) -> None:
        outputs = sum(region.size for region in program.outputs)
        inputs = sum(len(data) for _, data in program.memory)
        self._watch, self._done = watch, 0
        self._whole = inputs + 2 * outputs + WORD_BYTES * len(program.words)
        self.transfers: list[Transfer] = []

    def advance(self, size: int) -> None:
        """So many bytes more."""
        self._done += size
        self._watch.report(self._done, self._whole)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """What is carried in the block is a Transfer of that name."""
        start, before = time.monotonic(), self._done
        yield
        self.transfers.append(Transfer(what, self._done - before, time.monotonic() - start))

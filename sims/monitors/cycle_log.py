"""What a watched run of attention says of its cycles, gathered cycle by cycle."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from myhdl_fsa.engine.cycle_use import USES, Stretch, Wait
from myhdl_fsa.kernel.context import Kernel
from myhdl_fsa.sims.monitors.causes import Causes

__all__ = ["CycleLog"]

_ARRAY, _FILL, _DRAIN = (USES.index(use) for use in ("array", "fill", "drain"))


class CycleLog:
    """Filled by the watchers of ``waits`` and ``rows``; each call is about one cycle, in their order."""

    def __init__(self, kernel: Kernel) -> None:
        self.causes = Causes(kernel)
        self.first: int | None = None
        self.last = -1
        self._waits: list[tuple[int, int, str]] = []
        self._worked: list[tuple[int, str]] = []

    def ran(self, cycle: int) -> None:
        """The cycle belongs to the run."""
        if self.first is None:
            self.first = cycle
        self.last = cycle

    def waited(self, cycle: int, instruction: int, cause: str) -> None:
        """The matrix unit waits in it, as Wait has it."""
        self._waits.append((cycle, instruction, cause))

    def worked(self, cycle: int, use: str) -> None:
        """``products`` or ``softmax`` in row 0, column 0."""
        self._worked.append((cycle, use))

    def waits(self) -> tuple[Wait, ...]:
        """Of the run, as long as can be."""
        found: list[Wait] = []
        for cycle, instruction, cause in self._waits:
            first = cycle
            if found and (found[-1].last, found[-1].instruction, found[-1].cause) == (cycle - 1, instruction, cause):
                first = found.pop().first
            found.append(Wait(instruction, first, cycle, cause))
        return tuple(found)

    def stretches(self) -> tuple[Stretch, ...]:
        """Every cycle of the run, by the rule of ``USES``. Raises RuntimeError for a run without a cycle."""
        if self.first is None:
            raise RuntimeError("the run has no cycle")
        first, uses = self.first, np.full(self.last + 1 - self.first, _ARRAY)
        for cycle, _, cause in self._waits:
            uses[cycle - first] = USES.index(cause)
        # work comes before what is waited for meanwhile; what is in the array before the run belongs to none
        worked = [(cycle - first, USES.index(use)) for cycle, use in self._worked if first <= cycle <= self.last]
        for at, use in worked:
            uses[at] = use
        if worked:
            for part, use in ((uses[:worked[0][0]], _FILL), (uses[worked[-1][0] + 1:], _DRAIN)):
                part[part == _ARRAY] = use
        found, at = [], first
        for use, same in groupby(uses.tolist()):
            length = len(list(same))
            found.append(Stretch(at, at + length - 1, USES[use]))
            at += length
        return tuple(found)

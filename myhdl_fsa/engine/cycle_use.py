"""What the cycles of a run were used for, and what the matrix unit waited for, as an engine that sees inside tells it.

Cycles are numbered by the clock edges since the start of the simulation, the reset's included, as ``--max-cycles`` and
waveforms number them. A run goes from ``first`` to ``last`` of its stretches: on the device these are the cycles that
its execution time counts, on the bare core those from the first issue to idle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CAUSES", "USES", "Stretch", "Wait", "cycles_by_use", "waiting_cycles"]

CAUSES = ("Q", "K", "V", "store of O", "host", "array")
"""What a matrix instruction waits for.

A tile that is loaded; O that is stored, from the tile that the instruction needs, or at the end; ``host``: the
instruction's words have not come, or are being decoded; ``array``: a part of the array that has to end first, as a
fence asks for.
"""
USES = ("products", "softmax", "Q", "K", "V", "store of O", "host", "array", "fill", "drain")
"""What a cycle is used for. The first that holds counts, so that every cycle is counted once:

``products``: the multiply-adder of row 0, column 0 has a row of K or V^T; every other one has as many such cycles.
``softmax``: it has a step of the softmax: minus the maximum, times the scale, a piece of the exponential, the row sum.
A name of ``CAUSES`` but ``array``: the matrix unit waits for that, as ``Wait`` says.
``fill``, ``drain``: before the first such cycle, and after the last one: the first Q and K come in, the last results
are divided and stored.
``array``: what is left: dependencies in the array, such as waves on their way and Q that shifts in.
"""


@dataclass(frozen=True)
class Wait:
    """A stretch of cycles in which the matrix unit could take an instruction (``stream``: start one) and none can go.

    On the device these are the cycles of its bubble counter. Such a cycle may have work all the same: the unit takes
    an instruction while the one before it still runs.
    """

    instruction: int
    """the number of the matrix instruction that waits, from 0; behind the last one their count"""
    first: int
    last: int
    """the first and the last cycle"""
    cause: str
    """one of ``CAUSES``"""

    @property
    def cycles(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Stretch:
    """Cycles next to each other with one use."""

    first: int
    last: int
    use: str
    """one of ``USES``"""

    @property
    def cycles(self) -> int:
        """How many."""
        return self.last - self.first + 1


def cycles_by_use(stretches: Iterable[Stretch]) -> dict[str, int]:
    """The cycles of each of ``USES``, zeros too; they sum up to the run's."""
    counted: Counter[str] = Counter()
    for stretch in stretches:
        counted[stretch.use] += stretch.cycles
    return {use: counted[use] for use in USES}


def waiting_cycles(waits: Iterable[Wait]) -> dict[str, int]:
    """The cycles of each of ``CAUSES``, zeros too; on the device they sum up to its bubble counter."""
    counted: Counter[str] = Counter()
    for wait in waits:
        counted[wait.cause] += wait.cycles
    return {cause: counted[cause] for cause in CAUSES}

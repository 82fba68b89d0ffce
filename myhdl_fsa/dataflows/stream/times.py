"""The constants of the stream dataflow's timetable, for one array size and one multiply-adder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.isa import Function
from myhdl_fsa.tiling import tile_pairs

__all__ = [
    "QUEUE_CYCLES",
    "Times",
    "attention_cycles",
    "iteration_cycles",
    "measured_iteration",
    "operand_rows",
    "rows_read",
]

QUEUE_CYCLES = 2
"""from the acceptance of an instruction to the scratchpad read that it starts: one in the queue, one in the register"""


@dataclass(frozen=True)
class Times:
    """All in cycles unless said otherwise.

    A *slot* is a cycle of PE row 0, column 0. The wave of slot s takes register and left operand in PE (r, c) in cycle
    s + hop*r + c, its addend from above ``mac_stages`` cycles later, and its result is there ``latency`` cycles later.
    """

    rows: int
    """N"""
    mac_stages: int = 0
    """M: multiplier stages before the addend is taken"""
    hop: int = 1
    """H: from the addend to the result, and so from row to row"""
    reciprocal: int = 15
    """of the reciprocal unit"""

    @classmethod
    def of(cls, config: Config) -> Times:
        """The configuration's."""
        return cls(config.rows, config.mac_stages, config.adder_stages,
                   Reciprocal(config.acc, config.reciprocal).latency)

    @property
    def latency(self) -> int:
        """L: of the multiply-adder."""
        return self.mac_stages + self.hop

    @property
    def pass_waves(self) -> int:
        """h: 1 if a PASS wave goes before SUB."""
        return int(self.hop > 1)

    @property
    def settles(self) -> int:
        """1 if a row of O^T that is written would be read, N waves later, a cycle too early."""
        return int(self.latency == self.rows)

    @property
    def ring(self) -> int:
        """Phases of the return lane: each stream on it sends a word every so many cycles."""
        return self.hop + 1

    @property
    def lead(self) -> int:
        """From the start of ATTN_VALUE to its SUB slot."""
        return self.rows + 1 + 2 * self.ring

    @property
    def sigma(self) -> int:
        """From the start of the ATTN_SCORE beside an ATTN_VALUE to that one's SUB slot."""
        return max(0, self.rows - 3 * (self.latency - 1)) + self.pass_waves

    @property
    def lambda_(self) -> int:
        """From the start of ATTN_VALUE to that of the ATTN_SCORE beside it."""
        return self.lead - self.sigma

    @property
    def to_comparator(self) -> int:
        """B: from a slot to the comparator of column 0."""
        return self.mac_stages + self.hop * self.rows

    @property
    def to_accumulator(self) -> int:
        """A: from a slot to the accumulators."""
        return self.to_comparator + self.rows - 1

    @property
    def waves(self) -> int:
        """From SUB to the last row of V^T, both included."""
        return 3 * self.latency + 1 + self.rows

    @cached_property
    def span(self) -> int:
        """From the first to the last wave of an ATTN_SCORE beside an ATTN_VALUE."""
        taken = {self.sigma - self.pass_waves, *(self.sigma + step * self.latency for step in range(3))}
        return [slot for slot in range(self.rows + 8) if slot not in taken][self.rows - 1]

    @cached_property
    def period(self) -> int:
        """T: from an ATTN_VALUE to the next."""
        return self._period_and_load[0]

    @cached_property
    def load_after(self) -> int:
        """xq: from the start of an ATTN_SCORE to that of the next tile's LOAD_STATIONARY."""
        return self._period_and_load[1]

    @cached_property
    def _period_and_load(self) -> tuple[int, int]:
        n, h = self.rows, self.pass_waves
        # no two words may meet on the lane, those of a new Q every iteration included
        period = max(2 * n + 4 + h, n + 3 * self.latency + 1 + h)
        while True:
            words = {self.ring * word % period for word in range(n + 2)}
            for after in range(max(self.span, n - 1) - n, period - n):
                queries = {(self.lambda_ + after + self.ring * row) % period for row in range(n)}
                if len(words | queries) == 2 * n + 2:
                    return period, after
            period += 1

    @property
    def slots(self) -> int:
        """G: score tiles between QK and softmax, which is also how many the edge buffers hold."""
        return max(1, -(-(self.lambda_ + self.span + self.to_comparator) // self.period))

    def total(self, iterations: int, query_tiles: int = 1, borrows: bool = False) -> int:
        """From the first row that is read to the last result, for so many tile pairs, with memory never in the way.

        A change of Q tile costs nothing where the reciprocal has time enough. One that ``borrows`` the accumulators'
        multiply-adder starts only behind the last row of O^T; the next ATTN_VALUE starts after that, and reaches the
        accumulators when it is over.
        """
        ends = (2 * self.hop + 6) * self.rows + 6 * self.latency + 3
        cycles = (iterations - 1) * self.period + ends
        if borrows:
            change = self.rows + 3 * self.latency + 1 + max(self.reciprocal, self.lead + 1)
            return cycles + self.reciprocal + self.latency + (query_tiles - 1) * max(0, change - self.period)
        return cycles + max(0, self.reciprocal + self.latency - self.rows)


def rows_read(config: Config) -> dict[int, tuple[int, int]]:
    """By matrix function, the rows of the scratchpad and of the accumulator RAM that an instruction goes through."""
    n = config.rows
    return {Function.LOAD_STATIONARY: (n, 0), Function.ATTN_SCORE: (n, 1), Function.ATTN_VALUE: (n, n),
            Function.ACC_RECIPROCAL: (0, 1), Function.ATTN_LSE_NORM: (0, n)}


def operand_rows(config: Config) -> dict[int, range]:
    """By matrix function, where in the scratchpad its rows may lie: Q in its own RAM, the first 2*cols rows."""
    everywhere, queries = range(config.scratchpad_rows), 2 * config.cols
    keys = everywhere[queries:]
    return {function: everywhere[:queries] if function == Function.LOAD_STATIONARY else keys
            for function in rows_read(config)}


def iteration_cycles(config: Config) -> int:
    """Of one K/V tile in the steady state."""
    return Times.of(config).period


def attention_cycles(config: Config, query_tiles: int, kv_tiles: int, causal: bool, heads: int) -> int:
    """Cycles from first issue to idle on the bare core, with memory never in the way.

    A lower bound where a query tile has so few K/V tiles that the reciprocal has no time to finish beside them, or the
    accumulator RAM so few O^T tiles that a store is waited for.
    """
    iterations = heads * tile_pairs(query_tiles, kv_tiles, causal)
    return Times.of(config).total(iterations, heads * query_tiles, config.reciprocal == "newton") + QUEUE_CYCLES


def measured_iteration(
    config: Config, functions: Sequence[Function], issued: Sequence[int], overlap: Sequence[int], total: int
) -> float:
    """What each tile pair after the first costs; the timetable's period if there is only one.

    When an instruction is accepted says nothing of its start: the core's queue takes several at once.
    """
    more = functions.count(Function.ATTN_VALUE) - 1
    return (total - attention_cycles(config, 1, 1, False, 1)) / more if more else float(Times.of(config).period)

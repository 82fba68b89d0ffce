"""What the stream dataflow asks of a program beyond the decoder's checks."""

from __future__ import annotations

from collections.abc import Iterator

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.order import Order, announces, order_check
from myhdl_fsa.isa import Function, Matrix
from myhdl_fsa.kernel.hazard import Hazard, Part, Sums
from myhdl_fsa.kernel.legality import accumulator_rows
from myhdl_fsa.kernel.remedies import Remedy

__all__ = ["ORDER", "ORDER_CHECK", "Rules", "SKEW", "announces", "skew_fault"]

ORDER = Order
ORDER_CHECK = order_check

SKEW = {Function.LOAD_STATIONARY: (0, 0, 0), Function.ATTN_SCORE: (1, 1, 0), Function.ATTN_VALUE: (1, 1, 0)}
"""reverse_in, delay and reverse_out, which are those of the array, whose skew is fixed"""


class Rules:
    """Follows the matrix instructions of a program, whose order is right."""

    NORM_RELEASES_EARLY = True
    """its last rows are written behind it; a store that reads its first row first finds each in time"""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._order = Order(config)
        self._sum_row: int | None = None
        self._now: Matrix | None = None
        self._score: Matrix | None = None
        self._count = 0
        self._values = (0, 0, 0)
        """the number of the last ATTN_VALUE, of the one before it, and of the one before that"""
        self._normalised = 0

    def idle(self) -> None:
        """A fence has waited for the array."""

    def follow(self, instruction: Matrix) -> None:
        """The instruction comes now; what the others below say is about it."""
        self._now, self._score = instruction, self._order.take(instruction)
        self._count += 1
        if self._score is not None:
            self._sum_row = self._score.accumulator_row
            if self._score.zero:
                self._normalised = self._values[0]
            self._values = self._count, *self._values[:2]

    def hazards(self) -> Iterator[Hazard]:
        """Why it has no defined result."""
        instruction, score = self._now, self._score
        assert instruction is not None
        skew = skew_fault(instruction)
        if skew is not None:
            yield skew
        function = Function(instruction.function)
        name = function.name
        match function:
            case Function.ATTN_VALUE | Function.ATTN_LSE_NORM if not instruction.accumulator_stride and (
                    not instruction.zero or function is Function.ATTN_LSE_NORM):
                yield Hazard(f"{name} with accumulator stride 0: must not be 0, a row would be read before it is "
                             "written", Remedy.ACCUMULATOR_STRIDE.fill())
            case Function.ATTN_LSE_NORM if instruction.zero:
                yield Hazard(f"{name} with zero 1: must be 0, it has no use for it", Remedy.NORM_ZERO.fill())
            case Function.ATTN_VALUE if score is not None and not instruction.zero and (
                    score.accumulator_row == instruction.accumulator_row):
                yield Hazard(f"{name} whose first accumulator row is that of its sums, {score.accumulator_row}: "
                             "must be another, it would be read before it is written", Remedy.SUM_ROW.fill())
            case Function.ACC_RECIPROCAL if instruction.accumulator_row != self._sum_row:
                yield Hazard(f"{name} of accumulator row {instruction.accumulator_row}: must be {self._sum_row}, the "
                             "sums of the last ATTN_VALUE", Remedy.LAST_SUMS.fill())

    def sums(self) -> list[Sums]:
        """What it goes through in the accumulator RAM.

        The sums of an ATTN_SCORE's weights are added up with its ATTN_VALUE; the reciprocal has them in a register.
        """
        assert self._now is not None
        rows = accumulator_rows(self._now, self._config)
        if self._score is not None:
            return [Sums(accumulator_rows(self._score, self._config), bool(self._score.zero), True),
                    Sums(rows, bool(self._now.zero), True)]
        if self._now.function == Function.ATTN_LSE_NORM:
            return [Sums(rows, False, True)]
        return []

    def certain(self) -> dict[Part, int]:
        """How many matrix instructions have each part behind them when it releases its semaphore.

        An ATTN_SCORE reads K beside the ATTN_VALUE before it, whose rows of V come later; of the ATTN_VALUEs before
        that one all rows are read. Sums reach the accumulators long after the release.
        """
        assert self._now is not None
        last, before, earlier = self._values
        match Function(self._now.function):
            case Function.LOAD_STATIONARY | Function.ATTN_SCORE:
                return {Part.SCORE_READS: self._count, Part.VALUE_READS: before}
            case Function.ATTN_VALUE:
                return {Part.SCORE_READS: self._count, Part.VALUE_READS: self._count, Part.SUMS: earlier}
            case Function.ATTN_LSE_NORM:
                return {Part.SCORE_READS: last, Part.VALUE_READS: self._count, Part.SUMS: self._count,
                        Part.NORMS: self._count}
        return {}

    def normalised(self) -> int:
        """How many matrix instructions the accumulators are through with when it starts.

        An ATTN_VALUE that begins a query tile waits for those before the ATTN_VALUE before it.
        """
        return self._normalised if self._now is not None and self._now.function == Function.ATTN_VALUE else self._count

    def released(self, instruction: Matrix) -> Part:
        """The part behind which an instruction like this one has released its semaphore."""
        match Function(instruction.function):
            case Function.ATTN_VALUE:
                return Part.VALUE_READS
            case Function.LOAD_STATIONARY | Function.ATTN_SCORE:
                return Part.SCORE_READS
        return Part.NORMS


def skew_fault(instruction: Matrix) -> Hazard | None:
    """Why the scratchpad flags are not those of the array, whose skew is fixed; None when they are."""
    function = Function(instruction.function)
    given = instruction.reverse_in, instruction.delay, instruction.reverse_out
    right = SKEW.get(function, given)
    if given == right:
        return None
    needed = f"reverse_in {right[0]}, delay {right[1]} and reverse_out {right[2]}"
    return Hazard(f"{function.name} with reverse_in {given[0]}, delay {given[1]} and reverse_out {given[2]}: must have "
                  f"{needed}", Remedy.SKEW.fill(flags=needed, method=function.name.lower()))

"""What the published dataflow asks of a program beyond the decoder's checks."""

from __future__ import annotations

from collections.abc import Iterator

from myhdl_fsa.config import Config
from myhdl_fsa.isa import Function, Matrix
from myhdl_fsa.kernel.hazard import Hazard, Part, Sums
from myhdl_fsa.kernel.legality import accumulator_rows
from myhdl_fsa.kernel.remedies import Remedy

__all__ = ["ORDER", "ORDER_CHECK", "Rules", "SKEW", "announces", "overlap_hazard", "skew_fault"]

ORDER = None
ORDER_CHECK = None
"""no order of instructions would never end"""


SKEW = {Function.LOAD_STATIONARY: (0, 0, 0), Function.ATTN_SCORE: (1, 1, 1), Function.ATTN_VALUE: (1, 1, 0)}
"""reverse_in, delay and reverse_out as ``Context`` sets them: scores rise, the others' sums fall"""


def announces(instruction: Matrix) -> bool:
    """Whether the instruction starts together with the one behind it: never."""
    return False


class Rules:
    """Follows the matrix instructions of a program."""

    NORM_RELEASES_EARLY = False

    def __init__(self, config: Config) -> None:
        self._config = config
        self._history: tuple[Matrix | None, Matrix | None] = None, None
        self._at_work: Matrix | None = None
        """the one before, where it may still be at work"""
        self._count = 0
        self._idle = False

    def idle(self) -> None:
        """A fence has waited for the array."""
        self._idle = True

    def follow(self, instruction: Matrix) -> None:
        """The instruction comes now; what the others below say is about it."""
        before = self._history[1]
        self._history = before, instruction
        self._at_work = None if self._idle else before
        self._idle = False
        self._count += 1

    def hazards(self) -> Iterator[Hazard]:
        """Why it has no defined result."""
        _, now = self._history
        assert now is not None
        for hazard in (skew_fault(now), overlap_hazard(self._at_work, now)):
            if hazard is not None:
                yield hazard

    def sums(self) -> list[Sums]:
        """What it goes through in the accumulator RAM."""
        _, now = self._history
        assert now is not None
        rows = accumulator_rows(now, self._config)
        return [Sums(rows, bool(now.zero), now.function != Function.ACC_RECIPROCAL)]

    def certain(self) -> dict[Part, int]:
        """How many matrix instructions have each part behind them when it releases its semaphore."""
        before, now = self._history
        over = self._count
        if not _over_at_release(now):
            # the accumulators are still at work for it, and for the one before if that may overlap
            alone = now is not None and (now.wait_idle or _over_at_release(before))
            over -= 1 if alone else 2
        return {Part.SCORE_READS: self._count, Part.VALUE_READS: self._count, Part.SUMS: over, Part.NORMS: over}

    def normalised(self) -> int:
        """How many matrix instructions the accumulators are through with when it starts: all."""
        return self._count

    def released(self, instruction: Matrix) -> Part:
        """The part behind which any instruction has released its semaphore."""
        return Part.SCORE_READS


def _over_at_release(instruction: Matrix | None) -> bool:
    """Whether an instruction has done everything when it releases its semaphore, and nothing starts before."""
    return instruction is not None and instruction.function in (Function.ACC_RECIPROCAL, Function.ATTN_LSE_NORM)


def skew_fault(instruction: Matrix) -> Hazard | None:
    """Why the scratchpad flags do not bring the rows to the array in time for the function; None when they do.

    A row of LOAD_STATIONARY must reach all array rows together, one of ATTN_SCORE the last array row first and one of
    ATTN_VALUE the first array row first. Reversing before the delay only turns the elements round.
    """
    needed = {Function.LOAD_STATIONARY: "delay 0", Function.ATTN_SCORE: "delay 1 and reverse_out 1",
              Function.ATTN_VALUE: "delay 1 and reverse_out 0"}
    function = Function(instruction.function)
    match function, instruction.delay, instruction.reverse_out:
        case (
            (Function.LOAD_STATIONARY, 0, _) | (Function.ATTN_SCORE, 1, 1) | (Function.ATTN_VALUE, 1, 0)
            | (Function.ACC_RECIPROCAL | Function.ATTN_LSE_NORM, _, _)
        ):
            return None
    return Hazard(
        f"{function.name} with delay {instruction.delay} and reverse_out {instruction.reverse_out}: "
        f"must have {needed[function]}", Remedy.SKEW.fill(flags=needed[function], method=function.name.lower()),
    )


def overlap_hazard(previous: Matrix | None, instruction: Matrix) -> Hazard | None:
    """Why an instruction, started while the one before it still runs, would disturb it or read too early; or None.

    Of the published plans (docs/specification.md section 3): only ATTN_VALUE may follow an ATTN_SCORE at once, and the
    accumulators are still at work for the last of either when a RECIPROCAL or a NORM starts. A row is written in the
    cycle in which the next one is read.
    """
    name = Function(instruction.function).name
    accumulates = instruction.function in (Function.ATTN_VALUE, Function.ATTN_LSE_NORM)
    if accumulates and not instruction.accumulator_stride and not instruction.zero:
        return Hazard(f"{name} with accumulator stride 0: must not be 0, a row would be read before it is written",
                      Remedy.ACCUMULATOR_STRIDE.fill())
    if previous is None or instruction.wait_idle:
        return None
    before = Function(previous.function)
    if instruction.function == Function.ATTN_VALUE:
        same = instruction.accumulator_row == previous.accumulator_row and not instruction.zero
        if before is Function.ATTN_SCORE and same:
            return Hazard(f"{name} at once after an ATTN_SCORE on the same accumulator row: must have wait_idle",
                          Remedy.OVERLAP.fill())
    elif before is Function.ATTN_SCORE or (
        before is Function.ATTN_VALUE and instruction.function in (Function.ACC_RECIPROCAL, Function.ATTN_LSE_NORM)
    ):
        return Hazard(f"{name} at once after an {before.name}, which is still at work: must have wait_idle",
                      Remedy.OVERLAP.fill())
    return None

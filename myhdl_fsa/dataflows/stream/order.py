"""The order in which the stream dataflow's instructions must come: as a Python object, and as the decoder's check.

What the controller's rules would wait for in vain, or what would depend on its timing, is refused before it starts, so
that a wrong program ends in an error and not in a hang. Source: docs/stream.md (order).
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.times import Times, operand_rows
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.instruction import FUNCTION_WIDTH
from myhdl_fsa.isa import Function, Matrix
from myhdl_fsa.program import ErrorCode
from myhdl_fsa.signals import unsigned

__all__ = ["Order", "announces", "order_check"]


def announces(instruction: Matrix) -> bool:
    """Whether the instruction starts together with the ATTN_SCORE behind it."""
    return instruction.function == Function.ATTN_VALUE and bool(instruction.causal)


class Order:
    """Follows a program: whether its next matrix instruction, or a fence, may come after those before."""

    def __init__(self, config: Config) -> None:
        self._slots = Times.of(config).slots
        self._waiting: list[Matrix] = []
        self._queries = self._begun = self._summed = self._inverted = self._tail = False
        self.announced = False
        """the ATTN_VALUE before announced an ATTN_SCORE, which must come next: no fence either"""

    def fault(self, instruction: Matrix) -> str | None:
        """Why the instruction must not come now, in words; None where it may. Its function is a known one."""
        function = Function(instruction.function)
        if self.announced:
            if function is not Function.ATTN_SCORE or instruction.wait_idle:
                return (f"{function.name}{' with wait_idle' if instruction.wait_idle else ''} after an ATTN_VALUE that "
                        "announces an ATTN_SCORE (causal 1): must be that ATTN_SCORE, without wait_idle")
        match function:
            case Function.ATTN_SCORE if not self._queries:
                return "ATTN_SCORE before any LOAD_STATIONARY: must come after one"
            case Function.ATTN_SCORE if not (self._begun or instruction.zero):
                return "the first ATTN_SCORE goes on with a query tile (zero 0): must begin one"
            case Function.ATTN_SCORE if len(self._waiting) == self._slots:
                return (f"ATTN_SCORE with {len(self._waiting)} before it that wait for their ATTN_VALUE: "
                        f"must be at most {self._slots - 1}")
            case Function.ATTN_VALUE if not self._waiting:
                return "ATTN_VALUE without an ATTN_SCORE before it: must come after its own"
            case Function.ATTN_VALUE if self._tail and not self._waiting[0].zero:
                return ("ATTN_VALUE goes on with a query tile after an ACC_RECIPROCAL: "
                        "must begin one (zero in its ATTN_SCORE)")
            case Function.ACC_RECIPROCAL if not self._summed:
                return "ACC_RECIPROCAL without an ATTN_VALUE since the one before: must come after one"
            case Function.ATTN_LSE_NORM if not self._inverted:
                return "ATTN_LSE_NORM before any ACC_RECIPROCAL: must come after one"
        return None

    def take(self, instruction: Matrix) -> Matrix | None:
        """The instruction, which may come, has come; for an ATTN_VALUE its ATTN_SCORE."""
        match Function(instruction.function):
            case Function.LOAD_STATIONARY:
                self._queries = True
            case Function.ATTN_SCORE:
                self._waiting.append(instruction)
                self._begun, self.announced = True, False
            case Function.ATTN_VALUE:
                self._summed, self._tail, self.announced = True, False, announces(instruction)
                return self._waiting.pop(0)
            case Function.ACC_RECIPROCAL:
                self._summed, self._tail, self._inverted = False, True, True
        return None


@block
def order_check(
    clock: Any, reset: Any, bits: Any, valid: Any, taken: Any, bad: Any, code: Any, announced: Any, config: Config
) -> Any:
    """``Order`` in the decoder; and whether an operand lies in the part of the scratchpad that the function reads.

    Ports
        bits, valid  in   96 and 1  the matrix instruction that is held, if there is one
        taken        in   1         it goes on in this cycle
        bad, code    out  1 and 4   it must not come now, and why (``ErrorCode``); combinational
        announced    out  1         nothing but an ATTN_SCORE may come behind it; combinational
    """
    layout = Matrix.LAYOUT
    function_low, function_mask = layout["function"].low, (1 << FUNCTION_WIDTH) - 1
    wait_low, zero_low, announce_low = layout["wait_idle"].low, layout["zero"].low, layout["causal"].low
    load, score, value = (int(f) for f in (Function.LOAD_STATIONARY, Function.ATTN_SCORE, Function.ATTN_VALUE))
    reciprocal, norm = int(Function.ACC_RECIPROCAL), int(Function.ATTN_LSE_NORM)
    row_low, row_mask = layout["scratchpad_row"].low, (1 << layout["scratchpad_row"].width) - 1
    stride_low, stride_bits = layout["scratchpad_stride"].low, layout["scratchpad_stride"].width
    stride_mask, stride_sign = (1 << stride_bits) - 1, 1 << (stride_bits - 1)
    size_mask = stride_sign - 1
    query_rows, steps = operand_rows(config)[Function.LOAD_STATIONARY].stop, config.rows - 1
    # the last row is row + stride * steps: by stride, the first rows that bring it across the border between Q and K
    # and V, up from below it, and from -``stride_sign`` up the least that do not bring it down from above
    too_high = tuple(max(0, query_rows - step * steps) for step in range(stride_sign))
    high_enough = tuple(query_rows + (stride_sign - step) * steps for step in range(stride_sign))
    outside, misplaced = int(ErrorCode.SCRATCHPAD_ROW), int(ErrorCode.ORDER)
    slots = Times.of(config).slots
    queries, begun, summed, inverted, tail, promised = (unsigned(1) for _ in range(6))
    waiting = unsigned(max(2, slots.bit_length()))
    firsts = unsigned(max(2, slots))
    """of each ATTN_SCORE that waits, the oldest in bit 0: whether it begins a query tile"""

    @always_comb
    def judge() -> None:
        word = int(bits)
        what = (word >> function_low) & function_mask
        why = 0
        if promised:
            if what != score or ((word >> wait_low) & 1) != 0:
                why = misplaced
        if what == score:
            if not queries or waiting == slots or (not begun and ((word >> zero_low) & 1) == 0):
                why = misplaced
        if what == value:
            if waiting == 0 or (tail and not firsts[0]):
                why = misplaced
        if what == reciprocal:
            if not summed:
                why = misplaced
        if what == norm:
            if not inverted:
                why = misplaced
        row = (word >> row_low) & row_mask
        stride = (word >> stride_low) & stride_mask
        limit = query_rows
        least = query_rows
        if stride >= stride_sign:
            least = high_enough[stride & size_mask]
        else:
            limit = too_high[stride & size_mask]
        if what == load:
            if row >= limit:
                why = outside
        elif what == score or what == value:
            if row < least:
                why = outside
        bad.next = bool(valid) and why != 0
        code.next = why

    @always_comb
    def announce() -> None:
        word = int(bits)
        what = (word >> function_low) & function_mask
        announced.next = bool(promised)
        if valid:
            announced.next = what == value and ((word >> announce_low) & 1) != 0

    @always(clock.posedge)
    def follow() -> None:
        word = int(bits)
        what = (word >> function_low) & function_mask
        count = int(waiting)
        marks = int(firsts)
        if reset:
            queries.next = 0
            begun.next = 0
            summed.next = 0
            inverted.next = 0
            tail.next = 0
            promised.next = 0
            waiting.next = 0
            firsts.next = 0
        elif taken:
            promised.next = what == value and ((word >> announce_low) & 1) != 0
            if what == load:
                queries.next = 1
            if what == score:
                begun.next = 1
                firsts.next = marks | (((word >> zero_low) & 1) << count)
                waiting.next = count + 1
            if what == value:
                summed.next = 1
                tail.next = 0
                firsts.next = marks >> 1
                waiting.next = count - 1
            if what == reciprocal:
                summed.next = 0
                tail.next = 1
                inverted.next = 1

    return judge, announce, follow

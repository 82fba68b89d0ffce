"""The skew at the array's edges: delays that turn a row of words into a diagonal wave, and back.

A delay line is a list of whole rows; lane i is taken from stage i-1. The lanes of a stage that nothing reads (below
the diagonal) cost nothing in hardware: synthesis removes them.
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["input_skew", "output_skew"]


@block
def input_skew(
    clock: Any, row: Any, constant: Any, use_constant: Any, reverse_in: Any, delay: Any, reverse_out: Any, out: Any,
    count: int, width: int,
) -> Any:
    """Lane i waits i cycles when ``delay`` is 1; optionally reversed before and after.

    Ports
        row           in   count x width, lane 0 in the low bits
        constant, use_constant
                      in   width and 1: in place of ``row``, the constant in every lane
        reverse_in    in   1   lane i takes lane count-1-i of the row
        delay         in   1
        reverse_out   in   1   lane i leaves as lane count-1-i
        out           out  count x width

    Latency i cycles in lane i (0 without ``delay``). Source: docs/specification.md section 3 (input delayer).
    """
    total = count * width
    mask, last = (1 << width) - 1, count - 1
    entered = unsigned(total)
    stages = [unsigned(total) for _ in range(count - 1)]

    @always_comb
    def enter() -> None:
        word = 0
        if use_constant:
            for i in range(count):
                word = word | (int(constant) << (i * width))
        elif reverse_in:
            for i in range(count):
                word = word | (((row >> (i * width)) & mask) << ((last - i) * width))
        else:
            word = int(row)
        entered.next = word

    @always(clock.posedge)
    def shift() -> None:
        stages[0].next = entered
        for i in range(1, last):
            stages[i].next = stages[i - 1]

    @always_comb
    def leave() -> None:
        word = int(entered)
        reversed_word = 0
        if delay:
            word = word & mask
            for i in range(1, count):
                word = word | (int(stages[i - 1]) & (mask << (i * width)))
        if reverse_out:
            for i in range(count):
                reversed_word = reversed_word | (((word >> (i * width)) & mask) << ((last - i) * width))
            word = reversed_word
        out.next = word

    return enter, shift, leave


@block
def output_skew(clock: Any, row: Any, out: Any, count: int, width: int) -> Any:
    """Lane i waits count-1-i cycles, so that the columns of one diagonal leave together.

    Ports
        row  in   count x width, lane 0 in the low bits
        out  out  count x width; lane count-1 passes in the same cycle

    Source: docs/specification.md section 3 (output delayer).
    """
    total = count * width
    mask, last = (1 << width) - 1, count - 1
    stages = [unsigned(total) for _ in range(count - 1)]

    @always(clock.posedge)
    def shift() -> None:
        stages[0].next = row
        for i in range(1, last):
            stages[i].next = stages[i - 1]

    @always_comb
    def leave() -> None:
        word = int(row) & (mask << (last * width))
        for i in range(1, count):
            word = word | (int(stages[i - 1]) & (mask << ((last - i) * width)))
        out.next = word

    return shift, leave

"""The skew at the array's edges: delays that turn a row of words into a diagonal wave, and back."""

from __future__ import annotations

from typing import Any

from myhdl import always, always_comb, block, intbv

from myhdl_fsa.signals import unsigned


@block
def input_skew(
    clock: Any, row: Any, constant: Any, use_constant: Any, reverse_in: Any, delay: Any, reverse_out: Any, out: Any,
    count: int, width: int,
) -> Any:
    """Lane i waits i cycles when ``delay`` is 1; optionally reversed before and after. Latency 0 and up.

    Ports
        row           in   count x width, lane 0 in the low bits
        constant, use_constant
                      in   width and 1: in place of ``row``, the constant in every lane
        reverse_in    in   1   lane i takes lane count-1-i of the row
        delay         in   1
        reverse_out   in   1   lane i leaves as lane count-1-i
        out           out  count x width

    Source: spec section 3 (input delayer).
    """
    lanes = [unsigned(width) for _ in range(count)]
    # lane i's registers are line[i*(i-1)/2] ... , the newest word first
    line = [unsigned(width) for _ in range(max(1, count * (count - 1) // 2))]
    mask = (1 << width) - 1

    @always_comb
    def enter() -> None:
        for i in range(count):
            if use_constant:
                lanes[i].next = constant
            elif reverse_in:
                lanes[i].next = (row >> ((count - 1 - i) * width)) & mask
            else:
                lanes[i].next = (row >> (i * width)) & mask

    @always(clock.posedge)
    def shift() -> None:
        for i in range(1, count):
            line[(i * (i - 1)) >> 1].next = lanes[i]
            for j in range(1, i):
                line[((i * (i - 1)) >> 1) + j].next = line[((i * (i - 1)) >> 1) + j - 1]

    @always_comb
    def leave() -> None:
        word = intbv(0)[count * width:]
        lane = intbv(0)[width:]
        for i in range(count):
            lane[:] = lanes[i]
            if delay and i > 0:
                lane[:] = line[((i * (i - 1)) >> 1) + i - 1]
            if reverse_out:
                word[:] = word | (lane << ((count - 1 - i) * width))
            else:
                word[:] = word | (lane << (i * width))
        out.next = word

    return enter, shift, leave


@block
def output_skew(clock: Any, row: Any, out: Any, count: int, width: int) -> Any:
    """Lane i waits count-1-i cycles, so that the columns of one diagonal leave together.

    Ports
        row  in   count x width, lane 0 in the low bits
        out  out  count x width; lane count-1 passes in the same cycle

    Source: spec section 3 (output delayer).
    """
    # lane i's registers are the last count-1-i of the line up to its end, the newest word first
    line = [unsigned(width) for _ in range(max(1, count * (count - 1) // 2))]
    mask = (1 << width) - 1

    @always(clock.posedge)
    def shift() -> None:
        for d in range(1, count):
            line[(d * (d - 1)) >> 1].next = (row >> ((count - 1 - d) * width)) & mask
            for j in range(1, d):
                line[((d * (d - 1)) >> 1) + j].next = line[((d * (d - 1)) >> 1) + j - 1]

    @always_comb
    def leave() -> None:
        word = intbv(0)[count * width:]
        word[:] = (row >> ((count - 1) * width)) << ((count - 1) * width)
        for d in range(1, count):
            word[:] = word | (line[((d * (d - 1)) >> 1) + d - 1] << ((count - 1 - d) * width))
        out.next = word

    return shift, leave

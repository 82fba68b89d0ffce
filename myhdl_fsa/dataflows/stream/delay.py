"""Delays of the stream dataflow."""

from __future__ import annotations

from typing import Any

from myhdl import concat

from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["delay_line", "diagonal"]


@block
def delay_line(clock: Any, reset: Any, word: Any, delayed: Any, cycles: int) -> Any:
    """``word`` so many cycles later, at least one; zero for as long after a reset.

    Ports
        word     in
        delayed  out  as wide
    """
    width = len(word)
    total = cycles * width
    # one register, the newest word in its low bits: a list of hundreds is more than Verilator unrolls
    line = unsigned(total)
    older = total - width

    @always(clock.posedge)
    def shift() -> None:
        if reset:
            line.next = 0
        else:
            line.next = concat(line[older:], word)

    @always(clock.posedge)
    def take() -> None:
        if reset:
            line.next = 0
        else:
            line.next = word

    @always_comb
    def leave() -> None:
        delayed.next = line[total:older]

    return shift if cycles > 1 else take, leave


@block
def diagonal(clock: Any, row: Any, out: Any, count: int, width: int, step: int = 1) -> Any:
    """Lane i waits ``step`` * i cycles, so that a row of words enters as a diagonal wave.

    Ports
        row  in   count x width, lane 0 in the low bits
        out  out  count x width; lane 0 passes in the same cycle
    """
    total, mask = count * width, (1 << width) - 1
    stages = [unsigned(total) for _ in range(step * (count - 1))]
    last = step * (count - 1)

    @always(clock.posedge)
    def shift() -> None:
        stages[0].next = row
        for i in range(1, last):
            stages[i].next = stages[i - 1]

    @always_comb
    def leave() -> None:
        word = int(row) & mask
        for i in range(1, count):
            word = word | (int(stages[step * i - 1]) & (mask << (i * width)))
        out.next = word

    return shift, leave

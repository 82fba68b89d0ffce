"""A queue with valid/ready on both sides."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["Stream", "fifo"]


class Stream:
    """Words on a valid/ready port: one moves in a cycle in which both are 1."""

    def __init__(self, width: int) -> None:
        self.valid = unsigned(1)
        self.ready = unsigned(1)
        self.data = unsigned(width)


@block
def fifo(clock: Any, reset: Any, enter: Stream, leave: Stream, empty: Any, depth: int) -> Any:
    """``depth`` words, first in first out; with three or more, one may enter and one leave in every cycle.

    Ports
        enter  in   Stream
        leave  out  Stream; from registers
        empty  out  1: nothing inside

    Latency 2 cycles from an empty queue's input to its output. Source: docs/specification.md section 4 (queue sizes).
    """
    words = [unsigned(len(enter.data)) for _ in range(depth)]
    first, last = unsigned(address_width(depth)), unsigned(address_width(depth))
    # words inside, the one on the output included
    count = unsigned(max(2, depth.bit_length()))
    last_place = depth - 1

    @always(clock.posedge)
    def move() -> None:
        held = int(count)
        stored = int(count)
        if leave.valid:
            stored = stored - 1
        if reset:
            first.next = 0
            last.next = 0
            count.next = 0
            leave.valid.next = 0
        else:
            if leave.ready or not leave.valid:
                if leave.valid:
                    held = held - 1
                if stored != 0:
                    leave.valid.next = 1
                    if first == last_place:
                        first.next = 0
                    else:
                        first.next = first + 1
                else:
                    leave.valid.next = 0
            if enter.valid and enter.ready:
                held = held + 1
                if last == last_place:
                    last.next = 0
                else:
                    last.next = last + 1
            count.next = held

    # Apart from the counting, so that the words are a memory and no registers. A full queue takes no word, and between
    # an empty and a full one first and last differ: no row is ever read while it is written, whatever a RAM gives then.
    @always(clock.posedge)
    def store() -> None:
        if (leave.ready or not leave.valid) and (first != last or count == depth):
            leave.data.next = words[int(first)]
        if enter.valid and enter.ready:
            words[int(last)].next = enter.data

    @always_comb
    def room() -> None:
        enter.ready.next = count < depth
        empty.next = count == 0

    return move, store, room

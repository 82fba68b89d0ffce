"""Sharing among the memory ports: rows go to them in turn, and come back one a cycle.

A bit a port stands side by side in one word here, port 0 in bit 0.
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.dma.transfer import Row
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["collect", "hand_out", "port_bits"]


def port_bits(count: int) -> Any:
    """A signal of a bit a port, at least 2."""
    return unsigned(max(2, count))


@block
def hand_out(clock: Any, reset: Any, rows: Row, free: Any, chosen: Any, hold: Any, count: int) -> Any:
    """Each row goes to the next port; a port that has no room holds the others' back too.

    Ports
        rows    in   Row; ``ready`` is driven here, combinational
        free    in   a bit a port: it takes a row now
        chosen  out  a bit a port: the row is for it, and goes now
        hold    in   1   hand out nothing in this cycle

    Source: docs/specification.md section 4.
    """
    turn = unsigned(address_width(count))
    last_port = count - 1

    @always_comb
    def choose() -> None:
        room = ((int(free) >> int(turn)) & 1) != 0 and not hold
        rows.ready.next = room
        if rows.valid and room:
            chosen.next = 1 << int(turn)
        else:
            chosen.next = 0

    @always(clock.posedge)
    def advance() -> None:
        if reset:
            turn.next = 0
        elif chosen != 0:
            if turn == last_port:
                turn.next = 0
            else:
                turn.next = turn + 1

    return choose, advance


@block
def collect(clock: Any, reset: Any, waiting: Any, picked: Any, some: Any, which: Any, count: int) -> Any:
    """Picks one of the ports that wait, the one after the last first.

    Ports
        waiting      in   a bit a port
        picked       out  a bit a port: it is picked, combinational
        some, which  out  one is picked, and its number

    """
    last = unsigned(address_width(count))

    @always_comb
    def pick() -> None:
        best = 0
        found = False
        after = False
        for p in range(count):
            # the first after the last one picked wins over the first of all
            if ((int(waiting) >> p) & 1) != 0 and (not found or (not after and p > last)):
                best = p
                after = p > last
                found = True
        some.next = found
        which.next = best
        if found:
            picked.next = 1 << best
        else:
            picked.next = 0

    @always(clock.posedge)
    def remember() -> None:
        if reset:
            last.next = 0
        elif some:
            last.next = which

    return pick, remember

"""A synchronous RAM with one read and one write port; the scratchpad and the accumulator RAM are this block."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.elaboration import always, block
from myhdl_fsa.signals import unsigned

__all__ = ["ram"]


@block
def ram(
    clock: Any, read: Any, read_row: Any, read_data: Any, write: Any, write_row: Any, write_data: Any, rows: int
) -> Any:
    """``rows`` words, each as wide as ``write_data``; read latency 1 cycle.

    Ports
        read, read_row    in   1 and enough bits for a row number; the word is on read_data from the next cycle on,
                               and stays there until the next read
        write, write_row, write_data
                          in   the word is in the RAM from the next cycle on

    A read of the row being written gives the old word. No program to which the checker has no objection comes to that,
    but one with a race can, in every RAM of either dataflow (a load over rows that are being read, an ATTN_VALUE with
    accumulator stride 0), and it too gives the same bits in every engine. A block RAM that reads before it writes has
    that for nothing; where its two ports promise nothing (ECP5) synthesis adds a comparison and two registers a bit. A
    row number past the last is a fault of the program (checked where programs are decoded); in simulation it raises
    IndexError. Source: docs/specification.md section 3.
    """
    words = [unsigned(len(write_data)) for _ in range(rows)]

    @always(clock.posedge)
    def access() -> None:
        if read:
            read_data.next = words[int(read_row)]
        if write:
            words[int(write_row)].next = write_data

    return access

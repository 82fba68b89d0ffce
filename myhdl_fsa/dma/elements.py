"""Elements of a format whose width is no multiple of 8: whole bytes in memory, side by side in the RAMs."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.elaboration import always_comb, block

__all__ = ["resize"]


@block
def resize(source: Any, target: Any, count: int, before: int, after: int) -> Any:
    """Gives each of ``count`` elements ``after`` bits in place of ``before``: the low bits stay, zeros come above.

    Ports
        source  in   count x before, element 0 in the low bits
        target  out  count x after; combinational, wires alone

    Source: docs/specification.md section 4 (memories).
    """
    mask = (1 << min(before, after)) - 1

    @always_comb
    def move() -> None:
        word = 0
        for i in range(count):
            word = word | (((source >> (i * before)) & mask) << (i * after))
        target.next = word

    return move

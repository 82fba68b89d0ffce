"""The comparator: the running row maximum, and the source of all that enters a column from above."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.scalar import adder, narrower, sum_rounder
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import Comparator
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.signals import unsigned

__all__ = ["comparator"]


@block
def comparator(
    clock: Any, reset: Any, command: Any, hidden: Any, score: Any, command_out: Any, hidden_out: Any, down: Any,
    config: Config, probe: dict[str, Any] | None = None,
) -> Any:
    """One column's comparator; ``down`` and the outgoing command are registers (latency 1 cycle).

    Ports
        command      in   3 bits   ``control.Comparator``; moves on to ``command_out``
        hidden       in   log2(N)+1 bits: countdown; where it is not 0 the score is taken as -Inf, and the
                               next column sees one less on ``hidden_out``
        score        in   acc      what leaves the column's top PE upwards
        down         out  acc      what enters the column's top PE from above; an UPDATE's elem value in its low bits

    d = x - new max gives both the maximum (its sign bit) and the differences that are sent down. PROP_MAX
    leaves the maximum as it is. Source: docs/specification.md section 1 (MAX), section 3 (comparator commands).
    """
    elem, acc = config.elem, config.acc
    old_max = unsigned(acc.width, acc.minus_infinity)
    new_max = unsigned(acc.width, acc.minus_infinity)
    pieces = config.exp2_pieces
    next_piece = unsigned(max(2, (pieces - 1).bit_length()))
    intercepts = Exp2(elem, acc, pieces).streamed_intercepts

    add, round_sum = adder(acc), sum_rounder(acc)
    to_elem = narrower(acc, elem)

    minus_infinity, sign_mask, sign_bit = acc.minus_infinity, acc.sign_mask, acc.width - 1
    update, prop_max, prop_max_diff = Comparator.UPDATE, Comparator.PROP_MAX, Comparator.PROP_MAX_DIFF
    prop_intercepts, prop_zero, clear = Comparator.PROP_EXP2_INTERCEPTS, Comparator.PROP_ZERO, Comparator.RESET
    last_piece = pieces - 1

    @always(clock.posedge)
    def registers() -> None:
        op = int(command)
        count = int(hidden)
        if reset:
            command_out.next = 0
            hidden_out.next = 0
            next_piece.next = 0
            old_max.next = minus_infinity
            new_max.next = minus_infinity
        else:
            command_out.next = op
            if count != 0:
                hidden_out.next = count - 1
            else:
                hidden_out.next = 0
            if op == update or op == prop_max or op == prop_max_diff:
                x = 0
                if op == update:
                    x = int(score)
                    if count != 0:
                        x = minus_infinity
                if op == prop_max_diff:
                    x = int(old_max)
                raw = add(x, int(new_max) ^ sign_mask)
                difference = round_sum(raw)
                if op == update:
                    down.next = to_elem(x)
                    if (difference >> sign_bit) == 0:
                        new_max.next = x
                else:
                    down.next = difference
                    if op == prop_max_diff:
                        old_max.next = new_max
            elif op == prop_intercepts:
                down.next = intercepts[int(next_piece)]
                if next_piece == last_piece:
                    next_piece.next = 0
                else:
                    next_piece.next = next_piece + 1
            elif op == prop_zero:
                down.next = 0
            elif op == clear:
                old_max.next = minus_infinity
                new_max.next = minus_infinity

    if probe is not None:
        probe.setdefault("new_max", []).append(new_max)
    return registers

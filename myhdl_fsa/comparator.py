"""The comparator: the running row maximum, and the source of all that enters a column from above."""

from __future__ import annotations

from typing import Any

from myhdl import always, always_comb, block

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.mac import TAKE_ABOVE, TO_ACC, mac
from myhdl_fsa.arithmetic.narrow import narrow
from myhdl_fsa.config import Config
from myhdl_fsa.control import Comparator
from myhdl_fsa.signals import unsigned


def streamed_intercepts(config: Config) -> tuple[int, ...]:
    """The exp2 intercepts as they travel: the piece number in exponent bits [E-1:1], whose value is known."""
    acc = config.acc
    kept = (1 << (acc.mantissa_bits + 1)) - 1
    table = Exp2(config.elem, acc, config.exp2_pieces).intercepts
    return tuple((piece << (acc.mantissa_bits + 1)) | (bits & kept) for piece, bits in enumerate(table))


@block
def comparator(
    clock: Any, reset: Any, command: Any, hidden: Any, score: Any, command_out: Any, hidden_out: Any, down: Any,
    config: Config, probe: dict[str, Any] | None = None,
) -> Any:
    """One column's comparator; ``down`` and the outgoing command are registers (latency 1 cycle).

    Ports
        command      in   3 bits   ``control.Comparator``; moves on to ``command_out``
        hidden       in   log2(N)+1 bits: causal countdown; where it is not 0 the score is taken as -Inf, and the
                               next column sees one less on ``hidden_out``
        score        in   acc      what leaves the column's top PE upwards
        down         out  acc      what enters the column's top PE from above; an UPDATE's elem value in its low bits

    d = FMA(x, 1, -new max) gives both the maximum (its sign bit) and the differences that are sent down. PROP_MAX
    leaves the maximum as it is. Source: spec section 1 (MAX), section 3 (comparator commands).
    """
    elem, acc = config.elem, config.acc
    old_max = unsigned(acc.width, acc.minus_infinity)
    new_max = unsigned(acc.width, acc.minus_infinity)
    x = unsigned(acc.width)
    minus_max = unsigned(acc.width)
    operation = unsigned(4)
    difference = unsigned(acc.width)
    unused_elem = unsigned(elem.width)
    unused_hit = unsigned(1)
    score_elem = unsigned(elem.width)
    one = unsigned(acc.width, acc.one)
    intercepts = streamed_intercepts(config)
    pieces = config.exp2_pieces
    piece = unsigned(max(2, (pieces - 1).bit_length()))

    subtract = mac(
        x, one, minus_max, minus_max, operation, difference, unused_elem, unused_hit, mul=acc, add=acc, elem=elem
    )
    to_elem = narrow(x, score_elem, acc, elem)

    minus_infinity, sign_mask, sign_bit = acc.minus_infinity, acc.sign_mask, acc.width - 1
    update, prop_max, prop_max_diff = Comparator.UPDATE, Comparator.PROP_MAX, Comparator.PROP_MAX_DIFF
    prop_zero, prop_intercepts, clear = Comparator.PROP_ZERO, Comparator.PROP_EXP2_INTERCEPTS, Comparator.RESET
    to_acc = TO_ACC | TAKE_ABOVE
    last_piece = pieces - 1

    @always_comb
    def operands() -> None:
        minus_max.next = new_max ^ sign_mask
        operation.next = 0
        x.next = 0
        if command == update:
            operation.next = to_acc
            if hidden != 0:
                x.next = minus_infinity
            else:
                x.next = score
        elif command == prop_max:
            operation.next = to_acc
        elif command == prop_max_diff:
            operation.next = to_acc
            x.next = old_max

    @always(clock.posedge)
    def registers() -> None:
        if reset:
            command_out.next = 0
            hidden_out.next = 0
            piece.next = 0
            old_max.next = minus_infinity
            new_max.next = minus_infinity
        else:
            command_out.next = command
            if hidden != 0:
                hidden_out.next = hidden - 1
            else:
                hidden_out.next = 0
            if command == update:
                down.next = score_elem
                if difference[sign_bit] == 0:
                    new_max.next = x
            elif command == prop_max:
                down.next = difference
            elif command == prop_max_diff:
                down.next = difference
                old_max.next = new_max
            elif command == prop_zero:
                down.next = 0
            elif command == prop_intercepts:
                down.next = intercepts[int(piece)]
                if piece == last_piece:
                    piece.next = 0
                else:
                    piece.next = piece + 1
            elif command == clear:
                old_max.next = minus_infinity
                new_max.next = minus_infinity

    if probe is not None:
        probe.setdefault("new_max", []).append(new_max)
    return subtract, to_elem, operands, registers

"""The processing element of the stream dataflow, and a row of them."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.scalar import multiply_adder, piece_finder, rounder
from myhdl_fsa.arithmetic.steps import adder, multiplier, normaliser, product_width, sum_width
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import (
    LATCH_P,
    LATCH_Q,
    Operation,
    addend_at,
    pe_control_width,
    result_at,
)
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.signals import Lanes, unsigned

__all__ = ["pe", "pe_row"]


@block
def pe(
    clock: Any, reset: Any, control: Any, left: Any, above: Any, below: Any, control_out: Any, right: Any, down: Any,
    up: Any, config: Config, probe: dict[str, Any] | None = None,
) -> Any:
    """One PE; every output is a register.

    Ports
        control  in   5 bits: the operation where register and left operand are taken, and the two latches; 3 more with
                      ``mac_stages``, the operation where the addend is taken, and 3 more with two ``adder_stages``, the
                      operation where the result is written; moves on to ``control_out``
        left     in   elem   from the PE to the left, or the edge; moves on to ``right`` with a wave
        above    in   acc    from the PE above, or the column's top
        below    in   word   the return lane (``word_width``), from below; moves on to ``up`` every cycle
        down     out  acc    the result; ``above`` with a SUB where there is one adder stage, else unchanged

    Two registers: Q, and P, which holds S until it has become P. Both are taken off the lane; a wave that reads a
    register in that cycle sees the old value. Exponential pieces come from a table in the PE. The addend is taken
    ``mac_stages`` cycles after the operands, the result is there ``adder_stages`` cycles later. Reset clears control
    only. Source: docs/stream.md.
    """
    elem, acc = config.elem, config.acc
    query, weight = unsigned(elem.width), unsigned(elem.width)

    multiply_add = multiply_adder(elem, acc, config.exp2_pieces, streamed=False)
    round_acc, round_elem = rounder(elem, acc, acc), rounder(elem, acc, elem)
    find_piece = piece_finder(elem, config.exp2_pieces)
    table = Exp2(elem, acc, config.exp2_pieces)
    slopes, intercepts = table.slopes, table.intercepts

    operation_mask = (1 << Operation.WIDTH) - 1
    qk, sub, scale, exp, pv = Operation.QK, Operation.SUB, Operation.SCALE, Operation.EXP, Operation.PV
    latch_p, latch_q = LATCH_P, LATCH_Q
    latches = LATCH_P | LATCH_Q

    if probe is not None:
        probe.setdefault("pe_weight", []).append(weight)
        probe.setdefault("pe_query", []).append(query)
        probe.setdefault("pe_control", []).append(control)

    # an array has thousands of PEs: each elaborates one of the two only
    if config.mac_stages == 0 and config.adder_stages == 1:
        @always(clock.posedge)
        def registers() -> None:
            bits = int(control)
            control_out.next = bits
            if reset:
                control_out.next = 0
            up.next = below
            if bits != 0:
                op = bits & operation_mask
                if op != 0:
                    right.next = left
                    factor = int(weight)
                    other = int(left)
                    addend = int(above)
                    exp2 = 0
                    if op == qk:
                        factor = int(query)
                    if op == scale:
                        addend = 0
                    if op == exp:
                        exp2 = 1
                        piece = find_piece(factor)
                        other = slopes[piece]
                        addend = intercepts[piece]
                    raw = multiply_add(factor, other, addend, exp2)
                    if op == qk or op == pv:
                        down.next = round_acc(raw)
                    else:
                        weight.next = round_elem(raw)
                        if op == sub:
                            down.next = above
                if (bits & latches) != 0:
                    if (bits & latch_p) != 0:
                        weight.next = below
                    if (bits & latch_q) != 0:
                        query.next = below

        return registers

    # the same in steps, with registers between them
    multiply, add_product = multiplier(elem, acc, config.exp2_pieces), adder(elem, acc, config.exp2_pieces)
    normalise = normaliser(elem, acc)
    pass_on, minus_zero = Operation.PASS, elem.sign_mask
    before, twice_before, after = int(config.mac_stages > 0), int(config.mac_stages > 1), int(config.adder_stages > 1)
    once_before, undivided = before - twice_before, 1 - after
    to_addend, to_result = addend_at(config), result_at(config)
    # operands that two stages multiply, of what operation
    factor, other, raised, taken = unsigned(elem.width), unsigned(elem.width), unsigned(1), unsigned(1)
    held_product, held_total = unsigned(product_width(elem, acc, config.exp2_pieces)), unsigned(sum_width(elem, acc))
    factor_piece, product_piece = (unsigned(max(2, (config.exp2_pieces - 1).bit_length())) for _ in range(2))

    @always(clock.posedge)
    def pipelined_registers() -> None:
        bits = int(control)
        control_out.next = bits
        up.next = below
        if twice_before:
            taken.next = 0
            if taken:
                exp2 = 0
                if raised:
                    exp2 = 1
                held_product.next = multiply(int(factor), int(other), exp2)
                product_piece.next = factor_piece
        if bits != 0:
            word = 0
            piece = 0
            raw = 0
            op = bits & operation_mask
            if op != 0:
                right.next = left
                x = int(weight)
                y = int(left)
                exp2 = 0
                if op == qk:
                    x = int(query)
                if op == pass_on:
                    # -0 * 0: with +0 a -0 from above would not pass; Q may be the next tile's already, and NaN
                    x = 0
                    y = minus_zero
                if op == exp:
                    exp2 = 1
                    piece = find_piece(x)
                    y = slopes[piece]
                if twice_before:
                    taken.next = 1
                    factor.next = x
                    other.next = y
                    raised.next = exp2
                    factor_piece.next = piece
                else:
                    word = multiply(x, y, exp2)
                    if once_before:
                        held_product.next = word
                        product_piece.next = piece
            op = (bits >> to_addend) & operation_mask
            if op != 0:
                addend = int(above)
                if before:
                    word = int(held_product)
                    piece = int(product_piece)
                if op == scale:
                    addend = 0
                if op == exp:
                    addend = intercepts[piece]
                word = add_product(word, addend)
                if after:
                    held_total.next = word
                else:
                    raw = normalise(word)
            op = (bits >> to_result) & operation_mask
            if op != 0:
                if after:
                    raw = normalise(int(held_total))
                if op == qk or op == pv or op == pass_on:
                    down.next = round_acc(raw)
                else:
                    weight.next = round_elem(raw)
                    if undivided:
                        if op == sub:
                            down.next = above
            if (bits & latches) != 0:
                if (bits & latch_p) != 0:
                    weight.next = below
                if (bits & latch_q) != 0:
                    query.next = below
        if reset:
            control_out.next = 0
            if twice_before:
                taken.next = 0

    return pipelined_registers


@block
def pe_row(
    clock: Any, reset: Any, control: Any, control_out: Any, left: Any, above: Lanes, below: Lanes, down: Lanes,
    up: Lanes, config: Config, probe: dict[str, Any] | None = None,
) -> Any:
    """One row of PEs and the row's stage of the control chain.

    Ports
        control, control_out  in, out   as in ``pe``; moves one row down in ``adder_stages`` cycles, and in the row one
                                        column right each cycle
        left                  in        elem: what enters the row from the left
        above, down           in, out   cols x acc, from and to the rows above and below
        below, up             in, out   cols x word, the return lane
    """
    cols = config.cols
    controls = [control] + [unsigned(pe_control_width(config)) for _ in range(cols)]
    lefts = [left] + [unsigned(config.elem.width) for _ in range(cols)]

    waits, held = int(config.adder_stages > 1), unsigned(pe_control_width(config))

    @always(clock.posedge)
    def chain() -> None:
        if waits:
            held.next = control
            control_out.next = held
        else:
            control_out.next = control
        if reset:
            if waits:
                held.next = 0
            control_out.next = 0

    pes = [
        pe(clock, reset, controls[c], lefts[c], above[c], below[c], controls[c + 1], lefts[c + 1], down[c], up[c],
           config, probe)
        for c in range(cols)
    ]
    return chain, pes

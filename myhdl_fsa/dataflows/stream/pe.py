"""The processing element of the stream dataflow, and a row of them."""

from __future__ import annotations

from typing import Any

from myhdl import always, block

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.scalar import multiply_adder, piece_finder, rounder
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import LATCH_P, LATCH_Q, OPERAND_WIDTH, Operation, pe_control_width
from myhdl_fsa.signals import Lanes, unsigned

__all__ = ["pe", "pe_row"]


@block
def pe(
    clock: Any, reset: Any, control: Any, left: Any, above: Any, below: Any, control_out: Any, right: Any, down: Any,
    up: Any, config: Config, mac_stages: int = 0, probe: dict[str, Any] | None = None,
) -> Any:
    """One PE; every output is a register.

    Ports
        control  in   5 bits, 8 with multiplier stages: the operation where register and left operand are taken, the
                      two latches, and the operation where the addend is taken; moves on to ``control_out``
        left     in   elem   from the PE to the left, or the edge; moves on to ``right`` with a wave
        above    in   acc    from the PE above, or the column's top
        below    in   elem   the return lane, from below; moves on to ``up`` every cycle
        down     out  acc    the result, or ``above`` with a SUB

    Two registers: Q, and P, which holds S until it has become P. Both are taken off the lane; a wave that reads a
    register in that cycle sees the old value. Exponential pieces come from a table in the PE. Reset clears control
    only. Source: docs/stream.md.
    """
    elem, acc = config.elem, config.acc
    query, weight = unsigned(elem.width), unsigned(elem.width)

    multiply_add = multiply_adder(elem, acc, config.exp2_pieces)
    round_acc, round_elem = rounder(elem, acc, acc), rounder(elem, acc, elem)
    find_piece = piece_finder(elem, config.exp2_pieces)
    table = Exp2(elem, acc, config.exp2_pieces)
    slopes, intercepts = table.slopes, table.streamed_intercepts

    operation_mask = (1 << Operation.WIDTH) - 1
    qk, sub, scale, exp, pv = Operation.QK, Operation.SUB, Operation.SCALE, Operation.EXP, Operation.PV
    latch_p, latch_q = LATCH_P, LATCH_Q
    latches, addend_at = LATCH_P | LATCH_Q, OPERAND_WIDTH

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

    # the operands on their way to the addend
    factors, others = ([unsigned(elem.width) for _ in range(max(1, mac_stages))] for _ in range(2))
    last_stage = max(1, mac_stages) - 1

    @always(clock.posedge)
    def pipelined_registers() -> None:
        bits = int(control)
        control_out.next = bits
        if reset:
            control_out.next = 0
        up.next = below
        for stage in range(last_stage):
            factors[stage + 1].next = factors[stage]
            others[stage + 1].next = others[stage]
        if bits != 0:
            op = bits & operation_mask
            if op != 0:
                right.next = left
                others[0].next = left
                factors[0].next = weight
                if op == qk:
                    factors[0].next = query
                if op == exp:
                    piece = find_piece(int(weight))
                    others[0].next = slopes[piece]
            op = (bits >> addend_at) & operation_mask
            if op != 0:
                factor = int(factors[last_stage])
                addend = int(above)
                exp2 = 0
                if op == scale:
                    addend = 0
                if op == exp:
                    exp2 = 1
                    piece = find_piece(factor)
                    addend = intercepts[piece]
                raw = multiply_add(factor, int(others[last_stage]), addend, exp2)
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

    if probe is not None:
        probe.setdefault("pe_weight", []).append(weight)
        probe.setdefault("pe_query", []).append(query)
        probe.setdefault("pe_control", []).append(control)
    return pipelined_registers if mac_stages else registers


@block
def pe_row(
    clock: Any, reset: Any, control: Any, control_out: Any, left: Any, above: Lanes, below: Lanes, down: Lanes,
    up: Lanes, config: Config, mac_stages: int = 0, probe: dict[str, Any] | None = None,
) -> Any:
    """One row of PEs and the row's stage of the control chain.

    Ports
        control, control_out  in, out   as in ``pe``; moves one row down each cycle, and in the row one column right
        left                  in        elem: what enters the row from the left
        above, down           in, out   cols x acc, from and to the rows above and below
        below, up             in, out   cols x elem, the return lane
    """
    cols = config.cols
    controls = [control] + [unsigned(pe_control_width(mac_stages)) for _ in range(cols)]
    lefts = [left] + [unsigned(config.elem.width) for _ in range(cols)]

    @always(clock.posedge)
    def chain() -> None:
        if reset:
            control_out.next = 0
        else:
            control_out.next = control

    pes = [
        pe(clock, reset, controls[c], lefts[c], above[c], below[c], controls[c + 1], lefts[c + 1], down[c], up[c],
           config, mac_stages, probe)
        for c in range(cols)
    ]
    return chain, pes

"""A plain weight-stationary array, to say what attention costs: the published one with everything else taken out.

Weights shift in from the left and stay; activations move right, partial sums down; the edges skew; a column ends in an
adder and a register. Formats, arithmetic, delays and conversion are those of the machine.
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.scalar import multiply_adder, rounder
from myhdl_fsa.config import Config
from myhdl_fsa.convert.distinct import distinct_blocks
from myhdl_fsa.convert.hierarchy import Design
from myhdl_fsa.dataflows.stream.delay import diagonal
from myhdl_fsa.elaboration import always, always_comb, block, shared_analysis
from myhdl_fsa.signals import Lanes, constant, unsigned
from myhdl_fsa.skew import output_skew

__all__ = ["LOAD", "RUN", "convert", "plain_accumulator", "plain_array", "plain_pe", "plain_row"]

LOAD, RUN = 1, 2
"""bits of the control word"""
CONTROL_WIDTH = 2


@block
def plain_pe(
    clock: Any, reset: Any, control: Any, left: Any, above: Any, control_out: Any, right: Any, down: Any, config: Config
) -> Any:
    """A multiply-adder and its weight; every output is a register.

    Ports
        control      in   2 bits  LOAD, RUN; moves on to ``control_out``
        left, right  in, out  elem  activations under RUN; under LOAD the weights move one PE to the right
        above, down  in, out  acc   partial sums
    """
    elem, acc = config.elem, config.acc
    register = unsigned(elem.width)
    multiply_add, round_acc = multiply_adder(elem, acc), rounder(elem, acc, acc)
    load, run = LOAD, RUN

    @always(clock.posedge)
    def registers() -> None:
        bits = int(control)
        control_out.next = bits
        if reset:
            control_out.next = 0
        if (bits & load) != 0:
            right.next = register
            register.next = left
        elif (bits & run) != 0:
            right.next = left
            raw = multiply_add(int(register), int(left), int(above), 0)
            down.next = round_acc(raw)

    return registers


@block
def plain_row(
    clock: Any, reset: Any, control: Any, control_out: Any, left: Any, above: Lanes, down: Lanes, config: Config
) -> Any:
    """A row of PEs, and the row's stage of the control on its way down.

    Ports
        control, control_out  in, out  2 bits      for this row now, and for the next row a cycle later
        left                  in       elem
        above, down           in, out  cols x acc
    """
    cols = config.cols
    controls = [control] + [unsigned(CONTROL_WIDTH) for _ in range(cols)]
    lefts = [left] + [unsigned(config.elem.width) for _ in range(cols)]

    @always(clock.posedge)
    def chain() -> None:
        if reset:
            control_out.next = 0
        else:
            control_out.next = control

    pes = [
        plain_pe(clock, reset, controls[c], lefts[c], above[c], controls[c + 1], lefts[c + 1], down[c], config)
        for c in range(cols)
    ]
    return chain, pes


@block
def plain_accumulator(clock: Any, accumulate: Any, first: Any, from_array: Any, result: Any, config: Config) -> Any:
    """A column's sum.

    Ports
        accumulate, first  in   1    the sum takes ``from_array`` up, or starts with it
        from_array         in   acc
        result             out  acc  a register
    """
    acc = config.acc
    one = acc.one
    multiply_add, round_acc = multiply_adder(acc, acc), rounder(acc, acc, acc)

    @always(clock.posedge)
    def add() -> None:
        if accumulate:
            addend = int(result)
            if first:
                addend = 0
            raw = multiply_add(int(from_array), one, addend, 0)
            result.next = round_acc(raw)

    return add


@block
def plain_array(
    clock: Any, reset: Any, control: Any, row: Any, accumulate: Any, first: Any, result: Any, config: Config
) -> Any:
    """The array with its skews and accumulators.

    Ports
        control  in   2 bits       LOAD, RUN, for PE (0, 0) now; for (r, c) it comes r + c cycles later
        row      in   rows x elem  a weight or activation for each row, row 0 in the low bits
        accumulate, first
                 in   1            for what ``row`` held 2 N - 1 cycles before
        result   out  cols x acc   column 0 in the low bits

    Weights enter last column first.
    """
    rows, cols, elem_width, acc_width = config.rows, config.cols, config.elem.width, config.acc.width
    elem_mask, acc_mask = (1 << elem_width) - 1, (1 << acc_width) - 1
    skewed = unsigned(rows * elem_width)
    bottom, from_array = (unsigned(cols * acc_width) for _ in range(2))
    controls = [control] + [unsigned(CONTROL_WIDTH) for _ in range(rows)]
    lefts = [unsigned(elem_width) for _ in range(rows)]
    sums = [Lanes(cols, acc_width, constant), *(Lanes(cols, acc_width) for _ in range(rows))]
    inflows, results = ([unsigned(acc_width) for _ in range(cols)] for _ in range(2))
    bottoms = list(sums[rows])

    pe_rows = [
        plain_row(clock, reset, controls[r], controls[r + 1], lefts[r], sums[r], sums[r + 1], config)
        for r in range(rows)
    ]
    skew_in = diagonal(clock, row, skewed, rows, elem_width)
    skew_out = output_skew(clock, bottom, from_array, cols, acc_width)
    accumulators = [
        plain_accumulator(clock, accumulate, first, inflows[c], results[c], config) for c in range(cols)
    ]

    @always_comb
    def enter() -> None:
        word = int(skewed)
        for r in range(rows):
            lefts[r].next = (word >> (r * elem_width)) & elem_mask

    @always_comb
    def leave_rows() -> None:
        word = 0
        for c in range(cols):
            word = word | (int(bottoms[c]) << (c * acc_width))
        bottom.next = word

    @always_comb
    def enter_accumulators() -> None:
        word = int(from_array)
        for c in range(cols):
            inflows[c].next = (word >> (c * acc_width)) & acc_mask

    @always_comb
    def leave() -> None:
        word = 0
        for c in range(cols):
            word = word | (int(results[c]) << (c * acc_width))
        result.next = word

    return pe_rows, skew_in, skew_out, accumulators, enter, leave_rows, enter_accumulators, leave


def convert(config: Config) -> dict[str, str]:
    """The array as Verilog modules, by name."""
    with shared_analysis(), distinct_blocks():
        built = plain_array(
            unsigned(1), unsigned(1), unsigned(CONTROL_WIDTH), unsigned(config.rows * config.elem.width), unsigned(1),
            unsigned(1), unsigned(config.cols * config.acc.width), config,
        )
    return {name: module.text for name, module in Design(built, built, "plain_array").convert().items()}

"""What stands under a column in the stream dataflow: multiply-adder, rescaling factor, row sum, reciprocal."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.divider import divider
from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.newton import newton
from myhdl_fsa.arithmetic.scalar import multiply_adder, piece_finder, rounder
from myhdl_fsa.arithmetic.units import pipelined_multiply_adder
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import Accumulate
from myhdl_fsa.dataflows.stream.delay import delay_line
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["accumulator", "accumulator_unit"]


@block
def accumulator_unit(
    clock: Any, reset: Any, command: Any, divide: Any, from_array: Any, ram_word: Any, scale: Any, result: Any,
    config: Config, probe: dict[str, Any] | None = None,
) -> Any:
    """One column's accumulator.

    Ports
        command     in   3 bits   ``control.Accumulate``
        divide      in   1        start the reciprocal of the last row sums; nothing while one is under way
        from_array  in   acc      what leaves the array below this column, de-skewed
        ram_word    in   acc      this column's word of the row read the cycle before
        scale       in   acc      log2(e)/sqrt(d), or another factor of the scores
        result      out  acc      for the RAM to write back, in the cycle of the command or, with more stages of the
                                  multiply-adder than one, as many fewer one later; combinational

    The reciprocal unit runs beside the multiply-adder (``newton`` borrows it, and must have it for itself); its
    register holds the operand until the result replaces it, one cycle and the unit's latency after ``divide``.
    """
    acc = config.acc
    rescale, row_sum, reciprocal = (unsigned(acc.width) for _ in range(3))
    done, active = unsigned(1), unsigned(1)
    next_left, next_right, next_addend, inverse = (unsigned(acc.width) for _ in range(4))
    borrows = int(config.reciprocal == "newton")
    if borrows:
        invert = newton(clock, reset, active, reciprocal, result, next_left, next_right, next_addend, done, acc)
    else:
        invert = divider(clock, reset, active, reciprocal, inverse, done, acc)

    pieces = config.exp2_pieces
    multiply_add, round_acc = multiply_adder(acc, acc, pieces, streamed=False), rounder(acc, acc, acc)
    find_piece = piece_finder(acc, pieces)
    slopes, intercepts = Exp2(acc, acc, pieces).slopes, Exp2(acc, acc, pieces).intercepts
    latency = config.mac_stages + config.adder_stages
    exp_s1, exp_s2, norm = Accumulate.EXP_S1, Accumulate.EXP_S2, Accumulate.NORM
    acc_sum, acc_sa = Accumulate.ACC_SUM, Accumulate.ACC_SA

    @always_comb
    def compute() -> None:
        op = int(command)
        bits = 0
        borrowed = 0
        if borrows:
            if active:
                borrowed = 1
        if op != 0 or borrowed != 0:
            left = int(rescale)
            right = int(ram_word)
            addend = 0
            exp2 = 0
            if op == acc_sum or op == acc_sa:
                addend = int(from_array)
            elif op == exp_s1:
                left = int(from_array)
                right = int(scale)
            elif op == exp_s2:
                exp2 = 1
                piece = find_piece(left)
                right = slopes[piece]
                addend = intercepts[piece]
            elif op == norm:
                left = int(reciprocal)
            else:
                # the divider has no use for the multiply-adder
                if borrows:
                    left = int(next_left)
                    right = int(next_right)
                    addend = int(next_addend)
            raw = multiply_add(left, right, addend, exp2)
            bits = round_acc(raw)
        result.next = bits

    later = latency - 1
    operates, exponential, finished = unsigned(1), unsigned(1), unsigned(Accumulate.WIDTH)

    @always_comb
    def operands() -> None:
        op = int(command)
        left = int(rescale)
        right = int(ram_word)
        addend = 0
        exp2 = 0
        if op == acc_sum or op == acc_sa:
            addend = int(from_array)
        elif op == exp_s1:
            left = int(from_array)
            right = int(scale)
        elif op == exp_s2:
            exp2 = 1
            piece = find_piece(left)
            right = slopes[piece]
            addend = intercepts[piece]
        elif op == norm:
            left = int(reciprocal)
        next_left.next = left
        next_right.next = right
        next_addend.next = addend
        exponential.next = exp2
        operates.next = op != 0

    if later:
        compute_parts: list[Any] = [
            operands, delay_line(clock, reset, command, finished, later),
            pipelined_multiply_adder(clock, operates, next_left, next_right, next_addend, exponential, result, acc,
                                     pieces, config.mac_stages, config.adder_stages),
        ]
        done_command = finished
    else:
        compute_parts, done_command = [compute], command

    @always(clock.posedge)
    def registers() -> None:
        op = int(done_command)
        if op == exp_s1 or op == exp_s2:
            rescale.next = result
        elif op == acc_sum:
            row_sum.next = result
        if reset:
            active.next = 0
        elif divide and not active:
            active.next = 1
            reciprocal.next = row_sum
        elif done:
            active.next = 0
            if borrows:
                reciprocal.next = result
            else:
                reciprocal.next = inverse

    if probe is not None:
        probe.setdefault("reciprocal", []).append(reciprocal)
    return invert, compute_parts, registers


@block
def accumulator(
    clock: Any, reset: Any, command: Any, divide: Any, from_array: Any, ram_row: Any, scale: Any, result_row: Any,
    config: Config, probe: dict[str, Any] | None = None,
) -> Any:
    """The accumulators of all columns; ports as in ``accumulator_unit``, column 0 in the low bits.

    Rows are cols words wide; ``scale`` is one word.
    """
    cols, width = config.cols, config.acc.width
    mask = (1 << width) - 1
    inflows, old_words, results = ([unsigned(width) for _ in range(cols)] for _ in range(3))
    units = [
        accumulator_unit(clock, reset, command, divide, inflows[c], old_words[c], scale, results[c], config, probe)
        for c in range(cols)
    ]

    # with a register in front of the multiplier this one keeps what an idle unit does not want
    holds = int(config.mac_stages > 1)

    @always_comb
    def enter() -> None:
        # nothing reaches an idle unit, so that it does not toggle
        inflow = 0
        old = 0
        if holds != 0 or command != 0:
            inflow = int(from_array)
            old = int(ram_row)
        for c in range(cols):
            inflows[c].next = (inflow >> (c * width)) & mask
            old_words[c].next = (old >> (c * width)) & mask

    @always_comb
    def leave() -> None:
        word = 0
        for c in range(cols):
            word = word | (int(results[c]) << (c * width))
        result_row.next = word

    if probe is not None:
        probe.update(accumulator_results=results)
    return units, enter, leave

"""The accumulator: per column a multiply-adder and one register below the array, beside the accumulator RAM."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.divider import divider
from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.newton import newton
from myhdl_fsa.arithmetic.scalar import multiply_adder, piece_finder, rounder
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import Accumulator
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["accumulator", "accumulator_unit"]


@block
def accumulator_unit(
    clock: Any, reset: Any, command: Any, from_array: Any, ram_word: Any, scale: Any, result: Any, config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """One column's accumulator.

    Ports
        command     in   3 bits   ``control.Accumulator``
        from_array  in   acc      what leaves the array below this column, de-skewed
        ram_word    in   acc      this column's word of the row read the cycle before
        scale       in   acc      log2(e)/sqrt(d), or another factor of the scores
        result      out  acc      a * ram_word (+ from_array); combinational, for the RAM to write back

    The register ``a`` holds the rescaling factor, then the reciprocal of the row sum. Latency: 1 cycle into ``a``,
    RECIPROCAL as long as ``arithmetic.reciprocal`` says.
    Source: docs/specification.md section 3 (accumulator commands).
    """
    acc = config.acc
    a = unsigned(acc.width)
    done, active = unsigned(1), unsigned(1)
    # what the reciprocal wants of the multiply-adder (newton), or its own result (division)
    next_left, next_right, next_addend, inverse = (unsigned(acc.width) for _ in range(4))
    borrows = int(config.reciprocal == "newton")
    if borrows:
        invert = newton(clock, reset, active, a, result, next_left, next_right, next_addend, done, acc)
    else:
        invert = divider(clock, reset, active, a, inverse, done, acc)

    pieces = config.exp2_pieces
    multiply_add, round_acc = multiply_adder(acc, acc, pieces, streamed=False), rounder(acc, acc, acc)
    find_piece = piece_finder(acc, pieces)
    slopes, intercepts = Exp2(acc, acc, pieces).slopes, Exp2(acc, acc, pieces).intercepts
    exp_s1, exp_s2, acc_sa = Accumulator.EXP_S1, Accumulator.EXP_S2, Accumulator.ACC_SA
    set_scale, reciprocal = Accumulator.SET_SCALE, Accumulator.RECIPROCAL

    @always_comb
    def compute() -> None:
        op = int(command)
        bits = 0
        if op != 0 and op != set_scale:
            left = int(a)
            right = int(ram_word)
            addend = 0
            exp2 = 0
            if op == acc_sa:
                addend = int(from_array)
            elif op == exp_s1:
                left = int(from_array)
                right = int(scale)
            elif op == exp_s2:
                exp2 = 1
                piece = find_piece(left)
                right = slopes[piece]
                addend = intercepts[piece]
            elif op == reciprocal:
                # the divider has no use for the multiply-adder
                if borrows:
                    left = int(next_left)
                    right = int(next_right)
                    addend = int(next_addend)
            else:
                addend = 0  # ACC; the converter wants the last case spelled out
            raw = multiply_add(left, right, addend, exp2)
            bits = round_acc(raw)
        result.next = bits

    @always_comb
    def start() -> None:
        active.next = command == reciprocal

    @always(clock.posedge)
    def register() -> None:
        op = int(command)
        if op == exp_s1 or op == exp_s2:
            a.next = result
        elif op == set_scale:
            a.next = ram_word
        elif op == reciprocal:
            if done:
                if borrows:
                    a.next = result
                else:
                    a.next = inverse

    if probe is not None:
        probe.setdefault("accumulator_a", []).append(a)
    return invert, compute, start, register


@block
def accumulator(
    clock: Any, reset: Any, command: Any, from_array: Any, ram_row: Any, scale: Any, result_row: Any, config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """The accumulators of all columns; ports as in ``accumulator_unit``, cols words wide, column 0 in the low bits.

    ``probe``, when given, receives the internal signals that a test bench watches.
    """
    cols, width = config.cols, config.acc.width
    mask = (1 << width) - 1
    inflows, old_words, results = ([unsigned(width) for _ in range(cols)] for _ in range(3))
    units = [
        accumulator_unit(clock, reset, command, inflows[c], old_words[c], scale, results[c], config, probe)
        for c in range(cols)
    ]

    @always_comb
    def enter() -> None:
        # nothing reaches an idle unit, so that it does not toggle
        inflow = 0
        old = 0
        if command != 0:
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

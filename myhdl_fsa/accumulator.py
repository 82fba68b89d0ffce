"""The accumulator: per column a multiply-adder and one register below the array, beside the accumulator RAM."""

from __future__ import annotations

from typing import Any

from myhdl import ConcatSignal, always, always_comb, block

from myhdl_fsa.arithmetic.divider import divider
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.mac import EXP2, TAKE_ABOVE, TO_ACC, mac
from myhdl_fsa.arithmetic.newton import newton
from myhdl_fsa.config import Config
from myhdl_fsa.control import Accumulator
from myhdl_fsa.signals import unsigned


@block
def accumulator_unit(
    clock: Any, reset: Any, command: Any, from_array: Any, ram_word: Any, result: Any, config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """One column's accumulator.

    Ports
        command     in   3 bits   ``control.Accumulator``
        from_array  in   acc      what leaves the array below this column, de-skewed
        ram_word    in   acc      this column's word of the row read the cycle before
        result      out  acc      a * ram_word (+ from_array); combinational, for the RAM to write back

    The register ``a`` holds the rescaling factor, then the reciprocal of the row sum. Latency: 1 cycle into ``a``,
    RECIPROCAL as long as ``arithmetic.reciprocal`` says. Source: spec section 3 (accumulator commands).
    """
    acc = config.acc
    a = unsigned(acc.width)
    left, right, addend = (unsigned(acc.width) for _ in range(3))
    operation = unsigned(4)
    unused_elem, unused_hit = unsigned(acc.width), unsigned(1)
    done, active = unsigned(1), unsigned(1)

    multiply_add = mac(
        left, right, addend, addend, operation, result, unused_elem, unused_hit,
        mul=acc, add=acc, elem=acc, exp2=Exp2(acc, acc, config.exp2_pieces),
    )
    # the reciprocal's operands for the multiply-adder (newton), and its result
    next_left, next_right, next_addend = (unsigned(acc.width) for _ in range(3))
    inverse = unsigned(acc.width)
    borrows = int(config.reciprocal == "newton")
    if borrows:
        invert = newton(clock, reset, active, a, result, next_left, next_right, next_addend, done, acc)
    else:
        invert = divider(clock, reset, active, a, inverse, done, acc)

    scale = int(from_float(config.attention_scale, acc))
    exp_s1, exp_s2, acc_sa = Accumulator.EXP_S1, Accumulator.EXP_S2, Accumulator.ACC_SA
    plain_acc, set_scale, reciprocal = Accumulator.ACC, Accumulator.SET_SCALE, Accumulator.RECIPROCAL
    to_acc, to_exp2 = TO_ACC | TAKE_ABOVE, EXP2

    @always_comb
    def operands() -> None:
        operation.next = 0
        left.next = a
        right.next = 0
        addend.next = 0
        active.next = 0
        if command == exp_s1:
            operation.next = to_acc
            left.next = from_array
            right.next = scale
        elif command == exp_s2:
            operation.next = to_exp2
        elif command == acc_sa:
            operation.next = to_acc
            right.next = ram_word
            addend.next = from_array
        elif command == plain_acc:
            operation.next = to_acc
            right.next = ram_word
        elif command == reciprocal:
            active.next = 1
            if borrows:
                operation.next = to_acc
                left.next = next_left
                right.next = next_right
                addend.next = next_addend

    @always(clock.posedge)
    def register() -> None:
        if command == exp_s1 or command == exp_s2:
            a.next = result
        elif command == set_scale:
            a.next = ram_word
        elif command == reciprocal:
            if done:
                if borrows:
                    a.next = result
                else:
                    a.next = inverse

    if probe is not None:
        probe.setdefault("accumulator_a", []).append(a)
    return multiply_add, invert, operands, register


@block
def accumulator(
    clock: Any, reset: Any, command: Any, from_array: Any, ram_row: Any, result_row: Any, config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """The accumulators of all columns; ports as in ``accumulator_unit``, cols words wide, column 0 in the low bits.

    ``probe``, when given, receives the internal signals that a test bench watches.
    """
    cols, width = config.cols, config.acc.width
    results = [unsigned(width) for _ in range(cols)]
    units = [
        accumulator_unit(
            clock, reset, command, from_array(width * (c + 1), width * c), ram_row(width * (c + 1), width * c),
            results[c], config, probe,
        )
        for c in range(cols)
    ]
    packed = ConcatSignal(*reversed(results))

    @always_comb
    def leave() -> None:
        result_row.next = packed

    if probe is not None:
        probe.update(accumulator_results=results)
    return units, leave

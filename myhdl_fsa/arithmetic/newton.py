"""The Newton reciprocal: a sequencer that borrows the accumulator's multiply-adder."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["newton"]


@block
def newton(
    clock: Any, reset: Any, active: Any, x: Any, result: Any, a: Any, b: Any, c: Any, done: Any, fmt: FloatFormat
) -> Any:
    """Feeds r = 1, then n times { p = FMA(r, -d, 2); r = FMA(r, p, 0) }, then r * 2**-e.

    Latency ``Reciprocal(fmt, "newton").latency`` = 2n + 1 cycles: ``active`` is held that long with ``x`` steady, and
    in the last cycle ``done`` is 1 and the multiply-adder's result is 1/x.

    Ports
        active   in   1
        x        in   fmt    d is its mantissa in [1, 2), e its exponent
        result   in   fmt    the multiply-adder's, for the operands below
        a, b, c  out  fmt    operands of the multiply-adder, a * b + c; combinational
        done     out  1

    Source: docs/specification.md section 1 (RECIPROCAL, newton).
    """
    steps = Reciprocal(fmt, "newton").latency
    step = unsigned(steps.bit_length())
    guess = unsigned(fmt.width, fmt.one)
    correction = unsigned(fmt.width)

    m, exponent_max, mantissa_mask, one = fmt.mantissa_bits, fmt.exponent_max, fmt.mantissa_mask, fmt.one
    sign_bit, infinity, nan = fmt.width - 1, fmt.infinity, fmt.nan
    minus_one = fmt.sign_mask | fmt.one
    two, twice_bias, last = (fmt.bias + 1) << m, 2 * fmt.bias, steps - 1

    @always_comb
    def operands() -> None:
        word = int(x)
        exponent = (word >> m) & exponent_max
        fraction = word & mantissa_mask
        sign = (word >> sign_bit) & 1
        factor = 0
        addend = 0
        finished = 0
        if active:
            if step == last:
                finished = 1
                if exponent == exponent_max:
                    factor = sign << sign_bit
                    if fraction != 0:
                        factor = nan
                elif exponent == 0:
                    factor = (sign << sign_bit) | infinity
                else:
                    # an exponent field of 0 reads as zero, and the true result underflows too
                    factor = (sign << sign_bit) | ((twice_bias - exponent) << m)
            elif step[0]:
                factor = int(correction)
            else:
                factor = minus_one | fraction
                addend = two
        a.next = guess
        b.next = factor
        c.next = addend
        done.next = finished

    @always(clock.posedge)
    def registers() -> None:
        if reset:
            step.next = 0
            guess.next = one
        elif active:
            if step == last:
                step.next = 0
                guess.next = one
            else:
                step.next = step + 1
                if step[0]:
                    guess.next = result
                else:
                    correction.next = result

    return operands, registers

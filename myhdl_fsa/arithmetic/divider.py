"""The dividing reciprocal: radix-2 restoring, two quotient bits a cycle, correctly rounded."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["divider"]


@block
def divider(clock: Any, reset: Any, active: Any, x: Any, result: Any, done: Any, fmt: FloatFormat) -> Any:
    """1/x, rounded to nearest even.

    Latency ``Reciprocal(fmt, "division").latency`` = ceil((M+3)/2) + 2 cycles: one to start, one for two quotient
    bits each, one for the result. ``active`` is held that long with ``x`` steady; in the last cycle ``done`` is 1.

    Ports
        active  in   1
        x       in   fmt
        result  out  fmt   1/x in the cycle in which ``done`` is 1; combinational
        done    out  1

    Source: docs/specification.md section 1 (RECIPROCAL, division).
    """
    unit = Reciprocal(fmt, "division")
    iterations, last = unit.iterations, unit.latency - 1
    m, exponent_max, mantissa_mask = fmt.mantissa_bits, fmt.exponent_max, fmt.mantissa_mask
    sign_bit, infinity, nan, twice_bias = fmt.width - 1, fmt.infinity, fmt.nan, 2 * fmt.bias
    hidden = 1 << m
    top = 2 * iterations - 1
    drop = top - m
    low, half = (1 << drop) - 1, (1 << drop) >> 1

    step = unsigned(max(2, last.bit_length()))
    remainder = unsigned(m + 2)
    quotient = unsigned(top + 1)

    @always(clock.posedge)
    def iterate() -> None:
        divisor = (int(x) & mantissa_mask) | hidden
        rest = int(remainder)
        bits = int(quotient)
        if reset:
            step.next = 0
        elif active:
            if step == 0:
                rest = hidden
                bits = 0
            elif step != last:
                bits = bits << 1
                if rest >= divisor:
                    rest = rest - divisor
                    bits = bits | 1
                rest = rest << 1
                bits = bits << 1
                if rest >= divisor:
                    rest = rest - divisor
                    bits = bits | 1
                rest = rest << 1
            remainder.next = rest
            quotient.next = bits
            if step == last:
                step.next = 0
            else:
                step.next = step + 1

    @always_comb
    def finish() -> None:
        word = int(x)
        sign = (word >> sign_bit) & 1
        exponent = (word >> m) & exponent_max
        outcome = 0
        finished = 0
        if active and step == last:
            finished = 1
            outcome = sign << sign_bit
            if exponent == exponent_max:
                if (word & mantissa_mask) != 0:
                    outcome = nan
            elif exponent == 0:
                outcome = outcome | infinity
            else:
                # the quotient lies in (0.5, 1]: normalise, then round
                bits = int(quotient)
                rounded = twice_bias - exponent
                if (bits >> top) == 0:
                    bits = bits << 1
                    rounded = rounded - 1
                kept = bits >> drop
                rest = bits & low
                if rest > half or (rest == half and (remainder != 0 or (kept & 1) == 1)):
                    kept = kept + 1
                rounded = rounded + (kept >> (m + 1))
                if rounded >= exponent_max:
                    outcome = outcome | infinity
                elif rounded > 0:
                    outcome = outcome | (rounded << m) | (kept & mantissa_mask)
        result.next = outcome
        done.next = finished

    return iterate, finish

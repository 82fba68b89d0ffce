"""Rounding from one format to a narrower one, in hardware; the reference is ``easyfloat.convert``."""

from __future__ import annotations

from typing import Any

from myhdl import always_comb, block

from myhdl_fsa.arithmetic.formats import FloatFormat


@block
def narrow(x: Any, result: Any, src: FloatFormat, dst: FloatFormat) -> Any:
    """``x`` rounded to nearest even; combinational.

    Ports
        x       in   src.width
        result  out  dst.width

    Subnormals are flushed, overflow gives Inf, NaN is made canonical. ``dst`` must not be wider than ``src`` in
    exponent or mantissa. Source: spec sections 1 and 3 ("S returns down in elem format").
    """
    ms, es_max, sign_s = src.mantissa_bits, src.exponent_max, src.width - 1
    md, ed_max, sign_d = dst.mantissa_bits, dst.exponent_max, dst.width - 1
    fraction_s, fraction_d, nan_d = src.mantissa_mask, dst.mantissa_mask, dst.nan
    bias_change = dst.bias - src.bias
    drop = ms - md
    rounds = int(drop > 0)
    low, half = (1 << drop) - 1, (1 << drop) >> 1

    @always_comb
    def compute() -> None:
        word = int(x)
        sign = (word >> sign_s) & 1
        exponent = (word >> ms) & es_max
        fraction = word & fraction_s
        bits = sign << sign_d
        if exponent == es_max:
            if fraction != 0:
                bits = nan_d
            else:
                bits = bits | (ed_max << md)
        elif exponent != 0:
            kept = (fraction >> drop) | (1 << md)
            if rounds:
                rest = fraction & low
                if rest > half or (rest == half and (kept & 1) == 1):
                    kept = kept + 1
            rounded = exponent + bias_change + (kept >> (md + 1))
            if rounded >= ed_max:
                bits = bits | (ed_max << md)
            elif rounded > 0:
                bits = bits | (rounded << md) | (kept & fraction_d)
        result.next = bits

    return compute

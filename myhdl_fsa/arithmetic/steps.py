"""The multiply-adder in three steps, for a unit with registers between them: multiply, add, normalise.

``normalise(add(multiply(x, y, exp2), z))`` is the raw word of ``scalar.multiply_adder(mul, add)``, and its hit bit 0. A
unit without registers calls that one, which simulates faster. Source: docs/specification.md section 1.

A product travels as one int, from bit 0 up: sign (1), kind (2: ``FINITE`` ...), with exp2 the power of two that scales
the sum (E + 1, offset 2**E, for E exponent bits of the multiplier's format), exponent (E + 1: the sum of both exponent
fields), significand (2 (m + 1), not normalised; 0 says that the product is zero). A sum travels as a raw word
(``arithmetic.scalar``) whose magnitude is not normalised yet.
"""

from __future__ import annotations

from collections.abc import Callable

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.arithmetic.scalar import LOCAL_WIDTH, fraction_bits, local_width

__all__ = [
    "FINITE",
    "INFINITE",
    "NAN",
    "NOTHING",
    "adder",
    "multiplier",
    "normaliser",
    "product_width",
    "step_width",
    "sum_width",
]

FINITE, INFINITE, NAN, NOTHING = range(4)
"""kinds of product; with ``NOTHING`` the result is +0 whatever is added: 2**-Inf"""


def product_width(mul: FloatFormat, pieces: int = 0) -> int:
    """Bits of a product's word."""
    power = mul.exponent_bits + 1 if pieces else 0
    return 3 + power + mul.exponent_bits + 1 + 2 * (mul.mantissa_bits + 1)


def sum_width(mul: FloatFormat, add: FloatFormat) -> int:
    """Bits of a sum's word."""
    return local_width(mul, add) - 1


def step_width(mul: FloatFormat, add: FloatFormat, pieces: int = 0) -> int:
    """Bits that hold every int local of a process that calls these functions, in Verilog, sign included."""
    return max(local_width(mul, add), product_width(mul, pieces) + 1)


def multiplier(mul: FloatFormat, pieces: int = 0) -> Callable[[int, int, int], int]:
    """The function ``multiply(x, y, exp2)``: the word of the exact product x * y.

    With ``exp2`` 1 it is that of Xf * y and the power Xi instead, where x = Xi + Xf and y is the slope of the piece
    that Xf lies in; what has to be added then is that piece's intercept. ``pieces`` 0 leaves exp2 out.
    """
    m, exponent_max, bias, exponent_bits = mul.mantissa_bits, mul.exponent_max, mul.bias, mul.exponent_bits
    sign_bit, fraction, hidden = mul.width - 1, mul.mantissa_mask, 1 << m
    interpolates = int(pieces > 0)
    power_offset = 1 << exponent_bits
    exponent_at = 3 + interpolates * (exponent_bits + 1)
    significand_at = exponent_at + exponent_bits + 1
    infinite, nan, nothing = INFINITE, NAN, NOTHING

    def multiply(x: int, y: int, exp2: int) -> int:
        ex = (x >> m) & exponent_max
        ey = (y >> m) & exponent_max
        mx = (x & fraction) | hidden
        kind = 0
        if ex == exponent_max:
            kind = infinite
            if (x & fraction) != 0 or ey == 0:
                kind = nan
        if ey == exponent_max:
            if kind == 0:
                kind = infinite
            if (y & fraction) != 0 or ex == 0:
                kind = nan
        power = 0
        if interpolates:
            if exp2 != 0:
                if kind == infinite:
                    kind = nothing
                e = ex - bias
                if e >= exponent_bits:
                    # an integer part that no exponent holds
                    if kind == 0:
                        kind = nothing
                elif e >= 0:
                    mx = mx << e
                    power = mx >> m
                    mx = mx & fraction
                    ex = bias
                    if mx == 0:
                        ex = 0
                    if (x >> sign_bit) != 0:
                        power = -power
        product = (((x >> sign_bit) ^ (y >> sign_bit)) & 1) | (kind << 1)
        if interpolates:
            product = product | ((power + power_offset) << 3)
        if kind == 0 and ex != 0 and ey != 0:
            product = product | ((ex + ey) << exponent_at) | ((mx * ((y & fraction) | hidden)) << significand_at)
        return product

    setattr(multiply, LOCAL_WIDTH, product_width(mul, pieces) + 1)
    multiply.__name__ = f"multiply{'_exp2' if pieces else ''}_{mul}"  # its name in Verilog
    return multiply


def adder(mul: FloatFormat, add: FloatFormat, pieces: int = 0) -> Callable[[int, int], int]:
    """The function ``add_product(product, z)``: the word of the sum of a product of ``mul`` and z of ``add``."""
    m, exponent_bits = mul.mantissa_bits, mul.exponent_bits
    mc, ec_max, sign_c = add.mantissa_bits, add.exponent_max, add.width - 1
    fraction_c, hidden_c = add.mantissa_mask, 1 << mc
    interpolates = int(pieces > 0)
    power_mask, power_offset = (1 << (exponent_bits + 1)) - 1, 1 << exponent_bits
    exponent_at, exponent_mask = 3 + interpolates * (exponent_bits + 1), (1 << (exponent_bits + 1)) - 1
    significand_at = exponent_at + exponent_bits + 1
    nan, nothing, infinite = NAN, NOTHING, INFINITE

    # as in scalar.multiply_adder: the leading one of an aligned addend stands at bit k
    k = fraction_bits(mul, add)
    product_shift, addend_shift, far = k - 2 * m, k - mc, k + 3
    exponent_offset = add.bias - 2 * mul.bias

    def add_product(product: int, z: int) -> int:
        sp = product & 1
        kind = (product >> 1) & 3
        significand = product >> significand_at
        ec = (z >> mc) & ec_max
        sc = (z >> sign_c) & 1
        special = 0
        sign = sp
        magnitude = 0
        exponent = 0
        if kind == nothing:
            sign = 0
        elif kind != 0 or ec == ec_max:
            special = 1
            if kind == nan:
                special = 2
            if ec == ec_max:
                sign = sc
                if (z & fraction_c) != 0:
                    special = 2
                elif kind == infinite and sp != sc:
                    special = 2
        elif significand == 0:
            sign = sc
            if ec == 0:
                sign = sp & sc
            else:
                magnitude = ((z & fraction_c) | hidden_c) << addend_shift
                exponent = ec
        else:
            magnitude = significand << product_shift
            exponent = ((product >> exponent_at) & exponent_mask) + exponent_offset
            if ec != 0:
                addend = ((z & fraction_c) | hidden_c) << addend_shift
                distance = exponent - ec
                # one shifter: the operand of the smaller exponent goes into it
                if distance < 0:
                    larger = addend
                    addend = magnitude
                    magnitude = larger
                    exponent = ec
                    distance = -distance
                    sign = sc
                if distance > far:
                    addend = 1
                else:
                    aligned = addend >> distance
                    if (addend & ((1 << distance) - 1)) != 0:
                        aligned = aligned | 1
                    addend = aligned
                if sp == sc:
                    magnitude = magnitude + addend
                else:
                    magnitude = magnitude - addend
                    if magnitude < 0:
                        magnitude = -magnitude
                        sign = 1 - sign
                    elif magnitude == 0:
                        sign = 0
        if magnitude != 0:
            exponent = exponent + 2
            if interpolates:
                exponent = exponent + ((product >> 3) & power_mask) - power_offset
        return (magnitude << 16) | ((exponent + 2048) << 4) | (special << 2) | (sign << 1)

    setattr(add_product, LOCAL_WIDTH, step_width(mul, add, pieces))
    add_product.__name__ = f"add_product{'_exp2' if pieces else ''}_{mul}_{add}"  # its name in Verilog
    return add_product


def normaliser(mul: FloatFormat, add: FloatFormat) -> Callable[[int], int]:
    """The function ``normalise(total)``: the raw word of a sum's."""
    k = fraction_bits(mul, add)
    below_16, below_8, below_4, below_2, below_1 = (1 << max(0, k + 3 - s) for s in (16, 8, 4, 2, 1))
    wide = int(k + 2 >= 32)
    below_32 = 1 << (k + 3 - 32) if wide else 1

    def normalise(total: int) -> int:
        magnitude = total >> 16
        rest = total & 65535
        if magnitude != 0:
            # the exponent stands from bit 4 up
            if wide:
                if magnitude < below_32:
                    magnitude = magnitude << 32
                    rest = rest - 512
            if magnitude < below_16:
                magnitude = magnitude << 16
                rest = rest - 256
            if magnitude < below_8:
                magnitude = magnitude << 8
                rest = rest - 128
            if magnitude < below_4:
                magnitude = magnitude << 4
                rest = rest - 64
            if magnitude < below_2:
                magnitude = magnitude << 2
                rest = rest - 32
            if magnitude < below_1:
                magnitude = magnitude << 1
                rest = rest - 16
        return (magnitude << 16) | rest

    setattr(normalise, LOCAL_WIDTH, local_width(mul, add))
    normalise.__name__ = f"normalise_{mul}_{add}"  # its name in Verilog
    return normalise

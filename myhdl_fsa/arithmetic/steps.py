"""The multiply-adder in three steps, for a unit with registers between them: multiply, add, normalise.

``normalise(add(multiply(x, y, exp2), z))`` is the raw word of ``scalar.multiply_adder(mul, add)``, and its hit bit 0; a
sum of two operands has two steps, and is that of ``scalar.adder(fmt)``. A unit without registers calls those, which
simulate faster. Source: docs/specification.md section 1.

A product travels as one int, from bit 0 up: sign (1), kind (2: ``FINITE`` ...), with exp2 the power of two that scales
the sum (E + 1, offset 2**E, for E exponent bits of the multiplier's format), exponent (as the addend's format has it,
in two's complement), significand (2 (m + 1), not normalised; 0 says that the product is zero). A sum travels as one
int too: the sign that it has if it is zero (1), sign (1), kind (2), the magnitude that is not normalised yet
(``RawFormat.magnitude_bits``), and the exponent that it had if its top bit were set (``RawFormat.exponent_bits``).
"""

from __future__ import annotations

from collections.abc import Callable

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.arithmetic.scalar import (
    FINITE,
    INFINITE,
    NAN,
    ZERO,
    RawFormat,
    fraction_bits,
    raw_of_product,
    raw_of_sum,
    shift_limit,
)

__all__ = [
    "FINITE",
    "INFINITE",
    "NAN",
    "NOTHING",
    "adder",
    "multiplier",
    "normaliser",
    "operand_adder",
    "operand_sum_width",
    "product_width",
    "sum_normaliser",
    "sum_width",
]

NOTHING = ZERO
"""the kind of a product with which the result is +0 whatever is added: 2**-Inf"""

_FLAGS = 4
"""bits of a sum's word below its magnitude"""


def product_width(mul: FloatFormat, add: FloatFormat, pieces: int = 0) -> int:
    """Bits of a product's word."""
    power = mul.exponent_bits + 1 if pieces else 0
    return 3 + power + _exponent_bits(mul, add) + 2 * (mul.mantissa_bits + 1)


def _exponent_bits(mul: FloatFormat, add: FloatFormat) -> int:
    """Bits of a product's exponent, and of its difference to an addend's, as signed numbers."""
    lowest, highest = add.bias - 2 * mul.bias, 2 * mul.exponent_max + add.bias - 2 * mul.bias
    return max(highest, add.exponent_max - lowest).bit_length() + 1


def sum_width(mul: FloatFormat, add: FloatFormat) -> int:
    """Bits of a sum's word."""
    return _sum_width(raw_of_product(mul, add))


def operand_sum_width(fmt: FloatFormat) -> int:
    """Bits of the word of a sum of two operands."""
    return _sum_width(raw_of_sum(fmt))


def _sum_width(raw_format: RawFormat) -> int:
    return _FLAGS + raw_format.magnitude_bits + raw_format.exponent_bits


def multiplier(mul: FloatFormat, add: FloatFormat, pieces: int = 0) -> Callable[[int, int, int], int]:
    """The function ``multiply(x, y, exp2)``: the word of the exact product x * y, to which one of ``add`` is added.

    With ``exp2`` 1 it is that of Xf * y and the power Xi instead, where x = Xi + Xf and y is the slope of the piece
    that Xf lies in; what has to be added then is that piece's intercept. ``pieces`` 0 leaves exp2 out.
    """
    m, exponent_max, bias, exponent_bits = mul.mantissa_bits, mul.exponent_max, mul.bias, mul.exponent_bits
    sign_bit, fraction, hidden = mul.width - 1, mul.mantissa_mask, 1 << m
    integer_mask = shift_limit(exponent_bits - 1)
    interpolates = int(pieces > 0)
    power_offset = 1 << exponent_bits
    exponent_at = 3 + interpolates * (exponent_bits + 1)
    significand_at = exponent_at + _exponent_bits(mul, add)
    exponent_offset, exponent_mask = add.bias - 2 * bias, (1 << _exponent_bits(mul, add)) - 1
    finite, infinite, nan, nothing = FINITE, INFINITE, NAN, NOTHING

    def multiply(x: int, y: int, exp2: int) -> int:
        ex = (x >> m) & exponent_max
        ey = (y >> m) & exponent_max
        mx = (x & fraction) | hidden
        kind = finite
        if ex == exponent_max or ey == exponent_max:
            kind = infinite
            if ex == exponent_max:
                if (x & fraction) != 0 or ey == 0:
                    kind = nan
            if ey == exponent_max:
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
                    if kind == finite:
                        kind = nothing
                elif e >= 0:
                    spread = mx << (e & integer_mask)
                    power = spread >> m
                    mx = spread & fraction
                    ex = bias
                    if mx == 0:
                        ex = 0
                    if (x >> sign_bit) != 0:
                        power = -power
        significand = 0
        if ex != 0 and ey != 0:
            significand = mx * ((y & fraction) | hidden)
        exponent = (ex + ey + exponent_offset) & exponent_mask
        product = (significand << significand_at) | (exponent << exponent_at) | (kind << 1) | ((x ^ y) >> sign_bit)
        if interpolates:
            product = product | ((power + power_offset) << 3)
        return product

    multiply.__name__ = f"multiply{'_exp2' if pieces else ''}_{mul}_{add}"  # its name in Verilog
    return multiply


def adder(mul: FloatFormat, add: FloatFormat, pieces: int = 0) -> Callable[[int, int], int]:
    """The function ``add_product(product, z)``: the word of the sum of a product of ``mul`` and z of ``add``."""
    m, exponent_bits = mul.mantissa_bits, mul.exponent_bits
    mc, ec_max, sign_c = add.mantissa_bits, add.exponent_max, add.width - 1
    fraction_c, hidden_c = add.mantissa_mask, 1 << mc
    interpolates = int(pieces > 0)
    power_mask, power_offset = (1 << (exponent_bits + 1)) - 1, 1 << exponent_bits
    signed_bits = _exponent_bits(mul, add)
    exponent_at, exponent_sign = 3 + interpolates * (exponent_bits + 1), signed_bits - 1
    exponent_mask = (1 << signed_bits) - 1
    significand_at = exponent_at + signed_bits
    finite, infinite, nan, nothing = FINITE, INFINITE, NAN, NOTHING

    # as in scalar.multiply_adder: the leading one of an aligned addend stands at bit k
    k = fraction_bits(mul, add)
    raw_format = raw_of_product(mul, add)
    product_shift, addend_shift = k - 2 * m, k - mc
    shift_bits = shift_limit(k + 2).bit_length()
    # with its sign turned round a two's complement number is itself plus this
    turned = 1 << exponent_sign
    sum_offset = raw_format.offset + 2 - turned
    sum_exponent_at = 4 + raw_format.magnitude_bits

    def add_product(product: int, z: int) -> int:
        total = 0
        sp = product & 1
        kind = (product >> 1) & 3
        significand = product >> significand_at
        ec = (z >> mc) & ec_max
        sc = z >> sign_c
        if kind != finite or ec == ec_max:
            sign = sp
            if kind == nothing:
                sign = 0
            elif ec == ec_max:
                sign = sc
                if (z & fraction_c) != 0:
                    kind = nan
                elif kind == infinite and sp != sc:
                    kind = nan
                elif kind == finite:
                    kind = infinite
            total = (kind << 2) | (sign << 1)
        else:
            addend = (z & fraction_c) | hidden_c
            if ec == 0:
                addend = 0
            exponent = (product >> exponent_at) & exponent_mask
            # differences both ways at once, and sums below: one behind the other would be the longest path
            distance = (exponent - ec) & exponent_mask
            reverse = (ec - exponent) & exponent_mask
            # one shifter: the operand of the smaller exponent goes into it; a zero always does, however far
            swap = significand == 0 or ((distance >> exponent_sign) != 0 and ec != 0)
            sign = sp
            greater = significand << product_shift
            lesser = addend << addend_shift
            if swap:
                greater = addend << addend_shift
                lesser = significand << product_shift
                distance = reverse
                exponent = ec
                sign = sc
            # the shifter, its longest way first; what falls out leaves the sticky bit
            aligned = lesser
            sticky = (distance >> shift_bits) != 0
            if sticky:
                sticky = lesser != 0
                aligned = 0
            for i in range(shift_bits):
                way = 1 << (shift_bits - 1 - i)
                if ((distance >> (shift_bits - 1 - i)) & 1) != 0:
                    if (aligned & ((1 << way) - 1)) != 0:
                        sticky = True
                    aligned = aligned >> way
            if sticky:
                aligned = aligned | 1
            # one adder: minus is the complement plus 1
            difference = aligned - greater
            differ = sp ^ sc
            if differ != 0:
                aligned = ~aligned
            magnitude = greater + aligned + differ
            if magnitude < 0:
                magnitude = difference
                sign = sign ^ 1
            exponent = (exponent ^ turned) + sum_offset
            if interpolates:
                exponent = exponent + ((product >> 3) & power_mask) - power_offset
            total = (exponent << sum_exponent_at) | (magnitude << 4) | (sign << 1) | (sp & sc)
        return total

    add_product.__name__ = f"add_product{'_exp2' if pieces else ''}_{mul}_{add}"  # its name in Verilog
    return add_product


def operand_adder(fmt: FloatFormat) -> Callable[[int, int], int]:
    """The function ``add_operands(x, z)``: the word of the sum x + z."""
    m, exponent_max, fraction_mask = fmt.mantissa_bits, fmt.exponent_max, fmt.mantissa_mask
    hidden, sign_bit, below_sign = 1 << fmt.mantissa_bits, fmt.width - 1, fmt.sign_mask - 1
    # as in scalar.adder
    raw_format = raw_of_sum(fmt)
    width = raw_format.magnitude_bits
    farthest, ones, sum_mask = shift_limit(width - 1), (1 << (width - 1)) - 1, (1 << width) - 1
    sum_offset, sum_exponent_at = raw_format.offset + 1, 4 + width
    infinite, nan = INFINITE, NAN

    def add_operands(x: int, z: int) -> int:
        total = 0
        sign = x >> sign_bit
        other = z >> sign_bit
        both = sign & other
        differ = sign ^ other
        greater = x & below_sign
        lesser = z & below_sign
        if greater < lesser:
            greater = z & below_sign
            lesser = x & below_sign
            sign = other
        exponent = greater >> m
        lesser_exponent = lesser >> m
        if exponent == exponent_max:
            kind = infinite
            if (greater & fraction_mask) != 0 or (lesser_exponent == exponent_max and differ != 0):
                kind = nan
            total = (kind << 2) | (sign << 1)
        else:
            larger = ((greater & fraction_mask) | hidden) << 3
            smaller = ((lesser & fraction_mask) | hidden) << 3
            if exponent == 0:
                larger = 0
            if lesser_exponent == 0:
                smaller = 0
            # never negative, nor is the sum
            distance = (exponent - lesser_exponent) & exponent_max
            if distance > farthest:
                distance = farthest
            aligned = smaller >> distance
            if (smaller & (ones << distance)) != smaller:
                aligned = aligned | 1
            if differ != 0:
                aligned = ~aligned
            magnitude = (larger + aligned + differ) & sum_mask
            total = ((exponent + sum_offset) << sum_exponent_at) | (magnitude << 4) | (sign << 1) | both
        return total

    add_operands.__name__ = f"add_operands_{fmt}"  # its name in Verilog
    return add_operands


def normaliser(mul: FloatFormat, add: FloatFormat) -> Callable[[int], int]:
    """The function ``normalise(total)``: the raw word of a sum of a product of ``mul`` and an addend of ``add``."""
    normalise = _normaliser(raw_of_product(mul, add))
    normalise.__name__ = f"normalise_{mul}_{add}"  # its name in Verilog
    return normalise


def sum_normaliser(fmt: FloatFormat) -> Callable[[int], int]:
    """The function ``normalise_sum(total)``: the raw word of a sum of two operands."""
    normalise_sum = _normaliser(raw_of_sum(fmt))
    normalise_sum.__name__ = f"normalise_sum_{fmt}"  # its name in Verilog
    return normalise_sum


def _normaliser(raw_format: RawFormat) -> Callable[[int], int]:
    width = raw_format.magnitude_bits
    wide, top, top_bit = int(width > 32), width - 1, 1 << (width - 1)
    magnitude_mask, sum_exponent_at = (1 << width) - 1, 4 + width
    cut = width - 1 - raw_format.fraction_bits
    cuts, cut_off = int(cut > 0), (1 << cut) - 1
    exponent_at, fraction_mask = raw_format.fraction_bits, (1 << raw_format.fraction_bits) - 1
    zero = ZERO

    def normalise(total: int) -> int:
        raw = total & 14
        if (total & 12) == 0:
            magnitude = (total >> 4) & magnitude_mask
            # whether a one is among the 2, 4, 8, 16 bits from each bit down; shifted with the magnitude, so that no
            # step has to look through its bits again
            in_2 = (magnitude | (magnitude << 1)) & magnitude_mask
            in_4 = (in_2 | (in_2 << 2)) & magnitude_mask
            in_8 = (in_4 | (in_4 << 4)) & magnitude_mask
            in_16 = (in_8 | (in_8 << 8)) & magnitude_mask
            leading = 0
            if wide:
                if ((in_16 | (in_16 << 16)) & top_bit) == 0:
                    magnitude = (magnitude << 32) & magnitude_mask
                    in_2 = (in_2 << 32) & magnitude_mask
                    in_4 = (in_4 << 32) & magnitude_mask
                    in_8 = (in_8 << 32) & magnitude_mask
                    in_16 = (in_16 << 32) & magnitude_mask
                    leading = 32
            if (in_16 >> top) == 0:
                magnitude = (magnitude << 16) & magnitude_mask
                in_2 = (in_2 << 16) & magnitude_mask
                in_4 = (in_4 << 16) & magnitude_mask
                in_8 = (in_8 << 16) & magnitude_mask
                leading = leading | 16
            if (in_8 >> top) == 0:
                magnitude = (magnitude << 8) & magnitude_mask
                in_2 = (in_2 << 8) & magnitude_mask
                in_4 = (in_4 << 8) & magnitude_mask
                leading = leading | 8
            if (in_4 >> top) == 0:
                magnitude = (magnitude << 4) & magnitude_mask
                in_2 = (in_2 << 4) & magnitude_mask
                leading = leading | 4
            if (in_2 >> top) == 0:
                magnitude = (magnitude << 2) & magnitude_mask
                leading = leading | 2
            if (magnitude >> top) == 0:
                magnitude = (magnitude << 1) & magnitude_mask
                leading = leading | 1
            if (magnitude >> top) == 0:
                raw = (zero << 2) | ((total & 1) << 1)
            else:
                fraction = magnitude & fraction_mask
                if cuts:
                    fraction = (magnitude >> cut) & fraction_mask
                    if (magnitude & cut_off) != 0:
                        fraction = fraction | 1
                exponent = (total >> sum_exponent_at) - leading
                raw = (((exponent << exponent_at) | fraction) << 4) | raw
        return raw

    return normalise

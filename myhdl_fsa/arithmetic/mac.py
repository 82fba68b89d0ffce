"""The multiply-adder: one fused multiply-add that also interpolates exp2.

Every arithmetic unit of the machine is this block: the PEs (elem x elem + acc), the comparators and the accumulators
(acc x acc + acc). Source: spec section 1 (FMA, EXP2) and section 3 (PE, accumulator).
"""

from __future__ import annotations

from typing import Any

from myhdl import always_comb, block

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.formats import FloatFormat, RoundingMode

# Operation bits. The PE's control bundle starts with the same four, so that it drives `operation` as it is.
TO_ACC = 1 << 0
"""round the result to the add format, on ``acc_result``"""
TAKE_ABOVE = 1 << 1
"""the addend is ``above``; otherwise ``below``"""
TO_ELEM = 1 << 2
"""round the result to the elem format, on ``elem_result``"""
EXP2 = 1 << 3
"""``elem_result`` = 2**a, interpolated"""


def fraction_bits(mul: FloatFormat, add: FloatFormat) -> int:
    """Bits below the leading one of an aligned operand: enough for the last of them to be a sticky bit.

    An operand loses bits to the sticky one only when it is at least 8 times smaller than the other (a product in
    [1, 4) may shift by 2 and still cancel), so add.mantissa_bits + 3 leaves a true rounding bit, and a product needs
    two spare bits below its own.
    """
    return max(add.mantissa_bits + 3, 2 * mul.mantissa_bits + 3)


def local_width(mul: FloatFormat, add: FloatFormat) -> int:
    """Bits a signed local of the block needs, in Verilog: the aligned sum, its carries and a sign; or a port and one."""
    return max(fraction_bits(mul, add) + 5, add.width + 1)


@block
def mac(
    a: Any,
    b: Any,
    above: Any,
    below: Any,
    operation: Any,
    acc_result: Any,
    elem_result: Any,
    hit: Any,
    mul: FloatFormat,
    add: FloatFormat,
    elem: FloatFormat,
    exp2: Exp2 | None = None,
    streamed: bool = False,
    mode: RoundingMode = RoundingMode.RNE,
) -> Any:
    """``a * b + addend``, exact, rounded once to each format asked for; or 2**a.

    Combinational. A result that ``operation`` does not ask for is 0 (operand isolation: an idle unit does not toggle).

    Ports
        a, b         in, mul.width      multiplicands
        above, below in, add.width      the two addends, chosen by TAKE_ABOVE
        operation    in, >= 4 bits      TO_ACC, TAKE_ABOVE, TO_ELEM, EXP2; higher bits are ignored
        acc_result   out, add.width
        elem_result  out, elem.width
        hit          out, 1             EXP2 only: this addend is the intercept of a's piece

    ``exp2`` None leaves EXP2 out. ``streamed`` (the PEs): b is a slope and the addend an intercept that carries its
    piece number in exponent bits [E-1:1]; only the piece that ``a`` lies in gives a result and a ``hit``. Otherwise
    (the accumulators) slope and intercept come from a table inside, and b and the addend are ignored.

    Source: spec section 1; single rounding, subnormals flushed, NaN canonical.
    """
    ma, ea_max, bias_a = mul.mantissa_bits, mul.exponent_max, mul.bias
    mc, ec_max, bias_c = add.mantissa_bits, add.exponent_max, add.bias
    me, ee_max, bias_e = elem.mantissa_bits, elem.exponent_max, elem.bias
    sign_a, sign_c, sign_e = mul.width - 1, add.width - 1, elem.width - 1
    fraction_a, hidden_a = mul.mantissa_mask, 1 << ma
    fraction_c, hidden_c = add.mantissa_mask, 1 << mc
    fraction_e = elem.mantissa_mask
    nan_c, nan_e = add.nan, elem.nan
    exponent_bits_a = mul.exponent_bits

    # An aligned operand: its leading one stands at bit k (a product's at k or k + 1), a normalised sum's at k + 2.
    k = fraction_bits(mul, add)
    product_shift, addend_shift = k - 2 * ma, k - mc
    top = k + 2
    far = k + 3
    exponent_offset = bias_c - 2 * bias_a
    drop_c = top - mc
    half_c, low_c = 1 << (drop_c - 1), (1 << drop_c) - 1
    drop_e = top - me
    half_e, low_e = 1 << (drop_e - 1), (1 << drop_e) - 1
    bias_change = bias_e - bias_c
    below_32, below_16, below_8, below_4, below_2, below_1 = (1 << (top + 1 - s) for s in (32, 16, 8, 4, 2, 1)) \
        if top >= 32 else (0, *(1 << (top + 1 - s) for s in (16, 8, 4, 2, 1)))
    wide = int(top >= 32)

    # elaboration-time choices are ints: a closure constant that the converter folds
    rne, rdn, rup, rmm = (int(mode == m) for m in (RoundingMode.RNE, RoundingMode.RDN, RoundingMode.RUP,
                                                   RoundingMode.RMM))
    interpolates = int(exp2 is not None)
    table = int(exp2 is not None and not streamed)
    slopes, intercepts = (exp2.slopes, exp2.intercepts) if exp2 is not None else ((0, 0), (0, 0))
    piece_shift = ma - (len(slopes).bit_length() - 1)
    acc_mask = TO_ACC | (EXP2 if table else 0)
    elem_mask = TO_ELEM | (EXP2 if interpolates and not table else 0)

    @always_comb
    def compute() -> None:
        acc_bits = 0
        elem_bits = 0
        found = 0
        op = int(operation)
        if (op & (acc_mask | elem_mask)) != 0:
            x = int(a)
            y = int(b)
            z = int(below)
            if (op & 2) != 0:
                z = int(above)
            ea = (x >> ma) & ea_max
            am = (x & fraction_a) | hidden_a
            power = 0
            piece = 0
            overflow = 0
            if interpolates:
                if (op & 8) != 0:
                    # x = Xi + Xf: Xi scales the result, Xf multiplies the slope
                    e = ea - bias_a
                    if e >= 0:
                        if e >= exponent_bits_a:
                            overflow = 1
                        else:
                            am = am << e
                            power = am >> ma
                            am = am & fraction_a
                            piece = am >> piece_shift
                            if am == 0:
                                ea = 0
                            else:
                                ea = bias_a
                            if (x >> sign_a) != 0:
                                power = -power
                    elif ea != 0:
                        piece = am >> (piece_shift - e)
                    if table:
                        y = slopes[piece]
                        z = intercepts[piece]
                        found = 1
                    else:
                        if ((z >> (mc + 1)) & (ec_max >> 1)) == piece:
                            found = 1
                        # the intercept's own exponent is known: it lies in (0.5, 1]
                        if ((z >> mc) & 1) == 0:
                            z = (z & fraction_c) | ((bias_c - 1) << mc)
                        else:
                            z = (z & fraction_c) | (bias_c << mc)
            if (op & 8) == 0 or found == 1:
                eb = (y >> ma) & ea_max
                ec = (z >> mc) & ec_max
                bm = (y & fraction_a) | hidden_a
                cm = (z & fraction_c) | hidden_c
                sp = ((x >> sign_a) ^ (y >> sign_a)) & 1
                sc = (z >> sign_c) & 1
                special = 0
                sign = 0
                magnitude = 0
                exponent = 0
                if ea == ea_max or eb == ea_max or ec == ec_max or overflow == 1:
                    # 1: Inf, 2: NaN
                    special = 1
                    sign = sp
                    if ec == ec_max:
                        sign = sc
                        if cm != hidden_c:
                            special = 2
                    if ea == ea_max:
                        if am != hidden_a or eb == 0:
                            special = 2
                        elif ec == ec_max and sp != sc:
                            special = 2
                    if eb == ea_max:
                        if bm != hidden_a or ea == 0:
                            special = 2
                        elif ec == ec_max and sp != sc:
                            special = 2
                    if (op & 8) != 0 and special == 1:
                        # 2**-Inf, or an integer part that no exponent holds
                        special = 0
                        sign = 0
                elif ea == 0 or eb == 0:
                    if ec == 0:
                        sign = sp & sc
                    else:
                        sign = sc
                        magnitude = cm << addend_shift
                        exponent = ec
                else:
                    product = (am * bm) << product_shift
                    exponent = ea + eb + exponent_offset
                    sign = sp
                    if ec == 0:
                        magnitude = product
                    else:
                        addend = cm << addend_shift
                        distance = exponent - ec
                        if distance > 0:
                            if distance > far:
                                addend = 1
                            else:
                                aligned = addend >> distance
                                if (aligned << distance) != addend:
                                    aligned = aligned | 1
                                addend = aligned
                        elif distance < 0:
                            exponent = ec
                            if distance < -far:
                                product = 1
                            else:
                                aligned = product >> (-distance)
                                if (aligned << (-distance)) != product:
                                    aligned = aligned | 1
                                product = aligned
                        if sp == sc:
                            magnitude = product + addend
                        else:
                            magnitude = product - addend
                            if magnitude < 0:
                                magnitude = -magnitude
                                sign = sc
                            if magnitude == 0:
                                sign = 0
                if magnitude != 0:
                    exponent = exponent + 2 + power
                    if wide:
                        if magnitude < below_32:
                            magnitude = magnitude << 32
                            exponent = exponent - 32
                    if magnitude < below_16:
                        magnitude = magnitude << 16
                        exponent = exponent - 16
                    if magnitude < below_8:
                        magnitude = magnitude << 8
                        exponent = exponent - 8
                    if magnitude < below_4:
                        magnitude = magnitude << 4
                        exponent = exponent - 4
                    if magnitude < below_2:
                        magnitude = magnitude << 2
                        exponent = exponent - 2
                    if magnitude < below_1:
                        magnitude = magnitude << 1
                        exponent = exponent - 1
                if (op & acc_mask) != 0:
                    if special == 2:
                        acc_bits = nan_c
                    elif special == 1:
                        acc_bits = (sign << sign_c) | (ec_max << mc)
                    elif magnitude == 0:
                        acc_bits = sign << sign_c
                    else:
                        kept = magnitude >> drop_c
                        rest = magnitude & low_c
                        up = 0
                        if rne:
                            if rest > half_c or (rest == half_c and (kept & 1) == 1):
                                up = 1
                        if rmm:
                            if rest >= half_c:
                                up = 1
                        if rup:
                            if rest != 0 and sign == 0:
                                up = 1
                        if rdn:
                            if rest != 0 and sign == 1:
                                up = 1
                        kept = kept + up
                        rounded = exponent + (kept >> (mc + 1))
                        if rounded <= 0:
                            acc_bits = sign << sign_c
                        elif rounded >= ec_max:
                            acc_bits = (sign << sign_c) | (ec_max << mc)
                        else:
                            acc_bits = (sign << sign_c) | (rounded << mc) | (kept & fraction_c)
                if (op & elem_mask) != 0:
                    if special == 2:
                        elem_bits = nan_e
                    elif special == 1:
                        elem_bits = (sign << sign_e) | (ee_max << me)
                    elif magnitude == 0:
                        elem_bits = sign << sign_e
                    else:
                        kept = magnitude >> drop_e
                        rest = magnitude & low_e
                        up = 0
                        if rne:
                            if rest > half_e or (rest == half_e and (kept & 1) == 1):
                                up = 1
                        if rmm:
                            if rest >= half_e:
                                up = 1
                        if rup:
                            if rest != 0 and sign == 0:
                                up = 1
                        if rdn:
                            if rest != 0 and sign == 1:
                                up = 1
                        kept = kept + up
                        rounded = exponent + bias_change + (kept >> (me + 1))
                        if rounded <= 0:
                            elem_bits = sign << sign_e
                        elif rounded >= ee_max:
                            elem_bits = (sign << sign_e) | (ee_max << me)
                        else:
                            elem_bits = (sign << sign_e) | (rounded << me) | (kept & fraction_e)
        acc_result.next = acc_bits
        elem_result.next = elem_bits
        hit.next = found

    return compute

"""The arithmetic of the hardware as functions on ints, in MyHDL's convertible subset.

Every arithmetic unit of the machine calls these from its own process (they become Verilog functions there), so the
PEs, comparators and accumulators cannot differ. The vectorised reference they must equal, bit for bit, is
``arithmetic.fma`` and ``arithmetic.exp2``. Source: docs/specification.md section 1.

An unrounded result travels as one int, a ``raw`` word, from bit 0 up: hit (1), sign (1), special (2: 0 finite,
1 Inf, 2 NaN), exponent (12, offset 2048, of the add format's bias), magnitude (``fraction_bits + 3``, normalised: its
top bit is set unless the result is zero; the lowest bit is sticky).
"""

from __future__ import annotations

from collections.abc import Callable

from myhdl_fsa.arithmetic.formats import FloatFormat, RoundingMode

__all__ = [
    "LOCAL_WIDTH",
    "fraction_bits",
    "local_width",
    "multiply_adder",
    "narrower",
    "piece_finder",
    "piece_shifts",
    "rounder",
]

LOCAL_WIDTH = "local_width"
"""the attribute of a function that tells the converter how many bits its int locals need, sign included"""


def fraction_bits(mul: FloatFormat, add: FloatFormat) -> int:
    """Bits below the leading one of an aligned operand: enough for the last of them to be a sticky bit.

    An operand loses bits to the sticky one only when it is at least 8 times smaller than the other (a product in
    [1, 4) may shift by 2 and still cancel), so add.mantissa_bits + 3 leaves a true rounding bit, and a product needs
    two spare bits below its own and one for symmetry.
    """
    return max(add.mantissa_bits + 3, 2 * mul.mantissa_bits + 3)


def local_width(mul: FloatFormat, add: FloatFormat) -> int:
    """Bits that hold every int local of a process that calls these functions, in Verilog: a raw word and a sign."""
    return fraction_bits(mul, add) + 3 + 16 + 1


def piece_shifts(mul: FloatFormat, pieces: int) -> tuple[int, int]:
    """How far a fraction of ``mul``'s mantissa bits goes left, then right, to be the number of its piece of 2**x."""
    bits = pieces.bit_length() - 1
    return max(0, bits - mul.mantissa_bits), max(0, mul.mantissa_bits - bits)


def multiply_adder(mul: FloatFormat, add: FloatFormat, pieces: int = 0) -> Callable[[int, int, int, int], int]:
    """The function ``multiply_add(x, y, z, exp2)``: the raw word of x * y + z (x, y of ``mul``, z of ``add``).

    With ``exp2`` 1 it is that of 2**x = 2**Xi * (y * Xf + z) instead, for a slope y and an intercept z that carries its
    piece number in exponent bits [E-1:1] (``streamed_intercepts``); hit says that x lies in that piece, and the word
    is 0 when it does not. ``pieces`` 0 leaves exp2 out.
    """
    ma, ea_max, bias_a = mul.mantissa_bits, mul.exponent_max, mul.bias
    mc, ec_max, bias_c = add.mantissa_bits, add.exponent_max, add.bias
    sign_a, sign_c = mul.width - 1, add.width - 1
    fraction_a, hidden_a = mul.mantissa_mask, 1 << ma
    fraction_c, hidden_c = add.mantissa_mask, 1 << mc
    exponent_bits_a = mul.exponent_bits

    # An aligned operand: its leading one stands at bit k (a product's at k or k + 1), a normalised sum's at k + 2.
    k = fraction_bits(mul, add)
    product_shift, addend_shift = k - 2 * ma, k - mc
    far = k + 3
    exponent_offset = bias_c - 2 * bias_a
    below_16, below_8, below_4, below_2, below_1 = (1 << max(0, k + 3 - s) for s in (16, 8, 4, 2, 1))
    wide = int(k + 2 >= 32)
    below_32 = 1 << (k + 3 - 32) if wide else 1
    # elaboration-time choices are ints, which the converter folds
    interpolates = int(pieces > 0)
    lengthen, piece_shift = piece_shifts(mul, max(1, pieces))
    piece_at, piece_mask = mc + 1, ec_max >> 1
    intercept_one, intercept_half = bias_c << mc, (bias_c - 1) << mc

    def multiply_add(x: int, y: int, z: int, exp2: int) -> int:
        c = z
        hit = 0
        raw = 0
        ea = (x >> ma) & ea_max
        am = (x & fraction_a) | hidden_a
        ec = (c >> mc) & ec_max
        power = 0
        overflow = 0
        if interpolates:
            if exp2 != 0:
                # x = Xi + Xf: Xi scales the result, Xf multiplies the slope
                e = ea - bias_a
                piece = 0
                if e >= 0:
                    if e >= exponent_bits_a:
                        overflow = 1
                    else:
                        am = am << e
                        power = am >> ma
                        am = am & fraction_a
                        piece = (am << lengthen) >> piece_shift
                        ea = bias_a
                        if am == 0:
                            ea = 0
                        if (x >> sign_a) != 0:
                            power = -power
                elif ea != 0:
                    piece = (am << lengthen) >> (piece_shift - e)
                if ((c >> piece_at) & piece_mask) == piece:
                    hit = 1
                # the intercept's own exponent is known: it lies in (0.5, 1]
                if (ec & 1) == 0:
                    c = (c & fraction_c) | intercept_half
                else:
                    c = (c & fraction_c) | intercept_one
                ec = (c >> mc) & ec_max
        if exp2 == 0 or hit != 0:
            eb = (y >> ma) & ea_max
            sp = ((x >> sign_a) ^ (y >> sign_a)) & 1
            sc = (c >> sign_c) & 1
            special = 0
            sign = sp
            magnitude = 0
            exponent = 0
            if ea == ea_max or eb == ea_max or ec == ec_max or overflow != 0:
                special = 1
                if ec == ec_max:
                    sign = sc
                    if (c & fraction_c) != 0:
                        special = 2
                if ea == ea_max:
                    if (x & fraction_a) != 0 or eb == 0:
                        special = 2
                    elif ec == ec_max and sp != sc:
                        special = 2
                if eb == ea_max:
                    if (y & fraction_a) != 0 or ea == 0:
                        special = 2
                    elif ec == ec_max and sp != sc:
                        special = 2
                if exp2 != 0 and special == 1:
                    # 2**-Inf, or an integer part that no exponent holds
                    special = 0
                    sign = 0
            elif ea == 0 or eb == 0:
                sign = sc
                if ec == 0:
                    sign = sp & sc
                else:
                    magnitude = ((c & fraction_c) | hidden_c) << addend_shift
                    exponent = ec
            else:
                magnitude = (am * ((y & fraction_a) | hidden_a)) << product_shift
                exponent = ea + eb + exponent_offset
                if ec != 0:
                    addend = ((c & fraction_c) | hidden_c) << addend_shift
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
                exponent = exponent + power + 2
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
            raw = (magnitude << 16) | ((exponent + 2048) << 4) | (special << 2) | (sign << 1) | hit
        return raw

    setattr(multiply_add, LOCAL_WIDTH, local_width(mul, add))
    multiply_add.__name__ = f"multiply_add{'_exp2' if pieces else ''}_{mul}_{add}"  # its name in Verilog
    return multiply_add


def rounder(
    mul: FloatFormat, add: FloatFormat, out: FloatFormat, mode: RoundingMode = RoundingMode.RNE
) -> Callable[[int], int]:
    """The function ``round_result(raw)``: the pattern of ``out`` nearest to a raw word of ``multiply_adder(mul, add)``.

    ``out`` is at most as precise as ``add``. An exponent field <= 0 gives zero and one of all ones gives Inf, in every
    mode.
    """
    m, exponent_max, sign_bit, fraction = out.mantissa_bits, out.exponent_max, out.width - 1, out.mantissa_mask
    nan, infinity = out.nan, out.infinity
    drop = fraction_bits(mul, add) + 2 - m
    low, half = (1 << drop) - 1, 1 << (drop - 1)
    bias_change = out.bias - add.bias - 2048
    rne, rdn, rup, rmm = (
        int(mode == m) for m in (RoundingMode.RNE, RoundingMode.RDN, RoundingMode.RUP, RoundingMode.RMM)
    )

    def round_result(raw: int) -> int:
        magnitude = raw >> 16
        special = (raw >> 2) & 3
        sign = (raw >> 1) & 1
        bits = sign << sign_bit
        if special != 0:
            bits = bits | infinity
            if special == 2:
                bits = nan
        elif magnitude != 0:
            kept = magnitude >> drop
            rest = magnitude & low
            if rne:
                if rest > half or (rest == half and (kept & 1) != 0):
                    kept = kept + 1
            if rmm:
                if rest >= half:
                    kept = kept + 1
            if rup:
                if rest != 0 and sign == 0:
                    kept = kept + 1
            if rdn:
                if rest != 0 and sign != 0:
                    kept = kept + 1
            exponent = ((raw >> 4) & 4095) + bias_change + (kept >> (m + 1))
            if exponent >= exponent_max:
                bits = bits | infinity
            elif exponent > 0:
                bits = bits | (exponent << m) | (kept & fraction)
        return bits

    setattr(round_result, LOCAL_WIDTH, local_width(mul, add))
    round_result.__name__ = f"round_{mul}_{add}_to_{out}"  # its name in Verilog
    return round_result


def piece_finder(mul: FloatFormat, pieces: int) -> Callable[[int], int]:
    """The function ``find_piece(x)``: the piece of (-1, 0] that the fraction of x lies in, 0 next to zero."""
    m, exponent_max, bias, exponent_bits = mul.mantissa_bits, mul.exponent_max, mul.bias, mul.exponent_bits
    fraction, hidden = mul.mantissa_mask, 1 << m
    lengthen, shift = piece_shifts(mul, pieces)

    def find_piece(x: int) -> int:
        piece = 0
        field = (x >> m) & exponent_max
        e = field - bias
        if e >= 0:
            if e < exponent_bits:
                piece = (((((x & fraction) | hidden) << e) & fraction) << lengthen) >> shift
        elif field != 0:
            piece = (((x & fraction) | hidden) << lengthen) >> (shift - e)
        return piece

    setattr(find_piece, LOCAL_WIDTH, mul.width + max(lengthen, mul.exponent_bits) + 1)
    find_piece.__name__ = f"find_piece_{mul}"  # its name in Verilog
    return find_piece


def narrower(src: FloatFormat, dst: FloatFormat) -> Callable[[int], int]:
    """The function ``narrow(x)``: a pattern of ``src`` rounded to nearest even in ``dst``, which is no wider."""
    ms, es_max, sign_s = src.mantissa_bits, src.exponent_max, src.width - 1
    md, ed_max, sign_d = dst.mantissa_bits, dst.exponent_max, dst.width - 1
    fraction_s, fraction_d, nan, infinity = src.mantissa_mask, dst.mantissa_mask, dst.nan, dst.infinity
    bias_change = dst.bias - src.bias
    drop = ms - md
    rounds = int(drop > 0)
    low, half = (1 << drop) - 1, (1 << drop) >> 1

    def narrow(x: int) -> int:
        exponent = (x >> ms) & es_max
        fraction = x & fraction_s
        bits = ((x >> sign_s) & 1) << sign_d
        if exponent == es_max:
            bits = bits | infinity
            if fraction != 0:
                bits = nan
        elif exponent != 0:
            kept = fraction >> drop
            if rounds:
                rest = fraction & low
                if rest > half or (rest == half and (kept & 1) != 0):
                    kept = kept + 1
            rounded = exponent + bias_change + (kept >> md)
            if rounded >= ed_max:
                bits = bits | infinity
            elif rounded > 0:
                bits = bits | (rounded << md) | (kept & fraction_d)
        return bits

    setattr(narrow, LOCAL_WIDTH, src.width + 1)
    narrow.__name__ = f"narrow_{src}_{dst}"  # its name in Verilog
    return narrow

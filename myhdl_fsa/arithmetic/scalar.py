"""The arithmetic of the hardware as functions on ints, in MyHDL's convertible subset.

Every arithmetic unit of the machine calls these from its own process (they become Verilog functions there), so the
PEs, comparators and accumulators cannot differ. The vectorised reference they must equal, bit for bit, is
``arithmetic.fma`` and ``arithmetic.exp2``. Source: docs/specification.md section 1.

An unrounded result travels as one int, a ``raw`` word, from bit 0 up: hit (1), sign (1), kind (2: ``FINITE`` ...), and
with a finite one the fraction below its leading one (``RawFormat.fraction_bits``, the lowest bit sticky) and the
exponent (``RawFormat.exponent_bits``, of the add format's bias plus ``RawFormat.offset``). Rounding is an increment of
both together, whose carry goes from the fraction into the exponent.

What is exceptional stands beside the data path: zeros are masked where the operands of the addition are chosen, and an
infinity or a NaN replaces the raw word at the end, so that no multiplexer of hardware lies on the way. A shift by a
variable has an amount of as many bits as it needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from myhdl_fsa.arithmetic.formats import FloatFormat, RoundingMode

__all__ = [
    "FINITE",
    "INFINITE",
    "NAN",
    "ZERO",
    "RawFormat",
    "adder",
    "fraction_bits",
    "multiply_adder",
    "narrower",
    "piece_finder",
    "piece_shifts",
    "raw_of_product",
    "raw_of_sum",
    "rounder",
    "shift_limit",
    "sum_rounder",
]


FINITE, INFINITE, NAN, ZERO = range(4)
"""kinds of result: a finite one is not zero"""

_FLAGS = 4
"""bits of a raw word below its fraction"""


@dataclass(frozen=True)
class RawFormat:
    """The widths of a raw word."""

    magnitude_bits: int
    """of the sum that is normalised, its leading one included"""
    fraction_bits: int
    """below the leading one, as much of them as roundings want; the last one is sticky"""
    lowest: int
    """exponent, which ``offset`` makes positive"""
    highest: int

    @property
    def offset(self) -> int:
        """What the exponent field is above the exponent."""
        return -self.lowest if self.lowest < 0 else 0

    @property
    def exponent_bits(self) -> int:
        """Bits of the exponent field."""
        return (self.highest + self.offset).bit_length()

    @property
    def width(self) -> int:
        """Bits in all."""
        return _FLAGS + self.fraction_bits + self.exponent_bits


def fraction_bits(mul: FloatFormat, add: FloatFormat) -> int:
    """Bits below the leading one of an aligned operand: enough for the last of them to be a sticky bit.

    An operand loses bits to the sticky one only when it is at least 8 times smaller than the other (a product in
    [1, 4) may shift by 2 and still cancel), so add.mantissa_bits + 3 leaves a true rounding bit, and a product needs
    two spare bits below its own and one for symmetry.
    """
    return max(add.mantissa_bits + 3, 2 * mul.mantissa_bits + 3)


def raw_of_product(mul: FloatFormat, add: FloatFormat) -> RawFormat:
    """The raw words of ``multiply_adder(mul, add)``."""
    magnitude = fraction_bits(mul, add) + 3
    # a long sum is cut to what the roundings need, so that a word fits an integer of 64 bits
    fraction = add.mantissa_bits + 4 if magnitude > 32 else magnitude - 1
    offset = add.bias - 2 * mul.bias
    power = mul.exponent_max
    # -128: the word 0 is +0 in any format
    lowest = min(-128, min(offset, 0) + 2 - shift_limit(magnitude - 1) - power)
    highest = max(2 * mul.exponent_max + offset, add.exponent_max) + 2 + power
    return RawFormat(magnitude, fraction, lowest, highest)


def raw_of_sum(fmt: FloatFormat) -> RawFormat:
    """The raw words of ``adder(fmt)``."""
    magnitude = fmt.mantissa_bits + 5
    return RawFormat(magnitude, magnitude - 1, 1 - shift_limit(magnitude - 1), fmt.exponent_max + 1)


def shift_limit(width: int) -> int:
    """The greatest amount of a shifter that empties a word of so many bits: all ones."""
    return (1 << width.bit_length()) - 1


def piece_shifts(mul: FloatFormat, pieces: int) -> tuple[int, int]:
    """How far a fraction of ``mul``'s mantissa bits goes left, then right, to be the number of its piece of 2**x."""
    bits = pieces.bit_length() - 1
    return max(0, bits - mul.mantissa_bits), max(0, mul.mantissa_bits - bits)


def multiply_adder(
    mul: FloatFormat, add: FloatFormat, pieces: int = 0, streamed: bool = True
) -> Callable[[int, int, int, int], int]:
    """The function ``multiply_add(x, y, z, exp2)``: the raw word of x * y + z (x, y of ``mul``, z of ``add``).

    With ``exp2`` 1 it is that of 2**x = 2**Xi * (y * Xf + z) instead, for a slope y and an intercept z that carries its
    piece number in exponent bits [E-1:1] (``streamed_intercepts``); hit says that x lies in that piece, and the word
    is 0 when it does not. Where intercepts are not ``streamed``, z is a plain one, of the piece that x lies in, and hit
    is 1. ``pieces`` 0 leaves exp2 out.
    """
    ma, ea_max, bias_a = mul.mantissa_bits, mul.exponent_max, mul.bias
    mc, ec_max, bias_c = add.mantissa_bits, add.exponent_max, add.bias
    sign_a, sign_c = mul.width - 1, add.width - 1
    fraction_a, hidden_a = mul.mantissa_mask, 1 << ma
    fraction_c, hidden_c = add.mantissa_mask, 1 << mc
    exponent_bits_a = mul.exponent_bits

    # An aligned operand: its leading one stands at bit k (a product's at k or k + 1), a normalised sum's at k + 2.
    k = fraction_bits(mul, add)
    raw_format = raw_of_product(mul, add)
    product_shift, addend_shift = k - 2 * ma, k - mc
    farthest, ones = shift_limit(k + 2), (1 << (k + 2)) - 1
    exponent_offset = bias_c - 2 * bias_a
    below_16, below_8, below_4, below_2, below_1 = (1 << max(0, k + 3 - s) for s in (16, 8, 4, 2, 1))
    wide = int(k + 2 >= 32)
    below_32 = 1 << (k + 3 - 32) if wide else 1
    cut = k + 2 - raw_format.fraction_bits
    cuts, cut_off = int(cut > 0), (1 << cut) - 1
    exponent_at, fraction_mask = raw_format.fraction_bits, (1 << raw_format.fraction_bits) - 1
    raw_offset = raw_format.offset + 2
    # elaboration-time choices are ints, which the converter folds
    interpolates, searches, found = int(pieces > 0), int(streamed), int(not streamed)
    lengthen, piece_shift = piece_shifts(mul, max(1, pieces))
    piece_at, piece_mask = mc + 1, ec_max >> 1
    integer_mask = shift_limit(exponent_bits_a - 1)
    intercept_exponent = bias_c - 1
    infinite, nan, zero = INFINITE, NAN, ZERO

    def multiply_add(x: int, y: int, z: int, exp2: int) -> int:
        ea = (x >> ma) & ea_max
        am = (x & fraction_a) | hidden_a
        ec = (z >> mc) & ec_max
        sc = z >> sign_c
        power = 0
        overflow = 0
        hit = 0
        raw = 0
        if interpolates:
            if exp2 != 0:
                # x = Xi + Xf: Xi scales the result, Xf multiplies the slope
                e = ea - bias_a
                piece = 0
                hit = found
                if e >= 0:
                    if e >= exponent_bits_a:
                        overflow = 1
                    else:
                        spread = am << (e & integer_mask)
                        power = spread >> ma
                        am = spread & fraction_a
                        if searches:
                            piece = (am << lengthen) >> piece_shift
                        ea = bias_a
                        if am == 0:
                            ea = 0
                        if (x >> sign_a) != 0:
                            power = -power
                elif ea != 0:
                    if searches:
                        piece = ((am << lengthen) >> piece_shift) >> -e
                if searches:
                    if ((z >> piece_at) & piece_mask) == piece:
                        hit = 1
                    # the intercept's own exponent is known: it lies in (0.5, 1]
                    ec = intercept_exponent | (ec & 1)
                    sc = 0
        if exp2 == 0 or hit != 0:
            eb = (y >> ma) & ea_max
            sp = (x ^ y) >> sign_a
            if ea == ea_max or eb == ea_max or ec == ec_max or overflow != 0:
                kind = infinite
                sign = sp
                if ec == ec_max:
                    sign = sc
                    if (z & fraction_c) != 0:
                        kind = nan
                if ea == ea_max:
                    if (x & fraction_a) != 0 or eb == 0:
                        kind = nan
                    elif ec == ec_max and sp != sc:
                        kind = nan
                if eb == ea_max:
                    if (y & fraction_a) != 0 or ea == 0:
                        kind = nan
                    elif ec == ec_max and sp != sc:
                        kind = nan
                if exp2 != 0 and kind == infinite:
                    # 2**-Inf, or an integer part that no exponent holds
                    kind = zero
                    sign = 0
                raw = (kind << 2) | (sign << 1) | hit
            else:
                product = am * ((y & fraction_a) | hidden_a)
                addend = (z & fraction_c) | hidden_c
                exponent = ea + eb + exponent_offset
                distance = exponent - ec
                if ec == 0:
                    addend = 0
                    distance = 0
                # one shifter: the operand of the smaller exponent goes into it
                sign = sp
                greater = product << product_shift
                lesser = addend << addend_shift
                if ea == 0 or eb == 0:
                    greater = lesser
                    lesser = 0
                    distance = 0
                    exponent = ec
                    sign = sc
                elif distance < 0:
                    swapped = greater
                    greater = lesser
                    lesser = swapped
                    distance = -distance
                    exponent = ec
                    sign = sc
                if distance > farthest:
                    distance = farthest
                aligned = lesser >> distance
                if (lesser & (ones << distance)) != lesser:
                    aligned = aligned | 1
                # one adder: minus is the complement plus 1
                differ = sp ^ sc
                if differ != 0:
                    aligned = ~aligned
                magnitude = greater + aligned + differ
                if magnitude < 0:
                    magnitude = -magnitude
                    sign = sign ^ 1
                leading = 0
                if wide:
                    if magnitude < below_32:
                        magnitude = magnitude << 32
                        leading = 32
                if magnitude < below_16:
                    magnitude = magnitude << 16
                    leading = leading | 16
                if magnitude < below_8:
                    magnitude = magnitude << 8
                    leading = leading | 8
                if magnitude < below_4:
                    magnitude = magnitude << 4
                    leading = leading | 4
                if magnitude < below_2:
                    magnitude = magnitude << 2
                    leading = leading | 2
                if magnitude < below_1:
                    magnitude = magnitude << 1
                    leading = leading | 1
                if magnitude < below_1:
                    raw = (zero << 2) | ((sp & sc) << 1) | hit
                else:
                    fraction = magnitude & fraction_mask
                    if cuts:
                        fraction = (magnitude >> cut) & fraction_mask
                        if (magnitude & cut_off) != 0:
                            fraction = fraction | 1
                    exponent = exponent + power + raw_offset - leading
                    raw = (((exponent << exponent_at) | fraction) << 4) | (sign << 1) | hit
        return raw

    operation = ("streamed_exp2_" if streamed else "exp2_") if pieces else ""
    multiply_add.__name__ = f"multiply_add_{operation}{mul}_{add}"  # its name in Verilog
    return multiply_add


def adder(fmt: FloatFormat) -> Callable[[int, int], int]:
    """The function ``add(x, z)``: the raw word of x + z, for ``sum_rounder``: the same bits as FMA(x, 1, z)."""
    m, exponent_max, fraction_mask = fmt.mantissa_bits, fmt.exponent_max, fmt.mantissa_mask
    hidden, sign_bit, below_sign = 1 << fmt.mantissa_bits, fmt.width - 1, fmt.sign_mask - 1
    # three bits below an operand's own, and one above for the carry
    raw_format = raw_of_sum(fmt)
    width = raw_format.magnitude_bits
    farthest, ones, sum_mask = shift_limit(width - 1), (1 << (width - 1)) - 1, (1 << width) - 1
    below_16, below_8, below_4, below_2, below_1 = (1 << max(0, width - s) for s in (16, 8, 4, 2, 1))
    exponent_at, raw_mask = raw_format.fraction_bits, (1 << raw_format.fraction_bits) - 1
    raw_offset = raw_format.offset + 1
    infinite, nan, zero = INFINITE, NAN, ZERO

    def add(x: int, z: int) -> int:
        raw = 0
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
            raw = (kind << 2) | (sign << 1)
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
            leading = 0
            if magnitude < below_16:
                magnitude = magnitude << 16
                leading = 16
            if magnitude < below_8:
                magnitude = magnitude << 8
                leading = leading | 8
            if magnitude < below_4:
                magnitude = magnitude << 4
                leading = leading | 4
            if magnitude < below_2:
                magnitude = magnitude << 2
                leading = leading | 2
            if magnitude < below_1:
                magnitude = magnitude << 1
                leading = leading | 1
            if magnitude < below_1:
                raw = (zero << 2) | (both << 1)
            else:
                exponent = exponent + raw_offset - leading
                raw = (((exponent << exponent_at) | (magnitude & raw_mask)) << 4) | (sign << 1)
        return raw

    add.__name__ = f"add_{fmt}"  # its name in Verilog
    return add


def rounder(
    mul: FloatFormat, add: FloatFormat, out: FloatFormat, mode: RoundingMode = RoundingMode.RNE
) -> Callable[[int], int]:
    """The function ``round_result(raw)``: the pattern of ``out`` nearest to a raw word of ``multiply_adder(mul, add)``.

    ``out`` is at most as precise as ``add``. An exponent field <= 0 gives zero and one of all ones gives Inf, in every
    mode.
    """
    round_result = _rounder(raw_of_product(mul, add), add, out, mode)
    round_result.__name__ = f"round_{mul}_{add}_to_{out}"  # its name in Verilog
    return round_result


def sum_rounder(fmt: FloatFormat) -> Callable[[int], int]:
    """The function ``round_sum(raw)``: the pattern of ``fmt`` nearest to a raw word of ``adder(fmt)``, ties to even."""
    round_sum = _rounder(raw_of_sum(fmt), fmt, fmt, RoundingMode.RNE)
    round_sum.__name__ = f"round_sum_{fmt}"  # its name in Verilog
    return round_sum


def _rounder(raw_format: RawFormat, add: FloatFormat, out: FloatFormat, mode: RoundingMode) -> Callable[[int], int]:
    m, sign_bit = out.mantissa_bits, out.width - 1
    nan, infinity = out.nan, out.infinity
    drop = raw_format.fraction_bits + _FLAGS - m
    half = 1 << (drop - 1)
    dropped, below_half = (1 << drop) - (1 << _FLAGS), half - (1 << _FLAGS)
    odd_or_below_half = below_half | (1 << drop)
    rebias = (raw_format.offset + add.bias - out.bias) << m
    infinite_from, normal_from = infinity + rebias, (1 << m) + rebias
    rne, rdn, rup, rmm = (
        int(mode == m) for m in (RoundingMode.RNE, RoundingMode.RDN, RoundingMode.RUP, RoundingMode.RMM)
    )
    is_nan, finite, infinite = NAN, FINITE, INFINITE

    def round_result(raw: int) -> int:
        kind = (raw >> 2) & 3
        sign = (raw >> 1) & 1
        bits = sign << sign_bit
        if kind == finite:
            increment = 0
            if rne:
                if (raw & half) != 0 and (raw & odd_or_below_half) != 0:
                    increment = 1
            if rmm:
                if (raw & half) != 0:
                    increment = 1
            if rup:
                if (raw & dropped) != 0 and sign == 0:
                    increment = 1
            if rdn:
                if (raw & dropped) != 0 and sign != 0:
                    increment = 1
            # a carry out of the fraction goes into the exponent
            kept = (raw >> drop) + increment
            if kept >= infinite_from:
                bits = bits | infinity
            elif kept >= normal_from:
                bits = bits | (kept - rebias)
        else:
            # a zero is its sign alone
            if kind == infinite:
                bits = bits | infinity
            if kind == is_nan:
                bits = nan
        return bits

    return round_result


def piece_finder(mul: FloatFormat, pieces: int) -> Callable[[int], int]:
    """The function ``find_piece(x)``: the piece of (-1, 0] that the fraction of x lies in, 0 next to zero."""
    m, exponent_max, bias, exponent_bits = mul.mantissa_bits, mul.exponent_max, mul.bias, mul.exponent_bits
    fraction, hidden = mul.mantissa_mask, 1 << m
    integer_mask = shift_limit(exponent_bits - 1)
    lengthen, shift = piece_shifts(mul, pieces)

    def find_piece(x: int) -> int:
        piece = 0
        field = (x >> m) & exponent_max
        significand = (x & fraction) | hidden
        e = field - bias
        if e >= 0:
            if e < exponent_bits:
                spread = significand << (e & integer_mask)
                piece = ((spread & fraction) << lengthen) >> shift
        elif field != 0:
            piece = ((significand << lengthen) >> shift) >> -e
        return piece

    find_piece.__name__ = f"find_piece_{mul}"  # its name in Verilog
    return find_piece


def narrower(src: FloatFormat, dst: FloatFormat) -> Callable[[int], int]:
    """The function ``narrow(x)``: a pattern of ``src`` rounded to nearest even in ``dst``, which is no wider."""
    ms, es_max, sign_s, sign_d = src.mantissa_bits, src.exponent_max, src.width - 1, dst.width - 1
    md, ed_max = dst.mantissa_bits, dst.exponent_max
    magnitude_mask, fraction, nan, infinity = src.sign_mask - 1, src.mantissa_mask, dst.nan, dst.infinity
    drop = ms - md
    rounds = int(drop > 0)
    half = (1 << drop) >> 1
    odd_or_below_half = (1 << drop) | max(0, half - 1)
    rebias = (src.bias - dst.bias) << md

    def narrow(x: int) -> int:
        exponent = (x >> ms) & es_max
        bits = (x >> sign_s) << sign_d
        if exponent == es_max:
            bits = bits | infinity
            if (x & fraction) != 0:
                bits = nan
        elif exponent != 0:
            increment = 0
            if rounds:
                if (x & half) != 0 and (x & odd_or_below_half) != 0:
                    increment = 1
            # a carry out of the fraction goes into the exponent
            kept = ((x & magnitude_mask) >> drop) - rebias + increment
            rounded = kept >> md
            if rounded >= ed_max:
                bits = bits | infinity
            elif rounded > 0:
                bits = bits | kept
        return bits

    narrow.__name__ = f"narrow_{src}_{dst}"  # its name in Verilog
    return narrow

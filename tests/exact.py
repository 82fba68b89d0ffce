"""Independent scalar models: the arithmetic and the attention of the specification in plain Python integers.

Nothing here comes from the package. A format is a pair (E, M); a number is a bit pattern held in an int. Rationals
(``round_fraction``) check the integer rounding a second time.
"""

from __future__ import annotations

import math
from fractions import Fraction

Format = tuple[int, int]

FP16: Format = (5, 10)
BF16: Format = (8, 7)
FP32: Format = (8, 23)
RNE, RTZ, RDN, RUP, RMM = range(5)


def pack(sign: int, field: int, mantissa: int, fmt: Format) -> int:
    return sign << (fmt[0] + fmt[1]) | field << fmt[1] | mantissa


def nan(fmt: Format) -> int:
    return pack(0, (1 << fmt[0]) - 1, 1 << (fmt[1] - 1), fmt)


def infinity(sign: int, fmt: Format) -> int:
    return pack(sign, (1 << fmt[0]) - 1, 0, fmt)


def one(fmt: Format) -> int:
    return pack(0, (1 << (fmt[0] - 1)) - 1, 0, fmt)


def negate(bits: int, fmt: Format) -> int:
    return bits ^ 1 << (fmt[0] + fmt[1])


def unpack(bits: int, fmt: Format) -> tuple[int, int, int, int]:
    """(kind, sign, integer, exponent): kind 0 finite (sign * integer * 2**exponent), 1 Inf, 2 NaN."""
    exponent_bits, mantissa_bits = fmt
    ones = (1 << exponent_bits) - 1
    mantissa = bits & (1 << mantissa_bits) - 1
    field = bits >> mantissa_bits & ones
    sign = bits >> (exponent_bits + mantissa_bits)
    if field == ones:
        return (2 if mantissa else 1), sign, 0, 0
    if field == 0:
        return 0, sign, 0, 0
    return 0, sign, mantissa | 1 << mantissa_bits, field - (ones >> 1) - mantissa_bits


def round_integer(sign: int, integer: int, exponent: int, fmt: Format, mode: int = RNE, sticky: int = 0) -> int:
    """integer * 2**exponent (integer > 0; a little more when sticky), rounded once; the exponent is unbounded first."""
    exponent_bits, mantissa_bits = fmt
    if sticky:
        # a low bit that stands for everything below
        integer, exponent = integer << 80 | 1, exponent - 80
    drop = integer.bit_length() - 1 - mantissa_bits
    if drop > 0:
        kept = integer >> drop
        rest = integer - (kept << drop)
        half = 1 << (drop - 1)
        if mode == RNE:
            kept += rest > half or (rest == half and kept & 1)
        elif mode == RMM:
            kept += rest >= half
        elif rest and mode != RTZ and (mode == RDN) == bool(sign):
            kept += 1
    else:
        kept = integer << -drop
    if kept >> (mantissa_bits + 1):
        kept >>= 1
        drop += 1
    ones = (1 << exponent_bits) - 1
    field = exponent + drop + mantissa_bits + (ones >> 1)
    if field <= 0:
        return sign << (exponent_bits + mantissa_bits)
    if field >= ones:
        return infinity(sign, fmt)
    return sign << (exponent_bits + mantissa_bits) | field << mantissa_bits | kept & (1 << mantissa_bits) - 1


def fraction_of(bits: int, fmt: Format) -> Fraction:
    """A finite pattern as a rational."""
    _, sign, integer, exponent = unpack(bits, fmt)
    return (-1) ** sign * integer * Fraction(2) ** exponent


def round_fraction(x: Fraction, fmt: Format, mode: int = RNE) -> int:
    """The same rounding from a nonzero rational, by comparing with the two neighbours."""
    exponent_bits, mantissa_bits = fmt
    sign, size = int(x < 0), abs(x)
    exponent = math.floor(math.log2(size.numerator) - math.log2(size.denominator))
    while Fraction(2) ** exponent > size:
        exponent -= 1
    while Fraction(2) ** (exponent + 1) <= size:
        exponent += 1
    unit = Fraction(2) ** (exponent - mantissa_bits)
    lower = size // unit
    below, above = size - lower * unit, (lower + 1) * unit - size
    if below == 0:
        chosen = lower
    elif mode == RTZ:
        chosen = lower
    elif mode in (RDN, RUP):
        chosen = lower + ((mode == RDN) == (sign == 1))
    elif below != above:
        chosen = lower + (above < below)
    else:
        chosen = lower + 1 if mode == RMM else lower + lower % 2
    value = chosen * unit
    bias = (1 << (exponent_bits - 1)) - 1
    if value < Fraction(2) ** (1 - bias):
        return pack(sign, 0, 0, fmt)
    if value >= Fraction(2) ** (bias + 1):
        return infinity(sign, fmt)
    exponent += value >= Fraction(2) ** (exponent + 1)
    mantissa = value / Fraction(2) ** (exponent - mantissa_bits) - (1 << mantissa_bits)
    assert mantissa.denominator == 1
    return pack(sign, exponent + bias, int(mantissa), fmt)


def fma(a: int, b: int, c: int, mul: Format, add: Format, out: Format, mode: int = RNE) -> int:
    """a * b + c, rounded once."""
    a_kind, a_sign, a_integer, a_exponent = unpack(a, mul)
    b_kind, b_sign, b_integer, b_exponent = unpack(b, mul)
    c_kind, c_sign, c_integer, c_exponent = unpack(c, add)
    sign = a_sign ^ b_sign
    if a_kind | b_kind | c_kind:
        if a_kind == 2 or b_kind == 2 or c_kind == 2:
            return nan(out)
        if a_kind or b_kind:
            if (a_kind == 0 and a_integer == 0) or (b_kind == 0 and b_integer == 0):
                return nan(out)
            return nan(out) if c_kind and c_sign != sign else infinity(sign, out)
        return infinity(c_sign, out)
    product, exponent = a_integer * b_integer, a_exponent + b_exponent
    if product == 0 and c_integer == 0:
        return pack(sign & c_sign, 0, 0, out)
    if product == 0:
        return round_integer(c_sign, c_integer, c_exponent, out, mode)
    if c_integer == 0:
        return round_integer(sign, product, exponent, out, mode)
    if exponent > c_exponent:
        product <<= exponent - c_exponent
        exponent = c_exponent
    else:
        c_integer <<= c_exponent - exponent
    total = (-product if sign else product) + (-c_integer if c_sign else c_integer)
    if total == 0:
        return 0
    return round_integer(int(total < 0), abs(total), exponent, out, mode)


def convert(x: int, src: Format, dst: Format, mode: int = RNE) -> int:
    """One rounding from a format to another."""
    kind, sign, integer, exponent = unpack(x, src)
    if kind:
        return nan(dst) if kind == 2 else infinity(sign, dst)
    return round_integer(sign, integer, exponent, dst, mode) if integer else pack(sign, 0, 0, dst)


def from_double(x: float, fmt: Format, mode: int = RNE) -> int:
    """A Python float rounded once."""
    if math.isnan(x):
        return nan(fmt)
    sign = int(math.copysign(1.0, x) < 0)
    if math.isinf(x):
        return infinity(sign, fmt)
    if x == 0:
        return pack(sign, 0, 0, fmt)
    numerator, denominator = abs(x).as_integer_ratio()
    return round_integer(sign, numerator, 1 - denominator.bit_length(), fmt, mode)


def maximum(a: int, b: int, fmt: Format) -> int:
    """b when a - b has its sign bit set, else a."""
    difference = fma(a, one(fmt), negate(b, fmt), fmt, fmt, fmt)
    return b if difference >> (fmt[0] + fmt[1]) else a


def exp2_constants(mul: Format, add: Format, pieces: int = 8) -> tuple[list[int], list[int]]:
    """Slopes (mul) and intercepts (add), piece 0 next to zero."""
    slopes, intercepts = [], []
    for piece in range(pieces):
        left, right = -(piece + 1) / pieces, -piece / pieces
        slope = (2.0**right - 2.0**left) / (right - left)
        slopes.append(from_double(slope, mul))
        intercepts.append(from_double(2.0**left - slope * left, add))
    return slopes, intercepts


def exp2(x: int, mul: Format, add: Format, out: Format, constants: tuple[list[int], list[int]]) -> int:
    """2**Xi * (slope * Xf + intercept), rounded once."""
    kind, sign, integer, exponent = unpack(x, mul)
    if kind:
        return nan(out) if kind == 2 else 0
    if exponent >= 0:
        whole, rest, exponent = integer << exponent, 0, 0
    else:
        whole = integer >> -exponent
        rest = integer - (whole << -exponent)
    if whole >= 1 << mul[0]:
        return 0
    slopes, intercepts = constants
    piece = len(slopes) * rest >> -exponent
    _, _, slope, slope_exponent = unpack(slopes[piece], mul)
    _, _, intercept, intercept_exponent = unpack(intercepts[piece], add)
    low = min(slope_exponent + exponent, intercept_exponent)
    term = slope * rest << (slope_exponent + exponent - low)
    total = (intercept << (intercept_exponent - low)) + (-term if sign else term)
    return round_integer(0, total, low + (-whole if sign else whole), out)


def reciprocal(x: int, fmt: Format, method: str) -> int:
    """1 / x by Newton steps or by exact division."""
    exponent_bits, mantissa_bits = fmt
    kind, sign, integer, exponent = unpack(x, fmt)
    if kind == 2:
        return nan(fmt)
    if kind == 1:
        # the last Newton step is FMA(r, s * 0, +0), which is +0 whatever the sign
        return pack(sign if method == "division" else 0, 0, 0, fmt)
    if integer == 0:
        return infinity(sign, fmt)
    if method == "division":
        quotient, rest = divmod(1 << 2 * mantissa_bits + 8, integer)
        return round_integer(sign, quotient, -exponent - 2 * mantissa_bits - 8, fmt, RNE, int(rest != 0))
    bias = (1 << (exponent_bits - 1)) - 1
    field = x >> mantissa_bits & (1 << exponent_bits) - 1
    mantissa = pack(1, bias, x & (1 << mantissa_bits) - 1, fmt)
    two = pack(0, bias + 1, 0, fmt)
    guess = one(fmt)
    for _ in range((mantissa_bits).bit_length() + 4):
        step = fma(guess, mantissa, two, fmt, fmt, fmt)
        guess = fma(guess, step, 0, fmt, fmt, fmt)
    return fma(guess, pack(sign, 2 * bias - field, 0, fmt), 0, fmt, fmt, fmt)


def attention(
    q: list[list[int]],
    k: list[list[int]],
    v: list[list[int]],
    elem: Format,
    acc: Format,
    method: str = "newton",
    causal: bool = False,
    pieces: int = 8,
    trace: dict[str, dict[tuple[int, ...], int]] | None = None,
    side: int | None = None,
    factor: float | None = None,
) -> list[list[int]]:
    """Attention on elem patterns, [sequence][d] and [sequence][dv]; acc patterns back. ``trace`` collects steps.

    A tile is ``side`` long, or d; keys that the last one lacks count in its maximum alone, as -Inf. ``factor``
    multiplies the scores, 1 / sqrt(d) unless given.
    """
    d, dv = len(q[0]), len(v[0])
    n = d if side is None else side
    steps: dict[str, dict[tuple[int, ...], int]] = trace if trace is not None else {}

    def note(name: str, at: tuple[int, ...], bits: int) -> None:
        steps.setdefault(name, {})[at] = bits

    scale = math.log2(math.e) / math.sqrt(d) if factor is None else math.log2(math.e) * factor
    scale_elem, scale_acc = from_double(scale, elem), from_double(scale, acc)
    in_pe, in_accumulator = exp2_constants(elem, acc, pieces), exp2_constants(acc, acc, pieces)
    one_elem, one_acc = one(elem), one(acc)
    result = []
    for row, query in enumerate(q):
        m = infinity(1, acc)
        big_l, big_o = 0, [0] * dv
        for tile in range((len(k) + n - 1) // n):
            if causal and tile > row // n:
                continue
            keys = range(tile * n, min(len(k), tile * n + n))
            scores, rounded = [], []
            for key in keys:
                s = 0
                for dd in reversed(range(d)):
                    s = fma(k[key][dd], query[dd], s, elem, acc, acc)
                note("S", (row, key), s)
                scores.append(infinity(1, acc) if causal and key > row else s)
            m_old = m
            for s in [*scores, *[infinity(1, acc)] * (n - len(keys))]:
                m = maximum(s, m, acc)
            minus_m = negate(m, acc)
            delta = fma(m_old, one_acc, minus_m, acc, acc, acc)
            weights = []
            for key, s in zip(keys, scores, strict=True):
                s_elem = convert(s, acc, elem)
                x1 = fma(s_elem, one_elem, minus_m, elem, acc, elem)
                x2 = fma(x1, scale_elem, 0, elem, acc, elem)
                p = exp2(x2, elem, acc, elem, in_pe)
                rounded.append(s_elem)
                weights.append(p)
                for name, bits in (("S_elem", s_elem), ("X1", x1), ("X2", x2), ("P", p)):
                    note(name, (row, key), bits)
            row_sum = 0
            for p in reversed(weights):
                row_sum = fma(p, one_elem, row_sum, elem, acc, acc)
            partial = []
            for dd in range(dv):
                total = 0
                for key, p in zip(reversed(keys), reversed(weights), strict=True):
                    total = fma(p, v[key][dd], total, elem, acc, acc)
                partial.append(total)
            scaled = fma(delta, scale_acc, 0, acc, acc, acc)
            a = exp2(scaled, acc, acc, acc, in_accumulator)
            big_l = fma(big_l, a, row_sum, acc, acc, acc)
            big_o = [fma(old, a, new, acc, acc, acc) for old, new in zip(big_o, partial, strict=True)]
            for name, bits in (("running_max", m), ("delta", delta), ("scaled_delta", scaled), ("rescale", a),
                               ("row_sum", row_sum), ("L", big_l)):
                note(name, (row, tile), bits)
            for dd in range(dv):
                note("O_partial", (row, tile, dd), partial[dd])
                note("O", (row, tile, dd), big_o[dd])
        r = reciprocal(big_l, acc, method)
        note("reciprocal", (row,), r)
        result.append([fma(o, r, 0, acc, acc, acc) for o in big_o])
    return result

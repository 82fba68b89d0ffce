"""The machine's arithmetic on float32 in Triton: fp32 accumulators, elements of fp16 or bf16.

A processor's fused multiply-add that flushes (``fma.rn.ftz.f32``) rounds as the machine does: to 24 bits as though the
exponent had no end, and then to zero below the smallest normal number. Triton's interpreter has no fused operation, and
goes through float64 (EMULATE) as the golden model does. Source: docs/specification.md section 1.
"""

from __future__ import annotations

import triton
import triton.language as tl

__all__ = ["element_value", "exp2", "multiply_add", "reciprocal", "round_difference", "round_element"]

_SMALLEST: tl.constexpr = tl.constexpr(2.0**-126)
"""the smallest normal number of fp32, and of bf16"""
_FLUSHED: tl.constexpr = tl.constexpr(2.0**-126 * (1 - 2.0**-25))
"""what rounds to less than that in fp32 is below this"""


@triton.jit
def multiply_add(x: tl.tensor, y: tl.tensor, z: tl.tensor, EMULATE: tl.constexpr) -> tl.tensor:
    """x * y + z, rounded once; all of one shape."""
    if EMULATE:
        product = x.to(tl.float64) * y.to(tl.float64)
        addend = z.to(tl.float64)
        total = product + addend
        # what float64 dropped, and whether that is all that keeps the sum from the middle of two float32
        virtual = total - product
        error = (product - (total - virtual)) + (addend - virtual)
        bits = total.to(tl.int64, bitcast=True)
        middle = (bits & 0x1FFFFFFF) == 0x10000000
        outward = (error > 0) == (total > 0)
        bits = tl.where(middle & (error != 0), tl.where(outward, bits + 1, bits - 1), bits)
        total = bits.to(tl.float64, bitcast=True)
        return tl.where(tl.abs(total) < _FLUSHED, total * 0.0, total).to(tl.float32)
    else:
        return tl.inline_asm_elementwise(
            "fma.rn.ftz.f32 $0, $1, $2, $3;", "=f,f,f,f", [x, y, z], dtype=tl.float32, is_pure=True, pack=1)


@triton.jit
def round_element(x: tl.tensor, BF16: tl.constexpr) -> tl.tensor:
    """The element's pattern, int16, that a float32 rounds to; what is too small becomes +0."""
    if BF16:
        bits = x.to(tl.int32, bitcast=True)
        # 2**-126 * (1 - 2**-9), as a pattern: Triton would compare a constant below float32's normal ones in float64
        bits = tl.where((bits & 0x7FFFFFFF) < 0x007FC000, 0, bits)
        rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return tl.where(x != x, 0x7FC0, rounded).to(tl.int16)
    else:
        # the conversion would make subnormal numbers, and of those next to the smallest normal number that one
        normal = tl.where(tl.abs(x) < 2.0**-14 * (1 - 2.0**-12), 0.0, x)
        return normal.to(tl.float16).to(tl.int16, bitcast=True)


@triton.jit
def element_value(pattern: tl.tensor, BF16: tl.constexpr) -> tl.tensor:
    """The float32 of an element's pattern, int16, which is of no subnormal number."""
    if BF16:
        return (pattern.to(tl.int32) << 16).to(tl.float32, bitcast=True)
    else:
        return pattern.to(tl.float16, bitcast=True).to(tl.float32)


@triton.jit
def round_difference(x: tl.tensor, y: tl.tensor, BF16: tl.constexpr, EMULATE: tl.constexpr) -> tl.tensor:
    """The element's pattern that x - y rounds to, once; both float32, of one shape."""
    if EMULATE:
        MIDDLE: tl.constexpr = 0x8000 if BF16 else 0x1000
        total = x - y
        virtual = total - x
        # what float32 dropped: it tells only where the difference lies in the middle of two elements
        error = (x - (total - virtual)) - (y + virtual)
        bits = total.to(tl.int32, bitcast=True)
        outward = (error > 0) == (total > 0)
        moved = tl.where(outward, bits + 1, bits - 1)
        bits = tl.where(((bits & (2 * MIDDLE - 1)) == MIDDLE) & (error != 0), moved, bits)
        odd = bits.to(tl.float32, bitcast=True)
    else:
        # rounded to odd: of the two float32 next to an inexact difference one is odd, and in the middle of no elements
        lower = tl.inline_asm_elementwise(
            "sub.rm.f32 $0, $1, $2;", "=f,f,f", [x, y], dtype=tl.float32, is_pure=True, pack=1)
        upper = tl.inline_asm_elementwise(
            "sub.rp.f32 $0, $1, $2;", "=f,f,f", [x, y], dtype=tl.float32, is_pure=True, pack=1)
        odd = tl.where((lower.to(tl.int32, bitcast=True) & 1) != 0, lower, upper)
    return round_element(odd, BF16)


@triton.jit
def exp2(x: tl.tensor, coefficients: tl.tensor, PIECES: tl.constexpr, EMULATE: tl.constexpr) -> tl.tensor:
    """2**x of an x that is not above zero, by the chords at ``coefficients`` [PIECES, 2]."""
    inside = tl.abs(x) < 256.0
    argument = tl.where(inside, x, 0.0)
    integer = argument.to(tl.int32)
    fraction = argument - integer.to(tl.float32)
    piece = (tl.abs(fraction) * PIECES).to(tl.int32)
    chord = multiply_add(
        tl.load(coefficients + 2 * piece), fraction, tl.load(coefficients + 2 * piece + 1), EMULATE)
    # a chord is at most 1: below 2**-126 the result is zero
    power = tl.where(integer < -126, 0, (integer + 127) << 23).to(tl.float32, bitcast=True)
    result = tl.where(inside, multiply_add(chord, power, tl.zeros_like(chord), EMULATE), 0.0)
    return tl.where(x != x, x, result)


@triton.jit
def reciprocal(x: tl.tensor, NEWTON_STEPS: tl.constexpr, EMULATE: tl.constexpr) -> tl.tensor:
    """1 / x, by so many Newton steps; rounded correctly if there are none."""
    if NEWTON_STEPS == 0:
        quotient = tl.div_rn(tl.full(x.shape, 1.0, tl.float32), x)
        return tl.where(tl.abs(quotient) < _SMALLEST, quotient * 0.0, quotient)
    else:
        bits = x.to(tl.int32, bitcast=True)
        field = (bits >> 23) & 0xFF
        ordinary = (field > 0) & (field < 255)
        divisor = tl.where(ordinary, (bits & 0x7FFFFF) | 0x3F800000, 0x3F800000).to(tl.float32, bitcast=True)
        zero = tl.zeros_like(x)
        guess = zero + 1.0
        for _ in range(NEWTON_STEPS):
            guess = multiply_add(guess, multiply_add(guess, -divisor, zero + 2.0, EMULATE), zero, EMULATE)
        # of the largest numbers the power would be 2**-127, which is no number: zero, as that of Inf
        power = tl.where(field == 255, 0, tl.where(field == 0, 255, 254 - field) << 23) | (bits & -0x80000000)
        result = multiply_add(guess, power.to(tl.float32, bitcast=True), zero, EMULATE)
        return tl.where(x != x, x, result)

"""The arithmetic library against independent integer and rational models."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import exact
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myhdl_fsa.arithmetic.rounding import max_finite, min_normal
from myhdl_fsa.easyfloat import (
    BF16,
    E4M3,
    E5M2,
    FP16,
    FP32,
    TF32,
    Exp2,
    FloatFormat,
    MultiplyAdd,
    Reciprocal,
    RoundingMode,
    as_format,
    convert,
    exp2,
    fma,
    from_float,
    maximum,
    reciprocal,
    to_float,
)

E3M2, E6M9 = FloatFormat(3, 2), FloatFormat(6, 9)
FORMATS = (FP16, BF16, FP32, E3M2, E4M3, E5M2, E6M9)
PAIRS = ((FP16, FP32), (BF16, FP32), (FP32, FP32), (FP16, FP16), (BF16, BF16), (E4M3, E6M9))
Arrays = Any
"""a, b and c"""

DIRECTED = tuple(mode for mode in RoundingMode if mode != RoundingMode.RNE)


def pair(fmt: FloatFormat) -> exact.Format:
    return fmt.exponent_bits, fmt.mantissa_bits


def random_bits(rng: np.random.Generator, fmt: FloatFormat, count: int) -> np.ndarray:
    return rng.integers(0, 1 << fmt.width, count, dtype=np.uint64).astype(fmt.dtype)


def build(rng: np.random.Generator, fmt: FloatFormat, low: int, high: int, count: int) -> np.ndarray:
    """Random signs and mantissas (some with few bits), exponent fields from low to high, held inside the format."""
    field = np.clip(rng.integers(low, high + 1, count), 0, fmt.exponent_max)
    mantissa = rng.integers(0, 1 << fmt.mantissa_bits, count)
    mantissa &= np.where(rng.random(count) < 0.4, -1 << rng.integers(0, fmt.mantissa_bits + 1, count), -1)
    return (rng.integers(0, 2, count) << (fmt.width - 1) | field << fmt.mantissa_bits | mantissa).astype(fmt.dtype)


def specials(fmt: FloatFormat) -> list[int]:
    positive = [
        0,
        1,
        fmt.mantissa_mask,
        fmt.mantissa_mask + 1,
        fmt.mantissa_mask + 2,
        fmt.one - 1,
        fmt.one,
        fmt.one + 1,
        fmt.infinity - 1,
        fmt.infinity,
        fmt.infinity + 1,
        fmt.nan,
        fmt.infinity | fmt.mantissa_mask,
    ]
    return positive + [bits | fmt.sign_mask for bits in positive]


def special_cases(mul: FloatFormat, add: FloatFormat) -> Arrays:
    grid = np.meshgrid(specials(mul), specials(mul), specials(add))
    return tuple(axis.ravel().astype(fmt.dtype) for axis, fmt in zip(grid, (mul, mul, add), strict=True))


def fma_cases(
    rng: np.random.Generator, mul: FloatFormat, add: FloatFormat, out: FloatFormat, count: int
) -> Arrays:
    """At least ``count`` cases aimed at what can go wrong, and every combination of special operands."""
    each = count // 8 + 1
    parts = [special_cases(mul, add), tuple(random_bits(rng, fmt, each) for fmt in (mul, mul, add))]

    def ordinary(spread: int) -> tuple[np.ndarray, np.ndarray]:
        a, b = (build(rng, mul, mul.bias - spread, mul.bias + spread, each) for _ in range(2))
        return a, b

    # operands that overlap
    a, b = ordinary(4)
    parts.append((a, b, build(rng, add, add.bias - 8, add.bias + 8, each)))
    # near cancellation: c is -(a * b) rounded, give or take some units
    a, b = ordinary(6)
    with np.errstate(invalid="ignore"):
        product = to_float(a, mul) * to_float(b, mul)
    near = from_float(-product, add).astype(np.int64) + rng.integers(-3, 4, each)
    parts.append((a, b, (near & ((1 << add.width) - 1)).astype(add.dtype)))
    # an addend on or beside a midpoint or a representable value of the result, and a product far below
    a, b = (build(rng, mul, 1, mul.bias, each) for _ in range(2))
    c = build(rng, add, add.bias - 3, add.bias + 3, each).astype(np.int64)
    dropped = add.mantissa_bits - out.mantissa_bits
    if dropped > 0:
        c = (c >> dropped << dropped) | (rng.integers(0, 2, each) << (dropped - 1))
    parts.append((a, b, c.astype(add.dtype)))
    # a product that is half a unit of the addend, or beside it, and one that dwarfs the addend
    c = build(rng, add, add.bias - 2, add.bias + 2, each)
    exponent = (c >> add.mantissa_bits & add.exponent_max).astype(np.int64) - add.bias
    half = exponent - 1 - rng.choice([add.mantissa_bits, out.mantissa_bits], each)
    split = half // 2
    a, b = ((np.clip(part + mul.bias, 1, mul.exponent_max - 1) << mul.mantissa_bits) for part in (split, half - split))
    a = (a + rng.choice([0, 0, 1], each) | rng.integers(0, 2, each) << (mul.width - 1)).astype(mul.dtype)
    parts.append((a, b.astype(mul.dtype), c))
    a, b = ordinary(3)
    parts.append((a, b, build(rng, add, 1, add.bias, each)))
    # overflow of the result, then underflow around its smallest normal
    for middle in (out.bias, 1 - out.bias):
        first = rng.integers(-mul.bias // 2, mul.bias // 2 + 1, each)
        second = middle - first + rng.integers(-2, 2, each)
        a, b = (build(rng, mul, 0, 0, each) & ~np.array(mul.infinity, mul.dtype) for _ in range(2))
        a, b = (
            bits | (np.clip(power + mul.bias, 0, mul.exponent_max - 1) << mul.mantissa_bits).astype(mul.dtype)
            for bits, power in ((a, first), (b, second))
        )
        field = middle + add.bias
        parts.append((a, b, build(rng, add, field - 2 * add.mantissa_bits, field + 1, each)))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def assert_fma(mul, add, out, mode, arrays) -> None:
    a, b, c = arrays
    ours = MultiplyAdd(mul, add).compute(a, b, c, out, mode)
    assert ours.dtype == out.dtype
    formats = pair(mul), pair(add), pair(out)
    expected = np.array(
        [exact.fma(a, b, c, *formats, mode) for a, b, c in zip(*(array.tolist() for array in arrays), strict=True)],
        dtype=out.dtype,
    )
    wrong = np.flatnonzero(ours != expected)
    assert len(wrong) == 0, [hex(int(array[wrong[0]])) for array in (*arrays, ours, expected)]


@pytest.mark.parametrize("mul, add", PAIRS, ids=str)
def test_fma(mul: FloatFormat, add: FloatFormat) -> None:
    rng = np.random.default_rng(1)
    for out in {mul, add}:
        arrays = fma_cases(rng, mul, add, out, 100_000)
        assert len(arrays[0]) >= 100_000
        assert_fma(mul, add, out, RoundingMode.RNE, arrays)


@pytest.mark.parametrize("mode", DIRECTED)
@pytest.mark.parametrize("mul, add", PAIRS, ids=str)
def test_fma_other_modes(mul: FloatFormat, add: FloatFormat, mode: RoundingMode) -> None:
    rng = np.random.default_rng(2)
    for out in {mul, add}:
        assert_fma(mul, add, out, mode, fma_cases(rng, mul, add, out, 10_000))


@pytest.mark.parametrize(
    "mul, add, out", ((FP32, E4M3, FP16), (E5M2, FP32, E3M2), (BF16, FP16, FP16), (E3M2, E3M2, FP32))
)
def test_fma_mixed_formats(mul: FloatFormat, add: FloatFormat, out: FloatFormat) -> None:
    rng = np.random.default_rng(3)
    for mode in RoundingMode:
        assert_fma(mul, add, out, mode, fma_cases(rng, mul, add, out, 5_000))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mode", RoundingMode)
@pytest.mark.parametrize("mul, add", PAIRS, ids=str)
def test_fma_long(mul: FloatFormat, add: FloatFormat, mode: RoundingMode, seed: int) -> None:
    rng = np.random.default_rng((seed, 4))
    for out in {mul, add}:
        assert_fma(mul, add, out, mode, fma_cases(rng, mul, add, out, 250_000))


@pytest.mark.parametrize("mode", RoundingMode)
@pytest.mark.parametrize("mul, add", PAIRS, ids=str)
def test_fma_against_rationals(mul: FloatFormat, add: FloatFormat, mode: RoundingMode) -> None:
    rng = np.random.default_rng(5)
    for out in {mul, add}:
        arrays: Arrays = [array[-4000::5] for array in fma_cases(rng, mul, add, out, 4000)]
        ours = MultiplyAdd(mul, add).compute(arrays[0], arrays[1], arrays[2], out, mode).tolist()
        checked = 0
        for a, b, c, result in zip(*(array.tolist() for array in arrays), ours, strict=True):
            if exact.unpack(a, pair(mul))[0] | exact.unpack(b, pair(mul))[0] | exact.unpack(c, pair(add))[0]:
                continue
            total = exact.fraction_of(a, pair(mul)) * exact.fraction_of(b, pair(mul)) + exact.fraction_of(c, pair(add))
            if total:
                checked += 1
                assert result == exact.round_fraction(total, pair(out), mode), (hex(a), hex(b), hex(c))
        assert checked > 300


def bits_of(fmt: FloatFormat, *values: float) -> np.ndarray:
    return from_float(np.array(values, np.float64), fmt)


@pytest.mark.parametrize("mode", RoundingMode)
def test_zero_signs_and_invalid(mode: RoundingMode) -> None:
    cases = (
        (1.0, 1.0, -1.0, 0.0),
        (-1.0, 1.0, 1.0, 0.0),
        (0.0, 1.0, 0.0, 0.0),
        (-0.0, 1.0, -0.0, -0.0),
        (-0.0, 1.0, 0.0, 0.0),
        (0.0, 1.0, -0.0, 0.0),
        (-0.0, -1.0, -0.0, 0.0),
        (np.inf, 2.0, 1.0, np.inf),
        (np.inf, -2.0, np.inf, np.nan),
        (np.inf, 0.0, 1.0, np.nan),
        (-0.0, np.inf, np.inf, np.nan),
        (1.0, 1.0, -np.inf, -np.inf),
        (np.nan, 1.0, 1.0, np.nan),
        (1.0, 1.0, np.nan, np.nan),
        (2.0**-14, 2.0**-14, 0.0, 2.0**-28),
    )
    a, b, c, wanted = (np.array(column) for column in zip(*cases, strict=True))
    result = fma(from_float(a, FP16), from_float(b, FP16), from_float(c, FP32), mode=mode)
    np.testing.assert_array_equal(result, from_float(wanted, FP32))


def test_flush_and_overflow_in_every_mode() -> None:
    tiny, huge = bits_of(FP16, min_normal(FP16)), bits_of(FP16, max_finite(FP16))
    half, zero = bits_of(FP16, 0.5), bits_of(FP32, -0.0)
    for mode in RoundingMode:
        assert fma(tiny, half, zero, out=FP16, mode=mode)[0] == 0
        assert fma(tiny | FP16.sign_mask, half, zero, out=FP16, mode=mode)[0] == FP16.sign_mask
        assert fma(huge, huge, zero, out=FP16, mode=mode)[0] == FP16.infinity
        assert fma(huge, huge | FP16.sign_mask, zero, out=FP16, mode=mode)[0] == FP16.minus_infinity
    # a hair under the smallest normal rounds up to it as if the exponent went on
    assert from_float(np.array([min_normal(FP16) * (1 - 2.0**-12)]), FP16)[0] == FP16.mantissa_mask + 1
    assert from_float(np.array([min_normal(FP16) * (1 - 2.0**-12 - 2.0**-40)]), FP16)[0] == 0
    assert from_float(np.array([min_normal(FP32) * (1 - 2.0**-25)]), FP32)[0] == FP32.mantissa_mask + 1
    assert from_float(np.array([min_normal(FP32) * (1 - 2.0**-25 - 2.0**-50)]), FP32)[0] == 0


@pytest.mark.parametrize(
    "mul, add, out", ((FP16, FP32, FP16), (FP16, FP32, FP32), (BF16, FP32, BF16), (FP16, FP16, FP16))
)
def test_exp2_of_every_pattern(mul: FloatFormat, add: FloatFormat, out: FloatFormat) -> None:
    constants = exact.exp2_constants(pair(mul), pair(add))
    patterns = np.arange(1 << 16, dtype=np.uint16)
    expected = [exact.exp2(x, pair(mul), pair(add), pair(out), constants) for x in range(1 << 16)]
    np.testing.assert_array_equal(exp2(patterns, mul, add, out), np.array(expected, dtype=out.dtype))


def test_exp2_of_every_fp16_against_rationals() -> None:
    unit = Exp2(FP16, FP32)
    slopes = [exact.fraction_of(bits, exact.FP16) for bits in unit.slopes]
    intercepts = [exact.fraction_of(bits, exact.FP32) for bits in unit.intercepts]
    results = unit.compute(np.arange(1 << 16, dtype=np.uint16)).tolist()
    for x, result in enumerate(results):
        kind, _, _, _ = exact.unpack(x, exact.FP16)
        value = exact.fraction_of(x, exact.FP16)
        if kind == 2:
            expected = exact.nan(exact.FP16)
        elif kind == 1 or abs(value) >= 32:
            expected = 0
        else:
            whole = int(value)
            rest = value - whole
            piece = int(8 * abs(rest))
            chord = Fraction(2) ** whole * (slopes[piece] * rest + intercepts[piece])
            expected = exact.round_fraction(chord, exact.FP16)
        assert result == expected, hex(x)


@pytest.mark.parametrize(
    "mul, add, out", ((FP32, FP32, FP32), (FP32, FP32, FP16), (E6M9, FP32, E6M9), (E4M3, BF16, E4M3))
)
@pytest.mark.parametrize("pieces", (2, 8, 64))
def test_exp2_other_formats(mul: FloatFormat, add: FloatFormat, out: FloatFormat, pieces: int) -> None:
    rng = np.random.default_rng(6)
    bias = mul.bias
    patterns = np.concatenate([
        np.array(specials(mul), mul.dtype),
        random_bits(rng, mul, 3000),
        build(rng, mul, bias - 30, bias + 8, 3000),
        from_float(-rng.integers(0, 1 << 12, 3000) / 256.0, mul),
    ])
    constants = exact.exp2_constants(pair(mul), pair(add), pieces)
    unit = Exp2(mul, add, pieces)
    assert (list(unit.slopes), list(unit.intercepts)) == constants
    expected = [exact.exp2(x, pair(mul), pair(add), pair(out), constants) for x in patterns.tolist()]
    np.testing.assert_array_equal(exp2(patterns, mul, add, out, pieces), np.array(expected, dtype=out.dtype))


def test_exp2_constants() -> None:
    unit = Exp2(FP16, FP32)
    assert unit.slopes == (0x3950, 0x38DF, 0x3877, 0x3819, 0x3783, 0x36E3, 0x3651, 0x35CB)
    assert unit.intercepts[0] == FP32.one
    assert all(0.5 < value <= 1 for value in to_float(np.array(unit.intercepts, np.uint32), FP32))
    whole, special = bits_of(FP16, 0, -0.0, -1, -3, -14, 4, 16), bits_of(FP16, np.inf, -np.inf, 32, -32, -15)
    np.testing.assert_array_equal(to_float(exp2(whole), FP16), [1, 1, 0.5, 0.125, 2.0**-14, 16, np.inf])
    np.testing.assert_array_equal(exp2(special), [0, 0, 0, 0, 0])
    assert exp2(bits_of(FP16, np.nan))[0] == FP16.nan
    x = np.linspace(-14, 0, 1000)
    np.testing.assert_allclose(
        to_float(exp2(from_float(x, FP16)), FP16), 2.0 ** to_float(from_float(x, FP16), FP16), rtol=3e-3
    )


@pytest.mark.parametrize("method", ("newton", "division"))
@pytest.mark.parametrize(
    "fmt, count", ((FP32, 10_000), (FP16, 4_000), (BF16, 4_000), (E6M9, 2_000), (E4M3, 500), (E3M2, 100))
)
def test_reciprocal(fmt: FloatFormat, count: int, method: str) -> None:
    rng = np.random.default_rng(7)
    patterns = np.concatenate([
        np.array(specials(fmt), fmt.dtype),
        random_bits(rng, fmt, count // 2),
        build(rng, fmt, fmt.bias - 3, fmt.bias + 3, count // 2),
        build(rng, fmt, fmt.exponent_max - 3, fmt.exponent_max, count // 8),
    ])
    expected = [exact.reciprocal(x, pair(fmt), method) for x in patterns.tolist()]
    np.testing.assert_array_equal(reciprocal(patterns, fmt, method), np.array(expected, dtype=fmt.dtype))


@pytest.mark.slow
@pytest.mark.parametrize("method", ("newton", "division"))
@pytest.mark.parametrize("fmt", (FP16, BF16), ids=str)
def test_reciprocal_of_every_pattern(fmt: FloatFormat, method: str) -> None:
    expected = [exact.reciprocal(x, pair(fmt), method) for x in range(1 << 16)]
    patterns = np.arange(1 << 16, dtype=np.uint16)
    np.testing.assert_array_equal(reciprocal(patterns, fmt, method), np.array(expected, dtype=fmt.dtype))


@pytest.mark.parametrize("method", ("newton", "division"))
def test_reciprocal_specials(method: str) -> None:
    x = bits_of(FP32, 0, -0.0, np.inf, -np.inf, np.nan, 1, -2, 0.25)
    # Newton's last step adds +0 to a zero of either sign
    wanted = bits_of(FP32, np.inf, -np.inf, 0, -0.0 if method == "division" else 0.0, np.nan, 1, -0.5, 4)
    np.testing.assert_array_equal(reciprocal(x, FP32, method), wanted)


def test_division_is_correctly_rounded() -> None:
    for x in np.random.default_rng(8).integers(1 << 23, 0x7E800000, 3000).tolist():
        result = int(reciprocal(np.array([x], np.uint32), FP32, "division")[0])
        assert result == exact.round_fraction(1 / exact.fraction_of(x, exact.FP32), exact.FP32)


def test_newton_has_not_converged_just_below_two() -> None:
    # the published steps start at r = 1, where the error is 1 - d and squares each step: d near 2 is not reached
    relative = to_float(reciprocal(bits_of(FP32, 1.5, 1.97, 1.999)), FP32) * np.array([1.5, 1.97, 1.999]) - 1
    assert abs(relative[0]) < 1e-7
    assert abs(relative[1]) < 1e-6
    assert relative[2] < -0.5


def is_poor(x: int, result: int, fmt: FloatFormat) -> bool:
    """Whether a result is off 1/x by more than 2**-10, or 2**(1-M) where that is more, in rationals."""
    size = abs(exact.fraction_of(x, pair(fmt)))
    smallest = Fraction(min_normal(fmt))
    if exact.unpack(x, pair(fmt))[0] or size < smallest or 1 / size < smallest:
        return False
    off = abs(exact.fraction_of(result, pair(fmt)) * exact.fraction_of(x, pair(fmt)) - 1)
    return off > max(Fraction(1, 1 << 10), Fraction(2, 1 << fmt.mantissa_bits))


@pytest.mark.parametrize("method", ("newton", "division"))
@pytest.mark.parametrize("fmt", (FP16, BF16, FP32, TF32, E4M3, E5M2, E6M9), ids=str)
def test_poor_reciprocals(fmt: FloatFormat, method: str) -> None:
    rng, edge = np.random.default_rng(9), max(0, fmt.mantissa_bits - 6)
    near_two = fmt.one + fmt.mantissa_mask - np.arange(300) % (fmt.mantissa_mask + 1)
    patterns = np.unique(np.concatenate([
        np.array(specials(fmt)), random_bits(rng, fmt, 500), near_two,
        fmt.one + (np.arange(64) << edge) % (fmt.mantissa_mask + 1),
        build(rng, fmt, 0, 2, 100), build(rng, fmt, fmt.exponent_max - 2, fmt.exponent_max, 100),
    ]).astype(fmt.dtype))
    unit = Reciprocal(fmt, method)
    results = [exact.reciprocal(x, pair(fmt), method) for x in patterns.tolist()]
    expected = [is_poor(x, result, fmt) for x, result in zip(patterns.tolist(), results, strict=True)]
    assert unit.poor(to_float(patterns, fmt)).tolist() == expected
    # eight bits and fewer of mantissa may be rounded by more than 2**-10: that alone is not poor
    assert any(expected) == (method == "newton" and fmt not in (E4M3, E5M2))


@pytest.mark.parametrize("fmt", (FP16, BF16, TF32, E4M3, E5M2, E6M9), ids=str)
def test_poor_are_those_that_newton_does_not_reach(fmt: FloatFormat) -> None:
    unit = Reciprocal(fmt, "newton")
    patterns = fmt.one + np.arange(1 << fmt.mantissa_bits)
    for mantissa, poor in enumerate(unit.poor(to_float(patterns.astype(fmt.dtype), fmt))):
        left = Fraction(mantissa, 1 << fmt.mantissa_bits) ** (1 << unit.iterations)
        if left < Fraction(1, 2 << fmt.mantissa_bits):
            assert not poor
        elif left > 4 * Fraction(unit.useful):
            assert poor


def test_latencies() -> None:
    assert (Reciprocal(FP32, "newton").iterations, Reciprocal(FP32, "newton").latency) == (9, 19)
    assert Reciprocal(FP32, "division").latency == 15
    assert Reciprocal(FP16, "newton").latency == 17


@pytest.mark.parametrize("mode", RoundingMode)
@pytest.mark.parametrize("src", (FP16, BF16, E6M9, E4M3), ids=str)
def test_convert_every_pattern(src: FloatFormat, mode: RoundingMode) -> None:
    patterns = np.arange(1 << src.width, dtype=np.uint32).astype(src.dtype)
    for dst in (FP16, BF16, FP32, E4M3) if mode == RoundingMode.RNE else (BF16, E4M3):
        expected = [exact.convert(x, pair(src), pair(dst), mode) for x in range(1 << src.width)]
        np.testing.assert_array_equal(convert(patterns, src, dst, mode), np.array(expected, dtype=dst.dtype))


@pytest.mark.parametrize("mode", RoundingMode)
@pytest.mark.parametrize("dst", FORMATS, ids=str)
def test_convert_from_fp32(dst: FloatFormat, mode: RoundingMode) -> None:
    rng = np.random.default_rng(9)
    near = rng.choice([FP32.bias + dst.bias, FP32.bias - dst.bias, FP32.bias], 3000)
    x = np.concatenate(
        [
            np.array(specials(FP32), np.uint32),
            random_bits(rng, FP32, 2000),
            build(rng, FP32, 0, 0, 3000) & 0x807FFFFF
            | np.clip(near + rng.integers(-2, 3, 3000), 0, 255).astype(np.uint32) << 23,
        ]
    )
    expected = [exact.convert(bits, exact.FP32, pair(dst), mode) for bits in x.tolist()]
    np.testing.assert_array_equal(convert(x, FP32, dst, mode), np.array(expected, dtype=dst.dtype))


def test_convert_agrees_with_numpy_in_the_normal_range() -> None:
    rng = np.random.default_rng(10)
    x = (rng.standard_normal(100_000) * np.exp2(rng.integers(-13, 17, 100_000))).astype(np.float32)
    x = x[np.abs(x) >= 2.0**-14]
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(convert(x.view(np.uint32), FP32, FP16), x.astype(np.float16).view(np.uint16))


@pytest.mark.parametrize("mode", RoundingMode)
@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_from_float(fmt: FloatFormat, mode: RoundingMode) -> None:
    rng = np.random.default_rng(11)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 1.7e308, min_normal(fmt), max_finite(fmt), 1e-40]
    sizes = np.ldexp(1 + rng.random(3000), rng.integers(-fmt.bias - 3, fmt.bias + 3, 3000).astype(np.int32))
    units = np.ldexp(rng.integers(1 << fmt.mantissa_bits, 4 << fmt.mantissa_bits, 1000) / 2.0, -fmt.mantissa_bits)
    values = np.concatenate([edges, sizes, -sizes, units, -units, units * (1 + 2.0**-52), units * (1 - 2.0**-53)])
    expected = [exact.from_double(x, pair(fmt), mode) for x in values.tolist()]
    np.testing.assert_array_equal(from_float(values, fmt, mode), np.array(expected, dtype=fmt.dtype))


def test_from_float_takes_any_float_width_and_payload() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    expected = [exact.convert(x, exact.FP16, exact.FP32) for x in range(1 << 16)]
    # subnormals of float16 are ordinary numbers to float32
    plain = (np.abs(halves) >= 2.0**-14) | (halves == 0) | np.isnan(halves)
    np.testing.assert_array_equal(from_float(halves, FP32)[plain], np.array(expected, np.uint32)[plain])
    assert to_float(from_float(np.float32(1e-5), BF16), BF16) == pytest.approx(1e-5, rel=2**-8)
    payloads = np.array([0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 0x7FF0000000000001], np.uint64).view(np.float64)
    for fmt in FORMATS:
        for mode in RoundingMode:
            assert (from_float(payloads, fmt, mode) == fmt.nan).all()
    assert from_float([0.5, 1.5], FP16).tolist() == [0x3800, 0x3E00]


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_to_float_and_back(fmt: FloatFormat) -> None:
    rng = np.random.default_rng(12)
    bits = np.arange(1 << fmt.width, dtype=np.uint32) if fmt.width <= 16 else random_bits(rng, fmt, 20_000)
    bits = np.concatenate([bits.astype(fmt.dtype), np.array(specials(fmt), fmt.dtype)])
    values = to_float(bits, fmt)
    assert values.dtype == np.float64
    for x, value in list(zip(bits.tolist(), values.tolist(), strict=True))[::7]:
        kind, sign, _, _ = exact.unpack(x, pair(fmt))
        if kind == 0:
            assert Fraction(value) == exact.fraction_of(x, pair(fmt))
            assert np.signbit(value) == sign
    flushed = np.where(bits & fmt.infinity == 0, bits & fmt.sign_mask, bits)
    expected = np.where(np.isnan(values), fmt.nan, flushed)
    np.testing.assert_array_equal(from_float(values, fmt), expected)
    assert to_float(bits, fmt, np.float32).dtype == np.float32


@pytest.mark.parametrize("fmt", (FP32, FP16, E4M3), ids=str)
def test_maximum(fmt: FloatFormat) -> None:
    rng = np.random.default_rng(13)
    a, b = (axis.ravel().astype(fmt.dtype) for axis in np.meshgrid(specials(fmt), specials(fmt)))
    a, b = (np.concatenate([part, build(rng, fmt, fmt.bias - 2, fmt.bias + 2, 3000)]) for part in (a, b))
    expected = [exact.maximum(x, y, pair(fmt)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    # the operand comes back unchanged, so a subnormal one or a NaN keeps its bits
    result = maximum(a, b, fmt)
    assert result.dtype == fmt.dtype
    np.testing.assert_array_equal(result, np.array(expected, fmt.dtype))


def test_maximum_of_zeros_and_nan() -> None:
    plus, minus, unordered, one = (bits_of(FP32, x) for x in (0.0, -0.0, np.nan, 1.0))
    assert maximum(minus, plus)[0] == 0
    assert maximum(plus, minus)[0] == 0
    assert maximum(minus, minus)[0] == FP32.sign_mask
    assert maximum(unordered, one)[0] == FP32.nan
    assert maximum(one, unordered)[0] == FP32.one


HALF = st.integers(0, (1 << 16) - 1).map(lambda x: np.array([x], np.uint16))
SINGLE = st.integers(0, (1 << 32) - 1).map(lambda x: np.array([x], np.uint32))
MODES = st.sampled_from(list(RoundingMode))
MIRROR = {RoundingMode.RDN: RoundingMode.RUP, RoundingMode.RUP: RoundingMode.RDN}
SIGN16, SIGN32 = np.uint16(FP16.sign_mask), np.uint32(FP32.sign_mask)


@settings(deadline=None, max_examples=200)
@given(HALF, HALF, SINGLE, MODES)
def test_fma_commutes(a, b, c, mode) -> None:
    assert fma(a, b, c, mode=mode) == fma(b, a, c, mode=mode)


@settings(deadline=None, max_examples=200)
@given(SINGLE, MODES)
def test_times_one_plus_minus_zero_is_identity(x, mode) -> None:
    one, minus_zero = bits_of(FP32, 1.0), bits_of(FP32, -0.0)
    canonical = convert(x, FP32, FP32)
    assert fma(x, one, minus_zero, FP32, FP32, FP32, mode) == canonical
    if canonical != FP32.sign_mask:
        assert fma(x, one, bits_of(FP32, 0.0), FP32, FP32, FP32, mode) == canonical


@settings(deadline=None, max_examples=200)
@given(HALF, HALF, SINGLE, MODES)
def test_sign_symmetry(a, b, c, mode) -> None:
    result = fma(a, b, c, out=FP16, mode=mode)
    mirrored = fma(a ^ SIGN16, b, c ^ SIGN32, out=FP16, mode=MIRROR.get(mode, mode))
    if np.isnan(to_float(result, FP16)):
        assert mirrored == result == FP16.nan
    elif to_float(result, FP16) != 0:
        assert mirrored == result ^ SIGN16


@settings(deadline=None, max_examples=200)
@given(HALF, HALF, SINGLE)
def test_directed_modes_enclose(a, b, c) -> None:
    down, nearest, up = (
        to_float(fma(a, b, c, out=FP16, mode=mode), FP16)
        for mode in (RoundingMode.RDN, RoundingMode.RNE, RoundingMode.RUP)
    )
    assert np.isnan(nearest) or down <= nearest <= up


@settings(deadline=None, max_examples=200)
@given(SINGLE, SINGLE, st.sampled_from(FORMATS), MODES)
def test_convert_is_monotonic(x, y, dst, mode) -> None:
    first, second = to_float(x, FP32), to_float(y, FP32)
    if first <= second:
        assert to_float(convert(x, FP32, dst, mode), dst) <= to_float(convert(y, FP32, dst, mode), dst)


@settings(deadline=None, max_examples=200)
@given(SINGLE, SINGLE)
def test_maximum_is_one_operand_and_not_the_smaller(a, b) -> None:
    larger = maximum(a, b)
    assert larger in (a, b)
    first, second = to_float(a, FP32), to_float(b, FP32)
    assert np.isnan(first) or np.isnan(second) or to_float(larger, FP32) == max(first, second)


def test_shapes_and_types() -> None:
    a = bits_of(FP16, 1.0, 2.0, 3.0)
    assert fma(a[:, None], a[None, :], np.uint32(0)).shape == (3, 3)
    assert fma(np.uint16(FP16.one), np.uint16(FP16.one), np.uint32(0)).shape == ()
    assert (
        fma(a.astype(np.uint64), a.astype(np.uint32), np.zeros(3, np.uint8)).tolist() == bits_of(FP32, 1, 4, 9).tolist()
    )
    assert exp2(np.uint16(0)) == FP16.one
    assert exp2(np.zeros((2, 0), np.uint16)).shape == (2, 0)
    assert reciprocal(np.full((2, 1, 2), FP32.one, np.uint32)).shape == (2, 1, 2)
    assert maximum(np.uint32(0), np.zeros((2, 2), np.uint32)).shape == (2, 2)
    assert convert(np.zeros((2, 2), np.uint16), FP16, E4M3).dtype == np.uint8
    assert from_float(1.5, FP16).shape == ()
    assert MultiplyAdd(FP16, FP32).compute(a, a, np.zeros(3, np.uint32)).dtype == np.uint32
    grid = np.arange(24, dtype=np.uint16).reshape(4, 6)
    np.testing.assert_array_equal(exp2(grid.T[::2]), exp2(grid).T[::2])


def test_arguments_are_not_changed() -> None:
    rng = np.random.default_rng(14)
    arrays: Arrays = [random_bits(rng, FP32, 100) for _ in range(3)]
    copies = [array.copy() for array in arrays]
    fma(arrays[0], arrays[1], arrays[2], FP32, FP32, FP32)
    maximum(*arrays[:2])
    values = rng.standard_normal(50)
    kept = values.copy()
    for fmt in (FP16, FP32):
        from_float(values, fmt)
    np.testing.assert_array_equal(values, kept)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("bad", (np.zeros(2, np.int16), np.zeros(2), np.zeros(2, bool), [1, 2], 1))
def test_only_unsigned_patterns(bad) -> None:
    good = np.zeros(2, np.uint16)
    for call in (
        lambda: fma(bad, good, good),
        lambda: fma(good, bad, good),
        lambda: fma(good, good, bad),
        lambda: exp2(bad),
        lambda: maximum(bad, good),
        lambda: maximum(good, bad),
        lambda: reciprocal(bad),
        lambda: convert(bad, FP16, FP32),
        lambda: to_float(bad, FP16),
    ):
        with pytest.raises(TypeError, match="unsigned") as error:
            call()
        assert "\n" not in str(error.value)


def test_patterns_must_fit() -> None:
    wide, good = np.array([0x10000], np.uint32), np.zeros(1, np.uint16)
    for call in (
        lambda: fma(wide, good, good), lambda: fma(good, good, wide, add=FP16), lambda: exp2(wide),
        lambda: maximum(wide, good, FP16), lambda: reciprocal(wide, FP16), lambda: convert(wide, FP16, FP32),
        lambda: to_float(wide, BF16), lambda: to_float(np.array([64], np.uint8), E3M2),
    ):
        with pytest.raises(ValueError, match="wider than") as error:
            call()
        assert "\n" not in str(error.value)


def test_other_errors() -> None:
    with pytest.raises(TypeError, match="float16"):
        from_float(np.array([1, 2]), FP16)
    with pytest.raises(TypeError, match="float16"):
        from_float(np.zeros(1, np.complex128), FP16)
    for pieces in (0, 1, 3, 12):
        with pytest.raises(ValueError, match="power of two"):
            Exp2(FP16, FP32, pieces)
    with pytest.raises(ValueError, match="newton, division"):
        reciprocal(np.zeros(1, np.uint32), method="guess")
    with pytest.raises(ValueError, match="broadcast"):
        fma(np.zeros(2, np.uint16), np.zeros(3, np.uint16), np.uint32(0))


def test_no_warning_leaks(recwarn) -> None:
    rng = np.random.default_rng(15)
    for fmt in (FP16, BF16, FP32, E4M3):
        x = np.concatenate([random_bits(rng, fmt, 2000), np.array(specials(fmt), fmt.dtype)])
        for mode in RoundingMode:
            fma(x, x[::-1], x, fmt, fmt, fmt, mode)
            convert(x, fmt, FP16, mode)
        exp2(x, fmt, fmt, fmt)
        maximum(x, x[::-1], fmt)
        for method in ("newton", "division"):
            reciprocal(x, fmt, method)
        from_float(to_float(x, fmt, np.float16), fmt)
    assert len(recwarn) == 0


def test_every_name_is_of_its_format() -> None:
    for name, size in {
        "fp16": (5, 10), "bf16": (8, 7), "fp32": (8, 23), "tf32": (8, 10), "e4m3": (4, 3), "e5m2": (5, 2),
        "fp8_e4m3": (4, 3), "fp8_e5m2": (5, 2), "float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23),
        "float8_e4m3": (4, 3), "float8_e5m2": (5, 2), "e5m10": (5, 10), "e8m10": (8, 10), "e6m9": (6, 9),
    }.items():
        assert pair(as_format(name)) == size
        assert as_format(as_format(name).name) == as_format(name)
    assert [fmt.name for fmt in (FP16, BF16, FP32, TF32, E4M3, E5M2, E6M9)] == [
        "fp16", "bf16", "fp32", "tf32", "e4m3", "e5m2", "e6m9"]


@pytest.mark.parametrize(("name", "fmt"), [("fp16", FP16), ("bf16", BF16), ("fp32", FP32), ("e4m3", E4M3)])
def test_a_format_may_be_given_by_name(name: str, fmt: FloatFormat) -> None:
    assert as_format(name) == as_format(fmt) == fmt
    values = np.linspace(0.5, 1.5, 9)
    bits = from_float(values, fmt)
    for by_name, by_format in (
        (from_float(values, name), bits), (to_float(bits, name), to_float(bits, fmt)),
        (fma(bits, bits, bits, name, name, name), fma(bits, bits, bits, fmt, fmt, fmt)),
        (exp2(bits, name, name, name), exp2(bits, fmt, fmt, fmt)), (maximum(bits, bits, name), bits),
        (reciprocal(bits, name), reciprocal(bits, fmt)), (convert(bits, name, "fp32"), convert(bits, fmt, FP32)),
    ):
        assert by_name.dtype == by_format.dtype
        assert np.array_equal(by_name, by_format)


@pytest.mark.parametrize(("value", "says"), [
    ("half", "float format 'half': must be one of fp16, bf16, fp32, tf32, e4m3, e5m2 or e<E>m<M>, as in e6m9"),
    ("FP16", "float format 'FP16': must be one of"), ("", "float format '': must be one of"),
    ("x\n" * 1000, "must be one of"), ("e9m10", "E must be 3 to 8"),
    (16, "float format of type int: must be one of fp16, bf16, fp32, tf32, e4m3, e5m2 or e<E>m<M>, as in e6m9, or a "
         "FloatFormat"),
    ("float8_e4m3fn", "float format 'float8_e4m3fn': must be e4m3, which has Inf and NaNs and so ends at 240"),
    (None, "float format of type NoneType: must be one of"), (np.zeros((9, 9)), "float format of type ndarray: "),
])
def test_what_is_no_format(value: Any, says: str) -> None:
    one = np.zeros(1, np.uint16)
    for call in (
        lambda: as_format(value), lambda: from_float(np.zeros(1), value), lambda: to_float(one, value),
        lambda: fma(one, one, one, value), lambda: fma(one, one, one, add=value), lambda: fma(one, one, one, out=value),
        lambda: exp2(one, value), lambda: maximum(one, one, value), lambda: reciprocal(one, value),
        lambda: convert(one, value, FP16), lambda: convert(one, FP16, value),
    ):
        with pytest.raises(ValueError if isinstance(value, str) else TypeError) as error:
            call()
        assert says in str(error.value)
        assert "\n" not in str(error.value)
        assert len(str(error.value)) < 200

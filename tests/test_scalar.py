"""The convertible arithmetic against the references: sums of two operands, and the widths of unrounded words."""

from __future__ import annotations

import itertools

import exact
import numpy as np
import pytest
from test_blocks import mixed

from myhdl_fsa.arithmetic.fma import MultiplyAdd
from myhdl_fsa.arithmetic.formats import BF16, E4M3, E5M2, FP16, FP32, TF32, FloatFormat, RoundingMode
from myhdl_fsa.arithmetic.scalar import (
    adder,
    multiply_adder,
    narrower,
    raw_of_product,
    raw_of_sum,
    rounder,
    sum_rounder,
)
from myhdl_fsa.arithmetic.steps import operand_adder, operand_sum_width, sum_normaliser

TINY = FloatFormat(3, 2)
FORMATS = [FP16, BF16, TF32, FP32, FloatFormat(6, 9), FloatFormat(3, 12), FloatFormat(8, 2)]


def exact_format(fmt: FloatFormat) -> tuple[int, int]:
    return fmt.exponent_bits, fmt.mantissa_bits


def nearly_opposite(rng: np.random.Generator, fmt: FloatFormat, x: list[int]) -> list[int]:
    """Operands whose sums with ``x`` cancel, or nearly so, exponents up to 3 apart."""
    steps = rng.integers(-2, 3, len(x)) + (rng.integers(-3, 4, len(x)) << fmt.mantissa_bits)
    return ((np.array(x) ^ fmt.sign_mask) + steps & (1 << fmt.width) - 1).tolist()


@pytest.mark.parametrize("fmt", [TINY, E4M3, E5M2], ids=str)
def test_every_sum_of_two_operands(fmt):
    add, round_sum = adder(fmt), sum_rounder(fmt)
    first, normalise = operand_adder(fmt), sum_normaliser(fmt)
    limits = raw_of_sum(fmt).width, operand_sum_width(fmt)
    form = exact_format(fmt)
    for x, z in itertools.product(range(1 << fmt.width), repeat=2):
        raw, total = add(x, z), first(x, z)
        assert 0 <= raw < 1 << limits[0] and 0 <= total < 1 << limits[1]
        assert normalise(total) == raw, (x, z)
        assert round_sum(raw) == exact.fma(x, fmt.one, z, form, form, form), (x, z)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_sums_of_two_operands(fmt):
    rng = np.random.default_rng(3)
    add, round_sum, first, normalise = adder(fmt), sum_rounder(fmt), operand_adder(fmt), sum_normaliser(fmt)
    x = mixed(rng, fmt, 40_000)
    z = mixed(rng, fmt, 20_000) + nearly_opposite(rng, fmt, x[20_000:])
    raws = [add(*operands) for operands in zip(x, z, strict=True)]
    assert [normalise(first(*operands)) for operands in zip(x, z, strict=True)] == raws
    assert max(raws) < 1 << raw_of_sum(fmt).width
    a, one, c = (np.array(bits, dtype=fmt.dtype) for bits in (x, [fmt.one] * len(x), z))
    expected = MultiplyAdd(fmt, fmt).compute(a, one, c)
    assert [round_sum(raw) for raw in raws] == expected.tolist()


@pytest.mark.parametrize("mode", list(RoundingMode), ids=lambda mode: mode.name)
@pytest.mark.parametrize("add", [TINY, FloatFormat(4, 4)], ids=str)
def test_every_product_and_addend_of_a_tiny_format(add, mode):
    multiply_add, round_result = multiply_adder(TINY, add), rounder(TINY, add, add, mode)
    limit = 1 << raw_of_product(TINY, add).width
    mul_form, add_form = exact_format(TINY), exact_format(add)
    # signs are an exclusive or: that of x is enough
    for x, y in itertools.product(range(1 << TINY.width), range(1 << TINY.width - 1)):
        for z in range(0, 1 << add.width, 1 if add is TINY else 3):
            raw = multiply_add(x, y, z, 0)
            assert 0 <= raw < limit
            assert round_result(raw) == exact.fma(x, y, z, mul_form, add_form, add_form, mode), (x, y, z)


@pytest.mark.parametrize("mul", FORMATS, ids=str)
def test_a_raw_word_fits_an_integer_of_64_bits(mul):
    for add in FORMATS:
        if mul.exponent_bits <= add.exponent_bits and mul.mantissa_bits <= add.mantissa_bits:
            assert raw_of_product(mul, add).width < 64


@pytest.mark.parametrize(("mul", "add"), [(FP16, FP32), (FP16, FP16), (BF16, FP32), (FP32, FP32)], ids=str)
def test_the_word_without_a_hit_is_plus_zero_in_every_format(mul, add):
    for out in (FP16, BF16, TF32, FP32, E4M3, E5M2):
        if out.mantissa_bits <= add.mantissa_bits:
            assert rounder(mul, add, out)(0) == 0


@pytest.mark.parametrize(("src", "dst"), [(FP16, E4M3), (FP16, E5M2), (BF16, E5M2), (FP16, FP16)], ids=str)
def test_every_pattern_narrowed(src, dst):
    narrow = narrower(src, dst)
    for x in range(1 << src.width):
        assert narrow(x) == exact.convert(x, exact_format(src), exact_format(dst)), x

"""The multiply-adder in steps is the undivided one, bit for bit."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_blocks import mixed

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, FloatFormat
from myhdl_fsa.arithmetic.scalar import multiply_adder, piece_finder
from myhdl_fsa.arithmetic.steps import adder, multiplier, normaliser, product_width, sum_width

TINY = FloatFormat(3, 2)
PAIRS = [(FP16, FP32), (BF16, FP32), (FP32, FP32), (FP16, FP16), (FloatFormat(4, 3), FloatFormat(6, 9))]


def in_steps(mul, add, pieces=0):
    multiply, add_product, normalise = multiplier(mul, add, pieces), adder(mul, add, pieces), normaliser(mul, add)
    widths = product_width(mul, add, pieces), sum_width(mul, add)

    def both(x, y, z, exp2):
        product = multiply(x, y, exp2)
        total = add_product(product, z)
        assert 0 <= product < 1 << widths[0] and 0 <= total < 1 << widths[1]
        return normalise(total)

    return both


def test_every_sum_of_products_of_a_tiny_format():
    whole, steps = multiply_adder(TINY, TINY), in_steps(TINY, TINY)
    every = range(1 << TINY.width)
    for x, y in itertools.product(every, every):
        for z in every:
            assert steps(x, y, z, 0) == whole(x, y, z, 0), (x, y, z)


@pytest.mark.parametrize(("mul", "add"), PAIRS, ids=str)
@pytest.mark.parametrize("pieces", [0, 4])
def test_sums_of_products(mul, add, pieces):
    rng = np.random.default_rng(1)
    whole, steps = multiply_adder(mul, add, pieces), in_steps(mul, add, pieces)
    for x, y, z in zip(mixed(rng, mul, 20_000), mixed(rng, mul, 20_000), mixed(rng, add, 20_000), strict=True):
        assert steps(x, y, z, 0) == whole(x, y, z, 0), (x, y, z)


@pytest.mark.parametrize(("mul", "add"), PAIRS, ids=str)
@pytest.mark.parametrize("pieces", [2, 8])
def test_powers_of_two(mul, add, pieces):
    unit, find_piece = Exp2(mul, add, pieces), piece_finder(mul, pieces)
    slopes, intercepts, streamed = unit.slopes, unit.intercepts, unit.streamed_intercepts
    whole, steps = multiply_adder(mul, add, pieces), in_steps(mul, add, pieces)
    looked_up = multiply_adder(mul, add, pieces, streamed=False)
    for x in range(1 << 16) if mul.width == 16 else mixed(np.random.default_rng(2), mul, 20_000):
        piece = find_piece(x)
        # the undivided one says in bit 0 that x lies in the piece
        raw = whole(x, slopes[piece], streamed[piece], 1)
        assert steps(x, slopes[piece], intercepts[piece], 1) | 1 == raw, x
        assert looked_up(x, slopes[piece], intercepts[piece], 1) == raw, x

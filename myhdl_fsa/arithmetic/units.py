"""The arithmetic as combinational blocks of their own, for a design that wants one: FMA, EXP2 and conversion.

The machine's own units call the same functions from inside their processes, which simulates faster.
``pipelined_multiply_adder`` is the one with registers inside.
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.formats import FloatFormat, RoundingMode
from myhdl_fsa.arithmetic.scalar import multiply_adder, narrower, piece_finder, rounder
from myhdl_fsa.arithmetic.steps import adder, multiplier, normaliser, product_width, sum_width
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["convert", "exp2", "fma", "pipelined_multiply_adder"]


@block
def fma(
    a: Any, b: Any, c: Any, result: Any, mul: FloatFormat, add: FloatFormat, out: FloatFormat,
    mode: RoundingMode = RoundingMode.RNE,
) -> Any:
    """``a * b + c``, exact, rounded once; combinational.

    Ports
        a, b    in   mul
        c       in   add
        result  out  out

    Source: docs/specification.md section 1 (FMA). The reference is ``easyfloat.fma``.
    """
    multiply_add = multiply_adder(mul, add)
    round_result = rounder(mul, add, out, mode)

    @always_comb
    def compute() -> None:
        raw = multiply_add(int(a), int(b), int(c), 0)
        result.next = round_result(raw)

    return compute


@block
def exp2(x: Any, result: Any, unit: Exp2, out: FloatFormat) -> Any:
    """``2**x`` interpolated on a multiply-adder, its slopes and intercepts in a table inside; combinational.

    Ports
        x       in   unit.mul
        result  out  out

    Source: docs/specification.md section 1 (EXP2). The reference is ``easyfloat.exp2``.
    """
    multiply_add = multiply_adder(unit.mul, unit.add, unit.pieces, streamed=False)
    find_piece = piece_finder(unit.mul, unit.pieces)
    round_result = rounder(unit.mul, unit.add, out)
    slopes, intercepts = unit.slopes, unit.intercepts

    @always_comb
    def compute() -> None:
        piece = find_piece(int(x))
        slope = slopes[piece]
        intercept = intercepts[piece]
        raw = multiply_add(int(x), slope, intercept, 1)
        result.next = round_result(raw)

    return compute


@block
def convert(x: Any, result: Any, src: FloatFormat, dst: FloatFormat) -> Any:
    """``x`` rounded to nearest even in a format that is no wider; combinational.

    Ports
        x       in   src
        result  out  dst

    The reference is ``easyfloat.convert``.
    """
    narrow = narrower(src, dst)

    @always_comb
    def compute() -> None:
        result.next = narrow(int(x))

    return compute


@block
def pipelined_multiply_adder(
    clock: Any, active: Any, a: Any, b: Any, c: Any, exponential: Any, result: Any, fmt: FloatFormat, pieces: int,
    mac_stages: int, adder_stages: int,
) -> Any:
    """``a * b + c`` in one format, exact, rounded once, ``mac_stages + adder_stages - 1`` registers after its operands.

    Ports
        active       in   1    operands are there; without it the stages keep what they hold
        a, b, c      in   fmt
        exponential  in   1    2**a in place of the sum; b and c are slope and intercept of the piece that a lies in
        result       out  fmt  behind the last register; combinational

    Where the registers lie: behind the multiplier with one of ``mac_stages``, before it too with two, and between
    addition and normalisation with two ``adder_stages``. There is at least one.
    Source: docs/specification.md section 1 (FMA, EXP2).
    """
    multiply, add_product = multiplier(fmt, fmt, pieces), adder(fmt, fmt, pieces)
    normalise, round_result = normaliser(fmt, fmt), rounder(fmt, fmt, fmt)
    before, twice_before, after = int(mac_stages > 0), int(mac_stages > 1), int(adder_stages > 1)
    factor, other, taken_addend, later_addend = (unsigned(fmt.width) for _ in range(4))
    raised, taken, multiplied = unsigned(1), unsigned(1), unsigned(1)
    held_product, held_total = unsigned(product_width(fmt, fmt, pieces)), unsigned(sum_width(fmt, fmt))

    @always(clock.posedge)
    def operands() -> None:
        taken.next = active
        if active:
            factor.next = a
            other.next = b
            taken_addend.next = c
            raised.next = exponential

    @always(clock.posedge)
    def multiplication() -> None:
        if twice_before:
            multiplied.next = taken
            if taken:
                held_product.next = multiply(int(factor), int(other), int(raised))
                later_addend.next = taken_addend
        else:
            multiplied.next = active
            if active:
                held_product.next = multiply(int(a), int(b), int(exponential))
                later_addend.next = c

    @always(clock.posedge)
    def addition() -> None:
        word = 0
        if before:
            if multiplied:
                held_total.next = add_product(int(held_product), int(later_addend))
        else:
            if active:
                word = multiply(int(a), int(b), int(exponential))
                held_total.next = add_product(word, int(c))

    @always_comb
    def last() -> None:
        word = 0
        bits = 0
        if after:
            word = int(held_total)
        else:
            word = add_product(int(held_product), int(later_addend))
        raw = normalise(word)
        bits = round_result(raw)
        result.next = bits

    stages = [last]
    if after:
        stages.append(addition)
    if before:
        stages.append(multiplication)
    if twice_before:
        stages.append(operands)
    return stages

"""The arithmetic as combinational blocks of their own, for a design that wants one: FMA, EXP2 and conversion.

The machine's own units call the same functions from inside their processes, which simulates faster.
"""

from __future__ import annotations

from typing import Any

from myhdl import always_comb, block

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.formats import FloatFormat, RoundingMode
from myhdl_fsa.arithmetic.scalar import multiply_adder, narrower, piece_finder, rounder

__all__ = ["convert", "exp2", "fma"]


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
    multiply_add = multiply_adder(unit.mul, unit.add, unit.pieces)
    find_piece = piece_finder(unit.mul, unit.pieces)
    round_result = rounder(unit.mul, unit.add, out)
    slopes, intercepts = unit.slopes, unit.streamed_intercepts

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

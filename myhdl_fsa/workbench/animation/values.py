"""Bit patterns as numbers, in few digits. ``player/values.js`` does the same in the page."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal
from functools import lru_cache

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.easyfloat import to_float

__all__ = ["LEFT_OUT", "decode", "short", "shorten"]

_DIGITS = 3
"""significant ones, of a number in a cell"""
LEFT_OUT = "\u2026"


def decode(bits: int, fmt: FloatFormat) -> float:
    """The value of a pattern; what is subnormal is zero, as the machine reads it."""
    return float(to_float(fmt.dtype.type(bits), fmt))


@lru_cache(maxsize=1 << 16)
def short(bits: str, size: tuple[int, int] | int) -> str:
    """A value of a trace in few letters: its number, or its bits where the format is only a number of bits.

    ``bits`` are hex digits, ``size`` one of ``CycleTrace.formats``.
    """
    if isinstance(size, int):
        return f"0x{bits}"
    value = decode(int(bits, 16), FloatFormat(*size))
    if value == 0:
        return "0"
    if value != value or value in (float("inf"), float("-inf")):
        return {"inf": "Inf", "-inf": "-Inf"}.get(str(value), "NaN")
    sign, digits, exponent = Context(prec=_DIGITS, rounding=ROUND_HALF_UP).plus(Decimal(value)).as_tuple()
    assert isinstance(exponent, int)
    exponent += len(digits) - 1
    figures = "".join(map(str, digits)).rstrip("0")
    if 0 <= exponent < 5:
        whole = figures.ljust(exponent + 1, "0")
        text = ".".join(filter(None, (whole[:exponent + 1], whole[exponent + 1:])))
    elif -4 < exponent < 0:
        text = "0." + "0" * (-exponent - 1) + figures
    else:
        text = ".".join(filter(None, (figures[0], figures[1:]))) + f"e{exponent}"
    return f"{'-' if sign else ''}{text}"


def shorten(name: str, most: int) -> str:
    """A name in at most so many letters: words become their first three letters, then stand without blanks between, and
    at last the end is left out."""
    if len(name) > most:
        name = " ".join(word[:3] if word.isalpha() else word for word in name.split(" "))
    if len(name) > most:
        name = name.replace(" ", "")
    return name if len(name) <= most else name[:most - 1] + LEFT_OUT

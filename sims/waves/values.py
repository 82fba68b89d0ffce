"""What a viewer shows in place of a signal's bits: floats as numbers, codes and control bits by their names.

GTKWave starts ``fsa-wave-value KIND`` as a translate filter process, writes a value a line and reads a text a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import TextIO

from myhdl_fsa.arithmetic.formats import FloatFormat, as_format
from myhdl_fsa.dataflows.fsa.control import PE_SIGNALS, Accumulator, Comparator, Constant
from myhdl_fsa.dataflows.stream.control import Accumulate, Capture, Compare, Left, Operation
from myhdl_fsa.isa import Function
from myhdl_fsa.program import ErrorCode, State
from myhdl_fsa.sims.command_names import command_names

__all__ = ["CODES", "FLAGS", "MOST", "Reader", "float_text", "reader", "translate"]

Reader = Callable[[int, int], str]
"""gives the text of a signal of so many bits, and its value"""
MOST = 1000
"""characters of a text: GTKWave reads 1024 at once, and would take the rest for its next answer"""


def _codes(codes: type) -> dict[int, str]:
    if issubclass(codes, IntEnum):
        return {member.value: member.name.lower() for member in codes}
    return {number: name.lower() for number, name in command_names(codes).items()}


CODES: dict[str, Mapping[int, str]] = {
    "function": _codes(Function),
    "state": _codes(State),
    "error": _codes(ErrorCode),
    "fsa.comparator": {0: "-", **_codes(Comparator)},
    "fsa.accumulator": {0: "-", **_codes(Accumulator)},
    "fsa.constant": _codes(Constant),
    "stream.operation": {0: "-", **_codes(Operation)},
    "stream.compare": {0: "-", **_codes(Compare)},
    "stream.accumulate": {0: "-", **_codes(Accumulate)},
    "stream.capture": {0: "-", **_codes(Capture)},
    "stream.left": _codes(Left),
}
"""kinds of numbers that stand for something, with the names of those that do"""
FLAGS: dict[str, tuple[str, ...]] = {"fsa.pe": PE_SIGNALS}
"""kinds of control words of one bit a signal, with the signals' names from bit 0 up"""


def reader(kind: str) -> Reader:
    """How signals of a kind are read: a key of CODES or FLAGS, or the name of a float format. Raises ValueError.

    A signal as wide as several floats is a row of them, lane 0 first.
    """
    if kind in CODES:
        names = CODES[kind]
        return lambda _, value: names.get(value, str(value))
    if kind in FLAGS:
        signals = FLAGS[kind]
        return lambda _, value: " ".join(name for bit, name in enumerate(signals) if value >> bit & 1) or "-"
    fmt = as_format(kind)
    mask = (1 << fmt.width) - 1
    return lambda width, value: " ".join(
        float_text(fmt, value >> low & mask) for low in range(0, width - fmt.width + 1, fmt.width))


def float_text(fmt: FloatFormat, bits: int) -> str:
    """The shortest decimal number that no other value of the format is nearer to; as the machine reads ``bits``."""
    sign = "-" if bits & fmt.sign_mask else ""
    exponent, mantissa = bits >> fmt.mantissa_bits & fmt.exponent_max, bits & fmt.mantissa_mask
    if exponent == fmt.exponent_max:
        return "nan" if mantissa else f"{sign}inf"
    if exponent == 0:  # subnormals are flushed
        return f"{sign}0"
    step = 2.0 ** (exponent - fmt.bias - fmt.mantissa_bits)
    number = (fmt.mantissa_mask + 1 + mantissa) * step
    # below a power of two the next value is half a step away
    near = step / 4 if mantissa == 0 else step / 2
    texts = (f"{number:.{digits}g}" for digits in range(1, 18))
    return sign + next(text for text in texts if abs(float(text) - number) < near)


def translate(kind: str, lines: Iterable[str], out: TextIO) -> None:
    """Answers each line, a value in hexadecimal digits, with its text; one with other digits (x, z) with itself.

    Raises ValueError for an unknown kind.
    """
    text = reader(kind)
    for line in lines:
        digits = line.strip()
        try:
            said = text(4 * len(digits), int(digits, 16))
        except ValueError:
            said = digits
        out.write(f"{said if len(said) <= MOST else said[:MOST - 4] + ' ...'}\n")
        out.flush()

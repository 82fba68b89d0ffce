"""Numbers, named constants, and texts as operands."""

from __future__ import annotations

from dataclasses import dataclass, field

from myhdl_fsa.convert.reference import Reference

__all__ = ["Constants", "Usage", "is_atom", "literal", "operand", "unary_operand", "zeros"]

_DECIMAL = 4096
"""constants from here on are written in hexadecimal"""


def literal(value: int, width: int) -> str:
    """A number of so many bits."""
    value &= (1 << width) - 1
    if width == 1:
        return f"1'b{value}"
    return f"{width}'d{value}" if value < _DECIMAL else f"{width}'h{value:x}"


def zeros(width: int, text: str) -> str:
    """``text`` behind so many zeros."""
    return f"{{{literal(0, width)}, {text}}}" if width else text


@dataclass
class Constants:
    """The named constants of a module: name in Verilog -> value and width."""

    values: dict[str, int] = field(default_factory=dict)
    widths: dict[str, int] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    """names that are something else"""
    wider: dict[str, int] = field(default_factory=dict)
    """the widths that an earlier writing of the same text came to"""

    counts: dict[str, int] = field(default_factory=dict)
    """those that loops end at, which have no width"""

    def count(self, name: str, value: int) -> str:
        """The text of a loop's bound."""
        known = name.upper()
        if known in self.taken or known in self.values or self.counts.get(known, value) != value:
            return str(value)
        self.counts[known] = value
        return known

    def use(self, name: str, value: int, width: int) -> str:
        """The text of a constant at a width; its declared one is the widest."""
        value &= (1 << width) - 1
        known = name.upper()
        number = 2
        while known in self.taken or known in self.counts or self.values.get(known, value) != value:
            known = f"{name.upper()}_{number}"
            number += 1
        self.values[known] = value
        declared = self.widths[known] = max(width, self.widths.get(known, 0), self.wider.get(known, 0))
        if declared == width:
            return known
        return f"{known}[{width - 1}:0]" if width > 1 else f"{known}[0]"


@dataclass
class Usage:
    """Which bits of which nets and locals are read."""

    bits: dict[tuple[str, str], int] = field(default_factory=dict)
    """by scope ("" for nets) and name"""

    def note(self, reference: Reference, low: int = 0, width: int | None = None) -> None:
        """Some bits of a reference are read, or all."""
        mask = -1
        if reference.offset is None and reference.word is None and width is not None:
            mask = ((1 << width) - 1) << low
        key = reference.scope, reference.name
        self.bits[key] = self.bits.get(key, 0) | mask


def operand(text: str, operator: str = "") -> str:
    """A text as an operand: in parentheses, unless it is a name, a number, or a chain of the same operator."""
    if is_atom(text):
        return text
    if operator in ("&", "|", "^", "&&", "||", "+") and _is_chain(text, operator):
        return text
    return f"({text})"


def unary_operand(text: str) -> str:
    """Likewise, of an operator that stands before it: Verilog has no ``~~x``."""
    return f"({text})" if text[0] in "!~-" else operand(text)


def is_atom(text: str) -> bool:
    """Whether a text is a name, a number, or something in brackets."""
    depth = 0
    for position, letter in enumerate(text):
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif depth == 0 and not (letter.isalnum() or letter in "_'$." or (letter in "!~" and position == 0)):
            return False
    return True


def _is_chain(text: str, operator: str) -> bool:
    """Whether all that stands outside parentheses is atoms and one operator."""
    depth, pieces, start = 0, [], 0
    mark = f" {operator} "
    position = 0
    while position < len(text):
        letter = text[position]
        if letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif depth == 0 and text.startswith(mark, position):
            pieces.append(text[start:position])
            position += len(mark)
            start = position
            continue
        position += 1
    pieces.append(text[start:])
    return all(is_atom(piece) for piece in pieces)

"""Conditions as Verilog: comparisons, and, or, not, each one bit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.constants import literal, operand, unary_operand
from myhdl_fsa.convert.interval import Interval

if TYPE_CHECKING:
    from myhdl_fsa.convert.expressions import Expressions

__all__ = ["Conditions"]


class Conditions:
    """Writes the conditions of one process, with its writer of expressions."""

    def __init__(self, words: Expressions) -> None:
        self._words, self._ranges = words, words.ranges

    def truth(self, node: tree.Expression) -> str:
        """An expression as a condition: one bit."""
        interval = self._ranges.of(node)
        if interval.low == interval.high:
            return literal(int(interval.low != 0), 1)
        if isinstance(node, tree.Not):
            return self._negated(node.operand)
        if isinstance(node, tree.Logic):
            operator = "&&" if node.operator == "and" else "||"
            decided = int(node.operator == "or")
            operands = [part for part in node.operands
                        if self._ranges.of(part) != Interval(1 - decided, 1 - decided)]
            return f" {operator} ".join(operand(self.truth(part), operator) for part in operands)
        if isinstance(node, tree.Compare):
            return self._compare(node.operator, node.left, node.right)
        if interval.low >= 0 and interval.high <= 1:
            return self._words.at(node, 1)
        return f"{operand(self._words.at(node, interval.width))} != {literal(0, interval.width)}"

    def _negated(self, node: tree.Expression) -> str:
        if isinstance(node, tree.Compare):
            opposite = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}[node.operator]
            return self._compare(opposite, node.left, node.right)
        return f"!{unary_operand(self.truth(node))}"

    def _compare(self, operator: str, left: tree.Expression, right: tree.Expression) -> str:
        a, b = self._ranges.of(left), self._ranges.of(right)
        if operator in ("==", "!=") and b == Interval(0, 0) and isinstance(left, tree.Binary) and left.operator == "&":
            # a flag in a word: at the word's width, whatever the flag's
            if isinstance(left.right, tree.Number) and isinstance(left.left, tree.Variable | tree.Read) and (
                    left.right.name and not self._ranges.of(left.left).signed):
                width = self._words.reference(left.left).width
                if left.right.value < 1 << width:
                    flag = f"{self._words.at(left.left, width)} & {self._words.at(left.right, width)}"
                    return f"({flag}) {operator} {literal(0, width)}"
        if operator in ("==", "!=") and b == Interval(0, 0) and a.low >= 0 and a.high == 1:
            return self._negated(left) if operator == "==" else self.truth(left)
        if operator in ("==", "!=") and b == Interval(1, 1) and a.low >= 0 and a.high == 1:
            return self.truth(left) if operator == "==" else self._negated(left)
        both = a.join(b)
        if not both.signed or operator in ("==", "!="):
            width = both.width
            operands = [operand(self._words.at(part, width)) for part in (left, right)]
            if operator not in ("==", "!="):
                operands = [self._words.unsigned(part, text)
                            for part, text in zip((left, right), operands, strict=True)]
            return f"{operands[0]} {operator} {operands[1]}"
        if b == Interval(0, 0) and operator in ("<", ">=") and isinstance(left, tree.Variable | tree.Read):
            reference = self._words.reference(left)
            if reference.signed:
                sign = self._words.take(reference, reference.width - 1, 1)
                return sign if operator == "<" else f"!{sign}"
        operands = [self._signed(part, both.width) for part in (left, right)]
        return f"{operands[0]} {operator} {operands[1]}"

    def _signed(self, node: tree.Expression, width: int) -> str:
        interval = self._ranges.of(node)
        if interval.low == interval.high:
            sign = "-" if interval.low < 0 else ""
            return f"{sign}{width}'sd{abs(interval.low)}"
        if isinstance(node, tree.Variable | tree.Read):
            reference = self._words.reference(node)
            if reference.signed and reference.width == width and reference.bare:
                return self._words.take(reference, 0, width)
        return f"$signed({self._words.at(node, width)})"

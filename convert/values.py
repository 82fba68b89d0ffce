"""The expressions of a process or function of Python, as trees: what is known at elaboration is put in its place."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable
from enum import Enum
from pathlib import PurePath
from types import FunctionType
from typing import Any

from myhdl import concat, intbv
from myhdl._Signal import _Signal

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.interval import Interval
from myhdl_fsa.convert.source import definition

__all__ = ["BINARY", "NeedsUnrolling", "ReadError", "Values", "interval_of", "is_vector", "is_word"]

BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^",
           ast.LShift: "<<", ast.RShift: ">>"}
_COMPARE = {ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="}
_FOLD: dict[str, Callable[[int, int], int]] = {
    "+": int.__add__, "-": int.__sub__, "*": int.__mul__, "&": int.__and__, "|": int.__or__, "^": int.__xor__,
    "<<": int.__lshift__, ">>": int.__rshift__, "==": lambda a, b: int(a == b), "!=": lambda a, b: int(a != b),
    "<": lambda a, b: int(a < b), "<=": lambda a, b: int(a <= b), ">": lambda a, b: int(a > b),
    ">=": lambda a, b: int(a >= b),
}


class ReadError(ValueError):
    """Something that cannot be converted; the message is one line that begins with file and line."""


def is_vector(value: Any) -> bool:
    """Whether something is a sequence of signals of one width: a list, or an object with a length and items."""
    if isinstance(value, _Signal | str | bytes | intbv) or not hasattr(value, "__getitem__") or isinstance(value, dict):
        return False
    try:
        signals = [value[index] for index in range(len(value))]
    except (TypeError, LookupError):
        return False
    return bool(signals) and all(isinstance(s, _Signal) for s in signals) and len({len(s) for s in signals}) == 1


class _Known:
    """Something that is no value of the hardware: a list, a bundle, a function."""

    def __init__(self, value: Any, name: str) -> None:
        self.value, self.name = value, name


class Values:
    """Reads the expressions of one function of Python; ``function_of`` gives the tree of a function that it calls."""

    def __init__(self, function: FunctionType, function_of: Callable[[FunctionType], tree.Function]) -> None:
        self.function, self.function_of = function, function_of
        self.file = function.__code__.co_filename
        node = definition(function.__code__)
        if node is None:
            raise ReadError(f"{self.file}: the source of {function.__name__} cannot be read")
        self.node = node
        self.parameters = tuple(argument.arg for argument in node.args.args)
        self.locals = set(function.__code__.co_varnames)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        self.names: dict[str, Any] = dict(function.__globals__)
        for name, cell in cells:
            try:
                self.names[name] = cell.cell_contents
            except ValueError:
                raise self.error(node, f"{name} has no value yet") from None
        self.unrolled: dict[str, int] = {}
        """variables of loops that are read once for each value"""
        self.looping: set[str] = set()
        """variables of the loops around"""
        self.looped: set[str] = set()
        """variables of loops that are over"""
        self.assigned: set[str] = set()
        """locals that are no loop's variable"""
        self.words: set[str] = set()
        """locals that hold a signal or a slice of one, of which ~ is something else than of an integer"""

    # -- errors and places ---------------------------------------------------------------------------------------------
    def where(self, node: ast.AST) -> str:
        """File and line."""
        return f"{PurePath(self.file).name}:{getattr(node, 'lineno', 0)}"

    def error(self, node: ast.AST, what: str) -> ReadError:
        """What is wrong, with file and line."""
        return ReadError(f"{self.where(node)}: {what}")

    # -- expressions ---------------------------------------------------------------------------------------------------
    def value(self, node: ast.expr) -> tree.Expression:
        """An expression of the hardware. Raises ReadError for anything else."""
        found = self.read(node)
        if isinstance(found, _Known):
            raise self.error(node, f"{found.name} is no integer")
        return found

    def read(self, node: ast.expr) -> Any:
        """A tree, or something known."""
        if isinstance(node, ast.Constant):
            return self.known(node.value, "", node)
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.Attribute):
            return self.attribute(node)
        if isinstance(node, ast.Subscript):
            return self.subscript(node)
        if isinstance(node, ast.Call):
            return self.call(node)
        if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            return _binary(BINARY[type(node.op)], self.value(node.left), self.value(node.right))
        if isinstance(node, ast.UnaryOp):
            return self.unary(node)
        if isinstance(node, ast.Compare):
            if len(node.ops) != 1 or type(node.ops[0]) not in _COMPARE:
                raise self.error(node, "a chained comparison, or one that is not of integers")
            return _binary(_COMPARE[type(node.ops[0])], self.value(node.left), self.value(node.comparators[0]))
        if isinstance(node, ast.BoolOp):
            return self.logic(node)
        if isinstance(node, ast.IfExp):
            test = self.test(node.test)
            if isinstance(test, tree.Number):
                return self.value(node.body if test.value else node.orelse)
            return tree.Choice(test, self.value(node.body), self.value(node.orelse))
        raise self.error(node, f"{type(node).__name__} cannot be converted")

    def known(self, value: Any, name: str, node: ast.AST) -> Any:
        """What a name that is no local stands for."""
        if isinstance(value, _Signal):
            return tree.Read(value, name)
        if isinstance(value, bool | int) and not isinstance(value, Enum):
            return tree.Number(int(value), name or None)
        if isinstance(value, Enum) and isinstance(value.value, int):
            return tree.Number(int(value.value), value.name)
        return _Known(value, name)

    def name(self, node: ast.Name) -> Any:
        """A local, or what a name stands for."""
        if node.id in self.unrolled:
            return tree.Number(self.unrolled[node.id])
        if node.id in self.looped - self.looping:
            raise self.error(node, f"{node.id} is read after its loop")
        if node.id in self.locals:
            return tree.Variable(node.id)
        if node.id in self.names:
            return self.known(self.names[node.id], node.id, node)
        if hasattr(builtins, node.id):
            return _Known(getattr(builtins, node.id), node.id)
        raise self.error(node, f"{node.id} is unknown")

    def attribute(self, node: ast.Attribute) -> Any:
        """A bundle's signal, or another attribute that is known."""
        base = self.read(node.value)
        if isinstance(base, tree.Read | tree.Element) and node.attr == "val":
            return base
        if not isinstance(base, _Known):
            raise self.error(node, f"an attribute {node.attr} of what is a number")
        if not hasattr(base.value, node.attr):
            raise self.error(node, f"{base.name} has no {node.attr}")
        return self.known(getattr(base.value, node.attr), f"{base.name}_{node.attr}", node)

    def subscript(self, node: ast.Subscript) -> Any:
        """An element of a list or table, or bits of a word."""
        base = self.read(node.value)
        if isinstance(base, _Known):
            if isinstance(node.slice, ast.Slice):
                raise self.error(node, f"a slice of {base.name}, which is no word")
            return self.element(base, self.value(node.slice), node)
        if isinstance(node.slice, ast.Slice) and node.slice.upper is None and isinstance(base, tree.Read):
            low = self.number(node.slice.lower, 0)  # x[n:] reads n bits: the upper bound comes first
            return tree.Part(base, tree.Number(0), low)
        low_bit, width = self.bits(node)
        return tree.Part(base, low_bit, width)

    def bits(self, node: ast.Subscript) -> tuple[tree.Expression, int]:
        """The lowest bit and the width of ``x[high:low]`` or ``x[i]``, as intbv has them."""
        if isinstance(node.slice, ast.Slice):
            high, low = self.number(node.slice.lower, 0), self.number(node.slice.upper, 0)
            if node.slice.lower is None:
                signal = self.read(node.value)
                if not isinstance(signal, tree.Read):
                    raise self.error(node, "a slice up to the top of what is no signal")
                high = len(signal.signal)
            if not 0 <= low < high:
                raise self.error(node, f"a slice from {high} to {low}")
            return tree.Number(low), high - low
        return self.value(node.slice), 1

    def number(self, node: ast.expr | None, missing: int) -> int:
        """A bound that is known before."""
        if node is None:
            return missing
        value = self.value(node)
        if not isinstance(value, tree.Number):
            raise self.error(node, "a bound that is not known before")
        return value.value

    def element(self, base: _Known, index: tree.Expression, node: ast.AST) -> Any:
        """One of a list of signals or of a table."""
        items = base.value
        if isinstance(index, tree.Number):
            try:
                item = items[index.value]
            except (TypeError, LookupError):
                raise self.error(node, f"{base.name} has no element {index.value}") from None
            if isinstance(item, _Signal):
                return tree.Read(item, f"{base.name}_{index.value}")
            return self.known(item, "" if isinstance(item, int) else f"{base.name}_{index.value}", node)
        if isinstance(items, tuple | list) and all(isinstance(item, int) for item in items):
            return tree.Lookup(tree.Table(base.name, tuple(map(int, items))), index)
        if is_vector(items):
            return tree.Element(items, base.name, index)
        if any(isinstance(part, tree.Variable) for part in tree.walk(index)):
            raise NeedsUnrolling(f"{self.where(node)}: {base.name} is no list of signals of one width")
        raise self.error(node, f"{base.name} is no list of signals of one width")

    def call(self, node: ast.Call) -> Any:
        """int, bool, len, concat, or a function of ints."""
        called = self.read(node.func)
        if node.keywords or not isinstance(called, _Known):
            raise self.error(node, "a call that cannot be converted")
        if called.value in (int, bool) and len(node.args) == 1:
            return self.value(node.args[0]) if called.value is int else _truth(self.test(node.args[0]))
        if called.value is len and len(node.args) == 1:
            counted = self.read(node.args[0])
            if isinstance(counted, tree.Read):
                return tree.Number(len(counted.signal))
            if isinstance(counted, _Known):
                return tree.Number(len(counted.value))
        if called.value is concat:
            return self.concatenation(node)
        if isinstance(called.value, FunctionType):
            function = self.function_of(called.value)
            if not function.body:
                raise self.error(node, f"{function.name} calls itself")
            arguments = tuple(self.value(argument) for argument in node.args)
            if len(arguments) != len(function.parameters):
                raise self.error(node, f"{function.name} takes {len(function.parameters)} arguments")
            return tree.Call(function, arguments)
        raise self.error(node, f"{called.name} cannot be converted")

    def concatenation(self, node: ast.Call) -> tree.Expression:
        """MyHDL's concat, of parts whose width their form tells, the first one on top."""
        found: tree.Expression = tree.Number(0)
        for argument in node.args:
            part = self.value(argument)
            if isinstance(part, tree.Read):
                width = max(1, len(part.signal))
            elif isinstance(part, tree.Element):
                width = max(1, len(part.vector[0]))
            elif isinstance(part, tree.Part):
                width = part.width
            elif isinstance(part, tree.Compare | tree.Logic | tree.Not):
                width = 1
            else:
                raise self.error(node, "a part of a concat without a width of its own")
            found = _binary("|", _binary("<<", found, tree.Number(width)), part)
        return found

    def unary(self, node: ast.UnaryOp) -> tree.Expression:
        """not, -, ~ or +."""
        operand = self.test(node.operand) if isinstance(node.op, ast.Not) else self.value(node.operand)
        if isinstance(node.op, ast.Not):
            return (tree.Number(int(not operand.value)) if isinstance(operand, tree.Number)
                    else tree.Not(_truth(operand)))
        if isinstance(node.op, ast.UAdd):
            return operand
        operator = "-" if isinstance(node.op, ast.USub) else "~"
        if isinstance(operand, tree.Number):
            return tree.Number(-operand.value if operator == "-" else ~operand.value)
        if operator == "~":
            if isinstance(operand, tree.Variable) and isinstance(node.operand, ast.Name) and (
                    operand.name in self.words):
                raise self.error(node, f"~ of {operand.name}, which holds a word: int() makes it an integer")
            if is_word(operand, node.operand):
                return self.complement(operand)
        return tree.Unary(operator, operand)

    def complement(self, word: tree.Expression) -> tree.Expression:
        """What MyHDL has for ~ of a signal or a slice: all bits of it turned, not what -1 - x is."""
        if isinstance(word, tree.Part):
            return tree.Part(tree.Unary("~", word), tree.Number(0), word.width)
        assert isinstance(word, tree.Read | tree.Element)
        held = word.signal if isinstance(word, tree.Read) else word.vector[0]
        found = tree.Unary("~", word)
        if not isinstance(held._val, intbv) or interval_of(held).signed:  # ~ of a bool is that of an int
            return found
        return tree.Part(found, tree.Number(0), len(held))

    def test(self, node: ast.expr) -> tree.Expression:
        """A condition: what decides whether, and is no value of its own."""
        return self.logic(node, decides_only=True) if isinstance(node, ast.BoolOp) else self.value(node)

    def logic(self, node: ast.BoolOp, decides_only: bool = False) -> tree.Expression:
        """``and`` or ``or``; as a value Python's is one of the operands, which inference then wants to be 0 or 1."""
        decides = int(isinstance(node.op, ast.Or))
        operands: list[tree.Expression] = []
        for part in node.values:
            operand = self.test(part) if decides_only else self.value(part)
            if isinstance(operand, tree.Number):
                if bool(operand.value) == bool(decides):
                    # nothing behind it counts
                    operands.append(tree.Number(decides))
                    break
            else:
                operands.append(_truth(operand) if decides_only else operand)
        if not operands:
            return tree.Number(1 - decides)
        if len(operands) == 1:
            return operands[0]
        if isinstance(operands[-1], tree.Number):
            return operands[-1]
        return tree.Logic("or" if decides else "and", tuple(operands))


def is_word(found: tree.Expression, node: ast.expr) -> bool:
    """Whether something is a signal or a slice of one, as it is: int() of it is none."""
    if isinstance(node, ast.Call):
        return False
    return isinstance(found, tree.Read | tree.Element) or (
        isinstance(found, tree.Part) and isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice))


class NeedsUnrolling(ReadError):
    """A loop whose turns do different things."""


def _binary(operator: str, left: tree.Expression, right: tree.Expression) -> tree.Expression:
    if isinstance(left, tree.Number) and isinstance(right, tree.Number):
        return tree.Number(_FOLD[operator](left.value, right.value))
    if operator in _COMPARE.values():
        return tree.Compare(operator, left, right)
    return tree.Binary(operator, left, right)


def _truth(value: tree.Expression) -> tree.Expression:
    """1 where a value is not 0."""
    if isinstance(value, tree.Compare | tree.Logic | tree.Not) or (
            isinstance(value, tree.Read) and len(value.signal) <= 1) or (
            isinstance(value, tree.Part) and value.width == 1):
        return value
    if isinstance(value, tree.Number):
        return tree.Number(int(value.value != 0))
    return tree.Compare("!=", value, tree.Number(0))


def interval_of(signal: Any) -> Interval:
    """What a signal can be."""
    if len(signal) <= 1 and not isinstance(signal._val, intbv):
        return Interval(0, 1)
    return Interval.of_bits(len(signal), signal._min is not None and signal._min < 0)

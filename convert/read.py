"""From a process or function of Python to its tree: MyHDL's convertible subset, with every name resolved.

What is known when the design is elaborated (ints, tables, bundles of signals) is put in its place, and a branch that it
decides is gone. Everything outside the subset raises ReadError with file and line.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.source import comments_above
from myhdl_fsa.convert.values import NeedsUnrolling, ReadError, Values, interval_of, is_vector, is_word

__all__ = ["ReadError", "interval_of", "is_vector", "read_function", "read_process"]

_LONGEST_LOOP = 1 << 16


def read_process(function: FunctionType, functions: dict[Any, tree.Function]) -> tuple[tree.Statement, ...]:
    """The statements of a process. ``functions`` keeps those that it calls, by identity. Raises ReadError."""
    return _Reader(function, functions).body()


def read_function(function: FunctionType, functions: dict[Any, tree.Function]) -> tree.Function:
    """A function of ints, likewise; read once."""
    known = functions.get(id(function))
    if known is None:
        reader = _Reader(function, functions)
        known = tree.Function(function.__name__, reader.parameters, where=reader.where(reader.node),
                              function=function)
        functions[id(function)] = known
        known.body = reader.body()
        if not known.body or not isinstance(known.body[-1], tree.Return):
            raise ReadError(f"{known.where}: function {known.name} does not end with a return")
    return known


class _Reader(Values):
    def __init__(self, function: FunctionType, functions: dict[Any, tree.Function]) -> None:
        super().__init__(function, lambda called: read_function(called, functions))

    def body(self) -> tuple[tree.Statement, ...]:
        statements = list(self.node.body)
        if statements and isinstance(statements[0], ast.Expr) and isinstance(statements[0].value, ast.Constant):
            statements = statements[1:]
        return self.block(statements, last=True)

    def block(self, nodes: Sequence[ast.stmt], last: bool = False) -> tuple[tree.Statement, ...]:
        found: list[tree.Statement] = []
        for position, node in enumerate(nodes):
            if isinstance(node, ast.Return) and not (last and position == len(nodes) - 1):
                raise self.error(node, f"{self.function.__name__} returns before its end")
            found += self.statement(node)
        return tuple(found)

    def statement(self, node: ast.stmt) -> list[tree.Statement]:
        comments = comments_above(self.file, node.lineno)
        place = {"line": node.lineno, "comments": comments}
        if isinstance(node, ast.Assign):
            if len(node.targets) != 1:
                raise self.error(node, "several targets of one assignment")
            return [self.assignment(node.targets[0], node.value, node, place)]
        if isinstance(node, ast.AnnAssign) and node.value is not None:
            return [self.assignment(node.target, node.value, node, place)]
        if isinstance(node, ast.AugAssign):
            value = ast.copy_location(ast.BinOp(_loaded(node.target), node.op, node.value), node)
            return [self.assignment(node.target, value, node, place)]
        if isinstance(node, ast.If):
            return self.branch(node, place)
        if isinstance(node, ast.For):
            return self.loop(node, place)
        if isinstance(node, ast.Return) and node.value is not None:
            return [tree.Return(self.value(node.value), **place)]  # type: ignore[arg-type]
        if isinstance(node, ast.Pass) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            return []
        raise self.error(node, f"{type(node).__name__.lower()} cannot be converted")

    def assignment(self, target: ast.expr, value: ast.expr, node: ast.AST, place: Any) -> tree.Statement:
        if isinstance(target, ast.Name):
            if target.id not in self.locals:
                raise self.error(node, f"{target.id} is no local")
            if target.id in self.looping | self.looped:
                raise self.error(node, f"{target.id} is assigned, and is the variable of a loop")
            self.assigned.add(target.id)
            found = self.value(value)
            if is_word(found, value):
                self.words.add(target.id)
            return tree.Assign(target.id, found, **place)
        low: tree.Expression | None = None
        width = 0
        if isinstance(target, ast.Subscript):  # x.next[high:low], x.next[i]
            low, width = self.bits(target)
            target = target.value
        if not isinstance(target, ast.Attribute) or target.attr != "next":
            raise self.error(node, "what is assigned is neither a local nor the next of a signal")
        signal = self.read(target.value)
        if not isinstance(signal, tree.Read | tree.Element):
            raise self.error(node, "next of what is no signal")
        return tree.Drive(signal, self.value(value), low, width, **place)

    def branch(self, node: ast.If, place: Any) -> list[tree.Statement]:
        test = self.test(node.test)
        if isinstance(test, tree.Number):
            return list(self.block(node.body if test.value else node.orelse))
        is_elif = len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If) and (
            node.orelse[0].col_offset == node.col_offset)
        return [tree.If(test, self.block(node.body), self.block(node.orelse), **place, is_elif=is_elif)]

    def loop(self, node: ast.For, place: Any) -> list[tree.Statement]:
        call = node.iter
        if not (isinstance(node.target, ast.Name) and isinstance(call, ast.Call) and isinstance(call.func, ast.Name)
                and call.func.id == "range" and not node.orelse):
            raise self.error(node, "a loop that is not over a range")
        bounds = [self.value(argument) for argument in call.args]
        if not all(isinstance(bound, tree.Number) for bound in bounds):
            raise self.error(node, "a loop over a range that is not known before")
        numbers = [bound for bound in bounds if isinstance(bound, tree.Number)]
        values = range(*(number.value for number in numbers))
        if len(values) > _LONGEST_LOOP:
            raise self.error(node, f"a loop of {len(values)} turns")
        if not values:
            return []
        start = numbers[0] if len(numbers) > 1 else tree.Number(0)
        stop = numbers[1] if len(numbers) > 1 else numbers[0]
        name = node.target.id
        if name in self.assigned | self.looping:
            raise self.error(node, f"{name} is assigned, and is the variable of a loop")
        self.looping.add(name)
        try:
            return [tree.For(name, start, stop, values.step, self.block(node.body), **place)]
        except NeedsUnrolling:
            statements: list[tree.Statement] = []
            for value in values:
                self.unrolled[name] = value
                statements += self.block(node.body)
            return statements
        finally:
            self.unrolled.pop(name, None)
            self.looping.discard(name)
            self.looped.add(name)


def _loaded(target: ast.expr) -> ast.expr:
    """A target as the value it has before."""
    return ast.copy_location(ast.parse(ast.unparse(target), mode="eval").body, target)

"""Processes that read and write the slots of signals themselves, for the simulation of many instances of a block.

``int(signal)`` and ``signal.next = value`` are calls, and most of the time of a processing element goes into them. Here
a process is compiled a second time with what these calls do in their place. What is converted is the process as
written, and MyHDL's own simulator runs that too; the tests hold the two against each other.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from collections.abc import Callable
from functools import cache
from types import CodeType, FunctionType
from typing import Any

from myhdl._Signal import _siglist

from myhdl_fsa.elaboration import source_lines
from myhdl_fsa.signals import BitSignal, UnsignedSignal

__all__ = ["direct"]

_VALUE, _FOLLOWING, _QUEUE = "value_", "following_", "queue_"
"""locals of a process that is compiled here"""
_BIT = 2
_COMPARISONS = ast.Eq | ast.NotEq | ast.Lt | ast.LtE | ast.Gt | ast.GtE


def direct(process: Callable[[], None]) -> Callable[[], None]:
    """``process`` with direct access to the signals that its closure names; itself where there is nothing to gain."""
    if not isinstance(process, FunctionType) or process.__code__.co_argcount or process.__closure__ is None:
        return process
    cells = dict(zip(process.__code__.co_freevars, process.__closure__, strict=True))
    code = _compiled(process.__code__, tuple(_kind(cell) for cell in cells.values()))
    if code is None:
        return process
    closure = tuple(cells[name] for name in code.co_freevars)
    return FunctionType(code, process.__globals__, process.__name__, (_siglist.append,), closure)


def _kind(cell: Any) -> int:
    """The values that a signal takes which a closure's variable is: 2 if it is a bool signal, 0 for no signal."""
    try:
        value = cell.cell_contents
    except ValueError:  # not assigned yet
        return 0
    if type(value) is UnsignedSignal:
        return int(value.max) if value.max > _BIT else 0
    return _BIT if type(value) is BitSignal else 0


@cache
def _compiled(code: CodeType, kinds: tuple[int, ...]) -> CodeType | None:
    """The code of a process whose closure's variables are of these kinds; it takes the simulator's queue."""
    signals = {name: kind for name, kind in zip(code.co_freevars, kinds, strict=True) if kind}
    taken = {*code.co_varnames, *code.co_freevars, *code.co_names}
    if not signals or taken & {_VALUE, _FOLLOWING, _QUEUE}:
        return None
    try:
        tree = ast.parse(textwrap.dedent("".join(source_lines(code)[0])))
    except (OSError, SyntaxError):
        return None
    process = tree.body[0]
    if not isinstance(process, ast.FunctionDef):
        return None
    process.decorator_list = []
    process.args.args = [ast.arg(_QUEUE)]
    _Access(signals, _bounds(process, signals)).generic_visit(process)
    names = ast.arguments([], [ast.arg(name) for name in code.co_freevars], None, [], [], None, [])
    around = ast.FunctionDef("around", names, [process], [])
    module = ast.fix_missing_locations(ast.Module([around], []))
    ast.increment_lineno(module, code.co_firstlineno - 1)
    outer = next(item for item in compile(module, code.co_filename, "exec").co_consts if isinstance(item, CodeType))
    return next(item for item in outer.co_consts if isinstance(item, CodeType) and item.co_name == code.co_name)


def _bounds(process: ast.FunctionDef, signals: dict[str, int]) -> dict[str, int]:
    """What the locals stay below that are nothing but ``int(signal)``."""
    assigned = Counter(node.id for node in ast.walk(process) if isinstance(node, ast.Name) and not _is_load(node))
    bounds: dict[str, int] = {}
    for node in ast.walk(process):
        match node:
            case ast.Assign([ast.Name(local)], ast.Call(ast.Name("int"), [ast.Name(signal)])) if signal in signals:
                if assigned[local] == 1:
                    bounds[local] = signals[signal]
    return bounds


def _is_load(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)


class _Access(ast.NodeTransformer):
    """Replaces what reads and writes the named signals."""

    def __init__(self, signals: dict[str, int], bounds: dict[str, int]) -> None:
        self.signals, self.bounds = signals, bounds

    def _of(self, node: ast.AST) -> int:
        return self.signals.get(node.id, 0) if isinstance(node, ast.Name) else 0

    def _fits(self, node: ast.AST, maximum: int) -> bool:
        """Whether an expression is an int that is known to be below ``maximum``."""
        if isinstance(node, ast.Constant):
            return type(node.value) is int and 0 <= node.value < maximum
        known = {**self.bounds, **{name: kind for name, kind in self.signals.items() if kind > _BIT}}
        return isinstance(node, ast.Name) and known.get(node.id, maximum + 1) <= maximum

    def _read(self, node: Any) -> Any:
        """The value of a signal as it lies in its slots; any other expression as it is."""
        kind = self._of(node)
        if not kind:
            return node
        value = ast.Attribute(node, "_val", ast.Load())
        return ast.Attribute(value, "_val", ast.Load()) if kind > _BIT else value

    def _truth(self, node: Any) -> Any:
        """Likewise, where only the truth of an expression counts."""
        if isinstance(node, ast.BoolOp):
            node.values = [self._truth(value) for value in node.values]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            node.operand = self._truth(node.operand)
        return self._read(node)

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if not (isinstance(node.func, ast.Name) and node.func.id == "int" and len(node.args) == 1):
            return node
        if self._of(node.args[0]) > _BIT:
            return self._read(node.args[0])
        node.args = [self._read(node.args[0])]
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        if all(isinstance(op, _COMPARISONS) for op in node.ops):
            node.left, node.comparators = self._read(node.left), [self._read(part) for part in node.comparators]
        return node

    def visit_If(self, node: ast.If) -> Any:
        self.generic_visit(node)
        node.test = self._truth(node.test)
        return node

    def visit_Assign(self, node: ast.Assign) -> Any:
        self.generic_visit(node)
        target = node.targets[0]
        if not isinstance(target, ast.Attribute) or target.attr != "next" or not isinstance(target.value, ast.Name):
            return node
        name, kind = target.value.id, self._of(target.value)
        source = self._of(node.value)
        if kind > _BIT:
            change = f"""\
{_FOLLOWING} = {name}._next
if {_FOLLOWING}._val != {_VALUE}:
    {_FOLLOWING}._val = {_VALUE}
    {_QUEUE}({name})
"""
            # what may not fit, or be no int, is for the signal itself
            text = change if self._fits(node.value, kind) else f"""\
if {_VALUE}.__class__ is int and 0 <= {_VALUE} < {kind}:
{textwrap.indent(change, "    ")}else:
    {name}.next = {_VALUE}
"""
            value = self._read(node.value) if source > _BIT else node.value
        elif kind and (source == _BIT or isinstance(node.value, ast.Constant)):
            text = f"""\
if {name}._next is not {_VALUE}:
    {name}._next = {_VALUE}
    {_QUEUE}({name})
"""
            value = self._read(node.value)
            if isinstance(value, ast.Constant):
                if value.value not in (0, 1):
                    return node
                value = ast.Constant(bool(value.value))
        else:
            return node
        statements = [ast.Assign([ast.Name(_VALUE, ast.Store())], value), *ast.parse(text).body]
        for part in (inside for statement in statements for inside in ast.walk(statement)):
            if part is not value:
                # a traceback names the line of the assignment
                ast.copy_location(part, node)
        return statements

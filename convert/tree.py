"""What a process or function says, as a tree: MyHDL's convertible subset with every name resolved.

A tree knows no widths: ``convert.infer`` finds the intervals, ``convert.expressions`` and ``convert.statements`` write
the Verilog. Nodes are compared by identity, so that each can have an interval of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

__all__ = [
    "Assign", "Binary", "Call", "Choice", "Compare", "Drive", "Element", "Expression", "For", "Function", "If", "Logic",
    "Lookup", "Move", "Not", "Number", "Part", "Put", "Read", "Return", "Statement", "Table", "Unary", "Variable",
    "roots", "statements", "walk",
]


class Expression:
    """Something with a value."""

    __slots__ = ()

    def parts(self) -> tuple[Expression, ...]:
        """The expressions right inside, in order."""
        found: list[Expression] = []
        for field_ in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field_.name)
            if isinstance(value, Expression):
                found.append(value)
            elif isinstance(value, tuple):
                found += [part for part in value if isinstance(part, Expression)]
        return tuple(found)

    def with_parts(self, parts: Sequence[Expression]) -> Expression:
        """The same with other expressions inside."""
        rest = iter(parts)
        changed: dict[str, Any] = {}
        for field_ in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field_.name)
            if isinstance(value, Expression):
                changed[field_.name] = next(rest)
            elif isinstance(value, tuple) and value and isinstance(value[0], Expression):
                changed[field_.name] = tuple(next(rest) for _ in value)
        return replace(self, **changed)  # type: ignore[type-var]


class Statement:
    """Something that is done; ``line`` is that of the source, ``comments`` what stands above it there."""

    line: int
    comments: tuple[str, ...]


def walk(expression: Expression) -> list[Expression]:
    """The expression and all inside it, the outer ones first."""
    found = [expression]
    for part in expression.parts():
        found += walk(part)
    return found


@dataclass(eq=False, slots=True)
class Number(Expression):
    """A constant; ``name`` is what the source calls it, if it does."""

    value: int
    name: str | None = None


@dataclass(eq=False, slots=True)
class Variable(Expression):
    """A local, a parameter, or the variable of a loop."""

    name: str


@dataclass(eq=False, slots=True)
class Read(Expression):
    """The value of a signal; ``name`` is what the source calls it."""

    signal: Any
    name: str


@dataclass(eq=False, slots=True)
class Element(Expression):
    """One of a list of signals, all of one width."""

    vector: Any
    name: str
    index: Expression



@dataclass(eq=False, slots=True)
class Part(Expression):
    """``width`` bits of a word from bit ``low`` up: the word shifted down by ``low``, and masked."""

    word: Expression
    low: Expression
    width: int



@dataclass(eq=False, slots=True)
class Table:
    """Constants by number."""

    name: str
    values: tuple[int, ...]


@dataclass(eq=False, slots=True)
class Lookup(Expression):
    """One of a table."""

    table: Table
    index: Expression



@dataclass(eq=False, slots=True)
class Unary(Expression):
    """``-`` or ``~``."""

    operator: str
    operand: Expression



@dataclass(eq=False, slots=True)
class Not(Expression):
    """1 where the operand is 0, else 0."""

    operand: Expression



@dataclass(eq=False, slots=True)
class Binary(Expression):
    """``+ - * & | ^ << >>``."""

    operator: str
    left: Expression
    right: Expression



@dataclass(eq=False, slots=True)
class Compare(Expression):
    """``== != < <= > >=``: 1 or 0."""

    operator: str
    left: Expression
    right: Expression



@dataclass(eq=False, slots=True)
class Logic(Expression):
    """``and`` or ``or`` of what is 1 or 0."""

    operator: str
    operands: tuple[Expression, ...]



@dataclass(eq=False, slots=True)
class Choice(Expression):
    """``a if test else b``."""

    test: Expression
    then: Expression
    other: Expression



@dataclass(eq=False, slots=True)
class Function:
    """A function of ints that ends with its only return."""

    name: str
    parameters: tuple[str, ...]
    body: tuple[Statement, ...] = ()
    where: str = ""
    function: Callable[..., Any] | None = None


@dataclass(eq=False, slots=True)
class Call(Expression):
    """A call of a function."""

    function: Function
    arguments: tuple[Expression, ...]



@dataclass(eq=False, slots=True)
class Assign(Statement):
    """A local gets a value."""

    name: str
    value: Expression
    line: int = 0
    comments: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Put(Statement):
    """``width`` bits of a local, from bit ``low`` up, which were 0 before, get a value that fits them."""

    name: str
    low: Expression
    width: int
    value: Expression
    line: int = 0
    comments: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Drive(Statement):
    """A signal's ``next``: of a whole one, of an element, or of some of its bits."""

    target: Read | Element
    value: Expression
    low: Expression | None = None
    width: int = 0
    line: int = 0
    comments: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class If(Statement):
    """One of two."""

    test: Expression
    then: tuple[Statement, ...]
    other: tuple[Statement, ...] = ()
    line: int = 0
    comments: tuple[str, ...] = ()
    is_elif: bool = False


@dataclass(eq=False, slots=True)
class For(Statement):
    """A loop over ``range(start, stop, step)``."""

    name: str
    start: Number
    stop: Number
    step: int
    body: tuple[Statement, ...]
    line: int = 0
    comments: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Move(Statement):
    """``count`` elements of a list from ``source`` up drive as many of another, from ``target`` up."""

    target: Element
    source: Element
    count: int
    line: int = 0
    comments: tuple[str, ...] = ()


@dataclass(eq=False, slots=True)
class Return(Statement):
    """A function's result; its last statement."""

    value: Expression
    line: int = 0
    comments: tuple[str, ...] = field(default=())


def statements(body: Iterable[Statement]) -> Iterator[Statement]:
    """All statements, those inside others too, the outer ones first."""
    for statement in body:
        yield statement
        if isinstance(statement, If):
            yield from statements((*statement.then, *statement.other))
        elif isinstance(statement, For):
            yield from statements(statement.body)


def roots(statement: Statement) -> Iterator[Expression]:
    """The expressions that a statement itself reads, from the outside."""
    if isinstance(statement, Assign | Return):
        yield statement.value
    elif isinstance(statement, Put):
        yield from (statement.value, statement.low)
    elif isinstance(statement, Drive):
        yield from (statement.value, *statement.target.parts())
        if statement.low is not None:
            yield statement.low
    elif isinstance(statement, If):
        yield statement.test

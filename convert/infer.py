"""The interval of every expression and local of a process, by abstract interpretation.

What is found holds for every run: a signal is anything its width holds, a branch narrows what its test compares, and a
loop is followed turn by turn until nothing grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.interval import BIT, Interval, UnboundedError
from myhdl_fsa.convert.read import interval_of

__all__ = ["InferenceError", "Ranges", "Scope"]

_Key = Any
_NEGATED = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_MIRRORED = {"==": "==", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


class InferenceError(ValueError):
    """Something that cannot be bounded; the message is one line that begins with file and line."""


@dataclass
class _State:
    """What is known at a place: the intervals of locals and of signals that were compared, and x >= y (+ 1)."""

    values: dict[_Key, Interval] = field(default_factory=dict)
    order: frozenset[tuple[_Key, _Key, int]] = frozenset()

    def copy(self) -> _State:
        return _State(dict(self.values), self.order)


@dataclass
class Scope:
    """The locals of a process: what they can be, and which of them some path leaves alone."""

    locals: dict[str, Interval] = field(default_factory=dict)
    partial: set[str] = field(default_factory=set)
    loops: set[str] = field(default_factory=set)


class Ranges:
    """The intervals of one module's processes."""

    def __init__(self) -> None:
        self._found: dict[int, Interval] = {}
        self._branches: dict[int, set[bool]] = {}
        self.scopes: dict[str, Scope] = {}
        """the processes' by name"""
        self._scope = Scope()
        self._where = ""

    def process(self, name: str, body: Sequence[tree.Statement], where: str = "") -> None:
        """Follows a process, whose functions have been put in. Raises InferenceError."""
        self._where = where
        self._scope = self.scopes.setdefault(name, Scope())
        self._block(body, _State())

    def of(self, node: tree.Expression) -> Interval:
        """What an expression can be."""
        if isinstance(node, tree.Number):
            return Interval(node.value, node.value)
        return self._found.get(id(node), BIT)

    def reached(self, node: tree.If) -> set[bool]:
        """Which branches of an if can be taken."""
        return self._branches.get(id(node), set())

    # -- statements ----------------------------------------------------------------------------------------------------
    def _block(self, body: Sequence[tree.Statement], state: _State | None) -> _State | None:
        for statement in body:
            if state is None:
                return None
            state = self._statement(statement, state)
        return state

    def _statement(self, statement: tree.Statement, state: _State) -> _State | None:
        try:
            if isinstance(statement, tree.Assign):
                self._assign(statement.name, self._value(statement.value, state), state)
            elif isinstance(statement, tree.Put):
                self._value(statement.value, state)
                top = self._value(statement.low, state).high + statement.width
                self._assign(statement.name, state.values[statement.name].join(Interval.of_bits(top)), state)
            elif isinstance(statement, tree.Drive):
                self._value(statement.value, state)
                if statement.low is not None:
                    self._value(statement.low, state)
                if isinstance(statement.target, tree.Element):
                    self._value(statement.target.index, state)
            elif isinstance(statement, tree.If):
                return self._branch(statement, state)
            elif isinstance(statement, tree.For):
                return self._loop(statement, state)
        except UnboundedError as error:
            raise InferenceError(f"{self._where}:{statement.line}: {error}") from None
        return state

    def _assign(self, name: str, value: Interval, state: _State) -> None:
        state.values[name] = value
        if state.order:
            state.order = frozenset(fact for fact in state.order if name not in fact[:2])
        known = self._scope.locals.get(name)
        self._scope.locals[name] = value if known is None else known.join(value)

    def _branch(self, node: tree.If, state: _State) -> _State | None:
        decided = self._value(node.test, state)
        ends: list[_State | None] = []
        for truth, body in ((True, node.then), (False, node.other)):
            entered = None if decided == Interval(1 - truth, 1 - truth) else self._refine(node.test, truth, state)
            if entered is not None:
                self._branches.setdefault(id(node), set()).add(truth)
                entered = self._block(body, entered)
            ends.append(entered)
        return self._join(*ends)

    def _join(self, one: _State | None, other: _State | None) -> _State | None:
        if one is None or other is None:
            return one or other
        joined = {}
        for key in one.values.keys() | other.values.keys():
            first, second = one.values.get(key), other.values.get(key)
            if first is not None and second is not None:
                joined[key] = first.join(second)
            elif isinstance(key, str):
                joined[key] = first or second  # type: ignore[assignment]
                self._scope.partial.add(key)
        return _State(joined, one.order & other.order)

    def _loop(self, node: tree.For, state: _State) -> _State | None:
        turns = range(node.start.value, node.stop.value, node.step)
        every = Interval(min(turns), max(turns))
        self._scope.loops.add(node.name)
        entered: _State | None = state.copy()
        for _ in turns:
            assert entered is not None
            before, order = dict(entered.values), entered.order
            self._assign(node.name, every, entered)
            after = self._block(node.body, entered)
            if after is None:
                return None
            for key, value in before.items():
                if key in after.values and isinstance(key, str) and key != node.name:
                    after.values[key] = after.values[key].join(value)
            entered = after
            if after.order == order and {key: value for key, value in after.values.items() if key != node.name} == {
                    key: value for key, value in before.items() if key != node.name}:
                break
        return entered

    # -- expressions ---------------------------------------------------------------------------------------------------
    def _value(self, node: tree.Expression, state: _State) -> Interval:
        if isinstance(node, tree.Number):
            return Interval(node.value, node.value)
        found = self._compute(node, state)
        known = self._found.get(id(node))
        self._found[id(node)] = found if known is None else known.join(found)
        return found

    def _compute(self, node: tree.Expression, state: _State) -> Interval:
        if isinstance(node, tree.Variable):
            if node.name not in state.values:
                raise UnboundedError(f"{node.name} is read before it is assigned")
            return state.values[node.name]
        if isinstance(node, tree.Read):
            return state.values.get(id(node.signal)) or interval_of(node.signal)
        if isinstance(node, tree.Logic):
            return self._logic(node, state)
        if isinstance(node, tree.Choice):
            return self._choice(node, state)
        inner = [self._value(part, state) for part in node.parts()]
        if isinstance(node, tree.Element):
            if inner[0].low < 0:
                raise UnboundedError(f"{node.name} at what may be negative, down to {inner[0].low}")
            return interval_of(node.vector[0])
        if isinstance(node, tree.Lookup):
            if inner[0].low < 0:
                raise UnboundedError(f"{node.table.name} at what may be negative, down to {inner[0].low}")
            values = node.table.values[inner[0].low:inner[0].high + 1]
            if not values:
                raise UnboundedError(f"{node.table.name} has no entry {inner[0].low}")
            return Interval(min(values), max(values))
        if isinstance(node, tree.Part):
            return _part(inner[0], inner[1], node.width)
        if isinstance(node, tree.Unary):
            return -inner[0] if node.operator == "-" else ~inner[0]
        if isinstance(node, tree.Not):
            return Interval(int(inner[0].high == 0 == inner[0].low), int(inner[0].low <= 0 <= inner[0].high))
        if isinstance(node, tree.Binary):
            return self._binary(node, inner[0], inner[1], state)
        if isinstance(node, tree.Compare):
            always, never = _decide(node.operator, *inner)
            return Interval(int(always), int(not never))
        raise AssertionError(f"{type(node).__name__} is left")

    def _binary(self, node: tree.Binary, left: Interval, right: Interval, state: _State) -> Interval:
        if node.operator == "-":
            found = left - right
            if found.low < 0:
                a, b = _key(node.left), _key(node.right)
                margins = [margin for x, y, margin in state.order if (x, y) == (a, b)]
                if margins and found.high >= max(margins):
                    return Interval(max(margins), found.high)
            return found
        if node.operator == "^" and left == right == BIT:
            return BIT
        operations = {"+": Interval.__add__, "*": Interval.__mul__, "&": Interval.__and__, "|": Interval.__or__,
                      "^": Interval.__xor__, "<<": Interval.__lshift__, ">>": Interval.__rshift__}
        return operations[node.operator](left, right)

    def _logic(self, node: tree.Logic, state: _State) -> Interval:
        goes_on = node.operator == "and"
        entered: _State | None = state
        low, high = 1, 1 if goes_on else 0
        if not goes_on:
            low = 0
        for operand in node.operands:
            if entered is None:
                break
            found = self._value(operand, entered)
            if found.low < 0 or found.high > 1:
                between = f"{found.low} to {found.high}"
                raise UnboundedError(f"{node.operator} as a value, of what is not 0 or 1 but {between}")
            if goes_on:
                low, high = min(low, found.low), min(high, found.high)
            else:
                low, high = max(low, found.low), max(high, found.high)
            entered = self._refine(operand, goes_on, entered)
        return Interval(max(0, low), min(1, high))

    def _choice(self, node: tree.Choice, state: _State) -> Interval:
        self._value(node.test, state)
        found = [self._value(part, entered) for part, entered in (
            (node.then, self._refine(node.test, True, state)), (node.other, self._refine(node.test, False, state)))
            if entered is not None]
        return found[0].join(found[-1])

    # -- what a test tells ---------------------------------------------------------------------------------------------
    def _refine(self, test: tree.Expression, truth: bool, state: _State) -> _State | None:
        """The state where a test has come out so; None where it cannot."""
        if isinstance(test, tree.Not):
            return self._refine(test.operand, not truth, state)
        if isinstance(test, tree.Logic):
            if (test.operator == "and") == truth:
                entered: _State | None = state
                for operand in test.operands:
                    entered = None if entered is None else self._refine(operand, truth, entered)
                return entered
            return state.copy()
        if isinstance(test, tree.Compare):
            return self._refine_comparison(test, truth, state)
        key = _key(test)
        if key is None:
            return state.copy()
        operator = "!=" if truth else "=="
        return self._bound(key, operator, self._peek(test, state), Interval(0, 0), state.copy())

    def _refine_comparison(self, test: tree.Compare, truth: bool, state: _State) -> _State | None:
        operator = test.operator if truth else _NEGATED[test.operator]
        left, right = self._peek(test.left, state), self._peek(test.right, state)
        found: _State | None = state.copy()
        a, b = _key(test.left), _key(test.right)
        if a is not None:
            assert found is not None
            found = self._bound(a, operator, left, right, found)
        if b is not None and found is not None:
            found = self._bound(b, _MIRRORED[operator], right, left, found)
        if a is not None and b is not None and found is not None and operator in (">", ">=", "<", "<="):
            greater, lesser = (a, b) if operator[0] == ">" else (b, a)
            found.order |= {(greater, lesser, int(len(operator) == 1))}
        return found

    def _peek(self, node: tree.Expression, state: _State) -> Interval:
        if isinstance(node, tree.Number):
            return Interval(node.value, node.value)
        key = _key(node)
        if key is not None and key in state.values:
            return state.values[key]
        return self._found[id(node)] if id(node) in self._found else interval_of(node.signal)  # type: ignore[attr-defined]

    def _bound(self, key: _Key, operator: str, value: Interval, other: Interval, state: _State) -> _State | None:
        found: Interval | None = value
        if operator == "==":
            found = value.meet(other.low, other.high)
        elif operator == "!=" and other.low == other.high:
            if value.low == other.low:
                found = value.meet(low=value.low + 1)
            elif value.high == other.low:
                found = value.meet(high=value.high - 1)
        elif operator == "<":
            found = value.meet(high=other.high - 1)
        elif operator == "<=":
            found = value.meet(high=other.high)
        elif operator == ">":
            found = value.meet(low=other.low + 1)
        elif operator == ">=":
            found = value.meet(low=other.low)
        if found is None:
            return None
        state.values[key] = found
        return state


def _key(node: tree.Expression) -> _Key:
    """What an expression is known by from one place to the next: a local's name, a signal's identity, or nothing."""
    if isinstance(node, tree.Variable):
        return node.name
    return id(node.signal) if isinstance(node, tree.Read) else None


def _decide(operator: str, a: Interval, b: Interval) -> tuple[bool, bool]:
    """Whether a comparison always holds, and whether it never does."""
    if operator in ("==", "!="):
        same, apart = a == b and a.low == a.high, a.high < b.low or a.low > b.high
        return (same, apart) if operator == "==" else (apart, same)
    if operator in (">", ">="):
        a, b, operator = b, a, "<" + operator[1:]
    return (a.high < b.low, a.low >= b.high) if operator == "<" else (a.high <= b.low, a.low > b.high)


def _part(word: Interval, low: Interval, width: int) -> Interval:
    mask = (1 << width) - 1
    shifted = word >> low
    if shifted.low >= 0 and shifted.high <= mask:
        return shifted
    return Interval(0, min(mask, shifted.high) if shifted.low >= 0 else mask)

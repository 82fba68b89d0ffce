"""A process over lanes takes what it reads of a lane once: a simulator then picks it out of the vector once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.simplify import assigned_names, reads, rewritten

__all__ = ["all_lanes", "Block", "take_lanes"]

Block = Sequence[tree.Statement]


def all_lanes(body: Block, in_lanes: Callable[[Any], bool]) -> list[tree.Drive]:
    """The statements at the beginning of a process that pass a signal on in every lane: whole vectors can do that."""
    found: list[tree.Drive] = []
    driven: set[int] = set()
    for statement in body:
        if not (isinstance(statement, tree.Drive) and isinstance(statement.target, tree.Read)) or statement.low:
            break
        value = statement.value
        if (isinstance(value, tree.Read) and in_lanes(value.signal) and in_lanes(statement.target.signal)
                and len(value.signal) == len(statement.target.signal) and id(statement.target.signal) not in driven):
            found.append(statement)
        driven.add(id(statement.target.signal))
    return found


def take_lanes(body: Block, in_lanes: Callable[[Any], bool]) -> tuple[tree.Statement, ...]:
    """The body with a local for every signal ``in_lanes`` that it reads more than once, where all that reads it is."""
    signals: dict[int, tree.Read] = {}
    counts: Counter[int] = Counter()

    def count(node: tree.Expression) -> tree.Expression:
        if isinstance(node, tree.Read) and in_lanes(node.signal):
            signals.setdefault(id(node.signal), node)
            counts[id(node.signal)] += 1
        return node

    for statement in body:
        _values(statement, count)
    names = {key: f"{read.name}_lane" for key, read in signals.items() if counts[key] > 1}
    taken = set(assigned_names(body))
    assert not taken & set(names.values())

    def replace(node: tree.Expression) -> tree.Expression:
        if isinstance(node, tree.Read) and id(node.signal) in names:
            return tree.Variable(names[id(node.signal)])
        return node

    found = tuple(_values(statement, replace) for statement in body)
    for key, name in names.items():
        found = _insert(found, name, tree.Assign(name, tree.Read(signals[key].signal, signals[key].name)))
    return found


def _values(statement: tree.Statement, rule: Callable[[tree.Expression], tree.Expression]) -> tree.Statement:
    """The statement with ``rule`` applied to what it reads, not to what it drives."""
    if isinstance(statement, tree.Drive):
        target = statement.target
        found = rewritten(tree.Assign("", statement.value), rule)
        assert isinstance(found, tree.Assign)
        return tree.Drive(target, found.value, statement.low, statement.width, statement.line, statement.comments)
    if isinstance(statement, tree.If):
        test = rewritten(tree.Assign("", statement.test), rule)
        assert isinstance(test, tree.Assign)
        return tree.If(test.value, tuple(_values(inner, rule) for inner in statement.then),
                       tuple(_values(inner, rule) for inner in statement.other), statement.line, statement.comments,
                       statement.is_elif)
    if isinstance(statement, tree.For):
        return tree.For(statement.name, statement.start, statement.stop, statement.step,
                        tuple(_values(inner, rule) for inner in statement.body), statement.line, statement.comments)
    return rewritten(statement, rule)


def _insert(body: Block, name: str, statement: tree.Statement) -> tuple[tree.Statement, ...]:
    """The body with a statement before the first use of a local, in the innermost block that holds all of them."""
    users = [position for position, other in enumerate(body) if reads([other])[name]]
    only = body[users[0]]
    if len(users) == 1 and isinstance(only, tree.If) and not reads([tree.Assign("", only.test)])[name]:
        inside = [bool(reads(branch)[name]) for branch in (only.then, only.other)]
        if inside == [True, False]:
            only.then = _insert(only.then, name, statement)
            return tuple(body)
        if inside == [False, True] and not only.is_elif:
            only.other = _insert(only.other, name, statement)
            return tuple(body)
    return (*body[:users[0]], statement, *body[users[0]:])

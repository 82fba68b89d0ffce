"""Functions put where they are called, so that a module is its processes and nothing else.

What one call can be is then no longer mixed with what another can be, a simulator has one body to share between
instances, and a reader sees the data path in the process that it belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.simplify import assigned_names, rebuilt, rewritten

__all__ = ["inline", "names_inside"]


def inline(body: Sequence[tree.Statement]) -> tuple[tree.Statement, ...]:
    """The body of a process with every function that it calls put in, in the same order of evaluation."""
    return _Inliner(set(assigned_names(body))).block(body)


def names_inside(body: Sequence[tree.Statement]) -> list[tuple[tree.Function, dict[str, str]]]:
    """What ``inline`` calls the locals of each function that a process calls, by their names in the function."""
    inliner = _Inliner(set(assigned_names(body)))
    inliner.block(body)
    return [(function, inliner.names[key]) for key, function in inliner.functions.items()]


class _Inliner:
    def __init__(self, taken: set[str]) -> None:
        self.taken = taken
        self.names: dict[int, dict[str, str]] = {}
        """by function: what its locals are called here; one body runs after the other"""
        self.functions: dict[int, tree.Function] = {}

    def block(self, body: Sequence[tree.Statement]) -> tuple[tree.Statement, ...]:
        found: list[tree.Statement] = []
        for statement in body:
            found += self.statement(statement)
        return tuple(found)

    def statement(self, statement: tree.Statement) -> list[tree.Statement]:
        before: list[tree.Statement] = []
        target = ""
        if isinstance(statement, tree.Assign) and isinstance(statement.value, tree.Call):
            target = statement.name
            arguments = [rebuilt(part, lambda node: self.call(node, before, "")) for part in statement.value.arguments]
            self.put_in(tree.Call(statement.value.function, tuple(arguments)), before, target)
            before[0].comments = (*statement.comments, *before[0].comments)
            return before
        shallow = statement
        if isinstance(statement, tree.If):
            test = rebuilt(statement.test, lambda node: self.call(node, before, ""))
            shallow = tree.If(test, self.block(statement.then), self.block(statement.other), statement.line,
                              statement.comments, statement.is_elif)
        elif isinstance(statement, tree.For):
            shallow = tree.For(statement.name, statement.start, statement.stop, statement.step,
                               self.block(statement.body), statement.line, statement.comments)
        else:
            shallow = rewritten(statement, lambda node: self.call(node, before, ""))
        if before:
            before[0].comments = (*shallow.comments, *before[0].comments)
            shallow.comments = ()
        return [*before, shallow]

    def call(self, node: tree.Expression, before: list[tree.Statement], target: str) -> tree.Expression:
        if not isinstance(node, tree.Call):
            return node
        name = self.fresh(_plain(node.function.name))
        self.put_in(node, before, name)
        return tree.Variable(name)

    def fresh(self, name: str) -> str:
        found, number = name, 2
        while found in self.taken:
            found, number = f"{name}_{number}", number + 1
        self.taken.add(found)
        return found

    def put_in(self, node: tree.Call, before: list[tree.Statement], target: str) -> None:
        """Adds the statements of a call, which leave its result in ``target``."""
        function = node.function
        changed = assigned_names(function.body)
        names = self.names.setdefault(id(function), {})
        self.functions[id(function)] = function
        values: dict[str, tree.Expression] = {}
        for parameter, argument in zip(function.parameters, node.arguments, strict=True):
            if parameter not in changed and isinstance(argument, tree.Variable | tree.Read | tree.Number):
                values[parameter] = argument
                continue
            if parameter not in names:
                names[parameter] = self.fresh(parameter)
            before.append(tree.Assign(names[parameter], argument))
        result = _result(function)
        passed = {value.name for value in values.values() if isinstance(value, tree.Variable)}
        if result is not None and target not in passed:
            # the local that is returned is the target from the beginning
            names[result] = target
        for name in changed:
            if name not in names:
                names[name] = self.fresh(name)

        def rename(inner: tree.Expression) -> tree.Expression:
            if isinstance(inner, tree.Variable):
                if inner.name not in values and inner.name not in names:
                    # read, and assigned nowhere: inference says so
                    names[inner.name] = self.fresh(inner.name)
                return values[inner.name] if inner.name in values else tree.Variable(names[inner.name])
            return inner

        for statement in function.body:
            renamed = _renamed(rewritten(statement, rename), names)
            if isinstance(renamed, tree.Return):
                if isinstance(renamed.value, tree.Variable) and renamed.value.name == target:
                    continue
                renamed = tree.Assign(target, renamed.value, renamed.line, renamed.comments)
            before += self.statement(renamed)
        if result is not None:
            names.pop(result, None)


def _result(function: tree.Function) -> str | None:
    """The local that a function returns, if it is one."""
    last = function.body[-1]
    if isinstance(last, tree.Return) and isinstance(last.value, tree.Variable) and (
            last.value.name not in function.parameters):
        return last.value.name
    return None


def _renamed(statement: tree.Statement, names: dict[str, str]) -> tree.Statement:
    """The same statement, whose locals are called otherwise; its expressions are already."""
    if isinstance(statement, tree.Assign | tree.Put):
        statement.name = names[statement.name]
    elif isinstance(statement, tree.If):
        for inner in (*statement.then, *statement.other):
            _renamed(inner, names)
    elif isinstance(statement, tree.For):
        statement.name = names[statement.name]
        for inner in statement.body:
            _renamed(inner, names)
    return statement


def _plain(name: str) -> str:
    """What the result of a function is called: the function's name up to the formats in it."""
    words = name.split("_")
    for position, word in enumerate(words):
        if any(letter.isdigit() for letter in word) and word != "exp2":
            return "_".join(words[:position]) or name
    return name

"""Statements as Verilog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.constants import Constants, Usage, literal
from myhdl_fsa.convert.expressions import Expressions, table_widths
from myhdl_fsa.convert.infer import Ranges, Scope
from myhdl_fsa.convert.interval import Interval
from myhdl_fsa.convert.keywords import VERILOG_KEYWORDS
from myhdl_fsa.convert.reference import Reference

__all__ = ["INDENT", "Module", "Writer", "vector"]

INDENT = "    "


def vector(width: int, signed: bool = False) -> str:
    """A declaration's sign and range, with a space behind."""
    return ("signed " if signed else "") + (f"[{width - 1}:0] " if width > 1 else "")


@dataclass
class Module:
    """What the processes and functions of a module share while its text is written."""

    ranges: Ranges
    constants: Constants
    usage: Usage
    taken: frozenset[str] = frozenset()
    """names of nets, which no local may have"""
    known: Usage | None = None
    """what is read, as far as an earlier writing of the same text tells"""


class Writer:
    """Writes the body of one process or function.

    ``net`` gives the reference of a signal or element, ``elements`` the text of several of a list, and ``arrow`` is how
    a signal is driven.
    """

    def __init__(
        self, name: str, module: Module, scope: Scope, net: Callable[[tree.Expression, Expressions], Reference],
        elements: Callable[[tree.Element, int], str], arrow: str = "=",
    ) -> None:
        self._module, self._scope, self._net, self._arrow, self.name = module, scope, net, arrow, name
        self._elements = elements
        self.expressions = Expressions(
            module.ranges, self._resolve, module.constants, module.usage, name)
        self._names: dict[str, str] = {}
        taken = module.taken | VERILOG_KEYWORDS
        for local in scope.locals:
            found = local
            while found in taken or (found != local and found in scope.locals):
                found = f"{found}_now"
            self._names[local] = found
        self.expressions.taken = taken | set(self._names.values())
        self.written: set[str] = set()

    def _resolve(self, node: tree.Expression, writer: Expressions) -> Reference:
        if isinstance(node, tree.Variable):
            return self.local(node.name)
        return self._net(node, writer)

    def local(self, name: str) -> Reference:
        """Where a local stands."""
        if name in self._scope.loops:
            return Reference(self._names[name], 32, True, size="integer", scope=self.name)
        held = self._scope.locals[name]
        return Reference(self._names[name], held.width, held.signed, scope=self.name)

    def declarations(self) -> list[tuple[str, tuple[str, str] | None]]:
        """The locals that the text names, each with a warning to be waived and why."""
        lines: list[tuple[str, tuple[str, str] | None]] = [
            (f"integer {name};", None) for name in sorted(self._names[name] for name in self._scope.loops)
            if name in self.written]
        names = [self.local(name) for name in self._scope.locals
                 if name not in self._scope.loops and self._names[name] in self.written]
        return lines + [self._declared(reference) for reference in (*names, *self.expressions.temporaries.values())]

    def _declared(self, reference: Reference) -> tuple[str, tuple[str, str] | None]:
        line = f"reg {vector(reference.width, reference.signed)}{reference.name};"
        known = self._module.known
        full = (1 << reference.width) - 1
        if known is None or known.bits.get((reference.scope, reference.name), 0) & full == full:
            return line, None
        return line, ("UNUSEDSIGNAL", "the other bits of it tell nothing")

    def defaults(self, *, all_of_them: bool) -> list[str]:
        """Values for the locals that some path leaves alone, or for all: nobody reads them, but a latch keeps them."""
        names = [self.local(name) for name in self._scope.locals if name not in self._scope.loops
                 and (all_of_them or name in self._scope.partial) and self._names[name] in self.written]
        loops = sorted(self._names[name] for name in self._scope.loops & self._scope.partial)
        return [*(f"{name} = 0;" for name in loops if name in self.written),
                *(f"{reference.name} = {literal(0, reference.width)};"
                  for reference in (*names, *self.expressions.temporaries.values()) if self._read(reference))]

    # -- statements ----------------------------------------------------------------------------------------------------
    def block(self, statements: Sequence[tree.Statement], indent: str) -> list[str]:
        """The lines of statements, each under its comments."""
        lines: list[str] = []
        for statement in statements:
            lines += [f"{indent}// {comment}" for comment in statement.comments]
            lines += self.statement(statement, indent)
        return lines

    def statement(self, statement: tree.Statement, indent: str) -> list[str]:
        """The lines of one statement, behind what its expressions need first."""
        if isinstance(statement, tree.If):
            return self._if(statement, indent)
        if isinstance(statement, tree.For):
            name = self._names[statement.name]
            self.written.add(name)
            step = f"{name} + {statement.step}" if statement.step > 0 else f"{name} - {-statement.step}"
            compare = "<" if statement.step > 0 else ">"
            start, stop = (self._bound(number) for number in (statement.start, statement.stop))
            return [f"{indent}for ({name} = {start}; {name} {compare} {stop}; {name} = {step}) begin",
                    *self.block(statement.body, indent + INDENT), f"{indent}end"]
        if isinstance(statement, tree.Move):
            target, source = (self._elements(part, statement.count) for part in (statement.target, statement.source))
            return self._flushed(indent, f"{target} {self._arrow} {source};")
        if isinstance(statement, tree.Assign):
            reference = self.local(statement.name)
            if not self._read(reference):
                return []
            self.written.add(reference.name)
            if isinstance(statement.value, tree.Lookup) and reference.width == table_widths(statement.value.table)[1]:
                lines = self.expressions.case(statement.value, reference.name)
                return [*self._flushed(indent, lines[0]), *(indent + line for line in lines[1:])]
            return self._flushed(indent, f"{reference.name} = "
                                         f"{self.expressions.at(statement.value, reference.width)};")
        if isinstance(statement, tree.Put):
            reference = self.local(statement.name)
            if not self._read(reference):
                return []
            self.written.add(reference.name)
            low = self.expressions.index(statement.low)
            value = self.expressions.at(statement.value, statement.width)
            return self._flushed(indent, f"{reference.indexed(low, statement.width)} = {value};")
        assert isinstance(statement, tree.Drive)
        return self._drive(statement, indent)

    def _bound(self, number: tree.Number) -> str:
        if number.name is None:
            return str(number.value)
        return self._module.constants.count(number.name, number.value)

    def _read(self, reference: Reference) -> bool:
        """Whether anybody reads a local, as far as is known."""
        known = self._module.known
        return known is None or (reference.scope, reference.name) in known.bits

    def _flushed(self, indent: str, line: str) -> list[str]:
        lines = [indent + pending for pending in self.expressions.pending] + [indent + line]
        self.expressions.pending.clear()
        return lines

    def _drive(self, statement: tree.Drive, indent: str) -> list[str]:
        target = self._net(statement.target, self.expressions)
        if statement.low is None:
            text, width = target.whole(), target.width
        else:
            width = statement.width
            text = (target.part(statement.low.value, width) if isinstance(statement.low, tree.Number)
                    else target.indexed(self.expressions.index(statement.low), width))
        return self._flushed(indent, f"{text} {self._arrow} {self.expressions.at(statement.value, width)};")

    def _if(self, statement: tree.If, indent: str) -> list[str]:
        reached = self._module.ranges.reached(statement)
        if reached == {True}:
            return self.block(statement.then, indent)
        if reached == {False}:
            return self.block(statement.other, indent)
        labels = self._case(statement)
        if labels is not None:
            return _labels_text(self, *labels, indent)
        lines = self._flushed(indent, f"if ({self.expressions.conditions.truth(statement.test)}) begin")
        then = self.block(statement.then, indent + INDENT)
        other = self._other(statement, indent)
        if not then and not other:
            return []
        return lines + then + other + [f"{indent}end"]

    def _other(self, statement: tree.If, indent: str) -> list[str]:
        """The else, which goes on the line of a single if where nothing has to stand before that."""
        if not statement.other:
            return []
        if (statement.is_elif and len(statement.other) == 1 and not statement.other[0].comments
                # decided, it is not one statement but those inside
                and self._module.ranges.reached(statement.other[0]) == {True, False}):  # type: ignore[arg-type]
            inner = self.statement(statement.other[0], indent)
            if inner and inner[0].startswith(f"{indent}if (") and inner[-1] == f"{indent}end":
                return [f"{indent}end else {inner[0].strip()}", *inner[1:-1]]
        inner = self.block(statement.other, indent + INDENT)
        return [f"{indent}end else begin", *inner] if inner else []

    # -- case ----------------------------------------------------------------------------------------------------------
    def _case(self, statement: tree.If) -> tuple[tree.Expression, list[_Label], tuple[tree.Statement, ...]] | None:
        """A chain of ifs that compare one thing with constants: what is compared, the labels, and the else."""
        subject: tree.Expression | None = None
        labels: list[_Label] = []
        seen: set[int] = set()
        node = statement
        while True:
            found = _equalities(node.test)
            if found is None or (subject is not None and _same(found[0]) != _same(subject)):
                break
            values = {number.value for number in found[1]}
            if values & seen or len(values) != len(found[1]):
                break
            seen |= values
            subject = subject or found[0]
            labels.append((found[1], node.then, node.comments if node is not statement else ()))
            following = node.other
            if not (node.is_elif and len(following) == 1 and isinstance(following[0], tree.If)):
                return (subject, labels, following) if len(labels) > 2 or (len(labels) == 2 and following) else None
            if self._module.ranges.reached(following[0]) != {True, False}:
                return (subject, labels, following) if len(labels) > 2 else None
            node = following[0]
        if subject is None or len(labels) < 2:
            return None
        return subject, labels, (node,)


_Label = tuple[tuple[tree.Number, ...], tuple[tree.Statement, ...], tuple[str, ...]]


def _labels_text(
    writer: Writer, subject: tree.Expression, labels: list[_Label], other: tuple[tree.Statement, ...], indent: str
) -> list[str]:
    """A case statement."""
    expressions = writer.expressions
    compared = writer._module.ranges.of(subject)
    for number in (number for numbers, _, _ in labels for number in numbers):
        # a sign bit for the labels too: 4'd15 is what -1 is in four bits
        compared = compared.join(Interval(number.value, number.value))
    width = compared.width
    lines = writer._flushed(indent, f"case ({expressions.at(subject, width)})")
    inner = indent + INDENT
    for numbers, body, comments in labels:
        lines += [f"{inner}// {comment}" for comment in comments]
        names = ", ".join(expressions.at(number, width) for number in numbers)
        lines += [f"{inner}{names}: begin", *writer.block(body, inner + INDENT), f"{inner}end"]
    rest = writer.block(other, inner + INDENT)
    lines += [f"{inner}default: begin", *rest, f"{inner}end"] if rest else [f"{inner}default: ;"]
    return [*lines, f"{indent}endcase"]


def _equalities(test: tree.Expression) -> tuple[tree.Expression, tuple[tree.Number, ...]] | None:
    """What a test compares with which constants, if it is ``x == 1 or x == 2``."""
    parts = test.operands if isinstance(test, tree.Logic) and test.operator == "or" else (test,)
    subjects, numbers = [], []
    for part in parts:
        if not (isinstance(part, tree.Compare) and part.operator == "==" and isinstance(part.right, tree.Number)
                and isinstance(part.left, tree.Variable | tree.Read) and part.right.value >= 0):
            return None
        subjects.append(part.left)
        numbers.append(part.right)
    if len({_same(subject) for subject in subjects}) != 1:
        return None
    return subjects[0], tuple(numbers)


def _same(node: tree.Expression) -> object:
    return node.name if isinstance(node, tree.Variable) else id(node.signal) if isinstance(node, tree.Read) else node

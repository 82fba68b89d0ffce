"""Expressions as Verilog, each in exactly the width that is asked for.

Python's integers have no width; Verilog's expressions take theirs from what stands around them, and cut or extend what
does not fit without a word. Here every operand is written at the width of its expression: sums, products and logic are
right modulo a power of two at any width, so only extensions, shifts to the right and comparisons have to know a sign.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.conditions import Conditions
from myhdl_fsa.convert.constants import Constants, Usage, is_atom, literal, operand, unary_operand, zeros
from myhdl_fsa.convert.infer import Ranges
from myhdl_fsa.convert.interval import Interval
from myhdl_fsa.convert.reference import Reference

__all__ = ["Expressions", "table_widths"]

class Expressions:
    """Writes the expressions of one process or function.

    ``resolve`` gives the reference of a variable, signal or element (its index as text from this writer). Where Verilog
    needs a name for a part of an expression, an assignment to a local goes to ``pending``, which stands before the
    statement.
    """

    def __init__(
        self, ranges: Ranges, resolve: Callable[[tree.Expression, Expressions], Reference], constants: Constants,
        usage: Usage, scope: str = "",
    ) -> None:
        self.ranges, self._resolve, self._constants, self._usage = ranges, resolve, constants, usage
        self._scope = scope
        self.conditions = Conditions(self)
        self.pending: list[str] = []
        self.temporaries: dict[str, Reference] = {}
        self.taken: frozenset[str] | set[str] = frozenset()
        """names that are something else"""

    # -- words ---------------------------------------------------------------------------------------------------------
    def at(self, node: tree.Expression, width: int) -> str:
        """An expression modulo ``2**width``, of exactly that width."""
        interval = self.ranges.of(node)
        if interval.low == interval.high:
            return self._number(interval.low, node.name if isinstance(node, tree.Number) else None, width)
        if isinstance(node, tree.Variable | tree.Read | tree.Element):
            return self._fit(self.reference(node), width, interval)
        if isinstance(node, tree.Part):
            return self._part(node, width)
        if isinstance(node, tree.Binary):
            return self._binary(node, interval, width)
        if isinstance(node, tree.Unary):
            inner = width if interval.signed else min(width, interval.width)
            return zeros(width - inner, f"{node.operator}{unary_operand(self.at(node.operand, inner))}")
        if isinstance(node, tree.Choice):
            decided = self.ranges.of(node.test)
            if not decided.low <= 0 <= decided.high:
                return self.at(node.then, width)
            if decided.low == decided.high:
                return self.at(node.other, width)
            return f"({self.conditions.truth(node.test)} ? {self.at(node.then, width)} : {self.at(node.other, width)})"
        if isinstance(node, tree.Lookup):
            return self._lookup(node, width)
        return zeros(width - 1, self.conditions.truth(node))

    def reference(self, node: tree.Expression) -> Reference:
        """Where a variable, a signal or an element stands."""
        return self._resolve(node, self)

    def _number(self, value: int, name: str | None, width: int) -> str:
        if name is not None and value > 0 and value < 1 << width:
            return self._constants.use(name, value, width)
        return literal(value, width)

    def take(self, reference: Reference, low: int, width: int) -> str:
        """Bits of a reference, which are noted as read."""
        self._usage.note(reference, low, width)
        return reference.part(low, width)

    def _fit(self, reference: Reference, width: int, interval: Interval | None = None) -> str:
        """All of a reference, cut or extended."""
        held = reference.width
        if width <= held:
            return self.take(reference, 0, width)
        if not reference.signed:
            return zeros(width - held, self.take(reference, 0, held))
        if interval is not None and not interval.signed:
            held = interval.width
            return zeros(width - held, self.take(reference, 0, held))
        sign = self.take(reference, held - 1, 1)
        filled = sign if width == held + 1 else f"{{{width - held}{{{sign}}}}}"
        return f"{{{filled}, {self.take(reference, 0, held)}}}"

    def _name(self, text: str, width: int, signed: bool, hint: str) -> Reference:
        """A local for a part of an expression."""
        number = 1
        while f"{hint}_{number}" in self.temporaries or f"{hint}_{number}" in self.taken:
            number += 1
        reference = Reference(f"{hint}_{number}", width, signed, scope=self._scope)
        self.temporaries[reference.name] = reference
        self.pending.append(f"{reference.name} = {text};")
        return reference

    def _sized(self, text: str, held: int, width: int, signed: bool, hint: str) -> str:
        """A text of ``held`` bits at another width."""
        if held == width:
            return text
        if width > held and not signed:
            return zeros(width - held, text)
        return self._fit(self._name(text, held, signed, hint), width)

    def _part(self, node: tree.Part, width: int) -> str:
        wanted = min(width, node.width)
        low = self.ranges.of(node.low)
        word = self.ranges.of(node.word)
        if low.low == low.high:
            if isinstance(node.word, tree.Variable | tree.Read | tree.Element):
                reference = self.reference(node.word)
            elif low.low == 0:
                return zeros(width - wanted, self.at(node.word, wanted)) if not self._narrow(node, width) else zeros(
                    width - self.ranges.of(node).width, self.at(node.word, self.ranges.of(node).width))
            else:
                held = min(word.width, low.low + node.width)
                reference = self._name(self.at(node.word, held), held, word.signed and held == word.width, "word")
            return self._bits(reference, low.low, wanted, width)
        held = word.width
        if isinstance(node.word, tree.Variable | tree.Read | tree.Element):
            reference = self.reference(node.word)
        else:
            reference = self._name(self.at(node.word, held), held, word.signed, "word")
        if low.high + wanted <= reference.width:
            self._usage.note(reference)
            return zeros(width - wanted, reference.indexed(self._place(node.low, reference), wanted))
        shifted = self._shift_right(reference, node.low)
        return self._bits(self._name(shifted, reference.width, reference.signed, "shifted"), 0, wanted, width)

    def _narrow(self, node: tree.Part, width: int) -> bool:
        """Whether fewer bits than the part's may be other than 0."""
        found = self.ranges.of(node)
        return found.width < min(width, node.width)

    def _bits(self, reference: Reference, low: int, wanted: int, width: int) -> str:
        """``wanted`` bits from bit ``low`` up, at a width."""
        there = max(0, min(wanted, reference.width - low))
        if there == 0:
            if reference.signed:
                return zeros(width - wanted, f"{{{wanted}{{{self.take(reference, reference.width - 1, 1)}}}}}")
            return literal(0, width)
        text = self.take(reference, low, there)
        if there < wanted and reference.signed:
            sign = self.take(reference, reference.width - 1, 1)
            text = f"{{{{{wanted - there}{{{sign}}}}}, {text}}}"
            there = wanted
        return zeros(width - there, text)

    def _shift_right(self, reference: Reference, amount: tree.Expression) -> str:
        whole = self.take(reference, 0, reference.width)
        operator = ">>>" if reference.signed else ">>"
        if reference.signed and not reference.bare:
            whole = f"$signed({whole})"
        return f"{whole} {operator} {operand(self.amount(amount))}"

    def _binary(self, node: tree.Binary, interval: Interval, width: int) -> str:
        if node.operator == "<<":
            return self._shift_left(node, interval, width)
        if node.operator == ">>":
            return self._right(node, width)
        if node.operator in "|+" and not interval.signed:
            fields = self._fields(node)
            if fields is not None:
                return self._concatenation(fields, width)
        inner = width if interval.signed else min(width, interval.width)
        operands = [operand(self.at(part, inner), node.operator) for part in (node.left, node.right)]
        return zeros(width - inner, f" {node.operator} ".join(operands)) if inner < width else (
            f" {node.operator} ".join(operands))

    def _fields(self, node: tree.Expression) -> list[tuple[int, tree.Expression]] | None:
        """A word's fields from the top: where each begins, and what it is; None where they overlap."""
        terms: list[tuple[int, tree.Expression]] = []

        def collect(part: tree.Expression) -> None:
            if isinstance(part, tree.Binary) and part.operator in "|+" and not self.ranges.of(part).signed:
                collect(part.left)
                collect(part.right)
            elif isinstance(part, tree.Binary) and part.operator == "<<" and isinstance(part.right, tree.Number):
                terms.append((part.right.value, part.left))
            elif isinstance(part, tree.Number) and part.value > 0:
                zeros_below = (part.value & -part.value).bit_length() - 1
                terms.append((zeros_below, tree.Number(part.value >> zeros_below)))
            else:
                terms.append((0, part))

        collect(node)
        terms = [term for term in terms if self.ranges.of(term[1]) != Interval(0, 0)]
        terms.sort(key=lambda term: -term[0])
        end = None
        for low, part in terms:
            found = self.ranges.of(part)
            if found.signed or (end is not None and low + found.width > end):
                return None
            end = low
        return terms

    def _concatenation(self, fields: list[tuple[int, tree.Expression]], width: int) -> str:
        texts: list[str] = []
        top = width
        for low, part in fields:
            if low >= top:
                continue
            held = min(self.ranges.of(part).width, top - low)
            if low + held < top:
                texts.append(literal(0, top - low - held))
            text = self.at(part, held)
            # a field that is one of fields itself
            texts.append(text[1:-1] if text.startswith("{") and not text.startswith("{{") and is_atom(text) else text)
            top = low
        if top:
            texts.append(literal(0, top))
        return texts[0] if len(texts) == 1 else f"{{{', '.join(texts)}}}"

    def _shift_left(self, node: tree.Binary, interval: Interval, width: int) -> str:
        amount = self.ranges.of(node.right)
        if amount.low == amount.high:
            if amount.low == 0:
                return self.at(node.left, width)
            if width <= amount.low:
                return literal(0, width)
            held = width - amount.low
            if not interval.signed:
                held = min(held, self.ranges.of(node.left).width)
            text = f"{{{self.at(node.left, held)}, {literal(0, amount.low)}}}"
            top = width - amount.low - held
            return f"{{{literal(0, top)}, {text[1:]}" if top else text
        inner = width if interval.signed else min(width, interval.width)
        return zeros(width - inner,
                     f"{operand(self.at(node.left, inner))} << {operand(self.amount(node.right))}")

    def _right(self, node: tree.Binary, width: int) -> str:
        amount, word = self.ranges.of(node.right), self.ranges.of(node.left)
        simple = isinstance(node.left, tree.Variable | tree.Read | tree.Element)
        if amount.low == amount.high:
            if amount.low == 0:
                return self.at(node.left, width)
            if simple:
                reference = self.reference(node.left)
            else:
                held = min(word.width, width + amount.low)
                reference = self._name(self.at(node.left, held), held, word.signed and held == word.width, "word")
            found = self.ranges.of(node)
            wanted = width if found.signed else min(width, found.width)
            return self._bits(reference, amount.low, wanted, width)
        if word.signed:
            reference = self.reference(node.left) if simple else self._name(
                self.at(node.left, word.width), word.width, True, "word")
            if not reference.signed:  # what holds it is unsigned: it never is negative where it is read
                return self._sized(self._shift_right(reference, node.right), reference.width, width, False, "shifted")
            named = self._name(self._shift_right(reference, node.right), reference.width, True, "shifted")
            return self._fit(named, width)
        text = f"{operand(self.at(node.left, word.width))} >> {operand(self.amount(node.right))}"
        return self._sized(text, word.width, width, False, "shifted")

    def amount(self, node: tree.Expression) -> str:
        """How far to shift: a width of its own."""
        interval = self.ranges.of(node)
        if interval.low == interval.high:
            return str(interval.low)
        return self.at(node, interval.width)

    def index(self, node: tree.Expression, count: int | None = None) -> str:
        """A bit's or element's number, which nothing around it widens; of ``count`` there are no others."""
        interval = self.ranges.of(node)
        if count == 1:
            return "0"
        if interval.low == interval.high and not (isinstance(node, tree.Number) and node.name):
            return str(interval.low)
        if self._counts(node):
            return self._count(node)
        return self.unsigned(
            node, self.at(node, interval.width if count is None else min(interval.width, (count - 1).bit_length())))

    def _place(self, node: tree.Expression, reference: Reference) -> str:
        """A bit's number in a word: of as many bits as the word has numbers, or of those of what it is added to."""
        if self._counts(node):
            return self._count(node)
        if reference.offset is not None:
            return self.unsigned(node, self.at(node, 32))
        return self.unsigned(node, self.at(node, max(self.ranges.of(node).width, (reference.width - 1).bit_length())))

    def unsigned(self, node: tree.Expression, text: str) -> str:
        """The text of what is not negative, for where a sign would count: all of a signed name is signed to Verilog."""
        if isinstance(node, tree.Part) and not is_atom(text):
            return f"{{{text}}}"  # Icarus keeps the carry of a memory's address, which the part leaves out
        if text[0] in "{!" or (text.endswith("]") and is_atom(text)) or not any(
                self.ranges.of(part).signed or (isinstance(part, tree.Variable | tree.Read) and not self._is_loop(part)
                                                and self.reference(part).signed) for part in tree.walk(node)):
            return text
        return f"{{{text}}}"

    def _counts(self, node: tree.Expression) -> bool:
        """Whether something is made of a loop's variable and constants alone."""
        parts = tree.walk(node)
        return all(isinstance(part, tree.Number) or self._is_loop(part) or (
            isinstance(part, tree.Binary) and part.operator in "+-*") for part in parts) and any(
            self._is_loop(part) for part in parts)

    def _is_loop(self, node: tree.Expression) -> bool:
        return isinstance(node, tree.Variable) and self.reference(node).size == "integer"

    def _count(self, node: tree.Expression) -> str:
        if isinstance(node, tree.Number):
            return str(node.value)
        if isinstance(node, tree.Variable):
            return self.reference(node).name
        assert isinstance(node, tree.Binary)
        left, right = self._count(node.left), self._count(node.right)
        if node.operator == "*":
            left, right = operand(left), operand(right)
            if right.isdecimal() and not left.isdecimal():
                left, right = right, left
            return f"{left}*{right}"
        return f"{left} {node.operator} {right}"

    def _lookup(self, node: tree.Lookup, width: int) -> str:
        bits, held = table_widths(node.table)
        number = 1
        while f"{node.table.name}_{number}" in self.temporaries or f"{node.table.name}_{number}" in self.taken:
            number += 1
        signed = min(node.table.values) < 0
        reference = Reference(f"{node.table.name}_{number}", held, signed, scope=self._scope)
        self.temporaries[reference.name] = reference
        self.pending += self.case(node, reference.name)
        return self._fit(reference, width)

    def case(self, node: tree.Lookup, target: str) -> list[str]:
        """The lines that leave a table's entry in ``target``: equal ones together, the most frequent by default."""
        bits, held = table_widths(node.table)
        values = node.table.values
        usual = Counter(values).most_common(1)[0][0]
        places: dict[int, list[int]] = {}
        for index, value in enumerate(values):
            if value != usual:
                places.setdefault(value, []).append(index)
        if not places:
            return [f"{target} = {literal(usual, held)};"]
        lines = [f"case ({self.at(node.index, bits)}) // {node.table.name}"]
        for value, indices in places.items():
            labels = ", ".join(literal(index, bits) for index in indices)
            lines.append(f"    {labels}: {target} = {literal(value, held)};")
        return [*lines, f"    default: {target} = {literal(usual, held)};", "endcase"]


def table_widths(table: tree.Table) -> tuple[int, int]:
    """Bits of a table's index, and of its entries."""
    values = Interval(min(table.values), max(table.values))
    return max(1, (len(table.values) - 1).bit_length()), values.width



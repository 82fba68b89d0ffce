"""From a tree to a plainer one: the idioms with which Python's ints say what Verilog says with bits.

``(x >> n) & 255`` is a part of x; a loop that ORs a lane after the other into a word puts each in its place; a local
that only ever holds what a signal holds is that signal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.read import interval_of

__all__ = ["Rule", "assigned_names", "reads", "rebuilt", "rewritten", "simplify"]

Rule = Callable[[tree.Expression], tree.Expression]


def simplify(body: Sequence[tree.Statement], parameters: Sequence[str] = ()) -> tuple[tree.Statement, ...]:
    """The body of a process, or of a function of so many ``parameters``, in the same order."""
    body = tuple(rewritten(statement, _idiom) for statement in body)
    aliases = _aliases(body, set(parameters))
    if aliases:
        def resolve(node: tree.Expression) -> tree.Expression:
            if isinstance(node, tree.Variable) and node.name in aliases:
                found = aliases[node.name]
                return tree.Read(found.signal, found.name)
            return node

        kept = _without(body, aliases)
        body = tuple(rewritten(statement, lambda node: _idiom(resolve(node))) for statement in kept)
    return _staged(_moved(_puts(body)))


def rebuilt(node: tree.Expression, rule: Rule) -> tree.Expression:
    """The expression with ``rule`` applied to each part, the inner ones first."""
    inner = [rebuilt(part, rule) for part in node.parts()]
    if any(new is not old for new, old in zip(inner, node.parts(), strict=True)):
        node = node.with_parts(inner)
    return rule(node)


def assigned_names(body: Sequence[tree.Statement]) -> list[str]:
    """The locals that statements assign, and the variables of their loops."""
    counts: Counter[str] = Counter()
    _assigned(body, counts, {})
    return list(counts)


def rewritten(statement: tree.Statement, rule: Rule) -> tree.Statement:
    """The statement with ``rule`` applied to each expression, as in ``rebuilt``."""
    place = {"line": statement.line, "comments": statement.comments}
    if isinstance(statement, tree.Assign):
        return tree.Assign(statement.name, rebuilt(statement.value, rule), **place)  # type: ignore[arg-type]
    if isinstance(statement, tree.Put):
        return tree.Put(statement.name, rebuilt(statement.low, rule), statement.width, rebuilt(statement.value, rule),
                        **place)  # type: ignore[arg-type]
    if isinstance(statement, tree.Drive):
        target = rebuilt(statement.target, rule)
        assert isinstance(target, tree.Read | tree.Element)
        low = None if statement.low is None else rebuilt(statement.low, rule)
        return tree.Drive(target, rebuilt(statement.value, rule), low, statement.width, **place)  # type: ignore[arg-type]
    if isinstance(statement, tree.If):
        return tree.If(rebuilt(statement.test, rule), tuple(rewritten(s, rule) for s in statement.then),
                       tuple(rewritten(s, rule) for s in statement.other), **place,  # type: ignore[arg-type]
                       is_elif=statement.is_elif)
    if isinstance(statement, tree.For):
        return tree.For(statement.name, statement.start, statement.stop, statement.step,
                        tuple(rewritten(s, rule) for s in statement.body), **place)  # type: ignore[arg-type]
    if isinstance(statement, tree.Move):
        return statement
    assert isinstance(statement, tree.Return)
    return tree.Return(rebuilt(statement.value, rule), **place)  # type: ignore[arg-type]


def _ones(value: int) -> int:
    """How many ones a mask of ones from bit 0 up has; 0 for any other number."""
    return value.bit_length() if value > 0 and value & (value + 1) == 0 else 0


def _idiom(node: tree.Expression) -> tree.Expression:
    if isinstance(node, tree.Binary) and node.operator == "&":
        for word, mask in ((node.left, node.right), (node.right, node.left)):
            # a flag keeps its name: (bits & mac) != 0
            if isinstance(mask, tree.Number) and _ones(mask.value) and not (mask.value == 1 and mask.name):
                return _part(word, tree.Number(0), _ones(mask.value))
    if isinstance(node, tree.Part):
        return _part(node.word, node.low, node.width)
    if isinstance(node, tree.Binary) and node.operator == ">>" and isinstance(node.left, tree.Part) and isinstance(
            node.right, tree.Number) and isinstance(node.left.low, tree.Number) and node.right.value < node.left.width:
        by = node.right.value
        return tree.Part(node.left.word, tree.Number(node.left.low.value + by), node.left.width - by)
    if isinstance(node, tree.Binary) and node.operator == ">>" and isinstance(node.right, tree.Number) and (
            isinstance(node.left, tree.Binary) and node.left.operator in ("&", "|", "^")):
        left, right = (_idiom(_shifted(part, node.right)) for part in (node.left.left, node.left.right))
        return tree.Binary(node.left.operator, left, right)
    if isinstance(node, tree.Compare) and node.operator in ("==", "!=") and isinstance(node.right, tree.Number):
        word = node.left
        if isinstance(word, tree.Part) and word.width == 1 and node.right.value in (0, 1):
            return word if (node.operator == "==") == bool(node.right.value) else tree.Not(word)
    if isinstance(node, tree.Binary) and node.operator in ("|", "+", "^", "<<", ">>") and (
            isinstance(node.right, tree.Number) and node.right.value == 0):
        return node.left
    return node


def _shifted(node: tree.Expression, amount: tree.Number) -> tree.Expression:
    if isinstance(node, tree.Number):
        return tree.Number(node.value >> amount.value)
    return tree.Binary(">>", node, amount)


def _part(word: tree.Expression, low: tree.Expression, width: int) -> tree.Expression:
    if isinstance(word, tree.Binary) and word.operator == ">>":
        if isinstance(low, tree.Number) and low.value == 0:
            return _part(word.left, word.right, width)
        if isinstance(low, tree.Number) and isinstance(word.right, tree.Number):
            return _part(word.left, tree.Number(low.value + word.right.value), width)
    if isinstance(word, tree.Part) and isinstance(low, tree.Number) and low.value + width <= word.width:
        if low.value == 0:
            return _part(word.word, word.low, width)
        if isinstance(word.low, tree.Number):
            return _part(word.word, tree.Number(word.low.value + low.value), width)
    return tree.Part(word, low, width)


# -- locals that are signals -------------------------------------------------------------------------------------------
def _assigned(body: Sequence[tree.Statement], found: Counter[str], values: dict[str, tree.Expression]) -> None:
    for statement in body:
        if isinstance(statement, tree.Assign):
            found[statement.name] += 1
            values[statement.name] = statement.value
        elif isinstance(statement, tree.Put):
            found[statement.name] += 1
        elif isinstance(statement, tree.If):
            _assigned(statement.then, found, values)
            _assigned(statement.other, found, values)
        elif isinstance(statement, tree.For):
            found[statement.name] += 1
            _assigned(statement.body, found, values)


def _aliases(body: Sequence[tree.Statement], parameters: set[str]) -> dict[str, tree.Read]:
    """Locals that are assigned once, and what a signal holds: it does not change while a process runs."""
    counts: Counter[str] = Counter()
    values: dict[str, tree.Expression] = {}
    _assigned(body, counts, values)
    return {name: value for name, value in values.items()
            if counts[name] == 1 and name not in parameters and isinstance(value, tree.Read)}


def _without(body: Sequence[tree.Statement], names: dict[str, tree.Read]) -> tuple[tree.Statement, ...]:
    kept: list[tree.Statement] = []
    for statement in body:
        if isinstance(statement, tree.Assign) and statement.name in names:
            continue
        if isinstance(statement, tree.If):
            statement.then = _without(statement.then, names)
            statement.other = _without(statement.other, names)
        elif isinstance(statement, tree.For):
            statement.body = _without(statement.body, names)
        kept.append(statement)
    return tuple(kept)


# -- lanes put into words ----------------------------------------------------------------------------------------------
def _puts(body: Sequence[tree.Statement]) -> tuple[tree.Statement, ...]:
    """Loops whose only statement ORs a lane into a word that is 0 there before, as puts."""
    return _puts_into(body, {})


def _puts_into(body: Sequence[tree.Statement], ones: dict[str, int]) -> tuple[tree.Statement, ...]:
    """The same, where ``ones`` tells which bits of a local may be other than 0; kept up to date."""
    found: list[tree.Statement] = []
    for statement in body:
        changed = assigned_names([statement])
        if isinstance(statement, tree.For):
            put = _lane(statement, ones)
            if put is not None:
                statement.body = (put,)
                for low in _turns(statement, put.low):
                    ones[put.name] |= ((1 << put.width) - 1) << low
                found.append(statement)
                continue
            statement.body = _puts_into(statement.body, {name: mask for name, mask in ones.items()
                                                         if name not in changed})
        elif isinstance(statement, tree.If):
            statement.then = _puts_into(statement.then, dict(ones))
            statement.other = _puts_into(statement.other, dict(ones))
        for name in changed:
            ones.pop(name, None)
        if isinstance(statement, tree.Assign):
            mask = _possible(statement.value)
            if mask is not None:
                ones[statement.name] = mask
        found.append(statement)
    return tuple(found)


def _possible(value: tree.Expression) -> int | None:
    """The bits of a value that may be other than 0; None where its form does not tell."""
    if isinstance(value, tree.Number) and value.value >= 0:
        return value.value
    if isinstance(value, tree.Part):
        return (1 << value.width) - 1
    if isinstance(value, tree.Binary) and value.operator == "&" and isinstance(value.right, tree.Number) and (
            value.right.value >= 0):
        return value.right.value
    return None


def _lane(loop: tree.For, ones: dict[str, int]) -> tree.Put | None:
    """``word | (lane << low)`` for a lane that is known to fit, or ``word | (x & (mask << low))``, as what it does."""
    if len(loop.body) != 1 or not isinstance(loop.body[0], tree.Assign):
        return None
    only = loop.body[0]
    value = only.value
    if only.name not in ones or not (isinstance(value, tree.Binary) and value.operator == "|" and isinstance(
            value.left, tree.Variable) and value.left.name == only.name and isinstance(value.right, tree.Binary)):
        return None
    lane, low, width = value.right, value.right.right, 0
    if lane.operator == "<<":
        width, given = _stride(low), lane.left
        held = _fits(given)
        if not width or held is None or held > width:
            return None
    elif lane.operator == "&" and isinstance(low, tree.Binary) and low.operator == "<<" and isinstance(
            low.left, tree.Number) and _ones(low.left.value):
        width, low = _ones(low.left.value), low.right
        given = tree.Part(lane.left, low, width)
    else:
        return None
    places = _turns(loop, low)
    used = ones[only.name]
    for place in places:
        mask = ((1 << width) - 1) << place
        if used & mask:
            return None
        used |= mask
    if not places or only.name in reads([tree.Assign("", given)]):
        return None
    return tree.Put(only.name, low, width, given, only.line, only.comments)


def _stride(low: tree.Expression) -> int:
    """The width of a lane that stands at ``index * width``."""
    if isinstance(low, tree.Binary) and low.operator == "*" and isinstance(low.right, tree.Number):
        return low.right.value
    return 0


def _turns(loop: tree.For, node: tree.Expression) -> list[int]:
    """What an expression of a loop's variable and constants is in each turn; nothing where it is no such."""
    found = [_evaluate(node, loop.name, turn) for turn in range(loop.start.value, loop.stop.value, loop.step)]
    return [] if None in found else [value for value in found if value is not None]


def _evaluate(node: tree.Expression, variable: str, value: int) -> int | None:
    if isinstance(node, tree.Number):
        return node.value
    if isinstance(node, tree.Variable):
        return value if node.name == variable else None
    if isinstance(node, tree.Binary) and node.operator in "+-*":
        left, right = (_evaluate(part, variable, value) for part in (node.left, node.right))
        if left is None or right is None:
            return None
        return left + right if node.operator == "+" else left - right if node.operator == "-" else left * right
    return None


def _fits(lane: tree.Expression) -> int | None:
    """The bits of something that is never negative, and whose width its form tells."""
    if isinstance(lane, tree.Part):
        return lane.width
    if isinstance(lane, tree.Read | tree.Element):
        held = interval_of(lane.signal if isinstance(lane, tree.Read) else lane.vector[0])
        return None if held.signed else held.width
    if isinstance(lane, tree.Number) and lane.value >= 0:
        return lane.value.bit_length()
    return None


def _staged(body: Sequence[tree.Statement]) -> tuple[tree.Statement, ...]:
    """Lanes put into a local that only drives a signal then, as what drives the signal."""
    found = list(body)
    for position in range(len(found) - 2):
        zero, loop, drive = found[position:position + 3]
        if not (isinstance(zero, tree.Assign) and isinstance(loop, tree.For) and isinstance(drive, tree.Drive)
                and len(loop.body) == 1 and isinstance(loop.body[0], tree.Put) and loop.body[0].name == zero.name
                and isinstance(zero.value, tree.Number) and isinstance(drive.value, tree.Variable)
                and drive.value.name == zero.name and drive.low is None and isinstance(drive.target, tree.Read)):
            continue
        put = loop.body[0]
        turns = range(loop.start.value, loop.stop.value, loop.step)
        uses = reads(body)[zero.name]
        within = all(0 <= low <= len(drive.target.signal) - put.width for low in _turns(loop, put.low))
        if uses == 1 and within and len(turns) * put.width == len(drive.target.signal):
            loop.body = (tree.Drive(drive.target, put.value, put.low, put.width, put.line, put.comments),)
            loop.comments = (*zero.comments, *loop.comments)
            return _staged([*found[:position], loop, *found[position + 3:]])
    return tuple(found)


def reads(body: Sequence[tree.Statement]) -> Counter[str]:
    """How often each local is read."""
    return Counter(part.name for statement in tree.statements(body) for root in tree.roots(statement)
                   for part in tree.walk(root) if isinstance(part, tree.Variable))


def _moved(body: Sequence[tree.Statement]) -> tuple[tree.Statement, ...]:
    """Loops that only shift lists along, as what they do."""
    found: list[tree.Statement] = []
    for statement in body:
        if isinstance(statement, tree.If):
            statement.then, statement.other = _moved(statement.then), _moved(statement.other)
        elif isinstance(statement, tree.For):
            moves = [_move(inner, statement) for inner in statement.body]
            if moves and all(moves):
                for move in moves:
                    assert move is not None
                    found.append(move)
                moves[0].comments = (*statement.comments, *moves[0].comments)  # type: ignore[union-attr]
                continue
            statement.body = _moved(statement.body)
        found.append(statement)
    return tuple(found)


def _move(statement: tree.Statement, loop: tree.For) -> tree.Move | None:
    if not (isinstance(statement, tree.Drive) and isinstance(statement.target, tree.Element) and statement.low is None
            and isinstance(statement.value, tree.Element) and loop.step == 1):
        return None
    target, source = statement.target, statement.value
    ahead, behind = (_offset(element.index, loop.name) for element in (target, source))
    if ahead is None or behind is None or len(target.vector[0]) != len(source.vector[0]):
        return None
    start = loop.start.value
    return tree.Move(tree.Element(target.vector, target.name, tree.Number(start + ahead)),
                     tree.Element(source.vector, source.name, tree.Number(start + behind)),
                     loop.stop.value - start, statement.line, statement.comments)


def _offset(index: tree.Expression, variable: str) -> int | None:
    """By how much an index is ahead of a loop's variable."""
    if isinstance(index, tree.Variable) and index.name == variable:
        return 0
    if isinstance(index, tree.Binary) and index.operator in "+-" and isinstance(index.right, tree.Number) and (
            isinstance(index.left, tree.Variable) and index.left.name == variable):
        return index.right.value if index.operator == "+" else -index.right.value
    return None

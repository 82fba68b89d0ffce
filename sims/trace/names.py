"""The names of the values on their way through the machine, and the signals that hold them."""

from __future__ import annotations

from typing import Any, NamedTuple

from myhdl_fsa.tiling import AttentionShape, tiles

__all__ = ["Name", "Names", "ONE", "Row", "SCALE", "Speaker", "ZERO", "accumulated", "greatest", "scored", "weighted"]


class Name(NamedTuple):
    """What a value is. Rows of Q and K are counted through all heads, in whole tiles, as they lie in memory."""

    kind: str
    """a key of ``_INDICES``"""
    at: tuple[int, ...] = ()
    """as ``_INDICES`` says"""
    terms: int | None = None
    """how many terms are in a sum that is not whole; None for one that is"""


_INDICES = {
    "0": "", "1": "", "scale": "", "slope": "n", "intercept": "n",
    "Q": "qd", "K": "kd", "V": "kd",
    "S": "qk", "s": "qk", "X": "qk", "z": "qk", "P": "qk",
    "m": "q", "-m": "q", "low m": "q", "high m": "q", "d": "q", "e": "q", "b": "q",
    "l": "q", "L": "q", "1/L": "q", "o": "qd", "O": "qd", "O/L": "qd",
}
"""What a kind's indices are that its name shows: a query, a key, a dimension, a number. What belongs to a tile of keys
has the tile's number as one more index, which is not shown."""

ZERO, ONE, SCALE = Name("0"), Name("1"), Name("scale")
Row = tuple[Name | None, ...]
"""of a word that is as wide as the array"""


def _with_one_more(kind: str, at: tuple[int, ...], before: Name | None, whole: int) -> Name:
    """What has a term more than ``before``, if that is a part of the same, and ``whole`` terms in the end."""
    terms = 1 + ((before.terms or 0) if before is not None and (before.kind, before.at) == (kind, at) else 0)
    return Name(kind, at, None if terms == whole else terms)


def scored(register: Name | None, left: Name | None, before: Name | None, whole: int) -> Name | None:
    """Of a partial sum of S = Q K^T, with ``whole`` terms in the end."""
    if register is None or left is None:
        return None
    return _with_one_more("S", (register.at[0], left.at[0]), before, whole)


def weighted(register: Name | None, left: Name | None, before: Name | None, whole: int) -> Name | None:
    """Of a partial row sum, where ``left`` is 1, or of a partial product P V; of one tile with ``whole`` keys."""
    if register is None or left is None:
        return None
    query, key = register.at
    if left == ONE:
        return _with_one_more("l", (query, key // whole), before, whole)
    return _with_one_more("o", (query, left.at[1], key // whole), before, whole)


def greatest(score: Name | None, before: Name | None, whole: int) -> Name | None:
    """Of the running maximum that has seen ``score``; it is whole when it has seen a tile of ``whole`` keys."""
    if score is None:
        return None
    return _with_one_more("m", (score.at[0], score.at[1] // whole), before, whole)


def accumulated(inflow: Name | None) -> Name | None:
    """Of what an accumulator makes of a tile's row sum or product."""
    return inflow and Name(inflow.kind.upper(), inflow.at)


class Speaker:
    """How names are said: ``S00``; ``S0,12`` where indices have two digits; ``h1 S00`` with several heads."""

    def __init__(self, shape: AttentionShape, rows: int) -> None:
        self._rows = rows
        self._shape, self._queries = shape, tiles(shape.seq_q, rows) * rows
        self._keys = tiles(shape.seq_kv, rows) * rows
        self._between = "" if max(self._queries, self._keys, rows) <= 10 else ","
        self._said: dict[Name, str] = {}

    def __call__(self, name: Name | None) -> str:
        """Nothing for a value without a name."""
        if name is None:
            return ""
        if name not in self._said:
            self._said[name] = self._say(name)
        return self._said[name]

    def tile(self, name: Name) -> str:
        """The tile that a value of Q, K or V is in: ``K tile 1``."""
        heads, length = self._length(_INDICES[name.kind][0]) or (1, 1)
        head, row = divmod(name.at[0], length)
        return f"{f'h{head} ' if heads > 1 else ''}{name.kind} tile {row // self._rows}"

    def _length(self, what: str) -> tuple[int, int] | None:
        """Heads, and rows of each, that an index counts through."""
        return {"q": (self._shape.query_heads, self._queries), "k": (self._shape.key_heads, self._keys)}.get(what)

    def _say(self, name: Name) -> str:
        shown: list[str] = []
        head = None
        for what, number in zip(_INDICES[name.kind], name.at, strict=False):
            heads, length = self._length(what) or (1, number + 1)
            if heads > 1 and head is None:
                head = number // length
            shown.append(str(number % length))
        indices = self._between.join(shown)
        said = {"X": f"S{indices}-m{shown[0] if shown else ''}", "-m": f"-m{indices}",
                "O/L": f"O{indices}/L{shown[0] if shown else ''}",
                "slope": f"slope {indices}", "intercept": f"intercept {indices}"}.get(name.kind, name.kind + indices)
        terms = "" if name.terms is None else f":{name.terms}"
        return f"{'' if head is None else f'h{head} '}{said}{terms}"


class Names:
    """Which signal holds what now; ``later`` is for registers, from the next clock edge on."""

    def __init__(self) -> None:
        self._now: dict[int, Any] = {}
        self._later: dict[int, Any] = {}

    def of(self, signal: Any) -> Name | None:
        """The name of a signal's value; None where nothing is known of it."""
        found: Name | None = self._now.get(id(signal))
        return found

    def row(self, signal: Any, count: int) -> Row:
        """The names of the words in a wide one, lane 0 first."""
        return self._now.get(id(signal)) or (None,) * count

    def now(self, signal: Any, name: Name | Row | None) -> None:
        """For what is combinational."""
        self._now[id(signal)] = name

    def later(self, signal: Any, name: Name | Row | None) -> None:
        """For a register."""
        self._later[id(signal)] = name

    def edge(self) -> None:
        """The clock edge."""
        self._now.update(self._later)
        self._later.clear()

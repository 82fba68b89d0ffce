"""Where everything stands: a box a unit and a path for each value that it takes, from what a trace says of its units.

All outputs draw the same layout; lengths are in pixels of a picture that is not enlarged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from myhdl_fsa.trace.contents import CycleTrace, Kind, Unit

__all__ = ["Box", "COMPACT", "FULL", "Layout", "Line", "Path", "ROOMY", "Sizes", "layout", "where"]


@dataclass(frozen=True)
class Sizes:
    """How large a unit is drawn."""

    box: int
    """the width of a unit of a column"""
    edge: int
    """and of one of a row"""
    gap: int
    """between two columns"""
    passage: int
    """between two rows, where values pass"""
    margin: int
    line: int
    """the height of a line of text in a box"""
    text: int
    """the size of letters"""
    letter: float
    """about how wide one is"""
    numbers: bool
    """whether a value's number stands beside its name"""


FULL = Sizes(box=124, edge=84, gap=46, passage=26, margin=12, line=17, text=13, letter=6.6, numbers=True)
"""an array of 4 x 4 is 800 pixels wide"""
COMPACT = Sizes(box=65, edge=34, gap=23, passage=20, margin=4, line=14, text=11, letter=5.4, numbers=False)
"""and 394: two stand side by side, and one on a phone"""
ROOMY = replace(COMPACT, box=88, edge=44, gap=34)
"""for names with two indices of two digits"""

_BEYOND = 6
"""how far labels above and below a box may reach beyond it"""
_SIDES = {
    "left": "left", "above": "top", "below": "bottom", "lift": "bottom",
    "score": "inner", "inflow": "inner", "old": "outer",
}
"""at which side of a unit a value comes in, by its name; ``inner`` is the side of the PEs, ``outer`` the other one.
What is not here stands in the box"""


@dataclass(frozen=True)
class Line:
    """A line of text in a box: one of the values that the unit's kind holds or takes."""

    value: str
    """its name in the kind"""
    y: float
    """the middle, in the picture"""


@dataclass(frozen=True)
class Path:
    """A path into a box: an arrow and its label, which have the rectangle ``x``, ``y``, ``width``, ``height``."""

    value: str
    """its name in the kind"""
    x: float
    y: float
    width: float
    height: float
    tail: tuple[float, float]
    head: tuple[float, float]
    label: tuple[float, float]
    """the middle of the label, or of its left end where the arrow is upright"""
    upright: bool
    letters: int
    """how many the label may have"""


@dataclass(frozen=True)
class Box:
    """A unit."""

    unit: Unit
    x: float
    y: float
    width: float
    height: float
    sign: tuple[float, float]
    """the middle of the sign of its work"""
    lines: tuple[Line, ...]
    paths: tuple[Path, ...]
    letters: int
    """how many a line may have, where it has no number"""


@dataclass(frozen=True)
class Layout:
    """The picture of an array."""

    width: int
    height: int
    boxes: tuple[Box, ...]
    captions: tuple[tuple[str, float, float], ...]
    """what stands left of the units of columns, with its right end and its middle"""
    sizes: Sizes


def layout(trace: CycleTrace, sizes: Sizes = FULL) -> Layout:
    """Boxes from top to bottom as ``trace.order`` has the kinds; those of rows on the left of the PEs."""
    rows = {kind: trace.rows if kind == "pe" else 1 for kind in trace.order}
    tops: dict[tuple[str, int], float] = {}
    y = float(sizes.margin)
    for kind in trace.order:
        for row in range(rows[kind]):
            # above the first unit there is a passage only if something comes in there
            y += sizes.passage if tops or "top" in _used(trace, kind) else 0
            tops[kind, row] = y
            y += _height(trace, kind, sizes)
    y += sizes.passage if trace.order and "bottom" in _used(trace, trace.order[-1]) else 0
    left = sizes.margin + sizes.edge
    boxes = []
    for unit in trace.units:
        if unit.column is None:
            x, width = float(sizes.margin), sizes.edge
            height = _height(trace, unit.kind, sizes)
            top = tops["pe", unit.row or 0] + (_height(trace, "pe", sizes) - height) / 2
        else:
            x, width = left + sizes.gap + unit.column * (sizes.box + sizes.gap), sizes.box
            height, top = _height(trace, unit.kind, sizes), tops[unit.kind, unit.row or 0 if unit.kind == "pe" else 0]
        boxes.append(_box(trace, unit, (x, top, width, height), sizes))
    captions = tuple((kind.replace("_", " "), left + sizes.gap - 4.0,
                      tops[kind, 0] + _height(trace, kind, sizes) / 2) for kind in trace.order if kind != "pe")
    return Layout(round(left + trace.columns * (sizes.box + sizes.gap) + sizes.margin), round(y + sizes.margin),
                  tuple(boxes), captions, sizes)


def where(unit: Unit) -> str:
    """A unit in words: ``PE in row 2, column 3``."""
    name = {"pe": "PE", "edge": "left edge"}.get(unit.kind, unit.kind.replace("_", " "))
    places = [f"{what} {number}" for what, number in (("row", unit.row), ("column", unit.column)) if number is not None]
    return f"{name} in {', '.join(places)}" if places else name


def _side(trace: CycleTrace, kind: str, value: str) -> str:
    side = _SIDES.get(value, "inside")
    if side in ("inner", "outer"):
        below = kind in trace.order and trace.order.index(kind) > trace.order.index("pe")
        side = "top" if (side == "inner") == below else "bottom"
    return side


def _used(trace: CycleTrace, kind: str) -> set[str]:
    return {_side(trace, kind, value) for value in trace.kinds[kind].takes}


def _inside(trace: CycleTrace, kind: str) -> list[str]:
    contents: Kind = trace.kinds[kind]
    return [*contents.holds, *(value for value in contents.takes if _side(trace, kind, value) == "inside")]


def _height(trace: CycleTrace, kind: str, sizes: Sizes) -> float:
    return sizes.line * (1 + len(_inside(trace, kind))) + 8


def _box(trace: CycleTrace, unit: Unit, place: tuple[float, float, float, float], sizes: Sizes) -> Box:
    x, y, width, height = place
    sign = x + width / 2, y + 4 + sizes.line / 2
    lines = tuple(Line(value, y + 4 + sizes.line * (1.5 + index))
                  for index, value in enumerate(_inside(trace, unit.kind)))
    return Box(unit, x, y, width, height, sign, lines, tuple(_paths(trace, unit.kind, place, sizes)),
               int((width - 4) / sizes.letter))


def _paths(trace: CycleTrace, kind: str, place: tuple[float, float, float, float], sizes: Sizes) -> Iterator[Path]:
    """The left half of a passage between two rows is for what goes down, the right one for what goes up."""
    x, y, width, height = place
    by_side: dict[str, list[str]] = {}
    for value in trace.kinds[kind].takes:
        by_side.setdefault(_side(trace, kind, value), []).append(value)
    for side, values in by_side.items():
        for index, value in enumerate(values):
            if side == "left":
                middle = y + height * (index + 1) / (len(values) + 1)
                yield Path(value, x - sizes.gap + 1, middle - sizes.line, sizes.gap - 2, 2 * sizes.line - 4,
                           (x - sizes.gap + 3, middle + 5), (x - 2, middle + 5),
                           (x - sizes.gap / 2, middle - 5), False, int(sizes.gap / (sizes.letter - 0.5)))
            elif side in ("top", "bottom"):
                room = (width / 2 + _BEYOND) / len(values)
                at = x + room * index + (width / 2 if side == "bottom" else -_BEYOND)
                top = y - sizes.passage if side == "top" else y + height
                ends = [(at + 5, top + 2), (at + 5, top + sizes.passage - 2)]
                tail, head = ends if side == "top" else ends[::-1]
                yield Path(value, at, top + 1, room - 1, sizes.passage - 2, tail, head,
                           (at + 10, top + sizes.passage / 2), True, int((room - 10) / (sizes.letter - 0.5)))

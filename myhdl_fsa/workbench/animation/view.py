"""What each box of a layout says in a cycle. ``player/view.js`` says the same in the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myhdl_fsa.trace.contents import CycleTrace, State, Value
from myhdl_fsa.workbench.animation.layout import Box, Layout, Path
from myhdl_fsa.workbench.animation.palette import SIGNS
from myhdl_fsa.workbench.animation.values import LEFT_OUT, short, shorten

__all__ = ["Shown", "at_work", "shown", "view"]


@dataclass(frozen=True)
class Shown:
    """A box in a cycle."""

    work: str
    """a key of ``WORKS``"""
    sign: str
    lines: tuple[tuple[str, str], ...]
    """of each line its name and its number, or its name alone"""
    labels: tuple[str | None, ...]
    """of each path; None where nothing passes"""


def view(trace: CycleTrace, state: State, picture: Layout) -> list[Shown]:
    """Every box of the picture in the cycle that has this state."""
    return [shown(trace, box, state[box.unit.name], picture.sizes.numbers) for box in picture.boxes]


def shown(trace: CycleTrace, box: Box, unit: Mapping[str, Any], numbers: bool) -> Shown:
    """A box whose unit has this state."""
    kind = trace.kinds[box.unit.kind]

    def number(value: str) -> str:
        return short(unit[value][0], trace.formats[{**kind.holds, **kind.takes}[value]])

    def line(value: str) -> tuple[str, str]:
        found: Value | None = unit[value]
        if found is None:
            return "", ""
        if numbers:
            figure = number(value)
            return shorten(found[1], box.letters - len(figure) - 1), figure
        return shorten(found[1], box.letters), ""

    def fitting(path: Path) -> str:
        figure = number(path.value)
        return figure if len(figure) <= path.letters else LEFT_OUT

    labels = []
    for path in box.paths:
        found: Value | None = unit[path.value]
        labels.append(None if found is None else shorten(found[1], path.letters) or fitting(path))
    return Shown(unit["work"], SIGNS.get(unit["work"], unit["work"]), tuple(line(item.value) for item in box.lines),
                 tuple(labels))


def at_work(state: State) -> int:
    """How many units do something."""
    return sum(unit["work"] not in ("idle", "pass") for unit in state.values())

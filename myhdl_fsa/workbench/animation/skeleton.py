"""What the page draws on: SVG of an array and of a time line, in which the player sets texts and attributes."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from myhdl_fsa.trace.contents import CycleTrace
from myhdl_fsa.workbench.animation.layout import Box, Path, Sizes, layout, where
from myhdl_fsa.workbench.animation.timeline import Bar, TimeLine

__all__ = ["array", "time"]

_LANE, _NAMES, _AXIS = 20, 46, 18
"""the height of a lane, the width of the lanes' names, and the height of the numbers of cycles"""
_LEAST = 4
"""how wide a cycle is at the least: a longer time line is scrolled"""


def array(trace: CycleTrace, sizes: Sizes, style: str) -> str:
    """An SVG element of class ``style``, with a group a unit."""
    picture = layout(trace, sizes)
    title = f"{trace.dataflow}: the array of {trace.rows} x {trace.columns}"
    style_of = f"--natural:{picture.width}px;--height:{picture.height}px;--text:{sizes.text}px"
    parts = [f'<svg class="array {style}" viewBox="0 0 {picture.width} {picture.height}" style="{style_of}" '
             f'role="group" aria-label="{escape(title)}">']
    parts += [f'<text class="caption" x="{x:g}" y="{y:g}">{escape(text)}</text>' for text, x, y in picture.captions]
    for box in picture.boxes:
        parts += _unit(box, sizes)
    return "\n".join([*parts, "</svg>"])


def _unit(box: Box, sizes: Sizes) -> Iterator[str]:
    yield (f'<g class="unit" data-unit="{box.unit.name}" data-work="idle" data-letters="{box.letters}" role="img" '
           f'tabindex="-1" aria-label="{escape(where(box.unit))}">')
    for path in box.paths:
        yield from _path(path)
    yield f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" rx="4"/>'
    yield f'<text class="sign" x="{box.sign[0]:g}" y="{box.sign[1]:g}"/>'
    for line in box.lines:
        left, right = (box.x + 6, box.x + box.width - 6) if sizes.numbers else (box.sign[0], box.sign[0])
        yield f'<text class="name" data-value="{line.value}" x="{left:g}" y="{line.y:g}"/>'
        if sizes.numbers:
            yield f'<text class="number" data-value="{line.value}" x="{right:g}" y="{line.y:g}"/>'
    yield "</g>"


def _path(path: Path) -> Iterator[str]:
    (x, y), (to_x, to_y) = path.tail, path.head
    across, along = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
    head = (f"M{to_x:g} {to_y:g}l{-5 * across + 3.5 * along:g} {-5 * along + 3.5 * across:g}"
            f"l{-7 * along:g} {-7 * across:g}z")
    yield (f'<g class="path {"upright" if path.upright else "level"}" data-value="{path.value}" '
           f'data-letters="{path.letters}"><path class="wire" d="M{x:g} {y:g}L{to_x:g} {to_y:g}"/>'
           f'<path class="head" d="{head}"/><text x="{path.label[0]:g}" y="{path.label[1]:g}"/></g>')


def time(line: TimeLine, width: int, style: str) -> str:
    """An SVG element of class ``style``, of at least this width; a cycle's cursor is moved by its ``x``."""
    width = max(width, _NAMES + 6 + _LEAST * line.span.cycles)
    room = width - _NAMES - 6
    wide, base = room / line.span.cycles, 4 + _LANE * len(line.lanes)

    def at(cycle: int) -> float:
        return round(_NAMES + wide * (cycle - line.span.first), 2)

    parts = [f'<svg class="time {style}" viewBox="0 0 {width} {base + _AXIS}" '
             f'style="--natural:{width}px" role="img" aria-label="time line: '
             f'instructions at work" data-first="{line.span.first}" data-left="{_NAMES}" data-wide="{wide:.6g}">']
    for index, lane in enumerate(line.lanes):
        y = 4 + _LANE * index
        parts.append(f'<text class="lane" x="2" y="{y + _LANE // 2}">{escape(lane.name)}</text>')
        parts += [_bar(bar, at(bar.first), y, wide * (bar.last - bar.first + 1)) for bar in lane.bars]
    step = next(step for step in (5, 10, 20, 50, 100, 200, 500, 1000, 10 ** 9) if wide * step > 34)
    parts += [f'<text class="tick" x="{at(number) + wide / 2:.2f}" y="{base + 9}">{number}</text>'
              for number in range(-(-line.span.first // step) * step, line.span.last + 1, step)]
    parts.append(f'<rect class="cursor" x="{_NAMES}" y="1" width="{max(wide, 2):.2f}" height="{base}"/>')
    return "\n".join([*parts, "</svg>"])


def _bar(bar: Bar, x: float, y: float, width: float) -> str:
    label = next((text for text in bar.labels if 6.9 * len(text) < width), "")
    whole = f"{bar.labels[0]}, cycles {bar.first} to {bar.last}"
    return (f'<g class="bar" data-kind="{bar.kind}" data-first="{bar.first}" data-last="{bar.last}" data-label='
            f'"{escape(bar.labels[0])}"><title>{escape(whole)}</title><rect x="{x:g}" y="{y + 2}" '
            f'width="{max(width - 1, 1):.2f}" height="{_LANE - 4}" rx="2"/>'
            f'<text x="{x + width / 2:.2f}" y="{y + _LANE // 2}">{escape(label)}</text></g>')

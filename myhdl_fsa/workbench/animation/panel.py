"""One machine as pixels: its heading, its array and its time line. Only what changes is drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from myhdl_fsa.trace.contents import CycleTrace, Frame, State
from myhdl_fsa.workbench.animation.brush import THEME, Brush, Picture, mark
from myhdl_fsa.workbench.animation.layout import Box, Path, Sizes, layout
from myhdl_fsa.workbench.animation.palette import tint
from myhdl_fsa.workbench.animation.timeline import Bar, Span, time_line
from myhdl_fsa.workbench.animation.view import Shown, view

__all__ = ["Panel"]

_HEADING, _LANE, _NAMES, _AXIS = 46, 20, 44, 18
"""heights of the heading and of a lane; the width of the lanes' names; the height of the numbers of cycles"""


_KEPT = 8192
"""pieces of a picture that are kept for later cycles"""


class Panel:
    """A machine in a picture; ``draw`` puts it there as it is in a cycle."""

    def __init__(self, trace: CycleTrace, sizes: Sizes, shown: Span) -> None:
        self.trace, self._sizes, self._span = trace, sizes, shown
        self._layout = layout(trace, sizes)
        self._lanes = time_line(trace, shown).lanes
        self.width = self._layout.width
        self.array_height = self._layout.height
        self._pieces: dict[Any, Picture] = {}
        self._drawn: dict[Any, Any] = {}

    @property
    def height(self) -> int:
        """With everything."""
        return _HEADING + self._layout.height + self.foot

    @property
    def foot(self) -> int:
        """The height of the time line."""
        return _LANE * len(self._lanes) + _AXIS + 6

    def draw(self, into: Picture, corner: tuple[int, int], frame: Frame, state: State, cycle: int,
             array_height: int) -> None:
        """The state of ``frame`` in ``cycle``, which counts from the trace's start and may be later than the frame.

        ``array_height`` is that of the highest array in the picture: all time lines stand at one height.
        """
        for (x, y), key, width, height, paint in self._parts(frame, state, cycle):
            place = round(x), round(y)
            if self._drawn.get(place) != (place, key):
                self._drawn[place] = place, key
                into.paste(self._piece(place, key, width, height, paint), (corner[0] + place[0], corner[1] + place[1]))
        top = _HEADING + array_height
        under_way = tuple(bar for lane in self._lanes for bar in lane.bars if bar.first <= cycle <= bar.last)
        time = self._piece((0, top), under_way, self.width, self.foot,
                           lambda brush: self._draw_time(brush, top, under_way))
        into.paste(time, (corner[0], corner[1] + top))
        x = round(corner[0] + self._at(min(max(cycle, self._span.first), self._span.last) + 0.5))
        y = corner[1] + top + 2
        mark(into, (x - 1, y, x, y + 2 + _LANE * len(self._lanes)), THEME.accent)

    def _piece(self, place: tuple[int, int], key: Any, width: float, height: float,
               paint: Callable[[Brush], None]) -> Picture:
        """What ``paint`` draws there, which depends on ``key`` alone."""
        if (place, key) not in self._pieces:
            if len(self._pieces) >= _KEPT:
                self._pieces.clear()
            brush = Brush(place[0], place[1], round(width), round(height))
            paint(brush)
            self._pieces[place, key] = brush.picture()
        return self._pieces[place, key]

    def _at(self, cycle: float) -> float:
        """Where a cycle begins in the time line."""
        left, room = _NAMES + self._sizes.margin, self.width - _NAMES - 2 * self._sizes.margin
        return left + room / self._span.cycles * (cycle - self._span.first)

    def _parts(self, frame: Frame, state: State, cycle: int) -> Iterator[
            tuple[tuple[float, float], Any, float, float, Callable[[Brush], None]]]:
        """Of each part its place, what it depends on, its size, and how it is drawn."""
        heading = self._heading(frame, cycle)
        yield (0, 0), heading, self.width, _HEADING, lambda brush: self._draw_heading(brush, heading)
        for box, shown in zip(self._layout.boxes, view(self.trace, state, self._layout), strict=True):
            yield (box.x, _HEADING + box.y), shown, box.width, box.height, _painter(self._draw_box, box, shown)
            for path, label in zip(box.paths, shown.labels, strict=True):
                yield ((path.x, _HEADING + path.y), label, path.width, path.height,
                       _painter(self._draw_path, path, label))
        for text, x, y in self._layout.captions:
            yield ((self._sizes.margin, _HEADING + y - 8), text, x - self._sizes.margin, 16,
                   _painter(self._draw_caption, text, x, _HEADING + y))

    def _heading(self, frame: Frame, cycle: int) -> tuple[str, str, str]:
        trace = self.trace
        now = f"cycle {cycle}" if cycle < trace.cycles else f"done after {trace.cycles} cycles"
        name = f"{trace.dataflow}, {trace.rows} x {trace.columns}"
        return name, now, f"utilisation {100 * trace.utilisation(frame):.0f} %"

    def _draw_heading(self, brush: Brush, heading: tuple[str, str, str]) -> None:
        left, right = self._sizes.margin, self.width - self._sizes.margin
        brush.text(left, 16, heading[0], 17, THEME.ink, "lm", strong=True)
        brush.text(left, 36, heading[1], 14, THEME.ink, "lm", strong=heading[1].startswith("done"))
        brush.text(right, 36, heading[2], 14, THEME.ink, "rm")

    def _draw_caption(self, brush: Brush, text: str, x: float, y: float) -> None:
        brush.text(x, y, text, self._sizes.text - 2, THEME.muted, "rm")

    def _draw_box(self, brush: Brush, box: Box, shown: Shown) -> None:
        sizes, (fill, ink) = self._sizes, tint(shown.work, THEME)
        brush.box(box.x, _HEADING + box.y, box.width, box.height, fill)
        x, y = box.sign
        brush.text(x, _HEADING + y, shown.sign, sizes.text, ink, strong=True)
        for line, (name, number) in zip(box.lines, shown.lines, strict=True):
            y = _HEADING + line.y
            if sizes.numbers:
                brush.text(box.x + 6, y, name, sizes.text, ink, "lm")
                brush.text(box.x + box.width - 6, y, number, sizes.text, ink, "rm")
            else:
                brush.text(x, y, name or number, sizes.text, ink)

    def _draw_path(self, brush: Brush, path: Path, label: str | None) -> None:
        tail, head = (path.tail[0], _HEADING + path.tail[1]), (path.head[0], _HEADING + path.head[1])
        if label is None:
            brush.line((tail, head), THEME.line)
            return
        brush.arrow(tail, head, THEME.ink)
        brush.text(path.label[0], _HEADING + path.label[1], label, self._sizes.text - 1.5, THEME.ink,
                   "lm" if path.upright else "mm")

    def _draw_time(self, brush: Brush, top: int, under_way: Sequence[Bar]) -> None:
        at = self._at
        wide = at(1) - at(0)
        for index, lane in enumerate(self._lanes):
            y = top + 4 + _LANE * index
            brush.text(self._sizes.margin, y + _LANE / 2, lane.name, 12, THEME.muted, "lm")
            for bar in lane.bars:
                x, width = at(bar.first), wide * (bar.last - bar.first + 1)
                fill, ink = (THEME.accent, THEME.ground) if bar in under_way else (THEME.passing, THEME.ink)
                if bar.kind == "wait":
                    fill, ink = THEME.ground, THEME.ink
                brush.box(x, y + 2, max(width - 1, 1), _LANE - 4, fill, THEME.muted if bar.kind == "wait" else None, 2)
                fitting = [text for text in bar.labels if brush.length(text, 11) < width - 4]
                if bar.kind == "wait":
                    for stripe in range(round(x) + 4, round(x + width) - 2, 6):
                        brush.line(((stripe, y + 3), (stripe - 3, y + _LANE - 4)), THEME.line)
                brush.text(x + width / 2, y + _LANE / 2, (fitting or [""])[0], 11, ink)
        base = top + 4 + _LANE * len(self._lanes)
        step = next(step for step in (5, 10, 20, 50, 100, 200, 500, 1000, 10 ** 9) if wide * step > 34)
        for number in range(-(-self._span.first // step) * step, self._span.last + 1, step):
            brush.text(at(number) + wide / 2, base + 9, str(number), 11, THEME.muted)


def _painter(draw: Callable[..., None], *arguments: Any) -> Callable[[Brush], None]:
    return lambda brush: draw(brush, *arguments)

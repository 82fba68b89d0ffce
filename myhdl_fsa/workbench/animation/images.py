"""The animation as a GIF, and one cycle of it as a PNG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from myhdl_fsa.trace.contents import WORKS, CycleTrace, Frame, State
from myhdl_fsa.workbench.animation.brush import CLEAR, THEME, Brush, Picture
from myhdl_fsa.workbench.animation.layout import COMPACT, FULL, ROOMY, layout
from myhdl_fsa.workbench.animation.palette import SIGNS, tint
from myhdl_fsa.workbench.animation.panel import Panel
from myhdl_fsa.workbench.animation.timeline import Span, span, surroundings
from myhdl_fsa.workbench.animation.view import at_work

__all__ = ["CYCLE_MS", "LAST_MS", "gif", "png"]

CYCLE_MS, LAST_MS = 500, 4000
"""how long a cycle of a GIF is shown, and the last one"""
_WIDE, _WIDEST = 1000, 2200
"""pixels: arrays have their numbers while they are at most so wide, and stand side by side while they are"""
_BETWEEN = 12
_LEGEND = 24


def gif(traces: Sequence[CycleTrace]) -> bytes:
    """Every recorded cycle, for ever; of several traces side by side, from the first instruction of each."""
    sheet = _Sheet(traces)
    changes = _changes(sheet.draw(cycle) for cycle in sheet.span.numbers())
    durations = [CYCLE_MS] * (sheet.span.cycles - 1) + [LAST_MS]
    written = BytesIO()
    next(changes).save(written, "GIF", save_all=True, append_images=changes, duration=durations, loop=0, disposal=1,
                       transparency=CLEAR, optimize=False)
    return written.getvalue()


def _changes(pictures: Iterable[Picture]) -> Iterator[Picture]:
    """The first picture, then of each what is not as in the one before; the rest is ``CLEAR``."""
    before: npt.NDArray[np.uint8] | None = None
    for picture in pictures:
        now = np.array(picture)
        change = Image.fromarray(now if before is None else np.where(now == before, np.uint8(CLEAR), now), "P")
        change.putpalette(picture.getpalette() or [])
        yield change
        before = now


def png(traces: Sequence[CycleTrace]) -> bytes:
    """One cycle: of those recorded the first in which most units are at work."""
    walks, recorded = [_Walk(trace) for trace in traces], span(traces)
    busy = {cycle: sum(at_work(walk.to(cycle)[1]) for walk in walks) for cycle in recorded.numbers()}
    written = BytesIO()
    _Sheet(traces).draw(max(busy, key=busy.__getitem__)).save(written, "PNG", optimize=True)
    return written.getvalue()


class _Sheet:
    """The whole picture: a panel a trace, and the legend below."""

    def __init__(self, traces: Sequence[CycleTrace]) -> None:
        self.span: Span = span(traces)
        if sum(layout(trace, FULL).width for trace in traces) <= _WIDE:
            sizes = FULL
        else:
            sizes = ROOMY if any(map(_long_names, traces)) else COMPACT
        self._panels = [Panel(trace, sizes, surroundings(traces)) for trace in traces]
        beside = sum(panel.width for panel in self._panels) + _BETWEEN * (len(traces) - 1) <= _WIDEST
        highest = max(panel.array_height for panel in self._panels)
        self._arrays = [highest if beside else panel.array_height for panel in self._panels]
        x = y = 0
        self._corners: list[tuple[int, int]] = []
        for panel in self._panels:
            self._corners.append((x, y))
            if beside:
                x += panel.width + _BETWEEN
            else:
                y += panel.height + _BETWEEN
        width = max(corner[0] + panel.width for corner, panel in zip(self._corners, self._panels, strict=True))
        bottom = max(corner[1] + panel.height - panel.array_height + array
                     for corner, panel, array in zip(self._corners, self._panels, self._arrays, strict=True))
        self._walks = [_Walk(trace) for trace in traces]
        works = {changes["work"] for trace in traces for frame in trace.frames for changes in frame.units.values()
                 if "work" in changes}
        legend = _legend([work for work in WORKS if work in works], width)
        self._picture = Brush(0, 0, width, bottom + legend.height).picture()
        self._picture.paste(legend, (0, bottom))

    def draw(self, cycle: int) -> Picture:
        """The picture in a cycle that is not before the last one drawn; the next call changes it."""
        for panel, corner, walk, array in zip(self._panels, self._corners, self._walks, self._arrays, strict=True):
            panel.draw(self._picture, corner, *walk.to(cycle), cycle, array)
        return self._picture


class _Walk:
    """Goes through a trace; before its first frame it shows that one, after its last one that."""

    def __init__(self, trace: CycleTrace) -> None:
        self._states, self._start = trace.states(), trace.start
        self._left = len(trace.frames) - 1
        self._now: tuple[Frame, State] = next(self._states)

    def to(self, cycle: int) -> tuple[Frame, State]:
        """The frame of a cycle that is not before the last one asked for."""
        while self._left and self._now[0].cycle - self._start < cycle:
            self._now = next(self._states)
            self._left -= 1
        return self._now


def _long_names(trace: CycleTrace) -> bool:
    """Whether indices are set apart by commas, as they are where one may have two digits."""
    return any("," in value[1] for frame in trace.frames for changes in frame.units.values()
               for value in changes.values() if isinstance(value, tuple))


def _legend(works: Sequence[str], width: int) -> Picture:
    """What signs and colours mean."""
    shown = [(work, SIGNS[work], _plain(WORKS[work])) for work in works]
    brush = Brush(0, 0, 1, 1)
    rows: list[list[tuple[float, str, str, str, float]]] = [[]]
    x = 4.0
    for work, sign, meaning in shown:
        chip = max(20.0, brush.length(sign, 12) + 12)
        needed = chip + 5 + brush.length(meaning, 12) + 14
        if x + needed > width and rows[-1]:
            rows.append([])
            x = 4.0
        rows[-1].append((x, work, sign, meaning, chip))
        x += needed
    brush = Brush(0, 0, width, _LEGEND * len(rows) + 4)
    for index, row in enumerate(rows):
        y = _LEGEND * index
        for x, work, sign, meaning, chip in row:
            fill, ink = tint(work, THEME)
            brush.box(x, y + 2, chip, 18, fill)
            brush.text(x + chip / 2, y + 11, sign, 12, ink, strong=True)
            brush.text(x + chip + 5, y + 11, meaning, 12, THEME.ink, "lm")
    return brush.picture()


_PLAIN = str.maketrans({"\u1d40": "^T", "\u2212": "-", "\u00b7": "times", "\u221a": "sqrt "})


def _plain(text: str) -> str:
    """In the letters of the built-in font."""
    return text.translate(_PLAIN)

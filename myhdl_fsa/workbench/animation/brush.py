"""Drawing with Pillow: twice as large and then scaled down, in a palette that all pictures of an animation share."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from myhdl_fsa.trace.contents import WORKS
from myhdl_fsa.workbench.animation.palette import THEMES, tint

__all__ = ["Brush", "CLEAR", "Picture", "THEME", "mark", "rgb"]

THEME = THEMES["light"]
_FINE = 2
"""how much larger things are drawn"""
_SHADES = 9
"""how many colours lie between two that meet at an edge"""

CLEAR = 255
"""the place in the palette that no colour has"""
Picture = Image.Image


def rgb(colour: str) -> tuple[int, int, int]:
    """Of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _between(first: str, second: str) -> Iterable[tuple[int, int, int]]:
    for step in range(_SHADES + 1):
        one, two = rgb(first), rgb(second)
        share = step / _SHADES
        yield (round(one[0] + (two[0] - one[0]) * share), round(one[1] + (two[1] - one[1]) * share),
               round(one[2] + (two[2] - one[2]) * share))


@lru_cache(maxsize=1)
def _palette() -> npt.NDArray[np.int32]:
    """Every colour that is drawn, and the shades between those that meet: [n, 3], n at most ``CLEAR``."""
    pairs = [(THEME.ground, colour) for colour in (THEME.ink, THEME.muted, THEME.line, THEME.accent)]
    pairs += [tint(work, THEME) for work in WORKS]
    fills = list(dict.fromkeys(tint(work, THEME)[0] for work in WORKS))
    found = list(dict.fromkeys(colour for pair in pairs for colour in _between(*pair)))
    found += [colour for fill in fills for colour in list(_between(THEME.ground, fill))[3:-1:3]]
    return np.array(list(dict.fromkeys(found)), np.int32)


@lru_cache(maxsize=1 << 16)
def _nearest(colour: int) -> int:
    """The place in the palette of what is closest to 0xRRGGBB."""
    parts = np.array([colour >> 16, colour >> 8 & 255, colour & 255], np.int32)
    return int(((_palette() - parts) ** 2).sum(1).argmin())


def mark(picture: Picture, box: tuple[int, int, int, int], colour: str) -> None:
    """Fills a rectangle of a finished picture, whose last column and row are the box's."""
    ImageDraw.Draw(picture).rectangle(box, _nearest(int(colour[1:], 16)))


@lru_cache(maxsize=32)
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


class Brush:
    """Draws a piece of a picture, whose upper left corner is ``x``, ``y`` of the whole one."""

    def __init__(self, x: float, y: float, width: float, height: float, ground: str = THEME.ground) -> None:
        self._left, self._top = x, y
        self._image = Image.new("RGB", (round(width * _FINE), round(height * _FINE)), ground)
        self._draw = ImageDraw.Draw(self._image)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (x - self._left) * _FINE, (y - self._top) * _FINE

    def box(self, x: float, y: float, width: float, height: float, fill: str | None, outline: str | None = None,
            radius: float = 4) -> None:
        """A rectangle with round corners."""
        first, last = self._at(x, y), self._at(x + width, y + height)
        self._draw.rounded_rectangle((*first, last[0] - 1, last[1] - 1), radius * _FINE, fill, outline, _FINE)

    def text(self, x: float, y: float, text: str, size: float, colour: str, anchor: str = "mm",
             strong: bool = False) -> None:
        """``anchor`` as Pillow has it: ``l``, ``m`` or ``r``, and ``m`` for the middle or ``s`` for the base line."""
        self._draw.text(self._at(x, y), text, colour, _font(size * _FINE), anchor,
                        stroke_width=0.3 * _FINE if strong else 0)

    def line(self, points: Iterable[tuple[float, float]], colour: str, width: float = 1) -> None:
        """Straight from point to point."""
        self._draw.line([self._at(*point) for point in points], colour, round(width * _FINE))

    def arrow(self, tail: tuple[float, float], head: tuple[float, float], colour: str) -> None:
        """Level or upright."""
        self.line((tail, head), colour, 1.5)
        way = (head[0] > tail[0]) - (head[0] < tail[0]), (head[1] > tail[1]) - (head[1] < tail[1])
        back = head[0] - 5 * way[0], head[1] - 5 * way[1]
        aside = 3.5 * way[1], 3.5 * way[0]
        corners = [self._at(*point) for point in (
            head, (back[0] + aside[0], back[1] + aside[1]), (back[0] - aside[0], back[1] - aside[1]))]
        self._draw.polygon(corners, colour)

    def length(self, text: str, size: float) -> float:
        """How wide a text is."""
        return _font(size * _FINE).getlength(text) / _FINE

    def picture(self) -> Picture:
        """What was drawn, in its own size and in the palette."""
        small = self._image.resize((self._image.width // _FINE, self._image.height // _FINE), Image.Resampling.BOX)
        colours = np.asarray(small, np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
        found, places = np.unique(colours, return_inverse=True)
        nearest = np.array([_nearest(colour) for colour in found.tolist()], np.uint8)
        picture = Image.fromarray(nearest[places].reshape(colours.shape), "P")
        picture.putpalette(_palette().astype(np.uint8).tobytes())
        return picture

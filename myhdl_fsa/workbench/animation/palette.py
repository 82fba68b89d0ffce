"""The colours of what units do, for light and dark pages, and the signs that say the same without colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["SIGNS", "THEMES", "Theme", "tint"]

_COLOURS: Mapping[str, str] = {
    "load": "#cbbcf2",
    "score": "#4c8bd6",
    "maximum": "#f0a8d0",
    "return": "#97a0aa",
    "subtract": "#fbdca6",
    "scale": "#f2a541",
    "exp2": "#d9602b",
    "sum": "#c2b80a",
    "value": "#2fb08a",
    "reciprocal": "#8fd0dc",
    "normalise": "#8fd0dc",
}
"""by work, a key of ``trace.contents.WORKS``: all light enough for dark letters, and far apart for the colour-blind,
too. ``idle`` and ``pass`` are the page's own greys"""

SIGNS: Mapping[str, str] = {
    "idle": "",
    "load": "Q in",
    "score": "Q K",
    "maximum": "max",
    "return": "S back",
    "subtract": "- max",
    "scale": "scale",
    "exp2": "exp2",
    "sum": "sum",
    "value": "P V",
    "reciprocal": "1 / L",
    "normalise": "O / L",
    "pass": "pass",
}
"""what stands in the cell of a unit at work; plain ASCII, for the font that is built into Pillow has no more"""


@dataclass(frozen=True)
class Theme:
    """The colours of a page; each as ``#rrggbb``."""

    ground: str
    """behind everything"""
    panel: str
    """behind a group of things"""
    ink: str
    """text and lines"""
    muted: str
    """text that is less important"""
    line: str
    """borders, and paths on which nothing passes"""
    accent: str
    """the cursor, what is chosen, and what has the focus"""
    idle: str
    passing: str
    works_ink: str
    """text on the colours of works"""


THEMES: Mapping[str, Theme] = {
    "light": Theme(ground="#ffffff", panel="#f5f6f8", ink="#16181d", muted="#565d68", line="#c9cdd4", accent="#0b57d0",
                   idle="#edeff2", passing="#dde1e7", works_ink="#16181d"),
    "dark": Theme(ground="#14161a", panel="#1d2026", ink="#eceef2", muted="#a4abb6", line="#474d57", accent="#8ab4f8",
                  idle="#262a31", passing="#363c46", works_ink="#16181d"),
}


def tint(work: str, theme: Theme) -> tuple[str, str]:
    """The colour of a unit that does this, and that of text on it."""
    if work in _COLOURS:
        return _COLOURS[work], theme.works_ink
    return (theme.idle, theme.muted) if work == "idle" else (theme.passing, theme.ink)

"""The animation of a trace: a page, a GIF or a PNG with the array drawn as an array."""

from __future__ import annotations

from myhdl_fsa.workbench.animation.images import gif, png
from myhdl_fsa.workbench.animation.page import html

__all__ = ["gif", "html", "png"]

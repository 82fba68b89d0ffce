"""Matplotlib's drawings as SVG for a page: small, the same for the same data, in the page's colours.

A drawing uses the colours of ``COLOURS``, each of which stands for a variable of the page's style sheet, so that it
follows light and dark; ``INK`` is the colour of text.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from myhdl_fsa.workbench.run_report.cycle_split import LABELS

__all__ = ["COLOURS", "FAINT", "INK", "draw", "variable"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = (*LABELS, "first", "second", "third")
COLOURS = {name: f"#fe{number:02x}01" for number, name in enumerate(_NAMES)}
"""by the key of a part of the cycles, and three for other series"""
INK, FAINT = "#fefe01", "#fefe02"
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "fsa", "font.size": 10, "axes.edgecolor": FAINT, "axes.labelcolor": INK,
    "text.color": INK, "xtick.color": FAINT, "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK,
    "grid.color": FAINT, "grid.linewidth": 0.4, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "legend.frameon": False, "figure.facecolor": "none", "axes.facecolor": "none",
    "hatch.linewidth": 0.6,
}


def variable(name: str) -> str:
    """The style sheet's variable for a colour."""
    return "--" + name.lower().replace(" ", "-")


def draw(name: str, described_by: str, width: float, height: float, plot: Callable[[Axes], None]) -> str:
    """What ``plot`` draws on axes of so many inches, as an SVG element without a size of its own.

    ``name`` sets its ids apart from those of other drawings; ``described_by`` is the id of the page's text about it.
    """
    with _matplotlib() as figure_of:
        figure = figure_of(figsize=(width, height), layout="constrained")
        plot(figure.add_subplot())
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return _for_page(file.getvalue(), name, described_by)


@contextmanager
def _matplotlib() -> Iterator[Any]:
    # half a second to import; it tells of its font cache on standard error
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import matplotlib.style
    from matplotlib.figure import Figure

    # whatever the user's own style is
    with matplotlib.style.context(["default", _STYLE]):
        yield Figure


def _for_page(text: str, name: str, described_by: str) -> str:
    text = text[text.index("<svg"):]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
    text = re.sub(r'\b(id=")', rf"\1{name}-", text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{name}-", text)
    text = re.sub(r'(<svg [^>]*?) width="[^"]*"', rf'\1 role="img" aria-labelledby="{described_by}"', text, count=1)
    text = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = re.sub(r"(font: [^;\"]*?\d(?:px)?) '[^;\"]*", r"\1 system-ui, sans-serif", text)
    # hundredths of a point are enough
    text = re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), text)
    colours = {**{colour: f"var({variable(of)})" for of, colour in COLOURS.items()}, INK: "currentColor",
               FAINT: "var(--faint)"}
    return re.sub("|".join(colours), lambda found: colours[found[0]], text).strip()

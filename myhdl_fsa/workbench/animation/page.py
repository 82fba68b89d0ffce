"""The animation as one HTML file that asks for nothing else."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.trace.contents import WORKS, CycleTrace
from myhdl_fsa.trace.file import header
from myhdl_fsa.workbench.animation import skeleton
from myhdl_fsa.workbench.animation.layout import COMPACT, FULL, layout, where
from myhdl_fsa.workbench.animation.palette import SIGNS, THEMES, Theme, tint
from myhdl_fsa.workbench.animation.timeline import span, surroundings, time_line
from myhdl_fsa.workbench.animation.words import FORMULAS
from myhdl_fsa.workbench.templates import template

__all__ = ["html"]

_SCRIPTS = ("values.js", "machine.js", "view.js", "sentences.js", "panel.js", "timeline.js", "player.js")
_PLAIN_BYTES = 32 << 10
"""larger data is compressed"""


def html(traces: Sequence[CycleTrace]) -> str:
    """A page with the machines of all traces, each from its first instruction on."""
    from markupsafe import Markup

    first = traces[0]
    title = f"FlashAttention in a {first.rows} x {first.columns} array: {' and '.join(one.dataflow for one in traces)}"
    shown = span(traces)
    markup = {
        "style": f"{_read('style.css')}\n{_colours()}",
        "machines": "\n".join(_machine(trace, traces) for trace in traces),
        "legend": "\n".join(_legend(traces)),
        "data": _data(traces),
        "script": "\n".join(map(_read, _SCRIPTS)),
    }
    page: str = template(__package__, "page.html", "player").render(
        title=title, summary=_summary(traces), first=shown.first, last=shown.last,
        **{name: Markup(text) for name, text in markup.items()})
    return page


def _read(name: str) -> str:
    return files(__package__).joinpath("player", name).read_text(encoding="utf-8")


def _summary(traces: Sequence[CycleTrace]) -> str:
    first, *others = traces
    if not others:
        return f"{first.cycles} cycles from the first instruction to the end."
    return " ".join(f"{other.dataflow} is done after {other.cycles} cycles, {first.dataflow} after {first.cycles}: "
                    f"{first.cycles / other.cycles:.2f} times as fast, with the same data." for other in others)


def _machine(trace: CycleTrace, traces: Sequence[CycleTrace]) -> str:
    line = time_line(trace, surroundings(traces))
    formats = "/".join(FloatFormat(*size).name for size in trace.formats.values() if not isinstance(size, int))
    return f"""<section class="machine" aria-label="{escape(trace.dataflow)}">
<div class="heading">
<h2>{escape(trace.dataflow)}, {trace.rows} x {trace.columns}, {formats}</h2>
<p class="now"><span class="cycle"></span> <span class="edge"></span></p>
<p class="utilisation">utilisation so far <meter min="0" max="1" aria-label="utilisation so far"></meter>
<span></span></p>
</div>
<div class="scroll">
{skeleton.array(trace, FULL, "wide")}
{skeleton.array(trace, COMPACT, "narrow")}
</div>
<div class="clock">
{skeleton.time(line, min(layout(trace, FULL).width, 1000), "wide")}
{skeleton.time(line, min(layout(trace, COMPACT).width, 400), "narrow")}
</div>
</section>"""


def _legend(traces: Sequence[CycleTrace]) -> Iterator[str]:
    met = {changes["work"] for trace in traces for frame in trace.frames for changes in frame.units.values()
           if "work" in changes}
    for work, meaning in WORKS.items():
        if work in met:
            yield (f'<li><span class="chip" data-work="{work}">{escape(SIGNS[work])}</span> '
                   f"{escape(meaning)}</li>")


def _data(traces: Sequence[CycleTrace]) -> str:
    """A script element with all that the player needs: plain JSON, or compressed."""
    content = {
        "traces": [{**header(trace), "frames": [asdict(frame) for frame in trace.frames],
                    "where": {unit.name: where(unit) for unit in trace.units}} for trace in traces],
        "works": dict(WORKS), "signs": dict(SIGNS), "formulas": FORMULAS,
    }
    text = json.dumps(content, separators=(",", ":"))
    if len(text) <= _PLAIN_BYTES:
        plain = text.replace("</", "<\\/")
        return f'<script id="data" type="application/json">{plain}</script>'
    packed = base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
    return f'<script id="data" type="application/gzip">{packed}</script>'


def _colours() -> str:
    """The style's variables for both themes: light, unless the reader or the reader's system wants dark."""
    light, dark = (";".join(_variables(THEMES[name])) for name in ("light", "dark"))
    works = "\n".join(f'[data-work="{work}"]{{--fill:var(--{work});--on:var(--{work}-ink)}}' for work in WORKS)
    return (f":root{{color-scheme:light;{light}}}\n"
            f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}\n"
            f":root[data-theme=dark]{{color-scheme:dark;{dark}}}\n{works}")


def _variables(theme: Theme) -> Iterator[str]:
    for name in ("ground", "panel", "ink", "muted", "line", "accent"):
        yield f"--{name}:{getattr(theme, name)}"
    for work in WORKS:
        fill, ink = tint(work, theme)
        yield f"--{work}:{fill};--{work}-ink:{ink}"

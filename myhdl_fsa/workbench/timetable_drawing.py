"""The drawings of docs/dataflows.md: the timetable of a dataflow as text, and those of both as SVG."""

from __future__ import annotations

from collections.abc import Iterator

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import iteration_cycles
from myhdl_fsa.workbench.animation.palette import THEMES, tint
from myhdl_fsa.workbench.dataflow_activity import (
    ACCUMULATORS,
    COMPARATORS,
    DOWN,
    LANE,
    LEFT_EDGE,
    UP,
    Activity,
    Work,
    pe_row,
    steady_state,
)

__all__ = ["svg", "text", "units"]


def units(config: Config) -> list[str]:
    """The rows of a drawing, from the top of the machine to its bottom."""
    array = [pe_row(row) for row in range(config.rows)]
    if config.dataflow == "fsa":
        return [LEFT_EDGE, COMPARATORS, *array, ACCUMULATORS]
    return [LEFT_EDGE, *array, COMPARATORS, LANE, ACCUMULATORS]


def text(config: Config) -> str:
    """One iteration in the steady state: a line a unit, a letter a cycle (``Work``), a dot for an idle one."""
    period = iteration_cycles(config)
    names = [*units(config), UP, DOWN]
    cells = {(item.unit, item.cycle): item for item in _visible(steady_state(config, 0, period))}
    width = max(map(len, names)) + 2
    tens = " ".join(str(cycle // 10) if cycle % 10 == 0 else " " for cycle in range(period))
    lines = [f"{'cycle':{width}}{tens}".rstrip(), " " * width + " ".join(str(cycle % 10) for cycle in range(period))]
    for name in names:
        row = [cells[name, cycle].work.value if (name, cycle) in cells else "." for cycle in range(period)]
        lines.append(f"{name:{width}}{' '.join(row)}")
    return "\n".join(lines) + "\n"


_CELL, _ROW, _LEFT, _MARGIN = 18, 20, 110, 14
"""pixels: a cycle's width, a unit's height, the units' names, and what is left free around all"""
_THEME = THEMES["light"]
_WORKS = {
    Work.SCORE: "score", Work.VALUE: "value", Work.SUBTRACT: "subtract", Work.SCALE: "scale", Work.EXP2: "exp2",
    Work.SUM: "sum", Work.QUERY: "load", Work.RETURN: "return", Work.MAXIMUM: "maximum",
}
_COLOURS = {work: tint(name, _THEME)[0] for work, name in _WORKS.items()}
"""those of the animation"""
_IDLE = tint("idle", _THEME)[0]
_MEANINGS = (
    (Work.SCORE, "S = Q K\u1d40, a key a cycle"), (Work.SUBTRACT, "S \u2212 max"),
    (Work.SCALE, "\u00b7 log2(e)/\u221ad"), (Work.EXP2, "P = 2^x"), (Work.SUM, "row sum"),
    (Work.VALUE, "P V, a row of V\u1d40 a cycle"), (Work.QUERY, "Q shifts in"),
    (Work.RETURN, "S goes back up"), (Work.MAXIMUM, "max goes back up"),
)
_STYLE = (".c{font-weight:bold;text-anchor:middle}.m{text-anchor:middle}"
          ".n{text-anchor:middle;font-size:9px;fill:#666}.t{font-size:14px;font-weight:bold}.p{opacity:.35}")
"""of letters in cells, text in the middle, numbers of cycles, titles, and what belongs to another tile"""
_FORMULAS = {"fsa": "5N+13", "stream": "2N+4"}


def svg(rows: int = 4) -> str:
    """The steady state of both dataflows, published and stream, one below the other in the same cycles.

    A cell is a cycle of a unit; one tile has full colours, those before and after it pale ones. An arrow in a PE's cell
    says which way the result leaves.
    """
    machines = [Config(rows=rows, dataflow=name) for name in ("fsa", "stream")]
    cycles = 1 + max(item.cycle for config in machines for item in steady_state(config, 0, 12 * rows + 40)
                     if item.tile == 0)
    width = 2 * _MARGIN + _LEFT + _CELL * cycles
    parts: list[str] = []
    y = _MARGIN
    for config in machines:
        parts += _panel(config, cycles, y)
        y += _ROW * (len(units(config)) + 4)
    parts += _legend(width, y)
    height = y + 2 * _ROW + _ROW // 2 + _MARGIN
    title = f"What an {rows} x {rows} array does in each cycle: fsa and stream"
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" font-family="DejaVu Sans, Verdana, sans-serif" font-size="11" fill="#222">')
    ground = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    lines = [head, f"<title>{title}</title>", f"<style>{_STYLE}</style>", ground, *parts, "</svg>"]
    return "\n".join(lines) + "\n"


def _panel(config: Config, cycles: int, top: int) -> Iterator[str]:
    """One dataflow: its title, its cycles, its units, and its iterations."""
    period, names = iteration_cycles(config), units(config)
    first, left = top + 2 * _ROW, _MARGIN + _LEFT
    bottom = first + _ROW * len(names)
    formula = _FORMULAS[config.dataflow]
    yield _text(_MARGIN, top + 14, f"{config.dataflow}: an iteration every {formula} = {period} cycles", "t")
    for cycle in range(0, cycles, 5):
        yield _text(left + _CELL * cycle + _CELL // 2, first - 5, str(cycle), "n")
    cells = {(item.unit, item.cycle): item for item in _visible(steady_state(config, 0, cycles))}
    for index, name in enumerate(names):
        y = first + _ROW * index
        yield _text(_MARGIN, y + 14, name)
        for cycle in range(cycles):
            x, item = left + _CELL * cycle, cells.get((name, cycle))
            if item is not None:
                yield from _cell(item, config, x, y)
            elif name.startswith("PE"):
                yield _box(x, y, _IDLE)
    for start in range(0, cycles, period):
        x, end = left + _CELL * start, left + _CELL * min(start + period, cycles)
        yield f'<path d="M{x} {first - 2}V{bottom + 12}" stroke="#222222" stroke-dasharray="3 3"/>'
        if start + period <= cycles:
            yield f'<path d="M{x + 3} {bottom + 8}H{end - 3}" stroke="#222222"/>'
            yield _text((x + end) // 2, bottom + 22, f"{period} cycles", "m")


def _cell(item: Activity, config: Config, x: int, y: int) -> Iterator[str]:
    """One activity: a box with its letter, and an arrow where a PE sends a result."""
    yield "<g>" if item.tile == 0 else '<g class="p">'
    yield _box(x, y, _COLOURS[item.work])
    way = _way(item, config)
    at = x + (_CELL // 2 if way is None else 6)
    yield _text(at, y + 14, item.work.value, "c")
    if way is not None:
        across = x + 13
        outline = {"up": f"M{across - 3} {y + 12}h6l-3-6z", "down": f"M{across - 3} {y + 7}h6l-3 6z",
                   "right": f"M{across - 2} {y + 6}v6l5-3z"}[way]
        yield f'<path d="{outline}" fill="#222"/>'
    yield "</g>"


def _way(item: Activity, config: Config) -> str | None:
    """Which way a PE's result leaves; None where it stays in the PE."""
    if not item.unit.startswith("PE"):
        return None
    if item.work is Work.SCORE:
        return "up" if config.dataflow == "fsa" else "down"
    return {Work.SUM: "down", Work.VALUE: "down", Work.QUERY: "right"}.get(item.work)


def _legend(width: int, top: int) -> Iterator[str]:
    """What letters and colours mean, in two lines."""
    x, y = _MARGIN, top
    shown = [(_COLOURS[work], work.value, meaning) for work, meaning in _MEANINGS]
    shown.append((_IDLE, "", "multiply-adder idle"))
    for colour, letter, meaning in shown:
        needed = _CELL + 24 + 6 * len(meaning)
        if x + needed > width:
            x, y = _MARGIN, y + _ROW + 4
        yield _box(x, y, colour)
        yield _text(x + _CELL // 2, y + 14, letter, "c")
        yield _text(x + _CELL + 5, y + 14, meaning)
        x += needed


def _box(x: int, y: int, fill: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{_CELL - 1}" height="{_ROW - 1}" rx="2" fill="{fill}"/>'


def _text(x: int, y: int, text: str, style: str = "") -> str:
    chosen = f' class="{style}"' if style else ""
    return f'<text x="{x}" y="{y}"{chosen}>{text}</text>'


def _visible(activities: list[Activity]) -> list[Activity]:
    """Sorted so that of two in one cell the last is that of a multiply-adder."""
    return sorted(activities, key=lambda item: item.work.multiplies)

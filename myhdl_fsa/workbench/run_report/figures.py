"""The figures of a report. Each has its numbers beside it in the page as a table, to which its title refers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from myhdl_fsa.engine import Stretch
from myhdl_fsa.engine.cycle_use import USES
from myhdl_fsa.workbench.run_report.contents import Histogram, MachineReport, Measured
from myhdl_fsa.workbench.run_report.intermediates import StepError
from myhdl_fsa.workbench.run_report.svg import COLOURS, FAINT, INK, draw

__all__ = ["along_the_run", "cycle_bars", "error_histogram", "roofline_plot", "step_errors"]

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH = 6.0
_POINTS = 180
"""columns of the run's course, at most: a longer run has several cycles in each"""
_IN_A_PART = 0.08
"""share from which on a part of a bar has room for its percentage"""


def error_histogram(measured: Measured, name: str, described_by: str) -> str:
    """Errors against both references."""
    def plot(axes: Axes) -> None:
        for label, found, colour, filled in (("against float64", measured.float64_histogram, "first", True),
                                             ("against torch", measured.torch_histogram, "second", False)):
            _stairs(axes, found, label, COLOURS[colour], filled)
        _decades(axes)
        axes.set_xlabel("absolute error of a value")
        axes.set_ylabel("values")
        axes.grid(axis="y")
        axes.legend()

    return draw(name, described_by, _WIDTH, 2.8, plot)


def _stairs(axes: Axes, found: Histogram, label: str, colour: str, filled: bool) -> None:
    # with a fill nothing but the colour differs, so the other one has an outline alone
    axes.stairs(found.counts, found.edges, label=label, color=colour, fill=filled, linewidth=1.6,
                alpha=0.75 if filled else 1.0)


def _decades(axes: Axes) -> None:
    """A logarithmic axis of powers of ten, written as text: setting formulas takes longer than all the rest."""
    superscripts = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"10{str(round(np.log10(value))).translate(superscripts)}")


def step_errors(steps: Sequence[StepError], name: str, described_by: str) -> str:
    """Mean and largest relative error of each intermediate."""
    def plot(axes: Axes) -> None:
        places = np.arange(len(steps))
        for label, values, colour, mark in (
            ("mean", [step.mean_relative for step in steps], "first", "o"),
            ("largest", [step.max_relative for step in steps], "second", "D"),
        ):
            shown = [value if value > 0 else np.nan for value in values]
            axes.plot(shown, places, mark, color=COLOURS[colour], label=label, markersize=5)
        axes.set_yticks(places, [step.name for step in steps])
        axes.set_ylim(len(steps) - 0.5, -0.5)
        if not any(step.max_relative > 0 for step in steps):  # NaN everywhere, or no error at all
            axes.set_xlim(1e-8, 1)
        _decades(axes)
        axes.set_xlabel("relative error")
        axes.grid()
        axes.legend()

    return draw(name, described_by, _WIDTH, 0.9 + 0.24 * len(steps), plot)


def cycle_bars(machines: Sequence[MachineReport], name: str, described_by: str) -> str:
    """A stacked bar for each run, to one scale."""
    def plot(axes: Axes) -> None:
        for row, machine in enumerate(machines):
            left = 0
            for part in () if machine.split is None else machine.split.parts:
                axes.barh(row, part.cycles, left=left, color=COLOURS[part.key], edgecolor=COLOURS[part.key],
                          linewidth=0.3, height=0.6)
                if part.share >= _IN_A_PART and len(machines) == 1:
                    axes.annotate(f"{100 * part.share:.0f} %", (left + part.cycles / 2, row + 0.36), ha="center",
                                  va="top", fontsize=9)
                left += part.cycles
        axes.set_yticks(range(len(machines)), [machine.dataflow for machine in machines])
        axes.set_ylim(len(machines) - 0.5 + 0.1 * (len(machines) == 1), -0.45)
        axes.set_xlabel("cycles")
        axes.margins(x=0)

    return draw(name, described_by, _WIDTH, 0.75 + 0.45 * len(machines), plot)


def along_the_run(stretches: Sequence[Stretch], name: str, described_by: str) -> str:
    """What the cycles are used for from the first to the last."""
    first, last = stretches[0].first, stretches[-1].last
    count = min(_POINTS, last + 1 - first)
    edges = np.linspace(first, last + 1, count + 1)
    shares = np.zeros((len(USES), count))
    for stretch in stretches:
        overlap = np.minimum(edges[1:], stretch.last + 1) - np.maximum(edges[:-1], stretch.first)
        shares[USES.index(stretch.use)] += np.maximum(overlap, 0)
    shares *= 100 * count / (last + 1 - first)

    def plot(axes: Axes) -> None:
        below = np.zeros(count)
        for use, share in zip(USES, shares, strict=True):
            if share.any():
                axes.stairs(below + share, edges - first, baseline=below, fill=True, color=COLOURS[use], linewidth=0)
            below = below + share
        axes.set_xlabel("cycle of the run")
        axes.set_ylabel("% of cycles")
        axes.margins(0)

    return draw(name, described_by, _WIDTH, 2.0, plot)


def roofline_plot(machines: Sequence[MachineReport], name: str, described_by: str) -> str:
    """The roofs of the array and of the memory, and the runs below them."""
    lines = [(machine.dataflow, machine.roofline) for machine in machines if machine.roofline is not None]

    def plot(axes: Axes) -> None:
        # around the runs and the ridge, from which on the memory is fast enough
        shown = [x for _, line in lines for x in (line.intensity, line.peak / float(line.bandwidth))]
        low, high = min(shown) / 4, max(shown) * 4
        x = np.geomspace(low, high, 200)
        for number, (dataflow, line) in enumerate(lines):
            colour = COLOURS[("first", "second", "third")[number % 3]]
            if number == 0:
                axes.plot(x, np.minimum(x * float(line.bandwidth), line.peak), color=INK, linewidth=1.4)
                axes.annotate("all multiply-adders", (high, line.peak), ha="right", va="bottom", fontsize=9)
            axes.axhline(line.steady, color=colour, linewidth=1, linestyle="--",
                         label=f"{dataflow}: its inner iteration")
            axes.plot(line.intensity, line.achieved, "oD^"[number % 3], color=colour, label=f"{dataflow}: the run",
                      markersize=8)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        for side in (axes.xaxis, axes.yaxis):
            side.set_major_formatter("{x:g}")
        axes.minorticks_off()
        axes.set_ylim(bottom=min(min(line.achieved, low * float(line.bandwidth)) for _, line in lines) / 2)
        axes.set_xlabel(f"operations a byte of {lines[0][1].direction}")
        axes.set_ylabel("operations a cycle")
        axes.grid(color=FAINT)
        axes.legend(loc="lower right", fontsize=9)

    return draw(name, described_by, _WIDTH, 3.2, plot)



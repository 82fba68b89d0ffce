"""One attention problem in several dataflows: their figures side by side, and whether they give the same bits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from myhdl_fsa.arithmetic.formats import Bits, FloatFormat
from myhdl_fsa.config import Config
from myhdl_fsa.engine import EngineResult
from myhdl_fsa.tiling import AttentionShape
from myhdl_fsa.workbench import report
from myhdl_fsa.workbench.record import RunRecord

__all__ = ["DataflowComparison", "DataflowRun"]

_COUNTERS = ("matrix_bubble", "matrix_active", "dma_active")


@dataclass(frozen=True)
class DataflowRun:
    """What one dataflow gave."""

    dataflow: str
    result: EngineResult
    """of an engine with a clock"""
    utilisation: float
    """of the multipliers by the matrix products, 0 to 1"""

    @property
    def cycles(self) -> int:
        """As EngineResult."""
        assert self.result.cycles is not None
        return self.result.cycles


@dataclass(frozen=True)
class DataflowComparison:
    """Runs of the same tensors, two or more, and what the golden model makes of them."""

    runs: Sequence[DataflowRun]
    golden: Bits
    """acc patterns, in the result's shape"""
    acc: FloatFormat

    @property
    def equal(self) -> bool:
        """Whether all bits of all runs are the golden model's."""
        return all(report.compare(run.result.output, self.golden).first is None for run in self.runs)

    def speedup(self, run: DataflowRun) -> float:
        """The first run's cycles over this one's."""
        return self.runs[0].cycles / run.cycles

    def table(self) -> Iterator[str]:
        """The figures, a line each and a column a dataflow; what no run has is left out."""
        rows = [("", [run.dataflow for run in self.runs]), ("Cycles", [str(run.cycles) for run in self.runs])]
        iterations = [run.result.inner_iteration_cycles for run in self.runs]
        if None not in iterations:
            rows.append(("Cycles per inner iteration", [f"{cycles:.1f}" for cycles in iterations]))
        rows.append(("Matmul utilisation", [f"{100 * run.utilisation:.1f} %" for run in self.runs]))
        counters = [run.result.counters.to_dict() for run in self.runs if run.result.counters is not None]
        if len(counters) == len(self.runs):
            rows += [(report.counter_title(name), [str(values[name]) for values in counters]) for name in _COUNTERS]
        rows.append((f"Speedup over {self.runs[0].dataflow}", [f"{self.speedup(run):.2f}" for run in self.runs]))
        first = max(len(name) for name, _ in rows)
        width = max(len(cell) for _, cells in rows for cell in cells)
        for name, cells in rows:
            yield f"{name:{first}}" + "".join(f"  {cell:>{width}}" for cell in cells)

    def verdict(self) -> Iterator[str]:
        """That all bits are equal, in one line; or which run differs from the golden model or the first run, and where.

        The first line names a difference, if there is one.
        """
        names = ", ".join(run.dataflow for run in self.runs)
        if self.equal:
            yield f"{names} and the golden model are equal bit for bit ({self.golden.size} values)"
            return
        first = self.runs[0]
        pairs = [(run, "golden", self.golden) for run in self.runs]
        pairs += [(run, first.dataflow, first.result.output) for run in self.runs[1:]]
        compared = [(run, name, bits, report.compare(run.result.output, bits)) for run, name, bits in pairs]
        for run, name, bits, found in sorted(compared, key=lambda pair: pair[-1].first is None):
            yield report.comparison_line(found, run.result.output, bits, self.acc, run.dataflow, name)

    def document(
        self, config: Config, engine: str, shape: AttentionShape, scale: float | None, poor_reciprocals: int | None,
        record: RunRecord,
    ) -> bytes:
        """The JSON, UTF-8: the figures of ``table`` by dataflow, unrounded.

        ``config`` is the configuration given; with ``dataflow`` replaced, as ``Config.replace`` does, it is that of a
        run. ``scale`` None is that of the head dimension; ``counters`` are there when the device ran.
        """
        figures: dict[str, dict[str, Any]] = {}
        for run in self.runs:
            result = run.result
            figures[run.dataflow] = {
                "cycles": run.cycles,
                "inner_iteration_cycles": result.inner_iteration_cycles,
                "utilisation": run.utilisation,
                "speedup": self.speedup(run),
                "bit_exact": report.compare(result.output, self.golden).first is None,
            }
            if result.counters is not None:
                figures[run.dataflow]["counters"] = result.counters.to_dict()
        return report.to_json({
            "config": config.to_dict(), "engine": engine, **report.problem(shape, scale),
            "reciprocal": config.reciprocal, "dataflows": figures, "bit_exact": self.equal,
            "poor_reciprocals": poor_reciprocals, "run": record.to_dict(),
        })

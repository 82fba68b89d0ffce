"""What a report says, as data: ``report`` gathers it from a run's results, and knows nothing of how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myhdl_fsa.config import Config
from myhdl_fsa.engine import EngineResult, Wait
from myhdl_fsa.engine.cycle_use import waiting_cycles
from myhdl_fsa.isa import Function, Instruction, Matrix
from myhdl_fsa.program import Timing
from myhdl_fsa.tiling import AttentionShape
from myhdl_fsa.workbench.metrics import Errors, error_metrics
from myhdl_fsa.workbench.record import RunRecord
from myhdl_fsa.workbench.run_report.cycle_split import CycleSplit, cycle_split
from myhdl_fsa.workbench.run_report.intermediates import IntermediateErrors
from myhdl_fsa.workbench.run_report.roofline import Roofline, roofline

__all__ = ["Histogram", "LongWait", "MachineReport", "Measured", "RunReport", "histogram", "machine_report", "measured"]

_LONGEST = 8
"""waits that are listed"""


@dataclass(frozen=True)
class Histogram:
    """Absolute errors by size: ``counts[i]`` of them from ``edges[i]`` on, below ``edges[i + 1]``."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    zero: int
    """no error at all"""
    not_finite: int


@dataclass(frozen=True)
class Measured:
    """A result against its two references."""

    name: str
    """whose result: ``FSA``, ``golden``, or dataflows"""
    torch: Errors
    float64: Errors
    torch_histogram: Histogram
    float64_histogram: Histogram


@dataclass(frozen=True)
class LongWait:
    """A wait, with its instruction's name; empty behind the last instruction."""

    wait: Wait
    function: str


@dataclass(frozen=True)
class MachineReport:
    """One dataflow's run."""

    dataflow: str
    result: EngineResult
    utilisation: float | None
    bit_exact: bool | None
    """whether the result is the golden model's; None where that was not asked"""
    split: CycleSplit | None
    """None without a clock"""
    waiting: Mapping[str, int] | None
    """cycles by cause; None where nothing inside was seen"""
    longest: tuple[LongWait, ...]
    roofline: Roofline | None
    """of a run on the device"""


@dataclass(frozen=True)
class RunReport:
    """All that a page shows."""

    config_name: str
    config: Config
    engine: str
    top: str
    shape: AttentionShape
    scale: float
    command: str
    record: RunRecord
    machines: Sequence[MachineReport]
    """one, or those that are compared"""
    measured: Sequence[Measured]
    intermediates: IntermediateErrors
    traced_equal: bool
    """whether the result has the bits that the intermediates lead to"""


def histogram(result: npt.NDArray[np.float32], reference: npt.NDArray[np.floating]) -> Histogram:
    """Of the absolute errors, in float64; four bins a decade, over whole decades."""
    error = np.abs(result.astype(np.float64) - reference.astype(np.float64)).ravel()
    finite = error[np.isfinite(error)]
    sizes = np.log10(finite[finite > 0])
    low, high = (int(np.floor(sizes.min())), int(np.floor(sizes.max())) + 1) if sizes.size else (-8, -5)
    bins = 4 * (high - low)
    counts, edges = np.histogram(sizes, bins=bins, range=(low, high))
    return Histogram(tuple((10.0**edges).tolist()), tuple(counts.tolist()), int((finite == 0).sum()),
                     error.size - finite.size)


def measured(
    name: str, result: npt.NDArray[np.float32], torch: npt.NDArray[np.floating], float64: npt.NDArray[np.floating]
) -> Measured:
    """A result of this name against what torch and float64 make of it, three arrays of one shape."""
    return Measured(name, error_metrics(result, torch), error_metrics(result, float64), histogram(result, torch),
                    histogram(result, float64))


def machine_report(
    config: Config, instructions: Sequence[Instruction], result: EngineResult, utilisation: float | None,
    bit_exact: bool | None, timing: Timing | None,
) -> MachineReport:
    """Of one run; ``timing`` is that of the device's memory, None of a run without one."""
    if result.cycles is None or utilisation is None:
        return MachineReport(config.dataflow, result, None, bit_exact, None, None, (), None)
    names = [Function(item.function).name for item in instructions if isinstance(item, Matrix)]
    by_length = sorted(result.waits or (), key=lambda wait: (-wait.cycles, wait.first))
    longest = tuple(LongWait(wait, names[wait.instruction] if wait.instruction < len(names) else "")
                    for wait in by_length[:_LONGEST])
    return MachineReport(
        config.dataflow, result, utilisation, bit_exact, cycle_split(config, instructions, result),
        None if result.waits is None else waiting_cycles(result.waits), longest,
        None if timing is None else roofline(config, instructions, timing, utilisation, result.cycles))

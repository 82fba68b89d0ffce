"""``fsa-sim --report``: what the run gave becomes a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.cli.command import command_written, spelled
from myhdl_fsa.cli.common import write_output
from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.config import Config
from myhdl_fsa.engine import EngineResult
from myhdl_fsa.isa import Instruction
from myhdl_fsa.kernel.context import Kernel
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.workbench.metrics import to_float32
from myhdl_fsa.workbench.record import RunRecord
from myhdl_fsa.workbench.run_report.contents import RunReport, machine_report, measured
from myhdl_fsa.workbench.run_report.intermediates import intermediate_errors
from myhdl_fsa.workbench.run_report.page import html
from myhdl_fsa.workbench.workload import Workload

__all__ = ["Run", "write_report"]


@dataclass(frozen=True)
class Run:
    """One run of attention that has ended."""

    config: Config
    result: EngineResult
    kernel: Kernel | None
    """the program, where it has been written already"""
    utilisation: float | None
    bit_exact: bool | None
    """whether it equals the golden model; None where that was not asked"""


def write_report(
    options: Options, config: Config, work: Workload, runs: Sequence[Run], outputs: Mapping[str, Bits],
    references: tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]], record: RunRecord,
) -> None:
    """Writes the page of one run, or of those of several dataflows.

    ``outputs`` are acc patterns by the names that they have in lines and JSON; ``references`` torch's and float64's
    result. Raises click.ClickException of one line.
    """
    shape = work.shape(options.causal)
    found = intermediate_errors(work, config, options.causal, options.scale)
    traced = [bits.reshape(-1, *bits.shape[-2:])[0][: found.queries] for bits in outputs.values()]
    timing = options.simulated_timing
    write_output(spelled("--report"), options.report, html(RunReport(
        config_name=options.config,
        config=config,
        engine=options.engine_used,
        top=options.top,
        shape=shape,
        scale=1 / math.sqrt(shape.head_dim) if options.scale is None else options.scale,
        command=command_written(leave_out="--report"),
        record=record,
        machines=[machine_report(run.config, _instructions(options, work, run), run.result, run.utilisation,
                                 run.bit_exact, timing) for run in runs],
        measured=[measured(name, to_float32(bits, config.acc), *references) for name, bits in _distinct(outputs)],
        intermediates=found,
        traced_equal=all(np.array_equal(bits, found.output) for bits in traced),
    )))


def _instructions(options: Options, work: Workload, run: Run) -> Sequence[Instruction]:
    """Those of a run with a clock."""
    if run.result.cycles is None:
        return ()
    kernel = run.kernel or attention_kernel(work.q, work.k, work.v, run.config, options.causal, options.scale)
    return kernel.instructions


def _distinct(outputs: Mapping[str, Bits]) -> list[tuple[str, Bits]]:
    """Each output once, with the names of all that have its bits."""
    found: list[tuple[str, Bits]] = []
    for name, bits in outputs.items():
        same = next((index for index, (_, other) in enumerate(found) if np.array_equal(bits, other)), None)
        if same is None:
            found.append((name, bits))
        else:
            found[same] = (f"{found[same][0]}, {name}", bits)
    return found

"""``fsa-sim --compare``: the same tensors in several dataflows, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli.attention import (
    count_poor,
    kernel_of,
    recorded_sizes,
    references_of,
    simulated,
    tensors_record,
    workload,
)
from myhdl_fsa.cli.command import spelled
from myhdl_fsa.cli.common import write_output
from myhdl_fsa.cli.outputs import Recorder, say
from myhdl_fsa.cli.recordings import write_recorded
from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.config import Config
from myhdl_fsa.engine import RunError, engine
from myhdl_fsa.workbench import metrics, report
from myhdl_fsa.workbench.dataflow_comparison import DataflowComparison, DataflowRun

__all__ = ["run_comparison"]

if TYPE_CHECKING:
    from myhdl_fsa.kernel.context import Kernel


def run_comparison(options: Options, config: Config, machines: Sequence[Config], recorder: Recorder) -> int:
    """Runs attention on each of ``machines``, which are ``config`` with other dataflows.

    Gives the exit status; raises click.ClickException of one line.
    """
    work = workload(options, config)
    kernels: dict[str, Kernel | None] = {machine.dataflow: kernel_of(options, machine, work) for machine in machines}
    runs = []
    for machine in machines:
        try:
            result = simulated(options, machine, work)
        except RunError as error:
            raise click.ClickException(f"{machine.dataflow}: {error}") from None
        assert result.cycles is not None
        runs.append(DataflowRun(machine.dataflow, result, metrics.utilisation(
            machine, work.shape(options.causal), result.cycles)))
    golden = engine("golden").attention(work.q, work.k, work.v, config, causal=options.causal, scale=options.scale)
    poor = count_poor(options, config, work, golden)
    compared = DataflowComparison(runs, golden.output, config.acc)
    verdict = list(compared.verdict())
    say(options, [*compared.table(), *verdict])
    write_recorded(options, [run.result.recorded for run in runs])
    if options.keeps_record:
        words = {name: kernel.words for name, kernel in kernels.items() if kernel is not None}
        record = recorder.record(words or None, tensors_record(options, work), recorded_sizes(work))
    if options.json is not None:
        write_output(spelled("--json"), options.json, compared.document(
            config, options.engine_used, work.shape(options.causal), options.scale, poor, record))
    if options.report is not None:
        from myhdl_fsa.cli.report import Run, write_report

        ended = [Run(machine, run.result, kernels[machine.dataflow], run.utilisation,
                     report.compare(run.result.output, golden.output).first is None)
                 for machine, run in zip(machines, runs, strict=True)]
        write_report(options, config, work, ended, {run.dataflow: run.result.output for run in runs},
                     references_of(options, config, work), record)
    if compared.equal:
        return 0
    if not options.prints:
        raise click.ClickException(verdict[0])
    return 1

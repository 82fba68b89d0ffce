"""``fsa-sim --program``: runs words from a file, compares with the golden model, and writes what memory holds then."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from myhdl_fsa.cli.command import spelled
from myhdl_fsa.cli.common import write_output
from myhdl_fsa.cli.device import read_program
from myhdl_fsa.cli.outputs import Recorder, messages, say, warn, waveform
from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.config import Config
from myhdl_fsa.engine import RunError, engine
from myhdl_fsa.program import Execution, Program, State, error_message
from myhdl_fsa.workbench import report

__all__ = ["MAX_FINDINGS", "run_program"]

if TYPE_CHECKING:
    from myhdl_fsa.sims.lockstep import LockstepReport
    from myhdl_fsa.workbench.stored_memory import MemoryComparison

MAX_FINDINGS = 10
"""of the checker, printed at most"""


def run_program(options: Options, config: Config, recorder: Recorder) -> int:
    """Runs ``--program``. Gives the exit status; raises click.ClickException of one line."""
    from myhdl_fsa.kernel.assembly import disassemble

    assert options.program is not None
    program = read_program(options.program, options.load, options.dump, config, options.scale)
    write_output(spelled("--dump-asm"), options.dump_asm, disassemble(program.words).encode())
    _warn_of_findings(options, config, program)
    try:
        stepped = None if options.lockstep is None else _lockstep(options, config, program)
        execution, comparison = _compared(options, config, program) if options.diff else (
            _execute(options, config, program), None)
    except RunError as error:
        raise click.ClickException(str(error)) from None
    for dump, data in zip(options.dump, execution.outputs, strict=False):  # --diff has more of memory after them
        write_output("--dump", dump.path, data)
    if options.json is not None:
        write_output(spelled("--json"), options.json, report.program_document(
            config=config, engine=options.engine_used, execution=execution, comparison=comparison,
            lockstep=None if stepped is None else asdict(stepped), run=recorder.record(program.words),
        ))
    say(options, [] if stepped is None else [str(stepped)])
    say(options, report.counter_lines(execution.counters))
    say(options, [] if comparison is None else [str(comparison)])
    if execution.state is not State.DONE:
        raise click.ClickException(error_message(execution))
    say(options, [f"Program done: {len(program.words)} instruction words"])
    if comparison is None or comparison.equal:
        return 0
    if not options.prints:
        raise click.ClickException(str(comparison))
    return 1


def _warn_of_findings(options: Options, config: Config, program: Program) -> None:
    from myhdl_fsa.kernel.checker import check

    findings = check(program.words, config)
    for finding in findings[:MAX_FINDINGS]:
        warn(options, finding.text)
    if len(findings) > MAX_FINDINGS:
        warn(options, f"and {len(findings) - MAX_FINDINGS} more like these")


def _lockstep(options: Options, config: Config, program: Program) -> LockstepReport:
    from myhdl_fsa.sims.lockstep import device_lockstep

    return device_lockstep(options.lockstep or "", [program], config, timing=options.timing,
                           build_dir=options.build_dir, max_cycles=options.max_cycles, message=messages(options))


def _execute(options: Options, config: Config, program: Program) -> Execution:
    with ExitStack() as stack:
        vcd = waveform(options, config, "accelerator", stack)
        progress = stack.enter_context(report.progress_bar(not options.quiet))
        return engine(options.engine_used, options.build_dir).execute(
            program, config, timing=options.timing, vcd=vcd, max_cycles=options.max_cycles, progress=progress,
            wave_from=options.wave_from or 0, wave_to=options.wave_to,
            message=messages(options),
        )


def _compared(options: Options, config: Config, program: Program) -> tuple[Execution, MemoryComparison]:
    """The run, and its comparison with the golden model's in all that --dump names or the program stores."""
    from myhdl_fsa.workbench.stored_memory import compare_memory, stored_regions, union

    regions = union([*program.outputs, *stored_regions(program.words, config)])
    wider = replace(program, outputs=(*program.outputs, *regions))
    try:
        golden = engine("golden").execute(wider, config)
    except RunError as error:
        raise RunError(f"--diff: the golden model cannot run this program: {error}") from None
    execution = _execute(options, config, wider)
    first = len(program.outputs)
    return execution, compare_memory(regions, execution, execution.outputs[first:], golden, golden.outputs[first:])

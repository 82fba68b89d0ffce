"""``fsa-sim``'s run of attention: its tensors, the engines, what is said of the result, and the files it leaves."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.cli.command import said, spelled
from myhdl_fsa.cli.common import write_output
from myhdl_fsa.cli.device import usable_scale
from myhdl_fsa.cli.outputs import Recorder, messages, say, warn, waveform
from myhdl_fsa.cli.recordings import write_recorded
from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.config import Config
from myhdl_fsa.engine import AttentionRequest, Engine, EngineResult, RunError, Watch, engine
from myhdl_fsa.isa import Dma
from myhdl_fsa.tiling import AttentionShape, tile_pairs, tiles
from myhdl_fsa.workbench import metrics, report
from myhdl_fsa.workbench.workload import (
    MAX_PRINTED,
    MAX_TILE_PAIRS,
    Workload,
    WorkloadError,
    default_seq,
    generate,
    load,
)

__all__ = [
    "count_poor",
    "kernel_of",
    "recorded_sizes",
    "references_of",
    "run_attention",
    "simulated",
    "tensors_record",
    "workload",
]

if TYPE_CHECKING:
    from myhdl_fsa.kernel.context import Kernel
    from myhdl_fsa.sims.lockstep import LockstepReport


@dataclass(frozen=True)
class _Outcome:
    """What the engines gave."""

    name: str
    """what the published lines call the engine: ``FSA``, or ``golden`` where the golden model ran alone"""
    kernel: Kernel | None
    """the program, where it was wanted"""
    stepped: LockstepReport | None
    result: EngineResult
    golden: EngineResult | None
    """what ``result`` is compared with"""

    @property
    def implementations(self) -> dict[str, Bits]:
        """The outputs whose errors are measured, by the names that the published lines have for them."""
        outputs = {self.name: self.result.output}
        return outputs if self.golden is None else {**outputs, "golden": self.golden.output}


def run_attention(options: Options, config: Config, recorder: Recorder, machine: Engine | None = None) -> int:
    """Runs attention as the options say, on ``machine`` where that is none of the engines known by name.

    Gives the exit status; raises click.ClickException of one line.
    """
    work = workload(options, config)
    kernel = kernel_of(options, config, work)
    try:
        stepped = None if options.lockstep is None else _lockstep(options, config, work, kernel)
        if kernel is not None and options.dump_asm is not None:
            write_output(spelled("--dump-asm"), options.dump_asm, _assembly(options, kernel).encode())
        result = simulated(options, config, work, machine)
        golden = engine("golden").attention(
            work.q, work.k, work.v, config, causal=options.causal, scale=options.scale, trace=options.diff_verbose
        ) if options.compares else None
    except RunError as error:
        raise click.ClickException(str(error)) from None
    name = "golden" if options.engine_used == "golden" else "FSA"
    return _report(options, config, work, recorder, _Outcome(name, kernel, stepped, result, golden))


def _assembly(options: Options, kernel: Kernel) -> str:
    """The program as text; no instruction writes the scale registers, so a comment says what they must hold."""
    from myhdl_fsa.kernel.assembly import disassemble

    assert kernel.attention is not None
    scale = 1 / math.sqrt(kernel.attention.head_dim) if options.scale is None else options.scale
    return ("" if kernel.scale is None else f"# runs with --scale {scale!r}\n") + disassemble(kernel.words)


def workload(options: Options, config: Config) -> Workload:
    """The tensors of the command line, with a warning of those that are not finite. Raises click.UsageError."""
    work = _workload(options, config)
    shape = work.shape(options.causal)
    usable_scale(config, options.scale, shape.head_dim)
    _check_size(options, config, shape)
    if work.not_finite.count:
        warn(options, work.not_finite.warning(config.elem))
    return work


def _workload(options: Options, config: Config) -> Workload:
    try:
        if options.q is None or options.k is None or options.v is None:
            seq_q = default_seq(config) if options.seq_q is None else options.seq_q
            seq_kv = default_seq(config) if options.seq_kv is None else options.seq_kv
            return generate(config, seq_q, seq_kv, options.seed, options.distribution, batch=options.batch,
                            heads=options.heads, kv_heads=options.kv_heads, head_dim=options.head_dim)
        work = load(config, options.q, options.k, options.v)
    except WorkloadError as error:
        raise click.UsageError(f"{spelled(error.option)} {error}") from None
    shape = work.shape()
    for option, wanted in (("--batch", options.batch), ("--heads", options.heads), ("--kv-heads", options.kv_heads)):
        if wanted is not None and not shape.stacked:
            raise click.UsageError(f"{said(option)}: the files are [seq, d]: leave it out, or give files of "
                                   "[batch, heads, seq, d]")
    for option, wanted, found, counted in (
        ("--seq-q", options.seq_q, shape.seq_q, "rows"), ("--seq-kv", options.seq_kv, shape.seq_kv, "rows"),
        ("--batch", options.batch, shape.batch, "problems"), ("--heads", options.heads, shape.heads, "query heads"),
        ("--kv-heads", options.kv_heads, shape.kv_heads, "heads of K and V"),
        ("--head-dim", options.head_dim, shape.head_dim, "columns"),
    ):
        if wanted is not None and wanted != found:
            raise click.UsageError(f"{said(option)}: the files have {found} {counted}: leave it out, or give {found}")
    return work


def _check_size(options: Options, config: Config, shape: AttentionShape) -> None:
    """Raises click.UsageError for a run that memory would not hold.

    Of what is printed in full, of a program that would be too long to write, or of one whose strides the DMA cannot
    take.
    """
    scores = shape.query_heads * shape.seq_q * shape.seq_kv
    if options.diff_verbose and scores > MAX_PRINTED:
        raise click.UsageError(f"{said('--diff-verbose')}: {scores} scores: must be at most {MAX_PRINTED}")
    if options.engine_used == "golden" and options.lockstep is None and options.dump_asm is None:
        return
    n = config.rows
    query_tiles, kv_tiles = tiles(shape.seq_q, n), tiles(shape.seq_kv, n)
    pairs = shape.query_heads * tile_pairs(query_tiles, kv_tiles, shape.causal)
    if pairs > MAX_TILE_PAIRS:
        sizes = [f"--seq-q {shape.seq_q}", f"--seq-kv {shape.seq_kv}"]
        sizes += [f"--batch {shape.batch}", f"--heads {shape.heads}"] if shape.stacked else []
        raise click.UsageError(f"{' '.join(sizes)}: {pairs} pairs of tiles: must be at most {MAX_TILE_PAIRS}, unless "
                               "--engine golden runs alone")
    if options.top == "core":
        return
    # O^T and V^T have a column for each row of a tile
    for option, length, columns, fmt in (("--seq-q", shape.seq_q, shape.query_heads * query_tiles * n, config.acc),
                                         ("--seq-kv", shape.seq_kv, shape.key_heads * kv_tiles * n, config.elem)):
        most = Dma.LAYOUT["memory_stride"].allowed[-1] * 8 // fmt.width
        if columns > most:
            raise click.UsageError(f"{option} {length}: {columns} rows in the tiles of all heads: must be at most "
                                   f"{most} for the DMA: --top core has no such limit")


def kernel_of(options: Options, config: Config, work: Workload) -> Kernel | None:
    """Attention as a program, where one is asked for, compared or recorded.

    Raises click.ClickException for tensors that memory does not hold.
    """
    recorded = options.runs_device and (options.lockstep is not None or options.keeps_record)
    if not recorded and options.dump_asm is None:
        return None
    from myhdl_fsa.kernel.errors import KernelError
    from myhdl_fsa.kernel.flash_attention import attention_kernel

    try:
        return attention_kernel(work.q, work.k, work.v, config, options.causal, options.scale)
    except KernelError as error:
        raise click.ClickException(str(error)) from None


def _lockstep(options: Options, config: Config, work: Workload, kernel: Kernel | None) -> LockstepReport:
    from myhdl_fsa.sims.lockstep import device_lockstep, lockstep

    simulator = options.lockstep or ""
    if kernel is not None:
        return device_lockstep(simulator, [kernel.program()], config, timing=options.timing,
                               build_dir=options.build_dir, max_cycles=options.max_cycles, message=messages(options))
    return lockstep(simulator, work.q, work.k, work.v, config, causal=options.causal, scale=options.scale,
                    build_dir=options.build_dir, max_cycles=options.max_cycles, message=messages(options))


def simulated(options: Options, config: Config, work: Workload, machine: Engine | None = None) -> EngineResult:
    """What the engine gives. Raises RunError, and click.ClickException for tensors that memory does not hold."""
    from myhdl_fsa.kernel.errors import KernelError

    if machine is None:
        machine = engine(options.engine_used, options.build_dir)
    with ExitStack() as stack:
        vcd = waveform(options, config, options.top, stack)
        progress = stack.enter_context(report.progress_bar(not options.quiet, options.counted))
        request = AttentionRequest(work.q, work.k, work.v, config, options.causal, options.top, options.timing,
                                   options.scale)
        try:
            return machine.run_attention(request, Watch(
                options.diff_verbose, vcd, options.max_cycles, progress, options.wave_from or 0, options.wave_to,
                messages(options), record=options.records, waits=options.report is not None))
        except KernelError as error:  # tensors that memory does not hold
            raise click.ClickException(str(error)) from None


def _report(options: Options, config: Config, work: Workload, recorder: Recorder, outcome: _Outcome) -> int:
    """Prints and writes what came out. Gives the exit status."""
    result, golden, stepped = outcome.result, outcome.golden, outcome.stepped
    utilisation = None
    if result.cycles is not None:
        utilisation = metrics.utilisation(config, work.shape(options.causal), result.cycles)
    verdict = mismatch = None
    if golden is not None:
        comparison = report.compare(result.output, golden.output)
        verdict = report.comparison_line(comparison, result.output, golden.output, config.acc)
        mismatch = None if comparison.first is None else verdict
    poor = count_poor(options, config, work, golden or result)
    if options.prints or options.keeps_record:  # torch takes a second to import
        references = references_of(options, config, work)
        torch_errors, float64_errors = (
            {name: metrics.error_metrics(metrics.to_float32(bits, config.acc), reference)
             for name, bits in outcome.implementations.items()} for reference in references)
    if options.prints:
        if options.diff_verbose:
            say(options, _matrices(config, result, golden))
        say(options, (report.error_line(name, values) for name, values in torch_errors.items()))
        say(options, [] if stepped is None else [str(stepped)])
        say(options, [] if verdict is None else [verdict])
        say(options, (report.error_line(name, values, "float64") for name, values in float64_errors.items()))
        if result.cycles is not None and utilisation is not None:
            say(options, report.cycle_lines(result.cycles, result.inner_iteration_cycles, utilisation))
        say(options, report.counter_lines(result.counters))
        say(options, report.transfer_lines(result.transfers))
    write_recorded(options, [result.recorded])
    if options.out is not None:
        write_output(spelled("--out"), options.out, _npy(metrics.to_float32(result.output, config.acc)))
    if options.keeps_record:
        record = recorder.record(None if outcome.kernel is None else outcome.kernel.words,
                                 tensors_record(options, work), recorded_sizes(work))
    if options.json is not None:
        write_output(spelled("--json"), options.json, report.json_document(
            config=config,
            engine=options.engine_used,
            shape=work.shape(options.causal),
            scale=options.scale,
            cycles=result.cycles,
            inner_iteration_cycles=result.inner_iteration_cycles,
            utilisation=utilisation,
            bit_exact=None if golden is None else mismatch is None,
            poor_reciprocals=poor,
            lockstep=None if stepped is None else asdict(stepped),
            counters=None if result.counters is None else result.counters.to_dict(),
            transfers=result.transfers,
            errors=torch_errors,
            errors_float64=float64_errors,
            run=record,
        ))
    if options.report is not None:
        from myhdl_fsa.cli.report import Run, write_report

        bit_exact = None if golden is None else mismatch is None
        write_report(options, config, work, [Run(config, result, outcome.kernel, utilisation, bit_exact)],
                     outcome.implementations, references, record)
    if mismatch is not None and not options.prints:
        raise click.ClickException(mismatch)
    return 0 if mismatch is None else 1


def references_of(
    options: Options, config: Config, work: Workload
) -> tuple[npt.NDArray[np.floating[Any]], npt.NDArray[np.floating[Any]]]:
    """What torch makes of the tensors in the input format, and what float64 does."""
    return (metrics.torch_attention(work, config.elem, options.causal, options.scale),
            metrics.float64_attention(work, config.elem, options.causal, options.scale))


def count_poor(options: Options, config: Config, work: Workload, result: EngineResult) -> int | None:
    """Rows of the result whose reciprocal is of no use, with a warning if there are any; None where nobody asks.

    ``result`` may know: what the golden model gave.
    """
    if config.reciprocal == "division":
        return 0
    if options.quiet and options.json is None:
        return None
    poor = result.poor_reciprocals
    if poor is None:
        from myhdl_fsa import golden

        poor = golden.evaluate(work.q, work.k, work.v, config, options.causal, scale=options.scale,
                               workers=None).poor_reciprocals
    if poor:
        shape = work.shape()
        warn(options, f"{poor} of {shape.query_heads * shape.seq_q} rows of the result have a reciprocal that is of no "
                      "use, as newton's is just below a power of two: --reciprocal division is right for all")
    return poor


def recorded_sizes(work: Workload) -> dict[str, str]:
    """The options that say the tensors' sizes, for the run's record."""
    shape = work.shape()
    sizes = {"--seq-q": shape.seq_q, "--seq-kv": shape.seq_kv}
    if shape.stacked:
        sizes |= {"--batch": shape.batch, "--heads": shape.heads, "--kv-heads": shape.kv_heads}
    return {name: str(size) for name, size in {**sizes, "--head-dim": shape.head_dim}.items()}


def tensors_record(options: Options, work: Workload) -> dict[str, object]:
    """``tensors`` of the run's record."""
    unusual = asdict(work.not_finite)
    del unusual["values"]
    if options.q is not None:
        return {"source": "files", **unusual}
    return {"source": "generated", "seed": options.seed, "distribution": options.distribution, **unusual}


def _matrices(config: Config, result: EngineResult, golden: EngineResult | None) -> Iterator[str]:
    # With --diff-only the golden model is the result and there is nothing to mark.
    reference, captured = result, None
    if golden is not None:
        reference, captured = golden, {**result.trace, "output": result.output}
    matrices: dict[str, Bits] = {**reference.trace, "output": reference.output}
    for name, matrix in matrices.items():
        yield from report.matrix_lines(name, matrix, config, captured)


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()

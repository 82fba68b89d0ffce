"""``fsa-sim``: attention on the simulated machine, measured against torch and the golden model; or any program."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.cli.base import OneLineCommand
from myhdl_fsa.cli.cache import check_cache_limit, clear_cache, clear_cache_option
from myhdl_fsa.cli.common import CONTEXT, DEFAULT_CONFIG, FILE, check_output, load_config, write_output
from myhdl_fsa.cli.device import (
    Bandwidth,
    Dump,
    DumpType,
    Latency,
    Load,
    LoadType,
    read_program,
    timing_of,
)
from myhdl_fsa.config import RECIPROCALS, Config, ConfigError
from myhdl_fsa.engine import (
    BUILDING_ENGINES,
    ENGINES,
    FST_ENGINES,
    AttentionRequest,
    EngineResult,
    RunError,
    Watch,
    engine,
)
from myhdl_fsa.program import Program, State, Timing, error_message
from myhdl_fsa.workbench import metrics, report
from myhdl_fsa.workbench.files import atomic_path, is_device
from myhdl_fsa.workbench.workload import DISTRIBUTIONS, Workload, WorkloadError, default_seq, generate, load

TOPS = ("accelerator", "core")
MAX_FINDINGS = 10
"""of the checker, printed at most"""

if TYPE_CHECKING:
    from myhdl_fsa.kernel.context import Kernel
    from myhdl_fsa.sims.lockstep import LockstepReport


@dataclass(frozen=True)
class Options:
    """The command line, as given; lengths and files are None when they are not."""

    seq_q: int | None
    seq_kv: int | None
    seed: int
    distribution: str
    q: Path | None
    k: Path | None
    v: Path | None
    out: Path | None
    config: str
    reciprocal: str | None
    causal: bool
    engine: str
    build_dir: Path | None
    lockstep: str | None
    diff: bool
    diff_verbose: bool
    diff_only: bool
    vcd: Path | None
    top: Literal["accelerator", "core"]
    mem_latency: tuple[int, int] | None
    mem_bandwidth: tuple[Fraction, Fraction] | None
    mem_stall: int | None
    push_interval: int | None
    dump_asm: Path | None
    program: Path | None
    load: tuple[Load, ...]
    dump: tuple[Dump, ...]
    max_cycles: int | None
    json: Path | None
    quiet: bool

    @property
    def engine_used(self) -> str:
        """The engine that runs: --diff-only leaves the hardware out."""
        return "golden" if self.diff_only else self.engine

    @property
    def timing(self) -> Timing:
        """How memory and host behave."""
        return timing_of(self.mem_latency, self.mem_bandwidth, self.mem_stall, self.push_interval or 1)

    @property
    def message(self) -> Callable[[str], None] | None:
        """Where an engine says what takes a while."""
        return None if self.quiet else report.say

    @property
    def compares(self) -> bool:
        """Whether the hardware is compared with the golden model."""
        return (self.diff or self.diff_verbose) and not self.diff_only


@click.command("fsa-sim", cls=OneLineCommand, context_settings=CONTEXT)
@click.option("--seq-q", type=int, help="Queries, a multiple of the tile.  [default: 4, or one tile]")
@click.option("--seq-kv", type=int, help="Keys and values, a multiple of the tile.  [default: 4, or one tile]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="Seed of the generated tensors.")
@click.option("--distribution", type=click.Choice(DISTRIBUTIONS), default="uniform",
              help="Of the generated tensors: uniform over [0, 1), or fa3: N(0,1) + N(0,10)*Bernoulli(0.001).")
@click.option("--q", type=FILE, metavar="FILE.npy", help="Q [seq, d] in floating point, instead of a generated one.")
@click.option("--k", type=FILE, metavar="FILE.npy", help="K, likewise; --q, --k and --v go together.")
@click.option("--v", type=FILE, metavar="FILE.npy", help="V, likewise.")
@click.option("--out", type=FILE, metavar="FILE.npy", help="Write the result, float32 [seq_q, d].")
@click.option("--config", default=DEFAULT_CONFIG, metavar="NAME|FILE.json",
              help="A published configuration, or a file of its fields.")
@click.option("--reciprocal", type=click.Choice(RECIPROCALS), help="Instead of the configuration's own.")
@click.option("--causal", is_flag=True, help="Query i sees keys 0 to i.")
@click.option("--engine", type=click.Choice(list(ENGINES)), default="myhdl",
              help="The MyHDL simulation, the golden model alone, or the converted Verilog in a simulator.")
@click.option("--build-dir", type=FILE, metavar="DIR",
              help="Keep what is built for the Verilog simulators there.  [default: the user's cache folder]")
@clear_cache_option
@click.option("--lockstep", type=click.Choice(("icarus", "verilator")),
              help="First compare every output and register of the MyHDL model with the Verilog, every cycle.")
@click.option("--diff", is_flag=True, help="Compare with the golden model, bit for bit.")
@click.option("--diff-verbose", is_flag=True, help="And print every intermediate in hex and float.")
@click.option("--diff-only", is_flag=True, help="Only the golden model, against torch.")
@click.option("--vcd", type=FILE, metavar="FILE",
              help="Write the waveform of the simulation; Verilator's as FST to FILE.fst.")
@click.option("--top", type=click.Choice(TOPS), default="accelerator",
              help="Simulate the whole device: instructions, DMA and AXI4 memory; or the bare core, fed directly.")
@click.option("--mem-latency", type=Latency(), help="Cycles from a burst's address to its data, and from its data to "
              "the response.  [default: 1]")
@click.option("--mem-bandwidth", type=Bandwidth(), help="Beats a cycle on each memory port.  [default: 1]")
@click.option("--mem-stall", type=click.IntRange(0, 2**32 - 1), metavar="SEED",
              help="Random back-pressure on every memory channel.")
@click.option("--push-interval", type=click.IntRange(1, 1_000_000), metavar="CYCLES",
              help="Cycles from one instruction word to the next, at least.  [default: 1]")
@click.option("--dump-asm", type=FILE, metavar="FILE", help="Write the program as text.")
@click.option("--program", type=FILE, metavar="FILE.bin|FILE.s",
              help="Run these little-endian instruction words, or this text, instead of attention.")
@click.option("--load", type=LoadType(), multiple=True, help="Memory before --program; repeatable.")
@click.option("--dump", type=DumpType(), multiple=True, help="Memory after --program, to a file; repeatable.")
@click.option("--max-cycles", type=click.IntRange(1), metavar="CYCLES", help="Give up after that many.")
@click.option("--json", type=FILE, metavar="FILE", help="Write figures and errors as JSON.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors.")
@click.version_option(package_name="myhdl-fsa")
def main(**given: object) -> int:
    """Run attention on the array and print its error against torch, its cycles and its utilisation."""
    if given.pop("clear_cache"):
        return clear_cache(click.get_current_context())
    options = Options(**given)  # type: ignore[arg-type]
    config = load_config(options.config, options.reciprocal)
    _check_options(options)
    if options.top != "core":
        try:
            config.check_accelerator()
        except ConfigError as error:
            raise click.UsageError(f"--config {options.config}: {error}") from None
    if options.program is not None:
        return _run_program(options, config, read_program(options.program, options.load, options.dump, config))
    work = _workload(options, config)
    return _run(options, config, work)


def _check_options(options: Options) -> None:
    if options.engine_used == "golden":
        used_by = "--diff-only" if options.diff_only else "--engine golden"
        if options.vcd is not None:
            raise click.UsageError(f"--vcd {options.vcd}: {used_by} has no waveform: needs --engine myhdl")
        if options.compares:
            raise click.UsageError(f"--diff: {used_by} compares nothing: needs --engine myhdl, or use --diff-only")
    _check_device_options(options)
    if options.build_dir is not None:
        if options.engine_used not in BUILDING_ENGINES and options.lockstep is None:
            raise click.UsageError(f"--build-dir {options.build_dir}: --engine {options.engine_used} builds nothing: "
                                   f"needs --engine {' or '.join(BUILDING_ENGINES)}")
        if options.build_dir.exists() and not options.build_dir.is_dir():
            raise click.UsageError(f"--build-dir {options.build_dir}: is not a folder")
    if options.engine_used in BUILDING_ENGINES or options.lockstep is not None:
        check_cache_limit()
    if options.vcd is not None and options.vcd.suffix == ".fst" and options.engine_used not in FST_ENGINES:
        raise click.UsageError(f"--vcd {options.vcd}: --engine {options.engine_used} writes no FST: "
                               f"needs --engine {' or '.join(FST_ENGINES)}, or a name that ends in .vcd")
    taken: dict[str, str] = {}
    for option in ("q", "k", "v", "config", "program"):
        path = getattr(options, option)
        if path is not None:
            taken[os.path.realpath(path)] = f"--{option}"
    taken.update((os.path.realpath(load.path), "--load") for load in options.load)
    outputs = [(f"--{name.replace('_', '-')}", getattr(options, name)) for name in ("out", "json", "vcd", "dump_asm")]
    outputs += [("--dump", dump.path) for dump in options.dump]
    for option, path in outputs:
        if path is None:
            continue
        check_output(option, path, regular=option == "--vcd")
        if is_device(path):
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise click.UsageError(f"{option} {path}: is the file of {taken[place]} too: must be another")
        taken[place] = option


def _check_device_options(options: Options) -> None:
    """Raises click.UsageError for an option that the others leave without a meaning."""
    pace = {"--mem-latency": options.mem_latency, "--mem-bandwidth": options.mem_bandwidth,
            "--mem-stall": options.mem_stall, "--push-interval": options.push_interval}
    for option, value in {**pace, "--dump-asm": options.dump_asm, "--program": options.program}.items():
        if value is not None and options.top == "core":
            raise click.UsageError(f"{option}: --top core has no instructions and no memory: needs --top accelerator")
    for option, value in pace.items():
        if value is not None and options.engine_used == "golden":
            used_by = "--diff-only" if options.diff_only else "--engine golden"
            raise click.UsageError(f"{option}: {used_by} has no clock: needs --engine myhdl, verilator or icarus")
    if options.program is None:
        for option, given in (("--load", options.load), ("--dump", options.dump)):
            if given:
                raise click.UsageError(f"{option}: needs --program")
        return
    attention = {"--seq-q": options.seq_q, "--seq-kv": options.seq_kv, "--q": options.q, "--k": options.k,
                 "--v": options.v, "--out": options.out, "--causal": options.causal or None,
                 "--diff": options.diff or None, "--diff-verbose": options.diff_verbose or None,
                 "--diff-only": options.diff_only or None}
    for option, value in attention.items():
        if value is not None:
            raise click.UsageError(f"{option}: is about attention: cannot go with --program {options.program}")


def _run_program(options: Options, config: Config, program: Program) -> int:
    from myhdl_fsa.kernel.assembly import disassemble
    from myhdl_fsa.kernel.checker import check

    write_output("--dump-asm", options.dump_asm, disassemble(program.words).encode())
    findings = check(program.words, config)
    for finding in findings[:MAX_FINDINGS]:
        click.echo(f"fsa-sim: warning: instruction {finding.index}: {finding.message}", err=True)
    if len(findings) > MAX_FINDINGS:
        click.echo(f"fsa-sim: warning: and {len(findings) - MAX_FINDINGS} more like these", err=True)
    try:
        stepped = None
        if options.lockstep is not None:
            stepped = _device_lockstep(options, config, program)
        with ExitStack() as stack:
            execution = engine(options.engine_used, options.build_dir).execute(
                program, config, timing=options.timing, vcd=_waveform(options, stack), max_cycles=options.max_cycles,
                message=options.message,
            )
    except RunError as error:
        raise click.ClickException(str(error)) from None
    for dump, data in zip(options.dump, execution.outputs, strict=True):
        write_output("--dump", dump.path, data)
    write_output("--json", options.json, report.program_document(
        config=config, engine=options.engine_used, execution=execution,
        lockstep=None if stepped is None else asdict(stepped),
    ))
    if not options.quiet:
        for line in [] if stepped is None else [str(stepped)]:
            click.echo(line)
        for line in report.counter_lines(execution.counters):
            click.echo(line)
    if execution.state is not State.DONE:
        raise click.ClickException(error_message(execution))
    return 0


def _workload(options: Options, config: Config) -> Workload:
    tensors = {"--q": options.q, "--k": options.k, "--v": options.v}
    missing = [option for option, path in tensors.items() if path is None]
    try:
        if len(missing) == len(tensors):
            seq_q = default_seq(config) if options.seq_q is None else options.seq_q
            seq_kv = default_seq(config) if options.seq_kv is None else options.seq_kv
            return generate(config, seq_q, seq_kv, options.seed, options.distribution)
        if options.q is None or options.k is None or options.v is None:
            given = next(f"{option} {path}" for option, path in tensors.items() if path is not None)
            raise click.UsageError(f"{given}: needs {' and '.join(missing)} too")
        work = load(config, options.q, options.k, options.v)
    except WorkloadError as error:
        raise click.UsageError(f"{error.option} {error}") from None
    for option, wanted, found in (("--seq-q", options.seq_q, work.seq_q), ("--seq-kv", options.seq_kv, work.seq_kv)):
        if wanted is not None and wanted != found:
            raise click.UsageError(f"{option} {wanted}: the files have {found} rows: leave it out, or give {found}")
    return work


def _run(options: Options, config: Config, work: Workload) -> int:
    try:
        stepped = None if options.lockstep is None else _lockstep(options, config, work)
        result = _attention(options, config, work)
        golden = engine("golden").attention(
            work.q, work.k, work.v, config, causal=options.causal, trace=options.diff_verbose
        ) if options.compares else None
    except RunError as error:
        raise click.ClickException(str(error)) from None

    name = "golden" if options.engine_used == "golden" else "FSA"
    reference = metrics.torch_attention(work, config.elem, options.causal)
    output = metrics.to_float32(result.output, config.acc)
    errors = {name: metrics.error_metrics(output, reference)}
    utilisation = None
    if result.cycles is not None:
        utilisation = metrics.utilisation(config, work.seq_q, work.seq_kv, result.cycles, options.causal)

    lines: list[str] = [] if stepped is None else [str(stepped)]
    mismatch = None
    if golden is not None:
        errors["golden"] = metrics.error_metrics(metrics.to_float32(golden.output, config.acc), reference)
        comparison = report.compare(result.output, golden.output)
        verdict = report.comparison_line(comparison, result.output, golden.output, config.acc)
        lines.append(verdict)
        mismatch = None if comparison.first is None else verdict
    if result.cycles is not None and utilisation is not None:
        lines += report.cycle_lines(result.cycles, result.inner_iteration_cycles, utilisation)
    lines += report.counter_lines(result.counters)

    if not options.quiet:
        if options.diff_verbose:
            _print_matrices(config, result, golden)
        for impl, values in errors.items():
            click.echo(report.error_line(impl, values))
        for line in lines:
            click.echo(line)
    write_output("--out", options.out, _npy(output))
    write_output("--json", options.json, report.json_document(
        config=config,
        engine=options.engine_used,
        seq_q=work.seq_q,
        seq_kv=work.seq_kv,
        causal=options.causal,
        cycles=result.cycles,
        inner_iteration_cycles=result.inner_iteration_cycles,
        utilisation=utilisation,
        bit_exact=None if golden is None else mismatch is None,
        lockstep=None if stepped is None else asdict(stepped),
        counters=None if result.counters is None else result.counters.to_dict(),
        errors=errors,
    ))
    if mismatch is not None and options.quiet:
        raise click.ClickException(mismatch)
    return 0 if mismatch is None else 1


def _lockstep(options: Options, config: Config, work: Workload) -> LockstepReport:
    from myhdl_fsa.sims.lockstep import lockstep

    if options.top != "core":
        return _device_lockstep(options, config, _kernel(options, config, work).program())
    return lockstep(options.lockstep or "", work.q, work.k, work.v, config, causal=options.causal,
                    build_dir=options.build_dir, max_cycles=options.max_cycles, message=options.message)


def _device_lockstep(options: Options, config: Config, program: Program) -> LockstepReport:
    from myhdl_fsa.sims.lockstep import device_lockstep

    return device_lockstep(options.lockstep or "", [program], config, timing=options.timing,
                           build_dir=options.build_dir, max_cycles=options.max_cycles, message=options.message)


def _kernel(options: Options, config: Config, work: Workload) -> Kernel:
    """Attention as a program. Raises click.ClickException for tensors that memory does not hold."""
    from myhdl_fsa.kernel.errors import KernelError
    from myhdl_fsa.kernel.flash_attention import attention_kernel

    try:
        return attention_kernel(work.q, work.k, work.v, config, options.causal)
    except KernelError as error:
        raise click.ClickException(str(error)) from None


def _waveform(options: Options, stack: ExitStack) -> Path | None:
    """Where to write the waveform, renamed to its place at the end of ``stack``."""
    if options.vcd is None:
        return None
    # A run that reached its cycle limit leaves a waveform of every cycle before it, which is worth having.
    suffix = ".fst" if options.vcd.suffix == ".fst" else ".vcd"
    return stack.enter_context(atomic_path(options.vcd, suffix, keep=(RunError,)))


def _attention(options: Options, config: Config, work: Workload) -> EngineResult:
    from myhdl_fsa.kernel.errors import KernelError

    machine = engine(options.engine_used, options.build_dir)
    if options.dump_asm is not None:
        from myhdl_fsa.kernel.assembly import disassemble

        text = disassemble(_kernel(options, config, work).words)
        write_output("--dump-asm", options.dump_asm, text.encode())
    with ExitStack() as stack:
        vcd = _waveform(options, stack)
        progress = stack.enter_context(report.progress_bar(not options.quiet))
        request = AttentionRequest(work.q, work.k, work.v, config, options.causal, options.top, options.timing)
        watch = Watch(options.diff_verbose, vcd, options.max_cycles, progress, options.message)
        try:
            return machine.run_attention(request, watch)
        except KernelError as error:  # tensors that memory does not hold
            raise click.ClickException(str(error)) from None


def _print_matrices(config: Config, result: EngineResult, golden: EngineResult | None) -> None:
    # With --diff-only the golden model is the result and there is nothing to mark.
    reference, captured = result, None
    if golden is not None:
        reference, captured = golden, {**result.trace, "output": result.output}
    matrices: dict[str, Bits] = {**reference.trace, "output": reference.output}
    for name, matrix in matrices.items():
        for line in report.matrix_lines(name, matrix, config, captured):
            click.echo(line)


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


if __name__ == "__main__":
    main()

"""The options of ``fsa-sim``, in the groups of its help, and which of them go together."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import click

from myhdl_fsa.cli.command import Groups, option
from myhdl_fsa.cli.common import DEFAULT_CONFIG, FILE, is_standard_output
from myhdl_fsa.cli.constraints import Alone, Constraint, Excludes, Lacks, Needs, Together
from myhdl_fsa.cli.types import (
    AnimationFile,
    Bandwidth,
    Dump,
    DumpType,
    Integer,
    Latency,
    Load,
    LoadType,
    OneOf,
    OutputFile,
    PositiveNumber,
    Several,
)
from myhdl_fsa.config import DATAFLOWS, PRESETS, RECIPROCALS
from myhdl_fsa.engine import BUILDING_ENGINES, ENGINES, FST_ENGINES, RECORDING_ENGINES
from myhdl_fsa.program import Timing
from myhdl_fsa.workbench.workload import DISTRIBUTIONS, MAX_SEQ

__all__ = ["CONSTRAINTS", "GROUPS", "Options", "TENSOR_CONSTRAINTS", "TOPS"]

TOPS = ("accelerator", "core")
_SEED = Integer(0, 2**32 - 1)
_SIZE = Integer(1, MAX_SEQ)


def _presets(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """For the shell's completion."""
    return [name for name in PRESETS if name.startswith(incomplete)]


GROUPS: Groups = {
    "Attention": (
        option("--seq-q", type=_SIZE, help="Queries of each head, 1 to 1048576.  [default: 4, or one tile]"),
        option("--seq-kv", type=_SIZE, help="Keys and values of each head, likewise.  [default: 4, or one tile]"),
        option("--batch", type=_SIZE, help="Problems at once; with this or heads, the generated tensors are "
               "[batch, heads, seq, d].  [default: 1]"),
        option("--heads", type=_SIZE, help="Query heads.  [default: 1]"),
        option("--kv-heads", type=_SIZE, help="Heads of K and V, which divide the query heads: query head h goes "
               "with head h // (heads / K/V heads).  [default: --heads]"),
        option("--head-dim", type=Integer(1), help="d of the generated tensors, at most the size of the array.  "
               "[default: the size of the array]"),
        option("--scale", type=PositiveNumber(), help="What scores are multiplied by, those of --program too: a "
               "positive number that the formats can hold.  [default: 1/sqrt(d)]"),
        option("--seed", type=_SEED, default=0, metavar="SEED", help="Seed of the generated tensors."),
        option("--distribution", type=OneOf(DISTRIBUTIONS), default="uniform",
               help="Of the generated tensors: uniform over [0, 1), or fa3: N(0,1) + N(0,10)*Bernoulli(0.001), "
               "N by mean and standard deviation."),
        option("--q", type=FILE, metavar="FILE.npy",
               help="Your own Q, [seq, d] or [batch, heads, seq, d], float16, float32 or float64, rounded to the input "
               "format; d is at most the size of the array. Options of sizes may be given beside it if they agree."),
        option("--k", type=FILE, metavar="FILE.npy", help="K, likewise; --q, --k and --v go together."),
        option("--v", type=FILE, metavar="FILE.npy", help="V, likewise; its d may be another than that of Q and K."),
        option("--causal", is_flag=True, help="Query i sees keys 0 to i, whatever the lengths."),
        option("--out", type=OutputFile(), metavar="FILE.npy", help="Write the result, float32, of the shape of Q "
               "with the d of V."),
    ),
    "A program instead": (
        option("--program", type=FILE, metavar="FILE.bin|FILE.s",
               help="Run these little-endian instruction words, published or your own, or (a name in .s or .S) the "
               "text of --dump-asm, instead of attention."),
        option("--load", type=LoadType(), multiple=True, help="Memory before --program; repeatable."),
        option("--dump", type=DumpType(), multiple=True, help="Memory after --program, to a file; repeatable."),
    ),
    "Machine": (
        option("--config", default=DEFAULT_CONFIG, metavar="NAME|FILE.json", shell_complete=_presets,
               help="The machine: a known configuration, or a file of its fields."),
        option("--reciprocal", type=OneOf(RECIPROCALS), help="1/x, instead of the configuration's own."),
        option("--dataflow", type=OneOf(DATAFLOWS), help="Instead of the configuration's own; memories that follow "
               "from it do so."),
        option("--top", type=OneOf(TOPS), default="accelerator",
               help="Simulate the whole device: instructions, DMA and AXI4 memory; or the bare core, fed directly."),
        option("--engine", type=OneOf(ENGINES), default="myhdl",
               help="The MyHDL simulation, the golden model alone, or the converted Verilog in a simulator."),
        option("--build-dir", type=FILE, metavar="DIR",
               help="Keep what is built for the Verilog simulators there, for reuse.  [default: the user's cache "
               "folder]"),
        option("--clear-cache", is_flag=True, help="Remove what was built for the Verilog simulators (in "
               "--build-dir, if given), say what that freed, and do nothing else; builds in use stay."),
        option("--max-cycles", type=Integer(1), metavar="CYCLES", help="Give up after that many, and say "
               "where the run stood."),
    ),
    "Memory and host": (
        option("--mem-latency", type=Latency(), help="Cycles from a burst's address to its first beat, and from "
               "its last beat to the response.  [default: 1]"),
        option("--mem-bandwidth", type=Bandwidth(), help="Beats a cycle on each memory port, above 0 and at "
               "most 1, as 0.02 or 1/50.  [default: 1]"),
        option("--mem-stall", type=_SEED, metavar="SEED", help="Random back-pressure on every memory channel."),
        option("--push-interval", type=Integer(1, 1_000_000), metavar="CYCLES",
               help="A host that pushes an instruction word only that often; with 1 as soon as the queue takes it.  "
               "[default: 1]"),
    ),
    "Comparison": (
        option("--diff", is_flag=True, help="Compare with the golden model, bit for bit: the result; or how "
               "--program ended, and all memory that it stores or --dump names."),
        option("--diff-verbose", is_flag=True, help="And print every intermediate in hex and float, "
               "with the first difference marked."),
        option("--diff-only", is_flag=True, help="Only the golden model, against torch."),
        option("--compare", type=Several(DATAFLOWS, "DATAFLOW"), help="Run attention on the same tensors in each of "
               "these dataflows, and print cycles, utilisation and, of the device, counters side by side, and whether "
               "all bits equal each other's and the golden model's; status 1 if not."),
        option("--lockstep", type=OneOf(("icarus", "verilator")),
               help="First run MyHDL model and Verilog side by side, and compare every output and register in every "
               "cycle; the first difference is named by cycle, signal and both values."),
    ),
    "Output (FILE may be -, standard output, which then holds nothing else)": (
        option("--json", type=OutputFile(), metavar="FILE",
               help="Write configuration, figures and errors as JSON, with all that repeats the run; an error that is "
               "not finite is null."),
        option("--report", type=OutputFile(), metavar="FILE.html",
               help="Write a report as one HTML page: errors, cycles and where they went, with figures."),
        option("--dump-asm", type=OutputFile(), metavar="FILE", help="Write the program as text."),
        option("--vcd", type=OutputFile(), metavar="FILE",
               help="Write the waveform of the simulation, to a file; Verilator's and Icarus's as FST to FILE.fst. "
               "Save files for GTKWave and Surfer are written beside it."),
        option("--trace", type=OutputFile(), metavar="FILE.jsonl",
               help="Write what each unit of the array holds, takes and does in every cycle, as JSON lines."),
        option("--animate", type=AnimationFile(), metavar="FILE.html|FILE.gif|FILE.png",
               help="Draw the same: a page to step through, a film, or a picture of the cycle with most units at work; "
               "with --compare side by side."),
        option("--wave-from", type=Integer(0), metavar="CYCLE", help="The first cycle in the waveform, the trace or "
               "the animation.  [default: 0]"),
        option("--wave-to", type=Integer(0), metavar="CYCLE", help="The last cycle in it.  [default: the run's]"),
        option("--quiet", is_flag=True, help="Print nothing but errors, and no warnings."),
    ),
}

_GOLDEN = "--diff-only, --engine golden"
_NOT_GOLDEN = "|".join(name for name in ENGINES if name != "golden")
_NOT_RECORDING = "|".join(name for name in ENGINES if name not in RECORDING_ENGINES)
_PACE = "--mem-latency, --mem-bandwidth, --mem-stall, --push-interval"
_NOT_BUILDING = "|".join(name for name in ENGINES if name not in BUILDING_ENGINES)
_NOT_FST = "|".join(name for name in ENGINES if name not in FST_ENGINES)

TENSOR_CONSTRAINTS: tuple[Constraint, ...] = (
    Excludes("--seed, --distribution", "generated tensors", "--q, --k, --v"),
    Together("--q, --k, --v"),
)
"""of the options in the group Attention, for every command that has it"""
CONSTRAINTS: tuple[Constraint, ...] = (
    Alone("--clear-cache", "--build-dir, --quiet"),
    Lacks("--top core", "has no instructions and no memory", f"{_PACE}, --dump-asm, --program"),
    Needs("--load, --dump", "--program"),
    Excludes("--seq-q, --seq-kv, --batch, --heads, --kv-heads, --head-dim, --seed, --distribution, --q, --k, "
             "--v, --causal, --out, --diff-verbose, --diff-only, --compare, --report, --trace, --animate", "attention",
             "--program"),
    *TENSOR_CONSTRAINTS,
    Excludes("--dataflow, --out, --diff-verbose, --lockstep, --dump-asm, --vcd, --trace", "one dataflow",
             "--compare"),
    Lacks("--diff-only", "runs the golden model alone", f"--engine {_NOT_GOLDEN}"),
    Lacks(_GOLDEN, "compares nothing", "--diff"),
    Lacks("--engine golden", "compares nothing", "--diff-verbose", unless="--diff-only"),
    Lacks(_GOLDEN, "has no waveform", "--vcd"),
    Lacks(f"--diff-only, --engine {_NOT_RECORDING}", "does not show what the machine holds", "--trace, --animate"),
    Needs("--wave-from, --wave-to", "--vcd, --trace, --animate"),
    Lacks(_GOLDEN, "has no clock", f"{_PACE}, --max-cycles", unless="--lockstep"),
    Lacks(_GOLDEN, "simulates no hardware", "--compare"),
    Lacks(_GOLDEN, "simulates no hardware", "--top core", unless="--lockstep"),
    Lacks(_GOLDEN, "runs no dataflow", "--dataflow", unless="--lockstep, --dump-asm, --program"),
    Lacks(f"--diff-only, --engine {_NOT_BUILDING}", "builds nothing", "--build-dir",
          unless="--lockstep, --clear-cache"),
    Lacks(f"--engine {_NOT_FST}", "writes no FST", "--vcd *.fst", or_else="or a name that ends in .vcd"),
)
"""the first that a command line offends is the error; what two rows refuse is told by the row that explains it best"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The command line, as given; sizes, the scale and files are None when they are not.

    What has a default here is what another command that runs attention may lack.
    """

    seq_q: int | None
    seq_kv: int | None
    batch: int | None
    heads: int | None
    kv_heads: int | None
    head_dim: int | None
    scale: float | None
    seed: int
    distribution: str
    q: Path | None
    k: Path | None
    v: Path | None
    out: Path | None
    config: str
    reciprocal: str | None
    dataflow: str | None
    causal: bool
    engine: str = "myhdl"
    build_dir: Path | None = None
    compare: tuple[str, ...] | None = None
    lockstep: str | None = None
    diff: bool = False
    diff_verbose: bool = False
    diff_only: bool = False
    vcd: Path | None = None
    trace: Path | None = None
    animate: Path | None = None
    wave_from: int | None = None
    wave_to: int | None = None
    top: Literal["accelerator", "core"] = "accelerator"
    mem_latency: tuple[int, int] | None = None
    mem_bandwidth: tuple[Fraction, Fraction] | None = None
    mem_stall: int | None = None
    push_interval: int | None = None
    dump_asm: Path | None
    program: Path | None = None
    load: tuple[Load, ...] = ()
    dump: tuple[Dump, ...] = ()
    max_cycles: int | None = None
    json: Path | None
    report: Path | None = None
    quiet: bool

    @property
    def engine_used(self) -> str:
        """The engine that runs: --diff-only leaves the hardware out."""
        return "golden" if self.diff_only else self.engine

    @property
    def timing(self) -> Timing:
        """How memory and host behave."""
        reads, writes = self.mem_latency or (1, 1)
        read_bandwidth, write_bandwidth = self.mem_bandwidth or (Fraction(1), Fraction(1))
        return Timing(reads, writes, read_bandwidth, write_bandwidth, self.mem_stall, self.push_interval or 1)

    @property
    def simulated_timing(self) -> Timing | None:
        """The same, None where neither is simulated."""
        return self.timing if self.runs_device else None

    @property
    def runs_device(self) -> bool:
        """Whether the whole device runs."""
        return self.top != "core" and (self.engine_used != "golden" or self.lockstep is not None)

    @property
    def counted(self) -> str:
        """What the progress of a run is counted in."""
        return "cycles"

    @property
    def compares(self) -> bool:
        """Whether the hardware is compared with the golden model."""
        return (self.diff or self.diff_verbose) and not self.diff_only

    @property
    def records(self) -> bool:
        """Whether the machine is recorded cycle by cycle."""
        return self.trace is not None or self.animate is not None

    @property
    def inputs(self) -> list[tuple[str, Path]]:
        """Every file to read but the configuration's, by its option."""
        named = [(name, getattr(self, name[2:])) for name in ("--q", "--k", "--v", "--program")]
        return [(name, path) for name, path in named if path is not None] + [("--load", one.path) for one in self.load]

    @property
    def outputs(self) -> list[tuple[str, Path]]:
        """Every file to write, by its option."""
        named = [("--out", self.out), ("--json", self.json), ("--report", self.report), ("--vcd", self.vcd),
                 ("--trace", self.trace), ("--animate", self.animate), ("--dump-asm", self.dump_asm)]
        return [(name, path) for name, path in named if path is not None] + [("--dump", one.path) for one in self.dump]

    @property
    def keeps_record(self) -> bool:
        """Whether a file has the record of the run."""
        return self.json is not None or self.report is not None

    @property
    def prints(self) -> bool:
        """Whether lines go to standard output: not when --quiet, nor when it is some option's file."""
        return not self.quiet and not any(is_standard_output(path) for _, path in self.outputs)

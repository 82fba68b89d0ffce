"""Lockstep: the MyHDL model and its converted Verilog on the same stimulus, every output and register, every cycle.

The MyHDL run records the inputs, and the value of every output and every register and memory word of the hierarchy. A
Verilog bench applies the inputs and writes the same values out, which are compared cycle by cycle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from myhdl._always import _Always
from myhdl._always_comb import _AlwaysComb

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.convert.design import design
from myhdl_fsa.convert.hierarchy import Design, children, find, twin_of
from myhdl_fsa.elaboration import always, block, shared_analysis
from myhdl_fsa.engine.request import RunError, Watch
from myhdl_fsa.program import Program, Timing
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.accelerator_bench import DevicePorts, DeviceRun, accelerator_bench, watched_accelerator
from myhdl_fsa.sims.build_cache import BuildCache, digest, package_digest, require, run_tool
from myhdl_fsa.sims.build_time import announcement
from myhdl_fsa.sims.core_bench import CorePorts, attention_run, core_bench, watched_core
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.icarus_engine import INSTALL
from myhdl_fsa.sims.verilog_names import net_names
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["LockstepMismatch", "LockstepReport", "SIMULATORS", "device_lockstep", "lockstep"]

SIMULATORS = ("icarus", "verilator")


@dataclass(frozen=True)
class LockstepReport:
    """What was found equal."""

    simulator: str
    cycles: int
    signals: int
    bits: int
    """of all signals together, each cycle"""

    def __str__(self) -> str:
        return (f"Lockstep: {self.signals} outputs and registers ({self.bits} bits) equal in myhdl and {self.simulator}"
                f" in each of {self.cycles} cycles")


class LockstepMismatch(RunError):
    """The first difference: cycle, signal and both values."""


def lockstep(
    simulator: str, q: Bits, k: Bits, v: Bits, config: Config, *, causal: bool = False, scale: float | None = None,
    build_dir: Path | None = None, max_cycles: int | None = None, message: Callable[[str], None] | None = None,
) -> LockstepReport:
    """Runs attention on elem patterns, in AttentionRequest's shapes, on the bare core, in MyHDL and in ``simulator``.

    ``message`` is told of a build. Raises LockstepMismatch at the first difference, and RunError at the cycle limit and
    when a tool is missing.
    """
    run = attention_run(q, k, v, config, causal, Watch(max_cycles=max_cycles, message=message), scale)
    return _compare_runs(simulator, config, "core", core_bench, run, partial(watched_core, run=run),
                           CorePorts(config), build_dir)


def device_lockstep(
    simulator: str, programs: Sequence[Program], config: Config, *, timing: Timing | None = None,
    build_dir: Path | None = None, max_cycles: int | None = None, message: Callable[[str], None] | None = None,
) -> LockstepReport:
    """Runs programs one after the other on the whole device, in MyHDL and in ``simulator``. Raises likewise."""
    run = DeviceRun(config, programs, timing or Timing(), watch=Watch(max_cycles=max_cycles, message=message))
    return _compare_runs(simulator, config, "accelerator", accelerator_bench, run,
                           partial(watched_accelerator, run=run), DevicePorts(config), build_dir)


def _compare_runs(
    simulator: str, config: Config, top: str, make_bench: Callable[..., Any], run: Any, make: Callable[..., Any],
    ports: CorePorts | DevicePorts, build_dir: Path | None,
) -> LockstepReport:
    """The MyHDL run of ``top`` in its bench, then the Verilog on the recorded inputs."""
    if simulator not in SIMULATORS:
        raise ValueError(f"simulator {simulator!r}: must be one of {', '.join(SIMULATORS)}")
    tools = [require(name, INSTALL) for name in ("iverilog", "vvp")] if simulator == "icarus" else [
        require(name, f"apt-get install {name}") for name in ("verilator", "make", "g++")]
    inputs, outputs = ports.split()
    clock = unsigned(1)
    with temporary_folder() as folder:
        log = _Log(list(inputs.values()), folder)
        with shared_analysis():
            bench = make_bench(run, clock, partial(_logged, make=make, log=log), ports)
        converted = design(config, top)
        module = converted.convert()[top].name
        expressions = {name: name for name in outputs}
        state = dict(outputs)
        for name, expression, signal in _registers(find(bench, top), converted.top, f"{top}_0", None, converted):
            expressions[name], state[name] = expression, signal
        with log.recording(list(state.values())):
            CycleSimulator(bench).run()
        bench_text = _bench(module, f"{top}_0", inputs, outputs, list(expressions.values()))
        program = _program(simulator, config, top, bench_text, tools, build_dir, run.watch.say)
        run_tool(program, folder)
        _compare(folder, log, [signal.removeprefix(f"{top}_0.") for signal in state], simulator)
    run.check_limit()
    return LockstepReport(simulator, log.cycles, len(state), sum(map(_width, state.values())))


def _width(signal: Any) -> int:
    return max(1, len(signal))


class _Log:
    """What the MyHDL run applies and shows, a line a cycle, as Verilog's %h has it: files, because runs are long."""

    def __init__(self, inputs: list[Any], folder: Path) -> None:
        self.cycles = 0
        self._inputs, self._folder = inputs, folder
        self._state: list[Any] = []

    @contextmanager
    def recording(self, state: list[Any]) -> Iterator[None]:
        """``record`` works inside; ``state`` is what it notes."""
        self._state, self._form = state, " ".join(f"%0{(_width(s) + 3) // 4}x" for s in state) + "\n"
        inputs, seen = self._folder / "inputs.hex", self._folder / "seen.txt"
        with inputs.open("w") as self._applied, seen.open("w") as self._seen:
            yield

    def record(self) -> None:
        """Notes a cycle."""
        word = 0
        for signal in self._inputs:
            word = word << _width(signal) | int(signal)
        self._applied.write(f"{word:x}\n")
        self._seen.write(self._form % tuple(map(int, self._state)))
        self.cycles += 1

    def seen(self) -> Iterator[str]:
        """The state's lines."""
        with (self._folder / "seen.txt").open() as file:
            yield from file


@block
def _logged(clock: Any, ports: Any, make: Callable[..., Any], log: _Log) -> Any:
    inside = make(clock, ports)

    @always(clock.posedge)
    def record() -> None:
        log.record()

    return inside, record


def _registers(
    block_: Any, twin: Any, path: str, lane: int | None, design: Design,
) -> Iterator[tuple[str, str, Any]]:
    """Every signal that a clocked process of the hierarchy drives: its name, it as a Verilog expression, and itself.

    ``twin`` is the block that was converted: elaborated alike, but without the probes of a test bench. It is ``lane``
    of the instance ``path`` where that stands for several.
    """
    module = design.module_of(twin)
    for process in block_.subs:
        if isinstance(process, _Always) and not isinstance(process, _AlwaysComb):
            for name in sorted(process.outputs):
                driven = process.symdict[name]
                signals = driven if isinstance(driven, list) else [driven]
                nets = net_names(module, name, signals, path, lane)
                for index, (net, signal) in enumerate(zip(nets, signals, strict=True)):
                    yield net if net.startswith(path) else f"{path}.{name}[{index}]", net, signal
    inside = zip(module.instances, children(block_), children(twin_of(twin)), strict=True)
    for (instance, inner), child, other in inside:
        yield from _registers(child, other, f"{path}.{instance}", inner, design)


def _program(
    simulator: str, config: Config, top: str, bench: str, tools: Sequence[str], build_dir: Path | None,
    say: Callable[[str], None],
) -> list[str]:
    """The command that applies ``inputs.hex`` in its working folder and writes ``state.txt``."""
    key = digest(["lockstep", top, simulator, package_digest(), repr(config), *tools])

    def build(folder: Path) -> None:
        from myhdl_fsa.convert.design import verilog_modules

        for name, text in verilog_modules(config, top).items():
            (folder / f"{name}.v").write_text(text)
        (folder / "lockstep.v").write_text(bench)
        sources = sorted(path.name for path in folder.glob("*.v"))
        if simulator == "icarus":
            run_tool([tools[0], "-g2005", "-s", "lockstep", "-o", "lockstep.vvp", *sources], folder)
        else:
            run_tool([tools[0], "--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-Wno-style", "-j", "2",
                      "-CFLAGS", "-O0", "--top-module", "lockstep", *sources], folder)

    about = announcement(f"{simulator} lockstep", top, config.rows)
    folder = BuildCache("lockstep", build_dir, say).get(key, build, about=about)
    if simulator == "icarus":
        return [tools[1], "-n", str(folder / "lockstep.vvp")]
    return [str(folder / "obj_dir" / "Vlockstep")]


def _bench(
    module: str, instance: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any], state: Sequence[str],
) -> str:
    """Inputs change just after a rising edge; ``state`` is written out just before the next."""
    width = sum(map(_width, inputs.values()))
    connections = ", ".join(f".{name}({name})" for name in ("clock", *inputs, *outputs))
    chunks = [state[first:first + 32] for first in range(0, len(state), 32)]
    return "\n".join([
        "module lockstep;",
        "  reg clock = 0;",
        *(f"  reg [{_width(s) - 1}:0] {name};" for name, s in inputs.items()),
        *(f"  wire [{_width(s) - 1}:0] {name};" for name, s in outputs.items()),
        f"  {module} {instance} ({connections});",
        f"  reg [{width - 1}:0] word;",
        "  integer source, sink, got;",
        "  initial begin",
        '    source = $fopen("inputs.hex", "r"); sink = $fopen("state.txt", "w");',
        '    got = $fscanf(source, "%h", word);',
        "    while (got == 1) begin",
        # not at once: at time 0 all processes must wait for what they read before it changes
        f"      {{{', '.join(inputs)}}} <= word;",
        "      #4;",
        *(f'      $fwrite(sink, "{" " if index else ""}{" ".join(["%h"] * len(chunk))}", {", ".join(chunk)});'
          for index, chunk in enumerate(chunks)),
        '      $fwrite(sink, "\\n");',
        "      #1 clock = 1; #5 clock = 0;",
        '      got = $fscanf(source, "%h", word);',
        "    end",
        "    $fclose(sink);",
        "    $finish;",
        "  end",
        "endmodule",
    ]) + "\n"


def _compare(folder: Path, log: _Log, names: list[str], simulator: str) -> None:
    with (folder / "state.txt").open() as file:
        for cycle, expected in enumerate(log.seen()):
            found = file.readline()
            if found == expected:
                continue
            theirs = found.split()
            if len(theirs) != len(names):
                raise RunError(f"{simulator} ended in cycle {cycle} of {log.cycles}")
            for signal, ours, other in zip(names, expected.split(), theirs, strict=True):
                if ours != other:
                    raise LockstepMismatch(f"cycle {cycle}: {signal}: myhdl {ours}, {simulator} {other}")

"""The accelerator's test bench: a host in front, memory behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from myhdl import StopSimulation

from myhdl_fsa.accelerator import accelerator
from myhdl_fsa.axi import MANAGER_DRIVES, AxiLite, MemoryPorts
from myhdl_fsa.config import Config
from myhdl_fsa.convert.hierarchy import flatten
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.engine.request import RunError, Watch
from myhdl_fsa.program import Execution, Program, Region, Timing, memory_fault
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.host import Action, Host, outcomes, script
from myhdl_fsa.sims.memory import Memory, ReadPort, Stalls, WritePort
from myhdl_fsa.sims.monitors import Intermediates, watchers
from myhdl_fsa.sims.monitors.cycle_log import CycleLog
from myhdl_fsa.sims.monitors.waits import device_waits, row_work
from myhdl_fsa.sims.trace.recorder import Recording

__all__ = [
    "DevicePorts",
    "DeviceRun",
    "PROGRESS_INTERVAL",
    "RESET_CYCLES",
    "accelerator_bench",
    "watched_accelerator",
]

RESET_CYCLES = 2
PROGRESS_INTERVAL = 64
"""cycles between two calls of ``progress``"""


@dataclass
class DeviceRun:
    """What a run of the accelerator is given, and what it leaves behind."""

    config: Config
    programs: Sequence[Program]
    timing: Timing = field(default_factory=Timing)
    watch: Watch = Watch()
    expected: int | None = None
    """cycles, for ``watch.progress``"""
    captured: Intermediates | None = None
    """where an engine that sees inside puts intermediates, when the programs are one of attention"""
    recording: Recording | None = None
    """likewise, what happens in each cycle"""
    log: CycleLog | None = None
    """where an engine that sees inside says what the cycles are used for, likewise"""
    careful: bool = False
    """whether an engine that sees inside stops at instructions that collide in the array: a fault of the hardware where
    the program is known to be right, and of the program otherwise"""

    cycle: int = 0
    """cycles since the start, the reset's included"""
    position: int = 0
    """steps of the host's script that are done"""
    results: list[int] = field(default_factory=list)
    """what the host read"""
    outputs: list[tuple[bytes, ...]] = field(default_factory=list)
    """per program"""
    limit_reached: bool = False

    def __post_init__(self) -> None:
        """Raises RunError for programs whose contents or outputs are outside the configuration's memory."""
        for program in self.programs:
            for region in (*(Region(address, len(data)) for address, data in program.memory), *program.outputs):
                wrong = memory_fault(region, self.config)
                if wrong:
                    raise RunError(f"{region.size} bytes at {region.address:#x}: {wrong}")
        self.steps = script(self.programs, self.timing, self.config)

    def check_limit(self) -> None:
        """Raises RunError when the run reached its cycle limit, saying where it stood."""
        if not self.limit_reached:
            return
        pushed = sum(step.action is Action.PUSH for step in self.steps[:self.position])
        pushes = sum(step.action is Action.PUSH for step in self.steps)
        doing = self.steps[min(self.position, len(self.steps) - 1)].action
        where = {Action.PUSH: "pushing words", Action.WAIT: "waiting for the device to finish"}
        raise RunError(f"cycle limit {self.watch.max_cycles} reached with {pushed} of {pushes} instruction words "
                       f"pushed, {where.get(doing, 'accessing registers')}")

    def executions(self) -> list[Execution]:
        """What each program left."""
        return [
            Execution(o.state, o.error, o.error_instruction, o.counters, outputs, self.cycle)
            for o, outputs in zip(outcomes(self.results), self.outputs, strict=True)
        ]


class DevicePorts:
    """The signals at the accelerator's ports, but for the clock."""

    def __init__(self, config: Config) -> None:
        self.reset = unsigned(1, 1)
        self.control = AxiLite()
        self.memory = MemoryPorts(config)
        self.interrupt = unsigned(1)

    def split(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The device's inputs (without the clock) and outputs, by their Verilog names."""
        control, memory = flatten("control", self.control), flatten("memory", self.memory)
        inputs = {"reset": self.reset}
        inputs.update((name, s) for name, s in control.items() if name.rpartition("_")[2] in MANAGER_DRIVES)
        inputs.update((name, s) for name, s in memory.items() if name.rpartition("_")[2] not in MANAGER_DRIVES)
        outputs = {name: s for name, s in (*control.items(), *memory.items()) if name not in inputs}
        return inputs, {**outputs, "interrupt": self.interrupt}


@block
def watched_accelerator(clock: Any, ports: DevicePorts, run: DeviceRun) -> Any:
    """The MyHDL accelerator; with the core's collision assertions and intermediates where ``run`` wants them."""
    probe: dict[str, Any] = {}
    config = run.config
    device = accelerator(clock, ports.reset, ports.control, ports.memory, ports.interrupt, config, probe)
    use = [] if run.log is None else [device_waits(clock, probe, run.log), row_work(clock, probe, config, run.log)]
    return device, watchers(clock, probe, config, run.careful, run.captured), use


@block
def accelerator_bench(
    run: DeviceRun, clock: Any, make_device: Callable[[Any, DevicePorts], Any], ports: DevicePorts | None = None
) -> Any:
    """A device between host and memory; give it a clock until StopSimulation, then read ``run``.

    ``make_device(clock, ports)`` gives the block that is tested; it is a block or a partial of one.
    """
    config, timing, limit = run.config, run.timing, run.watch.max_cycles
    ports = DevicePorts(config) if ports is None else ports
    device = make_device(clock, ports)
    memory = Memory(config)

    def fill(number: int) -> None:
        for address, data in run.programs[number].memory:
            memory.write(address, data)

    def save(number: int) -> None:
        run.outputs.append(tuple(memory.read(region) for region in run.programs[number].outputs))

    host = Host(ports.control, ports.interrupt, run.steps, timing.push_interval, fill, save)
    channels = [
        (Stalls(timing.stall_seed, index), ReadPort(memory, read, timing, config.beat_bytes),
         WritePort(memory, write, timing, config.beat_bytes))
        for index, (read, write) in enumerate(ports.memory.pairs)
    ]

    @always(clock.posedge)
    def drive() -> None:
        now = run.cycle
        run.cycle = now + 1
        if now < RESET_CYCLES:
            ports.reset.next = now < RESET_CYCLES - 1
            return
        host.tick(now)
        for stalls, read, write in channels:
            word = stalls.next()
            read.tick(now, word)
            write.tick(now, word)
        run.position = host.position
        if now % PROGRESS_INTERVAL == 0:
            run.watch.report(now, run.expected)
        if host.finished:
            run.results = host.results
            raise StopSimulation
        if limit is not None and now >= limit:
            run.limit_reached = True
            raise StopSimulation

    return device, drive


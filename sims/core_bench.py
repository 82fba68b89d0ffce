"""The bare core's test bench: plays DMA and front end, one scratchpad row a cycle, and collects O^T."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from myhdl import StopSimulation, always, block

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.convert.hierarchy import flatten
from myhdl_fsa.core import AccumulatorReadPort, ScratchpadWrite, core
from myhdl_fsa.dataflows.fsa import Function
from myhdl_fsa.engine.request import RunError, Watch
from myhdl_fsa.sequencer import MatrixInstruction, SemaphoreRelease
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.monitors import collisions, intermediates
from myhdl_fsa.sims.schedule import O_ROW, STORE_SEMAPHORE, Operand, Step, Tile, scratchpad_row, tile_loads

RESET_CYCLES = 2
PROGRESS_INTERVAL = 64
"""cycles between two calls of ``progress``"""


def pack(words: Iterable[int], width: int) -> int:
    """Words side by side, the first in the low bits."""
    total = 0
    for index, word in enumerate(words):
        total |= int(word) << (index * width)
    return total


@dataclass
class CoreRun:
    """What a run of the core is given, and what it leaves behind."""

    config: Config
    steps: list[Step]
    q: Bits
    k: Bits
    v: Bits
    """elem bit patterns: [seq_q, d], [seq_kv, d], [seq_kv, d]"""
    watch: Watch = Watch()
    expected: int | None = None
    """cycles, for ``watch.progress``"""
    serial: bool = False
    """wait for idle before every instruction, so that none overlap"""

    cycle: int = 0
    """cycles since reset"""
    issued: list[int] = field(default_factory=list)
    """per step, the cycle in which it was accepted"""
    overlap: list[int] = field(default_factory=list)
    """per step, the first cycle after its own in which the next instruction could have been accepted"""
    idle: list[int] = field(default_factory=list)
    """per step, the first idle cycle after it (meaningful in a serial run)"""
    finished: int | None = None
    """the first idle cycle after the last step"""
    limit_reached: bool = False
    output: list[list[int]] = field(default_factory=list)
    """packed O^T rows, per query tile"""
    trace: dict[str, Bits] = field(default_factory=dict)

    def check_limit(self) -> None:
        """Raises RunError when the run reached its cycle limit, saying where it stood."""
        if self.limit_reached:
            issued, count = len(self.issued), len(self.steps)
            where = f"before {self.steps[issued]}" if issued < count else f"in {self.steps[-1]}"
            raise RunError(f"cycle limit {self.watch.max_cycles} reached with {issued} of {count} matrix instructions "
                           f"issued, {where}")

    @property
    def cycles(self) -> int:
        """From first issue to idle."""
        if self.finished is None:
            raise RuntimeError("the run has not finished")
        return self.finished - self.issued[0]

    def tile_rows(self, tile: Tile) -> list[int]:
        """The tile as packed scratchpad rows."""
        n, width = self.config.rows, self.config.elem.width
        matrix = {Operand.Q: self.q, Operand.K: self.k, Operand.V: self.v}[tile.operand]
        rows = matrix[tile.index * n:(tile.index + 1) * n]
        return [pack(row, width) for row in (rows.T if tile.operand is Operand.V else rows)]

    def inner_iteration_cycles(self) -> float:
        """Cycles from one LOAD_STATIONARY to where the next could be accepted, averaged over the run."""
        loads = [i for i, step in enumerate(self.steps) if step.function is Function.LOAD_STATIONARY]
        values = [i for i, step in enumerate(self.steps) if step.function is Function.ATTN_VALUE]
        periods = [self.overlap[value] - self.issued[load] for load, value in zip(loads, values, strict=True)]
        return float(np.mean(periods))


class CorePorts:
    """The signals at the core's ports, but for the clock."""

    def __init__(self, config: Config) -> None:
        self.reset = unsigned(1, 1)
        self.instruction = MatrixInstruction(config)
        self.release = SemaphoreRelease()
        self.busy = unsigned(1)
        self.scratchpad_write = ScratchpadWrite(config)
        self.accumulator_read = AccumulatorReadPort(config)

    def split(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The core's inputs (without the clock) and outputs, by their Verilog names."""
        answers = ("instruction_ready", "accumulator_read_ready", "accumulator_read_data")
        driven = ("reset", "instruction", "scratchpad_write", "accumulator_read")
        every = {n: s for name, port in vars(self).items() for n, s in flatten(name, port).items()}
        inputs = {name: signal for name, signal in every.items() if name.startswith(driven) and name not in answers}
        return inputs, {name: signal for name, signal in every.items() if name not in inputs}


@block
def watched_core(clock: Any, ports: CorePorts, run: CoreRun) -> Any:
    """The MyHDL core with its collision assertions; every intermediate goes to ``run.trace`` if that is watched."""
    probe: dict[str, Any] = {}
    config = run.config
    parts = [
        core(clock, ports.reset, ports.instruction, ports.release, ports.busy, ports.scratchpad_write,
             ports.accumulator_read, config, probe),
        collisions(clock, probe, config),
    ]
    if run.watch.trace:
        parts.append(intermediates(clock, probe, config, run))
    return parts


@block
def core_bench(
    run: CoreRun, clock: Any, make_core: Callable[[Any, CorePorts], Any], ports: CorePorts | None = None
) -> Any:
    """A core and its stimulus; give it a clock until StopSimulation, then read ``run``.

    ``make_core(clock, ports)`` gives the block that is tested: the MyHDL core, or converted Verilog behind its ports.
    It is a block or a partial of one: MyHDL allows no function between two blocks.
    """
    config = run.config
    ports = CorePorts(config) if ports is None else ports
    reset, busy, release = ports.reset, ports.busy, ports.release
    instruction, write, read = ports.instruction, ports.scratchpad_write, ports.accumulator_read
    dut = make_core(clock, ports)
    n, limit = config.rows, run.watch.max_cycles

    loads = deque(tile_loads(run.steps))
    state = _State(loads=loads)
    primed = min(3, len(loads))

    @always(clock.posedge)
    def drive() -> None:
        now = run.cycle
        run.cycle = now + 1
        if now < RESET_CYCLES:
            reset.next = now < RESET_CYCLES - 1
            return
        if release.valid:
            semaphore = int(release.semaphore)
            if semaphore == STORE_SEMAPHORE:
                state.reads.extend(range(O_ROW, O_ROW + n))
                run.output.append([])
            else:
                state.resident.pop(semaphore, None)
        _load(now)
        _collect()
        _issue(now)
        if now % PROGRESS_INTERVAL == 0:
            run.watch.report(now - run.issued[0] if run.issued else 0, run.expected)
        if limit is not None and now >= limit and run.finished is None:
            run.limit_reached = True
            raise StopSimulation
        if run.finished is not None and not state.reads and not state.reading and not state.expecting:
            raise StopSimulation

    def _load(now: int) -> None:
        if state.rows:
            write.data.next = state.rows.popleft()
            write.row.next = state.row
            write.valid.next = True
            state.row += 1
            if not state.rows:
                tile = state.loads.popleft()
                state.loaded += 1
                state.resident[tile.semaphore] = tile
            return
        write.valid.next = False
        if state.loads and state.loads[0].semaphore not in state.resident:
            state.rows.extend(run.tile_rows(state.loads[0]))
            state.row = scratchpad_row(config, state.loads[0])

    def _collect() -> None:
        if state.expecting:
            run.output[-1].append(int(read.data))
            state.expecting = False
        if state.reading and read.ready:
            state.expecting = True
            state.reading = False
        if not state.reading and state.reads:
            read.row.next = state.reads.popleft()
            state.reading = True
        read.valid.next = state.reading

    def _issue(now: int) -> None:
        # ready is what an instruction that waits for nothing would see, unless one that waits is on the port
        if state.waiting_overlap and instruction.ready and not instruction.wait_idle:
            run.overlap.append(now)
            state.waiting_overlap = False
        if state.waiting_idle and not busy:
            run.idle.append(now)
            state.waiting_idle = False
        if state.offered and instruction.ready:
            run.issued.append(now)
            state.offered = False
            state.waiting_overlap = state.waiting_idle = True
        position = len(run.issued)
        if position == len(run.steps):
            instruction.wait_idle.next = False
            if run.finished is None and not state.offered and not busy and run.issued[-1] < now:
                run.finished = now
        elif not state.offered:
            step = run.steps[position]
            ready = step.tile is None or state.resident.get(step.tile.semaphore) == step.tile
            waits = run.serial or step.fields.get("wait_idle", 0)
            if waits and state.waiting_overlap:
                # idle comes no earlier than overlap, so holding the instruction back that long costs nothing
                instruction.wait_idle.next = False
            elif ready and state.loaded >= primed:
                _offer(step)
                state.offered = True
        instruction.valid.next = state.offered

    def _offer(step: Step) -> None:
        instruction.function.next = int(step.function)
        for name in _FIELDS:
            signal = getattr(instruction, name)
            signal.next = step.fields.get(name, 0) % (1 << len(signal))
        if run.serial:
            instruction.wait_idle.next = True

    return dut, drive


_FIELDS = ("wait_idle", "semaphore", "release", "release_value", "scratchpad_row", "scratchpad_stride", "reverse_in",
           "reverse_out", "delay", "accumulator_row", "accumulator_stride", "zero", "causal")


@dataclass
class _State:
    """The bench between two cycles."""

    loads: deque[Tile]
    loaded: int = 0
    rows: deque[int] = field(default_factory=deque)
    row: int = 0
    resident: dict[int, Tile] = field(default_factory=dict)
    """per semaphore, the tile in its buffer"""
    reads: deque[int] = field(default_factory=deque)
    reading: bool = False
    expecting: bool = False
    offered: bool = False
    waiting_overlap: bool = False
    waiting_idle: bool = False

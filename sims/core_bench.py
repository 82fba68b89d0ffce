"""The bare core's test bench: runs a kernel on it, with an ideal device around, a scratchpad row a cycle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

from myhdl import StopSimulation

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.convert.hierarchy import flatten
from myhdl_fsa.core import AccumulatorReadPort, ScalePort, ScratchpadWrite, core_block
from myhdl_fsa.dataflows import expected_cycles, measured_iteration
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.engine.request import RunError, Watch
from myhdl_fsa.instruction import MatrixInstruction, SemaphoreRelease
from myhdl_fsa.isa import Dma, Function, Matrix, Transfer
from myhdl_fsa.kernel.context import Kernel
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output
from myhdl_fsa.kernel.legality import accumulator_rows, memory_rows, scratchpad_rows
from myhdl_fsa.program import ErrorCode, Execution, Region, State
from myhdl_fsa.scale import Scale
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.ideal_device import FrontEnd, SemaphoreFile, from_row, to_row
from myhdl_fsa.sims.memory import Memory
from myhdl_fsa.sims.monitors import Intermediates, watchers
from myhdl_fsa.sims.monitors.cycle_log import CycleLog
from myhdl_fsa.sims.monitors.waits import CoreWaits, row_work
from myhdl_fsa.sims.trace.recorder import Recording
from myhdl_fsa.tiling import tiles, visits

__all__ = [
    "CorePorts",
    "CoreRun",
    "MATRIX_FIELDS",
    "PRIMING_LOADS",
    "PROGRESS_INTERVAL",
    "RESET_CYCLES",
    "UNWATCHED",
    "attention_run",
    "core_bench",
    "watched_core",
]

UNWATCHED = Watch()
PRIMING_LOADS = 3
"""loads that are done before the first matrix instruction starts, as far as none waits for one: a tile of Q, K, V^T"""
RESET_CYCLES = 2
PROGRESS_INTERVAL = 64
"""cycles between two calls of ``progress``"""


@dataclass
class CoreRun:
    """What a run of the core is given, and what it leaves behind."""

    kernel: Kernel
    watch: Watch = Watch()
    expected: int | None = None
    """cycles, for ``watch.progress``"""
    captured: Intermediates | None = None
    """where an engine that sees inside puts intermediates"""
    recording: Recording | None = None
    """likewise, what happens in each cycle"""
    log: CycleLog | None = None
    """where an engine that sees inside says what the cycles are used for"""
    serial: bool = False
    """wait for idle before every instruction, so that none overlap"""
    late: Mapping[Dma, int] = field(default_factory=dict)
    """cycles that a transfer begins late, for some of them; not in Verilator's bench"""

    cycle: int = 0
    """cycles since reset"""
    issued: list[int] = field(default_factory=list)
    """per matrix instruction, the cycle in which it was accepted"""
    overlap: list[int] = field(default_factory=list)
    """per matrix instruction, the first cycle after its own in which the next one could have been accepted"""
    idle: list[int] = field(default_factory=list)
    """per matrix instruction, the first idle cycle after it (meaningful in a serial run)"""
    finished: int | None = None
    """the first idle cycle after the last matrix instruction"""
    limit_reached: bool = False
    stored: list[int] = field(default_factory=list)
    """rows of the accumulator RAM as the kernel's stores read them"""

    @property
    def config(self) -> Config:
        """The machine's."""
        return self.kernel.config

    @property
    def scale(self) -> Scale:
        """What is at the core's scale port."""
        return self.kernel.scale or Scale.of(self.config)

    @cached_property
    def steps(self) -> tuple[Matrix, ...]:
        """The kernel's matrix instructions."""
        return tuple(item for item in self.kernel.instructions if isinstance(item, Matrix))

    @cached_property
    def memory(self) -> Memory:
        """What memory holds before the run."""
        memory = Memory(self.config)
        for tensor, data in self.kernel.inputs:
            memory.write(tensor.address, data)
        return memory

    def check_limit(self) -> None:
        """Raises RunError when the run reached its cycle limit, saying where it stood."""
        if self.limit_reached:
            issued, count = len(self.issued), len(self.steps)
            where = f"before {self._name(issued)}" if issued < count else f"in {self._name(count - 1)}"
            raise RunError(f"cycle limit {self.watch.max_cycles} reached with {issued} of {count} matrix instructions "
                           f"issued, {where}")

    def _name(self, index: int) -> str:
        """A matrix instruction, and the head and the tiles of attention that it belongs to."""
        shape, function = self.kernel.attention, self.steps[index].function
        name = Function(function).name
        if shape is None:
            return name
        every = visits(shape, self.config.rows)
        found = [visit for visit in every if visit.last]
        if function == Function.LOAD_STATIONARY:
            found = [visit for visit in every if visit.first]
        functions = [step.function for step in self.steps]
        # the rest comes once for each query tile: Q too, in a dataflow that keeps it
        if functions.count(function) == len(every):
            found = every
        visit = found[functions[:index].count(function)]
        head, query_tile = divmod(visit.query_tile, tiles(shape.seq_q, self.config.rows))
        batch, head = divmod(head, shape.heads)
        where = [f"batch {batch}"] if shape.batch > 1 else []
        where += [f"head {head}"] if shape.query_heads > 1 else []
        key_tile = visit.key_tile % tiles(shape.seq_kv, self.config.rows)
        return f"{name} of {', '.join([*where, f'query tile {query_tile}', f'K/V tile {key_tile}'])}"

    @property
    def cycles(self) -> int:
        """From first issue to idle."""
        if self.finished is None:
            raise RuntimeError("the run has not finished")
        return self.finished - self.issued[0]

    def load_rows(self, load: Dma) -> list[int]:
        """What a load writes, as scratchpad rows."""
        elem = self.config.elem
        places = memory_rows(load).tolist()
        return [to_row(self.memory.read(Region(address, load.size)), elem) for address in places]

    def result(self) -> Bits:
        """O [seq_q, d], acc patterns, of a finished run."""
        config, memory = self.config, self.memory
        transfers = (item for item in self.kernel.instructions if isinstance(item, Dma))
        stores = (transfer for transfer in transfers if transfer.function == Transfer.STORE)
        places = chain.from_iterable(memory_rows(store).tolist() for store in stores)
        for address, row in zip(places, self.stored, strict=True):
            memory.write(address, from_row(row, config.cols, config.acc))
        outputs = (memory.read(region) for region in self.kernel.regions)
        return attention_output(self.kernel, Execution(State.DONE, ErrorCode.NONE, 0, None, tuple(outputs)))

    def inner_iteration_cycles(self) -> float:
        """Cycles of one more K/V tile, as this run took them."""
        functions = [Function(step.function) for step in self.steps]
        return measured_iteration(self.config, functions, self.issued, self.overlap, self.cycles)


def attention_run(
    q: Bits, k: Bits, v: Bits, config: Config, causal: bool = False, watch: Watch = UNWATCHED,
    scale: float | None = None,
) -> CoreRun:
    """The run of FlashAttention on elem bit patterns, in shapes as ``AttentionRequest`` has them.

    Raises KernelError for tensors that do not fit.
    """
    kernel = attention_kernel(q, k, v, config, causal, scale)
    shape = kernel.attention
    assert shape is not None
    return CoreRun(
        kernel, watch, expected_cycles(config, shape), Intermediates(config, shape) if watch.trace else None,
        log=CycleLog(kernel) if watch.waits or watch.record else None)


class CorePorts:
    """The signals at the core's ports, but for the clock."""

    def __init__(self, config: Config) -> None:
        self.reset = unsigned(1, 1)
        self.instruction = MatrixInstruction(config)
        self.release = SemaphoreRelease()
        self.busy = unsigned(1)
        self.scratchpad_write = ScratchpadWrite(config)
        self.accumulator_read = AccumulatorReadPort(config)
        self.scale = ScalePort(config)

    def split(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The core's inputs (without the clock) and outputs, by their Verilog names."""
        answers = ("instruction_ready", "instruction_starved", "instruction_moving", "accumulator_read_ready",
                   "accumulator_read_data")
        driven = ("reset", "instruction", "scratchpad_write", "accumulator_read", "scale")
        every = {n: s for name, port in vars(self).items() for n, s in flatten(name, port).items()}
        inputs = {name: signal for name, signal in every.items() if name.startswith(driven) and name not in answers}
        return inputs, {name: signal for name, signal in every.items() if name not in inputs}


@block
def watched_core(clock: Any, ports: CorePorts, run: CoreRun) -> Any:
    """The MyHDL core with its collision assertions; intermediates go to ``run.captured``."""
    probe: dict[str, Any] = {}
    config = run.config
    signals = (ports.reset, ports.instruction, ports.release, ports.busy, ports.scratchpad_write,
               ports.accumulator_read, ports.scale)
    machine = core_block(config)(clock, *signals, config, probe)
    use = [] if run.log is None else [row_work(clock, probe, config, run.log)]
    return machine, watchers(clock, probe, config, True, run.captured), use


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
    elem_scale, acc_scale = ports.scale.elem, ports.scale.acc
    dut = make_core(clock, ports)
    limit = run.watch.max_cycles
    front, semaphores = FrontEnd(run.kernel.instructions), SemaphoreFile()
    state = _State()
    waits = None if run.log is None else CoreWaits(run.log, instruction, busy, config)

    @always(clock.posedge)
    def drive() -> None:
        now = run.cycle
        run.cycle = now + 1
        if now < RESET_CYCLES:
            reset.next = now < RESET_CYCLES - 1
            elem_scale.next, acc_scale.next = run.scale.elem, run.scale.acc
            return
        if release.valid:
            semaphores.release(int(release.semaphore), int(release.value))
        front.decode(not state.offered and not busy)
        if now == RESET_CYCLES:
            state.priming = min(PRIMING_LOADS, len(front.loads))
        _load()
        _store()
        _watch(now)
        _issue(now)
        _explain()
        if now % PROGRESS_INTERVAL == 0:
            run.watch.report(now - run.issued[0] if run.issued else 0, run.expected)
        if limit is not None and now >= limit and run.finished is None:
            run.limit_reached = True
            raise StopSimulation
        if run.finished is not None and not front.transfers:
            raise StopSimulation

    def _load() -> None:
        if state.writes:
            write.row.next, write.data.next = state.writes.popleft()
            write.valid.next = True
            if not state.writes:
                state.priming -= 1
                _done(front.loads.popleft())
            return
        write.valid.next = False
        if front.loads and _begins(front.loads[0], state.load_waits) and semaphores.acquire(front.loads[0]):
            load = front.loads[0]
            state.load_waits.clear()
            state.writes.extend(zip(scratchpad_rows(load, config).tolist(), run.load_rows(load), strict=True))
        elif front.loads and not semaphores.free(front.loads[0]):
            # it waits for a matrix instruction, which must not wait for it
            state.priming = 0

    def _store() -> None:
        if state.expecting:
            run.stored.append(int(read.data))
            state.expecting = False
            if not state.reads and not state.reading:
                _done(front.stores.popleft())
                state.storing = False
        if state.reading and read.ready:
            state.expecting = True
            state.reading = False
        if (not state.storing and front.stores and _begins(front.stores[0], state.store_waits)
                and semaphores.acquire(front.stores[0])):
            state.storing = True
            state.store_waits.clear()
            state.reads.extend(accumulator_rows(front.stores[0], config).tolist())
        if not state.reading and state.reads:
            read.row.next = state.reads.popleft()
            state.reading = True
        read.valid.next = state.reading

    def _watch(now: int) -> None:
        if waits is not None and run.issued and run.finished is None:
            waits.before(now, len(run.issued))

    def _explain() -> None:
        if waits is not None:
            waits.after(front, semaphores, state.offered, len(run.issued))

    def _begins(transfer: Dma, waits: list[int]) -> bool:
        """Counts the cycles that it is late down, from when its semaphore could be taken."""
        if not semaphores.free(transfer):
            return False
        if not waits:
            waits.append(run.late.get(transfer, 0))
        waits[0] -= 1
        return waits[0] < 0

    def _done(transfer: Dma) -> None:
        if transfer.release:
            semaphores.release(transfer.semaphore, transfer.release_value)

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
            front.matrix.popleft()
            state.offered = False
            state.waiting_overlap = state.waiting_idle = True
        if not state.offered:
            if not front.matrix:
                instruction.wait_idle.next = False
                if len(run.issued) == len(run.steps) and run.finished is None and not busy and run.issued[-1] < now:
                    run.finished = now
            elif (run.serial or front.matrix[0].wait_idle) and state.waiting_overlap:
                # idle comes no earlier than overlap, so holding the instruction back that long costs nothing
                instruction.wait_idle.next = False
            elif state.priming <= 0 and semaphores.acquire(front.matrix[0]):
                _offer(front.matrix[0])
                state.offered = True
        instruction.valid.next = state.offered

    def _offer(step: Matrix) -> None:
        for name in MATRIX_FIELDS:
            signal = getattr(instruction, name)
            signal.next = getattr(step, name) % (1 << (len(signal) or 1))
        if run.serial:
            instruction.wait_idle.next = True

    return dut, drive


MATRIX_FIELDS = tuple(name for name in Matrix.LAYOUT if name not in ("acquire", "acquire_value"))
"""the fields of an instruction that the core takes: its semaphore has been acquired before"""


@dataclass
class _State:
    """The bench between two cycles."""

    priming: int = 0
    """loads that the first matrix instruction still waits for"""
    writes: deque[tuple[int, int]] = field(default_factory=deque)
    """scratchpad rows of the load under way: row number and contents"""
    reads: deque[int] = field(default_factory=deque)
    """accumulator rows of the store under way that are not asked for yet"""
    load_waits: list[int] = field(default_factory=list)
    """cycles that the load at the head of its queue is still late, once it is known"""
    store_waits: list[int] = field(default_factory=list)
    storing: bool = False
    reading: bool = False
    expecting: bool = False
    offered: bool = False
    waiting_overlap: bool = False
    waiting_idle: bool = False

"""The cocotb half of test_cocotb.py: cocotbext-axi's models around the converted accelerator.

Everything on the buses is somebody else's: their manager pushes the program, their memory answers. Only the checks
that their models leave out are ours: a valid that drops, a payload that changes while it waits or is unknown, bursts
other than the program's. cocotb imports this module inside the simulator; the file that FSA_CASES names holds the
configuration and the cases, each of which becomes a cocotb test.
"""

from __future__ import annotations

import json
import logging
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.handle import SimHandleBase
from cocotb.triggers import ClockCycles, Event, RisingEdge, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp
from cocotbext.axi.sparse_memory import SparseMemory

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.axi import BOUNDARY
from myhdl_fsa.config import Config
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.isa import MEMORY_ADDRESS_WIDTH, Dma, Fence, Function, Instruction, Matrix, Transfer
from myhdl_fsa.kernel import Kernel
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output
from myhdl_fsa.program import Counters, ErrorCode, Execution, Program, State
from myhdl_fsa.scale import Scale

PERIOD = 2
"""simulator steps of a clock cycle"""
CYCLE_LIMIT = 100_000
COUNTERS = tuple(Register(r) for r in range(Register.EXECUTION_TIME, Register.DEQUEUED + 1, 4))
UNTOUCHED = 0xA5
"""what the outputs hold before, so that an earlier run's right answer does not pass for this one's"""


@dataclass(frozen=True)
class Case:
    """One cocotb test."""

    name: str
    kind: str = "attention"
    """a key of ``KINDS``"""
    tiles_q: int = 1
    tiles_kv: int = 1
    causal: bool = False
    hidden: int = 0
    """keys, of the tiles', that are past the end"""
    scale: float | None = None
    """None: what the scale registers have after a reset"""
    runs: int = 1
    """good programs, one after the other"""
    seed: int = 0
    """of the data"""
    pauses: int | None = None
    """seed of the random pauses on every channel; None: no pauses"""
    memory_base: int | None = None
    """where memory begins; None: where the configuration says. The hardware does not know it"""
    crossing: str = ""
    """"loads" or "stores": rows of these have to cross a 4 KB boundary"""


class DeviceMemory(SparseMemory):
    """cocotbext-axi's memory, which refuses what lies outside the device's: its AxiRam answers that with SLVERR."""

    def __init__(self, config: Config) -> None:
        # AxiRam takes addresses modulo the size, so that is all that the address bits can say; it allocates pages
        super().__init__(1 << MEMORY_ADDRESS_WIDTH)
        self._inside = range(config.memory_base, config.memory_base + config.memory_size)

    def _check(self, address: int, length: int) -> None:
        if length and (address not in self._inside or address + length - 1 not in self._inside):
            raise ValueError(f"{length} bytes at {address:#x} are outside the device's memory")

    def read(self, address: int, length: int, **kwargs: Any) -> bytes:
        """As SparseMemory's."""
        self._check(address, length)
        return super().read(address, length, **kwargs)

    def write(self, address: int, data: bytes, **kwargs: Any) -> None:
        """As SparseMemory's."""
        self._check(address, len(data))
        super().write(address, data, **kwargs)

    def image(self) -> dict[int, bytes]:
        """All that was ever written, in pages."""
        return {address: bytes(page) for address, page in self.segs.items()}


class Channel:
    """One of the accelerator's channels: counts what goes over it and keeps it to the handshake's rules."""

    def __init__(self, dut: SimHandleBase, prefix: str, payload: tuple[str, ...], driven: bool) -> None:
        self.name, self._driven = prefix, driven
        self._valid, self._ready = getattr(dut, f"{prefix}valid"), getattr(dut, f"{prefix}ready")
        self._payload = {name: getattr(dut, prefix + name) for name in payload}
        self._waiting: dict[str, str] | None = None
        self.passed = 0
        """transfers"""
        self.stalled = 0
        """cycles in which valid waited for ready"""

    def clear(self) -> None:
        """Forgets what waits: the device is being reset."""
        self._waiting = None

    def sample(self) -> dict[str, str] | None:
        """Looks at one rising edge; returns the payload that passed, as bits."""
        valid = self._valid.value.binstr
        if valid == "0":
            assert self._waiting is None, f"{self.name}: valid drops before ready"
            return None
        ready = self._ready.value.binstr
        assert valid == "1" and ready in ("0", "1"), f"{self.name}: valid {valid}, ready {ready}"
        payload = {name: signal.value.binstr for name, signal in self._payload.items()}
        if self._driven:
            assert not set("".join(payload.values())) - {"0", "1"}, f"{self.name}: unknown bits in {payload}"
            assert self._waiting in (None, payload), f"{self.name}: {self._waiting} becomes {payload} before ready"
        if ready == "0":
            self.stalled += 1
            if self._driven:
                self._waiting = payload
            return None
        self._waiting = None
        self.passed += 1
        return payload


class Port:
    """The channels of one memory port."""

    def __init__(self, dut: SimHandleBase, index: int) -> None:
        prefix, request = f"memory_m{index}_", ("addr", "len", "size", "burst", "id")
        self.ar = Channel(dut, f"{prefix}ar", request, driven=True)
        self.r = Channel(dut, f"{prefix}r", ("last",), driven=False)
        self.aw = Channel(dut, f"{prefix}aw", request, driven=True)
        self.w = Channel(dut, f"{prefix}w", ("data", "strb", "last"), driven=True)
        self.b = Channel(dut, f"{prefix}b", ("resp",), driven=False)
        self.channels = (self.ar, self.r, self.aw, self.w, self.b)
        self.open_reads = self.open_writes = 0
        """bursts whose answer has not ended"""


class Monitor:
    """Watches every channel at every rising edge."""

    def __init__(self, dut: SimHandleBase, config: Config) -> None:
        self._dut, self._beat_bytes = dut, config.beat_bytes
        self.ports = [Port(dut, index) for index in range(config.memory_ports)]
        self.control = {name: Channel(dut, f"control_{name}", payload, driven) for name, payload, driven in (
            ("aw", ("addr",), False), ("w", ("data", "strb"), False), ("b", ("resp",), True),
            ("ar", ("addr",), False), ("r", ("data", "resp"), True),
        )}
        self.reads: Counter[tuple[int, int]] = Counter()
        """bursts asked for: (address, bytes)"""
        self.writes: Counter[tuple[int, int]] = Counter()

    async def run(self) -> None:
        """To the end of the test, which an assertion in here fails."""
        dut = self._dut
        edge = RisingEdge(dut.clock)
        channels = [*self.control.values(), *(channel for port in self.ports for channel in port.channels)]
        while True:
            await edge
            if dut.reset.value.binstr != "0":
                for channel in channels:
                    channel.clear()
                continue
            for channel in self.control.values():
                channel.sample()
            for port in self.ports:
                self._sample(port)

    def _sample(self, port: Port) -> None:
        read, write, beat, answer = port.ar.sample(), port.aw.sample(), port.r.sample(), port.b.sample()
        port.w.sample()
        # an answer in the cycle of its request would be one too early
        if beat is not None:
            assert port.open_reads, f"{port.r.name}: beat of no burst"
            port.open_reads -= beat["last"] == "1"
        if answer is not None:
            assert port.open_writes, f"{port.b.name}: answer to no burst"
            port.open_writes -= 1
        if read is not None:
            self.reads[self._burst(port.ar.name, read)] += 1
            port.open_reads += 1
        if write is not None:
            self.writes[self._burst(port.aw.name, write)] += 1
            port.open_writes += 1

    def _burst(self, name: str, payload: dict[str, str]) -> tuple[int, int]:
        field = {key: int(bits, 2) for key, bits in payload.items()}
        assert 1 << field["size"] == self._beat_bytes and field["burst"] == 1, f"{name}: {field}"
        address, size = field["addr"], (field["len"] + 1) * self._beat_bytes
        assert address % self._beat_bytes == 0, f"{name}: burst at {address:#x} is not aligned"
        last = address + size - 1
        assert address // BOUNDARY == last // BOUNDARY, f"{name}: {size} bytes at {address:#x} cross 4 KB"
        return address, size

    @property
    def quiet(self) -> bool:
        """Whether every burst is answered."""
        return not any(port.open_reads or port.open_writes for port in self.ports)

    def stalls(self) -> dict[str, int]:
        """Cycles in which something that the accelerator sends waited, by channel, over all memory ports."""
        stalls = {name: sum(getattr(port, name).stalled for port in self.ports) for name in ("ar", "aw", "w")}
        return stalls | {f"control_{name}": self.control[name].stalled for name in ("b", "r")}


def random_pauses(seed: str) -> Iterator[bool]:
    """Pauses of one channel; the share of them is drawn too, so that each channel is the slow one at some time."""
    draw = random.Random(seed)
    share = draw.choice((0.2, 0.4, 0.6))
    while True:
        paused = draw.random() < share
        yield from [paused] * draw.randint(1, 5)


class Bench:
    """The accelerator between cocotbext-axi's models."""

    def __init__(self, dut: SimHandleBase, config: Config, pauses: int | None) -> None:
        # every access is a line of INFO otherwise
        logging.getLogger(f"cocotb.{dut._name}").setLevel(logging.ERROR)
        self.dut, self.config, self.memory = dut, config, DeviceMemory(config)
        self.scale: Scale | None = None
        cocotb.start_soon(Clock(dut.clock, PERIOD, units="step").start())
        self.control = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "control"), dut.clock, dut.reset)
        self.rams = [AxiRam(AxiBus.from_prefix(dut, f"memory_m{index}"), dut.clock, dut.reset, mem=self.memory)
                     for index in range(config.memory_ports)]
        self.monitor = Monitor(dut, config)
        cocotb.start_soon(self.monitor.run())
        if pauses is not None:
            models = [part for model in (self.control, *self.rams) for part in (model.write_if, model.read_if)]
            channels = [getattr(model, name) for model in models
                        for name in ("aw_channel", "w_channel", "b_channel", "ar_channel", "r_channel")
                        if hasattr(model, name)]
            cocotb.start_soon(self._pause([(channel, random_pauses(f"{pauses} {index}"))
                                           for index, channel in enumerate(channels)]))

    async def _pause(self, channels: list[tuple[Any, Iterator[bool]]]) -> None:
        """What set_pause_generator does, in one coroutine for all channels: one each took most of the time."""
        edge = RisingEdge(self.dut.clock)
        while True:
            for channel, paused in channels:
                channel.pause = next(paused)
            await edge

    async def reset(self) -> None:
        """By the reset signal."""
        self.dut.reset.value = 1
        await ClockCycles(self.dut.clock, 3)
        self.dut.reset.value = 0
        await ClockCycles(self.dut.clock, 1)

    async def read(self, register: Register) -> int:
        """A register."""
        answer = await self.control.read(int(register), 4)
        assert answer.resp == AxiResp.OKAY, f"read of {register.name}: {answer.resp!r}"
        return int.from_bytes(answer.data, "little")

    async def write(self, register: Register, value: int) -> None:
        """A register."""
        answer = await self.control.write(int(register), value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY, f"write of {register.name}: {answer.resp!r}"

    async def software_reset(self) -> None:
        """By the registers."""
        await self.write(Register.ERROR, 0)
        while await self.read(Register.STATE) != State.IDLE:
            pass

    async def start(self, program: Program) -> list[Event]:
        """Fills memory, sets the device active and pushes the words; returns what waits for their responses."""
        for address, data in program.memory:
            self.memory.write(address, data)
        for region in program.outputs:
            self.memory.write(region.address, bytes([UNTOUCHED]) * region.size)
        if program.scale != self.scale:
            self.scale = program.scale
            scale = program.scale or Scale.of(self.config)
            await self.write(Register.SCALE_ELEM, scale.elem)
            await self.write(Register.SCALE_ACC, scale.acc)
        await self.write(Register.SET_ACTIVE, 1)
        # all at once: the master keeps the order, and the bus is never short of a next word
        return [self.control.init_write(int(Register.QUEUE), word.to_bytes(4, "little")) for word in program.words]

    async def accepted(self, pushes: list[Event]) -> None:
        """Waits for the responses of the words, which have to be OKAY."""
        for push in pushes:
            await push.wait()
            assert push.data.resp == AxiResp.OKAY, f"push: {push.data.resp!r}"

    async def execute(self, program: Program) -> Execution:
        """Runs a program as a host does; memory outside its outputs has to stay as it was."""
        dut, memory = self.dut, self.memory
        pushes = await self.start(program)
        before = memory.image()
        if not dut.interrupt.value:
            await with_timeout(RisingEdge(dut.interrupt), CYCLE_LIMIT * PERIOD, "step")
        await self.accepted(pushes)
        state = State(await self.read(Register.STATE))
        # the stopping fence has waited for the DMA
        assert state is not State.DONE or self.monitor.quiet
        error, number = ErrorCode(await self.read(Register.ERROR)), await self.read(Register.ERROR_INSTRUCTION)
        counters = Counters(*[await self.read(register) for register in COUNTERS])
        outputs = tuple(memory.read(region.address, region.size) for region in program.outputs)
        for region, kept in zip(program.outputs, outputs, strict=True):
            memory.write(region.address, bytes([UNTOUCHED]) * region.size)
            assert len(kept) == region.size
        assert memory.image() == before, "memory outside the outputs was written"
        return Execution(state, error, number, counters, outputs)


def attention_of(config: Config, case: Case, seed: int) -> tuple[Kernel, Bits]:
    """A kernel on random data and what it has to give."""
    rng, n = np.random.default_rng(seed), config.rows
    keys = case.tiles_kv * n - case.hidden
    q, k, v = (from_float(rng.normal(size=(length, n)), config.elem) for length in (case.tiles_q * n, keys, keys))
    return (attention_kernel(q, k, v, config, case.causal, case.scale),
            golden.attention(q, k, v, config, causal=case.causal, scale=case.scale))


def bursts(kernel: Kernel, transfer: Transfer) -> Counter[tuple[int, int]]:
    """The bursts that a kernel's loads or stores are: one a row, or two where the row crosses 4 KB."""
    result: Counter[tuple[int, int]] = Counter()
    for instruction in kernel.instructions:
        if isinstance(instruction, Dma) and instruction.function == transfer:
            for row in range(instruction.rows):
                address = instruction.address + row * instruction.memory_stride
                first = min(instruction.size, BOUNDARY - address % BOUNDARY)
                result[address, first] += 1
                if first < instruction.size:
                    result[address + first, instruction.size - first] += 1
    return result


async def check_good(bench: Bench, case: Case, seed: int, enqueued: int = 0) -> int:
    """Runs an attention, compares all that it leaves, acknowledges; returns the words enqueued since the reset.

    ``enqueued``: the words before.
    """
    monitor, config = bench.monitor, bench.config
    kernel, want = attention_of(config, case, seed)
    program = kernel.program()
    monitor.reads.clear()
    monitor.writes.clear()
    execution = await bench.execute(program)
    assert (execution.state, execution.error) == (State.DONE, ErrorCode.NONE), execution
    np.testing.assert_array_equal(attention_output(kernel, execution), want)

    reads, writes = bursts(kernel, Transfer.LOAD), bursts(kernel, Transfer.STORE)
    assert (monitor.reads, monitor.writes) == (reads, writes)
    for name, seen, row_bytes in (("loads", reads, config.scratchpad_row_bytes),
                                  ("stores", writes, config.accumulator_row_bytes)):
        crosses = any(size < row_bytes for _, size in seen)
        assert crosses == (name == case.crossing), f"rows of {name} that cross 4 KB: {crosses}"

    counters = execution.counters
    assert counters is not None
    kinds = Counter(type(instruction) for instruction in kernel.instructions)
    words = enqueued + len(program.words)
    assert (counters.raw, counters.matrix, counters.dma, counters.fence) == (
        len(program.words), kinds[Matrix], kinds[Dma], kinds[Fence])
    assert (counters.enqueued, counters.dequeued) == (words, words)
    for busy in (counters.matrix_bubble, counters.matrix_active, counters.dma_active):
        assert 0 < busy < counters.execution_time, counters

    assert bench.dut.interrupt.value == 1 and await bench.read(Register.INTERRUPT) == 1
    await bench.write(Register.INTERRUPT, 1)
    assert await bench.read(Register.INTERRUPT) == 0 and bench.dut.interrupt.value == 0
    assert await bench.read(Register.STATE) == State.DONE
    return words


async def attention(bench: Bench, case: Case) -> None:
    """Programs that end well."""
    words = 0
    for run in range(case.runs):
        words = await check_good(bench, case, case.seed + run, words)


def spoiled(config: Config, kernel: Kernel) -> list[tuple[Kernel, ErrorCode, int]]:
    """The kernel with one instruction that goes outside a RAM or the memory, and how each has to end."""
    instructions = kernel.instructions
    transfers = {kind: [i for i, one in enumerate(instructions) if isinstance(one, Dma) and one.function == kind]
                 for kind in Transfer}
    load, store = transfers[Transfer.LOAD][-1], transfers[Transfer.STORE][-1]
    matrix, score = (next(i for i, one in enumerate(instructions) if isinstance(one, Matrix) and one.function == which)
                     for which in (Function.LOAD_STATIONARY, Function.ATTN_SCORE))
    outside = config.memory_base + config.memory_size

    def with_change(index: int, **change: int) -> Kernel:
        changed: Instruction = replace(instructions[index], **change)
        return replace(kernel, instructions=(*instructions[:index], changed, *instructions[index + 1:]))

    return [
        (with_change(load, row=config.scratchpad_rows), ErrorCode.SCRATCHPAD_ROW, load),
        (with_change(matrix, scratchpad_row=config.scratchpad_rows), ErrorCode.SCRATCHPAD_ROW, matrix),
        (with_change(store, row=config.accumulator_rows - 1), ErrorCode.ACCUMULATOR_ROW, store),
        (with_change(score, hidden=config.rows), ErrorCode.HIDDEN_KEYS, score),
        (with_change(load, address=config.memory_base - BOUNDARY), ErrorCode.READ_RESPONSE, load),
        (with_change(store, address=outside), ErrorCode.WRITE_RESPONSE, store),
    ]


async def errors(bench: Bench, case: Case) -> None:
    """Programs that end in state 3; after each a reset by software, and a good program in ``case.runs`` of them."""
    dut, config = bench.dut, bench.config
    kernel, _ = attention_of(config, case, case.seed)
    faults = spoiled(config, kernel)
    for number, (bad, code, index) in enumerate(faults):
        execution = await bench.execute(bad.program(checked=False))
        assert (execution.state, execution.error, execution.error_instruction) == (State.ERROR, code, index), execution
        assert dut.interrupt.value == 1 and await bench.read(Register.INTERRUPT) == 2
        await bench.software_reset()
        assert bench.monitor.quiet and dut.interrupt.value == 0
        assert await bench.read(Register.ERROR) == ErrorCode.NONE
        if number + case.runs >= len(faults):
            # the counters begin again after a reset, the words enqueued included
            await check_good(bench, case, case.seed + 1 + number)
            await bench.software_reset()


async def aborts(bench: Bench, case: Case) -> None:
    """A reset by software while the memory owes answers: it comes only when they have."""
    kernel, _ = attention_of(bench.config, case, case.seed)
    for number, channels in enumerate(([ram.read_if.r_channel for ram in bench.rams],
                                       [ram.write_if.b_channel for ram in bench.rams])):
        for channel in channels:
            channel.pause = True
        pushes = await bench.start(kernel.program())
        await ClockCycles(bench.dut.clock, 400)
        # behind the words, on the same bus: none comes after the reset
        await bench.write(Register.ERROR, 0)
        await bench.accepted(pushes)
        await ClockCycles(bench.dut.clock, 50)
        assert not bench.monitor.quiet and await bench.read(Register.STATE) == State.ERROR
        for channel in channels:
            channel.pause = False
        while await bench.read(Register.STATE) != State.IDLE:
            pass
        assert bench.monitor.quiet and bench.dut.interrupt.value == 0
        await check_good(bench, case, case.seed + 1 + number)
        await bench.software_reset()


async def registers(bench: Bench, case: Case) -> None:
    """What the registers refuse, and that the device is none the worse for it."""
    control, word = bench.control, bytes(4)
    assert await bench.read(Register.STATE) == State.IDLE
    assert await bench.read(Register.WATCHDOG) == WATCHDOG_CYCLES
    initial = Scale.of(bench.config)
    for register, value, width in ((Register.SCALE_ELEM, initial.elem, bench.config.elem.width),
                                   (Register.SCALE_ACC, initial.acc, bench.config.acc.width)):
        assert await bench.read(register) == value
        await bench.write(register, 0xDEAD_BEEF)
        assert await bench.read(register) == 0xDEAD_BEEF & (1 << width) - 1
        assert (await control.write(int(register), bytes(2))).resp == AxiResp.SLVERR
    await bench.write(Register.WATCHDOG, 54321)
    for address, data in ((int(Register.WATCHDOG), bytes(2)), (int(Register.STATE), word), (0x4C, word), (0xFC, word)):
        assert (await control.write(address, data)).resp == AxiResp.SLVERR, hex(address)
    for address in (int(Register.QUEUE), int(Register.SET_ACTIVE), 0x4C, 0xFC):
        answer = await control.read(address, 4)
        assert (answer.resp, answer.data) == (AxiResp.SLVERR, word), hex(address)
    assert await bench.read(Register.WATCHDOG) == 54321

    # nobody takes words from the queue of a device that is not active
    room = bench.config.instruction_queue
    pushes = [control.init_write(int(Register.QUEUE), word) for _ in range(room + 2)]
    for push in pushes:
        await push.wait()
    assert [push.data.resp for push in pushes] == [AxiResp.OKAY] * room + [AxiResp.SLVERR] * 2
    assert await bench.read(Register.ENQUEUED) == room
    await bench.software_reset()
    assert await bench.read(Register.ENQUEUED) == 0
    # a reset by software leaves watchdog and scale
    assert await bench.read(Register.WATCHDOG) == 54321
    for register, width in ((Register.SCALE_ELEM, bench.config.elem.width),
                            (Register.SCALE_ACC, bench.config.acc.width)):
        assert await bench.read(register) == 0xDEAD_BEEF & (1 << width) - 1
    await bench.write(Register.SCALE_ELEM, initial.elem)
    await bench.write(Register.SCALE_ACC, initial.acc)
    await check_good(bench, case, case.seed)


KINDS = {"attention": attention, "errors": errors, "aborts": aborts, "registers": registers}


def as_test(config: Config, case: Case) -> Any:
    """The case as a cocotb test of its name."""
    body = KINDS[case.kind]
    if case.memory_base is not None:
        config = config.replace(memory_base=case.memory_base)

    async def run(dut: SimHandleBase) -> None:
        bench = Bench(dut, config, case.pauses)
        await bench.reset()
        await body(bench, case)
        # test_cocotb.py reads it
        cocotb.log.info("%s: stalled %s", case.name, json.dumps(bench.monitor.stalls()))

    run.__name__ = run.__qualname__ = case.name
    return cocotb.test(timeout_time=10 * CYCLE_LIMIT * PERIOD, timeout_unit="step")(run)


def load_tests(path: Path) -> dict[str, Any]:
    """The tests of a file that test_cocotb.py wrote, by name."""
    job = json.loads(path.read_text())
    config = Config.from_dict(job["config"])
    return {case.name: as_test(config, case) for case in (Case(**fields) for fields in job["cases"])}


# cocotb looks for tests among the module's names
globals().update(load_tests(Path(os.environ["FSA_CASES"])))

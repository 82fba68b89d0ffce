"""The device's driver on the PC: loads memory, pushes the words as the queue takes them, waits, and reads what is left.

What it does is what ``sims.host`` does in simulation. Here nothing is answered at once, and nothing is known but what
is read: a line may lose bytes, and a device may stand still.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace

from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import RunError, Transfer, Watch
from myhdl_fsa.fpga.host.bus import WORD_BYTES, Bus, BusError, bursts
from myhdl_fsa.fpga.host.carried import Carried
from myhdl_fsa.fpga.host.soc import Soc
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.program import Counters, ErrorCode, Execution, Program, Region, State, memory_fault
from myhdl_fsa.scale import Scale
from myhdl_fsa.sims.host import COUNTERS, SCALES

__all__ = ["CHUNK", "Driver", "LIMIT", "Status"]

LIMIT = 10.0
"""seconds without progress after which a device is given up"""
CHUNK = 192
"""words that are written before one is read back, so that no more are under way than a bridge has room for"""
_READ = tuple(register for register in Register if Register.STATE <= register <= Register.INTERRUPT)
_MOST = 0xFFFFFFFF
"""what a register holds at most"""
_TRIALS = 0x5A3CF00F, 0xA5C30FF0
_SCRATCH = 0x12345678
"""LiteX's scratch register after a reset; nobody has a reason to write to it"""


@dataclass(frozen=True)
class Status:
    """What the device's registers say of it."""

    state: State
    error: ErrorCode
    error_instruction: int
    interrupt: int
    counters: Counters

    @property
    def progress(self) -> tuple[int, ...]:
        """What stays as it is when nothing moves."""
        return astuple(replace(self.counters, execution_time=0, matrix_bubble=0))

    def __str__(self) -> str:
        counted, said = self.counters, self.state.name.lower()
        if self.error is not ErrorCode.NONE:
            name = self.error.name.lower().replace("_", " ")
            said += f" {self.error.value} ({name}) at instruction {self.error_instruction}"
        queued = counted.enqueued - counted.dequeued
        return (f"state {said}, {counted.enqueued} words pushed, {queued} of them still in the queue, "
                f"{counted.matrix} matrix and {counted.dma} DMA instructions, {counted.fence} fences, "
                f"{counted.execution_time} cycles")


class Driver:
    """One device. Every method raises BusError when the line fails."""

    def __init__(self, bus: Bus, soc: Soc, config: Config, limit: float = LIMIT) -> None:
        """``config`` is as ``soc.place`` has it, ``limit`` the seconds without progress that are waited."""
        self._bus, self._soc, self._config, self._limit = bus, soc, config, limit

    def identify(self) -> None:
        """Raises RunError where there is no such SoC, or the device in it is another machine."""
        bus, soc, config = self._bus, self._soc, self._config
        # nothing is written before what is read is as it must be: at these addresses another SoC may have anything
        if soc.scratch is not None:
            (found,) = bus.read(soc.scratch, 1)
            self._compare(soc.scratch, "LiteX's scratch register", found, _SCRATCH, "it has after a reset")
        self._status()
        for value in _TRIALS:
            self._write(Register.WATCHDOG, value)
            (found,) = bus.read(soc.registers + Register.WATCHDOG, 1)
            self._compare(soc.registers + Register.WATCHDOG, "the watchdog register", found, value, "was written")
        self._reset()
        for register, fmt, name in zip(SCALES, (config.elem, config.acc), ("elem", "acc"), strict=True):
            self._write(register, _MOST)
            (found,) = bus.read(soc.registers + register, 1)
            if found != (1 << fmt.width) - 1:
                raise RunError(f"{bus.name}: the device's {name} has {found.bit_length()} bits, and "
                               f"{fmt.width} in the configuration, {fmt}: is another machine")

    def run(self, program: Program, watch: Watch | None = None) -> tuple[Execution, tuple[Transfer, ...]]:
        """What a program left, and what was carried for it.

        Memory that the program neither fills nor names as an output holds whatever it did. ``watch.progress`` is called
        with bytes. Raises RunError for a device that stands still, saying where, and for memory that the SoC lacks.
        """
        for region in (*(Region(address, len(data)) for address, data in program.memory), *program.outputs):
            wrong = memory_fault(region, self._config)
            if wrong:
                raise RunError(f"{region.size} bytes at {region.address:#x}: {wrong}")
        carried = Carried(program, watch or Watch())
        self._reset()
        self._configure(program)
        with carried.timed("memory"):
            # what lies there from an earlier run must not pass for a result
            for region in program.outputs:
                self._load(region.address, bytes(region.size), carried.advance)
            for address, data in program.memory:
                self._load(address, data, carried.advance)
        with carried.timed("program"):
            self._push(program.words, carried.advance)
            status = self._wait()
        self._write(Register.INTERRUPT, 3)
        with carried.timed("result"):
            outputs = tuple(self._fetch(region, carried.advance) for region in program.outputs)
        execution = Execution(status.state, status.error, status.error_instruction, status.counters, outputs)
        return execution, tuple(carried.transfers)

    def _compare(self, address: int, what: str, found: int, wanted: int, why: str) -> None:
        if found != wanted:
            raise RunError(f"{self._bus.name}: {what} at {address:#x} holds {found:#x}, not the {wanted:#x} that "
                           f"{why}: is the baud rate the SoC's, and csr.json this SoC's?")

    def _write(self, register: Register, value: int) -> None:
        self._bus.write(self._soc.registers + register, [value])

    def _status(self) -> Status:
        found = dict(zip(_READ, self._bus.read(self._soc.registers + _READ[0], len(_READ)), strict=True))
        try:
            state, error = State(found[Register.STATE]), ErrorCode(found[Register.ERROR])
        except ValueError:
            raise BusError(f"{self._bus.name}: state {found[Register.STATE]:#x} and error {found[Register.ERROR]:#x} "
                           "are none of the device's: the line garbles, or csr.json is another SoC's") from None
        return Status(state, error, found[Register.ERROR_INSTRUCTION], found[Register.INTERRUPT],
                      Counters(*(found[register] for register in COUNTERS)))

    def _reset(self) -> None:
        """Resets the device by software, whatever a run before this one left it in."""
        self._write(Register.ERROR, 0)
        due = time.monotonic() + self._limit
        while (status := self._status()).state is not State.IDLE:
            if time.monotonic() > due:
                raise RunError(f"{self._bus.name}: the device does not reset: {status}")

    def _configure(self, program: Program) -> None:
        """Registers that a reset by software leaves as they are."""
        watchdog = program.watchdog
        if watchdog is None:
            # words that do not fit the queue come at the line's pace, which the device must not take for standing still
            slow = len(program.words) > self._config.instruction_queue
            watchdog = int(min(self._limit * (self._soc.clock or 0) / 2, _MOST)) if slow else WATCHDOG_CYCLES
        values = [watchdog, *astuple(program.scale or Scale.of(self._config))]
        registers = (Register.WATCHDOG, *SCALES)
        for register, value in zip(registers, values, strict=True):
            self._write(register, value)
        for register, value in zip(registers, values, strict=True):
            (found,) = self._bus.read(self._soc.registers + register, 1)
            if found != value:
                raise BusError(f"{self._bus.name}: register {register.name} holds {found:#x} where {value:#x} was "
                               "written: the line loses bytes")

    def _load(self, address: int, data: bytes, advance: Callable[[int], None]) -> None:
        """Bytes into memory."""
        before, after = address % WORD_BYTES, -(address + len(data)) % WORD_BYTES
        first = address - before
        # the edges of words that are not ours stay
        if before:
            data = self._bytes(first, 1)[:before] + data
        if after:
            data += self._bytes(first + len(data) + after - WORD_BYTES, 1)[-after:]
        words = [int.from_bytes(data[at:at + WORD_BYTES], "little") for at in range(0, len(data), WORD_BYTES)]
        for start, part in bursts(words, CHUNK):
            self._bus.write(first + WORD_BYTES * start, part)
            last = first + WORD_BYTES * (start + len(part) - 1)
            (found,) = self._bus.read(last, 1)
            if found != part[-1]:
                raise BusError(f"{self._bus.name}: memory at {last:#x} holds {found:#x} where {part[-1]:#x} was "
                               "written: the line loses bytes, or the SoC has no memory there")
            advance(WORD_BYTES * len(part))

    def _bytes(self, address: int, count: int) -> bytes:
        return b"".join(word.to_bytes(WORD_BYTES, "little") for word in self._bus.read(address, count))

    def _fetch(self, region: Region, advance: Callable[[int], None]) -> bytes:
        """Bytes of memory."""
        before = region.address % WORD_BYTES
        count = -(-(before + region.size) // WORD_BYTES)
        found = b""
        for start, part in bursts(range(count), CHUNK):
            found += self._bytes(region.address - before + WORD_BYTES * start, len(part))
            advance(WORD_BYTES * len(part))
        return found[before:before + region.size]

    def _push(self, words: Sequence[int], advance: Callable[[int], None]) -> None:
        """Pushes the words, and sets the device active as soon as its queue is full or has all of them.

        A write to a full queue would hold up the bus, on which a UARTBone then drops what the line brings.
        """
        depth, queue = self._config.instruction_queue, self._soc.registers + Register.QUEUE
        still = _Still(self._limit)
        sent = 0
        while (status := self._status()).state not in (State.DONE, State.ERROR):
            counted = status.counters
            if counted.enqueued != sent:
                raise BusError(f"{self._bus.name}: {counted.enqueued} of {sent} instruction words arrived: the line "
                               "loses bytes")
            room = min(depth - (sent - counted.dequeued), CHUNK, len(words) - sent)
            if room:
                self._bus.push(queue, words[sent:sent + room])
                sent += room
                advance(WORD_BYTES * room)
            elif status.state is State.IDLE:
                self._write(Register.SET_ACTIVE, 1)
            elif sent == len(words):
                return
            else:
                self._check(status, still)

    def _wait(self) -> Status:
        """The device's status once it is done, or has stopped with an error."""
        still = _Still(self._limit)
        while not (status := self._status()).interrupt:
            self._check(status, still)
        return status

    def _check(self, status: Status, still: _Still) -> None:
        if still.too_long(status.progress):
            raise RunError(f"{self._bus.name}: no progress for {self._limit:g} s: {status}")


class _Still:
    """For how long something has stayed as it was."""

    def __init__(self, limit: float) -> None:
        self._limit, self._since = limit, time.monotonic()
        self._value: object = None

    def too_long(self, value: object) -> bool:
        """Whether ``value`` has been seen for longer than the limit."""
        now = time.monotonic()
        if value != self._value:
            self._since, self._value = now, value
        return now - self._since > self._limit

"""The host in front of the AXI4-Lite port: plays a script of register accesses, cycle for cycle as
``verilator/host.h`` has it in C++."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any

from myhdl_fsa.axi import AxiLite
from myhdl_fsa.config import Config
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.program import Counters, ErrorCode, Program, State, Timing
from myhdl_fsa.scale import Scale

__all__ = [
    "Action",
    "COUNTERS",
    "Host",
    "Outcome",
    "SCALES",
    "STATUS",
    "Step",
    "outcomes",
    "script",
]


class Action(IntEnum):
    """What a step of the script does."""

    WRITE = 0
    """a register, once all earlier writes are answered"""
    PUSH = 1
    """an instruction word, not waiting for earlier words' answers; left out once the interrupt is up"""
    WAIT = 2
    """for the interrupt"""
    READ = 3
    """a register, into the results"""
    POLL = 4
    """a register until it holds a value"""
    FILL = 5
    """memory with what a program wants in it, by its number, in no time"""
    SAVE = 6
    """what a program wants of memory, likewise"""


@dataclass(frozen=True)
class Step:
    """One step of the script."""

    action: Action
    address: int = 0
    value: int = 0


STATUS = (Register.STATE, Register.ERROR, Register.ERROR_INSTRUCTION)
SCALES = (Register.SCALE_ELEM, Register.SCALE_ACC)
COUNTERS = tuple(Register(r) for r in range(Register.EXECUTION_TIME, Register.DEQUEUED + 1, 4))


def script(programs: Sequence[Program], timing: Timing, config: Config) -> list[Step]:
    """Runs the programs one after the other, with a reset by software between them, and reads what they left.

    The watchdog is set to what a program asks for, or at least so long that neither the memory nor the host's own
    pace sets it off.
    """
    steps: list[Step] = []
    held, initial = None, Scale.of(config)
    longest = max(timing.push_interval, timing.read_latency, timing.write_latency)
    slowest = max(1 / timing.read_bandwidth, 1 / timing.write_bandwidth)
    for number, program in enumerate(programs):
        if number:
            steps.append(Step(Action.WRITE, Register.ERROR))
            steps.append(Step(Action.POLL, Register.STATE, State.IDLE))
        watchdog = program.watchdog
        if watchdog is None:
            watchdog = max(WATCHDOG_CYCLES, int(4 * longest + 1024 * slowest))
        if watchdog != WATCHDOG_CYCLES or number:
            steps.append(Step(Action.WRITE, Register.WATCHDOG, watchdog))
        # a software reset leaves the registers as they are
        if program.scale != held:
            held = program.scale
            for register, value in zip(SCALES, astuple(held or initial), strict=True):
                steps.append(Step(Action.WRITE, register, value))
        steps.append(Step(Action.FILL, value=number))
        steps.append(Step(Action.WRITE, Register.SET_ACTIVE, 1))
        steps += [Step(Action.PUSH, Register.QUEUE, word) for word in program.words]
        steps.append(Step(Action.WAIT))
        steps += [Step(Action.READ, register) for register in (*STATUS, *COUNTERS)]
        steps.append(Step(Action.SAVE, value=number))
    return steps


@dataclass(frozen=True)
class Outcome:
    """What the registers said at the end of a program."""

    state: State
    error: ErrorCode
    error_instruction: int
    counters: Counters


def outcomes(results: Sequence[int]) -> list[Outcome]:
    """The results of ``script``'s reads, by program."""
    size = len(STATUS) + len(COUNTERS)
    return [
        Outcome(State(part[0]), ErrorCode(part[1]), part[2], Counters(*part[len(STATUS):]))
        for part in (results[at:at + size] for at in range(0, len(results), size))
    ]


class Host:
    """Plays a script on the bus. ``tick`` once a cycle, after the clock's rising edge."""

    def __init__(
        self, bus: AxiLite, interrupt: Any, steps: Sequence[Step], push_interval: int, fill: Callable[[int], None],
        save: Callable[[int], None],
    ) -> None:
        self._bus, self._interrupt, self._steps, self._interval = bus, interrupt, steps, push_interval
        self._fill, self._save = fill, save
        self.position = 0
        """steps done"""
        self.results: list[int] = []
        self._address = self._data = self._reading = False
        self._answers_due = 0
        self._next_push = 0

    @property
    def finished(self) -> bool:
        """Whether the script has come to its end."""
        return self.position == len(self._steps) and not self._answers_due

    def tick(self, now: int) -> None:
        """One rising edge; ``now`` counts them."""
        bus = self._bus
        if self._address and bus.awready:
            self._address = False
        if self._data and bus.wready:
            self._data = False
        if self._answers_due and bus.bvalid:
            self._answers_due -= 1
        if self._reading:
            if bus.arvalid and bus.arready:
                bus.arvalid.next = False
            if bus.rvalid:
                self._take(int(bus.rdata))
        elif self.position < len(self._steps) and not self._address and not self._data:
            self._begin(now)
        bus.awvalid.next = self._address
        bus.wvalid.next = self._data
        bus.bready.next = True
        bus.rready.next = True
        bus.wstrb.next = 15

    def _take(self, value: int) -> None:
        self._reading = False
        step = self._steps[self.position]
        if step.action is Action.READ:
            self.results.append(value)
            self.position += 1
        elif value == step.value:
            self.position += 1

    def _begin(self, now: int) -> None:
        bus, steps = self._bus, self._steps
        if self._interrupt:
            while steps[self.position].action is Action.PUSH:
                self.position += 1
        step = steps[self.position]
        if step.action is Action.PUSH:
            if now < self._next_push:
                return
            self._next_push = now + self._interval
        elif self._answers_due:
            return
        if step.action is Action.PUSH or step.action is Action.WRITE:
            bus.awaddr.next = step.address
            bus.wdata.next = step.value
            self._address = self._data = True
            self._answers_due += 1
            self.position += 1
        elif step.action is Action.WAIT:
            if self._interrupt:
                self.position += 1
        elif step.action is Action.FILL or step.action is Action.SAVE:
            (self._fill if step.action is Action.FILL else self._save)(step.value)
            self.position += 1
        else:
            bus.araddr.next = step.address
            bus.arvalid.next = True
            self._reading = True

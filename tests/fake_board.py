"""A board without a board: the golden model's device behind the project's own register table, on LiteX's bridges.

``Board`` is the SoC's bus. ``uartbone`` puts it behind a serial port, with the commands of LiteX's gateware and its
habit of dropping what comes while it waits for the bus; ``server`` puts it behind LiteX's own server.
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import tty
from contextlib import contextmanager, suppress

from litex.tools import litex_server

from myhdl_fsa.config import preset
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.golden import device
from myhdl_fsa.isa import Fence
from myhdl_fsa.kernel.legality import parse
from myhdl_fsa.program import ErrorCode, Program, Region, State
from myhdl_fsa.scale import Scale

CONFIG = preset("FSA4X4Fp16Config")
RAM, RAM_SIZE, DEVICE, SCRATCH = 0x40000000, 1 << 16, 0x30000000, 0xF0000004


class Board:
    """A SoC's bus: 32-bit words at byte addresses."""

    def __init__(self, config=CONFIG):
        self.config = config.replace(memory_base=RAM, memory_size=RAM_SIZE)
        self.memory = bytearray(os.urandom(RAM_SIZE))
        self.scratch, self.registers = 0x12345678, dict.fromkeys(Register, 0)
        self.registers[Register.WATCHDOG] = WATCHDOG_CYCLES
        self.words: list[int] = []
        self.overflowed = self.most_queued = self.accesses = 0
        self.pace = 1 << 16
        """words that the device takes from its queue between two accesses"""
        self.stuck = False
        """take words, but do nothing"""
        self.flip = 0
        """what the first word that is stored is changed by"""
        self.error = ErrorCode.NONE
        """with which the device stops instead"""
        self.gone_after: int | None = None
        """accesses after which the board is pulled out"""
        self.console = []
        """what comes on the line before anybody asks, piece by piece"""
        self.lost = (0, 0)
        """an address, and which write to it is lost on its way, from 1 on"""

    def csr(self, **changes):
        """The text of its csr.json."""
        found = {
            "csr_bases": {"ctrl": SCRATCH - 4}, "csr_registers": {"ctrl_scratch": {"addr": SCRATCH, "size": 1}},
            "constants": {"config_clock_frequency": 50_000_000, "fsa_config_rows": self.config.rows,
                          "fsa_config_elem": str(self.config.elem), "config_cpu_name": "vexriscv"},
            "memories": {"main_ram": {"base": RAM, "size": RAM_SIZE, "type": "cached"},
                         "fsa": {"base": DEVICE, "size": 256, "type": "io"}},
        }
        return json.dumps({**found, **changes})

    def access(self):
        """Something comes over the bus. OSError once the board is gone."""
        self.accesses += 1
        if self.gone_after is not None and self.accesses > self.gone_after:
            raise OSError("gone")
        registers = self.registers
        if registers[Register.STATE] == State.ACTIVE:
            registers[Register.EXECUTION_TIME] += 100
            for _ in range(min(self.pace, registers[Register.ENQUEUED] - registers[Register.DEQUEUED])):
                self._take()

    def read(self, address):
        """A word."""
        self.access()
        if address == SCRATCH:
            return self.scratch
        if address == DEVICE + Register.STATE and self.registers[Register.STATE] == State.ACTIVE:
            self._finish()
        if RAM <= address < RAM + RAM_SIZE:
            return int.from_bytes(self.memory[address - RAM:][:4], "little")
        return self.registers.get(address - DEVICE, 0xFFFFFFFF)

    def write(self, address, word):
        """Likewise."""
        self.access()
        address_lost, left = self.lost
        if address == address_lost:
            self.lost = address, left - 1
            if left == 1:
                return
        if RAM <= address < RAM + RAM_SIZE:
            self.memory[address - RAM:address - RAM + 4] = word.to_bytes(4, "little")
        elif address - DEVICE in list(Register):
            self._write_register(Register(address - DEVICE), word)

    def _write_register(self, register, word):
        registers = self.registers
        if register is Register.QUEUE:
            if registers[Register.STATE] == State.ERROR:
                return
            if registers[Register.ENQUEUED] - registers[Register.DEQUEUED] >= self.config.instruction_queue:
                self.overflowed += 1
                return
            self.words.append(word)
            registers[Register.ENQUEUED] += 1
            queued = registers[Register.ENQUEUED] - registers[Register.DEQUEUED]
            self.most_queued = max(self.most_queued, queued)
        elif register is Register.SET_ACTIVE and word & 1:
            assert registers[Register.STATE] in (State.IDLE, State.DONE)
            registers[Register.STATE] = State.ACTIVE
        elif register is Register.ERROR:
            kept = (Register.WATCHDOG, Register.SCALE_ELEM, Register.SCALE_ACC)
            self.registers = {name: registers[name] if name in kept else 0 for name in Register}
            self.words = []
        elif register is Register.INTERRUPT:
            registers[register] &= ~word
        elif register is Register.WATCHDOG:
            registers[register] = word
        elif register in (Register.SCALE_ELEM, Register.SCALE_ACC):
            fmt = self.config.elem if register is Register.SCALE_ELEM else self.config.acc
            registers[register] = word & ((1 << fmt.width) - 1)

    def _take(self):
        """The device takes a word."""
        registers = self.registers
        registers[Register.DEQUEUED] += 1
        registers[Register.RAW] += 1

    def _finish(self):
        """Does everything, if the device is at a fence with stop."""
        registers = self.registers
        if registers[Register.DEQUEUED] == registers[Register.ENQUEUED] > 0 and not self.stuck:
            items = list(parse(self.words))
            if self.error or (isinstance(items[-1], Fence) and items[-1].stop):
                self._execute()

    def _execute(self):
        scale = Scale(self.registers[Register.SCALE_ELEM], self.registers[Register.SCALE_ACC])
        program = Program(tuple(self.words), ((RAM, bytes(self.memory)),), (Region(RAM, RAM_SIZE),), scale=scale)
        execution = device.execute(program, self.config)
        code = self.error or execution.error
        (after,) = execution.outputs
        changed = next((at for at in range(RAM_SIZE) if after[at] != self.memory[at]), 0)
        self.memory[:] = after
        self.memory[changed] ^= self.flip
        self.registers |= {
            Register.STATE: State.ERROR if code else State.DONE, Register.ERROR: int(code),
            Register.ERROR_INSTRUCTION: 3 if code else 0, Register.INTERRUPT: 2 if code else 1,
        }


@contextmanager
def uartbone(board):
    """The board behind a UARTBone: the path of its serial port. When the board is gone, so is the port."""
    host, port = os.openpty()
    tty.setraw(host)
    tty.setraw(port)
    path = os.ttyname(port)
    os.close(port)
    stop = threading.Event()
    thread = threading.Thread(target=_serve_uart, args=(board, host, stop), daemon=True)
    thread.start()
    try:
        yield path
    finally:
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
        with suppress(OSError):
            os.close(host)


def _serve_uart(board, line, stop):
    def bytes_of(count):
        found = b""
        while len(found) < count:
            if stop.is_set():
                raise OSError("stopped")
            if select.select([line], [], [], 0.02)[0]:
                try:
                    found += os.read(line, count - len(found))
                except OSError:  # nobody has the port open
                    stop.wait(0.005)
        return found

    with suppress(OSError):
        for piece in board.console:
            if stop.wait(0.01):
                return
            os.write(line, piece)
        while True:
            command, length = bytes_of(2)
            address = 4 * int.from_bytes(bytes_of(4), "big")
            for at in range(length):
                place = address + (4 * at if command in (1, 2) else 0)
                if command in (1, 3):
                    board.write(place, int.from_bytes(bytes_of(4), "big"))
                else:
                    os.write(line, board.read(place).to_bytes(4, "big"))
    if not stop.is_set():
        os.close(line)


# it prints who connects, among what the command prints
litex_server.print = lambda *said: None  # type: ignore[attr-defined]


class CommBoard:
    """What LiteX's server asks of a bridge."""

    def __init__(self, board):
        self.board = board

    def open(self):
        """Nothing to open."""

    def close(self):
        """Nothing to close."""

    def read(self, address, length=None, burst="incr"):
        """Words."""
        step = 4 if burst == "incr" else 0
        found = [self.board.read(address + step * at) for at in range(length or 1)]
        return found[0] if length is None else found

    def write(self, address, words):
        """Likewise."""
        for at, word in enumerate(words):
            self.board.write(address + 4 * at, word)


@contextmanager
def server(board):
    """The board behind LiteX's server: host:port."""
    serving = litex_server.RemoteServer(CommBoard(board), "localhost", 0)
    serving.open()
    thread = threading.Thread(target=_serve, args=(serving,), daemon=True)
    thread.start()
    try:
        yield f"localhost:{serving.socket.getsockname()[1]}"
    finally:
        serving.socket.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        serving.close()


def _serve(serving):
    with suppress(OSError):
        serving._serve_thread()

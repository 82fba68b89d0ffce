"""The memory behind the AXI4 ports: latency, bandwidth and random back-pressure, cycle for cycle as
``verilator/memory.h`` has it in C++.

A port is a state machine that is told, once a cycle, what the device drove before the clock's rising edge, and then
says what it drives after it.
"""

from __future__ import annotations

import mmap
from collections import deque
from typing import Any

import numpy as np

from myhdl_fsa.axi import Response
from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import RunError
from myhdl_fsa.program import Region, Timing

__all__ = [
    "ADDRESSES_WAITING",
    "BEATS_WAITING",
    "MAP_NORESERVE",
    "Memory",
    "ReadPort",
    "Stalls",
    "WritePort",
]

MAP_NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000)
"""Linux's, which Python 3.11 does not name"""
ADDRESSES_WAITING = 64
"""bursts of each direction that a port accepts before it answers"""
BEATS_WAITING = 16
"""write beats that a port accepts before their address"""


class Memory:
    """The bytes, shared by all ports. Zero at the start. Raises RunError for more than can be had."""

    def __init__(self, config: Config) -> None:
        self.base, self.size = config.memory_base, config.memory_size
        try:
            # untouched pages cost nothing, and nothing is set aside for them, as in memory.h
            pages = mmap.mmap(-1, self.size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", error)
            raise RunError(f"the {self.size} bytes of the device's memory cannot be had: {reason}") from None
        self._bytes = np.frombuffer(pages, np.uint8)

    def holds(self, address: int, count: int) -> bool:
        """Whether all of it is inside."""
        return self.base <= address and address + count <= self.base + self.size

    def read(self, region: Region) -> bytes:
        """Raises ValueError for what is outside."""
        return self._part(region.address, region.size).tobytes()

    def write(self, address: int, data: bytes) -> None:
        """Raises ValueError for what is outside."""
        self._part(address, len(data))[:] = np.frombuffer(data, np.uint8)

    def _part(self, address: int, count: int) -> np.ndarray:
        if not self.holds(address, count):
            raise ValueError(f"{count} bytes at {address:#x}: memory is {self.size} bytes at {self.base:#x}")
        return self._bytes[address - self.base:address - self.base + count]


class Stalls:
    """Random back-pressure: a 32-bit xorshift a port, two bits of it a channel; a channel stalls when both are 0."""

    def __init__(self, seed: int | None, port: int) -> None:
        self._word = 0 if seed is None else (seed * 2654435761 + (port + 1) * 40503) & 0xFFFF_FFFF or 1

    def next(self) -> int:
        """The next cycle's bits; without a seed nothing stalls."""
        word = self._word
        if word == 0:
            return 0xFFFF_FFFF
        word ^= word << 13 & 0xFFFF_FFFF
        word ^= word >> 17
        word ^= word << 5 & 0xFFFF_FFFF
        self._word = word
        return word


class ReadPort:
    """The read channels of one memory port."""

    def __init__(self, memory: Memory, bus: Any, timing: Timing, beat_bytes: int) -> None:
        self._memory, self._bus, self._beat = memory, bus, beat_bytes
        self._latency = timing.read_latency
        self._gain, self._cost = timing.read_bandwidth.as_integer_ratio()
        self._credit = 0
        # address of the next beat, beats left, cycle from which on it may come
        self._bursts: deque[list[int]] = deque()
        self._ready = self._valid = False

    def tick(self, now: int, stalls: int) -> None:
        """One rising edge."""
        bus, bursts = self._bus, self._bursts
        if self._ready and bus.arvalid:
            bursts.append([int(bus.araddr), int(bus.arlen) + 1, now + self._latency])
        if self._valid and bus.rready:
            self._valid = False
        self._credit = min(self._credit + self._gain, 2 * self._cost - 1)
        if (not self._valid and bursts and bursts[0][2] <= now and self._credit >= self._cost
                and stalls & 0xC0):
            self._credit -= self._cost
            self._valid = True
            self._present(bursts)
        bus.rvalid.next = self._valid
        self._ready = len(bursts) < ADDRESSES_WAITING and bool(stalls & 0x3)
        bus.arready.next = self._ready

    def _present(self, bursts: deque[list[int]]) -> None:
        bus, (address, left, _) = self._bus, bursts[0]
        inside = self._memory.holds(address, self._beat)
        data = self._memory.read(Region(address, self._beat)) if inside else b""
        bus.rdata.next = int.from_bytes(data, "little")
        bus.rresp.next = int(Response.OKAY if inside else Response.DECERR)
        bus.rlast.next = left == 1
        if left == 1:
            bursts.popleft()
        else:
            bursts[0][0], bursts[0][1] = address + self._beat, left - 1


class WritePort:
    """The write channels of one memory port."""

    def __init__(self, memory: Memory, bus: Any, timing: Timing, beat_bytes: int) -> None:
        self._memory, self._bus, self._beat = memory, bus, beat_bytes
        self._latency = timing.write_latency
        self._gain, self._cost = timing.write_bandwidth.as_integer_ratio()
        self._credit = 0
        # address of the next beat, beats left, response so far
        self._bursts: deque[list[int]] = deque()
        self._beats: deque[int] = deque()
        # response, cycle from which on it may come
        self._responses: deque[tuple[int, int]] = deque()
        self._address_ready = self._data_ready = self._valid = False

    def tick(self, now: int, stalls: int) -> None:
        """One rising edge."""
        bus = self._bus
        if self._address_ready and bus.awvalid:
            self._bursts.append([int(bus.awaddr), int(bus.awlen) + 1, int(Response.OKAY)])
        if self._data_ready and bus.wvalid:
            self._beats.append(int(bus.wdata))
            self._credit -= self._cost
        if self._valid and bus.bready:
            self._valid = False
        while self._bursts and self._beats:
            self._store(now)
        self._credit = min(self._credit + self._gain, 2 * self._cost - 1)
        if not self._valid and self._responses and self._responses[0][1] <= now and stalls & 0x300:
            bus.bresp.next = self._responses.popleft()[0]
            self._valid = True
        bus.bvalid.next = self._valid
        self._address_ready = len(self._bursts) < ADDRESSES_WAITING and bool(stalls & 0xC)
        bus.awready.next = self._address_ready
        self._data_ready = self._credit >= self._cost and len(self._beats) < BEATS_WAITING and bool(stalls & 0x30)
        bus.wready.next = self._data_ready

    def _store(self, now: int) -> None:
        burst = self._bursts[0]
        address, left, _ = burst
        data = self._beats.popleft()
        if self._memory.holds(address, self._beat):
            self._memory.write(address, data.to_bytes(self._beat, "little"))
        else:
            burst[2] = int(Response.DECERR)
        if left == 1:
            self._bursts.popleft()
            self._responses.append((burst[2], now + self._latency))
        else:
            burst[0], burst[1] = address + self._beat, left - 1

"""LiteX's bridges as a ``Bus``: a UARTBone on a serial port, and LiteX's server, with any other bridge behind it.

The protocols are LiteX's own classes. What is added here is that no wait is without end, and that a line that fails is
an error: LiteX's client takes zeros for an answer that does not come.
"""

from __future__ import annotations

import errno
import os
import re
import socket
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from litex.tools.litex_client import RemoteClient
from litex.tools.remote.comm_uart import CommUART

from myhdl_fsa.fpga.host.bus import Bus, BusError

__all__ = [
    "CannotOpen",
    "MOST_READ",
    "PATIENCE",
    "SETTLE",
    "SLOWEST",
    "SerialBus",
    "ServerBus",
    "TALKS",
    "UNDER_WAY",
    "patience",
]

PATIENCE = 2.0
"""seconds without an answer after which a line is given up, beside those that the line needs"""
UNDER_WAY = 4096
"""bytes that may be under way on a line before an answer is due; more than ``driver.CHUNK`` words and a burst back"""
_SHOWN = 40
"""characters of what comes unasked"""
SLOWEST = 9600
"""baud of a line behind a server, whose rate nobody says"""
SETTLE = 0.15
"""seconds of silence after which a UARTBone forgets a command that was cut short; it says 0.1"""
TALKS = 10.0
"""seconds that a console may talk on a line before the bridge has it"""
MOST_READ = 255
"""words of a read: UARTBone and Etherbone count them in a byte"""


def patience(baud: int) -> float:
    """Seconds until an answer must have come; a byte is ten bits on the line."""
    return PATIENCE + 10 * UNDER_WAY / baud


class CannotOpen(BusError):
    """A port or a server that is not there, or is not ours to use."""


class _NoAnswer(Exception):
    """Nothing came for as long as ``patience``."""


class _Uart(CommUART):
    """LiteX's UARTBone host, which waits no longer than the port's timeout."""

    def _read(self, length: int) -> bytes:
        found: bytes = self.port.read(length)
        if len(found) < length:
            raise _NoAnswer
        return found


class SerialBus(Bus):
    """A UARTBone at the other end of a serial port, or of what pyserial knows by URL, as ``socket://host:port``."""

    read_burst = MOST_READ
    # CommUART cuts longer ones into such commands, and counts the address on where it must not
    write_burst = push_burst = 8

    def __init__(self, port: str, baud: int) -> None:
        """Waits until the line is silent. Raises CannotOpen, and BusError for a line that never is."""
        self.name = port
        self._line = port if "://" in port else f"{port} at {baud} baud"
        try:
            self._uart = _Uart(port, baud)
            self._uart.port.exclusive = True
            self._uart.port.timeout, self._uart.port.write_timeout = SETTLE, patience(baud)
        except (OSError, ValueError, termios.error) as error:
            raise CannotOpen(f"{port or repr(port)}: cannot open: {_reason(error)}") from None
        try:
            with self._named():
                self._hush()
                self._uart.port.timeout = patience(baud)
        except BaseException:
            self.close()
            raise

    def _hush(self) -> None:
        """Drops what comes until nothing does: the rest of an earlier run, or a console that shares the line."""
        due = time.monotonic() + TALKS
        while came := self._uart.port.read(4096):
            if time.monotonic() > due:
                text = came[-_SHOWN:].decode("ascii", "replace")
                raise BusError(f"{self._line}: is never silent, as if a console had it: {text!r}")

    def read_one(self, address: int, count: int) -> list[int]:
        """As Bus."""
        with self._named():
            found: list[int] = self._uart.read(address, count)
            return found

    def write_one(self, address: int, words: Sequence[int]) -> None:
        """As Bus."""
        with self._named():
            self._uart.write(address, list(words))

    def push_one(self, address: int, words: Sequence[int]) -> None:
        """As Bus."""
        with self._named():
            self._uart.write(address, list(words), burst="fixed")

    def close(self) -> None:
        """As Bus."""
        with suppress(OSError, termios.error):
            # closing would wait for what a board that is gone does not take
            self._uart.port.reset_output_buffer()
        with suppress(OSError, termios.error):
            self._uart.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except _NoAnswer:
            raise BusError(f"{self._line}: no answer in {self._uart.port.timeout:.1f} s") from None
        except (OSError, termios.error) as error:
            raise BusError(f"{self.name}: the line is lost: {_reason(error)}") from None


class _Client(RemoteClient):
    """LiteX's client, for which no answer is an error."""

    # RemoteClient's own constructor reads any csr.csv that lies in the current folder
    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.csr_data_width = self.csr_bus_address_width = 32
        self.base_address, self.debug, self.binded = 0, False, True
        self.socket = socket.create_connection((host, port), patience(SLOWEST))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def receive_packet(self, connection: Any, addr_size: int) -> bytes:
        """As RemoteClient. Raises _NoAnswer."""
        found = super().receive_packet(connection, addr_size)
        if not isinstance(found, bytes):
            raise _NoAnswer
        return found


class ServerBus(Bus):
    """A board behind LiteX's server, ``litex_server``, whatever bridge that uses."""

    read_burst = write_burst = MOST_READ
    # Etherbone writes to addresses one after the other, so that a word to the queue is a packet
    push_burst = 1

    def __init__(self, host: str, port: int) -> None:
        """Raises CannotOpen."""
        self.name = f"{host}:{port}"
        try:
            self._client = _Client(host, port)
        except (OSError, ValueError) as error:
            raise CannotOpen(f"{self.name}: cannot connect: {_reason(error)}") from None
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        """Reads who the server says it is: its bridge, address and port."""
        try:
            said = self._client.socket.recv(128).decode(errors="replace")
        except TimeoutError:
            said = ""
        except OSError as error:
            raise CannotOpen(f"{self.name}: cannot connect: {_reason(error)}") from None
        found = re.fullmatch(r"(\w+):.*:\d+", said)
        if found is None:
            raise CannotOpen(f"{self.name}: does not greet as LiteX's server, litex_server, does")
        if found[1] == "CommPCIe":
            raise CannotOpen(f"{self.name}: is a bridge over PCIe, which does not reach the SoC's memory")

    def read_one(self, address: int, count: int) -> list[int]:
        """As Bus."""
        with self._named():
            try:
                found: list[int] = self._client.read(address, count)
            except (AttributeError, IndexError, struct.error):
                found = []
        if len(found) != count:
            raise BusError(f"{self.name}: what came is no answer of Etherbone to a read of {count} words")
        return found

    def write_one(self, address: int, words: Sequence[int]) -> None:
        """As Bus."""
        with self._named():
            self._client.write(address, list(words))

    def push_one(self, address: int, words: Sequence[int]) -> None:
        """As Bus."""
        self.write_one(address, words)

    def close(self) -> None:
        """As Bus."""
        with suppress(OSError):
            self._client.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except _NoAnswer:
            raise BusError(f"{self.name}: no answer: the server, or the board behind it, is gone") from None
        except OSError as error:
            raise BusError(f"{self.name}: the line is lost: {_reason(error)}") from None


_SAID = {
    errno.EACCES: "Permission denied: only root and the port's group may use it, which is dialout in most systems",
    errno.EAGAIN: "another program uses it",
    errno.ENOTTY: "it is no serial port",
}


def _reason(error: Exception) -> str:
    """What went wrong, without the name and the number that come before it."""
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    text = " ".join(str(error).split())
    # pyserial writes the number of the error under its own into the text
    found = re.search(r"\[Errno (\d+)\]|\((\d+), ", text)
    number = getattr(error, "errno", None) or (found and int(found[1] or found[2]))
    return _SAID.get(number, os.strerror(number)) if number else text or type(error).__name__

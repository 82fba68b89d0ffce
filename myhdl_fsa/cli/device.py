"""Options of the whole device: its memory's and host's pace, and programs of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import numpy as np

from myhdl_fsa.config import Config
from myhdl_fsa.program import Program, Region, Timing, memory_fault

MAX_WORDS = 1 << 22
"""32-bit words of a program file, at most"""
_LONGEST = 1_000_000


class ReadWrite(click.ParamType):
    """One value for reads and writes, or two with a comma."""

    name = "READ[,WRITE]"

    def __init__(self, allowed: str) -> None:
        self.allowed = allowed

    def one(self, text: str) -> Any:
        """A value. Raises ValueError."""
        raise NotImplementedError

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The pair."""
        if not isinstance(value, str):
            return value
        parts = value.split(",")
        try:
            if len(parts) > 2:
                raise ValueError
            values = [self.one(part.strip()) for part in parts]
        except (ValueError, ZeroDivisionError):
            self.fail(f"{value!r}: must be {self.allowed}, or two of that with a comma: reads, writes", param, ctx)
        return values[0], values[-1]


class Latency(ReadWrite):
    """Cycles."""

    def __init__(self) -> None:
        super().__init__(f"cycles from 1 to {_LONGEST}")

    def one(self, text: str) -> int:
        """Raises ValueError."""
        if not 1 <= int(text) <= _LONGEST:
            raise ValueError
        return int(text)


class Bandwidth(ReadWrite):
    """Beats a cycle."""

    def __init__(self) -> None:
        super().__init__("beats a cycle, above 0 and at most 1, as 0.02 or 1/50")

    def one(self, text: str) -> Fraction:
        """Raises ValueError."""
        value = Fraction(text).limit_denominator(100_000) if len(text) < 32 else Fraction(0)
        if not 0 < value <= 1:
            raise ValueError
        return value


@dataclass(frozen=True)
class Load:
    """``--load ADDR=FILE.npy``."""

    address: int
    path: Path


@dataclass(frozen=True)
class Dump:
    """``--dump ADDR:BYTES=FILE.bin``."""

    region: Region
    path: Path


class LoadType(click.ParamType):
    """A file's contents at an address."""

    name = "ADDR=FILE.npy"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The Load."""
        if isinstance(value, Load):
            return value
        found = re.fullmatch(r"(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})=(.+)", value)
        if found is None:
            self.fail(f"{value!r}: must be ADDR=FILE.npy, the address in bytes, as 0x80000000", param, ctx)
        return Load(int(found[1], 0), Path(found[2]))


class DumpType(click.ParamType):
    """A stretch of memory, to a file."""

    name = "ADDR:BYTES=FILE.bin"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The Dump."""
        if isinstance(value, Dump):
            return value
        number = r"(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19})"
        found = re.fullmatch(f"{number}:{number}=(.+)", value)
        if found is None or int(found[2], 0) == 0:
            self.fail(f"{value!r}: must be ADDR:BYTES=FILE.bin, as 0x80000000:64=o.bin", param, ctx)
        return Dump(Region(int(found[1], 0), int(found[2], 0)), Path(found[3]))


def timing_of(latency: Any, bandwidth: Any, stall: int | None, push_interval: int) -> Timing:
    """What the options say of memory and host; None is the default."""
    reads, writes = latency or (1, 1)
    read_bandwidth, write_bandwidth = bandwidth or (Fraction(1), Fraction(1))
    return Timing(reads, writes, read_bandwidth, write_bandwidth, stall, push_interval)


def read_program(path: Path, loads: tuple[Load, ...], dumps: tuple[Dump, ...], config: Config) -> Program:
    """The program of ``--program``, ``--load`` and ``--dump``. Raises click.UsageError of one line."""
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_WORDS + 1)
    except OSError as error:
        raise click.UsageError(f"--program {path}: cannot read: {error.strerror or error}") from None
    words = _assembled(path, data) if path.suffix == ".s" else _binary(path, data)
    memory = tuple((load.address, _contents(load)) for load in loads)
    for (address, contents), load in zip(memory, loads, strict=True):
        _check_inside(f"--load {address:#x}={load.path}", Region(address, len(contents)), config)
    for dump in dumps:
        _check_inside(f"--dump {dump.region.address:#x}:{dump.region.size}={dump.path}", dump.region, config)
    return Program(words, memory, tuple(dump.region for dump in dumps))


def _binary(path: Path, data: bytes) -> tuple[int, ...]:
    if not data or len(data) % 4 or len(data) > 4 * MAX_WORDS:
        size = f"more than {4 * MAX_WORDS}" if len(data) > 4 * MAX_WORDS else str(len(data))
        raise click.UsageError(f"--program {path}: {size} bytes: must be 1 to {MAX_WORDS} little-endian 32-bit words")
    return tuple(np.frombuffer(data, "<u4").tolist())


def _assembled(path: Path, data: bytes) -> tuple[int, ...]:
    from myhdl_fsa.kernel.assembly import assemble

    try:
        words = tuple(assemble(data.decode()))
    except ValueError as error:
        raise click.UsageError(f"--program {path}: {error}") from None
    if not words:
        raise click.UsageError(f"--program {path}: no instruction: must hold at least one")
    return words


def _contents(load: Load) -> bytes:
    path = load.path
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise click.UsageError(f"--load {path}: cannot read: {error.strerror or error}") from None
    except Exception:  # numpy's header parser raises whatever a damaged header makes it raise
        raise click.UsageError(f"--load {path}: is not a .npy file of numbers") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "uif":
        raise click.UsageError(f"--load {path}: must hold integers or floating-point numbers")
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _check_inside(what: str, region: Region, config: Config) -> None:
    wrong = memory_fault(region, config)
    if wrong:
        raise click.UsageError(f"{what}: {region.size} bytes: {wrong}")

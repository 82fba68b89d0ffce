"""Programs of one's own: the files that ``--program`` and ``--load`` name."""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from myhdl_fsa.cli.command import said
from myhdl_fsa.cli.types import Dump, Load
from myhdl_fsa.config import Config
from myhdl_fsa.program import Program, Region, memory_fault
from myhdl_fsa.scale import Scale

__all__ = ["MAX_WORDS", "read_program", "usable_scale"]

MAX_WORDS = 1 << 22
"""32-bit words of a program file, at most"""
_TEXT = bytes([*b"\t\n\r", *range(0x20, 0x7F)])


def read_program(
    path: Path, loads: tuple[Load, ...], dumps: tuple[Dump, ...], config: Config, scale: float | None
) -> Program:
    """The program of ``--program``, ``--load``, ``--dump`` and ``--scale``. Raises click.UsageError of one line."""
    factors = None if scale is None else usable_scale(config, scale, config.rows)
    try:
        with path.open("rb") as file:
            data = file.read(4 * MAX_WORDS + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise click.UsageError(f"--program {path}: cannot read: {why}") from None
    words = _assembled(path, data) if path.suffix.lower() == ".s" else _binary(path, data)
    memory = tuple((load.address, _contents(load)) for load in loads)
    for (address, contents), load in zip(memory, loads, strict=True):
        _check_inside(f"--load {load.text}", Region(address, len(contents)), config)
    for dump in dumps:
        _check_inside(f"--dump {dump.text}", dump.region, config)
    return Program(words, memory, tuple(dump.region for dump in dumps), scale=factors)


def usable_scale(config: Config, scale: float | None, head_dim: int) -> Scale:
    """``Scale.of``. Raises click.UsageError of one line, of --scale or of the configuration whose own it is."""
    try:
        return Scale.of(config, scale, head_dim)
    except ValueError as error:
        reason = str(error) if scale is None else str(error).partition(": ")[2]
        raise click.UsageError(f"{said('--config' if scale is None else '--scale')}: {reason}") from None


def _binary(path: Path, data: bytes) -> tuple[int, ...]:
    # Words have zero bytes in them; a file of printable lines is text under a name that does not say so.
    if b"\n" in data and not data.translate(None, _TEXT):
        raise click.UsageError(f"--program {path}: holds text: a program as text must have a name that ends in .s")
    if not data or len(data) % 4 or len(data) > 4 * MAX_WORDS:
        size = f"more than {4 * MAX_WORDS}" if len(data) > 4 * MAX_WORDS else str(len(data))
        raise click.UsageError(f"--program {path}: {size} bytes: must be 1 to {MAX_WORDS} little-endian 32-bit words, "
                               "or text under a name that ends in .s")
    return tuple(np.frombuffer(data, "<u4").tolist())


def _assembled(path: Path, data: bytes) -> tuple[int, ...]:
    from myhdl_fsa.kernel.assembly import assemble

    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data[:error.start].count(b"\n") + 1
        raise click.UsageError(
            f"--program {path}: line {line}: byte {data[error.start]:#04x} is not UTF-8: a name that ends in "
            f"{path.suffix} must hold a program as text; binary words need another name, as {path.stem}.bin"
        ) from None
    try:
        words = tuple(assemble(text))
    except ValueError as error:
        raise click.UsageError(f"--program {path}: {error}") from None
    if not words:
        raise click.UsageError(f"--program {path}: no instruction: must hold at least one")
    return words


def _contents(load: Load) -> bytes:
    try:
        array = np.load(load.path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise click.UsageError(f"--load {load.text}: cannot read: {error.strerror or error}") from None
    except Exception:  # numpy's header parser raises whatever a damaged header makes it raise
        raise click.UsageError(f"--load {load.text}: is not a .npy file of numbers") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "uif":
        raise click.UsageError(f"--load {load.text}: must hold integers or floating-point numbers")
    return np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()


def _check_inside(what: str, region: Region, config: Config) -> None:
    wrong = memory_fault(region, config)
    if wrong:
        raise click.UsageError(f"{what}: {region.size} bytes: {wrong}")

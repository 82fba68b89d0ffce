"""Output files that appear whole or not at all: written beside their place, then renamed onto it."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["OutputError", "atomic_path", "check_writable", "is_device", "write_atomic", "write_standard_output"]


class OutputError(Exception):
    """An output that cannot be written; the message is one line saying why."""


def check_writable(path: Path) -> None:
    """Raises OutputError when ``path`` cannot be written. Leaves nothing behind and does not touch an existing file."""
    try:
        if path.is_dir():
            raise OutputError("is a directory")
        if path.exists() and not os.access(path, os.W_OK):
            raise OutputError("is not writable")
        if is_device(path):
            return
        parent = _target(path).parent
        if not parent.is_dir():
            raise OutputError(f"{parent} is not an existing directory")
        # Access bits do not tell about read-only file systems or names that are too long: try it.
        probe = _beside(path, path.suffix)
        probe.touch(exist_ok=False)
        probe.unlink()
    except (OSError, ValueError) as error:
        raise OutputError(_reason(error)) from None


def write_atomic(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path``, whole or not at all. Raises OutputError."""
    try:
        if is_device(path):
            # Appending, because /dev/stdout may be a file that holds what was printed before.
            with path.open("ab") as file:
                file.write(data)
            return
        with atomic_path(path) as beside, beside.open("xb") as file:
            file.write(data)
    except OSError as error:
        raise OutputError(_reason(error)) from None


def write_standard_output(data: bytes) -> None:
    """Writes ``data`` there, after what was printed before.

    Raises OutputError, but BrokenPipeError where nobody reads any more.
    """
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(_reason(error)) from None


@contextmanager
def atomic_path(path: Path, suffix: str | None = None, keep: tuple[type[BaseException], ...] = ()) -> Iterator[Path]:
    """Yields a path beside ``path`` to write to; it becomes ``path`` when the block ends and is removed if that raises.

    ``suffix`` (with its dot) is for writers that insist on one. An exception of a type in ``keep`` still renames, then
    goes on its way: for writers whose file is whole even when they fail.
    """
    beside = _beside(path, path.suffix if suffix is None else suffix)
    try:
        try:
            yield beside
        except keep:
            if beside.exists():
                beside.replace(_target(path))
            raise
        beside.replace(_target(path))
    finally:
        beside.unlink(missing_ok=True)


def is_device(path: Path) -> bool:
    """True for what must be written in place, not replaced: /dev/null, /dev/stdout, pipes."""
    absolute = Path(os.path.abspath(path))
    return absolute.parts[:2] in (("/", "dev"), ("/", "proc")) or (path.exists() and not path.is_file())


def _target(path: Path) -> Path:
    # A symbolic link stays; the file it leads to is replaced.
    return Path(os.path.realpath(path))


def _beside(path: Path, suffix: str) -> Path:
    target = _target(path)
    return target.with_name(f".{target.stem[:100]}-{secrets.token_hex(4)}{suffix}")


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

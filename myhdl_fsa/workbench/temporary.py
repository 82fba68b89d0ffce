"""Temporary folders that also a killed process does not leave for good: the next one that makes its own discards them.

A folder is locked for as long as its process lives, so whoever gets the lock of another's knows that it was abandoned.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["PREFIX", "discard_abandoned", "size_of", "temporary_folder"]

PREFIX = "myhdl-fsa-"
_ABANDONED_AFTER = 24 * 3600
"""seconds after which a folder is discarded on a file system that locks no folders"""


@contextmanager
def temporary_folder(parent: Path | None = None, prefix: str = PREFIX) -> Iterator[Path]:
    """A new folder below ``parent`` (None: the system's place), removed at the end if it is still there.

    Removes those that killed processes left there under this ``prefix``. Raises OSError.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    discard_abandoned(parent, prefix)
    folder, held = _locked(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def discard_abandoned(parent: Path, prefix: str = PREFIX) -> int:
    """Removes the folders of this user below ``parent`` whose process was killed; returns how many bytes they held."""
    freed = 0
    for folder in parent.glob(f"{prefix}*"):
        with suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                if _abandoned(held):
                    size = size_of(folder)
                    shutil.rmtree(folder, ignore_errors=True)
                    freed += size
            finally:
                os.close(held)
    return freed


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size if not path.is_dir() else 0
    return total


def _locked(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        # between its making and its locking another process may take it for abandoned
        try:
            held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        with suppress(OSError):  # see _abandoned
            fcntl.flock(held, fcntl.LOCK_EX)
        if os.fstat(held).st_nlink:
            return folder, held
        os.close(held)


def _abandoned(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        return time.time() - os.fstat(held).st_mtime > _ABANDONED_AFTER

"""How large the build cache gets, and emptying it. Entries in use by a running process stay."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from myhdl_fsa.engine.request import RunError
from myhdl_fsa.workbench.temporary import discard_abandoned, size_of, temporary_folder

__all__ = [
    "BUILDING",
    "CacheLimitError",
    "Cleared",
    "DEFAULT_MIB",
    "KINDS",
    "LIMIT_VARIABLE",
    "LOCKS",
    "MARKER",
    "clear",
    "limit",
    "shrink",
]

KINDS = ("verilator", "icarus", "lockstep", "litex", "soc")
"""the cache's folders"""
MARKER = "complete.json"
BUILDING = ".building-"
LOCKS = ".locks"
LIMIT_VARIABLE = "MYHDL_FSA_CACHE_MIB"
DEFAULT_MIB = 2048
_ENTRY = re.compile(r"(?:[\w.-]+-)?[0-9a-f]{32}(?:-vcd|-fst)?")
"""names of entries: nothing else below a folder that the user named is removed"""


class CacheLimitError(RunError):
    """The environment names a limit that is none; the message is one line."""


@dataclass
class Cleared:
    """What ``clear`` did."""

    builds: int = 0
    """removed"""
    freed: int = 0
    """bytes"""
    in_use: int = 0
    """builds that stayed because a running process uses them or is making them"""
    failures: list[str] = field(default_factory=list)
    """a line for each folder that could not be removed"""


def limit() -> int:
    """Bytes that the cache may hold: the environment's, or 2 GiB. Raises CacheLimitError."""
    given = os.environ.get(LIMIT_VARIABLE, "")
    if not given:
        return DEFAULT_MIB << 20
    if not re.fullmatch(r"[0-9]{1,12}", given):
        raise CacheLimitError(f"{LIMIT_VARIABLE} {given}: must be a whole number of MiB, from 0")
    return int(given) << 20


def shrink(root: Path, most: int) -> None:
    """Removes the entries used longest ago until the rest, of all kinds, hold ``most`` bytes, or all are in use."""
    entries = sorted((_used(folder), folder, size_of(folder)) for folder in _entries(root))
    total = sum(size for _, _, size in entries)
    for _, folder, size in entries:
        if total <= most:
            break
        # a cache that cannot be made smaller is no reason to stop a run
        with suppress(OSError):
            if _remove(folder):
                total -= size
    for kind in KINDS:
        _forget(root / kind)


def clear(root: Path) -> Cleared:
    """Removes every entry and whatever killed builds left; nothing that is not the cache's own."""
    done = Cleared()
    for kind in KINDS:
        done.freed += discard_abandoned(root / kind, BUILDING)
    for folder in list(_entries(root)):
        size = size_of(folder)
        try:
            removed = _remove(folder)
        except OSError as error:
            done.failures.append(f"{folder}: {error.strerror or error}")
            continue
        if removed:
            done.builds += 1
            done.freed += size
        else:
            done.in_use += 1
    for kind in KINDS:
        place = root / kind
        try:
            _forget(place)
            done.in_use += _unlock(place / LOCKS)
        except OSError as error:
            done.failures.append(f"{place}: {error.strerror or error}")
        with suppress(OSError):
            (place / ".lock").unlink(missing_ok=True)  # of earlier versions
            place.rmdir()
    return done


def _entries(root: Path) -> Iterator[Path]:
    for kind in KINDS:
        with suppress(OSError):
            yield from (path for path in (root / kind).iterdir() if _ENTRY.fullmatch(path.name) and path.is_dir())


def _used(folder: Path) -> float:
    """When it was used last, in seconds; an entry without a marker never was."""
    try:
        return (folder / MARKER).stat().st_mtime
    except OSError:
        return 0.0


def _remove(folder: Path) -> bool:
    """Removes an entry; False when it is in use. Raises OSError."""
    with _free(folder / MARKER) as free:
        if not free:
            return False
        # away under its name at once, and for good by and by
        with temporary_folder(folder.parent, BUILDING) as bin_:
            folder.rename(bin_ / "entry")
    return True


@contextmanager
def _free(marker: Path) -> Iterator[bool]:
    """Whether no process holds ``marker``; none gets hold of it meanwhile."""
    try:
        file = marker.open("rb+")
    except FileNotFoundError:
        yield True
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except BlockingIOError:
            free = False
        except OSError:  # a file system without locks
            free = True
        yield free


def _forget(place: Path) -> None:
    """Removes the keys that lead to no entry."""
    for key in place.glob("*.entry"):
        if re.fullmatch(r"[0-9a-f]{32}", key.stem):
            with suppress(OSError, ValueError):
                if not (place / key.read_text().strip()).is_dir():
                    key.unlink()


def _unlock(locks: Path) -> int:
    """Removes the locks that nobody holds; returns how many are held, each by a build that goes on."""
    from filelock import FileLock, Timeout

    held = 0
    for path in locks.glob("*.lock"):
        try:
            with FileLock(path, timeout=0):
                path.unlink()
        except Timeout:
            held += 1
    with suppress(OSError):
        locks.rmdir()
    return held

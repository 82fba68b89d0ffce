"""A waveform's file: whole in its place or not there at all, whoever writes it."""

from __future__ import annotations

import errno
import os
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from myhdl_fsa.engine.request import RunError, Watch, WaveformError
from myhdl_fsa.sims.waves.scopes import PERIOD
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["FATAL_SIGNALS", "check_bounds", "check_fst", "last_time", "waveform_file"]

_HEADER, _HIERARCHY, _CHANGES, _GEOMETRY = 0, (4, 6, 7), (1, 5, 8), 3
"""types of an FST file's blocks"""
_NO_SPACE = os.strerror(errno.ENOSPC)
FATAL_SIGNALS: dict[int, str] = {signal.SIGBUS: _NO_SPACE, signal.SIGXFSZ: os.strerror(errno.EFBIG)}
"""what the end of a process that writes a waveform says: FST is written through a map of the file in memory"""


_FOLDER = ".myhdl-fsa-waveform-"


@contextmanager
def waveform_file(target: Path) -> Iterator[Path]:
    """Yields a path in a folder of its own beside ``target``; the file there becomes ``target`` when the block ends.

    Nothing else is left behind, however the block ends. Raises WaveformError for any OSError of the block.
    """
    try:
        with temporary_folder(target.parent, _FOLDER) as folder:
            path = folder / f"waveform{target.suffix}"
            yield path
            os.replace(path, target)
    except OSError as error:
        raise WaveformError(target, error.strerror or str(error)) from None


def check_bounds(watch: Watch, cycles: int, check_limit: Callable[[], None]) -> None:
    """Raises RunError when a run of that many cycles ended before the first that its waveform is to show.

    That may be the cycle limit's doing: ``check_limit`` raises RunError if so.
    """
    if cycles <= watch.wave_from:
        check_limit()
        raise RunError(f"no waveform: the run ended in cycle {cycles - 1}, before cycle {watch.wave_from}")


def last_time(watch: Watch, cycles: int) -> int:
    """The time, in nanoseconds, of the last change in the waveform of a run of that many cycles: its clock's."""
    last = cycles - 1 if watch.wave_to is None else min(cycles - 1, watch.wave_to)
    return last * PERIOD + PERIOD // 2


def check_fst(path: Path, end: int) -> None:
    """Raises OSError unless ``path`` is an FST file that is whole up to its last time, ``end``.

    The library that Icarus and Verilator write FST with does not look at what its writes give. A file that lost one of
    them lacks a block, or has one that does not end where the next begins, or whose list of times is torn.
    """
    data = path.read_bytes()
    blocks, at = [], 0
    while at + 9 <= len(data):
        length = int.from_bytes(data[at + 1:at + 9], "big")
        blocks.append((data[at], data[at + 9:at + 1 + length]))
        if length < 8:
            break
        at += 1 + length
    kinds = {kind for kind, _ in blocks}
    changes = [body for kind, body in blocks if kind in _CHANGES]
    header = next((body for kind, body in blocks if kind == _HEADER), b"")
    whole = (
        at == len(data) and _HEADER in kinds and _GEOMETRY in kinds and not kinds.isdisjoint(_HIERARCHY)
        and int.from_bytes(header[8:16], "big") == end and len(changes) > 0
        and int.from_bytes(changes[-1][8:16], "big") == end and all(map(_has_times, changes))
    )
    if not whole:
        raise OSError(errno.ENOSPC, _NO_SPACE)


def _has_times(body: bytes) -> bool:
    """Whether a block of changes ends with the list of its times."""
    length, packed = int.from_bytes(body[-24:-16], "big"), int.from_bytes(body[-16:-8], "big")
    if packed > len(body) - 24:
        return False
    times = body[len(body) - 24 - packed:len(body) - 24]
    try:
        return length == len(times) or len(zlib.decompress(times)) == length
    except zlib.error:
        return False

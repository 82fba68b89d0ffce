"""Starts the tools: compilers, simulators, make. None of them outlives the block that started it, nor this process.

A tool runs in a process group with all that it starts. The group's leader is a shell that does nothing but read from a
pipe whose other end only this process holds: when this process dies, even by SIGKILL, the shell sees the end of the
pipe and kills the group. (PR_SET_PDEATHSIG reaches no further than the tool itself, not the compilers below make.)
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["run", "started"]

_WATCH = "read -r end; kill -KILL 0"
_OUTER_MAKE = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
"""`make test` is no parent to a tool's own make"""
_TEMPORARY = ("TMPDIR", "TMP", "TEMP")
_DYING = 5.0
"""seconds to wait for a killed group to let go of its files"""


@contextmanager
def started(
    command: Sequence[str], folder: Path | None = None, scratch: Path | None = None, **streams: Any
) -> Iterator[subprocess.Popen[str]]:
    """A tool that runs in ``folder`` while the block does; the block's end waits for it, an exception kills it.

    ``scratch`` is where it puts its temporary files (None: where the system has them); ``streams`` are Popen's stdout
    and stderr. It reads nothing. Raises OSError when it cannot be started.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OUTER_MAKE}
    if scratch is not None:
        environment |= dict.fromkeys(_TEMPORARY, os.path.abspath(scratch))
    with _group() as group, subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, text=True, errors="replace",
        process_group=group, **streams,
    ) as process:
        try:
            yield process
            process.wait()
        except BaseException:
            _kill(group)
            _wait_for_all(process)
            raise


def run(
    command: Sequence[str], folder: Path | None = None, *, scratch: Path | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a tool to its end and returns its status and what it printed.

    Raises OSError when it cannot be started, and subprocess.TimeoutExpired after ``timeout`` seconds.
    """
    with started(command, folder, scratch, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        stdout, stderr = process.communicate(timeout=timeout)
    return subprocess.CompletedProcess(list(command), process.returncode, stdout, stderr)


@contextmanager
def _group() -> Iterator[int]:
    """A process group that ends with the block or with this process."""
    read_end, write_end = os.pipe()
    try:
        try:
            watcher = subprocess.Popen(["/bin/sh", "-c", _WATCH], stdin=read_end, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL, process_group=0)
        finally:
            os.close(read_end)
        with watcher:
            try:
                yield watcher.pid
            finally:
                # also what the tool started and left behind
                _kill(watcher.pid)
    finally:
        os.close(write_end)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


def _wait_for_all(process: subprocess.Popen[str]) -> None:
    """Until the last of a killed group has closed its output: what dies may still be writing its files."""
    with suppress(subprocess.TimeoutExpired, ValueError, OSError):
        process.communicate(timeout=_DYING)

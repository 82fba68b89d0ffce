"""A folder of built programs that is reused from run to run and never trusted unseen.

    <root>/<kind>/<entry>/            what one build left, and complete.json, written last: a hash of every file
    <root>/<kind>/<digest>.entry      the name of the entry that something cheaper to know than the entry's name led to
    <root>/<kind>/.locks/             a lock per entry, held by the run that builds it: another run waits for it
    <root>/<kind>/.building-*/        a build that goes on, or was killed: the next build discards it

An entry is built in a folder beside its place and renamed onto it. An entry whose files do not match its marker is
built again. A process holds its entries' markers (a shared lock), so that ``cache_space`` does not remove what it uses.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import platformdirs

from myhdl_fsa.engine.request import RunError
from myhdl_fsa.sims.cache_space import BUILDING, LOCKS, MARKER, limit, shrink
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["BuildCache", "default_root", "digest", "package_digest", "require", "run_tool"]

_in_use: deque[BinaryIO] = deque()
"""the markers of the entries that this process used last, each with a shared lock"""
_IN_USE_AT_ONCE = 8


def default_root() -> Path:
    """The user's cache folder for this program."""
    return Path(platformdirs.user_cache_dir("myhdl-fsa"))


def digest(parts: Iterable[str | bytes]) -> str:
    """32 hex digits of ``parts``, each told apart from the next."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little") + data)
    return total.hexdigest()[:32]


def package_digest() -> str:
    """A digest of the Python files of the installed package: equal ones convert to equal Verilog."""
    import myhdl_fsa
    import myhdl_fsa.convert
    import myhdl_fsa.sims

    files: set[str] = set()
    for package in (myhdl_fsa, myhdl_fsa.convert, myhdl_fsa.sims):
        for base in package.__path__:
            for folder, _, names in os.walk(base, followlinks=True):
                files |= {os.path.realpath(os.path.join(folder, name)) for name in names if name.endswith(".py")}
    return digest(sorted(hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files))


class BuildCache:
    """The entries of one ``kind`` below ``root`` (None: the user's cache folder).

    ``say`` is told, in a line, of a build and of waiting for that of another run. Every method raises RunError when the
    folder cannot be used.
    """

    def __init__(self, kind: str, root: Path | None = None, say: Callable[[str], None] | None = None) -> None:
        self._root = default_root() if root is None else Path(os.path.abspath(root))
        self._folder = self._root / kind
        self._say = say or (lambda text: None)
        self._limit = limit()

    def find(self, entry: str) -> Path | None:
        """The folder of a complete entry, or None."""
        folder = self._folder / entry
        try:
            held = _hold(folder)
        except (OSError, ValueError):  # no such entry, or no such name
            return None
        try:
            marker = json.loads(held.read())
            if marker and marker == _hashes(folder):
                with suppress(OSError):
                    os.utime(folder / MARKER)
                _keep(held)
                return folder
        except (OSError, ValueError, RecursionError):
            pass
        held.close()
        return None

    def find_by(self, key: str) -> Path | None:
        """The folder of the complete entry that ``key`` led to earlier, or None."""
        try:
            entry = self._key_file(key).read_text().strip()
        except (OSError, ValueError):
            return None
        return self.find(entry) if entry and Path(entry).name == entry else None

    def get(
        self, entry: str, build: Callable[[Path], None], key: str | None = None, about: str = ""
    ) -> Path:
        """The folder of ``entry``, filled by ``build(empty folder)`` unless complete; ``key`` will find it too.

        ``about`` is said before a build that takes a while.
        """
        folder = self.find(entry)
        if folder is None:
            with self._errors(), self._locked(entry):
                # a run that was waited for has built it
                folder = self.find(entry) or self._build(entry, build, about)
                shrink(self._root, self._limit)
        if key is not None:
            # only saves time, so a folder that cannot be written is no error here
            with suppress(OSError), temporary_folder(self._folder, BUILDING) as beside:
                (beside / "key").write_text(f"{entry}\n")
                (beside / "key").replace(self._key_file(key))
        return folder

    def _build(self, entry: str, build: Callable[[Path], None], about: str) -> Path:
        if about:
            self._say(about)
        with temporary_folder(self._folder, BUILDING) as scratch:
            # a folder of its own, because temporary ones are closed to other users
            building = scratch / "entry"
            building.mkdir()
            build(building)
            (building / MARKER).write_text(json.dumps(_hashes(building), indent=1))
            _keep(_hold(building))
            folder = self._folder / entry
            if os.path.lexists(folder):
                folder.rename(scratch / "broken")
            building.rename(folder)
        return folder

    def _key_file(self, key: str) -> Path:
        return self._folder / f"{key}.entry"

    @contextmanager
    def _locked(self, entry: str) -> Iterator[None]:
        """Nobody else builds ``entry`` meanwhile. A killed process lets go of its lock."""
        from filelock import FileLock, Timeout  # takes longer to import than a small simulation

        locks = self._folder / LOCKS
        locks.mkdir(parents=True, exist_ok=True)
        lock = FileLock(locks / f"{entry}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._say("waiting for another run, which is building the same simulator")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(
                f"cannot build in {self._folder}: {error.strerror or error}: choose another folder with --build-dir"
            ) from None


def require(tool: str, install: str) -> str:
    """The path of an executable. Raises RunError with the command that installs it."""
    path = shutil.which(tool)
    if path is None:
        raise RunError(f"{tool} is not installed: run `{install}`")
    return path


def run_tool(command: Sequence[str], folder: Path) -> None:
    """Runs a build command in ``folder``, also for its temporary files. Raises RunError when it fails."""
    done = tools.run(command, folder, scratch=folder)
    if done.returncode:
        raise RunError(f"{Path(command[0]).name} failed: {_first_error(done.stderr + done.stdout)}")


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines[-1:] or ["no message"])[0][:400]


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an entry by its path, the marker left out."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MARKER
    }


def _hold(folder: Path) -> BinaryIO:
    """The marker of an entry, which nobody removes until it is closed. Raises OSError when there is none."""
    marker = (folder / MARKER).open("rb")
    with suppress(OSError):  # a file system without locks
        fcntl.flock(marker, fcntl.LOCK_SH)
    return marker


def _keep(marker: BinaryIO) -> None:
    _in_use.append(marker)
    if len(_in_use) > _IN_USE_AT_ONCE:
        _in_use.popleft().close()

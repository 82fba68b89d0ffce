"""A folder of built programs that is reused from run to run and never trusted unseen.

    <root>/<kind>/<entry>/            what one build left, and complete.json, written last: a hash of every file
    <root>/<kind>/<digest>.entry      the name of the entry that something cheaper to know than the entry's name led to

An entry is built in a folder beside its place and renamed onto it, so that two builds at once do not meet: the one that
comes second is discarded. An entry whose files do not match its marker is built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from myhdl_fsa.engine.request import RunError

MARKER = "complete.json"
_BUILDING = ".building-"
_ABANDONED_AFTER = 24 * 3600
"""seconds after which the folder of a build that was killed is removed"""


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

    Every method raises RunError when the folder cannot be used.
    """

    def __init__(self, kind: str, root: Path | None = None) -> None:
        self._folder = (default_root() if root is None else Path(os.path.abspath(root))) / kind

    def find(self, entry: str) -> Path | None:
        """The folder of a complete entry, or None."""
        folder = self._folder / entry
        try:
            marker = json.loads((folder / MARKER).read_bytes())
            return folder if marker and marker == _hashes(folder) else None
        except (OSError, ValueError, RecursionError):
            return None

    def find_by(self, key: str) -> Path | None:
        """The folder of the complete entry that ``key`` led to earlier, or None."""
        try:
            entry = self._key_file(key).read_text().strip()
        except (OSError, ValueError):
            return None
        return self.find(entry) if entry and Path(entry).name == entry else None

    def get(self, entry: str, build: Callable[[Path], None], key: str | None = None) -> Path:
        """The folder of ``entry``, filled by ``build(empty folder)`` unless complete; ``key`` will find it too."""
        folder = self.find(entry)
        if folder is None:
            with self._errors():
                folder = self._build(entry, build)
        if key is not None:
            # only saves time, so a folder that cannot be written is no error here
            with suppress(OSError):
                beside = self._beside()
                beside.write_text(f"{entry}\n")
                beside.replace(self._key_file(key))
        return folder

    def _build(self, entry: str, build: Callable[[Path], None]) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._discard_abandoned()
        building = self._beside()
        building.mkdir()
        try:
            build(building)
            (building / MARKER).write_text(json.dumps(_hashes(building), indent=1))
            return self._publish(building, entry)
        finally:
            shutil.rmtree(building, ignore_errors=True)

    def _beside(self) -> Path:
        return self._folder / f"{_BUILDING}{secrets.token_hex(6)}"

    def _key_file(self, key: str) -> Path:
        return self._folder / f"{key}.entry"

    def _publish(self, building: Path, entry: str) -> Path:
        """Renames a finished build onto its place, unless a complete one is there."""
        folder = self._folder / entry
        with (self._folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.find(entry) is None:
                if os.path.lexists(folder):
                    broken = self._beside()
                    folder.rename(broken)
                    _remove(broken)
                building.rename(folder)
        return folder

    def _discard_abandoned(self) -> None:
        for path in self._folder.glob(f"{_BUILDING}*"):
            try:
                if time.time() - path.stat().st_mtime > _ABANDONED_AFTER:
                    _remove(path)
            except OSError:
                pass

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


def run_tool(command: Sequence[str], folder: Path) -> str:
    """Runs a build command in ``folder`` and returns its output, both streams. Raises RunError when it fails.

    Whatever ends the wait early, such as KeyboardInterrupt, ends the command and all it started.
    """
    # `make test` is no parent to this make
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True,
    ) as process:
        try:
            output = process.communicate()[0]
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise RunError(f"{Path(command[0]).name} failed: {_first_error(output)}")
    return output


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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)

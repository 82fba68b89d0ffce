"""Writes the converted files to a folder: all of them or none, and never over a file that is not ours.

The folder's manifest, ``.fsa-convert.json``, says which files earlier runs wrote there, with their hashes. A later run
replaces those, and removes those it no longer writes, unless somebody changed them since.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from myhdl_fsa.workbench.files import OutputError

__all__ = ["MANIFEST", "write_folder"]

MANIFEST = ".fsa-convert.json"


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Writes ``files``, text by name, to ``folder``, which is made if need be.

    Raises OutputError, with one line naming the file or folder, when the folder cannot be written, or when a file of
    that name is there that fsa-convert did not write or that was changed since; nothing is written then.
    """
    hashes = {name: _digest(text.encode()) for name, text in files.items()}
    made: list[Path] = []
    staging = folder / f".fsa-convert-{secrets.token_hex(4)}"
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder} is not a folder")
        made = _make(folder)
        known = _manifest(folder)
        for name in files:
            _check_ours(folder / name, known.get(name, []))
        staging.mkdir()
        for name, text in files.items():
            (staging / name).write_bytes(text.encode())
        _publish(folder, staging, known, hashes)
    except OSError as error:
        raise OutputError(f"{error.filename or folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for path in reversed(made):
            if not any(path.iterdir()):
                path.rmdir()


def _make(folder: Path) -> list[Path]:
    """Makes the folder and those above it; returns those it made, outermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _check_ours(path: Path, hashes: list[str]) -> None:
    if not os.path.lexists(path):
        return
    if not hashes:
        raise OutputError(f"{path} is there already and not from fsa-convert: move it away, or choose another folder")
    if not _unchanged(path, hashes):
        raise OutputError(f"{path} was changed since fsa-convert wrote it: move it away, or choose another folder")


def _publish(folder: Path, staging: Path, known: dict[str, list[str]], hashes: dict[str, str]) -> None:
    # A run that is killed in the middle leaves old and new files: until the end the manifest knows both.
    both = {name: [*known.get(name, []), *([hashes[name]] if name in hashes else [])] for name in (*known, *hashes)}
    _write_manifest(folder, staging, both)
    for name in hashes:
        (staging / name).replace(folder / name)
    for name in known:
        if name not in hashes and _unchanged(folder / name, known[name]):
            (folder / name).unlink()
    _write_manifest(folder, staging, {name: [digest] for name, digest in hashes.items()})


def _manifest(folder: Path) -> dict[str, list[str]]:
    """What the manifest says of the files that are still there; nothing when there is none to be understood."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        return {
            name: [str(digest) for digest in digests] for name, digests in files.items()
            # a name is a plain one, whatever the file says
            if name == Path(name).name and os.path.lexists(folder / name)
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _write_manifest(folder: Path, staging: Path, files: dict[str, list[str]]) -> None:
    about = "files that fsa-convert wrote here, with their SHA-256; it replaces and removes no others"
    path = staging / MANIFEST
    path.write_text(json.dumps({"about": about, "files": files}, indent=1) + "\n", encoding="utf-8")
    path.replace(folder / MANIFEST)


def _unchanged(path: Path, hashes: list[str]) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    return _digest(path.read_bytes()) in hashes


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

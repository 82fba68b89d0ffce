"""Several output files of one run in one folder: all of them or none, and none of an earlier run beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from myhdl_fsa.workbench.files import OutputError, check_writable, is_device
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = ["check_folder", "write_set"]

_STAGING = ".fsa-files-"


def check_folder(folder: Path) -> None:
    """Raises OutputError when files cannot be written to ``folder``, which may have to be made. Leaves nothing."""
    if is_device(folder.absolute() / _STAGING):
        raise OutputError("is not a folder for files")
    for place in (folder, *folder.absolute().parents):
        if place.is_dir():
            return check_writable(place / _STAGING)
        if place.exists():
            raise OutputError(f"{place} is not a folder")
    raise OutputError("is on no file system")


def write_set(folder: Path, files: Mapping[str, bytes], known: Iterable[str]) -> None:
    """Writes ``files``, by name, to ``folder``, which is made if need be, and removes others of ``known`` names.

    Raises OutputError with nothing changed, unless the folder fails while finished files are renamed.
    """
    missing = [place for place in (folder, *folder.absolute().parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder, _STAGING) as staging:
            for name, data in files.items():
                (staging / name).write_bytes(data)
            for name in files:
                (staging / name).replace(folder / name)
            for name in set(known) - files.keys():
                (folder / name).unlink(missing_ok=True)
    except OSError as error:
        for place in missing:
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        raise OutputError(error.strerror or str(error)) from None

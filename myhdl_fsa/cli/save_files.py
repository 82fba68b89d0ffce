"""The save files beside a waveform, for GTKWave and for Surfer: which may be written, and when."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from myhdl_fsa.cli.command import said, spelled
from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.config import Config
from myhdl_fsa.engine import RunError
from myhdl_fsa.workbench.files import OutputError, atomic_path, check_writable

__all__ = ["GTKWAVE", "SURFER", "check_save_files", "save_files_beside"]

GTKWAVE = ".gtkw"
"""suffix of GTKWave's save file"""
SURFER = ".sucl"
"""suffix of Surfer's command file"""


def check_save_files(options: Options, taken: Mapping[str, str]) -> None:
    """Raises click.UsageError for a save file that cannot be written; ``taken`` are the other options' files, by path.

    One that is somebody else's is left as it is, and no error.
    """
    vcd = options.vcd
    if vcd is None:
        return
    if vcd.suffix in (GTKWAVE, SURFER):
        raise click.UsageError(f"{said('--vcd')}: is the name of a save file, which is written beside the waveform: "
                               f"must be another, as {vcd.stem}.vcd")
    for path in _paths(vcd):
        option = taken.get(os.path.realpath(path))
        if option is not None:
            raise click.UsageError(f"{said('--vcd')}: its save file {path} is the file of {option} too: must be "
                                   "another")
        if _may_write(path):
            try:
                check_writable(path)
            except OutputError as error:
                raise click.UsageError(f"{said('--vcd')}: cannot write its save file {path}: {error}") from None


@contextmanager
def save_files_beside(
    options: Options, config: Config, top: str, waveform: Path, warn: Callable[[str], None]
) -> Iterator[None]:
    """Writes the save files when the block ends and ``waveform`` is there, which then gets its name ``--vcd``.

    Also where the run failed and left one. ``warn`` is told of one that is somebody else's and stays as it is. Raises
    click.ClickException; then neither is written.
    """
    try:
        yield
    except RunError:
        if waveform.exists():
            _write(options, config, top, warn)
        raise
    _write(options, config, top, warn)


def _write(options: Options, config: Config, top: str, warn: Callable[[str], None]) -> None:
    from myhdl_fsa.sims import gtkwave_save, surfer_commands
    from myhdl_fsa.sims.wave_view import sections

    vcd = options.vcd
    assert vcd is not None
    gtkw, sucl = _paths(vcd)
    shown = sections(config, top)
    texts = {
        gtkw: gtkwave_save.text(shown, vcd.name, gtkw.name, top, options.wave_from or 0),
        sucl: surfer_commands.text(shown),
    }
    path = gtkw
    try:
        with ExitStack() as stack:
            for path, text in texts.items():
                if _may_write(path):
                    stack.enter_context(atomic_path(path)).write_bytes(os.fsencode(text))
                else:
                    warn(f"{spelled('--vcd')} {vcd}: {path} is not of fsa-sim's writing and stays as it is: remove it "
                         "to have a new one")
    except OSError as error:
        raise click.ClickException(f"{spelled('--vcd')} {vcd}: cannot write its save file {path}: "
                                   f"{error.strerror or error}") from None


def _paths(vcd: Path) -> tuple[Path, Path]:
    return vcd.with_suffix(GTKWAVE), vcd.with_suffix(SURFER)


def _may_write(path: Path) -> bool:
    """Whether nothing is there, or what a run like this one wrote."""
    from myhdl_fsa.sims import gtkwave_save, surfer_commands

    mark = (gtkwave_save.MARK if path.suffix == GTKWAVE else surfer_commands.MARK).encode()
    if not os.path.exists(path):
        return True
    try:
        # a pipe would wait for a writer
        return path.is_file() and path.read_bytes()[:len(mark)] == mark
    except OSError:
        return False

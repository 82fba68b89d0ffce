"""What ``fsa-sim`` writes: its files, checked before the run, its lines, and its record of the run."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from myhdl_fsa.cli.command import options_in_effect, said, spelled
from myhdl_fsa.cli.common import check_output, is_config_file, is_standard_output
from myhdl_fsa.cli.save_files import check_save_files, save_files_beside
from myhdl_fsa.cli.sim_options import Options
from myhdl_fsa.config import Config
from myhdl_fsa.engine import RunError, WaveformError
from myhdl_fsa.workbench import report
from myhdl_fsa.workbench.files import atomic_path, is_device

__all__ = [
    "Recorder",
    "check_build_dir",
    "check_outputs",
    "check_wave_bounds",
    "messages",
    "say",
    "warn",
    "waveform",
]

if TYPE_CHECKING:
    from myhdl_fsa.workbench.record import InputFile, RunRecord


def check_outputs(options: Options) -> None:
    """Raises click.UsageError for an output that cannot be written, or that is the file of another option too."""
    taken: dict[str, str] = {}
    inputs = [*options.inputs, *([("--config", Path(options.config))] if is_config_file(options.config) else [])]
    taken.update((os.path.realpath(path), spelled(name)) for name, path in inputs)
    for name, path in options.outputs:
        option = spelled(name)
        check_output(option, path, regular=name == "--vcd")
        if is_device(path) and not is_standard_output(path):
            continue
        place = "-" if is_standard_output(path) else os.path.realpath(path)
        if place in taken:
            if place == "-":
                raise click.UsageError(f"{option} -: {taken[place]} goes to standard output already: must be a file")
            raise click.UsageError(f"{option} {path}: is the file of {taken[place]} too: must be another")
        taken[place] = option
    check_save_files(options, taken)


def check_build_dir(options: Options) -> None:
    """Raises click.UsageError where builds cannot be kept because a file stands there."""
    if options.build_dir is not None and options.build_dir.exists() and not options.build_dir.is_dir():
        raise click.UsageError(f"{said('--build-dir')}: is not a folder")


def check_wave_bounds(options: Options) -> None:
    """Raises click.UsageError where the waveform would end before it begins."""
    first, last = options.wave_from, options.wave_to
    if first is not None and last is not None and last < first:
        raise click.UsageError(f"{said('--wave-to')}: must not be less than {said('--wave-from')}")


def waveform(options: Options, config: Config, top: str, stack: ExitStack) -> Path | None:
    """Where to write the waveform of a ``top``, renamed to its place at the end of ``stack``, with its save files."""
    if options.vcd is None:
        return None
    # A run that reached its cycle limit leaves a waveform of every cycle before it, which is worth having.
    suffix = ".fst" if options.vcd.suffix == ".fst" else ".vcd"
    stack.enter_context(_named(options.vcd))
    path = stack.enter_context(atomic_path(options.vcd, suffix, keep=(RunError,)))
    stack.enter_context(save_files_beside(options, config, top, path, partial(warn, options)))
    return path


@contextmanager
def _named(vcd: Path) -> Iterator[None]:
    """A waveform that cannot be written is told of by the name that the user gave it."""
    try:
        yield
    except WaveformError as error:
        raise click.ClickException(f"{spelled('--vcd')} {vcd}: cannot write: {error.reason}") from None


def say(options: Options, lines: Iterable[str]) -> None:
    """Prints lines, unless nothing is to be printed."""
    if options.prints:
        for line in lines:
            click.echo(line)


def messages(options: Options) -> Callable[[str], None] | None:
    """Where an engine says what takes a while; None with --quiet."""
    return None if options.quiet else report.say


def warn(options: Options, message: str) -> None:
    """A warning, one line on standard error, unless --quiet."""
    if not options.quiet:
        click.echo(f"{click.get_current_context().find_root().command.name}: warning: {message}", err=True)


class Recorder:
    """Gathers the record of a run from its start on: the hashes of its inputs are those of before it."""

    def __init__(self, options: Options) -> None:
        """Raises click.UsageError for an input that cannot be read. Costs next to nothing where nothing is recorded."""
        self._options, self._start = options, time.perf_counter()
        self._inputs: list[InputFile] = []
        if not options.keeps_record:
            return
        from myhdl_fsa.workbench.record import input_files

        config = [("--config", Path(options.config))] if is_config_file(options.config) else []
        for one in (*config, *options.inputs):
            try:
                self._inputs += input_files([one])
            except OSError as error:
                raise click.UsageError(f"{one[0]} {one[1]}: cannot read: {error.strerror or error}") from None

    def record(
        self, words: Sequence[int] | Mapping[str, Sequence[int]] | None, tensors: dict[str, Any] | None = None,
        sizes: Mapping[str, str] | None = None,
    ) -> RunRecord:
        """The record of the run that ends now.

        ``words`` are its program's, or those of several by dataflow; ``sizes`` are the options of its tensors' sizes.
        """
        from myhdl_fsa.workbench import record

        options, effective = self._options, options_in_effect()
        effective = {**(sizes or {}), **effective, **(sizes or {})}
        program = None
        if isinstance(words, Mapping):
            program = {name: record.program_dict(one) for name, one in words.items()}
        elif words is not None:
            program = record.program_dict(words)
        return record.RunRecord(
            versions=record.versions(),
            tools=record.tool_versions([options.engine_used, options.lockstep]),
            options=effective,
            inputs=self._inputs,
            tensors=tensors,
            timing=None if (timing := options.simulated_timing) is None else record.timing_dict(timing),
            program=program,
            wall_seconds=round(time.perf_counter() - self._start, 6),
        )

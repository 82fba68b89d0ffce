"""Options that several commands have, and the files they write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from myhdl_fsa.config import PRESETS, Config, ConfigError, preset, read_config
from myhdl_fsa.config_fields import printable
from myhdl_fsa.workbench.files import (
    OutputError,
    check_writable,
    is_device,
    write_atomic,
    write_standard_output,
)

__all__ = [
    "CONTEXT",
    "DEFAULT_CONFIG",
    "FILE",
    "STANDARD_OUTPUT",
    "check_accelerator",
    "check_output",
    "config_usage",
    "is_config_file",
    "is_standard_output",
    "load_config",
    "with_dataflow",
    "write_output",
]

FILE = click.Path(path_type=Path)
STANDARD_OUTPUT = Path("-")
DEFAULT_CONFIG = "FSA4X4Fp16Config"
CONTEXT: dict[str, Any] = {
    # The published commands spell their options with underscores; both spellings are read.
    "token_normalize_func": lambda token: token.replace("_", "-"), "max_content_width": 120, "show_default": True,
}
"""settings of every command"""


def is_config_file(name: str) -> bool:
    """Whether ``--config name`` names a file rather than a published configuration."""
    return name.endswith(".json") or os.sep in name


def load_config(name: str, reciprocal: str | None) -> Config:
    """The configuration of ``--config`` and ``--reciprocal``. Raises click.UsageError of one line."""
    try:
        config = read_config(name) if is_config_file(name) else preset(name)
        return config if reciprocal is None else config.replace(reciprocal=reciprocal)
    except ConfigError as error:
        raise config_usage(name, error) from None


def with_dataflow(name: str, config: Config, dataflow: str | None, option: str | None) -> Config:
    """The configuration of ``--config`` with another dataflow; None leaves its own.

    ``option`` is what asks for it, as ``--dataflow stream``. Raises click.UsageError of one line that begins with it.
    """
    if dataflow is None:
        return config
    try:
        if is_config_file(name):  # an error then has the file's names and units
            return Config.from_dict({**config.to_dict(), "dataflow": dataflow})
        return config.replace(dataflow=dataflow)
    except ConfigError as error:
        raise config_usage(name, error, option) from None


def check_accelerator(name: str, config: Config, option: str | None = None) -> None:
    """Raises click.UsageError where only the bare core can be what ``config``, that of ``--config``, says.

    ``option`` is as in ``with_dataflow``, None where the dataflow is the configuration's own.
    """
    try:
        config.check_accelerator()
    except ConfigError as error:
        raise config_usage(name, error, option) from None


def config_usage(name: str, error: ConfigError, option: str | None = None) -> click.UsageError:
    """What is wrong with the configuration of ``--config``, in one line that names it once.

    An ``option`` that changes the configuration comes first in it.
    """
    said = str(error)
    for begin in (f"configuration file {printable(name)}: ", "configuration file: ", "configuration: ",
                  f"configuration {name!r} "):
        said = said.removeprefix(begin)
    if name not in PRESETS and not is_config_file(name) and Path(name).is_file():
        said = f"is no configuration known by name; a file must be named .json, or have its folder before it (./{name})"
    return click.UsageError(f"{'' if option is None else f'{option}: '}--config {name}: {said}")


def is_standard_output(path: Path | None) -> bool:
    """Whether an output is ``-``."""
    return path == STANDARD_OUTPUT


def check_output(option: str, path: Path, regular: bool = False) -> None:
    """Raises click.UsageError when ``path`` cannot be written, or with ``regular`` when it is a device.

    ``-``, standard output, can be.
    """
    try:
        if is_standard_output(path):
            if regular:
                raise OutputError("must be a regular file, not standard output")
            return
        check_writable(path)
        if regular and is_device(path):
            raise OutputError("must be a regular file")
    except OutputError as error:
        raise click.UsageError(f"{option} {path}: cannot write: {error}") from None


def write_output(option: str, path: Path | None, data: bytes) -> None:
    """Writes ``data`` to the file of an option, if it was given, ``-`` being standard output.

    Raises click.ClickException of one line.
    """
    if path is None:
        return
    try:
        if is_standard_output(path):
            write_standard_output(data)
        else:
            write_atomic(path, data)
    except OutputError as error:
        raise click.ClickException(f"{option} {path}: cannot write: {error}") from None

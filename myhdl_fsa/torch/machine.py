"""Which machine a call runs on, as the text that the operator's schema can carry.

A specification is a JSON object: all fields of a machine (as ``Config.to_dict`` has them), or, without its side, some
fields by their Python names, of a machine as small as the tensors allow.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch

from myhdl_fsa.config import SIZES, Config, as_config

__all__ = ["machine_of", "most_columns", "specification"]

_SIDE = "sa_rows"
"""the field that all machines have, and fields for a machine of any side have not"""


def specification(config: Config | str | None = None, fields: dict[str, Any] | None = None) -> str:
    """The text that stands for ``config``, or for ``config`` with some ``fields`` changed.

    ``config`` is a Config, a preset's name or the path of a JSON file, or None for a machine as small as the tensors
    allow, unless ``fields`` have ``rows``. Raises ConfigError for what is no machine.
    """
    if config is None and not fields:
        return "{}"
    if config is not None:
        return _complete(config, fields)
    fields = fields or {}
    if "rows" in fields:
        return _text(Config(**{"reciprocal": "division", **fields}))
    # a field that is wrong for every side is refused here, not in some later call
    Config(**{"rows": SIZES[-1], **fields})
    return json.dumps({name: str(value) if name in ("elem", "acc") else value for name, value in fields.items()})


@torch.compiler.assume_constant_result
def _complete(config: Config | str, fields: dict[str, Any] | None) -> str:
    machine = as_config(config)
    return _text(machine.replace(**fields) if fields else machine)


@lru_cache(maxsize=64)
def _text(machine: Config) -> str:
    return json.dumps(machine.to_dict())


@lru_cache(maxsize=256)
def machine_of(text: str, columns: int, dtype: torch.dtype) -> Config:
    """The machine of a specification, for tensors of ``columns`` columns and of the type ``dtype``."""
    fields = json.loads(text)
    if _SIDE in fields:
        return Config.from_dict(fields)
    rows = next(size for size in SIZES if size >= columns)
    elem = "bf16" if dtype == torch.bfloat16 else "fp16"
    return Config(**{"rows": rows, "elem": elem, "reciprocal": "division", **fields})


@lru_cache(maxsize=64)
def _most_columns(text: str) -> int:
    return int(json.loads(text).get(_SIDE, SIZES[-1]))


@torch.compiler.assume_constant_result
def most_columns(text: str) -> int:
    """The largest head dimension that the specification's machine holds."""
    return _most_columns(text)

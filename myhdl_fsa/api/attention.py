"""Attention in one call: floats in, floats out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.tensors import as_array, to_bits
from myhdl_fsa.config import Config, as_config
from myhdl_fsa.easyfloat import to_float
from myhdl_fsa.engine.request import AttentionRequest, Watch

__all__ = ["attention"]


def attention(
    q: Any, k: Any, v: Any, config: Config | str | None = None, *, causal: bool = False, engine: str = "golden",
    bits: bool = False,
) -> npt.NDArray[Any]:
    """softmax(q k^T / sqrt(d)) v as the machine computes it, every bit of it.

    ``q`` is [seq_q, d], ``k`` and ``v`` are [seq_kv, d], whole tiles: arrays of any floating type (numpy's or
    ml_dtypes'), torch tensors, or nested lists, rounded to the machine's input format; or unsigned arrays of its bit
    patterns.
    ``config`` is a Config, a published name or a path that ends in .json (None: the machine of size d, fp16).
    ``causal`` lets query i see keys 0 to i. ``engine`` is ``golden``, or one that simulates the device cycle by cycle:
    ``myhdl``, ``verilator`` or ``icarus``.

    Returns float32 [seq_q, d], or with ``bits`` the patterns of ``config.acc``. Raises TypeError for what is no such
    array, ValueError for a shape that does not fit (ConfigError, which is one, for a configuration), RunError for a
    simulation that fails.
    """
    from myhdl_fsa.engine import engine as engine_of

    arrays = {name: as_array(array, name) for name, array in (("q", q), ("k", k), ("v", v))}
    for name, array in arrays.items():
        if array.ndim != 2:
            raise ValueError(f"{name} has shape {list(array.shape)}: must be [sequence, d]")
    machine = Config(rows=arrays["q"].shape[1], cols=arrays["q"].shape[1]) if config is None else as_config(config)
    for name, array in arrays.items():
        tile = machine.cols if name == "q" else machine.rows
        if array.shape[1] != machine.rows or not len(array) or len(array) % tile:
            raise ValueError(f"{name} has shape {list(array.shape)}: must be [a positive multiple of {tile}, "
                             f"{machine.rows}] for this configuration")
    if arrays["k"].shape != arrays["v"].shape:
        raise ValueError(f"k has {len(arrays['k'])} rows and v {len(arrays['v'])}: must be equal")
    patterns = [to_bits(array, machine.elem, name) for name, array in arrays.items()]
    request = AttentionRequest(patterns[0], patterns[1], patterns[2], machine, causal)
    result = engine_of(engine).run_attention(request, Watch())
    return result.output if bits else to_float(result.output, machine.acc).astype(np.float32)

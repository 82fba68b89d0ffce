"""Attention in one call: floats in, floats out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.tensors import as_array, to_bits
from myhdl_fsa.config import MOST_SIDE, Config, as_config
from myhdl_fsa.easyfloat import to_float
from myhdl_fsa.engine.request import AttentionRequest, Watch
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import AttentionShape

__all__ = ["attention"]


def attention(
    q: Any, k: Any, v: Any, config: Config | str | None = None, *, causal: bool = False, scale: float | None = None,
    engine: str = "golden", bits: bool = False,
) -> npt.NDArray[Any]:
    """softmax(scale * q k^T) v as the machine computes it, every bit of it.

    ``q`` is [seq_q, d], ``k`` [seq_kv, d] and ``v`` [seq_kv, dv]; or each has [batch, heads] before it, and the heads
    of k and v divide those of q. Arrays of any floating type (numpy's or ml_dtypes'), torch tensors, or nested lists,
    rounded to the machine's input format; or unsigned arrays of its bit patterns. ``config`` is a Config, a published
    name or a path that ends in .json (None: the smallest fp16 machine for d and dv). ``causal`` lets query i see keys 0
    to i; ``scale`` is 1 / sqrt(d) unless given. ``engine`` is ``golden``, or one that simulates the device cycle by
    cycle: ``myhdl``, ``verilator`` or ``icarus``.

    Returns float32 [seq_q, dv], after [batch, heads] where q has them, or with ``bits`` the patterns of ``config.acc``.
    Raises TypeError for what is no such array, ValueError for a shape or a scale that does not fit (ConfigError, which
    is one, for a configuration), RunError for a simulation that fails.
    """
    from myhdl_fsa.engine import engine as engine_of

    arrays = {name: as_array(array, name) for name, array in (("q", q), ("k", k), ("v", v))}
    shapes = [array.shape for array in arrays.values()]
    if config is None:
        shape = AttentionShape.of(shapes, MOST_SIDE)
        config = Config(rows=max(2, shape.head_dim, shape.value_dim))
    machine = as_config(config)
    AttentionShape.of(shapes, machine.rows)
    Scale.of(machine, scale, arrays["q"].shape[-1])
    patterns = [to_bits(array, machine.elem, name) for name, array in arrays.items()]
    request = AttentionRequest(patterns[0], patterns[1], patterns[2], machine, causal, scale=scale)
    result = engine_of(engine).run_attention(request, Watch())
    return result.output if bits else to_float(result.output, machine.acc).astype(np.float32)

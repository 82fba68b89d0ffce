"""FlashAttention as a kernel, free of races at any memory speed. Source: docs/specification.md section 4 (kernel)."""

from __future__ import annotations

from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.kernel.context import Context, Kernel, kernel
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.tensor import MemoryTensor
from myhdl_fsa.program import Execution

__all__ = ["attention_kernel", "attention_output", "flash_attention"]


@kernel
def flash_attention(ctx: Context, q: MemoryTensor, k: MemoryTensor, v_t: MemoryTensor, causal: bool) -> MemoryTensor:
    """softmax(q k^T / sqrt(d)) v: ``q`` [seq_q, d], ``k`` [seq_kv, d], ``v_t`` [d, seq_kv] (V^T); gives O^T [d, seq_q].

    Whether Q or Q^T lies in memory, and in which order the instructions come, is the dataflow's: its ``kernel`` says.
    Raises KernelError for shapes that are no whole tiles or differ.
    """
    rows = ctx.config.rows
    if v_t.shape != k.shape[::-1]:
        raise KernelError(f"v_t has shape {list(v_t.shape)}: must be that of k reversed, {list(k.shape[::-1])}")
    order = part(ctx.config, "kernel")
    o_t = ctx.alloc_memory((rows, q.shape[1 if order.QUERIES_TRANSPOSED else 0]), ctx.config.acc, "O^T")
    order.flash_attention(ctx, q, k, v_t, o_t, causal)
    return o_t


def attention_kernel(q: Any, k: Any, v: Any, config: Config, causal: bool = False) -> Kernel:
    """``flash_attention`` of arrays as ``golden.attention`` takes them: ``q`` [seq_q, d], ``k`` and ``v`` [seq_kv, d].

    Floating arrays, rounded to elem, or unsigned arrays of elem patterns. Raises KernelError for a shape that does not
    fit the machine or tensors that do not fit its memory.
    """
    q, k, v = (np.asarray(array) for array in (q, k, v))
    for name, array, tile in (("q", q, config.cols), ("k", k, config.rows), ("v", v, config.rows)):
        if array.ndim != 2 or array.shape[1] != config.rows or array.shape[0] == 0 or array.shape[0] % tile:
            raise KernelError(f"{name} has shape {list(array.shape)}: "
                              f"must be [a positive multiple of {tile}, {config.rows}]")
    if k.shape != v.shape:
        raise KernelError(f"k has shape {list(k.shape)} and v {list(v.shape)}: must be equal")
    transposed = part(config, "kernel").QUERIES_TRANSPOSED
    return flash_attention(config, q=q.T if transposed else q, k=k, v_t=v.T, causal=causal)


def attention_output(kernel: Kernel, execution: Execution) -> Bits:
    """O [seq_q, d], acc patterns, from the O^T that ``attention_kernel``'s program stored."""
    (o_t,) = kernel.tensors(execution)
    return np.ascontiguousarray(o_t.T)

"""FlashAttention as a kernel, free of races at any memory speed. Source: docs/specification.md section 4 (kernel)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.kernel.context import Context, Kernel, kernel
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.tensor import MemoryTensor, patterns
from myhdl_fsa.program import Execution
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import AttentionShape, tiles, visits

__all__ = ["attention_kernel", "attention_output", "flash_attention", "tensor_at"]


@kernel
def flash_attention(
    ctx: Context, q: MemoryTensor, k: MemoryTensor, v_t: MemoryTensor, causal: bool, shape: AttentionShape | None = None
) -> MemoryTensor:
    """softmax(scale * q k^T) v: ``q`` [seq_q, d], ``k`` [seq_kv, d], ``v_t`` [d, seq_kv] (V^T); gives O^T [d, seq_q].

    Of several heads, whose sequences follow each other in whole tiles, ``shape`` says how many there are and how long
    they are; without it there is one, of the tensors' lengths. Whether Q or Q^T lies in memory, and in which order the
    instructions come, is the dataflow's: its ``kernel`` says. Raises KernelError for shapes that are no whole tiles or
    differ.
    """
    rows = ctx.config.rows
    if v_t.shape != k.shape[::-1]:
        raise KernelError(f"v_t has shape {list(v_t.shape)}: must be that of k reversed, {list(k.shape[::-1])}")
    order = part(ctx.config, "kernel")
    seq_q = q.shape[1 if order.QUERIES_TRANSPOSED else 0]
    if shape is None:
        shape = AttentionShape(seq_q, k.shape[0], rows, rows, causal=causal)
    elif _rows(shape, rows) != (seq_q, k.shape[0]) or shape.causal != causal:
        raise KernelError(f"shape: {shape}: must be that of the tensors, {[seq_q, k.shape[0]]} in whole tiles, "
                          f"with causal={causal}")
    o_t = ctx.alloc_memory((rows, seq_q), ctx.config.acc, "O^T")
    order.flash_attention(ctx, q, k, v_t, o_t, visits(shape, rows))
    return o_t


def _rows(shape: AttentionShape, side: int) -> tuple[int, int]:
    """Of q and of k, in whole tiles."""
    return (shape.query_heads * tiles(shape.seq_q, side) * side, shape.key_heads * tiles(shape.seq_kv, side) * side)


def attention_kernel(
    q: Any, k: Any, v: Any, config: Config, causal: bool = False, scale: float | None = None
) -> Kernel:
    """``flash_attention`` of arrays as ``golden.evaluate`` takes them, one program for all heads.

    ``q`` [seq_q, d], ``k`` [seq_kv, d], ``v`` [seq_kv, dv], or with [batch, heads] before: floating arrays, rounded to
    elem, or unsigned arrays of elem patterns. Raises KernelError for a shape or a scale that does not fit the machine,
    or tensors that do not fit its memory.
    """
    arrays = [np.asarray(array) for array in (q, k, v)]
    try:
        shape = AttentionShape.of([array.shape for array in arrays], config.rows, causal)
        factors = Scale.of(config, scale, shape.head_dim)
        q, k, v = (_in_tiles(name, array, config) for name, array in zip("qkv", arrays, strict=True))
    except ValueError as error:
        raise KernelError(str(error)) from None
    transposed = part(config, "kernel").QUERIES_TRANSPOSED
    written = flash_attention(config, q=q.T if transposed else q, k=k, v_t=v.T, causal=causal, shape=shape)
    return replace(written, scale=None if factors == Scale.of(config) else factors, attention=shape)


def tensor_at(kernel: Kernel, address: int) -> tuple[str, MemoryTensor]:
    """Which tensor of a kernel of ``attention_kernel`` is at a byte address: ``Q``, ``K`` or ``V``, and where it lies.

    Raises ValueError where none does.
    """
    for name, (tensor, _) in zip("QKV", kernel.inputs, strict=True):
        low, high = tensor.extent
        if low <= address < high:
            return name, tensor
    raise ValueError(f"address {address:#x}: must be in Q, K or V")


def _in_tiles(name: str, array: np.ndarray, config: Config) -> Bits:
    """Patterns, [rows, config.rows]: the heads one after the other in whole tiles, filled up with zeros."""
    bits = patterns(array, config.elem, name)
    side = config.rows
    heads = bits.reshape(-1, *bits.shape[-2:])
    length = tiles(heads.shape[1], side) * side
    whole = np.zeros((len(heads), length, side), bits.dtype)
    whole[:, : heads.shape[1], : heads.shape[2]] = heads
    return whole.reshape(-1, side)


def attention_output(kernel: Kernel, execution: Execution) -> Bits:
    """O, acc patterns, [seq_q, dv] or [batch, heads, seq_q, dv], from the O^T that a kernel's program stored.

    Of a kernel of ``flash_attention`` itself it is all of O, [rows of q, d].
    """
    (o_t,) = kernel.tensors(execution)
    shape = kernel.attention
    if shape is None:
        return np.ascontiguousarray(o_t.T)
    heads = o_t.T.reshape(shape.query_heads, -1, len(o_t))[:, : shape.seq_q, : shape.value_dim]
    return np.ascontiguousarray(heads).reshape(*shape.leading, shape.seq_q, shape.value_dim)

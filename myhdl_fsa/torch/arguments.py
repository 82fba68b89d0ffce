"""What the machine can run, of all that torch's function can be asked: every refusal in one line."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from myhdl_fsa.torch.machine import most_columns

__all__ = ["DTYPES", "check_arguments", "check_out_dtype"]

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""the types a tensor may have"""

_DEVICES = ("cpu", "cuda", "meta")


def check_arguments(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None, dropout_p: float,
    is_causal: bool, scale: float | None, enable_gqa: bool, text: str,
) -> bool:
    """Whether the attention is causal: asked for, or by a mask that says just that.

    ``text`` is the machine's specification. Raises TypeError for what is no tensor or none of floating point,
    ValueError for what does not fit, and NotImplementedError for what torch can and the machine cannot.
    """
    tensors = (("query", query), ("key", key), ("value", value))
    for name, tensor in tensors:
        _check_tensor(name, tensor)
    for name, tensor in tensors[1:]:
        if tensor.dtype != query.dtype:
            raise TypeError(f"{name} is {tensor.dtype}: must have the dtype of query, {query.dtype}")
        if tensor.device != query.device:
            raise ValueError(f"{name} is on {tensor.device}: must be on the device of query, {query.device}")
    _check_shapes(query, key, value, enable_gqa)
    most = most_columns(text)
    for name, tensor in tensors:
        if tensor.shape[-1] > most:
            raise ValueError(f"{name} has head dimension {tensor.shape[-1]}: must be at most {most}, the rows of the "
                             "machine")
    if dropout_p != 0.0:
        raise NotImplementedError(f"dropout_p = {dropout_p}: must be 0.0, the machine has no dropout")
    if scale is not None:
        _check_scale_argument(scale)
    if attn_mask is None:
        return bool(is_causal)
    if is_causal:
        raise ValueError("attn_mask is given and is_causal is True: must be one of them")
    return _mask_is_causal(attn_mask, query.shape[-2], key.shape[-2])


def check_out_dtype(out_dtype: torch.dtype | None) -> None:
    """Raises TypeError for what is no floating dtype."""
    if out_dtype is not None and out_dtype not in DTYPES:
        raise TypeError(f"out_dtype = {out_dtype}: must be None or one of {_names(DTYPES)}")


def _names(dtypes: tuple[torch.dtype, ...]) -> str:
    return ", ".join(str(dtype) for dtype in dtypes)


def _check_tensor(name: str, tensor: Any) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"{name} is of type {type(tensor).__name__}: must be a torch.Tensor")
    if tensor.is_nested or tensor.layout != torch.strided:
        raise NotImplementedError(f"{name} has layout {'nested' if tensor.is_nested else tensor.layout}: must be "
                                  "torch.strided")
    if tensor.device.type not in _DEVICES:
        raise NotImplementedError(f"{name} is on {tensor.device}: must be on cpu or cuda")
    if tensor.dtype not in DTYPES:
        raise TypeError(f"{name} is {tensor.dtype}: must be one of {_names(DTYPES)}")
    if tensor.dim() < 2:
        raise ValueError(f"{name} has shape {list(tensor.shape)}: must be [..., sequence, head dimension]")
    if tensor.shape[-2] == 0 or tensor.shape[-1] == 0:
        raise ValueError(f"{name} has shape {list(tensor.shape)}: sequence and head dimension must be at least 1")


def _check_shapes(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, enable_gqa: bool) -> None:
    if key.shape[-1] != query.shape[-1]:
        raise ValueError(f"key has head dimension {key.shape[-1]}: must be that of query, {query.shape[-1]}")
    if value.shape[-2] != key.shape[-2]:
        raise ValueError(f"value has {value.shape[-2]} rows: must have as many as key, {key.shape[-2]}")
    leading = 2
    if enable_gqa:
        leading = 3
        for name, tensor in (("query", query), ("key", key), ("value", value)):
            if tensor.dim() < 3:
                raise ValueError(f"enable_gqa: {name} has shape {list(tensor.shape)}: must be [..., heads, sequence, "
                                 "head dimension]")
        heads, kv_heads = query.shape[-3], key.shape[-3]
        if value.shape[-3] != kv_heads:
            raise ValueError(f"enable_gqa: value has {value.shape[-3]} heads: must have as many as key, {kv_heads}")
        if kv_heads == 0 or heads % kv_heads:
            raise ValueError(f"enable_gqa: key has {kv_heads} heads: must divide those of query, {heads}")
    for name, tensor in (("key", key), ("value", value)):
        if not _broadcast(query.shape[:-leading], tensor.shape[:-leading]):
            hint = "" if enable_gqa else " (for grouped heads, enable_gqa=True)"
            raise ValueError(f"{name} has shape {list(tensor.shape)}: its leading dimensions must broadcast with those "
                             f"of query, {list(query.shape)}{hint}")
    if not _broadcast(key.shape[:-leading], value.shape[:-leading]):
        raise ValueError(f"value has shape {list(value.shape)}: its leading dimensions must broadcast with those of "
                         f"key, {list(key.shape)}")


def _broadcast(left: torch.Size, right: torch.Size) -> bool:
    """Whether two shapes broadcast."""
    common = min(len(left), len(right))
    return all(a == b or a == 1 or b == 1 for a, b in zip(left[len(left) - common:], right[len(right) - common:],
                                                          strict=True))


def _check_scale_argument(scale: Any) -> None:
    if isinstance(scale, bool) or not isinstance(scale, (int, float, np.floating, torch.SymFloat)):
        raise TypeError(f"scale is of type {type(scale).__name__}: must be a float or None")
    if not 0 < scale < math.inf:
        raise ValueError(f"scale = {scale}: must be a positive finite number")


def _mask_is_causal(mask: Any, seq_q: int, seq_kv: int) -> bool:
    """Whether the mask is the causal one; False for one that masks nothing. Any other cannot be run."""
    if not isinstance(mask, torch.Tensor):
        raise TypeError(f"attn_mask is of type {type(mask).__name__}: must be a torch.Tensor or None")
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(f"attn_mask is {mask.dtype}: must be torch.bool or of floating point")
    if mask.dim() < 2 or not _broadcast(mask.shape[-2:], torch.Size([seq_q, seq_kv])):
        raise ValueError(f"attn_mask has shape {list(mask.shape)}: must broadcast to [..., {seq_q}, {seq_kv}]")
    if mask.requires_grad:
        raise NotImplementedError("attn_mask requires a gradient: must be None, the machine adds no bias")
    if torch.compiler.is_compiling() or mask.device.type == "meta":
        raise NotImplementedError("attn_mask: must be None where no values are there to read, as under torch.compile; "
                                  "for a causal mask, is_causal=True")
    seen = mask
    if mask.dtype != torch.bool:
        # a large negative number stands for -Inf in many models
        seen = mask > torch.finfo(mask.dtype).min
        if not bool((~seen | (mask == 0)).all()):
            raise NotImplementedError("attn_mask adds a bias: must be None, or hide nothing but later keys")
    if bool(seen.all()):
        return False
    causal = torch.ones(seq_q, seq_kv, dtype=torch.bool, device=mask.device).tril()
    if not bool((seen == causal).all()):
        raise NotImplementedError("attn_mask hides other keys than the later ones: must be None, or the causal mask")
    return True

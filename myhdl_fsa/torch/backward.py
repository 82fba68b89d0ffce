"""The gradient of exact attention, in float32 or float64: what training takes for the machine's own."""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch

__all__ = ["attention_backward"]


def attention_backward(
    gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool,
    scale: float | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The gradients of ``softmax(query key^T scale) value`` by query, key and value, each in its own dtype.

    ``gradient`` is [batch, heads, seq_q, dv], ``query`` [batch, heads, seq_q, d], ``key`` [batch, kv_heads, seq_kv, d],
    ``value`` [batch, kv_heads, seq_kv, dv]; ``scale`` None is 1 / sqrt(d). Scores and weights are computed again from
    the inputs, in float64 if those are, else in float32. Can be differentiated again.
    """
    dtype = torch.float64 if query.dtype == torch.float64 else torch.float32
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    kv_heads = key.shape[1]
    # [batch, kv_heads, group, ...]: the queries that share a key head
    upstream, q = (x.to(dtype).unflatten(1, (kv_heads, -1)) for x in (gradient, query))
    k, v = (x.to(dtype).unsqueeze(2) for x in (key, value))
    # autocast is for the forward pass; meta tensors know none
    with nullcontext() if query.is_meta else torch.autocast(query.device.type, enabled=False):
        score = (q @ k.mT) * scale
        if causal:
            later = torch.ones(score.shape[-2:], dtype=torch.bool, device=score.device).triu(1)
            score = score.masked_fill(later, -math.inf)
        weights = score.softmax(-1)
        by_weights = upstream @ v.mT
        by_score = weights * (by_weights - (weights * by_weights).sum(-1, keepdim=True)) * scale
        by_query = (by_score @ k).flatten(1, 2)
        by_key = (by_score.mT @ q).sum(2)
        by_value = (weights.mT @ upstream).sum(2)
    return by_query.to(query.dtype), by_key.to(key.dtype), by_value.to(value.dtype)

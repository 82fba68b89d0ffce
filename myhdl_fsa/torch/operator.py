"""torch's attention function on the machine's arithmetic, as an operator of torch's own kind.

``myhdl_fsa::attention`` is registered with torch.library: it has a fake implementation for torch.compile and meta
tensors, a gradient (that of exact attention, straight through the roundings) and a rule for torch.func.vmap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32
from myhdl_fsa.config import Config
from myhdl_fsa.scale import Scale
from myhdl_fsa.torch import cpu
from myhdl_fsa.torch.arguments import check_arguments, check_out_dtype
from myhdl_fsa.torch.backward import attention_backward
from myhdl_fsa.torch.machine import machine_of, specification

__all__ = ["Prepared", "attention_op", "prepare", "scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False,
    config: Config | str | None = None, out_dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """``torch.nn.functional.scaled_dot_product_attention`` as the machine computes it, every bit of it.

    ``query`` is [..., seq_q, d], ``key`` [..., seq_kv, d] and ``value`` [..., seq_kv, dv], of one dtype (float16,
    bfloat16, float32 or float64) and on one device, CPU or CUDA; leading dimensions broadcast. With ``enable_gqa`` the
    last leading dimension is the heads, and those of key and value divide those of query. ``is_causal`` lets query i
    see keys 0 to i. ``scale`` is 1 / sqrt(d) unless given. ``attn_mask`` may only be a causal mask or one that hides
    nothing, and ``dropout_p`` only 0.0.

    ``config`` is the machine: a Config, a preset's name, or None for this one, which does not change: the smallest of
    4, 8, 16, 32, 64 and 128 rows that holds d and dv; the input format fp16 (bf16 if query is bfloat16), the
    accumulation format fp32, 8 pieces of exp2, and 1/x by division. Inputs are rounded to the input format. On CUDA the
    formats must be these.

    Returns [..., seq_q, dv] in the dtype of query (under autocast: in autocast's), or in ``out_dtype``; float32 holds
    every number of the accumulation format. The gradient is that of exact attention.

    Raises TypeError, ValueError (ConfigError, which is one) or NotImplementedError in one line for what does not fit or
    the machine cannot do.
    """
    return prepare(specification(config), query, key, value, attn_mask, dropout_p, is_causal, scale=scale,
                   enable_gqa=enable_gqa, out_dtype=out_dtype).run()


class Prepared(NamedTuple):
    """A call that the machine can run: the operator's arguments, and what becomes of its result."""

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    causal: bool
    scale: float | None
    config: str
    leading: tuple[int, ...]
    dtype: torch.dtype

    def run(self) -> torch.Tensor:
        """The machine's result, [*leading, seq_q, dv] in ``dtype``."""
        result = _Attention.apply(self.query, self.key, self.value, self.causal, self.scale, self.config)
        return result.reshape(*self.leading, *result.shape[-2:]).to(self.dtype)


def prepare(
    text: str, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0, is_causal: bool = False, *, scale: float | None = None, enable_gqa: bool = False,
    out_dtype: torch.dtype | None = None,
) -> Prepared:
    """A call of ``scaled_dot_product_attention`` on the machine of a specification (``machine.specification``).

    Every refusal is raised here, in the words of ``scaled_dot_product_attention``.
    """
    check_out_dtype(out_dtype)
    query, key, value = (_autocast(tensor) for tensor in (query, key, value))
    causal = check_arguments(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa, text)
    scale = None if scale is None else float(scale)
    if not torch.compiler.is_compiling():
        _machine(query, value, scale, text)
    if enable_gqa:
        outer = torch.broadcast_shapes(query.shape[:-3], key.shape[:-3], value.shape[:-3])
        leading = [(*outer, tensor.shape[-3]) for tensor in (query, key, value)]
    else:
        leading = [tuple(torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2]))] * 3
    four = [_four_dimensions(tensor, shape) for tensor, shape in zip((query, key, value), leading, strict=True)]
    return Prepared(four[0], four[1], four[2], causal, scale, text, leading[0], out_dtype or query.dtype)


def _autocast(tensor: Any) -> Any:
    """The tensor in the dtype that autocast gives torch's own function."""
    if not isinstance(tensor, torch.Tensor) or not tensor.is_floating_point() or tensor.dtype == torch.float64:
        return tensor
    kind = tensor.device.type
    if kind != "meta" and torch.is_autocast_enabled(kind):
        return tensor.to(torch.get_autocast_dtype(kind))
    return tensor


def _four_dimensions(tensor: torch.Tensor, leading: tuple[int, ...]) -> torch.Tensor:
    """[batch, heads, sequence, head dimension] of a tensor whose leading dimensions become these."""
    tensor = tensor.expand(*leading, *tensor.shape[-2:])
    while tensor.dim() < 4:
        tensor = tensor.unsqueeze(0)
    return tensor.flatten(0, -4)


@torch.library.custom_op("myhdl_fsa::attention", mutates_args=(), device_types="cpu")
def attention_op(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None, config: str
) -> torch.Tensor:
    """The operator: [batch, heads, seq_q, dv] of 4-D tensors, float32 (float64 of float64 ones).

    The heads of key and value divide those of query.
    """
    machine = _machine(query, value, scale, config)
    if query.numel() == 0:
        return _output(query, value)
    return cpu.attention(query, key, value, machine, causal=causal, scale=scale).to(_result_dtype(query))


@attention_op.register_kernel("cuda")
def _on_cuda(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None, config: str
) -> torch.Tensor:
    machine = _machine(query, value, scale, config)
    if query.numel() == 0:
        return _output(query, value)
    # only where there is a CUDA device must there be triton
    from myhdl_fsa.torch.triton_kernel import attention

    return attention(query, key, value, machine, causal=causal, scale=scale).to(_result_dtype(query))


@attention_op.register_fake
def _fake(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None, config: str
) -> torch.Tensor:
    return _output(query, value)


def _output(query: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    return query.new_empty((*query.shape[:-1], value.shape[-1]), dtype=_result_dtype(query))


def _result_dtype(query: torch.Tensor) -> torch.dtype:
    """Holds every number of an accumulation format; float64 so that gradients come in float64."""
    return torch.float64 if query.dtype == torch.float64 else torch.float32


def _machine(query: torch.Tensor, value: torch.Tensor, scale: float | None, config: str) -> Config:
    machine = machine_of(config, max(query.shape[-1], value.shape[-1]), query.dtype)
    Scale.of(machine, scale, query.shape[-1])
    if query.device.type == "cuda" and (machine.elem not in (FP16, BF16) or machine.acc != FP32):
        raise NotImplementedError(f"config has the formats {machine.elem} and {machine.acc}: on cuda they must be fp16 "
                                  "or bf16, and fp32")
    return machine


def _save(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
    query, key, value, ctx.causal, ctx.scale, _ = inputs
    ctx.save_for_backward(query, key, value)


def _backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    query, key, value = ctx.saved_tensors
    return *attention_backward(gradient, query, key, value, ctx.causal, ctx.scale), None, None, None


attention_op.register_autograd(_backward, setup_context=_save)


def _vmap(
    info: Any, in_dims: tuple[int | None, ...], query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
    causal: bool, scale: float | None, config: str,
) -> tuple[torch.Tensor, int]:
    """The mapped dimension becomes part of the batch."""
    tensors = [
        tensor.unsqueeze(0).expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        for tensor, dim in zip((query, key, value), in_dims[:3], strict=True)]
    result = _Attention.apply(*(tensor.flatten(0, 1) for tensor in tensors), causal, scale, config)
    return result.unflatten(0, tensors[0].shape[:2]), 0


attention_op.register_vmap(_vmap)


class _Attention(torch.autograd.Function):
    """The operator with its gradient once more: torch.func.grad does not take that of torch.library."""

    @staticmethod
    def forward(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, causal: bool, scale: float | None, config: str
    ) -> torch.Tensor:
        return attention_op(query, key, value, causal, scale, config)

    setup_context = staticmethod(_save)
    backward = staticmethod(_backward)
    vmap = staticmethod(_vmap)

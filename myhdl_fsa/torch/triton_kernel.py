"""Attention on a GPU, bit for bit what the golden model computes.

Source: docs/specification.md section 2.

A program folds a block of queries. Its two matrix products are chains of fused multiply-adds, one for each number of
the result: Triton's dot product of float32 tensors in "ieee" precision is a loop of them along the depth, so with the
depth reversed (triton_prepare) it meets the elements in the machine's order. fp16 products are exact in float32 and
far from its ends. Those of bf16 may be too small, and then each step has to flush: a dot is taken only of tiles whose
exponents rule that out.
"""

from __future__ import annotations

import torch

try:
    import triton
    import triton.language as tl
except ImportError:
    raise ImportError("attention on CUDA tensors needs triton: pip install triton") from None

from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import AttentionShape
from myhdl_fsa.torch.triton_arithmetic import (
    element_value,
    exp2,
    multiply_add,
    reciprocal,
    round_difference,
    round_element,
)
from myhdl_fsa.torch.triton_prepare import prepare
from myhdl_fsa.torch.weights import tables

__all__ = ["attention"]

_STEP = tl.constexpr(16)
"""folded by one dot product: Triton's least"""
_SAFE_FIELDS = tl.constexpr(142)
"""exponent fields of two bf16 elements that add up to this: no bit of their product lies below 2**-126"""


# The fastest of those measured on an H100: 64 sums a thread in either product of the largest usual tile, 128 keys.
_WARPS = 4
_STAGES = 3
_SUMS = 64 * 32 * _WARPS
_LEAST_QUERIES, _MOST_QUERIES = 4, 64


def attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, config: Config, *, causal: bool = False,
    scale: float | None = None,
) -> torch.Tensor:
    """The machine's output, float32 [batch, heads, seq_q, dv] on the tensors' device.

    ``query`` is [batch, heads, seq_q, d], ``key`` and ``value`` are [batch, kv_heads, seq_kv, d or dv]: CUDA tensors of
    floating point, of any strides, rounded to ``config.elem``. ``causal`` lets query i see keys 0 to i; ``scale`` is
    1 / sqrt(d) unless given. Nothing is copied to the host, nor waited for.

    Raises ValueError for a machine whose formats are not fp16 or bf16 with fp32, and for shapes and a scale that do not
    fit.
    """
    if config.elem not in (FP16, BF16) or config.acc != FP32:
        raise ValueError(f"attention on CUDA tensors with {config.elem} and {config.acc}: the formats must be fp16 or "
                         "bf16, accumulated in fp32")
    shape = AttentionShape.of([tensor.shape for tensor in (query, key, value)], config.rows, causal)
    found = tables(config, Scale.of(config, scale, shape.head_dim), query.device)
    n, bf16 = config.rows, config.elem == BF16
    keys, depth, width = (max(_STEP.value, triton.next_power_of_2(size))
                          for size in (n, shape.head_dim, shape.value_dim))
    queries = min(_MOST_QUERIES, _SUMS // keys, max(_LEAST_QUERIES, triton.next_power_of_2(shape.seq_q)))
    blocks = triton.cdiv(shape.seq_q, queries)
    programs = shape.query_heads * blocks
    result = torch.empty((shape.query_heads, shape.seq_q, shape.value_dim), dtype=torch.float32, device=query.device)
    weights = torch.empty((programs, keys, queries), dtype=torch.float32, device=query.device)
    with torch.cuda.device_of(query):
        q = prepare(query, queries, queries, depth, False, bf16)
        k = prepare(key, n, keys, depth, False, bf16)
        v = prepare(value, n, keys, width, True, bf16)
        _attention_kernel[(programs,)](
            q.values, k.values, v.values, q.lowest, k.lowest, v.lowest, found.weights, found.coefficients, weights,
            result, shape.query_heads, shape.query_heads // shape.key_heads, shape.seq_q, shape.seq_kv,
            shape.value_dim,
            TILE=n, KEYS=keys, DEPTH=depth, WIDTH=width, QUERIES=queries, STAGES=_STAGES, CAUSAL=causal,
            RAGGED=bool(shape.seq_kv % n) or keys != n, BF16=bf16, PIECES=config.exp2_pieces,
            NEWTON_STEPS=Reciprocal(FP32, "newton").iterations if config.reciprocal == "newton" else 0,
            INTERPRETED=not isinstance(_attention_kernel, triton.JITFunction),
            # a dot product's steps are fused, whatever triton's default is
            num_warps=_WARPS, enable_fp_fusion=True)
    return result.view(shape.batch, shape.heads, shape.seq_q, shape.value_dim)


@triton.jit
def _fold(
    left: tl.tensor, right: tl.tensor, safe: tl.tensor, DEPTH: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    STAGES: tl.constexpr, SUMS: tl.constexpr, BF16: tl.constexpr, INTERPRETED: tl.constexpr
) -> tuple[tl.tensor, tl.tensor]:
    """left^T right, [ROWS, COLUMNS], and with SUMS the column sums of ``right``, [1, COLUMNS]; from the first row on.

    ``left`` points to float32 [DEPTH, ROWS], ``right`` to [DEPTH, COLUMNS]; of bf16, ``safe`` says whether no product
    has bits below the smallest normal number. A sum has none: its addends are elements, and not negative.
    """
    row, column, depth = tl.arange(0, ROWS), tl.arange(0, COLUMNS), tl.arange(0, _STEP)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    sums = tl.zeros((1, COLUMNS), tl.float32)
    # the steps that dot products take: all or none
    fast = DEPTH
    if INTERPRETED:
        fast = 0
    elif BF16:
        fast = tl.where(safe, DEPTH, 0)
    if not INTERPRETED:
        for start in tl.range(0, fast, _STEP, num_stages=STAGES):
            x = tl.trans(tl.load(left + (start + depth)[:, None] * ROWS + row[None, :]))
            y = tl.load(right + (start + depth)[:, None] * COLUMNS + column[None, :])
            total = tl.dot(x, y, total, input_precision="ieee")
            if SUMS:
                sums = tl.dot(tl.full((1, _STEP), 1.0, tl.float32), y, sums, input_precision="ieee")
    if INTERPRETED or BF16:
        for step in range(fast, DEPTH):
            x = tl.load(left + step * ROWS + row)[:, None]
            y = tl.load(right + step * COLUMNS + column)[None, :]
            if SUMS:
                sums += y
            x, y = tl.broadcast_to(x, (ROWS, COLUMNS)), tl.broadcast_to(y, (ROWS, COLUMNS))
            if BF16:
                total = multiply_add(x, y, total, INTERPRETED)
            else:
                # the products are exact
                total = tl.fma(x, y, total)
    return total, sums


@triton.jit
def _attention_kernel(
    query: tl.tensor, key: tl.tensor, value: tl.tensor, query_lowest: tl.tensor, key_lowest: tl.tensor,
    value_lowest: tl.tensor, table: tl.tensor, coefficients: tl.tensor, scratch: tl.tensor, result: tl.tensor,
    heads: tl.tensor, group: tl.tensor, seq_q: tl.tensor, seq_kv: tl.tensor, value_dim: tl.tensor, TILE: tl.constexpr,
    KEYS: tl.constexpr, DEPTH: tl.constexpr, WIDTH: tl.constexpr, QUERIES: tl.constexpr, STAGES: tl.constexpr,
    CAUSAL: tl.constexpr, RAGGED: tl.constexpr, BF16: tl.constexpr, PIECES: tl.constexpr, NEWTON_STEPS: tl.constexpr,
    INTERPRETED: tl.constexpr,
) -> None:
    """One block of queries of one head: TILE keys at a time, filled up to KEYS."""
    program = tl.program_id(0)
    blocks = tl.cdiv(seq_q, QUERIES)
    if CAUSAL:
        # the blocks with the most tiles come first, so that none of them is left at the end
        head, block = program % heads, blocks - 1 - program // heads
    else:
        head, block = program // blocks, program % blocks
    tiles = tl.cdiv(seq_kv, TILE)
    # [key or width, query]: a query is a column, as in the machine
    key_row, width_row, column = tl.arange(0, KEYS), tl.arange(0, WIDTH), tl.arange(0, QUERIES)
    place = block * QUERIES + column
    query += (head * blocks + block).to(tl.int64) * DEPTH * QUERIES
    first_tile = head // group * tiles
    scratch += program.to(tl.int64) * KEYS * QUERIES
    scale = tl.load(coefficients)
    low_query = tl.load(query_lowest + head * blocks + block)
    top = tl.full((QUERIES,), float("-inf"), tl.float32)
    total = tl.zeros((QUERIES,), tl.float32)
    output = tl.zeros((WIDTH, QUERIES), tl.float32)
    seen = tiles
    if CAUSAL:
        seen = tl.minimum(tiles, (tl.minimum((block + 1) * QUERIES, seq_q) - 1) // TILE + 1)
    for tile in range(seen):
        at = first_tile + tile
        safe = low_query + tl.load(key_lowest + at) >= _SAFE_FIELDS
        score, _ = _fold(key + at.to(tl.int64) * DEPTH * KEYS, query, safe, DEPTH, KEYS, QUERIES, STAGES, False, BF16,
                         INTERPRETED)
        if CAUSAL or RAGGED:
            visible = ((key_row < TILE) & (tile * TILE + key_row < seq_kv))[:, None]
            if CAUSAL:
                visible = visible & (tile * TILE + key_row[:, None] <= place[None, :])
            score = tl.where(visible, score, float("-inf"))
        old = top
        # a NaN makes its weight, the row sum and so the whole row NaN, whichever maximum is taken
        top = tl.maximum(old, tl.max(score, axis=0))
        narrow = element_value(round_element(score, BF16), BF16)
        index = round_difference(narrow, tl.broadcast_to(top[None, :], (KEYS, QUERIES)), BF16, INTERPRETED)
        weight = element_value(tl.load(table + (index.to(tl.int32) & 0xFFFF)), BF16)
        low_weight = 255
        if BF16:
            field = weight.to(tl.int32, bitcast=True) >> 23
            low_weight = tl.min(tl.where(field == 0, 255, field))
        # through memory, for the rows to be taken out one after the other
        tl.debug_barrier()
        tl.store(scratch + (KEYS - 1 - key_row)[:, None] * QUERIES + column[None, :], weight)
        tl.debug_barrier()
        safe = low_weight + tl.load(value_lowest + at) >= _SAFE_FIELDS
        partial, sums = _fold(value + at.to(tl.int64) * KEYS * WIDTH, scratch, safe, KEYS, WIDTH, QUERIES, STAGES, True,
                              BF16, INTERPRETED)
        row_sum = tl.sum(sums, axis=0)
        one, zero = tl.full((QUERIES,), 1.0, tl.float32), tl.zeros((QUERIES,), tl.float32)
        delta = multiply_add(old, one, -top, INTERPRETED)
        scaled = multiply_add(delta, one * scale, zero, INTERPRETED)
        rescale = exp2(scaled, coefficients + 1, PIECES, INTERPRETED)
        total = multiply_add(total, rescale, row_sum, INTERPRETED)
        more = multiply_add(output, tl.broadcast_to(rescale[None, :], (WIDTH, QUERIES)), partial, INTERPRETED)
        if CAUSAL and TILE % QUERIES != 0:
            # a tile wholly after its query is left out: weights of +0 would do, but for Inf and NaN in V
            more = tl.where((tile * TILE <= place)[None, :], more, output)
        output = more
    factor = tl.broadcast_to(reciprocal(total, NEWTON_STEPS, INTERPRETED)[None, :], (WIDTH, QUERIES))
    output = multiply_add(output, factor, tl.zeros((WIDTH, QUERIES), tl.float32), INTERPRETED)
    output = tl.where(output == output, output, float("nan"))
    result += head.to(tl.int64) * seq_q * value_dim
    tl.store(result + place[None, :].to(tl.int64) * value_dim + width_row[:, None], output,
             mask=(width_row < value_dim)[:, None] & (place < seq_q)[None, :])

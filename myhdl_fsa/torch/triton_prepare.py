"""Tensors as a GPU kernel folds them: elements as float32, in tiles, what is folded first at the front."""

from __future__ import annotations

import torch
import triton
import triton.language as tl

from myhdl_fsa.torch.triton_arithmetic import element_value, round_element

__all__ = ["Prepared", "prepare"]

_NATIVE = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Prepared:
    """The tiles of a tensor [batch, heads, sequence, width].

    ``values`` is float32 [batch * heads, tiles, depth, columns], whose depth is what is folded over, reversed: of a
    value tensor the sequence, else the width. It is filled up with zeros, at the front of the depth and at the end of
    the columns. ``lowest`` is int32 [batch * heads, tiles]: the smallest exponent field of an element that is not zero,
    255 where all are.
    """

    def __init__(self, values: torch.Tensor, lowest: torch.Tensor) -> None:
        self.values = values
        self.lowest = lowest


def prepare(tensor: torch.Tensor, rows: int, padded: int, width: int, by_row: bool, bf16: bool) -> Prepared:
    """Tiles of ``rows`` rows, filled up to ``padded`` rows and ``width`` columns; ``by_row``: for a fold over rows."""
    if tensor.dtype not in _NATIVE:
        # the narrow formats, all of which float32 holds
        tensor = tensor.to(torch.float32)
    batch, heads, length, used = tensor.shape
    tiles = triton.cdiv(length, rows)
    depth, columns = (padded, width) if by_row else (width, padded)
    values = torch.empty((batch * heads, tiles, depth, columns), dtype=torch.float32, device=tensor.device)
    lowest = torch.empty((batch * heads, tiles), dtype=torch.int32, device=tensor.device)
    _prepare_kernel[(batch * heads * tiles,)](
        tensor, values, lowest, *tensor.stride(), heads, tiles, length, used, rows,
        PADDED=padded, WIDTH=width, STEP=min(width, 32), BY_ROW=by_row, BF16=bf16,
        DOUBLE=tensor.dtype == torch.float64)
    return Prepared(values, lowest)


@triton.jit
def _element_of_double(x: tl.tensor, BF16: tl.constexpr) -> tl.tensor:
    """The element, as float32, that a float64 rounds to."""
    DROPPED: tl.constexpr = 52 - (7 if BF16 else 10)
    SMALLEST: tl.constexpr = 2.0**-126 if BF16 else 2.0**-14
    # torch and numpy round fp16 to a multiple of the smallest subnormal number
    FLUSHED: tl.constexpr = 2.0**-126 * (1 - 2.0**-9) if BF16 else 2.0**-14 - 2.0**-25
    bits = x.to(tl.int64, bitcast=True)
    bits = (bits + ((1 << (DROPPED - 1)) - 1) + ((bits >> DROPPED) & 1)) & -(1 << DROPPED)
    rounded = bits.to(tl.float64, bitcast=True)
    rounded = tl.where(tl.abs(x) < SMALLEST, tl.where(x < 0, -SMALLEST, SMALLEST), rounded)
    rounded = tl.where(tl.abs(x) < FLUSHED, x * 0.0, rounded)
    if not BF16:
        rounded = tl.where(tl.abs(rounded) > 65504.0, rounded * float("inf"), rounded)
    return tl.where(x != x, x, rounded).to(tl.float32)


@triton.jit
def _element(x: tl.tensor, BF16: tl.constexpr) -> tl.tensor:
    """The element, as float32, that a float32 or a narrower number rounds to."""
    wide = x.to(tl.float32)
    if BF16:
        return element_value(round_element(wide, BF16), BF16)
    else:
        value = wide.to(tl.float16).to(tl.float32)
        # a zero's sign is lost: it never reaches a bit of the result
        return tl.where(tl.abs(value) < 2.0**-14, 0.0, value)


@triton.jit
def _prepare_kernel(
    tensor: tl.tensor, values: tl.tensor, lowest: tl.tensor, batch_stride: tl.tensor, head_stride: tl.tensor,
    row_stride: tl.tensor, column_stride: tl.tensor, heads: tl.tensor, tiles: tl.tensor, length: tl.tensor,
    used: tl.tensor, rows: tl.tensor, PADDED: tl.constexpr, WIDTH: tl.constexpr, STEP: tl.constexpr,
    BY_ROW: tl.constexpr, BF16: tl.constexpr, DOUBLE: tl.constexpr,
) -> None:
    """One tile: rounds it, and turns it round."""
    program = tl.program_id(0)
    head, tile = program // tiles, program % tiles
    tensor += (head // heads).to(tl.int64) * batch_stride + (head % heads).to(tl.int64) * head_stride
    values += program.to(tl.int64) * PADDED * WIDTH
    row = tl.arange(0, PADDED)
    place = tile * rows + row
    there = (row < rows) & (place < length)
    low = tl.full((PADDED,), 255, tl.int32)
    for start in range(0, WIDTH, STEP):
        column = start + tl.arange(0, STEP)
        x = tl.load(tensor + place[:, None].to(tl.int64) * row_stride + column[None, :].to(tl.int64) * column_stride,
                    mask=there[:, None] & (column < used)[None, :], other=0.0)
        if DOUBLE:
            value = _element_of_double(x, BF16)
        else:
            value = _element(x, BF16)
        field = (value.to(tl.int32, bitcast=True) >> 23) & 0xFF
        low = tl.minimum(low, tl.min(tl.where(field == 0, 255, field), axis=1))
        if BY_ROW:
            at = (PADDED - 1 - row)[:, None] * WIDTH + column[None, :]
        else:
            at = (WIDTH - 1 - column)[None, :] * PADDED + row[:, None]
        tl.store(values + at, value)
    tl.store(lowest + program, tl.min(low, axis=0))

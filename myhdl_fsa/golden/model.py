"""The software reference: attention on numpy arrays, bit for bit what the machine computes.

Source: docs/specification.md section 2.

Arrays inside run [key, query]: a query is a column, as in the machine, and every query of a block goes through each
step at once. Every sum that the machine folds in a fixed order is folded in that order here, one step per numpy call.
Where the accumulation format is fp32 and the products are exact in it, the processor's own float32 multiply and add
give the same bits as the exact route through float64, and are used.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.fma import select_second
from myhdl_fsa.arithmetic.formats import FP32, Bits, FloatFormat, Values
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.arithmetic.rounding import add_values, check_bits, decode, encode, round_values
from myhdl_fsa.config import Config

__all__ = [
    "Floats",
    "attention",
    "exp_weights",
    "fold",
    "mask_later",
    "rescale_factor",
    "running_max",
]

Floats = np.ndarray
"""float32 on the native route, float64 on the exact one"""

# elements of one block: small enough that its temporaries stay in the cache
_BLOCK_QUERIES = 256
_BLOCK_ELEMENTS = 1 << 16


def attention(q: Any, k: Any, v: Any, config: Config, causal: bool = False, trace: bool = False) -> Any:
    """softmax(q k^T / sqrt(d)) v as the machine computes it.

    ``q`` is [seq_q, d], ``k`` and ``v`` are [seq_kv, d]: floating arrays, rounded to ``config.elem``, or unsigned
    arrays of ``elem`` patterns. d is ``config.rows``; seq_q is a multiple of ``config.cols`` and seq_kv of
    ``config.rows``. ``causal`` lets query tile i see the key tiles up to i, the last of them without later keys.

    Returns unsigned patterns of ``config.acc``, [seq_q, d]. With ``trace``, returns (patterns, steps), where steps maps
    each name to patterns of the step's format: S [seq_q, seq_kv] before masking and O, L, row_sum and the rest per key
    tile, [seq_q, tiles]; a tile that ``causal`` skips holds 0.

    Raises ValueError for a shape or a pattern that does not fit, TypeError for an array of another kind.
    """
    q, k, v = (_elements(name, array, config) for name, array in (("q", q), ("k", k), ("v", v)))
    if k.shape != v.shape:
        raise ValueError(f"k has shape {k.shape} and v has shape {v.shape}: must be equal")
    for name, array, tile in (("q", q, config.cols), ("k", k, config.rows)):
        if array.shape[0] == 0 or array.shape[0] % tile:
            raise ValueError(f"{name} has {array.shape[0]} rows: must be a positive multiple of {tile}")
    steps = _empty_trace(len(q), len(k), config) if trace else None
    result = np.empty(q.shape, config.acc.dtype)
    tiles = max(1, _BLOCK_QUERIES // config.cols)
    for first in range(0, len(q) // config.cols, tiles):
        rows = slice(first * config.cols, (first + tiles) * config.cols)
        with np.errstate(all="ignore"):
            part = _part(steps, rows, range(len(k) // config.rows), config.rows)
            result[rows] = _query_block(q[rows], k, v, first if causal else None, config, part)
    return (result, steps) if trace else result


def _elements(name: str, array: Any, config: Config) -> Values:
    """An argument as values of ``elem``."""
    array = np.asarray(array)
    if array.ndim != 2 or array.shape[1] != config.rows:
        raise ValueError(f"{name} has shape {array.shape}: must be [sequence, {config.rows}]")
    if array.dtype.kind == "u":
        return decode(check_bits(array, config.elem), config.elem)
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise TypeError(f"{name} must be a float16, float32, float64 or unsigned integer array, not {array.dtype}")
    return round_values(array.astype(np.float64), config.elem)


def _query_block(
    q: Values, k: Values, v: Values, first: int | None, config: Config, steps: dict[str, Bits] | None
) -> Bits:
    """The result for some query tiles; ``first`` is the number of the first one when masking, else None."""
    n, acc = config.rows, config.acc
    kv_tiles = len(k) // n
    if first is not None:
        kv_tiles = min(kv_tiles, first + len(q) // n)
    running = np.full(len(q), -np.inf)
    # O^T, and L as one more row: a column of ones in V makes the row sum out of the same fold
    total = np.zeros((n + 1, len(q)))
    q_by_step = np.ascontiguousarray(q.T)[:, None, :]
    width = max(1, _BLOCK_ELEMENTS // (len(q) * n))
    for start in range(0, kv_tiles, width):
        stop = min(start + width, kv_tiles)
        k_by_step = np.ascontiguousarray(k[start * n : stop * n].T)[:, :, None]
        score = fold(k_by_step, q_by_step, config).reshape(stop - start, n, len(q))
        tiles = _part(steps, slice(None), range(start, stop), n)
        if tiles is not None:
            _record(tiles, "S", score, acc)
        # the first query a key tile meets; the ones before it skip the tile
        begin = [0] * (stop - start) if first is None else [max(0, t - first) * n for t in range(start, stop)]
        if first is not None:
            mask_later(score, range(start - first, stop - first))
        old, new = running_max(score, running)
        running = new[-1]
        v_tiles = v[start * n : stop * n].reshape(stop - start, n, n)
        v_by_step = np.concatenate([v_tiles, np.ones((stop - start, n, 1))], axis=2).transpose(1, 0, 2)[..., None]
        rescale = rescale_factor(old, new, config, tiles)
        weights = exp_weights(score, new, config, tiles)
        partial = fold(v_by_step, weights.transpose(1, 0, 2)[:, :, None, :], config)
        history = np.zeros(partial.shape) if tiles is not None else None
        for tile, column in enumerate(begin):
            seen = total[:, column:]
            total[:, column:] = add_values(seen * rescale[tile, column:], partial[tile, :, column:], acc)
            if history is not None:
                history[tile] = total
        if tiles is not None and history is not None:
            for name, array in (("running_max", new), ("row_sum", partial[:, -1]), ("L", history[:, -1])):
                _record(tiles, name, array, acc)
            for name, array in (("O_partial", partial[:, :-1]), ("O", history[:, :-1])):
                _record(tiles, name, array, acc)
            for tile, column in enumerate(begin):
                _blank(tiles, tile, column, n)
    factor = Reciprocal(acc, config.reciprocal).compute_values(total[-1])
    if steps is not None:
        steps["reciprocal"][:] = encode(factor, acc)
    return encode(add_values(total[:-1] * factor, 0.0, acc), acc).T


def _products_fit_fp32(left: Floats, right: Floats, config: Config) -> bool:
    """Whether float32 multiply-then-add equals the fused operation: products exact, nothing subnormal on the way."""
    elem = config.elem
    if config.acc != FP32 or 2 * (elem.mantissa_bits + 1) > 24:
        return False
    # every product, and so every sum, is a multiple of the product of the two smallest steps
    if 2 * (1 - elem.bias - elem.mantissa_bits) >= -126 and 2 * (elem.bias + 1) < 127:
        return True
    (low_left, high_left), (low_right, high_right) = _exponents(left), _exponents(right)
    return low_left + low_right - 2 * elem.mantissa_bits >= -126 and high_left + high_right + 2 < 127


def _exponents(values: Floats) -> tuple[int, int]:
    """The exponents of the smallest and the largest magnitude that are neither zero nor Inf or NaN."""
    magnitude = np.abs(values)
    magnitude = magnitude[(magnitude > 0) & (magnitude < np.inf)]
    if magnitude.size == 0:
        return 0, 0
    return int(np.frexp(magnitude.min())[1]) - 1, int(np.frexp(magnitude.max())[1]) - 1


def fold(left: Floats, right: Floats, config: Config) -> Floats:
    """Folds FMA(left[step], right[step], total) over the first axis from its last element down to 0, from +0."""
    shape = np.broadcast_shapes(left.shape[1:], right.shape[1:])
    backwards = range(len(left) - 1, -1, -1)
    if _products_fit_fp32(left, right, config):
        left, right = left.astype(np.float32, copy=False), right.astype(np.float32, copy=False)
        native, product = np.zeros(shape, np.float32), np.empty(shape, np.float32)
        for step in backwards:
            np.multiply(left[step], right[step], out=product)
            np.add(native, product, out=native)
        return native
    exact = np.zeros(shape)
    # elements are exact in float32 too, but their products may need all of float64
    left, right = left.astype(np.float64, copy=False), right.astype(np.float64, copy=False)
    for step in backwards:
        exact = add_values(left[step] * right[step], exact, config.acc)
    return exact


def mask_later(score: Floats, offsets: range) -> None:
    """Replaces by -Inf what lies after the query on the tiles of the diagonal, in place."""
    n = score.shape[1]
    later = np.tri(n, k=-1, dtype=bool)
    for tile, offset in enumerate(offsets):
        if 0 <= offset < score.shape[2] // n:
            score[tile, :, offset * n : (offset + 1) * n][later] = -np.inf


def running_max(score: Floats, running: Values) -> tuple[Values, Values]:
    """The maximum before and after each tile, [tiles, queries], going on from ``running``."""
    tops = np.concatenate([running[None], score.max(axis=1)])
    maxima = np.maximum.accumulate(tops)
    if np.isnan(maxima).any() or (maxima == 0).any():
        # a NaN is chosen and then dropped again, and +0 beats -0: only the steps themselves tell
        current = running
        for tile, keys in enumerate(score):
            for key in keys:
                current = np.where(select_second(key, current), current, key)
            maxima[tile + 1] = current
    return maxima[:-1], maxima[1:]


def rescale_factor(old: Values, new: Values, config: Config, tiles: dict[str, Bits] | None = None) -> Values:
    """What the old sums are multiplied by, in the accumulator: 2**((m_old - m_new) * scale)."""
    acc = config.acc
    delta = add_values(old, -new, acc)
    scaled = add_values(delta * _scale(config, acc), 0.0, acc)
    rescale = Exp2(acc, acc, config.exp2_pieces).compute_values(scaled)
    if tiles is not None:
        for name, array in (("delta", delta), ("scaled_delta", scaled), ("rescale", rescale)):
            _record(tiles, name, array, acc)
    return rescale


def exp_weights(score: Floats, top: Values, config: Config, tiles: dict[str, Bits] | None = None) -> Floats:
    """P = 2**((S - m) * scale) in the processing elements, [tiles, keys, queries]."""
    elem = config.elem
    unit, scale = Exp2(elem, config.acc, config.exp2_pieces), _scale(config, elem)
    if elem.width <= 16 and tiles is None:
        table = _weight_table(unit, scale)
        rounded = round_values(score.astype(np.float64, copy=False), elem)
        return table.take(encode(add_values(rounded, -top[:, None, :], elem), elem))
    rounded = round_values(score.astype(np.float64, copy=False), elem)
    x1 = add_values(rounded, -top[:, None, :], elem)
    x2 = add_values(x1 * scale, 0.0, elem)
    weights = unit.compute_values(x2, elem)
    if tiles is not None:
        for name, array in (("S_elem", rounded), ("X1", x1), ("X2", x2), ("P", weights)):
            _record(tiles, name, array, elem)
    return weights


@lru_cache(maxsize=8)
def _weight_table(unit: Exp2, scale: float) -> Floats:
    """P for every pattern of x1, an element of at most 16 bits, as float32."""
    patterns = np.arange(1 << unit.mul.width, dtype=np.uint32).astype(unit.mul.dtype)
    x2 = add_values(decode(patterns, unit.mul) * scale, 0.0, unit.mul)
    return unit.compute_values(x2, unit.mul).astype(np.float32)


def _scale(config: Config, fmt: FloatFormat) -> float:
    return float(round_values(np.array([config.attention_scale]), fmt)[0])


_PER_KEY = ("S", "S_elem", "X1", "X2", "P")
_ELEM_STEPS = ("S_elem", "X1", "X2", "P")
_PER_TILE = ("running_max", "delta", "scaled_delta", "rescale", "row_sum", "L")


def _empty_trace(queries: int, keys: int, config: Config) -> dict[str, Bits]:
    tiles = keys // config.rows
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_PER_KEY, (queries, keys))
    shapes.update(dict.fromkeys(_PER_TILE, (queries, tiles)))
    shapes.update(dict.fromkeys(("O_partial", "O"), (queries, tiles, config.rows)))
    shapes["reciprocal"] = (queries,)
    return {
        name: np.zeros(shape, (config.elem if name in _ELEM_STEPS else config.acc).dtype)
        for name, shape in shapes.items()
    }


def _part(steps: dict[str, Bits] | None, rows: slice, tiles: range, n: int) -> dict[str, Bits] | None:
    """Views of the trace: some queries, some key tiles."""
    if steps is None:
        return None
    keys = slice(tiles.start * n, tiles.stop * n)
    columns = slice(tiles.start, tiles.stop)
    return {
        name: array[rows] if array.ndim == 1 else array[rows, keys if name in _PER_KEY else columns]
        for name, array in steps.items()
    }


def _record(steps: dict[str, Bits], name: str, values: Floats, fmt: FloatFormat) -> None:
    """Stores a step: its last axis is the query, which the trace has first."""
    if name in _PER_KEY:
        values = values.reshape(-1, values.shape[-1])
    steps[name][:] = encode(np.moveaxis(values, -1, 0), fmt)


def _blank(steps: dict[str, Bits], tile: int, column: int, n: int) -> None:
    """Clears a key tile for the queries that skip it."""
    for name, array in steps.items():
        if name in _PER_KEY:
            array[:column, tile * n : (tile + 1) * n] = 0
        elif array.ndim > 1:
            array[:column, tile] = 0

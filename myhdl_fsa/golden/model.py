"""The software reference: attention on numpy arrays, bit for bit what the machine computes.

Source: docs/specification.md section 2.

Arrays inside run [key, query]: a query is a column, as in the machine, and every query of a block goes through each
step at once. Every sum that the machine folds in a fixed order is folded in that order here, one step per numpy call.
Where the accumulation format is fp32 and the products are exact in it, the processor's own float32 multiply and add
give the same bits as the exact route through float64, and are used.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.fma import select_second
from myhdl_fsa.arithmetic.formats import FP32, Bits, FloatFormat, Values
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.arithmetic.rounding import add_values, check_bits, decode, encode, round_values
from myhdl_fsa.arithmetic.tensors import to_elem
from myhdl_fsa.config import Config
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import AttentionShape, tiles

__all__ = [
    "Evaluation",
    "Floats",
    "attention",
    "evaluate",
    "exp_weights",
    "fold",
    "hide_last",
    "mask_later",
    "rescale_factor",
    "running_max",
    "weight_table",
]

Floats = np.ndarray
"""float32 on the native route, float64 on the exact one"""

# elements of one block: small enough that its temporaries stay in the cache
_BLOCK_QUERIES = 256
_BLOCK_ELEMENTS = 1 << 16


@dataclass(frozen=True)
class Evaluation:
    """What the machine computes of one attention problem."""

    output: Bits
    """acc patterns, [seq_q, dv] or [batch, heads, seq_q, dv]"""
    trace: dict[str, Bits]
    """intermediates by name; empty unless asked for"""
    poor_reciprocals: int
    """rows of the output whose reciprocal is of no use (``Reciprocal.poor``): none with ``division``"""


def attention(
    q: Any, k: Any, v: Any, config: Config, causal: bool = False, trace: bool = False, *, scale: float | None = None,
    workers: int | None = 1,
) -> Any:
    """softmax(scale * q k^T) v as the machine computes it: ``evaluate``'s output, or with ``trace`` (output, trace)."""
    found = evaluate(q, k, v, config, causal, trace, scale=scale, workers=workers)
    return (found.output, found.trace) if trace else found.output


def evaluate(
    q: Any, k: Any, v: Any, config: Config, causal: bool = False, trace: bool = False, *, scale: float | None = None,
    workers: int | None = 1,
) -> Evaluation:
    """softmax(scale * q k^T) v as the machine computes it.

    ``q`` is [seq_q, d], ``k`` [seq_kv, d] and ``v`` [seq_kv, dv], d and dv at most ``config.rows``; or each has
    [batch, heads] before it, and the heads of k and v divide those of q. Floating arrays, rounded to ``config.elem``,
    or unsigned arrays of ``elem`` patterns. ``causal`` lets query i see keys 0 to i; ``scale`` is 1 / sqrt(d) unless
    given. ``workers`` threads compute, None: as many as there are processors.

    The trace maps each name to patterns of the step's format: S [seq_q, seq_kv] before masking and O, L, row_sum and
    the rest per key tile, [seq_q, tiles]; a tile that ``causal`` skips holds 0. With heads they come first.

    Raises ValueError for a shape, a scale or a pattern that does not fit, TypeError for an array of another kind.
    """
    arrays = [np.asarray(array) for array in (q, k, v)]
    shape = AttentionShape.of([array.shape for array in arrays], config.rows, causal)
    factors = Scale.of(config, scale, shape.head_dim)
    q, k, v = (_elements(name, array, config) for name, array in zip("qkv", arrays, strict=True))
    steps = _empty_trace(shape, config) if trace else {}
    output = np.empty((shape.query_heads, shape.seq_q, shape.value_dim), config.acc.dtype)
    block = max(1, _BLOCK_QUERIES // config.cols) * config.cols
    jobs = [(head, first) for head in range(shape.query_heads) for first in range(0, shape.seq_q, block)]

    def run(job: tuple[int, int]) -> int:
        head, first = job
        rows, key_head = slice(first, first + block), shape.key_head(head)
        part = {name: array[head, rows] for name, array in steps.items()}
        with np.errstate(all="ignore"):
            output[head, rows], poor = _query_block(
                q[head, rows], k[key_head], v[key_head], first // config.cols if causal else None, config, factors,
                part if trace else None, elements)
        return poor

    count = min(len(jobs), os.cpu_count() or 1 if workers is None else workers)
    # the interpreter runs one thread at a time, so that many of them must have more to do in each of numpy's calls
    elements = _BLOCK_ELEMENTS * max(1, count)
    if count > 1:
        with ThreadPoolExecutor(count) as pool:
            poor = sum(pool.map(run, jobs))
    else:
        poor = sum(map(run, jobs))
    return Evaluation(output.reshape(*shape.leading, *output.shape[1:]),
                      {name: array.reshape(*shape.leading, *array.shape[1:]) for name, array in steps.items()}, poor)


def _elements(name: str, array: np.ndarray, config: Config) -> Values:
    """An argument as values of ``elem``, [heads, seq, d]."""
    array = array.reshape(-1, *array.shape[-2:])
    if array.dtype.kind == "u":
        try:
            return decode(check_bits(array, config.elem), config.elem)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    if array.dtype not in (np.float16, np.float32, np.float64):
        raise TypeError(f"{name} must be a float16, float32, float64 or unsigned integer array, not {array.dtype}")
    return decode(to_elem(array, config.elem), config.elem)


def _query_block(
    q: Values, k: Values, v: Values, first: int | None, config: Config, scale: Scale, steps: dict[str, Bits] | None,
    elements: int,
) -> tuple[Bits, int]:
    """The result for some query tiles, and how many of its rows have a reciprocal that is of no use.

    ``first`` is the number of the first tile when masking, else None; so many ``elements`` go through a step at once.
    """
    n, acc, keys, dims = config.rows, config.acc, len(k), v.shape[1]
    kv_tiles = tiles(keys, n)
    # the last tile is filled up with keys that are hidden
    k, v = (np.pad(array, ((0, kv_tiles * n - keys), (0, 0))) for array in (k, v))
    if first is not None:
        kv_tiles = min(kv_tiles, first + tiles(len(q), n))
    running = np.full(len(q), -np.inf)
    # O^T, and L as one more row: a column of ones in V makes the row sum out of the same fold
    total = np.zeros((dims + 1, len(q)))
    q_by_step = np.ascontiguousarray(q.T)[:, None, :]
    width = max(1, elements // (len(q) * n))
    for start in range(0, kv_tiles, width):
        stop = min(start + width, kv_tiles)
        k_by_step = np.ascontiguousarray(k[start * n : stop * n].T)[:, :, None]
        score = fold(k_by_step, q_by_step, config).reshape(stop - start, n, len(q))
        part = _part(steps, range(start, stop), n)
        if part is not None:
            _record(part, "S", score, acc)
        # the first query a key tile meets; the ones before it skip the tile
        begin = [0] * (stop - start) if first is None else [max(0, t - first) * n for t in range(start, stop)]
        if first is not None:
            mask_later(score, range(start - first, stop - first))
        if stop * n > keys:
            hide_last(score[-1], stop * n - keys)
        old, new = running_max(score, running)
        running = new[-1]
        v_tiles = v[start * n : stop * n].reshape(stop - start, n, dims)
        v_by_step = np.concatenate([v_tiles, np.ones((stop - start, n, 1))], axis=2).transpose(1, 0, 2)[..., None]
        rescale = rescale_factor(old, new, config, scale, part)
        weights = exp_weights(score, new, config, scale, part)
        partial = fold(v_by_step, weights.transpose(1, 0, 2)[:, :, None, :], config)
        history = np.zeros(partial.shape) if part is not None else None
        for tile, column in enumerate(begin):
            seen = total[:, column:]
            total[:, column:] = add_values(seen * rescale[tile, column:], partial[tile, :, column:], acc)
            if history is not None:
                history[tile] = total
        if part is not None and history is not None:
            for name, array in (("running_max", new), ("row_sum", partial[:, -1]), ("L", history[:, -1])):
                _record(part, name, array, acc)
            for name, array in (("O_partial", partial[:, :-1]), ("O", history[:, :-1])):
                _record(part, name, array, acc)
            for tile, column in enumerate(begin):
                _blank(part, tile, column, n)
    unit = Reciprocal(acc, config.reciprocal)
    factor = unit.compute_values(total[-1])
    poor = 0 if config.reciprocal == "division" else int(np.count_nonzero(unit.poor(total[-1])))
    if steps is not None:
        steps["reciprocal"][:] = encode(factor, acc)
    return encode(add_values(total[:-1] * factor, 0.0, acc), acc).T, poor


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


def _sums_fit_float64(left: Floats, right: Floats, config: Config) -> bool:
    """Whether float64 holds every sum of a fold before it is rounded, of at most 256 products."""
    (low_left, high_left), (low_right, high_right) = _exponents(left), _exponents(right)
    # what is rounded stays a multiple of the smallest product's last bit; and a total of 256 products, each addition
    # rounded, is below 2**10 of the largest: one of 7 mantissa bits or fewer stops growing before
    lowest = low_left + low_right - 2 * config.elem.mantissa_bits
    return len(left) <= 256 and high_left + high_right + 2 + 10 - lowest <= 53


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
    if _sums_fit_float64(left, right, config):
        for step in backwards:
            total = left[step] * right[step]
            total += exact
            exact = round_values(total, config.acc)
        return exact
    for step in backwards:
        exact = add_values(left[step] * right[step], exact, config.acc)
    return exact


def mask_later(score: Floats, offsets: range) -> None:
    """Replaces by -Inf what lies after the query on the tiles of the diagonal, in place."""
    n = score.shape[1]
    later = np.tri(n, k=-1, dtype=bool)
    for tile, offset in enumerate(offsets):
        if 0 <= offset * n < score.shape[2]:
            diagonal = score[tile, :, offset * n : (offset + 1) * n]
            diagonal[later[:, : diagonal.shape[1]]] = -np.inf


def hide_last(score: Floats, hidden: int) -> None:
    """Replaces by -Inf the scores of so many keys at the end of a tile, [key, query], in place."""
    score[len(score) - hidden :] = -np.inf


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


def rescale_factor(
    old: Values, new: Values, config: Config, scale: Scale, trace: dict[str, Bits] | None = None
) -> Values:
    """What the old sums are multiplied by, in the accumulator: 2**((m_old - m_new) * scale)."""
    acc = config.acc
    delta = add_values(old, -new, acc)
    scaled = add_values(delta * _value(scale.acc, acc), 0.0, acc)
    rescale = Exp2(acc, acc, config.exp2_pieces).compute_values(scaled)
    if trace is not None:
        for name, array in (("delta", delta), ("scaled_delta", scaled), ("rescale", rescale)):
            _record(trace, name, array, acc)
    return rescale


def exp_weights(
    score: Floats, top: Values, config: Config, scale: Scale, trace: dict[str, Bits] | None = None
) -> Floats:
    """P = 2**((S - m) * scale) in the processing elements, [tiles, keys, queries]."""
    elem = config.elem
    unit, factor = Exp2(elem, config.acc, config.exp2_pieces), _value(scale.elem, elem)
    if elem.width <= 16 and trace is None:
        table = weight_table(config, scale)
        rounded = round_values(score.astype(np.float64, copy=False), elem)
        return table.take(encode(add_values(rounded, -top[:, None, :], elem), elem))
    rounded = round_values(score.astype(np.float64, copy=False), elem)
    x1 = add_values(rounded, -top[:, None, :], elem)
    x2 = add_values(x1 * factor, 0.0, elem)
    weights = unit.compute_values(x2, elem)
    if trace is not None:
        for name, array in (("S_elem", rounded), ("X1", x1), ("X2", x2), ("P", weights)):
            _record(trace, name, array, elem)
    return weights


def weight_table(config: Config, scale: Scale) -> Floats:
    """P for every pattern of x1 = S - m, elements of at most 16 bits, as float32: [2**width]."""
    return _weight_table(Exp2(config.elem, config.acc, config.exp2_pieces), scale.elem)


@lru_cache(maxsize=8)
def _weight_table(unit: Exp2, scale: int) -> Floats:
    elem = unit.mul
    patterns = np.arange(1 << elem.width, dtype=np.uint32).astype(elem.dtype)
    with np.errstate(all="ignore"):
        x2 = add_values(decode(patterns, elem) * _value(scale, elem), 0.0, elem)
        return unit.compute_values(x2, elem).astype(np.float32)


def _value(bits: int, fmt: FloatFormat) -> float:
    return float(decode(np.array([bits], fmt.dtype), fmt)[0])


_PER_KEY = ("S", "S_elem", "X1", "X2", "P")
_ELEM_STEPS = ("S_elem", "X1", "X2", "P")
_PER_TILE = ("running_max", "delta", "scaled_delta", "rescale", "row_sum", "L")


def _empty_trace(shape: AttentionShape, config: Config) -> dict[str, Bits]:
    queries, count = (shape.query_heads, shape.seq_q), tiles(shape.seq_kv, config.rows)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_PER_KEY, (*queries, shape.seq_kv))
    shapes.update(dict.fromkeys(_PER_TILE, (*queries, count)))
    shapes.update(dict.fromkeys(("O_partial", "O"), (*queries, count, shape.value_dim)))
    shapes["reciprocal"] = queries
    return {
        name: np.zeros(size, (config.elem if name in _ELEM_STEPS else config.acc).dtype)
        for name, size in shapes.items()
    }


def _part(steps: dict[str, Bits] | None, found: range, n: int) -> dict[str, Bits] | None:
    """Views of the trace for some key tiles."""
    if steps is None:
        return None
    keys, columns = slice(found.start * n, found.stop * n), slice(found.start, found.stop)
    return {
        name: array if array.ndim == 1 else array[:, keys if name in _PER_KEY else columns]
        for name, array in steps.items()
    }


def _record(steps: dict[str, Bits], name: str, values: Floats, fmt: FloatFormat) -> None:
    """Stores a step: its last axis is the query, which the trace has first; keys past the end are left out."""
    if name in _PER_KEY:
        values = values.reshape(-1, values.shape[-1])[: steps[name].shape[1]]
    steps[name][:] = encode(np.moveaxis(values, -1, 0), fmt)


def _blank(steps: dict[str, Bits], tile: int, column: int, n: int) -> None:
    """Clears a key tile for the queries that skip it."""
    for name, array in steps.items():
        if name in _PER_KEY:
            array[:column, tile * n : (tile + 1) * n] = 0
        elif array.ndim > 1:
            array[:column, tile] = 0

"""How far each intermediate of attention is from its exact value, computed in float64 from the same rounded inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myhdl_fsa import easyfloat, golden
from myhdl_fsa.arithmetic.formats import Bits, Values
from myhdl_fsa.config import Config
from myhdl_fsa.tiling import tiles
from myhdl_fsa.workbench.report import ELEM_TRACE
from myhdl_fsa.workbench.workload import Workload

__all__ = ["MEANINGS", "MOST_SCORES", "IntermediateErrors", "StepError", "intermediate_errors"]

MOST_SCORES = 1 << 20
"""scores whose intermediates are looked at; of a larger problem it is the first queries of the first head"""
MEANINGS = {
    "S": "Q Kᵀ", "S_elem": "S in the input format", "running_max": "maximum of S so far",
    "X1": "S − maximum", "X2": "times log2(e) · scale", "P": "2^X2: the weights",
    "delta": "old maximum − new one", "scaled_delta": "delta times log2(e) · scale",
    "rescale": "2^scaled_delta: what old sums are multiplied by", "row_sum": "sum of a tile's weights",
    "L": "sum of the weights so far", "O_partial": "P V of a tile", "O": "P V so far",
    "reciprocal": "1 / L", "output": "O · reciprocal",
}
"""the intermediates in the order in which they are computed, each K/V tile of its own"""


@dataclass(frozen=True)
class StepError:
    """The errors of one intermediate, over all values that are finite here and in float64."""

    name: str
    format: str
    values: int
    left_out: int
    """not finite, as the first old maximum"""
    mean_absolute: float
    max_absolute: float
    mean_relative: float
    """over those whose exact value is not zero; NaN where there is none"""
    max_relative: float


@dataclass(frozen=True)
class IntermediateErrors:
    """Of a run, or of the part of it that is looked at."""

    steps: tuple[StepError, ...]
    queries: int
    """looked at, from the first one of the first head"""
    whole: bool
    """whether these are all"""
    output: Bits
    """acc patterns of these queries as the golden model has them, [queries, dv]"""


def intermediate_errors(
    work: Workload, config: Config, causal: bool, scale: float | None, most_scores: int = MOST_SCORES
) -> IntermediateErrors:
    """Of the golden model, whose bits are the machine's, on at most so many scores; ``scale`` None is 1 / sqrt(d)."""
    shape = work.shape()
    q, k, v = (array.reshape(-1, *array.shape[-2:])[0] for array in (work.q, work.k, work.v))
    queries = min(shape.seq_q, max(1, most_scores // shape.seq_kv))
    output, trace = golden.attention(q[:queries], k, v, config, causal=causal, trace=True, scale=scale)
    factor = 1 / np.sqrt(shape.head_dim) if scale is None else scale
    q_values, k_values, v_values = (easyfloat.to_float(bits, config.elem) for bits in (q[:queries], k, v))
    with np.errstate(all="ignore"):
        exact, seen = _exact(q_values, k_values, v_values, config.rows, causal, factor)
    steps = []
    for name in MEANINGS:
        fmt = config.elem if name in ELEM_TRACE else config.acc
        ours = easyfloat.to_float({**trace, "output": output}[name], fmt)
        steps.append(_error(name, str(fmt), ours, exact[name], seen.get(name)))
    return IntermediateErrors(tuple(steps), queries, queries == shape.seq_q and shape.query_heads == 1, output)


def _exact(
    q: Values, k: Values, v: Values, n: int, causal: bool, scale: float
) -> tuple[dict[str, Values], dict[str, npt.NDArray[np.bool_]]]:
    """Each intermediate, and which of its values count: a key that a query does not see is none."""
    seq_q, seq_kv, count = len(q), len(k), tiles(len(k), n)
    visible = np.tri(seq_q, seq_kv, dtype=bool) if causal else np.ones((seq_q, seq_kv), bool)
    met = np.arange(count) * n <= np.arange(seq_q)[:, None] if causal else np.ones((seq_q, count), bool)
    score = q @ k.T
    padding = count * n - seq_kv
    tiled = np.pad(np.where(visible, score, -np.inf), ((0, 0), (0, padding)), constant_values=-np.inf)
    tiled = tiled.reshape(seq_q, count, n)
    maximum = np.maximum.accumulate(tiled.max(axis=2), axis=1)
    below = tiled - maximum[..., None]
    exponent = below * (scale * np.log2(np.e))
    weights = np.exp2(exponent)
    delta = np.concatenate([np.full((seq_q, 1), -np.inf), maximum[:, :-1]], axis=1) - maximum
    scaled = delta * (scale * np.log2(np.e))
    rescale = np.exp2(scaled)
    row_sum = weights.sum(axis=2)
    values = np.pad(v, ((0, padding), (0, 0))).reshape(count, n, -1)
    partial = np.einsum("qtn,tnd->qtd", weights, values)
    sums, products = row_sum.copy(), partial.copy()
    for tile in range(1, count):
        sums[:, tile] += sums[:, tile - 1] * rescale[:, tile]
        products[:, tile] += products[:, tile - 1] * rescale[:, tile, None]
    last = met.sum(axis=1) - 1
    total = sums[np.arange(seq_q), last]
    by_key = {name: array.reshape(seq_q, -1)[:, :seq_kv]
              for name, array in (("X1", below), ("X2", exponent), ("P", weights))}
    exact = {"S": score, "S_elem": score, "running_max": maximum, **by_key, "delta": delta, "scaled_delta": scaled,
             "rescale": rescale, "row_sum": row_sum, "L": sums, "O_partial": partial, "O": products,
             "reciprocal": 1 / total, "output": products[np.arange(seq_q), last] / total[:, None]}
    per_tile = ("running_max", "delta", "scaled_delta", "rescale", "row_sum", "L", "O_partial", "O")
    return exact, {**dict.fromkeys(("S", "S_elem", "X1", "X2", "P"), visible), **dict.fromkeys(per_tile, met)}


def _error(
    name: str, fmt: str, ours: Values, exact: Values, seen: npt.NDArray[np.bool_] | None
) -> StepError:
    if seen is not None:
        ours, exact = ours[seen], exact[seen]
    finite = np.isfinite(ours) & np.isfinite(exact)
    error, size = np.abs(ours[finite] - exact[finite]), np.abs(exact[finite])
    relative = error[size > 0] / size[size > 0]
    mean, most = (float(error.mean()), float(error.max())) if error.size else (np.nan, np.nan)
    mean_relative, most_relative = (
        (float(relative.mean()), float(relative.max())) if relative.size else (np.nan, np.nan))
    return StepError(name, fmt, int(finite.sum()), int((~finite).sum()), mean, most, mean_relative, most_relative)

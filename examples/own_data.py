"""Your own tensors: which number format, and how many pieces of 2^x, are good enough for them?

Run from anywhere: ``python examples/own_data.py [Q.npy K.npy V.npy]``; without files it makes tensors with a few large
values, as those of trained models have. Arrays are [seq, d] or [batch, heads, seq, d] of any floating type.
"""

from __future__ import annotations

import sys

import numpy as np

import myhdl_fsa
from myhdl_fsa import Config

FORMATS = ("fp16", "bf16", "tf32", "e5m6", "e4m3", "e5m2")
"""the names, and any other pair of widths: e5m6 has 5 bits of exponent and 6 of mantissa"""


def tensors(files: list[str]) -> list[np.ndarray]:
    """Q, K and V from the files, or made up."""
    if files:
        return [np.load(name) for name in files]
    rng = np.random.default_rng(0)
    return [rng.standard_normal((64, 16)) + (rng.random((64, 16)) < 0.01) * rng.standard_normal((64, 16)) * 10
            for _ in range(3)]


def exact(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Softmax attention in float64, with no rounding of the inputs; heads of K and V repeat as those of Q ask for."""
    if q.ndim == 4:
        k, v = (np.repeat(array, q.shape[1] // array.shape[1], axis=1) for array in (k, v))
    scores = q.astype(float) @ k.astype(float).swapaxes(-1, -2) / np.sqrt(q.shape[-1])
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ v.astype(float)


if len(sys.argv) not in (1, 4):
    sys.exit("Error: give three files, Q.npy K.npy V.npy, or none")
q, k, v = tensors(sys.argv[1:])
wanted = exact(q, k, v)
size = max(4, q.shape[-1], v.shape[-1])
print(f"{'format':8}{'mean error':>12}{'largest':>10}{'with 32 pieces':>16}{'largest':>10}")
for name in FORMATS:
    errors = {}
    for pieces in (8, 32):
        # rows is the size of the array, which holds d; everything else follows from it
        config = Config(rows=size, elem=name, exp2_pieces=pieces, reciprocal="division")
        errors[pieces] = abs(myhdl_fsa.attention(q, k, v, config) - wanted)
    print(f"{name:8}{errors[8].mean():12.1e}{errors[8].max():10.1e}{errors[32].mean():16.1e}{errors[32].max():10.1e}")

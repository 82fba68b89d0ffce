"""The reference attention against the independent scalar model, and against the published figures."""

from __future__ import annotations

from typing import Any

import exact
import numpy as np
import pytest

from myhdl_fsa import golden
from myhdl_fsa.config import PRESETS, Config
from myhdl_fsa.easyfloat import BF16, E4M3, E5M2, FP16, FP32, FloatFormat, from_float, to_float
from myhdl_fsa.golden import model

E6M9 = FloatFormat(6, 9)


def pair(fmt: FloatFormat) -> exact.Format:
    return fmt.exponent_bits, fmt.mantissa_bits


def config(n: int, elem: FloatFormat = FP16, acc: FloatFormat = FP32, reciprocal: str = "newton") -> Config:
    return Config(rows=n, cols=n, elem=elem, acc=acc, reciprocal=reciprocal)


def uniform(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    return rng.random((rows, n))


def normal(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    return rng.standard_normal((rows, n))


def fa3(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    outlier = rng.random((rows, n)) < 0.001
    return rng.standard_normal((rows, n)) + 10 * rng.standard_normal((rows, n)) * outlier


def coarse(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Few values: many equal scores and zero scores of both signs."""
    return rng.choice([0.0, -0.0, 1.0, -1.0, 0.5], (rows, n))


def tiny(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Magnitudes down to and below the smallest normal of any format."""
    return np.ldexp(rng.standard_normal((rows, n)), rng.integers(-135, 2, (rows, n)).astype(np.int32))


def large(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Scores that overflow."""
    return np.ldexp(rng.standard_normal((rows, n)), rng.integers(0, 70, (rows, n)).astype(np.int32))


def wide(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Differences that run out of the exponent range: P and the rescale factor go to zero."""
    return 6 * rng.standard_normal((rows, n))


def special(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Rows with Inf and NaN beside ordinary rows."""
    data = rng.standard_normal((rows, n))
    odd = rng.choice([np.inf, -np.inf, np.nan, 0.0, -0.0, 6e4, 1e38], (rows, n))
    return np.where(rng.random((rows, n)) < 0.06, odd, data)


def patterns(rng: np.random.Generator, rows: int, n: int) -> np.ndarray:
    """Random bit patterns, which inputs() draws itself."""
    raise NotImplementedError


def inputs(kind, seed: int, machine: Config, q_tiles: int, kv_tiles: int) -> Any:
    rng = np.random.default_rng(seed)
    n, elem = machine.rows, machine.elem
    sizes = (q_tiles * n, kv_tiles * n, kv_tiles * n)
    if kind is patterns:
        return [rng.integers(0, 1 << elem.width, (rows, n), dtype=np.uint64).astype(elem.dtype) for rows in sizes]
    with np.errstate(over="ignore"):
        return [from_float(kind(rng, rows, n), elem) for rows in sizes]


def run(arrays: Any, *options: Any, **named: Any) -> Any:
    return golden.attention(*arrays, *options, **named)


def check(machine: Config, arrays: Any, causal: bool) -> None:
    """The whole trace and the result of the scalar model, and the run without a trace."""
    wanted: dict[str, dict[tuple[int, ...], int]] = {}
    q, k, v = (array.tolist() for array in arrays)
    expected = exact.attention(
        q, k, v, pair(machine.elem), pair(machine.acc), machine.reciprocal, causal,
        machine.exp2_pieces, wanted,
    )
    result, steps = run(arrays, machine, causal, trace=True)
    for name, values in wanted.items():
        array = np.zeros_like(steps[name])
        for at, bits in values.items():
            array[at] = bits
        differing = np.argwhere(array != steps[name])
        assert len(differing) == 0, f"{name} first at {differing[0]}"
    assert sorted(wanted) == sorted(steps)
    assert result.dtype == machine.acc.dtype
    np.testing.assert_array_equal(result, np.array(expected, dtype=machine.acc.dtype))
    np.testing.assert_array_equal(run(arrays, machine, causal), result)


KINDS = (uniform, normal, fa3, coarse, tiny, large, wide, special, patterns)


@pytest.mark.parametrize("causal", (False, True))
@pytest.mark.parametrize("elem, acc", ((FP16, FP32), (BF16, FP32), (FP32, FP32), (FP16, FP16), (E4M3, BF16)), ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_step_at_4x4(kind, elem: FloatFormat, acc: FloatFormat, causal: bool) -> None:
    for seed, reciprocal in enumerate(("newton", "division")):
        machine = config(4, elem, acc, reciprocal)
        for shape in ((1, 1), (2, 3), (3, 2)):
            check(machine, inputs(kind, 10 * seed + shape[0], machine, *shape), causal)


@pytest.mark.parametrize("causal", (False, True))
@pytest.mark.parametrize("elem", (FP16, BF16), ids=str)
@pytest.mark.parametrize("n, q_tiles, kv_tiles", ((8, 1, 1), (8, 2, 2), (8, 1, 4), (8, 3, 1), (16, 1, 1), (16, 2, 2)))
def test_larger_arrays(n: int, q_tiles: int, kv_tiles: int, elem: FloatFormat, causal: bool) -> None:
    for kind, reciprocal in ((uniform, "newton"), (fa3, "division"), (special, "newton")):
        machine = config(n, elem, FP32, reciprocal)
        check(machine, inputs(kind, n, machine, q_tiles, kv_tiles), causal)


@pytest.mark.parametrize("pieces", (2, 4, 16))
def test_other_piece_counts(pieces: int) -> None:
    machine = Config(exp2_pieces=pieces)
    check(machine, inputs(normal, 3, machine, 2, 2), False)


def test_odd_array_size() -> None:
    machine = config(3)
    check(machine, inputs(normal, 3, machine, 2, 3), True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", KINDS)
def test_many_seeds(kind, seed: int) -> None:
    for elem, acc in ((FP16, FP32), (BF16, FP32), (FP32, FP32), (FP16, FP16), (BF16, BF16), (E4M3, E4M3)):
        machine = config((4, 8)[seed % 2], elem, acc, ("newton", "division")[seed // 2 % 2])
        check(machine, inputs(kind, seed, machine, 1 + seed % 3, 1 + seed % 4), seed % 5 == 0)


@pytest.mark.parametrize("causal", (False, True))
@pytest.mark.parametrize("elem", (FP16, BF16), ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_native_and_exact_routes_agree(monkeypatch, kind, elem: FloatFormat, causal: bool) -> None:
    machine = config(16, elem)
    arrays = inputs(kind, 5, machine, 5, 4)
    fast = run(arrays, machine, causal)
    monkeypatch.setattr(model, "_products_fit_fp32", lambda *_: False)
    np.testing.assert_array_equal(run(arrays, machine, causal), fast)


@pytest.mark.parametrize("elem, acc", ((E4M3, FP16), (E4M3, E4M3), (E5M2, BF16), (E5M2, E6M9), (E5M2, FP32)), ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_sums_that_float64_holds_agree_with_those_it_does_not(monkeypatch, kind, elem, acc) -> None:
    machine = config(32, elem, acc)
    arrays = inputs(kind, 5, machine, 1, 3)
    if kind is normal:
        assert model._sums_fit_float64(*(to_float(array, elem) for array in arrays[:2]), machine)
    fast = run(arrays, machine)
    monkeypatch.setattr(model, "_sums_fit_float64", lambda *_: False)
    monkeypatch.setattr(model, "_products_fit_fp32", lambda *_: False)
    np.testing.assert_array_equal(run(arrays, machine), fast)


def test_which_sums_float64_holds() -> None:
    machine = config(4, FP16, FP16)
    ones = np.ones((4, 4))
    # a sum below 2**12 in steps of 2**-41, with 20 bits of mantissa in the product, and half as fine a step
    assert model._sums_fit_float64(ones, np.where(np.eye(4), 2.0**-21, ones), machine)
    assert not model._sums_fit_float64(ones, np.where(np.eye(4), 2.0**-22, ones), machine)


@pytest.mark.parametrize("causal", (False, True))
def test_blocks_do_not_change_results(monkeypatch, causal: bool) -> None:
    machine = config(8)
    arrays = inputs(special, 7, machine, 9, 7)
    whole, steps = run(arrays, machine, causal, trace=True)
    monkeypatch.setattr(model, "_BLOCK_QUERIES", 16)
    monkeypatch.setattr(model, "_BLOCK_ELEMENTS", 256)
    blocked, blocked_steps = run(arrays, machine, causal, trace=True)
    np.testing.assert_array_equal(whole, blocked)
    for name, array in steps.items():
        np.testing.assert_array_equal(array, blocked_steps[name])


def test_the_exact_route_is_taken_when_float32_would_go_subnormal() -> None:
    machine = config(4, BF16)
    small = np.full((4, 4), 2.0**-70)
    assert not model._products_fit_fp32(small, small, machine)
    assert model._products_fit_fp32(np.ones((4, 4)), np.ones((4, 4)), machine)
    assert model._products_fit_fp32(small, small, config(4, FP16))
    assert not model._products_fit_fp32(np.full((4, 4), 2.0**100), np.full((4, 4), 2.0**30), machine)


def test_published_figures() -> None:
    torch = pytest.importorskip("torch")
    np.random.seed(0)
    q, k, v = (np.random.rand(4, 4).astype(np.float16) for _ in range(3))
    ours = to_float(golden.attention(q, k, v, PRESETS["FSA4X4Fp16Config"]), FP32, np.float32)
    theirs = torch.nn.functional.scaled_dot_product_attention(*map(torch.from_numpy, (q, k, v))).numpy()
    error = ours - theirs
    assert np.abs(error).mean() == np.float32(9.6587464e-05)
    assert np.square(error).mean() == np.float32(1.6099552e-08)
    assert np.abs(error).max() == np.float32(0.00030440092)
    assert np.mean(np.abs(error / (theirs + 1e-8))) == np.float32(0.00019886618)


@pytest.mark.parametrize("elem, bound", ((FP16, 4e-3), (BF16, 3e-2), (FP32, 4e-3)), ids=str)
@pytest.mark.parametrize("causal", (False, True))
def test_close_to_attention(elem: FloatFormat, bound: float, causal: bool) -> None:
    # not newton: its steps from r = 1 have not converged for a mantissa of L just below 2
    machine = config(16, elem, FP32, "division")
    q, k, v = (to_float(bits, elem) for bits in inputs(uniform, 2, machine, 4, 4))
    score = q @ k.T / np.sqrt(16)
    if causal:
        score[np.triu_indices(64, 1)] = -np.inf
    weight = np.exp(score - score.max(axis=1, keepdims=True))
    expected = weight / weight.sum(axis=1, keepdims=True) @ v
    assert np.abs(to_float(golden.attention(q, k, v, machine, causal), FP32) - expected).max() < bound


def test_floats_and_patterns_are_the_same_input() -> None:
    machine = config(4, BF16)
    arrays: Any = [np.random.default_rng(1).standard_normal((8, 4)).astype(np.float32) for _ in range(3)]
    patterns_in: Any = [from_float(array, BF16) for array in arrays]
    np.testing.assert_array_equal(run(arrays, machine), run(patterns_in, machine))


def test_causal_sees_nothing_later() -> None:
    machine = config(4)
    q, k, v = inputs(normal, 4, machine, 3, 3)
    whole, steps = golden.attention(q, k, v, machine, True, trace=True)
    for row in range(12):
        k2, v2 = k.copy(), v.copy()
        k2[row + 1 :] = FP16.one
        v2[row + 1 :] = FP16.one
        # keys in the same tile still enter their own products with P = 0, which is exact for finite values
        np.testing.assert_array_equal(golden.attention(q, k2, v2, machine, True)[row], whole[row])
    assert (steps["S_elem"][0, 1:4] == FP16.minus_infinity).all()
    assert (steps["P"][0, 1:] == 0).all()
    assert (steps["S"][:4, 4:] == 0).all()
    assert (steps["L"][:8, 2] == 0).all()


def test_no_warning_leaks(recwarn) -> None:
    for elem in (FP16, BF16, FP32):
        machine = config(4, elem)
        for kind in (special, large, tiny, patterns):
            run(inputs(kind, 9, machine, 2, 2), machine)
    assert len(recwarn) == 0


@pytest.mark.parametrize(
    "q, k, v, message",
    (
        ((4, 3), (4, 4), (4, 4), r"q has shape \(4, 3\)"),
        ((4,), (4, 4), (4, 4), r"q has shape \(4,\)"),
        ((6, 4), (4, 4), (4, 4), "q has 6 rows: must be a positive multiple of 4"),
        ((0, 4), (4, 4), (4, 4), "q has 0 rows"),
        ((4, 4), (5, 4), (5, 4), "k has 5 rows"),
        ((4, 4), (4, 4), (8, 4), "must be equal"),
    ),
)
def test_bad_shapes(q, k, v, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        golden.attention(np.ones(q), np.ones(k), np.ones(v), config(4))
    assert "\n" not in str(error.value)


def test_bad_arrays() -> None:
    good = np.ones((4, 4))
    with pytest.raises(TypeError, match="q must be a float16"):
        golden.attention(good.astype(int), good, good, config(4))
    with pytest.raises(ValueError, match="wider"):
        golden.attention(good, np.full((4, 4), 1 << 16, np.uint32), good, config(4))

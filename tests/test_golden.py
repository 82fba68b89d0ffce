"""The reference attention against the independent scalar model, and against the published figures."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

import exact
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.tensors import to_elem
from myhdl_fsa.config import PRESETS, Config
from myhdl_fsa.easyfloat import BF16, E4M3, E5M2, FP16, FP32, FloatFormat, from_float, to_float
from myhdl_fsa.golden import model
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import AttentionShape, Visit, visits

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
        ((4, 3), (4, 4), (4, 4), r"^k has shape \[4, 4\]: must have a head dimension of 3, that of q$"),
        ((4, 5), (4, 5), (4, 4), r"^q has shape \[4, 5\]: must be \[seq, d\] with d from 1 to 4, and no size 0$"),
        ((4, 4), (4, 4), (4, 5), r"^v has shape \[4, 5\]: must be \[seq, d\] with d from 1 to 4"),
        ((4,), (4, 4), (4, 4), r"^q has shape \[4\]: must be \[seq, d\] or \[batch, heads, seq, d\]$"),
        ((1, 4, 4), (4, 4), (4, 4), r"^q has shape \[1, 4, 4\]: must be \[seq, d\] or"),
        ((1, 1, 4, 4), (4, 4), (4, 4), r"^k has shape \[4, 4\]: must be 4 dimensions, as q$"),
        ((0, 4), (4, 4), (4, 4), r"^q has shape \[0, 4\]: must be"),
        ((1, 0, 4, 4), (1, 1, 4, 4), (1, 1, 4, 4), r"^q has shape \[1, 0, 4, 4\]: must be \[batch, heads, seq, d\]"),
        ((4, 4), (4, 4), (8, 4), r"^v has shape \[8, 4\]: must be that of k, \[4, 4\], but for the head dimension$"),
        ((1, 4, 4, 4), (1, 3, 4, 4), (1, 3, 4, 4), "^k has shape .*: must have the batch of q, 1, and heads that divi"),
        ((2, 4, 4, 4), (1, 4, 4, 4), (1, 4, 4, 4), "^k has shape .*: must have the batch of q, 2"),
        ((1, 4, 4, 4), (1, 2, 4, 4), (1, 4, 4, 4), r"^v has shape \[1, 4, 4, 4\]: must be that of k"),
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


# Any shape

ANY_SHAPES = (
    ((1, 1), (1, 1), (1, 1)), ((5, 3), (7, 3), (7, 2)), ((9, 1), (6, 1), (6, 4)), ((2, 4), (11, 4), (11, 3)),
    ((11, 2), (2, 2), (2, 1)), ((1, 3, 5, 3), (1, 1, 7, 3), (1, 1, 7, 4)), ((2, 4, 3, 4), (2, 2, 5, 4), (2, 2, 5, 4)),
)


def shaped(kind, seed: int, elem: FloatFormat, shapes: Any) -> Any:
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        return [from_float(kind(rng, int(np.prod(shape[:-1])), shape[-1]).reshape(shape), elem) for shape in shapes]


def check_heads(machine: Config, arrays: Any, causal: bool, scale: float | None = None) -> None:
    """The result and the whole trace of every head against the scalar model of that head alone."""
    found = golden.evaluate(*arrays, machine, causal, True, scale=scale)
    q, k, v = arrays
    leading = q.shape[:-2]
    assert found.output.shape == (*q.shape[:-1], v.shape[-1])
    assert found.output.dtype == machine.acc.dtype
    for head in np.ndindex(leading):
        of = (*head[:-1], head[-1] // (q.shape[1] // k.shape[1])) if head else ()
        wanted: dict[str, dict[tuple[int, ...], int]] = {}
        expected = exact.attention(
            q[head].tolist(), k[of].tolist(), v[of].tolist(), pair(machine.elem), pair(machine.acc),
            machine.reciprocal, causal, machine.exp2_pieces, wanted, machine.rows, scale)
        np.testing.assert_array_equal(found.output[head], np.array(expected, machine.acc.dtype))
        assert sorted(wanted) == sorted(found.trace)
        for name, values in wanted.items():
            array = np.zeros_like(found.trace[name][head])
            for at, bits in values.items():
                array[at] = bits
            np.testing.assert_array_equal(array, found.trace[name][head], err_msg=name)
    for workers in (1, None):
        again = golden.evaluate(*arrays, machine, causal, scale=scale, workers=workers)
        np.testing.assert_array_equal(again.output, found.output)
        assert (again.poor_reciprocals, again.trace) == (found.poor_reciprocals, {})


@pytest.mark.parametrize("causal", (False, True))
@pytest.mark.parametrize("shapes", ANY_SHAPES, ids=lambda shapes: "-".join(map(str, shapes[0])))
def test_any_shape(shapes, causal: bool) -> None:
    for seed, (kind, elem, acc, reciprocal, scale) in enumerate((
        (normal, FP16, FP32, "newton", None), (special, FP16, FP32, "division", 0.3), (wide, BF16, FP32, "newton", 1.7),
        (coarse, E4M3, BF16, "division", None),
    )):
        check_heads(config(4, elem, acc, reciprocal), shaped(kind, seed, elem, shapes), causal, scale)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_many_shapes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.choice([2, 3, 4, 8]))
    d, dv, kv_heads, group, batch = (int(rng.integers(1, most + 1)) for most in (n, n, 2, 3, 2))
    seq_q, seq_kv = (int(size) for size in rng.integers(1, 4 * n, 2))
    lead_q, lead = ((), ()) if seed % 3 == 0 else ((batch, kv_heads * group), (batch, kv_heads))
    shapes = ((*lead_q, seq_q, d), (*lead, seq_kv, d), (*lead, seq_kv, dv))
    elem, acc = ((FP16, FP32), (BF16, FP32), (FP32, FP32), (FP16, FP16), (E4M3, E4M3))[seed % 5]
    kind = KINDS[seed % (len(KINDS) - 1)]  # not patterns
    scale = None if seed % 2 else float(rng.uniform(0.1, 2))
    check_heads(config(n, elem, acc, ("newton", "division")[seed // 2 % 2]), shaped(kind, seed, elem, shapes),
                bool(rng.integers(2)), scale)


def test_a_longer_query_block_than_the_keys(monkeypatch) -> None:
    machine = config(4)
    arrays = shaped(special, 3, FP16, ((2, 2, 37, 3), (2, 1, 22, 3), (2, 1, 22, 2)))
    for causal in (False, True):
        whole = golden.evaluate(*arrays, machine, causal, True)
        monkeypatch.setattr(model, "_BLOCK_QUERIES", 8)
        monkeypatch.setattr(model, "_BLOCK_ELEMENTS", 64)
        blocked = golden.evaluate(*arrays, machine, causal, True)
        monkeypatch.undo()
        np.testing.assert_array_equal(whole.output, blocked.output)
        for name, array in whole.trace.items():
            np.testing.assert_array_equal(array, blocked.trace[name], err_msg=name)


@pytest.mark.parametrize("leading, kv_leading", (((), ()), ((2, 4), (2, 2))))
def test_shapes_of_the_trace(leading, kv_leading) -> None:
    machine = config(4)
    q, k, v = shaped(uniform, 1, FP16, ((*leading, 6, 3), (*kv_leading, 9, 3), (*kv_leading, 9, 2)))
    _, steps = golden.attention(q, k, v, machine, trace=True)
    expected = {
        **dict.fromkeys(("S", "S_elem", "X1", "X2", "P"), (6, 9)),
        **dict.fromkeys(("running_max", "delta", "scaled_delta", "rescale", "row_sum", "L"), (6, 3)),
        **dict.fromkeys(("O_partial", "O"), (6, 3, 2)), "reciprocal": (6,),
    }
    assert {name: array.shape for name, array in steps.items()} == {
        name: (*leading, *shape) for name, shape in expected.items()}


@pytest.mark.parametrize("causal", (False, True))
@pytest.mark.parametrize("n, shapes", (
    (16, ((33, 16), (45, 16), (45, 16))), (16, ((2, 4, 21, 10), (2, 2, 37, 10), (2, 2, 37, 16))),
    (8, ((1, 6, 9, 8), (1, 2, 30, 8), (1, 2, 30, 5))), (64, ((100, 64), (70, 64), (70, 64))),
))
def test_torch_on_fp16_data(n: int, shapes, causal: bool) -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(n)
    arrays = [rng.standard_normal(shape).astype(np.float16) for shape in shapes]
    for scale in (None, 0.2):
        theirs = torch.nn.functional.scaled_dot_product_attention(
            *map(torch.from_numpy, arrays), is_causal=causal, scale=scale, enable_gqa=len(shapes[0]) == 4).numpy()
        ours = to_float(run(arrays, config(n, reciprocal="division"), causal, scale=scale), FP32, np.float32)
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).mean() <= 1e-3


# Reciprocals of no use, and scales


def fraction(bits: int, fmt: FloatFormat) -> Fraction:
    return exact.fraction_of(int(bits), pair(fmt))


@pytest.mark.parametrize("shapes", (((64, 4), (5, 4), (5, 4)), ((2, 3, 40, 3), (2, 1, 2, 3), (2, 1, 2, 3))))
@pytest.mark.parametrize("causal", (False, True))
def test_poor_reciprocals_are_those_off_by_more_than_an_fp16_result(shapes, causal: bool) -> None:
    arrays = shaped(uniform, 2, FP16, shapes)
    found = golden.evaluate(*arrays, config(4), causal, True)
    sums = found.trace["L"].reshape(-1, found.trace["L"].shape[-1])
    poor, queries = 0, shapes[0][-2]
    for row, bits in enumerate(found.trace["reciprocal"].ravel()):
        last = min(sums.shape[1] - 1, row % queries // 4) if causal else sums.shape[1] - 1
        total = fraction(sums[row, last], FP32)
        poor += abs(fraction(bits, FP32) * total - 1) > Fraction(1, 1 << 10)
    assert found.poor_reciprocals == poor > 0
    assert golden.evaluate(*arrays, config(4, reciprocal="division"), causal).poor_reciprocals == 0


def test_a_row_without_a_finite_sum_is_not_counted() -> None:
    q, k, v = (np.zeros((4, 4)) for _ in range(3))
    q[1], q[2] = np.nan, np.inf
    assert golden.evaluate(q, k, v, config(4)).poor_reciprocals == 0


SCALED = st.one_of(st.floats(1e-40, 1e40), st.floats(1e-6, 1e6))


@given(scale=SCALED, elem=st.sampled_from((FP16, BF16, FP32, E4M3, FloatFormat(3, 4))))
@settings(max_examples=200, deadline=None)
def test_a_scale_is_rounded_once_or_refused(scale: float, elem: FloatFormat) -> None:
    machine = Config(rows=4, elem=elem, acc=FP32, exp2_pieces=4)
    # the product is a float64, as in the specification; what comes after it is exact
    factor = Fraction(math.log2(math.e) * scale)
    expected = [exact.round_fraction(factor, pair(fmt)) for fmt in (elem, FP32)]
    try:
        found = Scale.of(machine, scale)
    except ValueError as error:
        low, high = map(float, re.fullmatch(
            rf"scale {re.escape(str(scale))}: must be from (\S+) to (\S+), what (?:{elem}|fp32) can hold",
            str(error)).groups())
        assert not low <= scale <= high
        assert any(bits == 0 or bits == fmt.infinity for bits, fmt in zip(expected, (elem, FP32), strict=True))
        for bound in (low, high):
            Scale.of(machine, bound)
    else:
        assert [found.elem, found.acc] == expected


@pytest.mark.parametrize("head_dim", range(1, 17))
def test_the_scale_of_a_head_dimension(head_dim: int) -> None:
    scale = Scale.of(config(16), None, head_dim)
    factor = Fraction(math.log2(math.e) / math.sqrt(head_dim))
    assert [scale.elem, scale.acc] == [exact.round_fraction(factor, pair(fmt)) for fmt in (FP16, FP32)]


@pytest.mark.parametrize("scale", (0, -1, math.nan, math.inf, -math.inf, True, "1", [1.0], 10**400))
def test_what_is_no_scale(scale: Any) -> None:
    with pytest.raises(ValueError, match="^scale .*: must be a positive number$"):
        Scale.of(config(4), scale)


def test_a_machine_whose_own_scale_underflows_runs_with_another() -> None:
    machine = Config(rows=64, elem=FloatFormat(3, 4), exp2_pieces=4)
    assert Scale.of(machine).elem == 0
    full, narrow = np.ones((4, 64)), np.full((4, 4), 0.5)
    with pytest.raises(ValueError, match=r"^scale 0.125, 1 / sqrt\(64\): must be from 0.1733 to 10.74, what e3m4 can"):
        golden.attention(full, full, full, machine)
    assert (to_float(golden.attention(narrow, narrow, narrow, machine), FP32) == 0.5).all()


# Visits


@given(
    lengths=st.tuples(st.integers(1, 30), st.integers(1, 30)), tile=st.integers(1, 8), batch=st.integers(1, 3),
    kv_heads=st.integers(1, 3), group=st.integers(1, 3), causal=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_visits_cover_every_score_that_counts_once(lengths, tile, batch, kv_heads, group, causal) -> None:
    seq_q, seq_kv = lengths
    shape = AttentionShape(seq_q, seq_kv, 1, 1, kv_heads * group, kv_heads, batch, causal, True)
    query_tiles, kv_tiles = -(-seq_q // tile), -(-seq_kv // tile)
    seen: dict[int, list[Visit]] = {}
    for visit in visits(shape, tile):
        assert visit.query_tile not in seen or seen[visit.query_tile] is seen[next(reversed(seen))]
        seen.setdefault(visit.query_tile, []).append(visit)
    # query tiles in order, and the keys of each from the first
    assert list(seen) == list(range(batch * kv_heads * group * query_tiles))
    for query_tile, row in seen.items():
        head, i = divmod(query_tile, query_tiles)
        first_key = (head // (kv_heads * group) * kv_heads + head % (kv_heads * group) // group) * kv_tiles
        assert [visit.key_tile for visit in row] == list(range(first_key, first_key + len(row)))
        assert [(visit.first, visit.last) for visit in row] == [
            (j == 0, j == len(row) - 1) for j in range(len(row))]
        for query in range(i * tile, min(seq_q, i * tile + tile)):
            keys = []
            for visit in row:
                start = (visit.key_tile - first_key) * tile
                keys += [key for key in range(start, start + tile - visit.hidden)
                         if not visit.causal or key - start <= query - i * tile]
            assert keys == list(range(min(seq_kv, query + 1) if causal else seq_kv))
        assert all(visit.hidden < tile for visit in row)


def test_floats_are_rounded_as_the_machine_is_given_them() -> None:
    """Next to the smallest normal number too, where numpy's cast comes from the subnormal numbers below it."""
    edge = np.array([2.0**-14 - fraction * 2.0**-26 for fraction in (0.5, 1.0, 1.5, 2.0, 2.5, 4.0, 8.0)])
    q = np.concatenate([edge, -edge])[:, None]
    k = np.array([[60000.0], [-60000.0], [1.0]])
    machine = config(2, reciprocal="division")
    output, trace = golden.attention(q, k, k, machine, trace=True)
    expected, expected_trace = golden.attention(*(to_elem(array, FP16) for array in (q, k, k)), machine, trace=True)
    assert np.array_equal(output, expected) and np.array_equal(trace["S"], expected_trace["S"])

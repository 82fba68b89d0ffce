"""The simulated core against the golden model, and against the published cycle counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from programs import tensor_shapes

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, FloatFormat
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import attention_cycles, expected_cycles
from myhdl_fsa.dataflows.fsa.plan import Direction, Flow
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import RunError
from myhdl_fsa.isa import Function, Matrix
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.kernel.tensor import pack
from myhdl_fsa.sims.core_bench import attention_run
from myhdl_fsa.sims.core_engine import MyHDLEngine, simulate
from myhdl_fsa.sims.ideal_device import from_row, to_row
from myhdl_fsa.sims.monitors import CollisionError
from myhdl_fsa.tiling import AttentionShape

SPECIAL = np.array([0.0, -0.0, 1e-7, -3e-6, 60000.0, -65504.0, np.inf, -np.inf, np.nan, 1.0])


def operands(config, tiles_q, tiles_kv, kind, seed=0):
    """q, k, v as elem bit patterns."""
    rng = np.random.default_rng(seed)
    n = config.rows

    def draw(tiles):
        shape = (tiles * n, n)
        if kind == "uniform":
            return rng.random(shape)
        normal = rng.normal(size=shape)
        if kind == "fa3":
            return normal + rng.normal(scale=10, size=shape) * (rng.random(shape) < 0.001)
        if kind == "large":
            return normal * 10.0 ** rng.integers(-6, 5, size=shape)
        # special: a few of every odd value among ordinary ones
        return np.where(rng.random(shape) < 0.08, rng.choice(SPECIAL, size=shape), normal)

    return tuple(from_float(draw(tiles), config.elem) for tiles in (tiles_q, tiles_kv, tiles_kv))


def compare(config, tiles_q, tiles_kv, kind, causal=False, trace=False, seed=0):
    """Runs hardware and golden model; every bit must agree, and so must the cycle count."""
    q, k, v = operands(config, tiles_q, tiles_kv, kind, seed)
    result = MyHDLEngine().attention(q, k, v, config, causal=causal, trace=trace)
    expected, intermediates = golden.attention(q, k, v, config, causal=causal, trace=True)
    np.testing.assert_array_equal(result.output, expected)
    if trace:
        assert set(result.trace) == set(intermediates)
        for name, bits in result.trace.items():
            np.testing.assert_array_equal(bits, intermediates[name], err_msg=name)
    assert result.cycles == attention_cycles(config, tiles_q, tiles_kv, causal)
    assert result.inner_iteration_cycles == 5 * config.rows + 13


def operands_of(shape, config, kind, seed=0):
    """As ``operands``, of any shape."""
    n, sizes = config.rows, tensor_shapes(shape)
    counts = [int(np.prod(size)) for size in sizes]
    return tuple(operands(config, count // n**2 + 1, 1, kind, seed + at)[0].ravel()[:count].reshape(size)
                 for at, (count, size) in enumerate(zip(counts, sizes, strict=True)))


SHAPES = [
    (AttentionShape(1, 1, 1, 1), None), (AttentionShape(5, 7, 4, 4), None), (AttentionShape(7, 6, 3, 2), 0.1),
    (AttentionShape(9, 5, 4, 3, causal=True), 1.5), (AttentionShape(3, 10, 2, 4, causal=True), None),
    (AttentionShape(5, 6, 4, 4, heads=2, kv_heads=1, causal=True, stacked=True), None),
    (AttentionShape(2, 3, 3, 3, heads=2, kv_heads=2, batch=2, stacked=True), 0.7),
]
"""with hidden keys, rows and columns of zeros, heads, and a scale of their own"""


def compare_shape(config, shape, scale, kind, seed=0):
    """As ``compare``, with every intermediate."""
    q, k, v = operands_of(shape, config, kind, seed)
    result = MyHDLEngine().attention(q, k, v, config, causal=shape.causal, scale=scale, trace=True)
    expected, intermediates = golden.attention(q, k, v, config, causal=shape.causal, scale=scale, trace=True)
    np.testing.assert_array_equal(result.output, expected)
    assert set(result.trace) == set(intermediates)
    for name, bits in result.trace.items():
        np.testing.assert_array_equal(bits, intermediates[name], err_msg=name)
    assert result.cycles == expected_cycles(config, shape)


@pytest.mark.parametrize("kind", ["fa3", "special"])
@pytest.mark.parametrize(("shape", "scale"), SHAPES)
def test_equals_golden_of_any_shape(shape, scale, kind):
    compare_shape(Config(), shape, scale, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniform", "fa3", "large", "special"])
@pytest.mark.parametrize("reciprocal", ["newton", "division"])
@pytest.mark.parametrize("elem", [FP16, BF16, FP32], ids=str)
@pytest.mark.parametrize("n", [4, 5, 8])
def test_equals_golden_of_many_shapes(n, elem, reciprocal, kind):
    for seed, (shape, scale) in enumerate(SHAPES):
        compare_shape(Config(rows=n, elem=elem, reciprocal=reciprocal), shape, scale, kind, seed)


@pytest.mark.parametrize("kind", ["uniform", "fa3", "large", "special"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("reciprocal", ["newton", "division"])
@pytest.mark.parametrize("elem", [FP16, BF16, FP32], ids=str)
@pytest.mark.parametrize(("n", "tiles_q", "tiles_kv"), [(4, 1, 1), (4, 3, 2), (4, 2, 3), (8, 2, 2)])
def test_equals_golden(n, tiles_q, tiles_kv, elem, reciprocal, causal, kind):
    compare(Config(rows=n, cols=n, elem=elem, reciprocal=reciprocal), tiles_q, tiles_kv, kind, causal, trace=n == 4)


@pytest.mark.parametrize("kind", ["fa3", "special"])
@pytest.mark.parametrize(("elem", "reciprocal", "causal"), [
    (FP16, "newton", False), (BF16, "division", True), (FP32, "newton", True),
], ids=str)
def test_equals_golden_16(elem, reciprocal, causal, kind):
    compare(Config(rows=16, cols=16, elem=elem, reciprocal=reciprocal), 2, 2, kind, causal)


@pytest.mark.parametrize("formats", [(FP16, FP16), (BF16, BF16)], ids=str)
def test_equals_golden_with_a_narrow_accumulator(formats):
    elem, acc = formats
    compare(Config(rows=4, cols=4, elem=elem, acc=acc), 2, 2, "fa3", trace=True)


@pytest.mark.parametrize("pieces", [2, 4, 16])
def test_equals_golden_with_other_exp2_pieces(pieces):
    config = Config(rows=4, cols=4, exp2_pieces=pieces)
    q, k, v = operands(config, 2, 2, "fa3")
    np.testing.assert_array_equal(
        MyHDLEngine().attention(q, k, v, config).output, golden.attention(q, k, v, config)
    )


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["uniform", "fa3", "large", "special"])
@pytest.mark.parametrize("n", [4, 8])
@pytest.mark.parametrize("elem", [FP16, BF16], ids=str)
def test_equals_golden_many(n, elem, kind, seed):
    compare(Config(rows=n, cols=n, elem=elem), 1 + seed % 4, 1 + seed % 3, kind, bool(seed % 2), trace=True, seed=seed)


@pytest.mark.slow
@pytest.mark.parametrize("elem", [FP16, BF16], ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_equals_golden_32(elem, causal):
    compare(Config(rows=32, cols=32, elem=elem), 2, 2, "fa3", causal)


def run_serially(config, tiles_kv=1):
    """Busy cycles of each step when no two overlap."""
    q, k, v = operands(config, 1, tiles_kv, "uniform")
    run = replace(attention_run(q, k, v, config), serial=True)
    simulate(run)
    return [idle - issued - 1 for issued, idle in zip(run.issued, run.idle, strict=True)]


def test_busy_times_of_single_instructions_at_16():
    # the published FPGA counter: 179 active cycles in all
    busy = run_serially(Config(rows=16, cols=16))
    assert busy == [17, 76, 48, 21, 17]
    assert sum(busy) == 179


@pytest.mark.parametrize(("reciprocal", "latency"), [("newton", 19), ("division", 15)])
@pytest.mark.parametrize("n", [4, 8, 16])
def test_whole_kernel_cycles(n, reciprocal, latency):
    config = Config(rows=n, cols=n, reciprocal=reciprocal)
    q, k, v = operands(config, 2, 3, "uniform")
    result = MyHDLEngine().attention(q, k, v, config)
    assert result.cycles == 2 * (3 * (5 * n + 13) + 2 * n + 4 + latency) + 1
    assert result.inner_iteration_cycles == 5 * n + 13


@pytest.mark.parametrize(("n", "elem"), [(4, FP16), (8, BF16), (4, FloatFormat(5, 6)), (4, FloatFormat(4, 3))], ids=str)
def test_one_tile_of_o_costs_no_cycle(n, elem):
    # the published accumulator RAM: the kernel waits for a store by a fence, which is over before the array wants O
    config = Config(rows=n, cols=n, elem=elem, accumulator_rows=n + 1)
    q, k, v = operands(config, 3, 2, "uniform")
    result = MyHDLEngine().attention(q, k, v, config)
    np.testing.assert_array_equal(result.output, golden.attention(q, k, v, config))
    assert result.cycles == 3 * (2 * (5 * n + 13) + 2 * n + 4 + 19) + 1


def test_core_and_device_run_the_same_instructions():
    config = Config(rows=4, cols=4)
    q, k, v = operands(config, 2, 3, "uniform")
    kernel = attention_run(q, k, v, config, causal=True).kernel
    assert kernel.words == attention_kernel(q, k, v, config, causal=True).words
    functions = [Function(item.function) for item in kernel.instructions if isinstance(item, Matrix)]
    assert attention_run(q, k, v, config, causal=True).steps == tuple(
        item for item in kernel.instructions if isinstance(item, Matrix))
    assert functions.count(Function.ATTN_SCORE) == 3


@pytest.mark.parametrize("fmt", [FP16, FP32, FloatFormat(5, 6), FloatFormat(3, 2)], ids=str)
def test_rows_of_a_ram_and_their_bytes(fmt):
    patterns = np.random.default_rng(1).integers(0, 1 << fmt.width, 7, dtype=np.uint64).astype(fmt.dtype)
    data = pack(patterns, fmt)
    row = to_row(data, fmt)
    assert [row >> (index * fmt.width) & ((1 << fmt.width) - 1) for index in range(7)] == patterns.tolist()
    assert from_row(row, 7, fmt) == data


@pytest.mark.parametrize("n", [4, 8, 16])
def test_steady_state_is_5n_plus_13(n):
    config = Config(rows=n, cols=n)
    q, k, v = operands(config, 1, 4, "uniform")
    run = attention_run(q, k, v, config)
    simulate(run)
    loads = [cycle for cycle, step in zip(run.issued, run.steps, strict=True)
             if step.function == Function.LOAD_STATIONARY]
    assert set(np.diff(loads)) == {5 * n + 13}


def test_instructions_that_wait_for_nothing_collide_and_it_is_seen(monkeypatch):
    # a score plan that lets its successor start too early: the value plan's control meets the score's
    from myhdl_fsa.dataflows.fsa import core
    from myhdl_fsa.dataflows.fsa import plans as published

    def hasty(config):
        plans = list(published.plans(config))
        score = plans[Function.ATTN_SCORE]
        plans[Function.ATTN_SCORE] = type(score)(
            score.name, score.function, score.rows, score.entries, next_may_start=2, release=score.release
        )
        return tuple(plans)

    monkeypatch.setattr(core, "plans", hasty)
    config = Config(rows=4, cols=4)
    q, k, v = operands(config, 1, 1, "uniform")
    with pytest.raises(CollisionError, match=r"cycle \d+: "):
        MyHDLEngine().attention(q, k, v, config)


def test_a_row_that_is_sent_the_same_bit_twice_is_seen(monkeypatch):
    from myhdl_fsa.dataflows.fsa import core
    from myhdl_fsa.dataflows.fsa import plans as published

    def crossing(config):
        plans = list(published.plans(config))
        score = plans[Function.ATTN_SCORE]
        # flow_lr also runs down while it still runs up
        extra = Flow("flow_lr", Direction.DOWN, 2)
        plans[Function.ATTN_SCORE] = type(score)(
            score.name, score.function, score.rows, (*score.entries, extra), score.next_may_start, score.release
        )
        return tuple(plans)

    monkeypatch.setattr(core, "plans", crossing)
    config = Config(rows=4, cols=4)
    q, k, v = operands(config, 1, 1, "uniform")
    with pytest.raises(CollisionError, match="row .* is sent flow_lr twice"):
        MyHDLEngine().attention(q, k, v, config)


def test_cycle_limit_says_where_it_stood():
    config = Config(rows=4, cols=4)
    q, k, v = operands(config, 1, 1, "uniform")
    with pytest.raises(RunError, match=r"^cycle limit 30 reached with 2 of 5 .* issued, before ATTN_VALUE"):
        MyHDLEngine().attention(q, k, v, config, max_cycles=30)


def test_comparator_keeps_a_negative_maximum():
    # the published comparator forgets a negative maximum when it sends it; attention over several tiles is then wrong
    config = Config(rows=4, cols=4)
    rng = np.random.default_rng(3)
    q = from_float(rng.random((4, 4)), config.elem)
    k = from_float(-rng.random((12, 4)), config.elem)
    v = from_float(rng.random((12, 4)), config.elem)
    result = MyHDLEngine().attention(q, k, v, config, trace=True)
    expected, intermediates = golden.attention(q, k, v, config, trace=True)
    assert (intermediates["running_max"] >> 31).all()
    np.testing.assert_array_equal(result.output, expected)
    np.testing.assert_array_equal(result.trace["delta"], intermediates["delta"])


def test_a_result_needs_no_instruction_words():
    # rows of 1024 bytes, which no DMA word can say: the bare core stores them all the same
    config = Config(rows=256)
    q, k, v = operands(config, 1, 1, "uniform")
    run = attention_run(q, k, v, config)
    run.stored = [0] * 256
    np.testing.assert_array_equal(run.result(), np.zeros((256, 256), np.uint32))

"""Attention of any shape on the hardware: lengths, head dimensions, batches, heads, grouped queries, scales."""

from __future__ import annotations

from itertools import cycle, product
from typing import Any

import numpy as np
import pytest

from myhdl_fsa import golden
from myhdl_fsa.config import DATAFLOWS, Config
from myhdl_fsa.dataflows import attention_cycles, expected_cycles
from myhdl_fsa.engine import engine
from myhdl_fsa.kernel import attention_kernel, check
from myhdl_fsa.program import Timing
from myhdl_fsa.tiling import AttentionShape

LENGTHS = ((1, 1), (1, 77), (5, 3), (100, 37), (33, 64), (129, 130))
BATCH, HEADS = 2, 4
KV_HEADS = (1, 2, 4)


def machine(side: int, dataflow: str, **fields: Any) -> Config:
    return Config(rows=side, dataflow=dataflow, reciprocal="division", **fields)


def tensors(seq_q: int, seq_kv: int, d: int, kv_heads: int, seed: int = 1) -> list[np.ndarray]:
    """fp16 patterns of normal numbers, [batch, heads, seq, d]."""
    rng = np.random.default_rng([seq_q, seq_kv, d, kv_heads, seed])
    shapes = ((BATCH, HEADS, seq_q, d), *((BATCH, kv_heads, seq_kv, d),) * 2)
    return [rng.standard_normal(shape).astype(np.float16).view(np.uint16) for shape in shapes]


def torch_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool, scale: float | None) -> np.ndarray:
    import torch

    operands = (torch.from_numpy(array.view(np.float16)) for array in (q, k, v))
    return torch.nn.functional.scaled_dot_product_attention(
        *operands, is_causal=causal, scale=scale, enable_gqa=True).numpy()


def check_shape(name: str, top: str, config: Config, case: tuple[Any, ...], timing: Timing | None = None) -> None:
    """The hardware's bits are golden's, and its numbers torch's."""
    (seq_q, seq_kv), causal, d, kv_heads, scale = case
    operands = tensors(seq_q, seq_kv, d, kv_heads)
    how: dict[str, Any] = {"causal": causal, "scale": scale}
    if top == "core":
        result = engine(name).attention(*operands, config, **how)
    else:
        result = engine(name).device_attention(*operands, config, timing=timing, **how)
    expected = golden.attention(*operands, config, causal, scale=scale)
    assert expected.shape == (BATCH, HEADS, seq_q, d)
    np.testing.assert_array_equal(result.output, expected)
    error = np.abs(result.output.view(np.float32) - torch_attention(*operands, causal, scale))
    # eight chords are off by up to 1e-3 of a weight; of one value all of it is seen
    assert error.mean() <= 1e-3


def rotated(side: int) -> list[tuple[Any, ...]]:
    """Each length with and without the mask, beside each of the other choices in turn."""
    rest = cycle(product((1, 3, side), KV_HEADS, (None, 0.3)))
    return [(lengths, causal, *next(rest)) for lengths in LENGTHS for causal in (False, True)]


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("top", ["core", "accelerator"])
def test_small_shapes(dataflow, top):
    config = machine(4, dataflow)
    for case in rotated(4)[:5:2]:
        check_shape("myhdl", top, config, case)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_shapes_in_verilator(dataflow):
    for case in rotated(4)[:10]:
        check_shape("verilator", "accelerator", machine(4, dataflow), case)


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("side", [4, 8])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_every_shape(dataflow, side, lengths):
    for case in product([lengths], (False, True), (1, 3, side), KV_HEADS, [None]):
        check_shape("myhdl", "core", machine(side, dataflow), case)


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("side", [4, 8])
def test_long_shapes_on_the_device(dataflow, side):
    for causal, d, kv_heads in ((False, 3, 2), (True, side, 1)):
        check_shape("myhdl", "accelerator", machine(side, dataflow), (LENGTHS[-1], causal, d, kv_heads, None))


@pytest.mark.slow
@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("side", [16, 64])
def test_every_shape_in_verilator(dataflow, side):
    for case in product(LENGTHS, (False, True), (1, 3, side), KV_HEADS, [None]):
        for top in ("core", "accelerator"):
            check_shape("verilator", top, machine(side, dataflow), case)


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_memory_that_stalls(dataflow):
    """What stays in the scratchpad, and what is replaced there, is in time whatever the memory does."""
    for places, case in ((1, ((5, 3), False, 4, 4, None)), (3, ((3, 7), True, 3, 2, None))):
        config = machine(4, dataflow, scratchpad_rows=2 * 4 + 2 * 4 * places)
        check_shape("myhdl", "accelerator", config, case, Timing(stall_seed=places, read_latency=20 * places))


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_kernels_are_sound(dataflow):
    """No race, no instruction that never starts, in any order of heads and whatever stays in the scratchpad."""
    for places, (q_tiles, kv_tiles), (batch, heads, kv_heads), causal in product(
        (0, 1, 3, 7, 20), ((1, 1), (3, 2), (2, 5)), ((1, 4, 4), (2, 4, 2), (1, 4, 1)), (False, True),
    ):
        config = machine(2, dataflow, scratchpad_rows=2 * 2 + 2 * 2 * places if places else 0)
        q = np.zeros((batch, heads, 2 * q_tiles - 1, 2), np.uint16)
        k = np.zeros((batch, kv_heads, 2 * kv_tiles - 1, 2), np.uint16)
        assert check(attention_kernel(q, k, k, config, causal)) == []


@pytest.mark.parametrize(("dataflow", "side"), [
    ("fsa", 4), ("stream", 8), *(pytest.param(*case, marks=pytest.mark.slow) for case in (("fsa", 16), ("stream", 16))),
])
def test_heads_follow_each_other_without_a_gap(dataflow, side):
    """Of h heads each after the first costs its iterations, and its reciprocal if that has no time beside them."""
    config = machine(side, dataflow)
    rng = np.random.default_rng(side)
    for q_tiles, kv_tiles, heads, kv_heads in ((2, 2, 4, 4), (2, 3, 4, 2)):
        q, k, v = (rng.integers(0, 0x3c00, (1, count, length * side, side), np.uint16)
                   for count, length in ((heads, q_tiles), (kv_heads, kv_tiles), (kv_heads, kv_tiles)))
        shape = AttentionShape.of([q.shape, k.shape, v.shape], side)
        cycles = engine("myhdl").attention(q, k, v, config).cycles
        one = attention_cycles(config, q_tiles, kv_tiles)
        assert cycles == expected_cycles(config, shape)
        assert cycles - one < (heads - 1) * one
        # loads run ahead of a change of head as of any other tile: only the first ones are waited for, but for a few
        # cycles of the smallest stream arrays, whose few rows hardly fill the memory ports
        on_device = engine("myhdl").device_attention(q, k, v, config).cycles
        first_loads = engine("myhdl").device_attention(q[:, :1], k[:, :1], v[:, :1], config).cycles - one
        assert on_device - first_loads <= (1.05 if (dataflow, side) == ("stream", 8) else 1) * cycles + heads

"""The operator of torch: its bits are the golden model's, and it behaves as torch's own function in all else."""

import math
import os
import subprocess
import sys
import threading
import warnings
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call, grad, jacrev, jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.tensors import to_bits
from myhdl_fsa.config import Config, preset
from myhdl_fsa.easyfloat import to_float
from myhdl_fsa.torch import cpu, scaled_dot_product_attention, use
from myhdl_fsa.torch.backward import attention_backward
from myhdl_fsa.torch.machine import machine_of, specification
from myhdl_fsa.torch.operator import attention_op

FOUR = Config(rows=4, reciprocal="division")
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def randn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def tensors(*leading, seq_q=5, seq_kv=7, d=4, dv=4, kv_leading=None, dtype=torch.float32, seed=0):
    kv_leading = leading if kv_leading is None else kv_leading
    shapes = (*leading, seq_q, d), (*kv_leading, seq_kv, d), (*kv_leading, seq_kv, dv)
    return tuple(randn(*shape, seed=seed + number, dtype=dtype) for number, shape in enumerate(shapes))


def by_golden(query, key, value, config, causal=False, scale=None, gqa=False):
    """float32 [..., seq_q, dv], one head at a time."""
    if gqa:
        group = query.shape[-3] // key.shape[-3]
        key, value = key.repeat_interleave(group, -3), value.repeat_interleave(group, -3)
    leading = torch.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
    heads = [x.expand(*leading, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in (query, key, value)]
    bits = [golden.attention(*(to_bits(x, config.elem) for x in head), config, causal, scale=scale)
            for head in zip(*heads, strict=True)]
    return torch.from_numpy(to_float(np.stack(bits), config.acc).astype("f4")).reshape(*leading, *bits[0].shape)


@st.composite
def problems(draw):
    size = st.integers(1, 3)
    leading = draw(st.lists(size, max_size=3))
    gqa = bool(leading) and draw(st.booleans())
    kv_leading = [draw(st.sampled_from([n, 1])) for n in leading[draw(st.integers(0, len(leading))):]]
    if gqa:
        heads = draw(size)
        kv_leading = [*([1] * (len(leading) - 1)), heads]
        leading = [*leading[:-1], heads * draw(size)]
    config = draw(st.just(FOUR) | st.builds(
        Config, rows=st.integers(2, 8), elem=st.sampled_from(["fp16", "bf16", "e4m3", "e5m2"]),
        acc=st.sampled_from(["fp32", "e8m12"]), exp2_pieces=st.just(4), reciprocal=st.just("division")))
    d, dv = (draw(st.integers(1, config.rows)) for _ in range(2))
    seq_q, seq_kv = draw(st.integers(1, 9)), draw(st.integers(1, 9))
    given_tensors = tensors(*leading, kv_leading=kv_leading, seq_q=seq_q, seq_kv=seq_kv, d=d, dv=dv,
                            dtype=draw(st.sampled_from(DTYPES)), seed=draw(st.integers(0, 99)))
    layout = draw(st.sampled_from(["plain", "transposed", "strided", "expanded"]))
    if layout == "transposed":
        given_tensors = tuple(x.mT.contiguous().mT for x in given_tensors)
    elif layout == "strided":
        given_tensors = tuple(torch.stack([x, x * 2], -1)[..., 0] for x in given_tensors)
    elif layout == "expanded":
        given_tensors = tuple(x[..., :1].expand_as(x) for x in given_tensors)
    return given_tensors, config, draw(st.booleans()), draw(st.none() | st.floats(0.05, 4.0)), gqa


@settings(max_examples=40, deadline=None, derandomize=True)
@given(problems())
def test_its_bits_are_those_of_the_golden_model(problem):
    (query, key, value), config, causal, scale, gqa = problem
    before = [x.clone() for x in (query, key, value)]
    options = {"scale": scale, "enable_gqa": gqa, "config": config}
    result = scaled_dot_product_attention(query, key, value, is_causal=causal, out_dtype=torch.float32, **options)
    expected = by_golden(query, key, value, config, causal, scale, gqa)
    assert result.shape == expected.shape
    assert torch.equal(result.view(torch.int32), expected.view(torch.int32))
    assert all(torch.equal(x, y) for x, y in zip(before, (query, key, value), strict=True))
    same = scaled_dot_product_attention(query, key, value, None, 0.0, causal, **options)
    assert same.dtype == query.dtype
    assert torch.equal(same, expected.to(query.dtype))


@pytest.mark.parametrize(("shapes", "gqa"), [
    (((5, 4), (7, 4), (7, 3)), False),
    (((2, 5, 4), (2, 7, 4), (2, 7, 3)), False),
    (((2, 3, 5, 4), (3, 7, 4), (1, 1, 7, 4)), False),
    (((2, 1, 2, 3, 5, 4), (2, 1, 7, 4), (7, 4)), False),
    (((6, 5, 4), (2, 7, 4), (2, 7, 4)), True),
    (((2, 6, 5, 4), (1, 3, 7, 4), (2, 3, 7, 4)), True),
])
def test_shapes_and_values_are_those_of_torch(shapes, gqa):
    query, key, value = (randn(*shape, seed=seed) for seed, shape in enumerate(shapes))
    ours = scaled_dot_product_attention(query, key, value, enable_gqa=gqa)
    theirs = F.scaled_dot_product_attention(query, key, value, enable_gqa=gqa)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)


def test_the_default_machine_is_the_smallest_that_holds_the_heads():
    for (d, dv), rows in {(1, 1): 4, (4, 5): 8, (16, 3): 16, (17, 1): 32, (64, 64): 64, (65, 128): 128}.items():
        query, key, value = tensors(seq_q=2, seq_kv=3, d=d, dv=dv)
        expected = by_golden(query, key, value, Config(rows=rows, reciprocal="division"))
        assert torch.equal(scaled_dot_product_attention(query, key, value), expected)
    half = [x.bfloat16() for x in tensors()]
    expected = by_golden(*half, Config(rows=4, elem="bf16", reciprocal="division"))
    assert torch.equal(scaled_dot_product_attention(*half, out_dtype=torch.float32), expected)
    assert machine_of(specification(), 4, torch.float32).to_dict() == FOUR.to_dict()


def test_a_machine_is_a_config_a_name_or_a_file(tmp_path):
    file = tmp_path / "machine.json"
    config = preset("STREAM8X8Bf16Config")
    file.write_text(config.to_json())
    results = [scaled_dot_product_attention(*tensors(d=8), config=given_config)
               for given_config in (config, "STREAM8X8Bf16Config", str(file))]
    assert torch.equal(results[0], by_golden(*tensors(d=8), config))
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_nothing_in_the_batch_gives_nothing():
    assert scaled_dot_product_attention(*tensors(0, 2)).shape == (0, 2, 5, 4)


def test_once_a_machine_it_is_said_that_reciprocals_are_of_no_use(monkeypatch):
    monkeypatch.setattr(cpu, "_warned", set())
    query, key, value = tensors(2, seq_kv=511)
    call = query * 0, key, value  # every row sum is 511, just below a power of two
    with pytest.warns(RuntimeWarning, match="^10 of 10 rows of attention .* reciprocal = newton; .* division$"):
        scaled_dot_product_attention(*call, config="FSA4X4Fp16Config")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaled_dot_product_attention(*call, config="FSA4X4Fp16Config")
        scaled_dot_product_attention(*call)


# Gradients.

class Exact(torch.autograd.Function):
    """Exact attention with the operator's gradient."""

    @staticmethod
    def forward(ctx, query, key, value, causal, scale):
        ctx.save_for_backward(query, key, value)
        ctx.rest = causal, scale
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal, scale=scale, enable_gqa=True)

    @staticmethod
    def backward(ctx, gradient):
        return *attention_backward(gradient, *ctx.saved_tensors, *ctx.rest), None, None


@pytest.mark.parametrize(("causal", "scale", "heads"), [
    (False, None, (1, 1)), (True, 0.7, (2, 1)), (False, 2.0, (2, 2))])
def test_the_gradient_is_that_of_exact_attention(causal, scale, heads):
    call = [x.requires_grad_() for x in tensors(1, heads[0], kv_leading=(1, heads[1]), seq_q=3, seq_kv=4, d=2, dv=3,
                                                dtype=torch.float64)]
    assert torch.autograd.gradcheck(lambda *call: Exact.apply(*call, causal, scale), call)
    assert torch.autograd.gradgradcheck(lambda *call: Exact.apply(*call, causal, scale), call)


def gradients(function, *call, upstream):
    """Of the tensors, with second ones."""
    leaves = [x.detach().clone().requires_grad_() for x in call]
    first = torch.autograd.grad((function(*leaves) * upstream).sum(), leaves, create_graph=True)
    second = torch.autograd.grad(sum((x * x).sum() for x in first), leaves)
    return [*first, *second]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("leading", "kv_leading", "gqa"), [
    ((), (), False), ((2, 3), (2, 1), False), ((2, 4), (2, 2), True), ((2, 1, 2, 3), (3,), False)])
def test_gradients_go_straight_through(leading, kv_leading, gqa, dtype):
    call = tensors(*leading, kv_leading=kv_leading, dtype=dtype)
    upstream = randn(*leading, 5, 4, seed=9, dtype=dtype)
    options = {"is_causal": True, "scale": 0.4, "enable_gqa": gqa}
    ours = gradients(lambda *x: scaled_dot_product_attention(*x, **options), *call, upstream=upstream)
    wide = [x.double() for x in call]
    with sdpa_kernel(SDPBackend.MATH):  # torch's others cannot be differentiated twice
        exact = gradients(lambda *x: F.scaled_dot_product_attention(*x, **options), *wide, upstream=upstream.double())
    tolerance = {torch.float16: 2e-2, torch.bfloat16: 2e-1, torch.float32: 1e-4, torch.float64: 1e-10}[dtype]
    for mine, theirs, tensor in zip(ours, exact, (*call, *call), strict=True):
        assert mine.dtype == tensor.dtype and mine.shape == tensor.shape
        # broadcasting sums in the tensor's own precision
        torch.testing.assert_close(mine.double(), theirs, atol=tolerance, rtol=tolerance)


def test_one_tensor_may_be_query_key_and_value():
    x = randn(2, 5, 4).requires_grad_()
    scaled_dot_product_attention(x, x, x).square().sum().backward()
    y = x.detach().clone().requires_grad_()
    F.scaled_dot_product_attention(y, y, y).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad, atol=2e-2, rtol=0)


def test_only_what_wants_a_gradient_gets_one():
    query, key, value = tensors(2)
    value.requires_grad_()
    scaled_dot_product_attention(query, key, value).sum().backward()
    assert value.grad is not None and query.grad is None and key.grad is None
    assert not scaled_dot_product_attention(query, key, value.detach()).requires_grad


# What torch does with operators.

@pytest.mark.parametrize(("heads", "dtype", "causal", "scale"), [
    ((2, 2), torch.float32, False, None), ((4, 2), torch.bfloat16, True, 0.25)])
def test_opcheck(heads, dtype, causal, scale):
    call = tensors(2, heads[0], kv_leading=(2, heads[1]), dv=3, dtype=dtype)
    for wants in (False, True):
        given_tensors = [x.detach().requires_grad_(wants) for x in call]
        torch.library.opcheck(attention_op, (*given_tensors, causal, scale, specification(FOUR)))


def test_meta_and_fake_tensors():
    for call in (tensors(2, 3, dv=2), tensors(dtype=torch.bfloat16)):
        expected = scaled_dot_product_attention(*call)
        for result in (scaled_dot_product_attention(*(x.to("meta") for x in call)), fake(call)):
            assert (result.shape, result.dtype, result.stride()) == (expected.shape, expected.dtype, expected.stride())


def test_fake_tensors_on_cuda():
    with FakeTensorMode():
        call = [torch.empty(2, 5, 4, device="cuda", dtype=torch.bfloat16) for _ in range(3)]
        result = scaled_dot_product_attention(*call)
        assert (result.device.type, result.dtype, result.shape) == ("cuda", torch.bfloat16, (2, 5, 4))
        with pytest.raises(NotImplementedError, match="^config has the formats e4m3 and fp32: on cuda they"):
            scaled_dot_product_attention(*call, config=FOUR.replace(elem="e4m3"))


def test_gradients_of_meta_tensors():
    leaves = [x.to("meta").requires_grad_() for x in tensors(2)]
    scaled_dot_product_attention(*leaves).sum().backward()
    assert [x.grad.shape for x in leaves] == [x.shape for x in leaves]


def fake(call):
    with FakeTensorMode() as mode:
        return scaled_dot_product_attention(*(mode.from_tensor(x) for x in call))


def test_autocast():
    query, key, value = tensors(2)
    with torch.autocast("cpu", torch.bfloat16):
        result = scaled_dot_product_attention(query, key.half(), value)
        wide = scaled_dot_product_attention(*(x.double() for x in (query, key, value)))
        assert F.scaled_dot_product_attention(query, key.half(), value).dtype == result.dtype == torch.bfloat16
    assert wide.dtype == torch.float64
    low = [x.bfloat16() for x in (query, key.half(), value)]
    assert torch.equal(result, scaled_dot_product_attention(*low))


def test_autocast_leaves_the_gradient_exact():
    leaves = [x.requires_grad_() for x in tensors(2, dtype=torch.bfloat16)]
    upstream = randn(2, 5, 4, dtype=torch.bfloat16)
    plain = torch.autograd.grad(scaled_dot_product_attention(*leaves), leaves, upstream)
    with torch.autocast("cpu", torch.bfloat16):
        inside = torch.autograd.grad(scaled_dot_product_attention(*leaves), leaves, upstream)
    assert all(torch.equal(x, y) for x, y in zip(plain, inside, strict=True))


def test_vmap():
    call = tensors(3, 2, 2)
    expected = scaled_dot_product_attention(*call)
    mapped = scaled_dot_product_attention
    for _ in range(3):
        mapped = vmap(mapped)
        assert torch.equal(mapped(*call), expected)
    moved = [x.movedim(0, dim) for x, dim in zip(call, (0, 2, -1), strict=True)]
    assert torch.equal(vmap(scaled_dot_product_attention, in_dims=(0, 2, -1))(*moved), expected)
    shared = vmap(scaled_dot_product_attention, in_dims=(0, None, None), out_dims=1)(call[0], call[1][0], call[2][0])
    assert torch.equal(shared.movedim(1, 0), scaled_dot_product_attention(call[0], call[1][:1], call[2][:1]))


def test_gradients_of_functions():
    query, key, value = tensors(3)
    def loss(query, key, value):
        return scaled_dot_product_attention(query, key, value).square().sum()
    expected = [grad(loss)(*one) for one in zip(query, key, value, strict=True)]
    torch.testing.assert_close(vmap(grad(loss))(query, key, value), torch.stack(expected))
    torch.testing.assert_close(jacrev(loss)(query[0], key[0], value[0]), expected[0])
    with pytest.raises(NotImplementedError, match="jvp"):
        jvp(lambda query: loss(query, key, value), (query,), (query,))


def block(query, key, value, scale=None, config=None):
    return scaled_dot_product_attention(query * 2, key, value, is_causal=True, scale=scale, config=config) + 1


def compiled(function, backend="aot_eager", **options):
    torch._dynamo.reset()
    return torch.compile(function, backend=backend, fullgraph=True, **options)


def test_compiled_it_gives_the_same_bits():
    function = compiled(block)
    for leading in ((2, 3), (4, 1), (1, 5)):
        assert torch.equal(function(*tensors(*leading)), block(*tensors(*leading)))
    for changes in ("scale", (0.5, 0.25, 0.3)), ("config", ("FSA8X8Bf16Config", FOUR, FOUR.replace(elem="bf16"))):
        function = compiled(block)
        for change in changes[1]:
            options = {changes[0]: change}
            assert torch.equal(function(*tensors(2), **options), block(*tensors(2), **options))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(function(*tensors(2)), block(*tensors(2)))


def test_compiled_it_has_the_same_gradient():
    leaves = [x.requires_grad_() for x in tensors(2, 4, kv_leading=(2, 4))]
    plain = torch.autograd.grad(block(*leaves).square().sum(), leaves)
    for x, y in zip(torch.autograd.grad(compiled(block)(*leaves).square().sum(), leaves), plain, strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.slow
def test_compiled_by_inductor():
    for dynamic in (False, True):
        function = compiled(block, "inductor", dynamic=dynamic)
        for leading in ((2, 3), (4, 2)):
            assert torch.equal(function(*tensors(*leading)), block(*tensors(*leading)))
    leaves = [x.requires_grad_() for x in tensors(2, 4)]
    plain = torch.autograd.grad(block(*leaves).square().sum(), leaves)
    for x, y in zip(torch.autograd.grad(function(*leaves).square().sum(), leaves), plain, strict=True):
        torch.testing.assert_close(x, y)


# use().

def reference(*call, **options):
    return scaled_dot_product_attention(*call, **options)


def test_use_takes_the_calls_and_gives_them_back():
    from torch.nn.functional import scaled_dot_product_attention as imported

    call = tensors(2)
    theirs = imported(*call)
    with use() as here:
        for function in (imported, F.scaled_dot_product_attention, torch._C._nn.scaled_dot_product_attention):
            assert torch.equal(function(*call, is_causal=True), reference(*call, is_causal=True))
        with pytest.raises(NotImplementedError, match="^dropout_p = 0.5: "):
            imported(*call, dropout_p=0.5)
    assert (here.calls.machine, here.calls.torch) == (3, 0)
    with pytest.raises(KeyError), here:
        raise KeyError
    assert torch.equal(imported(*call), theirs)
    with here:
        imported(*call)
    assert here.calls.machine == 4


def test_use_changes_fields_of_the_machine():
    call = tensors(2, d=6, dv=6)
    bits = by_golden(*call, Config(rows=8, elem="bf16", exp2_pieces=16, reciprocal="division"))
    with use(elem="bf16", exp2_pieces=16):
        assert torch.equal(F.scaled_dot_product_attention(*call), bits)
    with use("STREAM16X16Bf16Config", exp2_pieces=16):
        assert torch.equal(F.scaled_dot_product_attention(*call),
                           by_golden(*call, preset("STREAM16X16Bf16Config").replace(exp2_pieces=16)))
    with use(rows=16, elem="bf16", exp2_pieces=16):
        assert torch.equal(F.scaled_dot_product_attention(*call),
                           by_golden(*call, Config(rows=16, elem="bf16", exp2_pieces=16, reciprocal="division")))
    with pytest.raises(ValueError, match="(?i)exp2_pieces = 3: must be a power of two"):
        use(exp2_pieces=3)
    with pytest.raises(ValueError, match="otherwise = 'never': must be 'error' or 'torch'"):
        use(otherwise="never")


def test_of_two_the_inner_one_holds():
    call = tensors(2)
    with use() as outer:
        with outer, use(elem="bf16") as inner:
            result = F.scaled_dot_product_attention(*call)
        F.scaled_dot_product_attention(*call)
    assert torch.equal(result, reference(*call, config=FOUR.replace(elem="bf16")))
    assert (outer.calls.machine, inner.calls.machine) == (1, 1)


def test_a_thread_has_its_own():
    call = tensors(2)
    theirs, results = F.scaled_dot_product_attention(*call), []
    with use() as here:
        def outside():
            results.append(F.scaled_dot_product_attention(*call))
            with here:
                results.append(F.scaled_dot_product_attention(*call))
        threads = [threading.Thread(target=outside) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sum(torch.equal(result, theirs) for result in results) == 2
    assert sum(torch.equal(result, reference(*call)) for result in results) == 2
    assert here.calls.machine == 2


def test_torch_runs_what_the_machine_cannot():
    call = tensors(2)
    mask = torch.ones(5, 7, dtype=torch.bool)
    mask[0, 3] = False
    calls = [((*call, mask), {}), (call, {"scale": -1.0}), (call, {"scale": 1e-9}), (tensors(d=200), {}),
             (tensors(seq_kv=3), {"attn_mask": torch.full((5, 3), 0.5)})]
    with use(otherwise="torch") as here:
        for args, options in calls:
            result = F.scaled_dot_product_attention(*args, **options)
            with torch._C.DisableTorchFunction():
                assert torch.equal(result, F.scaled_dot_product_attention(*args, **options))
        assert torch.equal(F.scaled_dot_product_attention(*call), reference(*call))
    assert (here.calls.machine, here.calls.torch) == (1, len(calls))
    assert repr(here.calls) == "Calls(machine=1, torch=5)"


def test_a_mask_that_is_the_causal_one_is_causal():
    call = tensors(2, seq_q=6, seq_kv=6)
    causal = torch.ones(6, 6, dtype=torch.bool).tril()
    added = torch.nn.Transformer.generate_square_subsequent_mask(6)
    expected = reference(*call, is_causal=True)
    for mask in (causal, causal.expand(2, 6, 6), added, added.clamp_min(torch.finfo(torch.float32).min)):
        assert torch.equal(reference(*call, mask), expected)
    for mask in (torch.ones(6, 6, dtype=torch.bool), torch.zeros(6, 6), torch.zeros(1, 1)):
        assert torch.equal(reference(*call, mask), reference(*call))
    one = (call[0][:, :1], *call[1:])
    assert torch.equal(reference(*one, causal[:1]), reference(*one, is_causal=True))
    # that row alone, of all six
    with pytest.raises(NotImplementedError, match="^attn_mask hides other keys"):
        reference(*call, causal[:1])


@pytest.mark.parametrize("batch_first", [False, True])
def test_multi_head_attention(batch_first):
    module = torch.nn.MultiheadAttention(16, 4, batch_first=batch_first).eval()
    x = randn(6, 6, 16)
    causal = torch.nn.Transformer.generate_square_subsequent_mask(6)
    with torch.no_grad():
        for options in ({}, {"attn_mask": causal}, {"attn_mask": causal, "is_causal": True}):
            theirs = module(x, x, x, need_weights=False, **options)[0]
            with use() as here:
                ours = module(x, x, x, need_weights=False, **options)[0]
            assert here.calls.machine == 1
            assert not torch.equal(ours, theirs)
            torch.testing.assert_close(ours, theirs, atol=5e-3, rtol=0)


def test_a_transformer_of_torch_trains():
    torch.manual_seed(0)
    model = torch.nn.TransformerEncoder(torch.nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True), 2,
                                        enable_nested_tensor=False)
    x, mask = randn(3, 6, 16), torch.nn.Transformer.generate_square_subsequent_mask(6)
    model(x, mask).square().sum().backward()
    theirs = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with use() as here:
        model(x, mask).square().sum().backward()
        assert here.calls.machine == 2
        with torch.no_grad():
            model.eval()(x, mask)
    assert here.calls.machine == 4
    for parameter, gradient in zip(model.parameters(), theirs, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=0.1, rtol=0.05)


def test_use_holds_in_compiled_code():
    module = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    x = randn(2, 5, 16)

    def model(x):
        return module(x, x, x, need_weights=False)[0] + F.scaled_dot_product_attention(x, x, x, scale=0.25)

    function = compiled(model)
    theirs = function(x)
    with use() as here:
        ours = function(x)
        assert torch.equal(ours, model(x))
    assert here.calls.machine == 2  # those of the call that was not compiled
    assert torch.equal(function(x), theirs)
    assert not torch.equal(ours, theirs)
    with use(otherwise="torch"):
        dropped = compiled(lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=1.0))
        assert not dropped(x).any()


def test_an_exported_program_has_the_operator_in_it():
    class Model(torch.nn.Module):
        def forward(self, x):
            return F.scaled_dot_product_attention(x, x, x, is_causal=True)

    x = randn(2, 5, 4)
    with use(FOUR):
        program = torch.export.export(Model(), (x,))
    assert "torch.ops.myhdl_fsa.attention.default" in program.graph_module.code
    assert torch.equal(program.module()(x), reference(x, x, x, is_causal=True, config=FOUR))


def test_use_holds_in_functional_calls():
    module = torch.nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    parameters = dict(module.named_parameters())
    x = randn(3, 5, 16)

    def loss(parameters, x):
        return functional_call(module, parameters, (x[None],)).square().sum()

    with use() as here:
        found = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    assert here.calls.machine == 1
    assert all(value.shape == (3, *parameters[name].shape) for name, value in found.items())


# What is refused.

ONES = torch.ones(4, 4)
REFUSALS = [
    ({"query": np.ones((4, 4))}, TypeError, "^query is of type ndarray: must be a torch.Tensor$"),
    ({"key": None}, TypeError, "^key is of type NoneType: must be a torch.Tensor$"),
    ({"query": ONES.int()}, TypeError, "^query is torch.int32: must be one of torch.float16, torch.bfloat16, torch.f"),
    ({"value": ONES.bool()}, TypeError, "^value is torch.bool: must be one of"),
    ({"query": ONES.to(torch.float8_e5m2)}, TypeError, "^query is torch.float8_e5m2: must be one of"),
    ({"query": ONES.to(torch.complex64)}, TypeError, "^query is torch.complex64: must be one of"),
    ({"key": ONES.half()}, TypeError, "^key is torch.float16: must have the dtype of query, torch.float32$"),
    ({"value": ONES.to("meta")}, ValueError, "^value is on meta: must be on the device of query, cpu$"),
    ({"query": ONES.to_sparse()}, NotImplementedError, "^query has layout torch.sparse_coo: must be torch.strided$"),
    ({"query": torch.ones(4)}, ValueError, r"^query has shape \[4\]: must be \[..., sequence, head dimension\]$"),
    ({"query": torch.ones(0, 4)}, ValueError, r"^query has shape \[0, 4\]: sequence and head dimension must be at"),
    ({"key": torch.ones(0, 4), "value": torch.ones(0, 4)}, ValueError, r"^key has shape \[0, 4\]: sequence and"),
    ({"value": torch.ones(4, 0)}, ValueError, r"^value has shape \[4, 0\]: sequence and head dimension must be"),
    ({"key": torch.ones(4, 3)}, ValueError, "^key has head dimension 3: must be that of query, 4$"),
    ({"value": torch.ones(5, 4)}, ValueError, "^value has 5 rows: must have as many as key, 4$"),
    ({"key": torch.ones(2, 4, 4), "query": torch.ones(3, 4, 4)}, ValueError,
     r"^key has shape \[2, 4, 4\]: its leading dimensions must broadcast with those of query, \[3, 4, 4\] \(for"),
    ({"key": torch.ones(2, 4, 4), "value": torch.ones(3, 4, 4)}, ValueError,
     r"^value has shape \[3, 4, 4\]: its leading dimensions must broadcast with those of key, \[2, 4, 4\]$"),
    ({"enable_gqa": True}, ValueError, r"^enable_gqa: query has shape \[4, 4\]: must be \[..., heads, sequence, head"),
    ({"query": torch.ones(4, 4, 4), "key": torch.ones(3, 4, 4), "value": torch.ones(3, 4, 4), "enable_gqa": True},
     ValueError, "^enable_gqa: key has 3 heads: must divide those of query, 4$"),
    ({"query": torch.ones(4, 4, 4), "key": torch.ones(2, 4, 4), "value": torch.ones(4, 4, 4), "enable_gqa": True},
     ValueError, "^enable_gqa: value has 4 heads: must have as many as key, 2$"),
    ({"query": torch.ones(2, 4, 4, 4), "key": torch.ones(3, 2, 4, 4), "value": torch.ones(3, 2, 4, 4),
      "enable_gqa": True}, ValueError, r"^key has shape \[3, 2, 4, 4\]: its leading dimensions must broadcast with"),
    ({"attn_mask": ONES.tril(-1).bool()}, NotImplementedError, "^attn_mask hides other keys than the later ones: must"),
    ({"attn_mask": ONES * 0.5}, NotImplementedError, "^attn_mask adds a bias: must be None, or hide nothing but later"),
    ({"attn_mask": ONES.bool(), "is_causal": True}, ValueError, "^attn_mask is given and is_causal is True: must be"),
    ({"attn_mask": [[True]]}, TypeError, "^attn_mask is of type list: must be a torch.Tensor or None$"),
    ({"attn_mask": ONES.int()}, TypeError, "^attn_mask is torch.int32: must be torch.bool or of floating point$"),
    ({"attn_mask": torch.zeros(4, 3)}, ValueError, r"^attn_mask has shape \[4, 3\]: must broadcast to \[..., 4, 4\]$"),
    ({"attn_mask": torch.zeros(4)}, ValueError, r"^attn_mask has shape \[4\]: must broadcast to"),
    ({"attn_mask": ONES.clone().requires_grad_()}, NotImplementedError, "^attn_mask requires a gradient: must be None"),
    ({"attn_mask": ONES.to("meta")}, NotImplementedError, "^attn_mask: must be None where no values are there to read"),
    ({"dropout_p": 0.1}, NotImplementedError, "^dropout_p = 0.1: must be 0.0, the machine has no dropout$"),
    ({"scale": 0.0}, ValueError, "^scale = 0.0: must be a positive finite number$"),
    ({"scale": -1}, ValueError, "^scale = -1: must be a positive finite number$"),
    ({"scale": math.inf}, ValueError, "^scale = inf: must be a positive finite number$"),
    ({"scale": math.nan}, ValueError, "^scale = nan: must be a positive finite number$"),
    ({"scale": "1"}, TypeError, "^scale is of type str: must be a float or None$"),
    ({"scale": True}, TypeError, "^scale is of type bool: must be a float or None$"),
    ({"scale": 1e-6}, ValueError, "^scale 1e-06: must be from .* to .*, what fp16 can hold$"),
    ({"scale": 1e6, "config": FOUR}, ValueError, "^scale 1000000.0: must be from .* to .*, what fp16 can hold$"),
    ({"query": torch.ones(4, 5), "key": torch.ones(4, 5), "config": FOUR}, ValueError,
     "^query has head dimension 5: must be at most 4, the rows of the machine$"),
    ({"value": torch.ones(4, 129)}, ValueError, "^value has head dimension 129: must be at most 128, the rows of the"),
    ({"config": "FSA5X5Fp16Config"}, ValueError, "FSA5X5Fp16Config"),
    ({"config": 4}, ValueError, "^configuration of type int: must be a Config, the name of a preset"),
    ({"out_dtype": torch.int8}, TypeError, "^out_dtype = torch.int8: must be None or one of torch.float16, torch"),
]


@pytest.mark.parametrize(("change", "error", "message"), REFUSALS)
def test_what_cannot_be_is_refused_in_words(change, error, message):
    with pytest.raises(error, match=message) as raised:
        scaled_dot_product_attention(**{"query": ONES, "key": ONES, "value": ONES, **change})
    assert "\n" not in str(raised.value)


def test_compiled_code_refuses_too():
    function = compiled(lambda *call, **options: scaled_dot_product_attention(*call, **options))
    with pytest.raises(Exception, match="dropout_p"):
        function(ONES, ONES, ONES, dropout_p=0.5)
    with pytest.raises(Exception, match="scale 1e-06: must be from"):
        function(ONES, ONES, ONES, scale=1e-6)
    with pytest.raises(Exception, match="attn_mask: must be None where no values are there to read"):
        function(ONES, ONES, ONES, ONES.bool())


# CUDA.

CUDA = pytest.mark.skipif(not torch.cuda.is_available(),
                          reason="torch sees no CUDA device: the Triton kernel needs one")


INTERPRETED = """
import torch
from myhdl_fsa.torch import cpu
from myhdl_fsa.torch.machine import specification
from myhdl_fsa.torch.operator import _machine, _on_cuda, prepare

for dtype in (torch.float32, torch.bfloat16, torch.float64):
    call = [torch.randn(2, heads, seq, 6).to(dtype) for heads, seq in ((4, 5), (2, 7), (2, 7))]
    query, key, value, causal, scale, text, *_ = prepare(specification(), *call, is_causal=True, enable_gqa=True)
    expected = cpu.attention(query, key, value, _machine(query, value, scale, text), causal=causal, scale=scale)
    result = _on_cuda(query, key, value, causal, scale, text)
    assert result.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(result, expected.to(result.dtype))
"""


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
def test_what_runs_on_cuda_gives_the_same_bits_in_tritons_interpreter():
    run = subprocess.run([sys.executable, "-c", INTERPRETED], capture_output=True, text=True, check=False,
                         env={**os.environ, "TRITON_INTERPRET": "1"})
    assert run.returncode == 0, run.stderr


@CUDA
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("leading", "kv_leading", "gqa"), [((), (), False), ((2, 4), (2, 2), True)])
def test_cuda_tensors_give_the_same_bits(leading, kv_leading, gqa, dtype):
    call = tensors(*leading, kv_leading=kv_leading, seq_q=37, seq_kv=53, d=24, dv=32, dtype=dtype)
    for options in ({}, {"is_causal": True}, {"scale": 0.3}):
        expected = scaled_dot_product_attention(*call, enable_gqa=gqa, **options)
        result = scaled_dot_product_attention(*(x.cuda() for x in call), enable_gqa=gqa, **options)
        assert result.device.type == "cuda" and torch.equal(result.cpu(), expected)


@CUDA
def test_models_on_cuda_run_train_and_compile():
    module = torch.nn.MultiheadAttention(64, 2, batch_first=True)
    x, results = randn(2, 37, 64), []
    for device in ("cpu", "cuda"):
        module, here = module.to(device), x.to(device).requires_grad_()
        with use():
            output = module(here, here, here, need_weights=False)[0]
            again = compiled(module)(here, here, here, need_weights=False)[0]
            with torch.autocast(device, torch.bfloat16):
                low = module(here, here, here, need_weights=False)[0]
        torch.testing.assert_close(again, output, atol=1e-3, rtol=0)
        results.append((output.cpu(), low.cpu(), torch.autograd.grad(output.square().sum(), here)[0].cpu()))
    # torch's own matrix products differ between devices, and so roundings of what follows
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, atol=2e-2, rtol=2e-2)


# The package's place.

def test_the_package_does_not_hide_torch_and_is_not_imported_unasked():
    code = ("import sys, myhdl_fsa\n"
            "assert 'torch' not in sys.modules and 'myhdl_fsa.torch' not in sys.modules\n"
            "from myhdl_fsa import *\n"
            "assert 'torch' not in globals()\n"
            "import myhdl_fsa.torch, torch\n"
            "assert torch.__name__ == 'torch' and myhdl_fsa.torch.__name__ == 'myhdl_fsa.torch'\n"
            "assert 'myhdl_fsa.torch.triton_kernel' not in sys.modules")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr

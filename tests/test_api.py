"""What ``import myhdl_fsa`` offers."""

import ast
import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

import myhdl_fsa
from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32
from myhdl_fsa.config import Config, preset
from myhdl_fsa.easyfloat import from_float, to_float

ROOT = Path(__file__).parent.parent
FOUR = preset("FSA4X4Fp16Config")


def tensors(seed=0, seq_q=8, seq_kv=12, d=4):
    rng = np.random.default_rng(seed)
    return tuple(rng.standard_normal((seq, d)) for seq in (seq_q, seq_kv, seq_kv))


def test_the_docstring_tells_the_truth():
    assert doctest.testmod(myhdl_fsa).failed == 0
    assert doctest.testmod(myhdl_fsa).attempted == 4


def test_every_name_is_there_and_nothing_is_imported_before_it_is_asked_for():
    assert set(myhdl_fsa.__all__) == {"__version__", "attention", "Config", "preset", "engine", "kernel", "easyfloat"}
    code = ("import sys, myhdl_fsa; before = set(sys.modules)\n"
            "assert not {'numpy', 'click', 'torch', 'myhdl', 'myhdl_fsa.config'} & before, before\n"
            "assert {*myhdl_fsa.__all__} <= {*dir(myhdl_fsa)}\n"
            "for name in myhdl_fsa.__all__: assert getattr(myhdl_fsa, name) is not None, name\n"
            "assert 'torch' not in sys.modules and 'myhdl' not in sys.modules\n"
            "print(myhdl_fsa.__version__, myhdl_fsa.engine('golden').name)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "0.1.0 golden\n"
    with pytest.raises(AttributeError, match="^module 'myhdl_fsa' has no attribute 'attenton'$"):
        myhdl_fsa.attenton  # noqa: B018


def test_engine_and_kernel_are_packages_that_can_be_called():
    from myhdl_fsa import engine, kernel

    assert engine("golden").name == engine.engine("golden").name == "golden"

    @kernel
    def stop(ctx):
        ctx.fence(matrix=True, dma=True, stop=True)

    assert kernel.disassemble(stop(FOUR).words) == "fence matrix dma stop\n"
    assert kernel.check(stop(FOUR).words, FOUR) == []


def test_attention_takes_floats_and_gives_floats():
    q, k, v = tensors()
    output = myhdl_fsa.attention(q, k, v, "FSA4X4Fp16Config", causal=True)
    assert output.dtype == np.float32
    patterns = golden.attention(*(from_float(x, FP16) for x in (q, k, v)), FOUR, causal=True)
    np.testing.assert_array_equal(output, to_float(patterns, FP32).astype(np.float32))
    np.testing.assert_array_equal(myhdl_fsa.attention(q, k, v, FOUR, causal=True, bits=True), patterns)
    # without a configuration the machine of that size
    np.testing.assert_array_equal(myhdl_fsa.attention(q, k, v, causal=True), output)


@pytest.mark.parametrize("elem", [FP16, BF16], ids=str)
@pytest.mark.parametrize("make", [
    lambda x: x.astype(np.float16), lambda x: x.astype(np.float32), lambda x: x.tolist(),
    lambda x: x.astype(ml_dtypes.bfloat16), lambda x: x.astype(ml_dtypes.float8_e4m3fn),
    lambda x: torch.tensor(x, dtype=torch.bfloat16), lambda x: torch.tensor(x, dtype=torch.float16),
    lambda x: torch.tensor(x, dtype=torch.float8_e4m3fn), lambda x: torch.tensor(x, requires_grad=True),
    lambda x: np.asfortranarray(x), lambda x: x[::1].view(),
], ids=("half", "single", "list", "ml bf16", "ml e4m3", "torch bf16", "torch half", "torch e4m3", "torch grad",
        "fortran", "view"))
def test_any_floating_tensor_is_rounded_once_to_the_input_format(make, elem):
    config = Config(rows=4, elem=elem)
    given = [make(x) for x in tensors(3)]
    exact = [np.array(x.detach().double().numpy() if isinstance(x, torch.Tensor) else x, dtype=np.float64)
             for x in given]
    expected = golden.attention(*(from_float(x, elem) for x in exact), config)
    np.testing.assert_array_equal(myhdl_fsa.attention(*given, config, bits=True), expected)


def test_patterns_are_taken_as_they_are():
    q, k, v = (from_float(x, BF16) for x in tensors())
    config = Config(rows=4, elem=BF16)
    np.testing.assert_array_equal(myhdl_fsa.attention(q, k, v, config, bits=True), golden.attention(q, k, v, config))


def test_attention_on_the_simulated_device_gives_the_same():
    q, k, v = tensors(seq_q=4, seq_kv=4)
    simulated = myhdl_fsa.attention(q, k, v, FOUR, engine="myhdl")
    np.testing.assert_array_equal(simulated, myhdl_fsa.attention(q, k, v, FOUR))


@pytest.mark.parametrize("fields", [{}, {"dataflow": "stream", "reciprocal": "division"}], ids=["fsa", "stream"])
def test_attention_of_any_shape_on_the_simulated_device(fields):
    rng = np.random.default_rng(7)
    q, k, v = (rng.standard_normal(shape) for shape in ((1, 2, 3, 3), (1, 1, 5, 3), (1, 1, 5, 4)))
    machine = FOUR.replace(**fields)
    for given in ({"causal": True}, {"scale": 0.3}):
        simulated = myhdl_fsa.attention(q, k, v, machine, engine="myhdl", **given)
        assert simulated.shape == (1, 2, 3, 4)
        np.testing.assert_array_equal(simulated, myhdl_fsa.attention(q, k, v, machine, **given))
        for head in range(2):
            alone = myhdl_fsa.attention(q[0, head], k[0, 0], v[0, 0], machine, **given)
            np.testing.assert_array_equal(simulated[0, head], alone)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shapes", [
    ((5, 3), (7, 3), (7, 2)), ((1, 1), (1, 1), (1, 4)), ((2, 4, 5, 3), (2, 2, 7, 3), (2, 2, 7, 4)),
])
def test_attention_of_any_shape(shapes, causal):
    given = [np.random.default_rng(seed).random(shape) for seed, shape in enumerate(shapes)]
    q, k, v = map(torch.tensor, given)
    expected = torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=causal, scale=0.3, enable_gqa=q.ndim == 4)
    output = myhdl_fsa.attention(*given, FOUR.replace(reciprocal="division"), causal=causal, scale=0.3)
    assert output.shape == (*shapes[0][:-1], shapes[2][-1])
    np.testing.assert_allclose(output, expected, rtol=0, atol=2e-3)


@pytest.mark.parametrize(("d", "dv", "size"), [(1, 1, 2), (3, 2, 3), (2, 6, 6)])
def test_the_machine_without_a_configuration_is_the_smallest(d, dv, size):
    q, k, v = (np.random.default_rng(seed).random(shape) for seed, shape in enumerate(((5, d), (7, d), (7, dv))))
    expected = myhdl_fsa.attention(q, k, v, Config(rows=size), bits=True)
    np.testing.assert_array_equal(myhdl_fsa.attention(q, k, v, bits=True), expected)


def test_what_no_machine_is_large_enough_for():
    wide = np.ones((4, 257))
    with pytest.raises(ValueError, match=r"^q has shape \[4, 257\]: must be \[seq, d\] with d from 1 to 256"):
        myhdl_fsa.attention(wide, wide, wide)


@pytest.mark.parametrize("name", ["golden", "myhdl"])
def test_an_engine_takes_any_shape_and_refuses_in_words(name):
    q, k, v = (from_float(np.random.default_rng(seed).random(shape), FP16)
               for seed, shape in enumerate(((1, 2, 3, 3), (1, 1, 5, 3), (1, 1, 5, 2))))
    machine = myhdl_fsa.engine(name)
    expected = golden.attention(q, k, v, FOUR, scale=0.4)
    for run in (machine.attention, machine.device_attention):
        np.testing.assert_array_equal(run(q, k, v, FOUR, scale=0.4).output, expected)
        with pytest.raises(ValueError, match=r"^q has shape \[3\]: must be \[seq, d\] or \[batch, heads, seq, d\]$"):
            run(q[0, 0, 0], k, v, FOUR)
        with pytest.raises(ValueError, match="^scale -1: must be a positive number$"):
            run(q, k, v, FOUR, scale=-1)


@pytest.mark.parametrize(("change", "error", "message"), [
    ({"q": np.ones((4, 4), int)}, TypeError, "^q holds int64: must be an array of floating point, or of unsigned bit"),
    ({"k": [["a"]]}, TypeError, "^k holds <U1: must be an array of floating point"),
    ({"v": np.ones((4, 4), complex)}, TypeError, "^v holds complex128: must"),
    ({"q": np.ones(4)}, ValueError, r"^q has shape \[4\]: must be \[seq, d\] or \[batch, heads, seq, d\]$"),
    ({"q": np.ones((0, 4))}, ValueError,
     r"^q has shape \[0, 4\]: must be \[seq, d\] with d from 1 to 4, and no size 0$"),
    ({"q": np.ones((4, 3))}, ValueError, r"^k has shape \[4, 4\]: must have a head dimension of 3, that of q$"),
    ({"q": np.ones((1, 1, 4, 4))}, ValueError, r"^k has shape \[4, 4\]: must be 4 dimensions, as q$"),
    ({name: np.ones((1, heads, 4, 4)) for name, heads in zip("qkv", (3, 2, 2), strict=True)}, ValueError,
     r"^k has shape \[1, 2, 4, 4\]: must have the batch of q, 1, and heads that divide its 3$"),
    ({"k": np.ones((4, 8))}, ValueError, r"^k has shape \[4, 8\]: must be"),
    ({"k": np.ones((8, 4))}, ValueError, r"^v has shape \[4, 4\]: must be that of k, \[8, 4\], but for the head"),
    ({"q": np.ones((5, 5))}, ValueError, r"^q has shape \[5, 5\]: must be \[seq, d\] with d from 1 to 4, and no"),
    ({"k": np.ones((4, 3))}, ValueError, r"^k has shape \[4, 3\]: must have a head dimension of 4, that of q$"),
    ({"q": np.ones((2, 4, 4, 4))}, ValueError, r"^k has shape \[4, 4\]: must be 4 dimensions, as q$"),
    ({"scale": 0}, ValueError, "^scale 0: must be a positive number$"),
    ({"scale": float("nan")}, ValueError, "^scale nan: must be a positive number$"),
    ({"scale": "half"}, ValueError, "^scale 'half': must be a positive number$"),
    ({"scale": True}, ValueError, "^scale True: must be a positive number$"),
    ({"scale": 1e300}, ValueError, r"^scale 1e\+300: must be from 4.231e-05 to 4.54e\+04, what fp16 can hold$"),
    ({"q": np.full((4, 4), 1 << 16, np.uint32)}, ValueError, "^q: fp16 bit pattern 0x10000 is wider than 16 bits$"),
    ({"config": "FSA5X5Fp16Config"}, ValueError, "FSA5X5Fp16Config"),
    ({"config": 4}, ValueError, "^configuration of type int: must be a Config, the name of a preset"),
    ({"engine": "spice"}, ValueError, "^engine 'spice': must be one of myhdl, golden, verilator, icarus$"),
])
def test_what_cannot_be_is_refused_in_words(change, error, message):
    ones = np.ones((4, 4))
    with pytest.raises(error, match=message) as raised:
        myhdl_fsa.attention(**{"q": ones, "k": ones, "v": ones, "config": FOUR, **change})
    assert "\n" not in str(raised.value)


def test_python_m_runs_fsa_sim():
    command = [sys.executable, "-m", "myhdl_fsa"]
    run = subprocess.run([*command, "--diff-only"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Error of golden vs torch: {'MAE': ")
    wrong = subprocess.run([*command, "--nonsense"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("fsa-sim: error: No such option")


def modules():
    for folder, package in (("myhdl_fsa", "myhdl_fsa"), ("convert", "myhdl_fsa.convert"), ("sims", "myhdl_fsa.sims")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            place = path.relative_to(ROOT / folder).with_suffix("")
            parts = [part for part in place.parts if part != "__init__"]
            if path.name != "__main__.py":
                yield ".".join([package, *parts]), path


def test_every_module_says_what_it_offers():
    for name, path in modules():
        tree = ast.parse(path.read_text())
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        assigned = {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
                    if isinstance(target, ast.Name)}
        assigned |= {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
        module = importlib.import_module(name)
        offered = getattr(module, "__all__", None)
        assert offered is not None, f"{name} has no __all__"
        assert len(offered) == len(set(offered)), name
        assert all(hasattr(module, item) for item in offered), name
        public = {item for item in defined | assigned if not item.startswith("_")}
        assert public <= set(offered), f"{name} does not list {sorted(public - set(offered))}"

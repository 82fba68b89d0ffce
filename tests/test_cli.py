"""fsa-sim: what it prints and writes, its exit statuses, and every kind of bad input."""

import hashlib
import io
import json
import os
import platform
import pty
import re
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from dataclasses import fields, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import myhdl_fsa.engine
from myhdl_fsa import easyfloat, golden
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, FloatFormat
from myhdl_fsa.arithmetic.tensors import to_elem
from myhdl_fsa.cli.convert import main as convert_main
from myhdl_fsa.cli.sim import main
from myhdl_fsa.config import PRESETS, Config, preset
from myhdl_fsa.dataflows import attention_cycles
from myhdl_fsa.engine import EngineResult, RunError
from myhdl_fsa.kernel import assemble, attention_kernel
from myhdl_fsa.program import Counters
from myhdl_fsa.tiling import AttentionShape, tiles, visits
from myhdl_fsa.workbench import metrics
from myhdl_fsa.workbench.metrics import error_metrics, float64_attention, to_float32, torch_attention
from myhdl_fsa.workbench.record import RunRecord, input_files, tool_versions
from myhdl_fsa.workbench.workload import NotFinite, Workload, generate

PUBLISHED = "{'MAE': 9.6587464e-05, 'MSE': 1.6099552e-08, 'MaxErr': 0.00030440092, 'RelErr': 0.00019886618}"
FLOAT64 = "{'MAE': 4.951203e-05, 'MSE': 5.370038e-09, 'MaxErr': 0.0001521907, 'RelErr': 0.000105008105}"


class FakeEngine:
    """The golden model's bits and a clock of the known length, to test the command without simulating hardware."""

    name = "fake"

    def __init__(self, flip=None, fail=None, before=None, says=None, flips=("fsa", "stream")):
        self.flip, self.fail, self.before, self.says, self.flips = flip, fail, before, says, flips

    def run_attention(self, request, watch):
        self.timing, config = request.timing, request.config
        q, k, v, max_cycles, vcd = request.q, request.k, request.v, watch.max_cycles, watch.vcd
        if self.before is not None:
            self.before()
        if self.says is not None:
            watch.say(self.says)
        n, shape = config.rows, request.shape
        query_tiles, kv_tiles = shape.query_heads * tiles(shape.seq_q, n), tiles(shape.seq_kv, n)
        cycles = query_tiles * (kv_tiles * (5 * n + 13) + 2 * n + 4 + 19) + 1
        if config.dataflow == "stream":
            cycles = query_tiles * kv_tiles * (2 * n + 4) + 50
        if vcd is not None:
            assert vcd.suffix == ".vcd"
            vcd.write_text("$end\n")
        if max_cycles is not None and max_cycles < cycles:
            raise RunError(f"cycle limit of {max_cycles} reached with 1 of 5 instructions done")
        if self.fail is not None:
            raise self.fail
        for cycle in range(cycles):
            watch.report(cycle, cycles)
        output, steps = golden.attention(q, k, v, config, causal=request.causal, scale=request.scale, trace=True)
        if self.flip is not None and config.dataflow in self.flips:
            output[self.flip] ^= 1
            steps["P"][self.flip] ^= 1
        traced = {name: steps[name] for name in ("S", "P")} if watch.trace else {}
        if request.top == "core":
            return EngineResult(output, cycles, 5.0 * n + 13 if config.dataflow == "fsa" else 2.0 * n + 4, traced)
        return EngineResult(output, cycles, None, traced, counters=Counters(cycles, *range(2, 11)))


@pytest.fixture
def fake(monkeypatch):
    def install(**kwargs):
        monkeypatch.setitem(myhdl_fsa.engine.ENGINES, "myhdl", lambda: FakeEngine(**kwargs))

    install()
    return install


def fsa_sim(*args):
    """Runs the command in this process."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def ok(*args):
    result = fsa_sim(*args)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def refused(*args, status=2):
    """The one line on standard error of a command that is refused."""
    result = fsa_sim(*args)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fsa-sim: error: ")
    return lines[0]


def process(*args, **kwargs):
    """Runs the command in a process of its own."""
    command = [sys.executable, "-m", "myhdl_fsa.cli.sim", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **kwargs)


def save(path, seq, d=4, dtype=np.float16, seed=1):
    np.save(path, np.random.default_rng(seed).random((seq, d)).astype(dtype))
    return path


@pytest.fixture
def tensors(tmp_path):
    """Options that name good files of 8 queries and 4 keys."""
    files = {name: save(tmp_path / f"{name}.npy", 8 if name == "q" else 4, seed=ord(name)) for name in "qkv"}
    return {f"--{name}": path for name, path in files.items()}


def flat(options):
    return [item for pair in options.items() for item in pair]


# What is printed and written


def test_default_output(fake):
    assert ok() == (
        f"Error of FSA vs torch: {PUBLISHED}\n"
        f"Error of FSA vs float64: {FLOAT64}\n"
        "Cycles: 65\n"
        "Matmul utilisation: 12.3 %\n"
        "Performance counters:\n"
        "Execution time: 65 cycles\n"
        "Max bubble cycles: 2 cycles\n"
        "Max active cycles: 3 cycles\n"
        "DMA active cycles: 4 cycles\n"
        "Raw instructions: 5\n"
        "Max instructions: 6\n"
        "DMA instructions: 7\n"
        "Fence instructions: 8\n"
        "Enqueue instructions: 9\n"
        "Dequeue instructions: 10\n"
    )


def test_output_of_the_bare_core(fake):
    assert ok("--top", "core") == (
        f"Error of FSA vs torch: {PUBLISHED}\n"
        f"Error of FSA vs float64: {FLOAT64}\n"
        "Cycles: 65\n"
        "Cycles per inner iteration: 33.0\n"
        "Matmul utilisation: 12.3 %\n"
    )


def test_diff_prints_both_errors_and_the_verdict(fake):
    lines = ok("--diff").splitlines()
    assert lines[0] == f"Error of FSA vs torch: {PUBLISHED}"
    assert lines[1] == f"Error of golden vs torch: {PUBLISHED}"
    assert lines[2] == "FSA equals the golden model bit for bit (16 values)"
    assert lines[3] == f"Error of FSA vs float64: {FLOAT64}"
    assert lines[4] == f"Error of golden vs float64: {FLOAT64}"
    assert lines[5] == "Cycles: 65"


def test_diff_that_fails_names_the_first_difference(fake, tmp_path):
    fake(flip=(1, 2))
    result = fsa_sim("--diff", "--json", tmp_path / "run.json")
    assert result.exit_code == 1
    assert "FSA differs from the golden model in 1 of 16 values, first at [1, 2]: FSA " in result.stdout
    found = re.search(r"FSA ([0-9a-f]{8}) \(.*golden ([0-9a-f]{8}) \(", result.stdout)
    assert found is not None, result.stdout
    assert int(found[1], 16) ^ int(found[2], 16) == 1
    assert json.loads((tmp_path / "run.json").read_text())["bit_exact"] is False


def test_diff_that_fails_is_an_error_even_when_quiet(fake):
    fake(flip=(0, 0))
    assert "differs from the golden model" in refused("--diff", "--quiet", status=1)


def test_diff_verbose_prints_every_matrix_and_marks_differences(fake):
    fake(flip=(2, 1))
    result = fsa_sim("--diff-verbose")
    assert result.exit_code == 1
    headers = dict(re.findall(r"^(\w+): (\w+ \[.*)$", result.stdout, re.M))
    names = {
        "S", "S_elem", "running_max", "delta", "scaled_delta", "rescale", "X1", "X2", "P", "row_sum", "O_partial",
        "L", "O", "reciprocal", "output",
    }  # fmt: skip
    assert set(headers) == names
    assert headers["S"] == "fp32 [4, 4], FSA equal"
    assert headers["P"] == "fp16 [4, 4], FSA differs in 1 of 16 values"
    assert headers["L"].endswith("not captured from the hardware")
    assert headers["output"] == "fp32 [4, 4], FSA differs in 1 of 16 values"
    assert len(re.findall(r"[0-9a-f]\*", result.stdout)) == 2
    assert len(re.findall(r"^  \* first at \[2, 1\]: FSA ", result.stdout, re.M)) == 2


def test_diff_verbose_values_are_those_of_the_golden_model(fake):
    config = preset("FSA4X4Fp16Config")
    work = generate(config, 8, 4, seed=0)
    _, steps = golden.attention(work.q, work.k, work.v, config, trace=True)
    printed = ok("--diff-verbose", "--seq-q", 8)
    rows = re.search(r"^P: .*\n((?:  .*\n)+)", printed, re.M)[1].splitlines()
    found = [[int(cell, 16) for cell in re.findall(r"\b[0-9a-f]{4}\b(?= +[-0-9a-z])", row)] for row in rows]
    assert np.array_equal(found, steps["P"])


def test_diff_only_runs_no_hardware(fake):
    fake(fail=AssertionError("the hardware ran"))
    assert ok("--diff-only") == f"Error of golden vs torch: {PUBLISHED}\nError of golden vs float64: {FLOAT64}\n"
    assert "captured" not in ok("--diff-only", "--diff-verbose")


def test_golden_engine_prints_no_cycles():
    assert ok("--engine", "golden") == f"Error of golden vs torch: {PUBLISHED}\nError of golden vs float64: {FLOAT64}\n"


def test_quiet_prints_nothing(fake, tmp_path):
    assert ok("--quiet", "--diff-verbose", "--out", tmp_path / "o.npy") == ""
    assert np.load(tmp_path / "o.npy").shape == (4, 4)


def test_json(fake, tmp_path):
    path = tmp_path / "run.json"
    ok("--json", path, "--diff", "--seq-q", 8, "--seq-kv", 12, "--causal", "--reciprocal", "division")
    run = json.loads(path.read_text())
    assert list(run) == [
        "config", "engine", "seq_q", "seq_kv", "batch", "heads", "kv_heads", "head_dim", "value_dim", "scale", "causal",
        "reciprocal", "dataflow", "cycles", "inner_iteration_cycles", "utilisation", "bit_exact", "poor_reciprocals",
        "errors", "counters", "errors_float64", "run",
    ]  # fmt: skip
    assert Config.from_dict(run["config"]) == preset("FSA4X4Fp16Config").replace(reciprocal="division")
    assert (run["engine"], run["seq_q"], run["seq_kv"], run["causal"]) == ("myhdl", 8, 12, True)
    assert [run[name] for name in ("batch", "heads", "kv_heads", "head_dim", "value_dim", "scale")] == [
        1, 1, 1, 4, 4, 0.5]
    assert (run["reciprocal"], run["dataflow"], run["bit_exact"]) == ("division", "fsa", True)
    assert run["poor_reciprocals"] == 0
    assert (run["cycles"], run["inner_iteration_cycles"]) == (261, None)
    assert run["counters"]["execution_time"] == 261
    # Causal leaves 1 + 2 of the 2 * 3 tile pairs.
    assert run["utilisation"] == pytest.approx(2 * 4 * 3 / 261)
    assert run["errors"]["FSA"] == run["errors"]["golden"]
    assert set(run["errors"]["FSA"]) == {"MAE", "MSE", "MaxErr", "RelErr"}
    assert run["errors_float64"]["FSA"] == run["errors_float64"]["golden"]
    assert set(run["errors_float64"]["FSA"]) == {"MAE", "MSE", "MaxErr", "RelErr"}


def test_json_without_a_comparison(fake, tmp_path):
    ok("--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["bit_exact"] is None
    assert run["errors"] == {
        "FSA": {"MAE": 9.6587464e-05, "MSE": 1.6099552e-08, "MaxErr": 0.00030440092, "RelErr": 0.00019886618}
    }
    ok("--diff-only", "--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["engine"], run["cycles"], run["utilisation"], list(run["errors"])) == ("golden", None, None, ["golden"])


def test_json_has_null_where_an_error_is_not_finite(tmp_path, tensors):
    np.save(tensors["--v"], np.full((4, 4), np.nan, np.float16))
    result = fsa_sim(*flat(tensors), "--engine", "golden", "--json", tmp_path / "run.json")
    assert result.exit_code == 0
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["errors"]["golden"]["MAE"] is run["errors_float64"]["golden"]["MAE"] is None


def test_own_tensors_and_out(fake, tmp_path, tensors):
    ok(*flat(tensors), "--out", tmp_path / "o.npy")
    out = np.load(tmp_path / "o.npy")
    bits = [np.load(path).view(np.uint16) for path in tensors.values()]
    expected = golden.attention(*bits, preset("FSA4X4Fp16Config")).view(np.float32)
    assert (out.dtype, out.shape) == (np.float32, (8, 4))
    assert np.array_equal(out.view(np.uint32), expected.view(np.uint32))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["k.npy", "o.npy", "q.npy", "v.npy"]


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_own_tensors_of_every_float_type_are_rounded_to_elem(tmp_path, tensors, dtype, order):
    values = [np.load(path).astype(np.float64) + 2**-13 for path in tensors.values()]
    for path, value in zip(tensors.values(), values, strict=True):
        np.save(path, np.asarray(value.astype(dtype), order=order))
    ok(*flat(tensors), "--engine", "golden", "--out", tmp_path / "o.npy")
    bits = [value.astype(dtype).astype(np.float16).view(np.uint16) for value in values]
    expected = golden.attention(*bits, preset("FSA4X4Fp16Config")).view(np.float32)
    assert np.array_equal(np.load(tmp_path / "o.npy"), expected)


def test_lengths_of_own_tensors_may_be_given_too(tensors):
    ok(*flat(tensors), "--engine", "golden", "--seq-q", 8, "--seq-kv", 4)
    assert "--seq-q 4: the files have 8 rows" in refused(*flat(tensors), "--seq-q", 4)
    assert "--seq-kv 8: the files have 4 rows" in refused(*flat(tensors), "--seq-kv", 8)


@pytest.mark.parametrize(("size", "seq"), [("4X4Fp16", 4), ("8X8Fp16", 8), ("16X16Bf16", 16)])
def test_default_length_is_one_tile(tmp_path, size, seq):
    ok("--engine", "golden", "--config", f"FSA{size}Config", "--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["seq_q"], run["seq_kv"]) == (seq, seq)


def test_configuration_from_a_file(tmp_path):
    path = tmp_path / "my.json"
    path.write_text(Config(rows=3, cols=3, elem=FloatFormat(6, 9), exp2_pieces=4, reciprocal="division").to_json())
    ok("--engine", "golden", "--config", path, "--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["config"]["e_type"], run["reciprocal"], run["seq_q"]) == ("e6m9", "division", 3)


def test_published_spellings(fake):
    spelled = ok("--seq_q", 8, "--seq_kv=12", "--diff_verbose", "--max_cycles", 100_000)
    assert spelled == ok("--seq-q", 8, "--seq-kv=12", "--diff-verbose", "--max-cycles", 100_000)
    assert ok("--diff_only") == ok("--diff-only")


def test_vcd_is_written_whole(fake, tmp_path):
    ok("--vcd", tmp_path / "wave.out")
    assert (tmp_path / "wave.out").read_text() == "$end\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wave.gtkw", "wave.out", "wave.sucl"]


def test_a_link_is_followed_and_kept(fake, tmp_path):
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    ok("--json", tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text())["seq_q"] == 4


def test_devices_are_written_to_in_place(fake):
    ok("--json", "/dev/null", "--out", "/dev/null")
    assert not Path("/dev/null").is_file()


def test_version():
    assert re.fullmatch(r"fsa-sim, version \d+\.\d+\.\d+\n", ok("--version"))


# Inputs and metrics


def test_uniform_inputs_are_the_published_ones():
    np.random.seed(3)
    expected = [np.random.rand(seq, 4).astype(np.float16) for seq in (8, 4, 4)]
    work = generate(preset("FSA4X4Fp16Config"), 8, 4, seed=3)
    for bits, values in zip((work.q, work.k, work.v), expected, strict=True):
        assert np.array_equal(bits, values.view(np.uint16))


def test_fa3_inputs():
    np.random.seed(7)
    expected = []
    for seq in (256, 512, 512):
        base = np.random.normal(0, 1, (seq, 4))
        mask = np.random.rand(seq, 4) < 0.001
        noise = np.random.normal(0, 10, (seq, 4))
        expected.append((base + noise * mask).astype(np.float16))
    work = generate(preset("FSA4X4Fp16Config"), 256, 512, seed=7, distribution="fa3")
    for bits, values in zip((work.q, work.k, work.v), expected, strict=True):
        assert np.array_equal(bits, values.view(np.uint16))


@pytest.mark.parametrize("fmt", [FP16, BF16, FP32, FloatFormat(5, 7)])
def test_rounding_to_elem_is_easyfloats(fmt):
    values = np.random.default_rng(0).normal(0, 1, (64, 4))
    values[0] = 1e30, -1e30, np.inf, -0.0
    assert np.array_equal(to_elem(values, fmt), easyfloat.from_float(values, fmt))


@pytest.mark.parametrize("fmt", [FP16, BF16, FP32, FloatFormat(4, 5)])
@pytest.mark.parametrize("causal", [False, True])
def test_torch_reference(fmt, causal):
    bits = [to_elem(np.random.default_rng(seed).normal(0, 1, (8, 4)), fmt) for seed in range(3)]
    q, k, v = (easyfloat.to_float(array, fmt) for array in bits)
    scores = q @ k.T / 2
    if causal:
        scores[np.triu_indices(8, 1)] = -np.inf
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    expected = weights @ v / weights.sum(axis=1, keepdims=True)
    found = torch_attention(Workload(*bits), fmt, causal)
    assert found.dtype == (np.float16 if fmt == FP16 else np.float32)
    tolerance = {FP16: 2e-3, BF16: 2e-2}.get(fmt, 1e-6)
    np.testing.assert_allclose(found.astype(np.float64), expected, rtol=0, atol=tolerance)


def test_error_metrics_by_hand():
    errors = error_metrics(np.array([1.0, 2.0], np.float32), np.array([1.5, 2.0], np.float16))
    assert all(isinstance(value, np.float32) for value in errors.values())
    assert {name: float(value) for name, value in errors.items()} == pytest.approx(
        {"MAE": 0.25, "MSE": 0.125, "MaxErr": 0.5, "RelErr": 1 / 6}
    )


def test_to_float32_is_exact():
    assert to_float32(np.array([0x3F80], np.uint16), BF16)[0] == 1.0
    assert to_float32(np.array([0x3F800001], np.uint32), FP32)[0] == np.float32(1 + 2**-23)


# Bad input


def test_unknown_configuration_lists_the_known_ones():
    line = refused("--config", "FSA5X5Fp16Config")
    assert "FSA5X5Fp16Config" in line
    assert all(name in line for name in PRESETS)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "No such file"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"sa_rows": 0, "sa_cols": 0}', "rows = 0: must be"),
        (b'{"rows": 4}', "unknown field 'rows'"),
        (b'{"reciprocal": "table"}', "must be one of newton, division"),
    ],
)
def test_configuration_file_that_cannot_be_used(tmp_path, content, says):
    path = tmp_path / "my.json"
    if content is not None:
        path.write_bytes(content)
    line = refused("--config", path)
    assert str(path) in line
    assert says in line


@pytest.mark.parametrize("option", ["--seq-q", "--seq-kv"])
@pytest.mark.parametrize("value", ["0", "-4", "1048577", "1" + "0" * 30])
def test_lengths_that_are_none(option, value):
    assert f"{option} {value}: must be an integer from 1 to 1048576" in refused(option, value)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--seq-q", "four"], "--seq-q"),
        (["--seq-q"], "--seq-q"),
        (["--seed", "-1"], "--seed"),
        (["--seed", str(2**32)], "--seed"),
        (["--distribution", "normal"], "'uniform', 'fa3'"),
        (["--reciprocal", "table"], "'newton', 'division'"),
        (["--engine", "verilog"], "'myhdl', 'golden'"),
        (["--max-cycles", "0"], "--max-cycles"),
        (["--max-cycles", "x"], "--max-cycles"),
        (["--sequence", "4"], "--sequence"),
        (["4"], "unexpected extra argument (4)"),
        (["--vcd", "x.vcd", "--engine", "golden"], "--vcd x.vcd"),
        (["--vcd", "x.vcd", "--diff-only"], "--vcd x.vcd"),
        (["--diff", "--engine", "golden"], "--diff"),
        (["--head-dim", "9", "--config", "FSA8X8Fp16Config"], "--head-dim 9: must be from 1 to 8, the size of the arr"),
        (["--heads", "0"], "--heads 0: must be an integer from 1 to 1048576"),
        (["--batch", "x"], "--batch x: must be an integer from 1 to 1048576"),
        (["--kv-heads", "-1"], "--kv-heads -1: must be an integer from 1 to 1048576"),
        (["--head-dim", "0"], "--head-dim 0: must be an integer from 1"),
        (["--heads", "4", "--kv_heads", "3"], "--kv_heads 3: must divide the number of heads, 4"),
        (["--heads", "2", "--kv-heads", "4"], "--kv-heads 4: must divide the number of heads, 2"),
        (["--kv-heads", "2"], "--kv-heads 2: must divide the number of heads, 1"),
        *((["--scale", value], f"--scale {value}: must be a positive number")
          for value in ("nan", "inf", "0", "-1", "1e400", "half")),
        *((["--scale", value], f"--scale {value}: must be from 4.231e-05 to 4.54e+04, what fp16 can hold")
          for value in ("1e300", "1e-300", "45500")),
    ],
)
def test_bad_options(args, says):
    assert says in refused(*args)


@pytest.mark.parametrize("given", [["--q"], ["--k"], ["--v"], ["--q", "--k"], ["--k", "--v"], ["--q", "--v"]])
def test_only_some_of_the_tensors(tensors, given):
    line = refused(*flat({option: tensors[option] for option in given}))
    missing = [option for option in tensors if option not in given]
    assert f"{given[0]} {tensors[given[0]]}: needs {' and '.join(missing)} too" in line


def _pickled(path):
    np.save(path, np.array([[1.0, "a", None, {}]] * 4, dtype=object), allow_pickle=True)


def _truncated(path):
    path.write_bytes(path.read_bytes()[:-2])


def _archive(path):
    with path.open("wb") as file:
        np.savez(file, q=np.zeros((4, 4), np.float16))


BAD_FILES = {
    "missing": (lambda path: path.unlink(), ": cannot read: No such file"),
    "directory": (lambda path: (path.unlink(), path.mkdir()), "cannot read"),
    "empty": (lambda path: path.write_bytes(b""), "is not a .npy file"),
    "text": (lambda path: path.write_text("1 2 3 4\n"), "is not a .npy file"),
    "pickle": (lambda path: path.write_bytes(b"\x80\x04N."), "is not a .npy file"),
    "archive": (_archive, "is not a .npy file"),
    "pickled": (_pickled, "holds pickled objects"),
    "truncated": (_truncated, "damaged"),
    "header": (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': [[[[["), "damaged"),
    "magic": (lambda path: path.write_bytes(b"\x93NUMPY"), "damaged"),
    "int": (lambda path: np.save(path, np.zeros((4, 4), np.int32)), "must hold float16, float32 or float64"),
    "complex": (lambda path: np.save(path, np.zeros((4, 4), complex)), "must hold float16, float32 or float64"),
    "longdouble": (lambda path: np.save(path, np.zeros((4, 4), np.longdouble)), "must hold float16"),
    "scalar": (lambda path: np.save(path, np.float16(1)),
               "has shape []: must be [seq, d] with d from 1 to 4, or [batch, heads, seq, d]"),
    "1-D": (lambda path: save_shape(path, (16,)), "has shape [16]: must be [seq, d] with d from 1 to 4, or [batch"),
    "3-D": (lambda path: save_shape(path, (1, 4, 4)), "has shape [1, 4, 4]: must be [seq, d] with d from 1 to 4, or"),
    "wide": (lambda path: save_shape(path, (4, 8)), "has shape [4, 8]: must be [seq, d] with d from 1 to 4 for this"),
    "no rows": (lambda path: save_shape(path, (0, 4)), "has shape [0, 4]: must be [seq, d] with d from 1 to 4"),
    "no columns": (lambda path: save_shape(path, (4, 0)), "has shape [4, 0]: must be [seq, d] with d from 1 to 4"),
    "no heads": (lambda path: save_shape(path, (1, 0, 4, 4)), "has shape [1, 0, 4, 4]: must be [batch, heads, seq, d]"),
    "long": (lambda path: np.lib.format.open_memmap(path, "w+", np.float16, (1 << 20 | 1, 1)),
             "has shape [1048577, 1]: must be at most 1048576 rows in all"),
}


def save_shape(path, shape):
    np.save(path, np.zeros(shape, np.float32))


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("option", ["--q", "--k", "--v"])
def test_files_that_cannot_be_used(tensors, option, kind):
    spoil, says = BAD_FILES[kind]
    spoil(tensors[option])
    line = refused(*flat(tensors))
    assert option in line
    assert str(tensors[option]) in line
    assert says in line


def test_keys_and_values_of_different_lengths(tensors):
    save(tensors["--v"], 8)
    line = refused(*flat(tensors))
    assert f"--v {tensors['--v']} has 8 rows and --k {tensors['--k']} has 4" in line


BAD_TOGETHER = [
    ({"q": (5, 3), "k": (7, 4), "v": (7, 4)}, "--k k.npy has shape [7, 4], a head dimension of 4, and --q q.npy has 3"),
    ({"q": (5, 3), "k": (1, 1, 7, 3), "v": (7, 3)}, "--k k.npy has 4 dimensions and --q q.npy has 2: must be as many"),
    ({"q": (1, 1, 5, 3), "k": (1, 1, 7, 3), "v": (7, 3)}, "--v v.npy has 2 dimensions and --q q.npy has 4"),
    ({"q": (2, 4, 5, 3), "k": (2, 3, 7, 3), "v": (2, 3, 7, 3)},
     "--k k.npy has shape [2, 3, 7, 3] and --q q.npy has [2, 4, 5, 3]: must have its batch, and heads that divide"),
    ({"q": (2, 4, 5, 3), "k": (1, 4, 7, 3), "v": (1, 4, 7, 3)},
     "--k k.npy has shape [1, 4, 7, 3] and --q q.npy has [2, 4, 5, 3]: must have its batch"),
    ({"q": (2, 4, 5, 3), "k": (2, 2, 7, 3), "v": (2, 4, 7, 3)},
     "--v v.npy has shape [2, 4, 7, 3] and --k k.npy has [2, 2, 7, 3]: must be the same but for the last"),
    ({"q": (2, 4, 5, 3), "k": (2, 2, 7, 3), "v": (2, 2, 8, 3)}, "must be the same but for the last"),
]


@pytest.mark.parametrize(("shapes", "says"), BAD_TOGETHER)
def test_files_that_do_not_go_together(tmp_path, monkeypatch, shapes, says):
    monkeypatch.chdir(tmp_path)
    for name, shape in shapes.items():
        save_shape(Path(f"{name}.npy"), shape)
    assert says in refused("--q", "q.npy", "--k", "k.npy", "--v", "v.npy")


@pytest.mark.parametrize(("args", "says"), [
    (("--seq-q", 1 << 20, "--heads", 2), "--seq-q 1048576: 1 x 2 x 1048576 rows are 2097152: must be at most 1048576"),
    (("--batch", 3, "--heads", 4, "--kv-heads", 2, "--seq-kv", 200_000), "--seq-kv 200000: 3 x 2 x 200000 rows are "
     "1200000: must be at most 1048576 rows in all"),
    (("--seq-q", 10_000, "--seq-kv", 10_000, "--diff-verbose", "--diff-only"), "--diff-verbose: 100000000 scores: must "
     "be at most 16777216"),
    (("--heads", 1 << 20), "--seq-q 4: 1 x 1048576 x 4 rows are 4194304: must be"),
    (("--seq-q", 4096, "--seq-kv", 4100, "--top", "core"), "--seq-q 4096 --seq-kv 4100: 1049600 pairs of tiles: must "
     "be at most 1048576, unless --engine golden runs alone"),
    (("--seq-q", 65536, "--batch", 3, "--seq-kv", 96, "--diff-only", "--lockstep", "icarus"),
     "--seq-q 65536 --seq-kv 96 --batch 3 --heads 1: 1179648 pairs of tiles: must be"),
    (("--seq-q", 262144, "--seq-kv", 1), "--seq-q 262144: 262144 rows in the tiles of all heads: must be at most 262143"
     " for the DMA: --top core has no such limit"),
    (("--heads", 262144, "--seq-q", 1, "--seq-kv", 1), "--seq-q 1: 1048576 rows in the tiles of all heads"),
    (("--seq-q", 1, "--seq-kv", 600_000), "--seq-kv 600000: 600000 rows in the tiles of all heads: must be at most"),
])
def test_sizes_that_are_too_large_are_refused_at_once(fake, args, says):
    fake(fail=AssertionError("the simulation ran"))
    before = time.perf_counter()
    assert says in refused(*args)
    assert time.perf_counter() - before < 5


@pytest.mark.parametrize("option", ["--out", "--json", "--report", "--trace", "--vcd"])
def test_unwritable_outputs_are_found_before_the_run(fake, tmp_path, option):
    fake(fail=AssertionError("the simulation ran"))
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path, tmp_path / "no" / "such", tmp_path / "file" / "below", tmp_path / ("x" * 300)):
        line = refused(option, path)
        assert line.startswith(f"fsa-sim: error: {option} {path}: cannot write: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_outputs_that_the_system_refuses(fake, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("kept")
    # for root too: nobody makes a file below a file
    for path in (tmp_path / "file" / "new", tmp_path / "file" / "no" / "such"):
        assert f"{path}: cannot write: {path.parent} is not an existing directory" in refused("--out", path)
    # root may write to every file
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert "is not writable" in refused("--out", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


def test_one_file_for_two_outputs_or_over_an_input(fake, tmp_path, tensors):
    assert "is the file of --out too" in refused("--out", tmp_path / "x", "--json", tmp_path / "x")
    assert "is the file of --k too" in refused(*flat(tensors), "--out", tensors["--k"])
    assert np.load(tensors["--k"]).shape == (4, 4)


def test_a_waveform_needs_a_regular_file(fake):
    assert "--vcd /dev/null: cannot write" in refused("--vcd", "/dev/null")


# Runs that fail


def test_cycle_limit_too_small(fake, tmp_path):
    outputs = ["--out", tmp_path / "o.npy", "--json", tmp_path / "run.json", "--vcd", tmp_path / "wave.vcd"]
    assert "cycle limit of 64 reached" in refused("--max-cycles", 64, *outputs, status=1)
    # The waveform of the cycles before the limit is whole, and worth having, with its save files; nothing else is left.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wave.gtkw", "wave.sucl", "wave.vcd"]
    ok("--max-cycles", 65)


def test_failed_run_leaves_old_outputs_alone(fake, tmp_path):
    fake(fail=RunError("stuck"))
    (tmp_path / "o.npy").write_text("old")
    refused("--out", tmp_path / "o.npy", status=1)
    assert (tmp_path / "o.npy").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(("error", "says"), [(MemoryError(), "out of memory"), (OSError(28, "No space"), "No space")])
def test_failures_of_the_machine_are_one_line(fake, tmp_path, error, says):
    fake(fail=error)
    assert says in refused("--vcd", tmp_path / "wave.vcd", status=1)
    assert list(tmp_path.iterdir()) == []


# In a process of its own

DRIVER = textwrap.dedent("""
    import sys
    sys.path.insert(0, {tests!r})
    import myhdl_fsa.engine
    from myhdl_fsa.cli.sim import main
    from test_cli import FakeEngine

    def before():
        {before}

    myhdl_fsa.engine.ENGINES["myhdl"] = lambda: FakeEngine(before=before)
    main(sys.argv[1:])
""")


def driver(before):
    """A command line of fsa-sim with the fake engine, which does ``before`` first."""
    return [sys.executable, "-c", DRIVER.format(tests=str(Path(__file__).parent), before=before)]


def test_ctrl_c_exits_cleanly(tmp_path):
    command = [*driver("print('running', flush=True); import time; time.sleep(60)"), "--out", tmp_path / "o.npy"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline() == "running\n"
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert run.returncode == 130
    assert out == ""
    assert err.strip() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quiet", [False, True])
def test_progress_bar_on_a_terminal(quiet):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    command = [*driver("pass"), "--seq-q", "64", "--seq-kv", "64", *(["--quiet"] if quiet else [])]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=120, check=False)
    os.close(theirs)
    drawn = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        drawn += part
    os.close(ours)
    assert run.returncode == 0
    assert (b"cycles" in drawn) is not quiet
    assert (b"Error of FSA" in run.stdout) is not quiet


def test_no_progress_bar_before_the_first_cycle():
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    # what is printed while a build lasts longer than a bar takes to be drawn
    before = "import time; time.sleep(0.3); sys.stderr.write('built'); sys.stderr.flush()"
    run = subprocess.run(driver(before), stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=120,
                         check=False)
    os.close(theirs)
    drawn = b""
    with suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            drawn += part
    os.close(ours)
    assert run.returncode == 0
    assert drawn.startswith(b"built")
    assert b"cycles" in drawn
    assert b"?" not in drawn.replace(b"\x1b[?25", b"")


@pytest.mark.parametrize("top", ["core", "accelerator"])
def test_what_an_engine_says_goes_to_standard_error(fake, top):
    fake(says="building the simulator once, about 30 s")
    loud = fsa_sim("--top", top)
    assert (loud.exit_code, loud.stderr) == (0, "fsa-sim: building the simulator once, about 30 s\n")
    quiet = fsa_sim("--top", top, "--quiet")
    assert (quiet.exit_code, quiet.output) == (0, "")


def test_no_progress_bar_in_a_pipe():
    run = subprocess.run(driver("pass"), capture_output=True, timeout=120, check=True)
    assert run.stderr == b""
    assert b"\x1b" not in run.stdout


def test_help_is_quick_and_needs_no_torch():
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "myhdl_fsa.cli.sim", "--help"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    imported = {line.rsplit("|", 1)[1].strip() for line in run.stderr.splitlines() if "|" in line}
    assert not imported & {"torch", "myhdl", "rich"}
    assert "--seq-q" in run.stdout


def test_golden_only_needs_no_myhdl():
    golden_only = "import sys; from myhdl_fsa.cli.sim import main; main(['--diff-only'], standalone_mode=False)"
    command = [sys.executable, "-c", f"{golden_only}; sys.exit('myhdl' in sys.modules)"]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0


def test_bad_usage_in_a_process():
    run = process("--head-dim", 5)
    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr == "fsa-sim: error: --head-dim 5: must be from 1 to 4, the size of the array\n"


def test_a_full_disk_is_one_line():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "myhdl_fsa.cli.sim", "--diff-only"],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert run.returncode == 1
    assert run.stderr.startswith("fsa-sim: error: ")
    assert len(run.stderr.splitlines()) == 1


# With the hardware simulated in MyHDL


def test_published_numbers_from_the_hardware():
    run = process("--seq-q", 4, "--seq-kv", 4, "--diff", "--top", "core")
    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[:3] == [
        f"Error of FSA vs torch: {PUBLISHED}",
        f"Error of golden vs torch: {PUBLISHED}",
        "FSA equals the golden model bit for bit (16 values)",
    ]
    assert lines[3:5] == [f"Error of FSA vs float64: {FLOAT64}", f"Error of golden vs float64: {FLOAT64}"]
    assert lines[5] == "Cycles: 65"


def test_waveform_of_the_hardware(tmp_path):
    run = process("--vcd", tmp_path / "wave.vcd", cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wave.gtkw", "wave.sucl", "wave.vcd"]
    wave = (tmp_path / "wave.vcd").read_text()
    assert "$enddefinitions" in wave
    # Change by change to the end of the run, not only the declarations.
    assert int(re.findall(r"^#(\d+)$", wave, re.M)[-1]) >= 65


def test_cycle_limit_of_the_hardware(tmp_path):
    run = process("--max-cycles", 30, "--vcd", tmp_path / "wave.vcd")
    assert (run.returncode, run.stdout) == (1, "")
    assert len(run.stderr.splitlines()) == 1
    assert run.stderr.startswith("fsa-sim: error: ")
    assert "30" in run.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wave.gtkw", "wave.sucl", "wave.vcd"]


def test_hardware_with_own_tensors(tmp_path, tensors):
    run = process(*(str(item) for item in flat(tensors)), "--diff", "--causal", "--out", tmp_path / "o.npy")
    assert run.returncode == 0, run.stderr
    assert "FSA equals the golden model bit for bit (32 values)" in run.stdout
    assert np.load(tmp_path / "o.npy").shape == (8, 4)


# Dataflows


def test_a_dataflow_instead_of_the_configurations_own(tmp_path):
    ok("--top", "core", "--dataflow", "stream", "--seq-kv", 8, "--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    # the memories follow it
    assert Config.from_dict(run["config"]) == preset("FSA4X4Fp16Config").replace(dataflow="stream")
    assert (run["dataflow"], run["cycles"], run["inner_iteration_cycles"]) == (
        "stream", attention_cycles(preset("FSA4X4Fp16Config").replace(dataflow="stream"), 1, 2), 12.0)
    ok("--top", "core", "--config", "STREAM4X4Fp16Config", "--dataflow", "fsa", "--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["dataflow"], run["reciprocal"], run["inner_iteration_cycles"]) == ("fsa", "division", 33.0)


def test_compare_prints_dataflows_side_by_side(fake):
    assert ok("--compare", "fsa,stream", "--top", "core", "--seq-q", 8) == (
        "                               fsa  stream\n"
        "Cycles                         129      74\n"
        "Cycles per inner iteration    33.0    12.0\n"
        "Matmul utilisation          12.4 %  21.6 %\n"
        "Speedup over fsa              1.00    1.74\n"
        "fsa, stream and the golden model are equal bit for bit (32 values)\n"
    )


def test_compare_on_the_device_has_its_counters(fake):
    assert ok("--compare", "stream, fsa") == (
        "                     stream     fsa\n"
        "Cycles                   62      65\n"
        "Matmul utilisation   12.9 %  12.3 %\n"
        "Max bubble cycles         2       2\n"
        "Max active cycles         3       3\n"
        "DMA active cycles         4       4\n"
        "Speedup over stream    1.00    0.95\n"
        "stream, fsa and the golden model are equal bit for bit (16 values)\n"
    )


def test_compare_names_the_first_difference(fake, tmp_path):
    fake(flip=(1, 2), flips="stream")
    result = fsa_sim("--compare", "fsa,stream", "--top", "core", "--json", tmp_path / "run.json")
    assert (result.exit_code, result.stderr) == (1, "")
    with_golden, between, equal = result.stdout.splitlines()[-3:]
    found = re.fullmatch(r"stream differs from the golden model in 1 of 16 values, first at \[1, 2\]: "
                         r"stream ([0-9a-f]{8}) \(.*\), golden ([0-9a-f]{8}) \(.*\)", with_golden)
    assert int(found[1], 16) ^ int(found[2], 16) == 1
    assert between.startswith("stream differs from fsa in 1 of 16 values, first at [1, 2]: stream ")
    assert f", fsa {found[2]} (" in between
    assert equal == "fsa equals the golden model bit for bit (16 values)"
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["bit_exact"], [one["bit_exact"] for one in run["dataflows"].values()]) == (False, [True, False])
    assert "stream differs from the golden" in refused("--compare", "fsa,stream", "--top", "core", "--quiet", status=1)


def test_compare_sees_dataflows_that_err_alike(fake):
    fake(flip=(0, 0))
    result = fsa_sim("--compare", "fsa,stream", "--top", "core")
    assert result.exit_code == 1
    assert [line.split(" (")[0].split(", ")[0] for line in result.stdout.splitlines()[-3:]] == [
        "fsa differs from the golden model in 1 of 16 values", "stream differs from the golden model in 1 of 16 values",
        "stream equals fsa bit for bit"]


def test_json_of_a_comparison(fake, tmp_path, tensors):
    ok("--compare", "stream,fsa", *flat(tensors), "--causal", "--reciprocal", "division", "--json",
       tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert list(run) == [
        "config", "engine", "seq_q", "seq_kv", "batch", "heads", "kv_heads", "head_dim", "value_dim", "scale", "causal",
        "reciprocal", "dataflows", "bit_exact", "poor_reciprocals", "run"]
    config = Config.from_dict(run["config"])
    assert config == preset("FSA4X4Fp16Config").replace(reciprocal="division")
    assert (run["engine"], run["seq_q"], run["seq_kv"], run["causal"], run["bit_exact"]) == ("myhdl", 8, 4, True, True)
    assert list(run["dataflows"]) == ["stream", "fsa"]
    assert run["dataflows"]["fsa"] == {
        "cycles": 129, "inner_iteration_cycles": None, "utilisation": 16 / 129, "speedup": 74 / 129, "bit_exact": True,
        "counters": Counters(129, *range(2, 11)).to_dict()}
    assert run["run"]["options"]["--compare"] == "stream,fsa"
    bits = [np.load(path).view(np.uint16) for path in tensors.values()]
    for name, program in run["run"]["program"].items():
        words = np.array(attention_kernel(*bits, config.replace(dataflow=name), causal=True).words, "<u4")
        assert program == {"words": len(words), "sha256": hashlib.sha256(words.tobytes()).hexdigest()}


def test_a_comparison_that_reaches_the_cycle_limit_says_in_which_dataflow(fake):
    assert refused("--compare", "fsa,stream", "--top", "core", "--max-cycles", 64, status=1).startswith(
        "fsa-sim: error: fsa: cycle limit of 64 reached")
    assert refused("--compare", "stream,fsa", "--top", "core", "--max-cycles", 61, status=1).startswith(
        "fsa-sim: error: stream: cycle limit of 61 reached")


@pytest.mark.parametrize("config", ["FSA4X4Fp16Config", "STREAM4X4Bf16Config"])
def test_compare_with_the_hardware(tmp_path, config):
    ok("--compare", "fsa,stream", "--top", "core", "--config", config, "--causal", "--seq-q", 8, "--seq-kv", 8,
       "--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["bit_exact"] is True
    assert {name: one["cycles"] for name, one in run["dataflows"].items()} == {
        name: attention_cycles(preset(config).replace(dataflow=name), 2, 2, causal=True) for name in ("fsa", "stream")}


# Standard output as a file


@pytest.mark.parametrize("args", [(), ("--diff",), ("--diff-verbose",), ("--diff-only",), ("--quiet",)])
def test_standard_output_holds_one_output_and_nothing_else(fake, args):
    document = json.loads(ok("--json", "-", *args))
    assert document["run"]["options"]["--json"] == "-"
    assert assemble(ok("--dump-asm", "-", *args))
    result = fsa_sim("--out", "-", *args)
    assert (result.exit_code, result.stderr) == (0, "")
    assert np.load(io.BytesIO(result.stdout_bytes)).shape == (4, 4)


def test_a_mismatch_is_an_error_when_standard_output_is_taken(fake, tmp_path):
    fake(flip=(0, 0))
    result = fsa_sim("--diff", "--json", "-")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["bit_exact"] is False
    assert result.stderr.startswith("fsa-sim: error: FSA differs from the golden model in 1 of 16 values")


def test_only_one_output_goes_to_standard_output(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = "--json -: --out goes to standard output already: must be a file"
    assert said in refused("--out", "-", "--json", "-")
    assert "--dump_asm -: --json goes to standard output already" in refused("--dump_asm", "-", "--json", "-")
    assert "--vcd -: cannot write: must be a regular file, not standard output" in refused("--vcd", "-")
    assert list(tmp_path.iterdir()) == []


def test_a_file_called_dash_is_still_a_file(fake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ok("--json", "./-").startswith("Error of FSA vs torch")
    assert json.loads((tmp_path / "-").read_text())["seq_q"] == 4


def test_standard_output_that_is_full():
    with open("/dev/full", "w") as full:
        run = subprocess.run([sys.executable, "-m", "myhdl_fsa.cli.sim", "--diff-only", "--out", "-"], stdout=full,
                             stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert (run.returncode, run.stderr) == (1, "fsa-sim: error: --out -: cannot write: No space left on device\n")


def test_fsa_converts_configuration_on_standard_output(tmp_path):
    result = CliRunner().invoke(convert_main, ["--top", "pe", "--out", str(tmp_path), "--json", "-"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert Config.from_dict(json.loads(result.stdout)) == preset("FSA4X4Fp16Config")


# Errors against float64


@pytest.mark.parametrize("fmt", [FP16, BF16, FP32, FloatFormat(4, 5)])
@pytest.mark.parametrize("causal", [False, True])
def test_the_float64_reference_is_torchs_in_float64(fmt, causal, monkeypatch):
    bits = [to_elem(np.random.default_rng(seed).normal(0, 1, (16, 4)), fmt) for seed in range(3)]
    q, k, v = (torch.from_numpy(easyfloat.to_float(array, fmt).astype(np.float64)) for array in bits)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal).numpy()
    found = float64_attention(Workload(*bits), fmt, causal)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    # a few queries at a time, as with long sequences
    monkeypatch.setattr(metrics, "_BLOCK_SCORES", 5 * 16)
    np.testing.assert_allclose(float64_attention(Workload(*bits), fmt, causal), expected, rtol=1e-13)


def test_float64_errors_leave_the_reference_its_precision():
    errors = error_metrics(np.array([1.0, 2.0], np.float32), np.array([1.0 + 2**-40, 2.0], np.float64))
    assert float(errors["MaxErr"]) == 2**-40
    assert all(isinstance(value, np.float32) for value in errors.values())


# Inputs that are not finite


def test_inputs_that_are_not_finite_are_counted_in_one_warning(tmp_path, tensors):
    values = np.load(tensors["--q"]).astype(np.float64)
    values[0] = 1e6, -1e9, np.inf, np.nan
    np.save(tensors["--q"], values)
    np.save(tensors["--v"], np.full((4, 4), 65519.0))  # rounds to the largest finite one
    result = fsa_sim(*flat(tensors), "--engine", "golden", "--json", tmp_path / "run.json")
    assert result.exit_code == 0
    assert result.stderr == ("fsa-sim: warning: 4 of 64 input values are not finite in fp16: 2 overflow to Inf, 1 Inf, "
                             "1 NaN\n")
    assert json.loads((tmp_path / "run.json").read_text())["run"]["tensors"] == {
        "source": "files", "overflowed": 2, "infinite": 1, "nan": 1}
    assert fsa_sim(*flat(tensors), "--engine", "golden", "--quiet").stderr == ""


def test_generated_tensors_that_overflow_a_small_format():
    config = Config(rows=4, cols=4, elem=FloatFormat(3, 2), exp2_pieces=4)
    work = generate(config, 4096, 4, seed=0, distribution="fa3")
    infinite = sum(np.count_nonzero(np.isinf(to_float32(bits, config.elem))) for bits in (work.q, work.k, work.v))
    assert work.not_finite == NotFinite(overflowed=infinite, values=4104 * 4)
    assert infinite > 0


# The record of a run


def again(document, path, *leave_out):
    """The command line of a run's record, with its JSON to ``path``."""
    args = ["--json", path]
    for name, value in document["run"]["options"].items():
        if name == "--json" or name in leave_out:
            continue
        for one in value if isinstance(value, list) else [value]:
            args += [name] if one is True else [name, one]
    return args


def figures(document):
    return {key: value for key, value in document.items() if key != "run"}


@pytest.mark.parametrize("args", [
    ("--seed", 5, "--distribution", "fa3", "--causal", "--mem-latency", "9,3", "--mem-bandwidth", "1/3",
     "--mem-stall", 7, "--push-interval", 4, "--reciprocal", "division", "--diff"),
    ("--top", "core", "--seq_kv", 8),
    ("--top", "core", "--dataflow", "stream", "--reciprocal", "division"),
    ("--top", "core", "--compare", "stream,fsa", "--seed", 4),
    ("--diff-only", "--config", "FSA8X8Bf16Config"),
    ("--heads", 4, "--kv_heads", 2, "--seq-q", 3, "--seq-kv", 5, "--head-dim", 3, "--scale", 0.7, "--causal",
     "--reciprocal", "division"),
    ("--top", "core", "--batch", 2, "--dataflow", "stream"),
])
def test_a_run_is_repeated_from_its_json(tmp_path, args):
    ok(*args, "--json", tmp_path / "first.json")
    first = json.loads((tmp_path / "first.json").read_text())
    ok(*again(first, tmp_path / "second.json"))
    second = json.loads((tmp_path / "second.json").read_text())
    assert figures(first) == figures(second)
    if "--scale" not in args:
        assert first["scale"] == 1 / np.sqrt(first["head_dim"])
    for key in ("versions", "tools", "tensors", "timing", "program", "inputs"):
        assert first["run"][key] == second["run"][key]
    assert first["run"]["options"] | {"--json": None} == second["run"]["options"] | {"--json": None}


def test_what_the_record_of_a_run_holds(fake, tmp_path, tensors):
    (tmp_path / "c.json").write_text(preset("FSA4X4Fp16Config").to_json())
    before = time.perf_counter()
    ok(*flat(tensors), "--config", tmp_path / "c.json", "--mem_bandwidth", "0.5", "--mem-latency", 4,
       "--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())["run"]
    assert set(run) == {field.name for field in fields(RunRecord)}
    assert run["versions"] == {
        "python": platform.python_version(), "myhdl_fsa": version("myhdl-fsa"), "numpy": np.__version__,
        "torch": torch.__version__, "myhdl": version("myhdl")}
    assert run["tools"] == {}
    # a default that means nothing beside --q is none in effect
    assert run["options"] == {
        "--seq-q": "8", "--seq-kv": "4", "--head-dim": "4", **{name: str(path) for name, path in tensors.items()},
        "--config": str(tmp_path / "c.json"), "--top": "accelerator", "--engine": "myhdl", "--mem-latency": "4",
        "--mem-bandwidth": "0.5", "--json": str(tmp_path / "run.json")}
    files = {"--config": tmp_path / "c.json", **tensors}
    assert run["inputs"] == [
        {"option": name, "path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
        for name, path in files.items()]
    assert run["timing"] == {"read_latency": 4, "write_latency": 4, "read_bandwidth": "1/2", "write_bandwidth": "1/2",
                             "stall_seed": None, "push_interval": 1}
    bits = [np.load(path).view(np.uint16) for path in tensors.values()]
    words = np.array(attention_kernel(*bits, preset("FSA4X4Fp16Config")).words, "<u4")
    assert run["program"] == {"words": len(words), "sha256": hashlib.sha256(words.tobytes()).hexdigest()}
    assert 0 < run["wall_seconds"] < time.perf_counter() - before


@pytest.mark.parametrize("args", [("--diff-only",), ("--top", "core")])
def test_a_run_without_a_device_has_no_timing_and_no_program(fake, tmp_path, args):
    ok(*args, "--json", tmp_path / "run.json")
    run = json.loads((tmp_path / "run.json").read_text())["run"]
    assert (run["timing"], run["program"]) == (None, None)


def test_an_input_that_cannot_be_read_twice_has_no_hash(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert input_files([("--q", tmp_path / "pipe")])[0].sha256 is None


def test_versions_of_the_tools_used():
    found = tool_versions(["icarus", None, "myhdl"])
    assert list(found) == ["iverilog"]
    assert re.match(r"Icarus Verilog version \d+", found["iverilog"])
    assert re.match(r"Verilator \d+\.\d+", tool_versions(["golden", "verilator"])["verilator"])


def test_quiet_needs_no_torch(tmp_path):
    code = "import sys; from myhdl_fsa.cli.sim import main; main(sys.argv[1:], standalone_mode=False); " \
           "sys.exit('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "--engine", "golden", "--quiet", "--out", str(tmp_path / "o.npy")]
    assert subprocess.run(command, timeout=120, check=False).returncode == 0
    assert (tmp_path / "o.npy").exists()


def test_the_golden_model_runs_what_only_the_core_can_be(tmp_path):
    (tmp_path / "c.json").write_text('{"mem_align": 4}')
    machine = ("--config", tmp_path / "c.json")
    assert ok(*machine, "--engine", "golden").startswith("Error of golden vs torch")
    assert "needs a multiple of beat_bytes" in refused(*machine, "--diff-only", "--dump-asm", "-")


# Heads, batches, head dimensions, scales


def fresh(shapes, seed=2):
    """Tensors as a user has them, and their patterns."""
    rng = np.random.default_rng(seed)
    values = [rng.random(shape) for shape in shapes]
    return values, [value.astype(np.float16).view(np.uint16) for value in values]


def test_generated_heads_are_drawn_as_one_array_each(fake, tmp_path):
    np.random.seed(6)
    drawn = [np.random.rand(*shape) for shape in ((2, 4, 5, 3), (2, 2, 6, 3), (2, 2, 6, 3))]
    expected = golden.attention(*drawn, preset("FSA4X4Fp16Config"), causal=True, scale=0.4).view(np.float32)
    args = ("--batch", 2, "--heads", 4, "--kv-heads", 2, "--seq-q", 5, "--seq-kv", 6, "--head-dim", 3, "--seed", 6,
            "--causal", "--scale", "0.4", "--out", tmp_path / "o.npy", "--json", tmp_path / "run.json")
    ok(*args)
    found = np.load(tmp_path / "o.npy")
    assert (found.dtype, found.shape) == (np.float32, (2, 4, 5, 3))
    np.testing.assert_array_equal(found, expected)
    run = json.loads((tmp_path / "run.json").read_text())
    assert [run[name] for name in ("seq_q", "seq_kv", "batch", "heads", "kv_heads", "head_dim", "value_dim", "scale")] \
        == [5, 6, 2, 4, 2, 3, 3, 0.4]
    # one kind of number in every element of every head
    assert run["errors"]["FSA"]["MaxErr"] < 1e-3 > run["errors_float64"]["FSA"]["MaxErr"]


@pytest.mark.parametrize(("args", "shape"), [
    (("--heads", 1), (1, 1, 4, 4)), (("--batch", 3), (3, 1, 4, 4)), (("--kv-heads", 1), (1, 1, 4, 4)),
    (("--heads", 2), (1, 2, 4, 4)), (("--seq-q", 5), (5, 4)), (("--head-dim", 1), (4, 1)), ((), (4, 4)),
])
def test_what_makes_tensors_of_four_dimensions(args, shape, tmp_path):
    ok("--engine", "golden", *args, "--out", tmp_path / "o.npy")
    assert np.load(tmp_path / "o.npy").shape == shape


@pytest.mark.parametrize(("shapes", "args"), [
    (((5, 3), (7, 3), (7, 2)), ("--seq-q", 5, "--seq-kv", 7, "--head-dim", 3)),
    (((2, 4, 5, 3), (2, 2, 7, 3), (2, 2, 7, 4)), ("--batch", 2, "--heads", 4, "--kv-heads", 2, "--head-dim", 3)),
])
@pytest.mark.parametrize("causal", [False, True])
def test_own_tensors_of_any_shape(tmp_path, shapes, args, causal):
    values, bits = fresh(shapes)
    files = {f"--{name}": tmp_path / f"{name}.npy" for name in "qkv"}
    for path, value in zip(files.values(), values, strict=True):
        np.save(path, value)
    flags = ("--causal",) if causal else ()
    for sizes in ((), args):
        ok(*flat(files), *flags, *sizes, "--engine", "golden", "--reciprocal", "division", "--out", tmp_path / "o.npy")
        config = preset("FSA4X4Fp16Config").replace(reciprocal="division")
        expected = golden.attention(*bits, config, causal).view(np.float32)
        np.testing.assert_array_equal(np.load(tmp_path / "o.npy"), expected)
    for option, value in zip(args[::2], args[1::2], strict=True):
        said = refused(*flat(files), option, value + 1 if option != "--head-dim" else 1)
        assert f"{option} {value + 1 if option != '--head-dim' else 1}: the files have {value} " in said
        assert said.endswith(f"leave it out, or give {value}")


@pytest.mark.parametrize("option", ["--batch", "--heads", "--kv-heads"])
def test_heads_beside_files_that_have_none(tensors, option):
    assert f"{option} 1: the files are [seq, d]: leave it out, or give files of [batch" in refused(
        *flat(tensors), option, 1)


def test_every_head_of_the_intermediates_is_printed(fake):
    fake(flip=(0, 1, 2, 1))
    result = fsa_sim("--diff-verbose", "--heads", 2, "--seq-q", 3, "--seq-kv", 5, "--head-dim", 2)
    assert result.exit_code == 1
    headers = dict(re.findall(r"^(\w+): (\w+ \[.*)$", result.stdout, re.M))
    assert headers["S"] == "fp32 [1, 2, 3, 5], FSA equal"
    assert headers["P"] == "fp16 [1, 2, 3, 5], FSA differs in 1 of 30 values"
    assert headers["L"].startswith("fp32 [1, 2, 3, 2], ")
    assert headers["O"].startswith("fp32 [1, 2, 3, 2, 2], ")
    assert headers["reciprocal"].startswith("fp32 [1, 2, 3], ")
    assert "  * first at [0, 1, 2, 1]: FSA " in result.stdout
    assert "FSA differs from the golden model in 1 of 12 values, first at [0, 1, 2, 1]: FSA " in result.stdout


def products(shape, n):
    """Multiply-adds of Q K^T and P V over the tile pairs that are computed, one pair at a time."""
    count = 0
    for visit in visits(shape, n):
        query = visit.query_tile % tiles(shape.seq_q, n) * n
        count += min(n, shape.seq_q - query) * (n - visit.hidden) * (shape.head_dim + shape.value_dim)
    return count


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", [
    AttentionShape(8, 12, 4, 4), AttentionShape(5, 7, 3, 2), AttentionShape(9, 2, 1, 4),
    AttentionShape(3, 9, 4, 4, heads=6, kv_heads=2, batch=2, stacked=True),
])
def test_utilisation_counts_what_the_problem_needs(shape, causal):
    config, shape = preset("FSA4X4Fp16Config"), replace(shape, causal=causal)
    assert metrics.utilisation(config, shape, 1000) == products(shape, 4) / (16 * 1000)


@pytest.mark.parametrize("fmt", [FP16, BF16, FP32])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_the_references_of_any_shape(fmt, causal, scale, monkeypatch):
    for shapes in (((5, 3), (7, 3), (7, 2)), ((9, 1), (2, 1), (2, 4)),
                   ((2, 6, 5, 3), (2, 2, 7, 3), (2, 2, 7, 4)), ((1, 1, 8, 4), (1, 1, 3, 4), (1, 1, 3, 4))):
        bits = [to_elem(np.random.default_rng(seed).normal(0, 1, shape), fmt) for seed, shape in enumerate(shapes)]
        q, k, v = (easyfloat.to_float(array, fmt) for array in bits)
        if q.ndim == 4:
            k, v = (np.repeat(array, q.shape[1] // k.shape[1], 1) for array in (k, v))
        scores = q @ np.swapaxes(k, -1, -2) * (scale or q.shape[-1] ** -0.5)
        if causal:
            scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        expected = weights @ v / weights.sum(axis=-1, keepdims=True)
        work = Workload(*bits)
        np.testing.assert_allclose(float64_attention(work, fmt, causal, scale), expected, rtol=1e-12, atol=1e-14)
        for most in (1 << 28, 0):
            monkeypatch.setattr(metrics, "_TORCH_SCORES", most)
            found = torch_attention(work, fmt, causal, scale)
            assert found.shape == expected.shape
            tolerance = {FP16: 4e-3, BF16: 4e-2}.get(fmt, 1e-5)
            np.testing.assert_allclose(found.astype(np.float64), expected, rtol=0, atol=tolerance)


def test_a_reference_that_memory_does_not_hold_is_one_line(monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", fails)
    assert refused("--engine", "golden", status=1) == "fsa-sim: error: out of memory"


HEADS = ("--heads", 4, "--kv-heads", 2, "--seq-q", 5, "--seq-kv", 6, "--head-dim", 3, "--scale", 0.3, "--causal")


@pytest.mark.parametrize("args", [("--top", "core"), (), ("--top", "core", "--dataflow", "stream")])
def test_heads_in_the_hardware(args):
    assert "FSA equals the golden model bit for bit (60 values)" in ok(*HEADS, *args, "--diff")


def test_heads_in_both_dataflows_and_in_text(tmp_path):
    printed = ok(*HEADS, "--compare", "fsa,stream", "--top", "core")
    assert printed.splitlines()[-1] == "fsa, stream and the golden model are equal bit for bit (60 values)"
    iterations = next(line.split() for line in printed.splitlines() if line.startswith("Cycles per inner"))
    assert iterations[-2] == "33.0"
    text = ok(*HEADS, "--engine", "golden", "--dump-asm", "-")
    bits = [np.ones(shape, np.float16) for shape in ((1, 4, 5, 3), (1, 2, 6, 3), (1, 2, 6, 3))]
    assert assemble(text) == list(attention_kernel(*bits, preset("FSA4X4Fp16Config"), causal=True).words)


@pytest.mark.slow
@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize("top", ["core", "accelerator"])
def test_heads_in_every_engine(simulator, top):
    assert "bit for bit (60 values)" in fsa_sim(*HEADS, "--engine", simulator, "--top", top, "--diff").stdout
    assert "Lockstep: " in fsa_sim(*HEADS, "--lockstep", simulator, "--top", top, "--diff-only").stdout


def test_the_cycle_limit_says_which_head(tmp_path):
    args = ("--top", "core", "--batch", 2, "--heads", 2, "--seq-q", 5, "--seq-kv", 5, "--max-cycles")
    assert refused(*args, 30, status=1).endswith(
        "with 2 of 64 matrix instructions issued, before ATTN_VALUE of batch 0, head 0, query tile 0, K/V tile 0")
    assert refused(*args, 300, status=1).endswith(
        "before ATTN_LSE_NORM of batch 0, head 1, query tile 0, K/V tile 1")
    assert refused(*args, 200, "--dataflow", "stream", status=1).endswith(
        "before ATTN_VALUE of batch 1, head 0, query tile 1, K/V tile 1")


# newton's reciprocals that are of no use

POOR = ("--seq-q", 64, "--seq-kv", 5, "--seed", 2)
WARNED = ("fsa-sim: warning: 4 of 64 rows of the result have a reciprocal that is of no use, as newton's is just below "
          "a power of two: --reciprocal division is right for all\n")


@pytest.mark.parametrize("args", [
    ("--engine", "golden"), ("--diff-only",), (), ("--diff",), ("--top", "core"), ("--compare", "fsa,stream"),
])
def test_reciprocals_of_no_use_are_counted_in_one_warning(fake, tmp_path, args):
    result = fsa_sim(*POOR, *args, "--json", tmp_path / "run.json")
    assert (result.exit_code, result.stderr) == (0, WARNED)
    assert json.loads((tmp_path / "run.json").read_text())["poor_reciprocals"] == 4
    quiet = fsa_sim(*POOR, *args, "--quiet", "--json", tmp_path / "run.json")
    assert (quiet.exit_code, quiet.output) == (0, "")
    assert json.loads((tmp_path / "run.json").read_text())["poor_reciprocals"] == 4
    ok(*POOR, *args, "--reciprocal", "division", "--json", tmp_path / "run.json")
    assert json.loads((tmp_path / "run.json").read_text())["poor_reciprocals"] == 0


def test_the_rows_of_all_heads_are_counted(fake):
    heads = fsa_sim("--heads", 3, "--seq-q", 50, "--seq-kv", 5, "--seed", 2)
    assert re.match(r"fsa-sim: warning: [1-9]\d* of 150 rows of the result have", heads.stderr), heads.stderr


def test_nothing_is_counted_that_nobody_asks_for(fake, monkeypatch):
    counted = []
    monkeypatch.setattr(golden, "evaluate", lambda *args, **kwargs: counted.append(args))
    ok("--quiet")
    ok("--reciprocal", "division")
    assert counted == []

"""Every pair of formats, number of pieces and reciprocal on every machine: golden bits, and golden is exact."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import exact
import numpy as np
import pytest

from myhdl_fsa import golden
from myhdl_fsa.config import Config, ConfigError
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import engine
from myhdl_fsa.kernel import attention_kernel, attention_output
from myhdl_fsa.kernel.tensor import unpack
from myhdl_fsa.program import Program

ELEMS, ACCS = ("e4m3", "e5m2", "fp16", "bf16", "tf32"), ("fp16", "bf16", "fp32")
PIECES, RECIPROCALS, DATAFLOWS = (4, 8, 16, 32), ("newton", "division"), ("fsa", "stream")


def machines(rows: int) -> list[Config]:
    """All that there are of so many rows."""
    found = []
    for elem, acc, pieces, reciprocal, dataflow in product(ELEMS, ACCS, PIECES, RECIPROCALS, DATAFLOWS):
        # an accumulator of 5 exponent bits numbers 16 pieces
        too_many = acc == "fp16" and pieces == 32
        if too_many or (acc == "fp16" and elem in ("bf16", "tf32")) or (acc == "bf16" and elem in ("fp16", "tf32")):
            with pytest.raises(ConfigError):
                Config(rows=rows, elem=elem, acc=acc, exp2_pieces=pieces)
            continue
        found.append(Config(rows=rows, elem=elem, acc=acc, exp2_pieces=pieces, reciprocal=reciprocal,
                            dataflow=dataflow))
    return found


def name(config: Config) -> str:
    return "-".join(map(str, (config.rows, config.elem, config.acc, config.exp2_pieces, config.reciprocal,
                              config.dataflow)))


def draw(config: Config, queries: int, keys: int, special: bool = True) -> Any:
    """Q, K and V: rows of ordinary numbers, and with ``special`` Inf, NaN and what overflows among them."""
    rng = np.random.default_rng(len(name(config)))

    def tensor(rows: int) -> Any:
        values = 2 * rng.standard_normal((rows, config.rows))
        odd = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 6e4, 1e-7], values.shape)
        return from_float(np.where(special & (rng.random(values.shape) < 0.02), odd, values), config.elem)

    return tensor(queries), tensor(keys), tensor(keys)


def against_exact(config: Config) -> None:
    q, k, v = draw(config, 2 * config.rows, 3 * config.rows)
    elem, acc = ((fmt.exponent_bits, fmt.mantissa_bits) for fmt in (config.elem, config.acc))
    expected = exact.attention(q.tolist(), k.tolist(), v.tolist(), elem, acc, config.reciprocal, False,
                               config.exp2_pieces)
    assert golden.attention(q, k, v, config).tolist() == expected


def compare(config: Config, run: str, top: str = "core", build_dir: Path | None = None) -> None:
    """Two tiles of queries and two of keys, both partly empty."""
    q, k, v = draw(config, 2 * config.rows - 1, 2 * config.rows - 2)
    machine = engine(run, build_dir)
    attend = machine.attention if top == "core" else machine.device_attention
    expected = golden.attention(q, k, v, config)
    np.testing.assert_array_equal(attend(q, k, v, config).output, expected)


# each elem, acc, number of pieces and reciprocal at least once on both dataflows
SAMPLE = [
    Config(elem=elem, acc=acc, exp2_pieces=pieces, reciprocal=reciprocal, dataflow=dataflow)
    for elem, acc, pieces, reciprocal, dataflow in (
        ("e4m3", "fp32", 32, "newton", "fsa"), ("e4m3", "fp32", 8, "division", "stream"),
        ("e5m2", "fp16", 16, "division", "fsa"), ("e5m2", "bf16", 32, "newton", "stream"),
        ("fp16", "fp16", 16, "newton", "stream"), ("bf16", "bf16", 4, "newton", "fsa"),
        ("tf32", "fp32", 8, "division", "fsa"), ("tf32", "fp32", 16, "newton", "stream"),
    )
]


@pytest.mark.parametrize("config", SAMPLE, ids=name)
def test_golden_is_exact(config):
    against_exact(config)


@pytest.mark.parametrize("top", ["core", "device"])
@pytest.mark.parametrize("config", SAMPLE, ids=name)
def test_myhdl(config, top):
    compare(config, "myhdl", top)


@pytest.mark.parametrize(("config", "run", "top"), [
    (SAMPLE[0], "icarus", "core"), (SAMPLE[3], "icarus", "core"), (SAMPLE[4], "icarus", "core"),
    (SAMPLE[5], "icarus", "core"), (SAMPLE[6], "icarus", "device"),
    pytest.param(SAMPLE[7], "verilator", "core", marks=pytest.mark.slow),
], ids=lambda value: name(value) if isinstance(value, Config) else value)
def test_verilog(config, run, top, tmp_path):
    compare(config, run, top, tmp_path)


@pytest.mark.parametrize("run", ["myhdl", "golden"])
@pytest.mark.parametrize("formats", [("tf32", "fp32"), ("tf32", "tf32"), ("e3m2", "e6m9")], ids="-".join)
def test_bits_above_a_pattern_are_dropped_and_come_back_as_zeros(run, formats):
    elem, acc = formats
    config = Config(elem=elem, acc=acc, exp2_pieces=4)
    q, k, v = draw(config, 4, 8, special=False)
    kernel = attention_kernel(q, k, v, config)
    program, size = kernel.program(), config.elem.memory_bytes
    above = np.zeros(size, np.uint8)
    above[-1] = 0xFF << config.elem.width % 8 & 0xFF
    dirty = tuple((address, (np.frombuffer(data, np.uint8).reshape(-1, size) | above).tobytes())
                  for address, data in program.memory)
    assert dirty != program.memory
    execution = engine(run).execute(Program(program.words, dirty, program.outputs), config)
    expected = golden.attention(q, k, v, config)
    np.testing.assert_array_equal(attention_output(kernel, execution), expected)
    data = np.frombuffer(execution.outputs[0], np.uint8).reshape(-1, config.acc.memory_bytes)
    whole = sum(data[:, i].astype(np.int64) << 8 * i for i in range(data.shape[1]))
    assert whole.tolist() == unpack(data, config.acc).tolist() == expected.T.ravel().tolist()


@pytest.mark.slow
@pytest.mark.parametrize("config", [*machines(4), *machines(8)], ids=name)
def test_every_machine(config):
    against_exact(config)
    compare(config, "myhdl")
    compare(config, "myhdl", "device")


def in_turn(configs: list[Config]) -> list[Config]:
    """Each pair of formats once on each dataflow, with the pieces and reciprocals in turn."""
    groups: dict[Any, list[Config]] = {}
    for config in configs:
        groups.setdefault((config.elem, config.acc, config.dataflow), []).append(config)
    return [group[3 * index % len(group)] for index, group in enumerate(groups.values())]


@pytest.mark.slow
@pytest.mark.parametrize("top", ["core", "device"])
@pytest.mark.parametrize("run", ["icarus", "verilator"])
@pytest.mark.parametrize("config", in_turn(machines(4)), ids=name)
def test_every_pair_in_verilog(config, run, top, tmp_path):
    compare(config, run, top, tmp_path)

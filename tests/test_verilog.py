"""The conversion of single blocks: stable text, folded branches, exact widths; and the regression that proves them."""

from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import blocks
import myhdl_converter
import numpy as np
import pytest
from myhdl import always, always_comb, block
from test_easyfloat import fma_cases

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, RoundingMode
from myhdl_fsa.config import Config
from myhdl_fsa.convert.regression import (
    Case,
    Dut,
    MissingTool,
    Port,
    VerilogMismatch,
    check,
    check_all,
    converted_case,
    replay,
    replay_all,
    simulate,
)
from myhdl_fsa.signals import unsigned

CONFIG = Config()
DUTS = {
    "fma": partial(blocks.fma, FP16, FP32, FP16), "exp2": partial(blocks.exp2, Exp2(FP16, FP32), FP16),
    "convert": partial(blocks.convert, FP32, BF16), "divider": partial(blocks.divider, FP32),
    "newton": partial(blocks.newton, FP32), "ram": partial(blocks.ram, 5, 12),
    "input_skew": partial(blocks.input_skew, 4, 16), "output_skew": partial(blocks.output_skew, 4, 32),
    **{name: partial(getattr(blocks, name), CONFIG) for name in (
        "pe", "comparator", "pe_row", "systolic", "accumulator_unit", "accumulator", "left_edge", "sequencer",
        "matrix_controller", "core")},
}
SIMULATORS = ("icarus", "verilator")


def text_of(dut: Dut) -> str:
    return "\n".join(module.text for module in dut.design().convert().values())


@pytest.mark.parametrize("name", DUTS)
def test_text_is_stable_and_says_nothing_of_where_it_was_made(name) -> None:
    first, second = (text_of(DUTS[name]()) for _ in range(2))
    assert first == second
    assert "MYHDL" not in first
    assert "Generated" not in first
    assert "Date" not in first
    for folder in (str(Path.home()), str(Path(__file__).parents[1]), os.sep + "tmp"):
        assert folder not in first
    assert "if (0)" not in first
    assert "if (1)" not in first
    assert "disable" not in first
    assert "timescale" not in first
    assert first.count("\nmodule ") == first.count("\nendmodule") == len(DUTS[name]().design().convert())


def test_text_is_the_same_in_another_process() -> None:
    """With other hashes, and after other blocks."""
    script = ("import sys, test_verilog as t\n"
              "t.text_of(t.DUTS['systolic']())\n"
              "sys.stdout.write(t.text_of(t.DUTS['matrix_controller']()) + t.text_of(t.DUTS['pe']()))")
    environment = os.environ | {"PYTHONHASHSEED": "12345",
                                "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == text_of(DUTS["matrix_controller"]()) + text_of(DUTS["pe"]())


@pytest.mark.parametrize("mode", RoundingMode)
def test_a_block_with_an_enum_for_a_parameter(mode) -> None:
    assert f"module fma_fp16_fp32_fp32_{mode.name.lower()}_fma (" in text_of(blocks.fma(FP16, FP32, FP32, mode))


# constants


@block
def selects(a: Any, b: Any, result: Any, first: int, second: int) -> Any:
    @always_comb
    def compute() -> None:
        total = int(a)
        if first:
            total = total + int(b)
            if second:
                total = total + 100
            else:
                total = total + 200
        else:
            total = total - int(b)
        if second:
            if a == 0:
                total = total + 7
        result.next = total & 1023

    return compute


def selecting(first: int, second: int) -> Dut:
    return blocks.dut(f"selects_{first}_{second}", selects, {"a": 4, "b": 4}, {"result": 10}, clocked=False,
                      first=first, second=second)


def test_a_branch_that_a_constant_selects_is_folded(tmp_path) -> None:
    choices = [(first, second) for first in (0, 1) for second in (0, 1)]
    for first, second in choices:
        text = text_of(selecting(first, second))
        assert "if (0)" not in text and "if (1)" not in text
        assert ("'d100" in text, "'d200" in text) == (bool(first and second), bool(first and not second))
        assert ("a == " in text) == bool(second)
    stimuli = {"a": [i % 16 for i in range(256)], "b": [i // 16 for i in range(256)]}
    for (first, second), seen in zip(
        choices, check_all([(partial(selecting, *choice), stimuli) for choice in choices], ["icarus"], tmp_path),
        strict=True,
    ):
        expected = [(a + b + (100 if second else 200) if first else a - b) + 7 * (second and a == 0)
                    for a, b in zip(*stimuli.values(), strict=True)]
        assert seen["result"] == [value & 1023 for value in expected]


# widths


def fma_stimuli() -> dict[str, list[int]]:
    arrays = fma_cases(np.random.default_rng(1), FP32, FP32, FP32, 4_000)
    return {name: array[::5].tolist() for name, array in zip("abc", arrays, strict=True)}


def test_widths_of_an_fp32_product(tmp_path) -> None:
    """48 bits, where a local has as many as it needs and no more."""
    dut = blocks.fma(FP32, FP32, FP32)
    (module,) = dut.design().convert().values()
    (scope,) = module.ranges.scopes.values()
    assert 48 in {interval.width for interval in scope.locals.values()}
    assert max(interval.width for interval in scope.locals.values()) <= 64
    assert "integer" not in module.text
    for name, interval in scope.locals.items():
        for line in module.text.splitlines():
            if line.startswith("    reg ") and line.endswith(f" {name};"):
                signed, bits = "signed " if interval.signed else "", f"[{interval.width - 1}:0] "
                assert line == f"    reg {signed}{bits if interval.width > 1 else ''}{name};"
    check(partial(blocks.fma, FP32, FP32, FP32), fma_stimuli(), SIMULATORS, tmp_path)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_a_local_of_fewer_bits_shows(simulator, tmp_path) -> None:
    """The widths are what makes the conversion right, and the vectors show one that is too small."""
    make = partial(blocks.fma, FP32, FP32, FP32)
    case = converted_case(make(), fma_stimuli(), simulate(make(), fma_stimuli()))
    assert replay_all("icarus", [case], tmp_path / "whole") == len(fma_stimuli()["a"])
    (line,) = [line for line in case.verilog.splitlines() if line.startswith("    reg [47:0] ")]
    narrow = dataclasses.replace(case, verilog=case.verilog.replace(line, line.replace("47", "39")))
    with pytest.raises(VerilogMismatch, match=rf"^{simulator}: fma_fp32_fp32_fp32_rne_fma: FAIL cycle \d+ result: "):
        replay_all(simulator, [narrow], tmp_path)


# against MyHDL's own converter

SMALL = {
    **{name: DUTS[name] for name in ("convert", "left_edge", "sequencer")},
    "input_skew": partial(blocks.input_skew, 3, 8), "output_skew": partial(blocks.output_skew, 3, 8),
    "fifo": partial(blocks.fifo, 8, 8), "range_check": partial(blocks.range_check, 24, 4),
    "performance_counters": blocks.performance_counters, "device_state": blocks.device_state,
    "collect": partial(blocks.collect, 4), "registers": partial(blocks.registers, CONFIG),
}


def random_stimuli(dut: Dut, cycles: int = 600) -> dict[str, list[int]]:
    rng = random.Random(1)
    return {name: [int(cycle < 4) if name == "reset" else rng.getrandbits(max(1, len(signal)))
                   for cycle in range(cycles)] for name, signal in dut.inputs.items()}


@pytest.mark.parametrize("name", SMALL)
def test_like_myhdls_own_converter(name, tmp_path) -> None:
    """Both texts answer the same vectors alike, in one bench, where MyHDL converts a block as it simulates it."""
    stimuli = random_stimuli(SMALL[name]())
    theirs = myhdl_converter.case(SMALL[name], stimuli, tmp_path)
    assert theirs is not None
    ours = converted_case(SMALL[name](), stimuli, simulate(SMALL[name](), stimuli))
    assert replay_all("icarus", [ours, theirs], tmp_path / "icarus") == 2 * len(stimuli[next(iter(stimuli))])


@pytest.mark.parametrize("name", ["fma", "exp2", "newton", "pe", "comparator", "accumulator_unit"])
def test_what_myhdls_own_converter_would_cut(name, tmp_path) -> None:
    assert myhdl_converter.widest_local(DUTS[name]()) > myhdl_converter.MOST_BITS
    assert myhdl_converter.case(DUTS[name], {}, tmp_path) is None


# initial values


@block
def starting(clock: Any, enable: Any, count: Any, double: Any) -> Any:
    @always(clock.posedge)
    def step() -> None:
        if enable:
            count.next = (int(count) + 1) & 15

    @always_comb
    def twice() -> None:
        double.next = int(count) * 2

    return step, twice


def starting_at_5() -> Dut:
    clock, enable, count, double = unsigned(1), unsigned(1), unsigned(4, 5), unsigned(5)
    return Dut("starting", starting(clock, enable, count, double), {"enable": enable},
               {"count": count, "double": double}, clock)


def test_outputs_start_as_in_myhdl(tmp_path) -> None:
    """Also what a combinational process makes of a register that never changes."""
    seen = check(starting_at_5, {"enable": [0, 0, 1, 1]}, SIMULATORS, tmp_path)
    assert seen == {"count": [5, 5, 5, 6], "double": [10, 10, 10, 12]}


def test_inputs_that_are_not_named_keep_their_value(tmp_path) -> None:
    seen = check(partial(selecting, 1, 0), {"a": [1, 2, 3]}, ["icarus"], tmp_path)
    assert seen["result"] == [201, 202, 203]


# the regression itself


ADDER = "module adder (input [3:0] a, input [3:0] b, output [4:0] sum, output odd);\n" \
        "assign sum = a + b;\nassign odd = sum[0];\nendmodule\n"


def adder_case(sums: list[int], name: str = "adder") -> Case:
    return Case(name, ADDER.replace("adder", name), [Port("a", 4, [1, 2, 15]), Port("b", 4, [1, 2, 15])],
                [Port("sum", 5, sums), Port("odd", 1, [value & 1 for value in sums])])


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_replay_names_module_cycle_port_and_values(simulator, tmp_path) -> None:
    good, bad = adder_case([2, 4, 30], "right"), adder_case([2, 5, 31], "wrong")
    with pytest.raises(VerilogMismatch) as error:
        replay_all(simulator, [good, bad, good], tmp_path)
    assert str(error.value) == f"{simulator}: wrong: FAIL cycle 1 sum: verilog 04, myhdl 05, inputs 22"


def test_replay(tmp_path) -> None:
    case = adder_case([2, 4, 30])
    assert replay("icarus", case.verilog, case.module, case.inputs, case.outputs, tmp_path) == 3
    assert replay_all("icarus", [case, adder_case([2, 4, 30], "other"), case], tmp_path) == 9


def test_two_modules_of_one_name(tmp_path) -> None:
    case = adder_case([2, 4, 30])
    other = Case(case.module, case.verilog.replace("a + b", "a - b"), case.inputs, case.outputs)
    with pytest.raises(ValueError, match="^two modules called adder differ$"):
        replay_all("icarus", [case, other], tmp_path)


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_text_that_a_simulator_rejects(simulator, tmp_path) -> None:
    case = adder_case([2, 4, 30])
    with pytest.raises(RuntimeError, match=r"(iverilog|verilator) failed: "):
        replay(simulator, case.verilog.replace("endmodule", ""), case.module, case.inputs, case.outputs, tmp_path)


@pytest.mark.parametrize("simulator, tool", [("icarus", "iverilog"), ("verilator", "verilator")])
def test_a_simulator_that_is_not_installed(simulator, tool, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingTool, match=f"^{tool} is not installed: run `apt-get install {tool}`$"):
        check(DUTS["convert"], {"x": [0]}, [simulator], tmp_path)

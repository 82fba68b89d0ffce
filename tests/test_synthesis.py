"""What benchmarks/synthesis.py measures: by whom, of which modules, and the requirements that hold."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

from myhdl_fsa.config import Config
from myhdl_fsa.convert.design import modules

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import synthesis
from area import dataflows, gates, osu018, xcup, yosys
from area.requirement import Requirement

from myhdl_fsa.fpga.hierarchy import Hierarchy, Source

STREAM = dataflows.STREAM


def pe_flip_flops(**fields):
    texts = {name: module.text for name, module in modules(Config(**fields), "pe").items()}
    return gates.flip_flop_bits(Hierarchy(texts).source("pe"))


def test_flip_flops_of_a_pe():
    # control 9, right 16, down and up 32, register 16, exp2_done
    assert pe_flip_flops() == 106
    assert pe_flip_flops(**STREAM) <= dataflows.PE_FLIP_FLOPS


@pytest.mark.parametrize("e_type", ["bf16", "fp32"])
def test_flip_flops_of_a_pe_in_other_formats(e_type):
    elem = Config(elem=e_type).elem.width
    # control; right, up, P and Q; down
    assert pe_flip_flops(elem=e_type, **STREAM) <= 5 + 4 * elem + 32
    assert pe_flip_flops(elem=e_type) == 9 + 2 * elem + 64 + 1


TEXTS = {
    "delay": """\
module fsa_delay #(parameter WIDTH = 1) (input clock, input [WIDTH-1:0] d, output reg [WIDTH-1:0] q);
always @(posedge clock) q <= d;
endmodule
""",
    "pe_row": """\
module fsa_pe_row #(parameter LANES = 2) (
    input clock, input [7:0] a, input [8*LANES-1:0] b, output [16*LANES-1:0] y, output reg [15:0] chain
);
genvar i;
generate
    for (i = 0; i < LANES; i = i + 1) begin: lanes
        fsa_delay #(.WIDTH(16)) delay (.clock(clock), .d(a * b[8*i +: 8]), .q(y[16*i +: 16]));
    end
endgenerate
reg [7:0] words [0:1];
always @(posedge clock) begin
    words[b[0]] <= a;
    chain <= {words[0], words[1]};
end
endmodule
""",
    "core": """\
module fsa_core (input clock, input [7:0] a, input [23:0] b, output [47:0] y, output [15:0] chain, output q);
fsa_pe_row #(.LANES(3)) row (.clock(clock), .a(a), .b(b), .y(y), .chain(chain));
fsa_delay delay (.clock(clock), .d(a[0]), .q(q));
endmodule
""",
}


def test_a_hierarchy_has_prefixes_parameters_and_generated_instances():
    hierarchy = Hierarchy(TEXTS)
    wide = next(name for name, times in hierarchy.children("pe_row").items() if times == 3)
    narrow = next(name for name in hierarchy.children("core") if name != "pe_row")
    assert {wide, narrow} == {"delay", "delay_2"}
    assert hierarchy.parts("core") == {"core": 1, "pe_row": 1, wide: 3, narrow: 1}
    assert hierarchy.parts("core", ("pe_row",)) == {"core": 1, narrow: 1}
    assert hierarchy.part(wide) == Source("fsa_delay", (TEXTS["delay"],), parameters=(("WIDTH", 16),))
    assert hierarchy.part("pe_row") == Source("fsa_pe_row", (TEXTS["pe_row"],), (TEXTS["delay"],), (("LANES", 3),))
    assert hierarchy.source("core").texts == (TEXTS["core"], TEXTS["delay"], TEXTS["pe_row"])
    assert [gates.flip_flop_bits(hierarchy.source(name)) for name in (wide, narrow)] == [16, 1]
    assert gates.flip_flop_bits(hierarchy.source("core")) == 3 * 16 + 2 * 8 + 16 + 1
    assert gates.flip_flop_bits(hierarchy.part("pe_row")) == 2 * 8 + 16
    assert xcup.multiplications(hierarchy.source("core")) == ("8x8",) * 3
    array = gates.array(hierarchy, "core", ())
    assert array.flip_flops == 3 * 16 + 2 * 8 + 16 + 1


def test_longest_path_and_area():
    def gate(kind, output, **inputs):
        return {"type": kind, "connections": {"Y": [output], **{port: [bit] for port, bit in inputs.items()}}}

    module = {"cells": {
        "a": gate("$_NAND_", 10, A=2, B=3), "b": gate("$_NOT_", 11, A=10), "c": gate("$_XOR_", 12, A=11, B="1"),
        "q": {"type": "$_DFF_P_", "connections": {"C": [1], "D": [12], "Q": [2]}},
        "part": {"type": "ram", "connections": {"down": [3]}},
    }}
    part = gates.part_of(module)
    assert (part.levels, part.flip_flops, part.area) == (3, 1, 1 + 0.5 + 3 + 6)
    whole = gates.Array({"row": gates.Part(Counter(), 0), "pe": part}, Counter(row=1, pe=3))
    assert (whole.area, whole.flip_flops, whole.levels) == (3 * part.area, 3, 3)


def test_machines():
    fields = {"rows", "dataflow", "reciprocal"}
    found = dataflows.machines(["dataflow=stream,exp2_pieces=16"], frozenset(fields))
    assert found == {"fsa": {}, "stream": STREAM,
                     "dataflow=stream,exp2_pieces=16": {"dataflow": "stream", "exp2_pieces": 16}}
    assert "stream M=1" in dataflows.machines([], frozenset(fields | {"mac_stages"}))


def test_an_error_of_yosys_is_told():
    with pytest.raises(yosys.YosysError, match="No such command: sinth"):
        yosys.run({}, ["sinth"])


def test_without_yosys(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"yosys is not installed: run `\S+python\S* -m pip install .*'\.\[bench\]'`"):
        yosys.require()


def test_without_the_cells(monkeypatch):
    monkeypatch.setattr(osu018, "LIBERTY", Path("none.lib"))
    with pytest.raises(SystemExit, match=r"none\.lib is missing: run `apt-get install qflow-tech-osu018`"):
        osu018.require()


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["synthesis", *arguments])
    with pytest.raises(SystemExit) as ended:
        synthesis.main()
    return ended.value.code, capsys.readouterr().out


@pytest.mark.parametrize("figure, status, word", [(7, 0, "holds"), (8, 1, "missed")])
def test_a_requirement_that_is_missed_is_the_exit_status(monkeypatch, capsys, figure, status, word):
    monkeypatch.setattr(synthesis, "report", lambda *_: ["a figure", Requirement("gates", figure, 7)])
    code, text = run(monkeypatch, capsys, "--only", "arrays")
    assert (int(code), text) == (status, f"a figure\nrequirement: gates: {figure}, at most 7: {word}\n")


@pytest.mark.slow
def test_requirements_on_arrays(monkeypatch, capsys):
    """A minute."""
    code, text = run(monkeypatch, capsys, "--only", "arrays", "--size", "16")
    assert not code, text
    assert text.count(": holds\n") == 3


@pytest.mark.slow
def test_array_over_a_plain_one(monkeypatch, capsys):
    if not osu018.LIBERTY.exists():
        pytest.skip(f"{osu018.LIBERTY} is not installed")
    code, text = run(monkeypatch, capsys, "--only", "plain", "--quick")
    assert not code, text
    assert text.count("over the plain one") == 2

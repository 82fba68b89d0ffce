"""The requirements on the stream dataflow's area, as benchmarks/synthesis.py measures it; mostly without yosys."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from myhdl_fsa.config import Config
from myhdl_fsa.convert.design import modules

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import synthesis

STREAM = {"dataflow": "stream", "reciprocal": "division"}


def pe_flip_flops(**fields):
    return synthesis.flip_flop_bits(modules(Config(**fields), "pe")["pe"].text)


def test_flip_flops_of_a_pe():
    # control 9, right 16, down and up 32, register 16, exp2_done
    assert pe_flip_flops() == 106
    assert pe_flip_flops(**STREAM) <= synthesis.PE_FLIP_FLOPS


@pytest.mark.parametrize("e_type", ["bf16", "fp32"])
def test_flip_flops_of_a_pe_in_other_formats(e_type):
    elem = Config(elem=e_type).elem.width
    # control; right, up, P and Q; down
    assert pe_flip_flops(elem=e_type, **STREAM) <= 5 + 4 * elem + 32
    assert pe_flip_flops(elem=e_type) == 9 + 2 * elem + 64 + 1


def test_flip_flops_of_lists_and_ports():
    text = """\
module some (
);
input clock;
output [3:0] port;
reg [3:0] port = 0;
output single;
wire single;
reg [7:0] held = 0;
reg [7:0] combinational = 0;
reg [15:0] words [0:6-1];

always @(posedge clock) begin: first
    if ((port <= 3)) begin
        port <= 2;
    end
    words[(held + 1)] <= port;
end

always @(posedge clock) begin: second
    held[3-1:0] <= 1;
end

always @(held) begin: third
    combinational = held;
end

endmodule
"""
    assert synthesis.flip_flop_bits(text) == 4 + 6 * 16 + 8


def test_longest_path_and_area():
    def gate(kind, output, **inputs):
        return {"type": kind, "connections": {"Y": [output], **{port: [bit] for port, bit in inputs.items()}}}

    module = {"cells": {
        "a": gate("$_NAND_", 10, A=2, B=3), "b": gate("$_NOT_", 11, A=10), "c": gate("$_XOR_", 12, A=11, B="1"),
        "q": {"type": "$_DFF_P_", "connections": {"C": [1], "D": [12], "Q": [2]}},
        "part": {"type": "ram", "connections": {"down": [3]}},
    }}
    part = synthesis._part(module)
    assert (part.levels, part.flip_flops, part.area) == (3, 1, 1 + 0.5 + 3 + 6)
    whole = synthesis.Synthesis("row", {"row": synthesis.Part(Counter(), Counter(pe=3, ram=1), 0), "pe": part})
    assert (whole.area, whole.flip_flops, whole.instances()) == (3 * part.area, 3, Counter(row=1, pe=3))


def test_machines():
    fields = {"rows", "dataflow", "reciprocal"}
    found = synthesis.machines(["dataflow=stream,exp2_pieces=16"], frozenset(fields))
    assert found == {"fsa": {}, "stream": STREAM,
                     "dataflow=stream,exp2_pieces=16": {"dataflow": "stream", "exp2_pieces": 16}}
    assert "stream M=1" in synthesis.machines([], frozenset(fields | {"mac_stages"}))


def test_without_yosys(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"yosys is not installed: run `\S+python -m pip install .*'\.\[bench\]'`"):
        synthesis.find_yosys()


@pytest.mark.slow
def test_requirements(capsys):
    """All of them, with yosys; about a minute."""
    with pytest.raises(SystemExit) as ended, pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["synthesis", "--size", "16"])
        synthesis.main()
    assert not ended.value.code, capsys.readouterr().out
    assert capsys.readouterr().out.count(": holds\n") == 3

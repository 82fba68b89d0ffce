"""convert/lint.py: four tools are quiet about sound Verilog, and each finds what it is there for."""

import importlib.util
import re
import sys

import pytest

from myhdl_fsa.convert import lint
from myhdl_fsa.convert.regression import MissingTool

CLEAN = """\
`default_nettype none
module fsa_lanes #(parameter LANES = 4) (
    input wire clock,
    input wire write,
    input wire [1:0] row,
    input wire [8*LANES-1:0] a,
    output reg [8*LANES-1:0] sums,
    output reg [7:0] word
);
localparam [7:0] ONE = 8'd1;

function [7:0] add(input [7:0] x, input [7:0] y);
    add = x + y;
endfunction

reg [7:0] words [0:3];
always @(posedge clock) begin
    word <= words[row];
    if (write) words[row] <= a[7:0];
end

integer i;
always @* begin
    for (i = 0; i < LANES; i = i + 1) sums[8*i +: 8] = add(a[8*i +: 8], ONE);
end
endmodule
`default_nettype wire
"""
TOP = """\
`default_nettype none
module fsa_top (
    input wire clock, input wire write, input wire [1:0] row, input wire [31:0] a,
    output wire [31:0] sums, output wire [7:0] word
);
wire [31:0] left;
genvar i;
generate
    for (i = 0; i < 4; i = i + 1) begin: lanes
        assign left[8*i +: 8] = ~a[8*i +: 8];
    end
endgenerate
fsa_lanes #(.LANES(4)) lanes_0 (.clock(clock), .write(write), .row(row), .a(left), .sums(sums), .word(word));
endmodule
`default_nettype wire
"""


def written(folder, lanes, top=TOP):
    files = {folder / "fsa_lanes.v": lanes, folder / "fsa_top.v": top}
    for file, text in files.items():
        file.write_text(text)
    return list(files)


@pytest.mark.parametrize("tool", lint.LINTERS)
def test_sound_text(tmp_path, tool):
    assert lint.LINTERS[tool](written(tmp_path, CLEAN)) == []


@pytest.mark.parametrize("tool, before, after, complaint", [
    ("verilator", "a[7:0];", "a[6:0];", r"^%Warning-WIDTH: fsa_lanes\.v:19:"),
    ("verilator", "endfunction", "endfunction\nwire [7:0] spare = a[7:0];", r"^%Warning-UNUSED\w*: fsa_lanes\.v:15:"),
    ("iverilog", "ONE);", "TWO);", r"^fsa_lanes\.v:24: error"),
    ("iverilog", "integer i;", "", r"^fsa_lanes\.v:\d+: "),
    ("yosys", "always @* begin\n", "always @* if (write) begin\n", r"Latch inferred for signal .*\\sums'"),
    ("yosys", "localparam", "wire [7:0] loose;\nassign word = loose + ONE;\nlocalparam", "has no driver"),
    ("yosys", "endfunction", "endfunction\nwire [7:0] round = round + a[7:0];", "found logic loop"),
    ("slang", "a[7:0];", "a;", r"^fsa_lanes\.v:19:\d+: warning: .* \[-Wwidth-trunc\]"),
    ("slang", "8'd1;", "8'd1 << 8;", r"^fsa_lanes\.v:10:\d+: warning: .* \[-Wshift-count-overflow\]"),
    ("slang", "input wire write,", "input logic write,", r"^fsa_lanes\.v:4:\d+: error"),
])
def test_a_fault_is_a_line(tmp_path, tool, before, after, complaint):
    assert before in CLEAN
    found = lint.LINTERS[tool](written(tmp_path, CLEAN.replace(before, after, 1)))
    assert any(re.search(complaint, line) for line in found), found


def test_each_line_has_the_tools_name(tmp_path, monkeypatch, capsys):
    files = written(tmp_path, CLEAN.replace("ONE);", "TWO);"))
    found = lint.lint(files)
    assert {line.partition(": ")[0] for line in found} == set(lint.LINTERS)
    monkeypatch.setattr(sys, "argv", ["lint", "--tool", "iverilog", *map(str, files)])
    with pytest.raises(SystemExit) as ended:
        lint.main()
    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines() == [line for line in found if line.startswith("iverilog: ")]


@pytest.mark.parametrize("tool, package", [("yosys", "pyosys"), ("slang", "pyslang")])
def test_a_missing_tool_says_how_to_install_it(tmp_path, monkeypatch, tool, package):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingTool, match=rf"^{package} is not installed: run `.* -m pip install .*'\.\[test\]'`$"):
        lint.LINTERS[tool](written(tmp_path, CLEAN))

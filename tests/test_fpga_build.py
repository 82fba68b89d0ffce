"""fsa-fpga build: boards against LiteX's platforms, pins, the shared serial line, and what it refuses."""

from __future__ import annotations

import errno
import json
import os
import re
from importlib import import_module, util
from pathlib import Path

import litedram.modules
import pytest
from click.testing import CliRunner
from litex.build.lattice.trellis import LatticeTrellisToolchain
from litex.soc.integration.builder import Builder
from migen import Module, Record
from migen.sim import run_simulation

from myhdl_fsa.cli.fpga import main
from myhdl_fsa.config import preset
from myhdl_fsa.fpga import bitstream, tools
from myhdl_fsa.fpga.bitstream import clocks, synthesize_system
from myhdl_fsa.fpga.boards import BOARDS
from myhdl_fsa.fpga.hierarchy import Hierarchy
from myhdl_fsa.fpga.nextpnr import Outcome
from myhdl_fsa.fpga.system import request
from myhdl_fsa.fpga.system.line import Line
from myhdl_fsa.fpga.system.request import Generated
from myhdl_fsa.fpga.system.soc import BoardSoC
from myhdl_fsa.workbench.file_set import write_set
from myhdl_fsa.workbench.files import OutputError

NAME = "FSA4X4Fp16Config"
ACCELERATOR = {
    "fsa_accelerator": "module fsa_accelerator (input wire clock, input wire [17:0] a, b, output reg [35:0] y);\n"
                       "fsa_core core (.clock(clock), .a(a), .b(b), .y(y));\nendmodule\n",
    "fsa_core": "module fsa_core (input wire clock, input wire [17:0] a, b, output reg [35:0] y);\n"
                "always @(posedge clock) y <= a * b;\nendmodule\n",
}
TOP = """\
module top (input wire clk, input wire other, input wire enter, output wire leave);
wire sys_clk = clk; wire fsa_clk = other;
reg [35:0] given, taken; wire [35:0] y;
reg [7:0] rom [0:15]; initial $readmemh("rom.init", rom);
assign leave = taken[35];
always @(posedge sys_clk) begin given <= {given, enter}; taken <= enter ? y ^ rom[given[3:0]] : taken << 1; end
fsa_accelerator fsa_accelerator (.clock(fsa_clk), .a(given[17:0]), .b(given[35:18]), .y(y));
endmodule
"""


def made(accelerator=True):
    """A system of a few registers around a multiplier, as LiteX would have made it."""
    return Generated((TOP if accelerator else TOP.replace("fsa_accelerator fsa_accelerator", "// "),),
                     {"rom.init": "".join(f"{value:02x}\n" for value in range(16))},
                     Hierarchy({name: text.replace("output reg [35:0] y);\nfsa", "output wire [35:0] y);\nfsa")
                                for name, text in ACCELERATOR.items()}) if accelerator else None,
                     'FREQUENCY PORT "clk" 25 MHz;\n', ("sys", "fsa"), preset(NAME).to_dict(),
                     {"csr.json": "{}\n", "csr.h": "", "config.json": "{}\n"})


def path(cell, delay):
    return {"type": "logic", "delay": delay, "to": {"cell": cell}}


REPORT = {
    "fmax": {"$glbnet$VexRiscv.cache.clk": {"achieved": 54.5, "constraint": 40},
             "$glbnet$fsa_accelerator.core.clock": {"achieved": 11.0, "constraint": 12.5},
             "$glbnet$clk$TRELLIS_IO_IN": {"achieved": 300.0, "constraint": 25}},
    "critical_paths": [
        {"from": "posedge $glbnet$fsa_accelerator.core.clock", "to": "posedge $glbnet$fsa_accelerator.core.clock",
         "path": [path("fsa_accelerator.core.y_TRELLIS_FF_Q", 0.5),
                  path("$flatten\\fsa_accelerator.\\core.$abc$1", 80.0), path("$nextpnr_CCU2C_0", 1.0),
                  path("given_LUT4_A", 9.4)]},
        {"from": "posedge $glbnet$VexRiscv.cache.clk", "to": "posedge $glbnet$VexRiscv.cache.clk",
         "path": [path("VexRiscv.decode_LUT4_C", 18.3)]},
        {"from": "<async>", "to": "posedge $glbnet$fsa_accelerator.core.clock", "path": [path("enter", 3.0)]},
    ],
    "utilization": {"TRELLIS_COMB": {"used": 20, "available": 83640}, "DCSC": {"used": 0, "available": 2}},
}
"""as nextpnr writes it, of few clocks and steps"""


def fsa_fpga(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def refused(status, *args):
    run = fsa_fpga("build", *args)
    assert run.exit_code == status, run.output
    begin, _, message = run.stderr.splitlines()[-1].partition("error: ")
    assert begin == "fsa-fpga: "
    return message


@pytest.fixture
def built(monkeypatch):
    """LiteX's part and nextpnr's are played back; synthesis is not run either. Gives what can still be changed."""
    parts = {"report": json.loads(json.dumps(REPORT)), "lut": 10}

    def synthesized(generated, family, announce):
        announce("litex", 0, 0)
        area = bitstream.Area((bitstream.Part("litex", 1, family.resources({"LUT4": parts["lut"]})),))
        nets = {"VexRiscv.cache.clk": "sys", "fsa_accelerator.core.clock": "fsa"}
        return bitstream.Synthesized(area, "{}", nets, bitstream._instances(generated.accelerator))

    monkeypatch.setattr(request, "generate", lambda asked: made())
    monkeypatch.setattr(bitstream, "synthesize_system", synthesized)
    monkeypatch.setattr(bitstream, "place_and_route",
                        lambda nextpnr, files, options, announce, *wanted: Outcome(parts["report"], ("",)))
    monkeypatch.setattr(bitstream, "pack", lambda configuration: (b"bits", b"svf"))
    return parts


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_what_litex_has(name):
    board = BOARDS[name]
    platform = import_module(f"litex_boards.platforms.{board.platform}").Platform(**board.arguments)
    toolchain = LatticeTrellisToolchain()
    family, size, speed, package = toolchain.nextpnr_ecp5_parse_device(platform.device)
    part = toolchain.nextpnr_ecp5_architectures[f"{family}-{size}"]
    assert board.device.nextpnr.options == (f"--{part}", "--package", package, "--speed", speed)
    assert board.device.part.lower() == f"{family}-{size}"
    assert board.system_range[0] <= board.system <= board.system_range[1]
    assert platform.lookup_request(board.serial, loose=True) is None  # nobody has taken it
    assert issubclass(getattr(litedram.modules, board.memory), litedram.modules.SDRAMModule)


@pytest.mark.parametrize("name", BOARDS)
def test_every_pin_has_a_place_and_every_oscillator_its_frequency(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    soc = BoardSoC(name, BOARDS[name].system, 12, None)
    Builder(soc, output_dir=str(tmp_path), compile_software=False, compile_gateware=False).build(build_name="top")
    verilog, constraints = ((tmp_path / "gateware" / f"top.{kind}").read_text() for kind in ("v", "lpf"))
    header = re.search(r"^module top \((.*?)\);", verilog, re.S | re.M)[1]
    ports = re.findall(r"(?:input|output|inout)\s+(?:wire|reg)\s*(?:\[(\d+):0\])?\s*(\w+)", header)
    bits = {f"{port}[{index}]" if width else port for width, port in ports for index in range(int(width or 0) + 1)}
    assert len(bits) > 30 and {"serial_tx", "serial_rx"} <= bits
    placed = re.findall(r'^LOCATE COMP "(\S+)" SITE "(\w+)";$', constraints, re.M)
    assert {port for port, _ in placed} == bits
    assert len({site for _, site in placed}) == len(placed)
    assert re.search(r'^FREQUENCY PORT "clk(25|100)" \1\.0 MHz;$', constraints, re.M)
    assert set(re.findall(r'^IOBUF PORT "(\S+)" IO_TYPE', constraints, re.M)) == bits


def test_the_line_is_handed_over_when_the_console_is_silent():
    seen = []

    class Bench(Module):
        def __init__(self):
            self.pads = Record([("tx", 1), ("rx", 1)])
            self.submodules.line = Line(self.pads, 1e6, 100000)

    bench = Bench()
    line = bench.line

    def play():
        yield bench.pads.rx.eq(0)
        yield line.console.tx.eq(0)  # a byte under way
        yield
        yield
        seen.append(((yield bench.pads.tx), (yield line.console.rx), (yield line._bridge_pads.rx)))
        yield line.owner.fields.bridge.eq(1)
        for _ in range(200):
            yield
        seen.append(((yield bench.pads.tx), (yield line.console.rx), (yield line._bridge_pads.rx)))
        yield line.console.tx.eq(1)
        for _ in range(160):
            yield
        yield line.console.tx.eq(0)  # to nobody
        yield
        yield
        seen.append(((yield bench.pads.tx), (yield line.console.rx), (yield line._bridge_pads.rx)))
        yield line.owner.fields.bridge.eq(0)
        for _ in range(3):
            yield
        seen.append(((yield bench.pads.tx), (yield line.console.rx), (yield line._bridge_pads.rx)))

    run_simulation(bench, play())
    assert seen == [(0, 0, 1), (0, 0, 1), (1, 1, 0), (0, 0, 1)]


def test_litex_and_the_accelerator_are_mapped_and_put_together():
    found = synthesize_system(made(), BOARDS["ulx3s"].device.family, lambda *said: None)
    assert [part.name for part in found.area.parts] == ["litex", "accelerator", "core"]
    assert found.area.parts[0].takes.ff == 72 and found.area.total.dsp == 1
    assert found.instances == {"": "litex", "VexRiscv": "VexRiscv", "fsa_accelerator": "accelerator",
                               "fsa_accelerator.core": "core"}
    assert {"sys_clk", "fsa_clk", "fsa_accelerator.core.clock"} <= set(found.nets)
    cells = json.loads(found.netlist)["modules"]["top"]["cells"]
    assert {cell["type"] for cell in cells.values()} >= {"MULT18X18D", "TRELLIS_FF", "LUT4"}


def test_clocks_have_their_domains_names_and_paths():
    found = bitstream.Synthesized(bitstream.Area(()), "", {"VexRiscv.cache.clk": "sys",
                                                           "fsa_accelerator.core.clock": "fsa"},
                                  bitstream._instances(made().accelerator))
    by_name = {clock.domain: clock for clock in clocks(REPORT, found)}
    assert list(by_name) == ["clk", "fsa", "sys"]
    fsa = by_name["fsa"]
    assert (fsa.wanted, fsa.reached, fsa.met) == (12.5, 11.0, False)
    assert [(step.place, step.module, step.cells) for step in fsa.path] == [
        ("fsa_accelerator.core", "core", 3), ("", "litex", 1)]
    assert by_name["sys"].met and by_name["sys"].path[0].module == "VexRiscv"
    assert by_name["clk"].path == ()


def test_a_clock_that_is_not_met_names_the_path_and_leaves_no_bitstream(built, tmp_path):
    (tmp_path / "ulx3s.bit").write_bytes(b"of an earlier run")
    (tmp_path / "notes.txt").write_text("mine")
    message = refused(1, "--board", "ulx3s", "--clock", "12", "--out", tmp_path)
    assert message == ("--clock 12: not met, so no bitstream is written: fsa: 11.00 MHz of 12.50 MHz; slowest path "
                       "90.9 ns: 81.5 in fsa_accelerator.core (core), 9.4 in litex itself")
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json", "csr.json", "csr.h", "report.json", "report.txt", "notes.txt"}
    assert "Clock fsa    12.50 MHz wanted,   11.00 MHz reached: not met" in (tmp_path / "report.txt").read_text()
    clocks_told = json.loads((tmp_path / "report.json").read_text())["clocks"]
    assert {name: clock["met"] for name, clock in clocks_told.items()} == {"clk": True, "fsa": False, "sys": True}


def test_what_a_build_writes_and_says(built, tmp_path):
    built["report"]["fmax"]["$glbnet$fsa_accelerator.core.clock"]["achieved"] = 12.5
    run = fsa_fpga("build", "--board", "ulx3s", "--out", tmp_path / "new" / "folder")
    assert run.exit_code == 0, run.output
    folder = tmp_path / "new" / "folder"
    assert {path.name for path in folder.iterdir()} == {
        "config.json", "csr.json", "csr.h", "report.json", "report.txt", "ulx3s.bit", "ulx3s.svf"}
    assert (folder / "ulx3s.bit").read_bytes() == b"bits"
    said = (folder / "report.txt").read_text()
    assert run.stdout == f"{said}In {folder}: ulx3s.bit, ulx3s.svf\n"
    assert "LFE5U-85F has" in said and "Slowest path of fsa, 90.9 ns:" in said
    assert [line.partition(" s: ")[2] for line in run.stderr.splitlines()] == [
        "LiteX makes the system, and its software is compiled", "synthesis of litex", "place and route: minutes",
        "the bitstream"]
    quiet = fsa_fpga("build", "--board", "ulx3s", "--out", folder, "--json", "-", "--quiet")
    assert json.loads(quiet.stdout) == json.loads((folder / "report.json").read_text())
    assert quiet.stderr == ""


def test_too_big(built, tmp_path):
    built["lut"] = 90000
    message = refused(1, "--board", "ecpix5", "--out", tmp_path / "out")
    assert message == (f"--config {NAME}: the system is too big for --board ecpix5, LFE5UM5G-85F: "
                       "6360 LUT4 more than its 83640")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["over"] == {"lut": 6360}


def test_a_full_disk(built, tmp_path, monkeypatch):
    built["report"]["fmax"].clear()
    assert refused(1, "--board", "ulx3s", "--out", tmp_path / "a", "--json", "/dev/full") == (
        "--json /dev/full: cannot write: No space left on device")

    def full(self, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert refused(1, "--board", "ulx3s", "--out", tmp_path / "b" / "c") == (
        f"--out {tmp_path / 'b' / 'c'}: cannot write: No space left on device")
    assert not (tmp_path / "b").exists()


def test_files_of_a_set_come_together(tmp_path):
    write_set(tmp_path, {"a": b"1", "b": b"2"}, ())
    (tmp_path / "c").mkdir()
    with pytest.raises(OutputError):
        write_set(tmp_path, {"a": b"3", "c/d/e": b"4"}, ("b",))
    assert [(tmp_path / name).read_bytes() for name in "ab"] == [b"1", b"2"]
    write_set(tmp_path, {"a": b"3"}, ("a", "b"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


@pytest.mark.parametrize(("args", "message"), [
    ([], "--board: must be given: ulx3s or ecpix5"),
    (["--board", "arty"], "--board arty: must be one of 'ulx3s', 'ecpix5'"),
    (["--board", "ulx3s", "--clock", "0"], "--clock 0: must be a positive number"),
    (["--board", "ulx3s", "--clock", "500"], "--clock 500: must be from 3.125 to 400 MHz on ULX3S 85F"),
    (["--board", "ecpix5", "--system-clock", "20"], "--system-clock 20: must be from 48 to 100 MHz on ECPIX-5 85F"),
    (["--board", "ulx3s", "--seed", "-1"], "--seed -1: must be an integer from 0 to 2147483647"),
    (["--board", "ulx3s", "--config", "No"], "--config No: "),
    (["--board", "ulx3s", "--out", "/dev/null"], "--out /dev/null: cannot write: "),
    (["--board", "ulx3s", "--out", "/proc/x"], "--out /proc/x: cannot write: "),
    (["--board", "ulx3s", "--out", __file__], f"--out {__file__}: cannot write: {__file__} is not a folder"),
    (["--board", "ulx3s", "--out", f"{__file__}/x"], f"--out {__file__}/x: cannot write: {__file__} is not a folder"),
    (["--board", "ulx3s", "--json", "none/r.json"], "--json none/r.json: cannot write: "),
])
def test_bad_usage(args, message):
    assert refused(2, *args).startswith(message)


def test_a_missing_tool(monkeypatch, tmp_path):
    args = ["--board", "ulx3s", "--out", tmp_path / "out"]
    monkeypatch.setenv("PATH", str(tmp_path))
    assert refused(1, *args) == (
        "a C compiler for RISC-V is not installed: run `apt-get install gcc-riscv64-unknown-elf`")
    monkeypatch.setattr(tools.sys, "prefix", "/nowhere")
    for name in ("riscv64-unknown-elf-gcc", "make", "nextpnr-ecp5", "ecppack"):
        if name == "ecppack":
            assert refused(1, *args) == "ecppack is not installed: run `pip install 'myhdl-fsa[fpga]'`"
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    assert refused(1, *args) == "LiteX is not installed: run `pip install 'myhdl-fsa[soc]'`"
    assert not (tmp_path / "out").exists()

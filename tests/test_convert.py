"""fsa-convert: what it writes and refuses, and that the Verilog is sound: lint, synthesis, widths, testbenches."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from myhdl import always, always_comb, block

from myhdl_fsa.arithmetic.formats import BF16, FP32
from myhdl_fsa.cli.convert import instance_counts, main
from myhdl_fsa.config import PRESETS, Config
from myhdl_fsa.convert import check, regression
from myhdl_fsa.convert.accelerator_testbench import accelerator_testbench
from myhdl_fsa.convert.block_testbench import standalone
from myhdl_fsa.convert.core_testbench import core_testbench
from myhdl_fsa.convert.design import IN_CORE, TOPS, design, modules, tops, verilog_modules
from myhdl_fsa.convert.distinct import distinct_blocks
from myhdl_fsa.convert.hierarchy import Design, HierarchyError, find
from myhdl_fsa.convert.output import MANIFEST
from myhdl_fsa.convert.testbench_data import TestbenchError
from myhdl_fsa.convert.widths import WidthError, watch
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.elaboration import shared_analysis
from myhdl_fsa.signals import constant, unsigned
from myhdl_fsa.sims.core_bench import attention_run, core_bench, watched_core
from myhdl_fsa.sims.cycle_simulator import CycleSimulator

NAME = "FSA4X4Fp16Config"
CORE_BLOCKS = ["accumulator", "accumulator_unit", "comparator", "control_rom", "core", "input_skew", "left_edge",
               "matrix_controller", "merge", "newton", "output_skew", "pe", "pe_row", "ram_accumulator_ram",
               "ram_scratchpad", "sequencer", "systolic"]
BLOCKS = [*CORE_BLOCKS, "accelerator", "collect", "decoder", "device_state", "dma_check", "dma_engine",
          "fifo_load_queue", "fifo_matrix_queue", "fifo_store_queue", "fifo_word_queue", "hand_out_spread",
          "hand_out_spread_2", "load_port", "loads", "matrix_check", "matrix_issue", "performance_counters",
          "range_check_accumulator_check", "range_check_scratchpad_check", "registers", "semaphores", "store_port",
          "stores", "transfer_walker", "transfer_walker_2"]
CORE_MODULES, MODULES = ([f"fsa_{name}" for name in names] for names in (CORE_BLOCKS, BLOCKS))
FILES = [*(f"{module}.v" for module in MODULES), "fsa_accelerator.f", f"{NAME}.json"]
BENCH = [f"tb_fsa_accelerator{end}" for end in (
    ".v", "_expected.hex", "_memory.hex", "_registers.hex", "_words.hex")]


CLEAN = "verilator --lint-only -Wall, iverilog -g2005 -Wall: no warnings, and no flag that waives one"


def fsa_convert(*args):
    """Runs the command in this process."""
    return CliRunner().invoke(main, [str(arg) for arg in args])


def ok(*args):
    result = fsa_convert(*args)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def refused(*args, status=1):
    """The one line on standard error of a command that is refused."""
    result = fsa_convert(*args)
    assert result.exit_code == status, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("fsa-convert: error: ")
    return lines[0]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(command, folder, **kwargs):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False, **kwargs)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The folder of the 4x4 machine with its testbench; not to be changed."""
    folder = tmp_path_factory.mktemp("converted") / "accelerator"
    ok("--config", NAME, "--testbench", "--out", folder)
    return folder


@pytest.fixture(scope="module")
def converted_core(tmp_path_factory):
    """The folder of the 4x4 core with its testbench; not to be changed."""
    folder = tmp_path_factory.mktemp("converted") / "core"
    ok("--config", NAME, "--top", "core", "--testbench", "--out", folder)
    return folder


def copied(converted, tmp_path):
    for name, data in contents(converted).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


# What is printed and written


def test_one_file_a_module_and_a_list_children_first(converted):
    assert sorted(contents(converted)) == sorted([*FILES, *BENCH, MANIFEST])
    order = (converted / "fsa_accelerator.f").read_text().split()
    assert sorted(order) == sorted(name for name in FILES if name.endswith(".v"))
    blocks = modules(PRESETS[NAME])
    for position, name in enumerate(order):
        text = (converted / name).read_text()
        assert re.findall(r"^module (\w+) #?\($", text, re.MULTILINE) == [Path(name).stem]
        instantiated = set(re.findall(r"^ *(fsa_\w+) (?:#\(\S+\) )?\w+ \($", text, re.MULTILINE))
        assert {f"{child}.v" for child in instantiated} <= set(order[:position])
        assert bool(instantiated) == bool(blocks[Path(name).stem.removeprefix("fsa_")].children)
        assert text.startswith(f"// myhdl-fsa 0.1.0, {NAME}\n//\n// ")


def test_form_of_the_text(converted):
    """Verilog-2005 with ANSI ports, no implicit nets, no time."""
    for name in FILES:
        if name.endswith(".v"):
            text = (converted / name).read_text()
            assert "timescale" not in text
            assert text.count("\n`default_nettype none\n") == text.count("\n`default_nettype wire\n") == 1
            port = r"\s*//[^\n]*|\s*/\*[^\n]*|\s*(in|out)put +(wire|reg) [^;\n]*"
            assert re.search(rf"^module \w+ (#\([^;]*\) )?\(({port})+\n\);$", text, re.MULTILINE), name
            assert not re.search(r"[ \t]$", text, re.MULTILINE)


@pytest.mark.parametrize("fields", [{}, {"dataflow": "stream", "reciprocal": "division"}], ids=str)
def test_an_array_of_another_size_has_other_numbers_only(fields):
    """But for parameters, the files of 4 x 4 and 128 x 128 are the same."""
    small, large = (modules(Config(rows=n, cols=n, scratchpad_rows=6 * n, **fields), "array") for n in (4, 128))
    assert list(small) == list(large)
    for name in ("systolic", "pe_row"):
        assert name in small
        lines = small[name].text.splitlines(), large[name].text.splitlines()
        assert len(lines[0]) == len(lines[1])
        differing = [line for line, other in zip(*lines, strict=True) if line != other]
        assert differing
        assert all(re.match(r" *(parameter|localparam) ", line) for line in differing), differing


def test_prefix(tmp_path):
    names = {"": ["comparator", "pe", "pe_row", "systolic"], "acme_": ["acme_comparator", "acme_pe", "acme_pe_row",
                                                                      "acme_systolic"]}
    for prefix, modules_ in names.items():
        folder = tmp_path / f"out{prefix}"
        ok("--top", "array", "--prefix", prefix, "--testbench", "--check", "--out", folder)
        assert {path.stem for path in folder.glob("*.v")} == {*modules_, f"tb_{prefix}systolic"}
        assert sorted((folder / f"{prefix}systolic.f").read_text().split()) == [f"{name}.v" for name in modules_]
        assert icarus(folder, f"tb_{prefix}systolic").stdout.startswith("PASS ")


@pytest.mark.parametrize("prefix", ["1st_", "my-", "a b", "../", "é", "a\n"])
def test_a_prefix_that_no_name_can_begin_with(tmp_path, prefix):
    line = refused("--prefix", prefix, "--top", "pe", "--out", tmp_path, status=2)
    assert line.startswith("fsa-convert: error: --prefix ")
    assert line.endswith(": must be letters, digits and underscores, no digit first")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("top", "dataflow", "other"), [
    ("sequencer", "stream", "fsa"), ("column_top", "fsa", "stream"),
])
def test_a_block_of_the_other_dataflow(tmp_path, top, dataflow, other):
    line = refused("--top", top, "--dataflow", dataflow, "--reciprocal", "division", "--out", tmp_path, status=2)
    assert line.endswith(f"--top {top}: only the dataflow {other} has it: this is {dataflow}")
    with pytest.raises(ValueError, match=f"^top '{top}' is a block of the dataflow {other} only$"):
        modules(Config(dataflow=dataflow, reciprocal="division"), top)


def test_it_prints_modules_sizes_and_instances(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = ok().splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines[1:-1]}
    for name, (count, size, _) in rows.items():
        text = (tmp_path / "build" / NAME / f"{name}.v").read_text()
        assert (int(count), int(size)) == (text.count("\n"), len(text))
    expected = {"pe": 16, "pe_row": 4, "comparator": 4, "accumulator_unit": 4, "newton": 4, "sequencer": 2,
                "ram_scratchpad": 1, "control_rom": 1,
                "systolic": 1, "core": 1, "load_port": 4, "store_port": 4, "collect": 2, "fifo_word_queue": 1,
                "accelerator": 1}
    assert {name: int(rows[f"fsa_{name}"][2]) for name in expected} == expected
    assert re.fullmatch(rf"{len(MODULES)} modules, \d+ lines, \d+ bytes in build/{NAME}: \d+\.\d s", lines[-1])
    assert ok("--quiet") == ""


def test_the_core_alone(converted_core):
    names = [f"tb_fsa_core{end}" for end in (".v", "_expected.hex", "_instructions.hex", "_loads.hex")]
    modules = [f"{module}.v" for module in CORE_MODULES]
    assert sorted(contents(converted_core)) == sorted([*modules, *names, "fsa_core.f", f"{NAME}.json", MANIFEST])


def test_instances_of_a_large_array_are_counted():
    found = modules(PRESETS["FSA16X16Bf16Config"], "array", "")
    assert instance_counts(found) == {"pe": 256, "pe_row": 16, "comparator": 16, "systolic": 1}


def test_the_configuration_goes_along(converted, tmp_path):
    path = tmp_path / "published.json"
    ok("--json", path, "--out", tmp_path / "out", "--top", "pe", "--reciprocal", "division")
    config = Config.from_json(path.read_text())
    assert config == PRESETS[NAME].replace(reciprocal="division")
    assert (tmp_path / "out" / f"{NAME}.json").read_bytes() == path.read_bytes()
    assert Config.from_json((converted / f"{NAME}.json").read_text()) == PRESETS[NAME]
    fields = json.loads(path.read_text())
    assert (fields["sa_rows"], fields["e_type"], fields["inst_queue_size"]) == (4, "fp16", 256)
    assert fields == config.to_dict()


def test_a_dataflow_instead_of_the_configurations_own(tmp_path):
    ok("--top", "pe", "--dataflow", "stream", "--reciprocal", "division", "--json", tmp_path / "c.json",
       "--out", tmp_path / "out")
    config = PRESETS[NAME].replace(dataflow="stream", reciprocal="division")
    assert Config.from_json((tmp_path / "c.json").read_text()) == config
    assert (tmp_path / "out" / "fsa_pe.v").read_text() == verilog_modules(config, "pe")["fsa_pe"]


def test_a_configuration_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(json.dumps({"sa_rows": 8, "sa_cols": 8, "e_type": "bf16", "name": "two\nlines `\\"}))
    ok("--config", "mine.json", "--top", "pe")
    text = (tmp_path / "build" / "mine" / "fsa_pe.v").read_text()
    assert text.splitlines()[0] == "// myhdl-fsa 0.1.0, two\\nlines `\\\\"
    assert (tmp_path / "build" / "mine" / "mine.json").exists()


@pytest.mark.parametrize("where", ["out/fsa_pe.v", "mine.json"])
def test_the_configuration_is_not_written_over_another_file(tmp_path, monkeypatch, where):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text("{}")
    line = refused("--config", "mine.json", "--top", "pe", "--out", "out", "--json", where, status=2)
    assert "must be another" in line
    assert Path("mine.json").read_text() == "{}"
    assert not Path("out").exists()
    ok("--config", "mine.json", "--top", "pe", "--out", "out", "--json", "out/mine.json")
    assert json.loads(Path("out/mine.json").read_text())["sa_rows"] == 4


def test_list_and_version():
    text = ok("--list")
    for name in (*TOPS, *PRESETS):
        assert re.search(rf"^  {name}( |$)", text, re.MULTILINE)
    assert ok("--version") == "fsa-convert, version 0.1.0\n"


def test_text_is_the_same_from_run_to_run(converted, tmp_path):
    for seed in ("1", "2"):
        done = run([sys.executable, "-m", "myhdl_fsa.cli.convert", "--testbench", "--out", tmp_path / seed, "--quiet"],
                   tmp_path, env={**os.environ, "PYTHONHASHSEED": seed})
        assert done.returncode == 0, done.stderr
        assert contents(tmp_path / seed) == contents(converted)
    whole = b"\n".join(contents(converted).values())
    assert b"MYHDL" not in whole
    assert b"Date" not in whole
    assert str(tmp_path.parents[1]).encode() not in whole
    # what was converted before leaves no trace
    verilog_modules(Config(rows=8, cols=8, elem=BF16))
    assert contents(converted)["fsa_core.v"].decode() == verilog_modules(PRESETS[NAME])["fsa_core"]


# The folder


def test_foreign_files_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "obj_dir").mkdir()
    (tmp_path / "obj_dir" / "fsa_pe.v").write_text("mine too")
    ok("--top", "pe", "--out", tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "obj_dir" / "fsa_pe.v").read_text() == "mine too"
    (tmp_path / "fsa_comparator.v").write_text("foreign")
    before = contents(tmp_path)
    line = refused("--out", tmp_path)
    assert "fsa_comparator.v is there already and not from fsa-convert" in line
    assert contents(tmp_path) == before


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")], ids=["folder", "link"])
def test_what_is_no_file_is_foreign_too(tmp_path, make):
    make(tmp_path / "fsa_pe.v")
    assert "fsa_pe.v is there already" in refused("--top", "pe", "--out", tmp_path)
    assert os.listdir(tmp_path) == ["fsa_pe.v"]


def test_stale_files_are_removed_unless_changed(tmp_path):
    ok("--testbench", "--out", tmp_path)
    (tmp_path / "fsa_merge.v").write_text("changed")
    ok("--top", "pe", "--out", tmp_path)
    assert sorted(contents(tmp_path)) == sorted([f"{NAME}.json", MANIFEST, "fsa_merge.v", "fsa_pe.f", "fsa_pe.v"])
    # from now on it is somebody's
    assert "fsa_merge.v is there already" in refused("--out", tmp_path)
    (tmp_path / "fsa_merge.v").unlink()
    ok("--out", tmp_path)
    assert sorted(contents(tmp_path)) == sorted([*FILES, MANIFEST])


def test_a_changed_file_is_not_overwritten(tmp_path):
    ok("--top", "pe", "--out", tmp_path)
    (tmp_path / "fsa_pe.v").write_text("precious")
    assert "fsa_pe.v was changed since" in refused("--top", "pe", "--out", tmp_path)
    assert (tmp_path / "fsa_pe.v").read_text() == "precious"


@pytest.mark.parametrize("text", [
    "", "[]", '{"files": 3}', '{"files": {"fsa_pe.v": 1}}', "\0", '{"files": {"../x": ["0"]}}',
])
def test_a_broken_manifest_makes_everything_foreign(tmp_path, text):
    folder = tmp_path / "out"
    ok("--top", "pe", "--out", folder)
    (tmp_path / "x").write_text("outside")
    (folder / MANIFEST).write_text(text)
    assert "is there already" in refused("--top", "pe", "--out", folder)
    assert (tmp_path / "x").exists()


def test_a_run_that_was_killed_half_way_is_no_obstacle(tmp_path, monkeypatch):
    ok("--top", "pe", "--out", tmp_path)
    rename, renamed = Path.replace, []

    def dies(self, target):
        if target.name == "fsa_comparator.v":
            raise KeyboardInterrupt
        renamed.append(target.name)
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", dies)
    assert fsa_convert("--config", "FSA8X8Fp16Config", "--out", tmp_path).exit_code == 130
    monkeypatch.undo()
    assert "fsa_sequencer.v" in renamed
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".fsa-convert-")]
    ok("--config", "FSA8X8Fp16Config", "--out", tmp_path)
    fresh = tmp_path / "fresh"
    ok("--config", "FSA8X8Fp16Config", "--out", fresh)
    assert contents(fresh) == {name: data for name, data in contents(tmp_path).items() if "/" not in name}


def test_an_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/none/such"), tmp_path / ("n" * 300)):
        assert refused("--top", "pe", "--out", folder).startswith(f"fsa-convert: error: --out {folder}: cannot write: ")
    assert os.listdir(tmp_path) == ["file"]


def test_unknown_names_list_the_known_ones():
    assert refused("--top", "tpu", status=2).endswith(f"--top tpu: unknown: known are {', '.join(TOPS)}")
    line = refused("--config", "FSA5X5", status=2)
    assert all(name in line for name in PRESETS)
    assert "cannot read" in refused("--config", "none.json", status=2)
    with pytest.raises(ValueError, match="top 'tpu' is unknown: known are accelerator, core, array"):
        modules(Config(), "tpu")


def test_what_cannot_be_converted_is_one_line(tmp_path, monkeypatch):
    from myhdl_fsa.convert import hierarchy

    def fails(self):
        raise HierarchyError("pe: net x is read\nand driven by nobody")

    monkeypatch.setattr(hierarchy.Design, "convert", fails)
    line = refused("--out", tmp_path)
    assert line == f"fsa-convert: error: cannot convert accelerator of {NAME}: pe: net x is read and driven by nobody"
    assert os.listdir(tmp_path) == []


# Lint and synthesis


@pytest.mark.parametrize("top", ["accelerator", "core"])
@pytest.mark.parametrize("fields", [
    {"e_type": "fp16"}, {"e_type": "fp32", "reciprocal": "division", "memory_ports": 1, "beat_bytes": 1},
], ids=str)
def test_check(tmp_path, fields, top):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(fields))
    text = ok("--config", path, "--top", top, "--testbench", "--check", "--out", tmp_path / "out")
    assert text.splitlines()[-1]== CLEAN


def test_check_of_a_large_array_is_quick(tmp_path):
    text = ok("--config", "FSA64X64Fp16Config", "--testbench", "--check", "--out", tmp_path / "out")
    assert text.splitlines()[-1]== CLEAN


@pytest.mark.parametrize(("name", "wrong", "complaint"), [
    ("fifo_word_queue", ("first <= ", "nothing <= "), "nothing"),
    ("decoder", (".bits(", ".bites("), "bits"),
    ("loads", (" reset,", " [1:0] reset,"), "WIDTH"),
    ("pe", ("[15:0]", "[14:0]"), "WIDTH"),
])
def test_check_looks_at_every_module(converted, tmp_path, name, wrong, complaint):
    folder = copied(converted, tmp_path)
    text = (folder / f"fsa_{name}.v").read_text()
    assert text.count(wrong[0]) >= 1
    (folder / f"fsa_{name}.v").write_text(text.replace(*wrong, 1))
    with pytest.raises(check.CheckError, match=complaint):
        check.check(folder, "fsa_accelerator", (folder / "fsa_accelerator.f").read_text().split())


STREAM = {"dataflow": "stream", "reciprocal": "division"}
EVERY_TOP = [(top, fields) for fields in (
    {}, {"e_type": "bf16", "reciprocal": "division"}, {"sa_rows": 8, "sa_cols": 8}, STREAM,
) for top in tops(Config.from_json(json.dumps(fields)))]


@pytest.mark.slow
@pytest.mark.parametrize(("top", "fields"), EVERY_TOP, ids=str)
def test_check_of_every_top(tmp_path, fields, top):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(fields))
    ok("--config", path, "--top", top, "--testbench", "--check", "--out", tmp_path / "out")
    bench = f"tb_fsa_{TOPS[top]}"
    assert icarus(tmp_path / "out", bench).stdout.startswith("PASS ")


@pytest.mark.parametrize(("text", "complaint"), [
    ("module pe (\n    a\n);\ninput a;\nwire b;\nassign b = c;\nendmodule\n", "c"),
    ("module pe (\n    a,\n    q\n);\ninput [1:0] a;\noutput q;\nreg q;\n"
     "always @(a) begin\n    if (a[0]) q = a[1];\nend\nendmodule\n", "LATCH"),
], ids=["undeclared", "latch"])
def test_check_can_fail(tmp_path, text, complaint):
    (tmp_path / "pe.v").write_text(text)
    with pytest.raises(check.CheckError, match=complaint) as failed:
        check.check(tmp_path, "pe", ["pe.v"])
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize("tool", ["verilator", "iverilog"])
def test_check_without_a_tool_writes_nothing(tmp_path, monkeypatch, tool):
    find_tool = regression.shutil.which
    monkeypatch.setattr(regression.shutil, "which", lambda name: None if name == tool else find_tool(name))
    line = refused("--check", "--out", tmp_path)
    assert line == f"fsa-convert: error: --check: {tool} is not installed: run `apt-get install {tool}`"
    assert os.listdir(tmp_path) == []


def test_synthesis_of_every_module(converted, tmp_path):
    """Down to gates, each module by itself: no latches, no nets without a driver. ABC changes gates only."""
    folder = copied(converted, tmp_path)
    sources = " ".join((folder / "fsa_accelerator.f").read_text().split())
    script = [f"read_verilog {sources}", "synth -noabc -top fsa_accelerator", "check -assert",
              "select -assert-none t:$dlatch t:$adlatch t:$_DLATCH_*", "tee -o stat.txt stat"]
    driver = f"from pyosys import libyosys as ys; design = ys.Design(); [ys.run_pass(c, design) for c in {script}]"
    done = run([sys.executable, "-c", driver], folder)
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-2000:]
    assert not re.search(r"^Latch inferred|has no driver|is used but has no driver", done.stdout, re.MULTILINE)
    assert done.stdout.count("Found and reported 0 problems.") >= 1
    stat = (folder / "stat.txt").read_text()
    synthesised = set(re.findall(r"^=== (?:\$paramod\\)?(\w+)[^ ]* ===", stat, re.MULTILINE))
    assert {Path(name).stem for name in sources.split()} <= synthesised


# Testbenches


def icarus(folder, bench):
    top = bench.removeprefix("tb_")
    built = run(["iverilog", "-g2005", "-Wall", "-o", f"{bench}.vvp", "-s", bench, "-f", f"{top}.f", f"{bench}.v"],
                folder)
    assert (built.returncode, built.stderr) == (0, "")
    return run(["vvp", "-N", f"{bench}.vvp"], folder)


def test_testbench_in_icarus(converted, tmp_path):
    done = icarus(copied(converted, tmp_path), "tb_fsa_accelerator")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(r"PASS \d+ cycles, 16 values\n", done.stdout)


@pytest.mark.parametrize("fields", [
    {"reciprocal": "division", "e_type": "bf16", "sa_rows": 8, "sa_cols": 8, "memory_ports": 1, "beat_bytes": 2},
    {"e_type": "e4m3", "a_type": "e6m9", "exp2_pieces": 4, "memory_ports": 8},
    {"acc_size": 80, "spad_size": 96, "inst_queue_size": 1, "matrix_queue": 1, "load_inflight": 1, "port_inflight": 1},
], ids=str)
def test_testbench_of_other_accelerators_in_icarus(tmp_path, fields):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(fields))
    ok("--config", path, "--testbench", "--out", tmp_path / "out")
    done = icarus(tmp_path / "out", "tb_fsa_accelerator")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.match(rf"PASS \d+ cycles, {fields.get('sa_rows', 4) ** 2} values\n", done.stdout)


def test_testbench_of_the_core_in_icarus(converted_core, tmp_path):
    done = icarus(copied(converted_core, tmp_path), "tb_fsa_core")
    assert (done.returncode, done.stderr) == (0, "")
    # 2*(5N+13) + 2N+4 + 19 + 1
    assert done.stdout.startswith("PASS 98 cycles, 16 values\n")


@pytest.mark.parametrize("name", ["FSA8X8Bf16Config", "FSA16X16Fp16Config"])
def test_testbench_of_larger_machines_in_icarus(tmp_path, name):
    ok("--config", name, "--reciprocal", "division", "--top", "core", "--testbench", "--out", tmp_path)
    n = PRESETS[name].rows
    done = icarus(tmp_path, "tb_fsa_core")
    assert done.returncode == 0
    assert done.stdout.startswith(f"PASS {2 * (5 * n + 13) + 2 * n + 4 + 15 + 1} cycles, {n * n} values\n")


def test_testbench_of_other_formats_and_pieces(tmp_path):
    path = tmp_path / "odd.json"
    path.write_text(json.dumps({"e_type": "e4m3", "a_type": "e6m9", "exp2_pieces": 4}))
    ok("--config", path, "--top", "core", "--testbench", "--out", tmp_path / "out")
    assert icarus(tmp_path / "out", "tb_fsa_core").stdout.startswith("PASS 88 cycles, 16 values\n")


@pytest.mark.parametrize(("file", "old", "new", "says"), [
    ("tb_fsa_core_expected.hex", r"^(.*)(.)(?=\n)", lambda m: m[1] + f"{int(m[2], 16) ^ 1:x}",
     r"FAIL row 0 of O\^T, column 0: core (\w{8}), golden model (?!\1)\w{8}\nFAIL 1 of 16 values differ\n"),
    ("tb_fsa_core.v", "CYCLES = 98,", lambda m: "CYCLES = 97,", "FAIL 98 cycles, expected 97\n"),
    ("fsa_core.v", r"(?<=assign busy = )\w+|\.busy\(busy\)", lambda m: ".busy()", "FAIL "),
    ("tb_fsa_core.v", r"LIMIT = \d+", lambda m: "LIMIT = 60",
     r"FAIL cycle limit 60 reached with [1-7] of 8 instructions issued, 0 of 4 rows compared\n"),
], ids=["golden", "cycles", "busy", "limit"])
def test_testbench_of_the_core_can_fail(converted_core, tmp_path, file, old, new, says):
    folder = copied(converted_core, tmp_path)
    text, count = re.subn(old, new, (folder / file).read_text(), count=1)
    assert count == 1
    (folder / file).write_text(text)
    if file == "fsa_core.v":
        # busy is never taken back: the bench must end all the same
        subprocess.run(["iverilog", "-g2005", "-o", "tb_fsa_core.vvp", "-f", "fsa_core.f", "tb_fsa_core.v"], cwd=folder,
                       check=True, capture_output=True)
        done = run(["vvp", "-N", "tb_fsa_core.vvp"], folder)
    else:
        done = icarus(folder, "tb_fsa_core")
    assert re.match(says, done.stdout), done.stdout
    assert "PASS" not in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize(("file", "old", "new", "says"), [
    ("tb_fsa_accelerator_expected.hex", r"^(.*)(.)(?=\n)", lambda m: m[1] + f"{int(m[2], 16) ^ 1:x}",
     r"FAIL row 0 of O\^T, column 0: memory (\w{8}), golden model (?!\1)\w{8}\nFAIL 1 differences\n"),
    # the kernel's first word: an illegal type
    ("tb_fsa_accelerator_words.hex", r"^\w", lambda m: "e", "FAIL register 08: 3, expected 2\n"),
    # a load that misses the memory
    ("tb_fsa_accelerator_words.hex", r"(\n\w+\n\w+)\n(\w+)", lambda m: f"{m[1]}\n1",
     "FAIL register 08: 3, expected 2\nFAIL register 34: 7, expected 0\n"),
    # a fence that does not stop
    ("tb_fsa_accelerator_words.hex", r"1c000000\n$", lambda m: "18000000\n",
     r"FAIL cycle limit \d+ reached with 49 of 49 words sent, 0 of 9 registers read\n"),
    ("fsa_store_port.v", r"bus_wlast = [^;]*;", lambda m: "bus_wlast = 0;",
     r"FAIL port \d: wlast is 0 with 1 beats left\n"),
    ("tb_fsa_accelerator.v", r"LIMIT = \d+", lambda m: "LIMIT = 30",
     r"FAIL cycle limit 30 reached with \d of 49 words sent, 0 of 9 registers read\n"),
], ids=["golden", "type", "outside", "fence", "wlast", "limit"])
def test_testbench_can_fail(converted, tmp_path, file, old, new, says):
    folder = copied(converted, tmp_path)
    text, count = re.subn(old, new, (folder / file).read_text(), count=1)
    assert count == 1
    (folder / file).write_text(text)
    done = icarus(folder, "tb_fsa_accelerator")
    assert re.match(says, done.stdout), done.stdout
    assert "PASS" not in done.stdout
    assert done.returncode != 0


def verilator(folder, bench):
    top = bench.removeprefix("tb_")
    built = run(["verilator", "--binary", "--timing", "-j", "2", "--top-module", bench, "-f", f"{top}.f",
                 f"{bench}.v"], folder)
    assert built.returncode == 0, built.stderr
    return run([f"obj_dir/V{bench}"], folder)


def test_testbench_in_verilator(converted, tmp_path):
    folder = copied(converted, tmp_path)
    done = verilator(folder, "tb_fsa_accelerator")
    assert done.returncode == 0
    # the same cycles as in Icarus
    assert done.stdout.splitlines()[0] == icarus(folder, "tb_fsa_accelerator").stdout.splitlines()[0]
    assert re.match(r"PASS \d+ cycles, 16 values\n", done.stdout)
    expected = folder / "tb_fsa_accelerator_expected.hex"
    expected.write_text(expected.read_text().replace("3", "4", 1))
    broken = run(["obj_dir/Vtb_fsa_accelerator"], folder)
    assert broken.returncode != 0
    assert broken.stdout.startswith("FAIL row ")


@pytest.mark.parametrize("top", ["pe", "accumulator_unit", "controller", "decoder", "dma", "load_port", "store_port"])
def test_testbench_of_a_block_in_icarus(tmp_path, top):
    ok("--top", top, "--testbench", "--out", tmp_path)
    bench = f"tb_fsa_{TOPS[top]}"
    done = icarus(tmp_path, bench)
    cycles = len((tmp_path / f"{bench}_in.hex").read_text().splitlines())
    assert cycles >= 400
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"PASS {cycles}")
    vectors = tmp_path / f"{bench}_out.hex"
    lines = vectors.read_text().splitlines()
    lines[200] = f"{int(lines[200], 16) ^ 1:x}"
    vectors.write_text("\n".join(lines) + "\n")
    done = icarus(tmp_path, bench)
    assert done.returncode != 0
    assert done.stdout.startswith("FAIL cycle 200 ")


@pytest.mark.parametrize("top", ["array", "accumulator", "controller", "decoder"])
def test_testbench_of_a_block_of_stream_in_icarus(tmp_path, top):
    ok("--dataflow", "stream", "--top", top, "--testbench", "--out", tmp_path)
    bench = f"tb_fsa_{TOPS[top]}"
    done = icarus(tmp_path, bench)
    cycles = len((tmp_path / f"{bench}_in.hex").read_text().splitlines())
    assert cycles >= 400
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"PASS {cycles}")
    vectors = tmp_path / f"{bench}_out.hex"
    lines = vectors.read_text().splitlines()
    lines[200] = f"{int(lines[200], 16) ^ 1:x}"
    vectors.write_text("\n".join(lines) + "\n")
    done = icarus(tmp_path, bench)
    assert done.returncode != 0
    assert done.stdout.startswith("FAIL cycle 200 ")


@pytest.mark.slow
def test_testbench_of_the_core_in_verilator(converted_core, tmp_path):
    assert verilator(copied(converted_core, tmp_path), "tb_fsa_core").stdout.startswith("PASS 98 cycles, 16 values\n")


@pytest.mark.slow
def test_testbench_of_a_block_in_verilator(tmp_path):
    ok("--top", "pe", "--testbench", "--out", tmp_path)
    assert verilator(tmp_path, "tb_fsa_pe").stdout.startswith("PASS 400\n")


def test_testbench_needs_two_tiles_of_scratchpad():
    with pytest.raises(TestbenchError, match="needs 24 scratchpad rows, .*: the configuration has 12"):
        core_testbench(Config(scratchpad_rows=12))


def test_testbench_needs_memory_for_the_kernel():
    with pytest.raises(TestbenchError, match="^the testbench's kernel does not fit: .*memory"):
        accelerator_testbench(Config(memory_size=128))


# Locals that are too narrow


LEAVES = [(top, config) for config in (
    Config(), Config(elem=BF16, reciprocal="division"), Config(elem=FP32),
    Config(dataflow="stream", reciprocal="division"),
) for top in tops(config) if top not in ("accelerator", "core", "array", "pe_row")]


@pytest.mark.parametrize(("top", "config"), LEAVES,
                         ids=[f"{top}-{config.elem}-{config.dataflow}" for top, config in LEAVES])
def test_locals_of_every_block_are_wide_enough(top, config):
    converting = design(config, top)
    converted_modules = converting.convert()
    dut, stimuli = standalone(config, converting)
    cycles = 200 if top in IN_CORE else 700
    with watch(dut.instance, converted_modules, dut.name) as widths:
        regression.simulate(dut, {port: values[:cycles] for port, values in stimuli.items()})
    assert set(widths.modules) == set(converted_modules)


@pytest.mark.parametrize("config", [
    Config(), Config(elem=BF16, acc=BF16, reciprocal="division"),
], ids=("newton", "division"))
def test_locals_of_the_core_are_wide_enough(config):
    rng = np.random.default_rng(1)
    q, k, v = (from_float(rng.standard_normal((8, 4)) * 10.0 ** rng.integers(-4, 4, (8, 4)), config.elem)
               for _ in range(3))
    core_run = attention_run(q, k, v, config, True)
    with shared_analysis():
        bench = core_bench(core_run, unsigned(1), partial(watched_core, run=core_run))
    with watch(find(bench, "core"), modules(config, "core"), "core") as widths:
        CycleSimulator(bench).run()
    assert len(core_run.stored) == 2 * config.rows
    used = {(module, scope) for module, scopes in widths.modules.items() for scope, found in scopes.items()
            for local in found.values() if local.most}
    assert {("pe", "registers"), ("systolic", "leave"), ("accumulator_unit", "compute")} <= used


@block
def squares(clock, x, y, mask):
    @always(clock.posedge)
    def square():
        wide = int(x)
        wide = wide * wide * wide
        y.next = wide & mask

    return square


@block
def nested_squares(clock, x, y, mask):
    def cube(v):
        wide = v * v * v
        return wide

    @always(clock.posedge)
    def square():
        y.next = cube(int(x) + 1) & mask

    return square


@pytest.mark.parametrize(("make", "held", "most"), [
    (squares, 4095 ** 3, 1023 ** 3), (nested_squares, 4096, 1024),
], ids=("process", "function"))
def test_a_local_that_leaves_its_interval_is_found(make, held, most):
    def made(width):
        return make(clock=unsigned(1), x=unsigned(width), y=unsigned(12), mask=4095)

    narrow, instance = made(10), made(12)
    converted_modules = Design(narrow, narrow, "squares").convert()
    x = instance.kwargs["x"]
    with pytest.raises(WidthError, match=rf"^squares: \w+ of square held {held}, which is not between \d and {most}$"):
        with watch(instance, converted_modules, "squares"):
            simulator = CycleSimulator(instance)
            simulator.start()
            x.next = 4095
            simulator.settle()
            simulator.edge()


# What the conversion refuses


@block
def adder(clock, a, b, total):
    @always(clock.posedge)
    def add():
        total.next = (a + b) & 15

    return add


def converted_text(top, name="top"):
    return Design(top, top, name).convert()


def test_an_undriven_net_is_refused():
    with pytest.raises(HierarchyError, match=r"^top: net \w*middle\w* is read and driven by nobody"):
        converted_text(wrapper(unsigned(1), unsigned(4), unsigned(4), unsigned(4)))


def test_a_declared_constant_is_not():
    text = converted_text(wrapper(unsigned(1), unsigned(4), unsigned(4), constant(4, 9)))["top"].text
    assert re.search(r"^assign (\w+) = 4'd9;$", text, re.MULTILINE)


def test_a_constant_that_is_driven_is_refused():
    with pytest.raises(HierarchyError, match="is declared constant and driven"):
        converted_text(doubled(unsigned(1), unsigned(4), constant(4, 9), unsigned(4)))


class Hidden:
    """Signals that a block has from elsewhere: no ports."""

    def __init__(self, *signals):
        self.signals = {"all": signals}


@block
def wrapper_of(clock, a, total, hidden):
    middle, = hidden.signals["all"]
    return adder(clock, a, middle, total)


def wrapper(clock, a, total, middle):
    return wrapper_of(clock, a, total, Hidden(middle))


@block
def doubled_of(clock, a, total, hidden):
    middle, = hidden.signals["all"]
    return adder(clock, a, a, middle), adder(clock, middle, a, total)


def doubled(clock, a, middle, total):
    return doubled_of(clock, a, total, Hidden(middle))


@block
def undriven_list(clock, a, total):
    words = [unsigned(4) for _ in range(3)]
    parts = [adder(clock, a, a, words[i]) for i in range(2)]

    @always_comb
    def out():
        word = 0
        for i in range(3):
            word = word ^ int(words[i])
        total.next = word

    return parts, out


def test_an_undriven_element_of_a_list_is_refused():
    with pytest.raises(HierarchyError, match=r"^top: net words\[2\] is read and driven by nobody"):
        converted_text(undriven_list(unsigned(1), unsigned(4), unsigned(4)))


@block
def keyword_port(clock, reg, total):
    return adder(clock, reg, reg, total)


@block
def keyword_signal(clock, a, total):
    bit = unsigned(4)
    return adder(clock, a, a, bit), adder(clock, bit, a, total)


@block
def keyword_local(clock, a, total):
    @always(clock.posedge)
    def add():
        logic = int(a) + 1
        total.next = logic & 15

    return add


@block
def keyword_process(clock, a, total):
    @always(clock.posedge)
    def initial():
        total.next = a

    return initial


def plus_one(x):
    y = x + 1
    return y


plus_one.__name__ = "task"


@block
def keyword_function(clock, a, total):
    increment = plus_one

    @always(clock.posedge)
    def add():
        total.next = increment(int(a)) & 15

    return add


@pytest.mark.parametrize(("make", "name"), [
    (keyword_port, "reg"), (keyword_signal, "bit"), (keyword_local, "logic"), (keyword_process, "initial"),
    (keyword_function, "task"),
], ids=lambda value: getattr(value, "__name__", value))
def test_a_name_that_is_a_keyword_is_refused(make, name):
    with pytest.raises(HierarchyError, match=rf"^top: {name} is named like a keyword of Verilog$"):
        converted_text(make(unsigned(1), unsigned(4), unsigned(4)))


@block
def delayed(clock, a, b):
    @always(clock.posedge)
    def follow():
        b.next = a

    return follow


@block
def two_delays(clock, a, total, first, second):
    """``first`` and ``second`` are where the second one's input and output start."""
    inputs = [unsigned(4), unsigned(4, first)]
    outputs = [unsigned(4), unsigned(4, second)]
    parts = [delayed(clock, inputs[i], outputs[i]) for i in range(2)]

    @always(clock.posedge)
    def add():
        for i in range(2):
            inputs[i].next = a
        total.next = outputs[0] & outputs[1]

    return parts, add


def test_instances_that_start_differently_are_refused():
    def make(first, second):
        with shared_analysis(), distinct_blocks():
            return two_delays(unsigned(1), unsigned(4), unsigned(4), first, second)

    assert "b <= 4'd0;" in converted_text(make(0, 0))["delayed"].text
    # where an input starts is not in the module
    assert "inputs <= {4'd5, 4'd0};" in converted_text(make(5, 0))["top"].text
    with pytest.raises(HierarchyError, match="^delayed: port b starts at 0 in one instance and at 5 in another"):
        converted_text(make(0, 5))


@block
def process_like_a_port(clock, a, total):
    @always(clock.posedge)
    def copy():
        total.next = a

    copy.func.__name__ = "total"
    return copy


def test_two_things_of_one_name_are_refused():
    with pytest.raises(HierarchyError, match="^top: two of its nets, processes and instances are called total$"):
        converted_text(process_like_a_port(unsigned(1), unsigned(4), unsigned(4)))


def test_blocks_of_one_function_with_and_without_a_shared_signal():
    """``doubled`` adds one signal to itself, and two: no module may be both."""
    converted_modules = converted_text(doubled(unsigned(1), unsigned(4), unsigned(4), unsigned(4)))
    assert list(converted_modules) == ["adder_0", "adder_1", "top"]
    assert "total <= a + a;" in converted_modules["adder_0"].text
    assert "total <= a + b;" in converted_modules["adder_1"].text
    assert converted_modules["top"].instantiated == ("adder_0", "adder_1")
    assert len(set(converted_modules["top"].instances)) == 2

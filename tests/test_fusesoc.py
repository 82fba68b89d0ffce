"""``fsa-convert --fusesoc``: the core file says what the folder holds, and FuseSoC lints and simulates by it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from myhdl_fsa.cli.convert import main
from myhdl_fsa.convert.check import LINTS
from myhdl_fsa.convert.fusesoc import core_file, core_name
from myhdl_fsa.convert.output import MANIFEST

NAME = "FSA4X4Fp16Config"


def fsa_convert(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def core(path):
    """What a core file says behind its first line."""
    first, text = path.read_text().split("\n", 1)
    assert first == "CAPI=2:"
    return yaml.safe_load(text)


def fusesoc(folder, *args):
    """FuseSoC with nothing but the core files in ``folder``; its own settings stay there too."""
    home = {name: str(folder / "home") for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(["fusesoc", "--cores-root", ".", *args], cwd=folder, capture_output=True, text=True,
                          check=False, timeout=300, env={**os.environ, **home, "PATH": path})


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """The 4x4 core and its PE with their testbenches, in two folders below one."""
    folder = tmp_path_factory.mktemp("fusesoc")
    for top in ("core", "pe"):
        result = fsa_convert("--top", top, "--testbench", "--fusesoc", "--out", folder / top)
        assert result.exit_code == 0, result.output
        end = rf" bytes in {folder / top}, and tb_fsa_{top}\.v, fsa_{top}\.core: \d+\.\d s\n$"
        assert re.search(end, result.stdout)
    return folder


def test_the_core_file_names_the_folders_files(converted):
    folder = converted / "core"
    said = core(folder / "fsa_core.core")
    assert said["name"] == f"myhdl-fsa:{NAME}:fsa_core:0.1.0"
    rtl, bench = said["filesets"]["rtl"], said["filesets"]["tb"]
    assert rtl["file_type"] == bench["file_type"] == "verilogSource-2005"
    assert rtl["files"] == (folder / "fsa_core.f").read_text().split()
    module, *data = bench["files"]
    assert module == "tb_fsa_core.v"
    named = [name for file in data for name in file]
    assert sorted(named) == sorted(path.name for path in folder.glob("*.hex"))
    assert data == [{name: {"file_type": "user", "copyto": name}} for name in named]
    assert {name: (target["filesets"], target["toplevel"]) for name, target in said["targets"].items()} == {
        "default": (["rtl"], "fsa_core"), "lint": (["rtl"], "fsa_core"), "sim": (["rtl", "tb"], "tb_fsa_core")}
    assert "fsa_core.core" in (folder / MANIFEST).read_text()


def test_it_lints_as_check_does(converted):
    lint, sim = (core(converted / "pe" / "fsa_pe.core")["targets"][name]["flow_options"] for name in ("lint", "sim"))
    assert ("--lint-only", *lint["verilator_options"]) == LINTS["verilator"]
    assert (*sim["iverilog_options"], "-Wall") == LINTS["icarus"]


def test_without_a_testbench_there_is_no_simulation(tmp_path):
    assert fsa_convert("--top", "pe", "--fusesoc", "--out", tmp_path).exit_code == 0
    said = core(tmp_path / "fsa_pe.core")
    assert list(said["targets"]) == ["default", "lint"]
    assert list(said["filesets"]) == ["rtl"]
    assert fsa_convert("--top", "pe", "--out", tmp_path).exit_code == 0
    assert not (tmp_path / "fsa_pe.core").exists()


def test_fusesoc_finds_lints_and_simulates(converted):
    listed = fusesoc(converted, "core", "list")
    assert f"myhdl-fsa:{NAME}:fsa_core:0.1.0" in listed.stdout, listed.stderr
    lint = fusesoc(converted, "run", "--target", "lint", f"myhdl-fsa:{NAME}:fsa_core")
    assert lint.returncode == 0, lint.stderr
    assert "verilator" in lint.stdout
    assert "Warning" not in lint.stdout + lint.stderr
    sim = fusesoc(converted, "run", "--target", "sim", "fsa_core")
    assert sim.returncode == 0, sim.stderr
    assert re.search(r"^PASS \d+ cycles", sim.stdout, re.M)


@pytest.mark.slow
def test_verilator_simulates_too(converted):
    sim = fusesoc(converted, "run", "--target", "sim", "fsa_pe", "--tool", "verilator")
    assert sim.returncode == 0, sim.stderr
    assert "verilator" in sim.stdout
    assert re.search(r"^PASS ", sim.stdout, re.M)


@pytest.mark.parametrize(("target", "files", "change", "told"), [
    ("lint", "fsa_comparator.v", ("always @", "wire [3:0] narrow = 5'd9;\nalways @"), "WIDTH"),
    ("sim", "*.hex", ("0", "1"), "FAIL"),
], ids=["lint", "sim"])
def test_what_fails_fails_in_fusesoc(tmp_path, target, files, change, told):
    """A warning of the lint is fatal, and so is a value that the testbench does not expect."""
    assert fsa_convert("--top", "comparator", "--testbench", "--fusesoc", "--out", tmp_path).exit_code == 0
    for path in tmp_path.glob(files):
        text = path.read_text()
        path.write_text(text.replace(*change))
        assert path.read_text() != text
    done = fusesoc(tmp_path, "run", "--target", target, "fsa_comparator")
    assert done.returncode != 0, done.stdout
    assert told in done.stdout + done.stderr


@pytest.mark.parametrize(("library", "named"), [
    ("mine", "mine"), ("my machine: 8x8 (é)", "my_machine__8x8____"), ("a.b-c_d", "a.b-c_d"),
])
def test_a_name_that_fusesoc_takes(library, named):
    assert core_name(library, "fsa_pe", "0.1.0") == f"myhdl-fsa:{named}:fsa_pe:0.1.0"


def test_a_configuration_file_with_any_name(tmp_path):
    config = tmp_path / "my \"machine\": 1.json"
    config.write_text("{}")
    result = fsa_convert("--config", config, "--top", "pe", "--fusesoc", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert core(tmp_path / "out" / "fsa_pe.core")["name"] == "myhdl-fsa:my__machine___1:fsa_pe:0.1.0"
    assert "fsa_pe:0.1.0" in fusesoc(tmp_path, "core", "list").stdout


def test_strings_are_quoted():
    text = core_file("a:b:no:0", ["on.v", "no.v"], ["tb_no.v", "null.hex"])
    said = yaml.safe_load(text.split("\n", 1)[1])
    assert said["filesets"]["rtl"]["files"] == ["on.v", "no.v"]
    assert said["targets"]["default"]["toplevel"] == "no"
    assert said["filesets"]["tb"]["files"][1] == {"null.hex": {"file_type": "user", "copyto": "null.hex"}}


def test_a_foreign_core_file_is_left_alone(tmp_path):
    (tmp_path / "fsa_pe.core").write_text("mine")
    result = fsa_convert("--top", "pe", "--fusesoc", "--out", tmp_path)
    assert result.exit_code == 1
    assert "fsa_pe.core is there already and not from fsa-convert" in result.stderr
    assert os.listdir(tmp_path) == ["fsa_pe.core"]


def test_the_configuration_is_not_written_over_it(tmp_path):
    where = tmp_path / "fsa_pe.core"
    result = fsa_convert("--top", "pe", "--fusesoc", "--json", where, "--out", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"fsa-convert: error: --json {where}: is a file of the converted folder too: must be another\n")

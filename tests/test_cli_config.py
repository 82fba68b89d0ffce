"""``--config`` of both commands, and ``fsa-convert --schema``: what a user sees."""

import json

import pytest
from click.testing import CliRunner

from myhdl_fsa.cli import convert, sim
from myhdl_fsa.config import Config
from myhdl_fsa.config_schema import schema

COMMANDS = {"fsa-sim": sim.main, "fsa-convert": convert.main}


def run(command, *args):
    """Runs the command in this process."""
    return CliRunner().invoke(COMMANDS[command], [str(arg) for arg in args])


def refused(command, *args):
    """The one line of the error, without the command's name."""
    result = run(command, *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"{command}: error: ")
    return result.stderr.strip().removeprefix(f"{command}: error: ")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("content", "says"), [
    ('{"sa_rows": 300}', "sa_rows = 300: must be an integer from 2 to 256"),
    ('{"sa_rows": 8, "sa_rows": 16}', '"sa_rows" is there twice: must be there once'),
    ('{"mem_align": 4}', "mem_align = 4: the accelerator needs a multiple of beat_bytes (8): "
                         "the bare core takes it (top core)"),
    ('{"sa_rows": 256}', "sa_rows = 256: the accelerator needs accumulator rows of at most 1023 bytes, "
                         "as in DMA words: the bare core takes it (top core)"),
])  # fmt: skip
def test_a_file_is_named_once_with_its_own_field(command, content, says, tmp_path):
    path = tmp_path / "odd.json"
    path.write_text(content)
    assert refused(command, "--config", path) == f"--config {path}: {says}"


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dataflow_that_the_file_has_no_room_for(command, tmp_path):
    path = tmp_path / "small.json"
    path.write_text('{"spad_size": 96}')
    says = "spad_size = 96: the stream dataflow needs at least 128: two Q tiles, one K and one V tile"
    assert refused(command, "--config", path, "--top", "core", "--dataflow", "stream") == (
        f"--dataflow stream: --config {path}: {says}")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_preset_in_the_wrong_case(command):
    assert refused(command, "--config", "fsa4x4fp16config").startswith(
        "--config fsa4x4fp16config: is unknown: did you mean 'FSA4X4Fp16Config'? Known are FSA4X4Fp16Config, ")


def test_a_file_that_is_not_named_json(tmp_path, monkeypatch):
    (tmp_path / "machine").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert refused("fsa-sim", "--config", "machine") == (
        "--config machine: is no configuration known by name; a file must be named .json, or have its folder before it "
        "(./machine)")


def test_a_written_configuration_can_be_changed_and_run(tmp_path):
    path, out = tmp_path / "own.json", tmp_path / "run.json"
    assert run("fsa-convert", "--top", "pe", "--json", path, "--out", tmp_path / "out").exit_code == 0
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "sa_rows": 8, "sa_cols": 8}))
    result = run("fsa-sim", "--config", path, "--engine", "golden", "--json", out)
    assert (result.exit_code, result.stderr) == (0, "")
    written = json.loads(out.read_text())["config"]
    assert Config.from_dict(written) == Config(rows=8, name="FSA4X4Fp16Config")


def test_schema():
    result = run("fsa-convert", "--schema", "--config", "nothing")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == schema()

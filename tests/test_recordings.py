"""fsa-sim --trace and --animate: what they write, and what bad input gets."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from myhdl_fsa.cli import recordings
from myhdl_fsa.cli.sim import main
from myhdl_fsa.trace import read_trace

CORE = ("--top", "core", "--quiet")


def fsa_sim(*args):
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    assert isinstance(result.exception, SystemExit | None), result.exception
    return result


def refused(status, *args):
    result = fsa_sim(*args)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (status, "", 1), result.output
    return result.stderr


@pytest.mark.parametrize("top", ["core", "accelerator"])
def test_a_trace_says_what_the_run_says(top, tmp_path):
    result = fsa_sim("--top", top, "--seq-kv", 8, "--trace", tmp_path / "t.jsonl")
    trace = read_trace((tmp_path / "t.jsonl").read_text().splitlines())
    assert f"Cycles: {trace.cycles}\n" in result.stdout
    assert {item.name for item in trace.instructions} >= {"LOAD", "ATTN_SCORE", "ATTN_VALUE", "STORE"}


def test_a_trace_to_standard_output_is_all_that_is_there():
    result = fsa_sim("--top", "core", "--trace", "-")
    assert result.stderr == ""
    assert len(read_trace(result.stdout.splitlines()).frames) > 60


@pytest.mark.parametrize("suffix", [".html", ".gif", ".png"])
@pytest.mark.parametrize("compare", [(), ("--compare", "fsa,stream")])
def test_an_animation_is_the_file_that_its_name_says(suffix, compare, tmp_path):
    path = tmp_path / f"a{suffix}"
    assert fsa_sim("--top", "core", "--wave-to", 30, "--quiet", *compare, "--animate", path).exit_code == 0
    assert path.read_bytes().startswith({".html": b"<!DOCTYPE html>", ".gif": b"GIF89a", ".png": b"\x89PNG"}[suffix])
    assert [item.name for item in tmp_path.iterdir()] == [path.name]


def test_an_animation_that_cannot_be_written_is_found_before_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr("myhdl_fsa.cli.attention.simulated", lambda *_: pytest.fail("the simulation ran"))
    (tmp_path / "folder.gif").mkdir()
    for path in (tmp_path / "folder.gif", tmp_path / "no" / "such.html", tmp_path / ("x" * 300 + ".png")):
        assert refused(2, *CORE, "--animate", path).startswith(f"fsa-sim: error: --animate {path}: cannot write: ")
    assert [item.name for item in tmp_path.iterdir()] == ["folder.gif"]


@pytest.mark.parametrize(("option", "name"), [("--trace", "t.jsonl"), ("--animate", "a.html"), ("--animate", "a.gif")])
def test_a_full_disk_leaves_one_line(option, name, tmp_path):
    path = tmp_path / name
    path.symlink_to("/dev/full")
    line = refused(1, *CORE, option, path)
    assert line == f"fsa-sim: error: {option} {path}: cannot write: No space left on device\n"


@pytest.mark.parametrize("option", ["--trace", "--animate"])
def test_a_window_behind_the_run_leaves_nothing(option, tmp_path):
    path = tmp_path / "a.html"
    assert refused(1, *CORE, option, path, "--wave-from", 5000) == (
        "fsa-sim: error: nothing to record: the run ended in cycle 85, before cycle 5000\n")
    assert not path.exists()


def test_a_cycle_limit_leaves_no_trace(tmp_path):
    path = tmp_path / "t.jsonl"
    assert "cycle limit 40 reached" in refused(1, *CORE, "--trace", path, "--max-cycles", 40)
    assert not path.exists()


def test_a_film_without_end_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "MAX_FILM", 50)
    path = tmp_path / "a.gif"
    assert refused(1, *CORE, "--animate", path) == (
        f"fsa-sim: error: --animate {path}: 82 cycles: a film has at most 50: bound them, as with --wave-from 4 "
        "--wave-to 53, or make a page (.html)\n")
    assert not path.exists()
    assert fsa_sim(*CORE, "--animate", path, "--wave-to", 53).exit_code == 0


def test_a_film_that_takes_long_to_draw_is_announced(tmp_path, monkeypatch):
    monkeypatch.setattr(recordings, "PATIENCE", 0.1)
    window = ("--top", "core", "--wave-from", 30, "--wave-to", 39)
    result = fsa_sim(*window, "--animate", tmp_path / "a.gif")
    assert result.stderr == "fsa-sim: drawing 10 cycles, about 0 s\n"
    assert fsa_sim(*window, "--animate", tmp_path / "a.html").stderr == ""
    assert fsa_sim(*window, "--quiet", "--animate", tmp_path / "a.gif").stderr == ""


def test_two_outputs_are_not_one_file(tmp_path):
    path = Path(tmp_path / "a.html")
    assert "is the file of" in refused(2, *CORE, "--trace", path, "--animate", path)

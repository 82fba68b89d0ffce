"""The build cache's size: the limit, what goes first, what stays, and --clear-cache."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from myhdl_fsa.cli.sim import main
from myhdl_fsa.sims import build_cache, cache_space
from myhdl_fsa.sims.build_cache import BuildCache
from myhdl_fsa.sims.build_time import SECONDS, announcement, estimate
from myhdl_fsa.sims.cache_space import DEFAULT_MIB, LIMIT_VARIABLE, CacheLimitError, clear, limit
from myhdl_fsa.workbench.temporary import temporary_folder

HALF_MIB = 1 << 19


@pytest.fixture(autouse=True)
def cache_of_ones_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    yield
    let_go()


def let_go():
    """As if the process that used the entries had ended."""
    while build_cache._in_use:
        build_cache._in_use.pop().close()


def name(number):
    return f"{number:032x}"


def fill(root, number, kind="icarus", used=None):
    """An entry of half a MiB, last used so many seconds ago by a process that ended."""
    key = name(number)
    folder = BuildCache(kind, root).get(key, lambda place: (place / "file").write_bytes(bytes(HALF_MIB)), key)
    let_go()
    if used is not None:
        then = (folder / "complete.json").stat().st_mtime - used
        os.utime(folder / "complete.json", (then, then))
    return folder


def test_the_entries_used_longest_ago_go(tmp_path, monkeypatch):
    first, second = fill(tmp_path, 1, used=300), fill(tmp_path, 2, "verilator", used=200)
    third = fill(tmp_path, 3, "lockstep", used=100)
    # used again
    assert BuildCache("icarus", tmp_path).find(name(1)) == first
    let_go()
    monkeypatch.setenv(LIMIT_VARIABLE, "2")
    fourth = fill(tmp_path, 4)
    assert [folder.exists() for folder in (first, second, third, fourth)] == [True, False, True, True]
    # what led to it is forgotten too, and nothing else
    assert not list((tmp_path / "verilator").glob("*.entry"))
    assert len(list((tmp_path / "icarus").glob("*.entry"))) == 2
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    fifth = fill(tmp_path, 5)
    assert [path for path in tmp_path.glob("*/*") if (path / "file").exists()] == [fifth]


def test_what_a_running_process_uses_stays(tmp_path, monkeypatch):
    script = "import sys; from myhdl_fsa.sims.build_cache import BuildCache; from pathlib import Path\n" \
             "print(BuildCache('icarus', Path(sys.argv[1])).find(sys.argv[2]), flush=True); sys.stdin.readline()"
    folder = fill(tmp_path, 1, used=300)
    other = fill(tmp_path, 2)
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script, tmp_path, name(1)], text=True, **streams) as run:
        assert run.stdout.readline() == f"{folder}\n"
        monkeypatch.setenv(LIMIT_VARIABLE, "1")
        third = fill(tmp_path, 3)
        assert [path.exists() for path in (folder, other, third)] == [True, False, True]
        done = clear(tmp_path)
        assert (done.builds, done.in_use, done.failures) == (1, 1, [])
        assert (folder / "file").exists()
        run.communicate("\n")
    done = clear(tmp_path)
    assert (done.builds, done.in_use) == (1, 0)
    assert not list((tmp_path).glob("icarus*"))


@pytest.mark.parametrize("given", ["many", "-1", "1.5", "1e3", " "])
def test_a_limit_that_is_none(given, monkeypatch, tmp_path):
    monkeypatch.setenv(LIMIT_VARIABLE, given)
    says = f"{LIMIT_VARIABLE} {given}: must be a whole number of MiB, from 0"
    with pytest.raises(CacheLimitError) as error:
        BuildCache("icarus", tmp_path)
    assert str(error.value) == says
    for arguments in (["--engine", "verilator"], ["--engine", "icarus"], ["--lockstep", "icarus"]):
        done = CliRunner().invoke(main, arguments)
        assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"fsa-sim: error: {' '.join(says.split())}\n")


def test_the_limit(monkeypatch):
    assert limit() == DEFAULT_MIB << 20
    monkeypatch.setenv(LIMIT_VARIABLE, "7")
    assert limit() == 7 << 20


# ---- --clear-cache

def clear_cache(*arguments):
    return CliRunner().invoke(main, ["--clear-cache", *map(str, arguments)])


def test_clear_cache(tmp_path):
    root = tmp_path / "builds"
    fill(root, 1)
    fill(root, 2, "verilator")
    killed = root / "verilator" / ".building-killed"
    killed.mkdir()
    (killed / "half").write_bytes(bytes(HALF_MIB))
    size = sum(path.stat().st_size for path in root.glob("*/*/*") if path.suffix != ".lock")
    (root / "notes").write_text("mine")
    for foreign in ("verilator/source/file", f"verilator/{name(1)}.txt/file", "mine/complete.json"):
        (root / foreign).parent.mkdir(parents=True, exist_ok=True)
        (root / foreign).write_text("mine")
    done = clear_cache("--build-dir", root)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"Removed 2 builds from {root}: {size / 1e6:.1f} MB freed\n"
    left = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert left == sorted(["notes", "verilator/source/file", f"verilator/{name(1)}.txt/file", "mine/complete.json"])
    again = clear_cache("--build-dir", root)
    assert (again.exit_code, again.stdout) == (0, f"Removed 0 builds from {root}: 0.0 MB freed\n")


def test_clear_cache_of_the_user(tmp_path):
    root = tmp_path / "home" / "myhdl-fsa"
    folder = fill(None, 1)
    assert folder.is_relative_to(root)
    # nothing was built in the place that is named
    assert clear_cache("--build-dir", tmp_path / "none").stdout.startswith("Removed 0 builds")
    assert folder.exists()
    assert not (tmp_path / "none").exists()
    done = clear_cache("--quiet")
    assert (done.exit_code, done.output) == (0, "")
    assert not folder.exists()


def test_clear_cache_leaves_a_build_that_goes_on(tmp_path):
    def build(place):
        during.append(clear_cache("--build-dir", tmp_path))
        (place / "file").write_text("x")

    during = []
    folder = BuildCache("icarus", tmp_path).get(name(1), build)
    assert during[0].stdout.splitlines() == [
        f"Removed 0 builds from {tmp_path}: 0.0 MB freed", "Kept 1 build that running processes use",
    ]
    assert (folder / "file").read_text() == "x"


def test_clear_cache_says_what_it_cannot_remove(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(cache_space, "_remove", refuse)
    folders = [fill(tmp_path, 1), fill(tmp_path, 2)]
    done = clear_cache("--build-dir", tmp_path)
    assert done.exit_code == 1
    assert done.stderr in {
        f"fsa-sim: error: --clear-cache: cannot remove {folder}: Permission denied, and 1 more\n" for folder in folders
    }
    assert all(folder.exists() for folder in folders)


@pytest.mark.parametrize(("arguments", "says"), [
    (["--seq-q", "4"], "--clear-cache: does nothing else: cannot go with --seq-q 4"),
    (["--engine", "verilator"], "--clear-cache: does nothing else: cannot go with --engine verilator"),
    (["--build-dir", __file__], f"--build-dir {__file__}: is not a folder"),
])
def test_clear_cache_with_what_it_does_not_do(arguments, says):
    done = clear_cache(*arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"fsa-sim: error: {says}\n")


def test_the_cache_holds_folders_that_are_not_there_any_more(tmp_path):
    with temporary_folder(tmp_path, ".building-") as folder:
        folder.rename(tmp_path / "moved")
    assert [path.name for path in tmp_path.iterdir()] == ["moved"]


# ---- how long a build takes

def test_an_estimate_is_what_was_measured_and_grows_with_the_array():
    for (simulator, top), measured in SECONDS.items():
        seconds = [estimate(simulator, top, rows) for rows in range(4, 300)]
        assert seconds == sorted(seconds)
        assert min(seconds) >= 1
        for rows, exact in measured.items():
            assert abs(estimate(simulator, top, rows) - exact) <= max(0.5, 2.5 * (exact >= 9.5))
    assert announcement("verilator", "accelerator", 64) == "building the simulator once, about 15 s"
    assert announcement("verilator", "pe", 64) == "building the simulator once"

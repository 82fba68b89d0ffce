"""The Verilator engine: the numbers, bits and cycles of the MyHDL engine, and a build cache that is never trusted."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32
from myhdl_fsa.cli.sim import main
from myhdl_fsa.config import Config
from myhdl_fsa.convert import design
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import RunError, engine
from myhdl_fsa.sims import core_engine, verilator_core, verilator_engine
from myhdl_fsa.sims.build_cache import MARKER, BuildCache
from myhdl_fsa.sims.build_time import announcement
from myhdl_fsa.sims.core_bench import attention_run
from myhdl_fsa.sims.core_engine import MyHDLEngine
from myhdl_fsa.sims.verilator_engine import VerilatorEngine, executable
from myhdl_fsa.workbench.temporary import temporary_folder

FLOAT64 = "{'MAE': 4.951203e-05, 'MSE': 5.370038e-09, 'MaxErr': 0.0001521907, 'RelErr': 0.000105008105}"
PUBLISHED = "{'MAE': 9.6587464e-05, 'MSE': 1.6099552e-08, 'MaxErr': 0.00030440092, 'RelErr': 0.00019886618}"
FOUR = Config(rows=4, cols=4)


def operands(config, tiles_q, tiles_kv, special=False):
    rng = np.random.default_rng(5)
    n = config.rows

    def draw(tiles):
        values = rng.normal(size=(tiles * n, n))
        if special:
            odd = rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan, 6e4, 1e-7], size=values.shape)
            values = np.where(rng.random(values.shape) < 0.1, odd, values)
        return from_float(values, config.elem)

    return draw(tiles_q), draw(tiles_kv), draw(tiles_kv)


def compare(build_dir, config, tiles_q, tiles_kv, causal=False, special=False):
    q, k, v = operands(config, tiles_q, tiles_kv, special)
    ours = MyHDLEngine().attention(q, k, v, config, causal=causal)
    theirs = VerilatorEngine(build_dir).attention(q, k, v, config, causal=causal)
    np.testing.assert_array_equal(theirs.output, ours.output)
    np.testing.assert_array_equal(theirs.output, golden.attention(q, k, v, config, causal=causal))
    assert (theirs.cycles, theirs.inner_iteration_cycles) == (ours.cycles, ours.inner_iteration_cycles)


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(("tiles_q", "tiles_kv", "causal"), [(1, 1, False), (1, 3, False), (3, 2, False), (3, 3, True)])
def test_same_bits_and_cycles_as_myhdl(build_dir, tiles_q, tiles_kv, causal, special):
    compare(build_dir, FOUR, tiles_q, tiles_kv, causal, special)


@pytest.mark.parametrize("config", [
    FOUR.replace(reciprocal="division"),
    pytest.param(FOUR.replace(elem=BF16), marks=pytest.mark.slow),
    pytest.param(FOUR.replace(elem=FP32), marks=pytest.mark.slow),
    Config(rows=8, cols=8),
    pytest.param(Config(rows=8, cols=8, elem=BF16, reciprocal="division"), marks=pytest.mark.slow),
    pytest.param(Config(rows=16, cols=16), marks=pytest.mark.slow),
], ids=lambda config: f"{config.rows}-{config.elem}-{config.reciprocal}")
def test_other_machines(build_dir, config):
    compare(build_dir, config, 2, 2, causal=True, special=True)


@pytest.mark.slow
@pytest.mark.parametrize("elem", [FP16, BF16])
@pytest.mark.parametrize("n", [32, 64, 128])
def test_large_machines_against_golden(build_dir, n, elem):
    config = Config(rows=n, cols=n, elem=elem)
    q, k, v = operands(config, 2, 2, special=True)
    for causal in (False, True):
        result = VerilatorEngine(build_dir).attention(q, k, v, config, causal=causal)
        np.testing.assert_array_equal(result.output, golden.attention(q, k, v, config, causal=causal))
        visits = 3 if causal else 4
        assert result.cycles == visits * (5 * n + 13) + 2 * (2 * n + 4 + 19) + 1
        assert result.inner_iteration_cycles == 5 * n + 13


@pytest.mark.parametrize("serial", [False, True])
def test_every_instruction_is_issued_when_myhdl_issues_it(build_dir, serial):
    q, k, v = operands(FOUR, 2, 3)
    runs = [replace(attention_run(q, k, v, FOUR, causal=True), serial=serial) for _ in range(2)]
    core_engine.simulate(runs[0])
    verilator_core.simulate(runs[1], build_dir=build_dir)
    for name in ("issued", "overlap", "idle", "finished", "cycle", "stored"):
        assert getattr(runs[1], name) == getattr(runs[0], name), name


@pytest.mark.parametrize("limit", [1, 30, 64])
def test_cycle_limit(build_dir, limit):
    q, k, v = operands(FOUR, 2, 2)
    messages = []
    for machine in (MyHDLEngine(), VerilatorEngine(build_dir)):
        with pytest.raises(RunError) as error:
            machine.attention(q, k, v, FOUR, max_cycles=limit)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
    assert messages[0].startswith(f"cycle limit {limit} reached with ")


def test_progress(build_dir):
    calls = []
    q, k, v = operands(FOUR, 10, 100)
    result = VerilatorEngine(build_dir).attention(q, k, v, FOUR, progress=lambda *call: calls.append(call))
    assert result.cycles == 10 * (100 * 33 + 12 + 19) + 1
    assert calls == sorted(calls)
    assert all(0 <= cycle <= expected == result.cycles for cycle, expected in calls)


def test_an_exception_in_progress_ends_the_simulation(build_dir):
    def stop(cycle, expected):
        raise KeyboardInterrupt

    q, k, v = operands(FOUR, 10, 100)
    with pytest.raises(KeyboardInterrupt):
        VerilatorEngine(build_dir).attention(q, k, v, FOUR, progress=stop)


# ---- the cache

@pytest.fixture
def own(build_dir, tmp_path):
    """A cache of one's own with the build of FOUR in it; gives its root and the build's folder."""
    folder = executable(FOUR, build_dir=build_dir).parent
    kept = {path for path in (build_dir / "verilator").glob("*.entry") if path.read_text().strip() == folder.name}
    (tmp_path / "verilator").mkdir()
    shutil.copytree(folder, tmp_path / "verilator" / folder.name)
    for path in kept:
        shutil.copy(path, tmp_path / "verilator")
    return tmp_path, tmp_path / "verilator" / folder.name


@pytest.fixture
def counted(monkeypatch, own):
    """Counts builds, which take the program from the shared cache instead of compiling it anew."""
    program = (own[1] / "core").read_bytes()
    built = []

    def build(tool, sources, harness, flags, place):
        built.append(place)
        place.write_bytes(program)
        place.chmod(0o755)

    monkeypatch.setattr(verilator_engine, "_build", build)
    return built


def test_a_complete_build_is_reused_without_converting(own, counted, monkeypatch):
    def convert(*args):
        raise AssertionError("converted again")

    monkeypatch.setattr("myhdl_fsa.convert.design.verilog_modules", convert)
    assert executable(FOUR, build_dir=own[0]) == own[1] / "core"
    # the name is no part of the machine
    assert executable(FOUR.replace(name="other"), build_dir=own[0]) == own[1] / "core"
    assert not counted


def truncate(folder):
    program = folder / "core"
    program.write_bytes(program.read_bytes()[:1000])


DAMAGE = {
    "truncated program": truncate,
    "no program": lambda folder: (folder / "core").unlink(),
    "no marker": lambda folder: (folder / MARKER).unlink(),
    "garbage marker": lambda folder: (folder / MARKER).write_bytes(b"\xff\x00{"),
    "empty marker": lambda folder: (folder / MARKER).write_text("{}"),
    "marker of something else": lambda folder: (folder / MARKER).write_text(json.dumps({"core": "00"})),
    "a file in its place": lambda folder: (shutil.rmtree(folder), folder.write_text("core")),
    "empty": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_build_is_built_again(own, counted, damage):
    root, folder = own
    DAMAGE[damage](folder)
    for _ in range(2):
        q, k, v = operands(FOUR, 1, 1)
        assert VerilatorEngine(root).attention(q, k, v, FOUR).cycles == 65
    assert len(counted) == 1
    assert not list((root / "verilator").glob(".building-*"))


def test_another_top_and_harness_are_another_build(own, monkeypatch):
    root, folder = own
    built = []

    def build(tool, sources, harness, flags, place):
        built.append((list(sources)[-1], harness, {*flags} & {"array", "Varray", "core", "Vcore"}))
        place.touch()

    monkeypatch.setattr(verilator_engine, "_build", build)
    programs = [executable(FOUR, build_dir=root, top="array", harness="mine") for _ in range(2)]
    assert programs[0] == programs[1]
    assert programs[0].name == "array"
    programs.append(executable(FOUR, build_dir=root, harness="mine"))
    assert len({folder, programs[0].parent, programs[2].parent}) == 3
    assert built == [("fsa_systolic", "mine", {"array", "Varray"}), ("fsa_core", "mine", {"core", "Vcore"})]


@pytest.mark.parametrize("text", ["", "../elsewhere\n", "nothing\n", "\x00"])
def test_a_damaged_index_is_not_trusted(own, counted, text):
    root, folder = own
    for path in (root / "verilator").glob("*.entry"):
        path.write_text(text)
    assert executable(FOUR, build_dir=root) == folder / "core"
    assert not counted


def test_a_build_that_fails_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("myhdl_fsa.convert.design.verilog_modules", lambda *args: {"core": "module core(; endmodule\n"})
    with pytest.raises(RunError, match="verilator failed: %Error: core.v:1:"):
        executable(FOUR, build_dir=tmp_path)
    assert not [path for path in (tmp_path / "verilator").iterdir() if path.name != ".locks"]


def test_a_folder_that_cannot_be_used(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match=r"cannot build in .*file/verilator: Not a directory: choose another folder"):
        executable(FOUR, build_dir=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_foreign_files_are_not_touched(own, counted):
    root, folder = own
    (root / "notes").write_text("mine")
    (root / "verilator" / "notes").write_text("mine")
    truncate(folder)
    executable(FOUR, build_dir=root)
    assert (root / "notes").read_text() == (root / "verilator" / "notes").read_text() == "mine"


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path):
    place = tmp_path / "kind"
    (place / ".building-killed").mkdir(parents=True)
    (place / ".building-killed" / "half").write_text("x")
    with temporary_folder(place, ".building-") as going_on:
        BuildCache("kind", tmp_path).get("entry", lambda folder: (folder / "file").write_text("x"), "key")
        left = sorted(path.name for path in place.iterdir())
    assert left == sorted([going_on.name, ".locks", "entry", "key.entry"])


@pytest.mark.parametrize("killed", [False, True])
def test_a_run_waits_for_anothers_build(own, killed):
    # the entry is damaged, so both would build; a fake compiler goes on until it is told to end
    root, folder = own
    program = root / "program"
    shutil.copy(folder / "core", program)
    truncate(folder)
    script = textwrap.dedent("""
        import shutil, sys, time
        from pathlib import Path
        from myhdl_fsa.config import Config
        from myhdl_fsa.sims import verilator_engine

        root = Path(sys.argv[1])

        def build(tool, sources, harness, flags, place):
            while not (root / f"go-{sys.argv[2]}").exists():
                time.sleep(0.01)
            shutil.copy(root / "program", place)

        verilator_engine._build = build
        program = verilator_engine.executable(
            Config(rows=4, cols=4), build_dir=root, say=lambda text: print(text, flush=True)
        )
        assert program.stat().st_size == (root / "program").stat().st_size
        print(program)
    """)

    def start(name):
        return subprocess.Popen([sys.executable, "-c", script, str(root), name], text=True, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE)

    builds = f"{announcement('verilator', 'core', 4)}\n"
    (root / "go-b").touch()
    with start("a") as first:
        assert first.stdout.readline() == builds
        with start("b") as second:
            assert second.stdout.readline() == "waiting for another run, which is building the same simulator\n"
            assert len(list((root / "verilator").glob(".building-*"))) == 1
            if killed:
                first.kill()
            else:
                (root / "go-a").touch()
            said, errors = second.communicate(timeout=60)
        assert (said, errors) == ((builds if killed else "") + f"{folder / 'core'}\n", "")
        out, errors = first.communicate(timeout=60)
    assert (out, errors) == ("" if killed else f"{folder / 'core'}\n", "")
    assert first.returncode == (-signal.SIGKILL if killed else 0)
    assert not list((root / "verilator").glob(".building-*"))


# ---- tools

def tools(folder, *names):
    """A folder with links to these executables alone."""
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


@pytest.mark.parametrize(("present", "says"), [
    ([], "verilator is not installed: run `apt-get install verilator`"),
    (["verilator", "perl"], "make is not installed: run `apt-get install make`"),
    (["verilator", "perl", "make"], "g++ is not installed: run `apt-get install g++`"),
])
def test_a_missing_tool_is_named(tmp_path, monkeypatch, present, says):
    monkeypatch.setenv("PATH", tools(tmp_path / "bin", *present))
    q, k, v = operands(FOUR, 1, 1)
    with pytest.raises(RunError) as error:
        VerilatorEngine(tmp_path / "builds").attention(q, k, v, FOUR)
    assert str(error.value) == says


def test_an_old_verilator_is_refused(tmp_path, monkeypatch):
    fake = tmp_path / "verilator"
    fake.write_text("#!/bin/sh\necho Verilator 4.038 2020-07-11\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(RunError, match=r"Verilator 4.038.*: version 5.006 or later is needed: run `apt-get install"):
        executable(FOUR, build_dir=tmp_path)


# ---- what Verilator is given

def test_nothing_in_the_arithmetic_is_wider_than_64_bits():
    modules = design.verilog_modules(FOUR)
    for name in ("fsa_pe", "fsa_comparator", "fsa_accumulator_unit"):
        locals_ = re.findall(r"^ +reg (?:signed )?\[(\d+):0\] \w+;", modules[name], re.MULTILINE)
        assert len(locals_) > 10, name
        assert max(map(int, locals_)) < 64, name


def test_the_files_are_those_that_are_converted():
    assert verilator_engine._sources(FOUR, "core", False) == design.verilog_modules(FOUR, "core")
    traced = verilator_engine._sources(FOUR, "core", True)
    for name, module in design.design(FOUR, "core").convert().items():
        assert traced.pop(module.name) == f"/* verilator tracing_off */\n{module.text}", name
    assert list(traced) == ["waves"]


# ---- the command

def fsa_sim(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_fsa_sim_prints_the_published_numbers(build_dir, tmp_path):
    args = ("--engine", "verilator", "--build-dir", build_dir, "--seq-q", 4, "--seq-kv", 4, "--top", "core")
    done = fsa_sim(*args, "--diff", "--json", tmp_path / "run.json")
    assert done.exit_code == 0, done.output
    assert done.stdout == (
        f"Error of FSA vs torch: {PUBLISHED}\nError of golden vs torch: {PUBLISHED}\n"
        "FSA equals the golden model bit for bit (16 values)\n"
        f"Error of FSA vs float64: {FLOAT64}\nError of golden vs float64: {FLOAT64}\n"
        "Cycles: 65\nCycles per inner iteration: 33.0\nMatmul utilisation: 12.3 %\n"
    )
    assert json.loads((tmp_path / "run.json").read_text())["engine"] == "verilator"
    limited = fsa_sim(*args, "--max-cycles", 30)
    assert limited.exit_code == 1
    assert limited.stderr.startswith("fsa-sim: error: cycle limit 30 reached with 2 of 5 matrix instructions issued, ")
    assert limited.stderr.count("\n") == 1


def test_fsa_sim_needs_its_tools(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    done = fsa_sim("--engine", "verilator", "--build-dir", tmp_path)
    assert done.exit_code == 1
    assert done.stderr == "fsa-sim: error: verilator is not installed: run `apt-get install verilator`\n"


@pytest.mark.parametrize(("args", "says"), [
    (["--build-dir", "x"], "--build-dir x: --engine myhdl builds nothing: needs --engine verilator"),
    (["--build-dir", __file__, "--engine", "verilator"], f"--build-dir {__file__}: is not a folder"),
    (["--vcd", "x.fst"], "--vcd x.fst: --engine myhdl writes no FST: needs --engine verilator"),
])
def test_fsa_sim_bad_usage(args, says):
    done = fsa_sim(*args)
    assert done.exit_code == 2
    assert says in done.stderr


def test_the_default_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    BuildCache("kind").get("entry", lambda place: (place / "file").write_text("x"))
    assert (tmp_path / "myhdl-fsa" / "kind" / "entry" / "file").read_text() == "x"
    assert engine("verilator", Path("elsewhere")).build_dir == Path("elsewhere")

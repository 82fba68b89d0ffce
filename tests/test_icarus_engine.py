"""The Icarus engine and the lockstep comparison: the converted Verilog against the MyHDL model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from test_processes import gone, runs

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import BF16, FP16
from myhdl_fsa.config import Config
from myhdl_fsa.convert import design
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import RunError
from myhdl_fsa.sims.build_time import announcement
from myhdl_fsa.sims.core_engine import MyHDLEngine
from myhdl_fsa.sims.icarus_engine import IcarusEngine
from myhdl_fsa.sims.lockstep import LockstepMismatch, lockstep


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


@pytest.mark.parametrize(("n", "elem", "reciprocal", "causal", "special"), [
    (4, FP16, "newton", False, False), (4, FP16, "newton", True, True), (4, BF16, "division", True, True),
    (8, FP16, "newton", False, False),
])
def test_same_bits_and_cycles_as_myhdl(build_dir, n, elem, reciprocal, causal, special):
    config = Config(rows=n, cols=n, elem=elem, reciprocal=reciprocal)
    q, k, v = operands(config, 2, 2, special)
    ours = MyHDLEngine().attention(q, k, v, config, causal=causal)
    theirs = IcarusEngine(build_dir).attention(q, k, v, config, causal=causal)
    np.testing.assert_array_equal(theirs.output, ours.output)
    np.testing.assert_array_equal(theirs.output, golden.attention(q, k, v, config, causal=causal))
    assert (theirs.cycles, theirs.inner_iteration_cycles) == (ours.cycles, ours.inner_iteration_cycles)


def test_a_build_is_announced_once(tmp_path):
    config = Config(rows=4, cols=4)
    said = []
    for _ in range(2):
        with pytest.raises(RunError, match="cycle limit 1 "):
            IcarusEngine(tmp_path).attention(*operands(config, 1, 1), config, max_cycles=1, message=said.append)
    assert said == [announcement("icarus", "core", 4)]
    with pytest.raises(RunError, match="cycle limit 1 "):
        lockstep("icarus", *operands(config, 1, 1), config, build_dir=tmp_path, max_cycles=1, message=said.append)
    assert said[1:] == [announcement("icarus lockstep", "core", 4)]


def simulator_of(pid):
    """The number of the vvp that a process started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (vvp,) = [int(child) for child in children if "vvp" in Path(f"/proc/{child}/cmdline").read_text()]
    return vvp


def test_the_simulator_dies_with_its_parent(build_dir):
    # vvp stands at a cycle when its parent is killed, and in the end it reads from a pipe that nobody writes to
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from test_icarus_engine import Config, IcarusEngine, operands

        def wait(cycle, expected):
            print(cycle, flush=True)
            time.sleep(60)

        config = Config(rows=4, cols=4)
        IcarusEngine(Path(sys.argv[1])).attention(*operands(config, 1, 1), config, progress=wait)
    """)
    command = [sys.executable, "-c", script, build_dir, Path(__file__).parent]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout.readline().strip().isdigit()
        vvp = simulator_of(run.pid)
        assert runs(vvp)
        run.kill()
    assert gone([vvp], 10)


def test_a_simulator_that_dies_is_one_line(build_dir):
    def kill(cycle, expected):
        os.kill(simulator_of(os.getpid()), signal.SIGKILL)

    config = Config(rows=4, cols=4)
    with pytest.raises(RunError, match="^the Icarus simulation ended early$"):
        IcarusEngine(build_dir).attention(*operands(config, 1, 1), config, progress=kill)


def test_cycle_limit(build_dir):
    config = Config(rows=4, cols=4)
    q, k, v = operands(config, 1, 1)
    with pytest.raises(RunError, match="cycle limit 30 reached with 2 of 5"):
        IcarusEngine(build_dir).attention(q, k, v, config, max_cycles=30)


def test_a_missing_tool_is_named(build_dir, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    config = Config(rows=4, cols=4)
    q, k, v = operands(config, 1, 1)
    with pytest.raises(RunError, match="iverilog is not installed: run `apt-get install iverilog"):
        IcarusEngine(build_dir).attention(q, k, v, config)
    with pytest.raises(RunError, match="is not installed: run `apt-get install"):
        lockstep("verilator", q, k, v, config, build_dir=build_dir)


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_lockstep(build_dir, simulator):
    config = Config(rows=4, cols=4)
    q, k, v = operands(config, 2, 2, special=True)
    report = lockstep(simulator, q, k, v, config, causal=True, build_dir=build_dir)
    assert report.cycles > 150
    # every register of 16 PEs, 4 comparators, 4 accumulators, two sequencers, the skews and the memories
    assert report.signals > 200


def test_lockstep_names_the_first_difference(tmp_path, monkeypatch):
    config = Config(rows=4, cols=4)
    q, k, v = operands(config, 1, 1)
    honest = design.verilog_modules

    def broken(config, top="core"):
        modules = honest(config, top)
        # the last PE control bit is lost on its way down
        assert "down_out <= down_in;" in modules["fsa_pe_row"]
        modules["fsa_pe_row"] = modules["fsa_pe_row"].replace("down_out <= down_in;", "down_out <= down_in & 9'h07f;")
        return modules

    monkeypatch.setattr(design, "verilog_modules", broken)
    difference = r"cycle \d+: array\.pe_rows\[0\]\.pe_row\.down_out: myhdl [0-9a-f]+, icarus 0"
    with pytest.raises(LockstepMismatch, match=difference):
        lockstep("icarus", q, k, v, config, build_dir=tmp_path)

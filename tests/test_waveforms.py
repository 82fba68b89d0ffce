"""Waveforms: the same scopes, names, times and values from every engine, within bounds, and whole or not there."""

from __future__ import annotations

import re
import resource
from contextlib import contextmanager
from functools import partial

import numpy as np
import pytest
import pywellen
from click.testing import CliRunner
from myhdl import block

from myhdl_fsa import engine as engines
from myhdl_fsa.cli.sim import main
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import PE_SIGNALS, Accumulator, Comparator
from myhdl_fsa.dataflows.fsa.core import core
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import RunError, Watch, WaveformError
from myhdl_fsa.isa import Function
from myhdl_fsa.program import Timing
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims import verilator_engine
from myhdl_fsa.sims.core_bench import attention_run, core_bench
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.waves import icarus
from myhdl_fsa.sims.waves.file import check_fst, last_time, waveform_file
from myhdl_fsa.sims.waves.scopes import PERIOD

FOUR = Config(rows=4, cols=4)
SIXTEEN = Config(rows=16, cols=16)


@pytest.fixture(scope="session")
def write(build_dir):
    def write_waveform(name, path, config=FOUR, top="core", **watch):
        rng = np.random.default_rng(5)
        q, k, v = (from_float(rng.normal(size=(config.rows, config.rows)), config.elem) for _ in range(3))
        machine = engines.engine(name, build_dir)
        if top == "core":
            return machine.attention(q, k, v, config, vcd=path, **watch)
        return machine.device_attention(q, k, v, config, timing=Timing(stall_seed=3), vcd=path, **watch)

    return write_waveform


class Shown:
    """What a viewer shows of a waveform: every signal by its path, with its width and its value in each cycle."""

    def __init__(self, path):
        wave = pywellen.Waveform(str(path))
        assert str(wave.timescale) == "1ns"
        self.scopes = {scope.full_name for scope in wave.all_scopes()}
        self.variables = {variable.full_name: variable for variable in wave.all_vars()}
        self.widths = {name: variable.bitwidth for name, variable in self.variables.items()}

    def values(self, name, cycles, offset=PERIOD - 1):
        signal = self.variables[name].signal
        return [signal.value_at(cycle * PERIOD + offset) for cycle in cycles]


def assert_equal(ours, theirs, cycles):
    assert ours.scopes == theirs.scopes
    assert ours.widths == theirs.widths
    for name in ours.widths:
        for offset in (0, PERIOD // 2 - 1, PERIOD // 2, PERIOD - 1):
            found = theirs.values(name, cycles, offset)
            assert ours.values(name, cycles, offset) == found, name
            assert all(isinstance(value, int) for value in found), name


@pytest.fixture(scope="module")
def core_wave(write, tmp_path_factory):
    """MyHDL's waveform of the core, and how many cycles it has."""
    path = tmp_path_factory.mktemp("core") / "w.vcd"
    write("myhdl", path)
    return Shown(path), int(re.findall(r"^#(\d+)$", path.read_text(), re.MULTILINE)[-1]) // PERIOD + 1


@pytest.fixture(scope="module")
def device_wave(write, tmp_path_factory):
    path = tmp_path_factory.mktemp("device") / "w.vcd"
    write("myhdl", path, top="accelerator")
    return Shown(path), int(re.findall(r"^#(\d+)$", path.read_text(), re.MULTILINE)[-1]) // PERIOD + 1


# ---- every engine

@pytest.mark.parametrize(("name", "suffix"), [
    ("icarus", ".vcd"), ("icarus", ".fst"), ("verilator", ".vcd"),
    pytest.param("verilator", ".fst", marks=pytest.mark.slow),
])
def test_the_core_looks_the_same_in_every_engine(write, core_wave, tmp_path, name, suffix):
    ours, cycles = core_wave
    assert cycles > 80
    assert len(ours.widths) > 800
    assert ours.widths["core.accumulator_read_data"] == 128
    result, plain = write(name, tmp_path / f"w{suffix}"), write("myhdl", None)
    assert (result.cycles, plain.cycles) == (65, 65)
    np.testing.assert_array_equal(result.output, plain.output)
    assert [path.name for path in tmp_path.iterdir()] == [f"w{suffix}"]
    assert_equal(ours, Shown(tmp_path / f"w{suffix}"), range(cycles))


@pytest.mark.parametrize("name", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_the_device_looks_the_same_in_every_engine(write, device_wave, tmp_path, name):
    ours, cycles = device_wave
    assert len(ours.widths) > 2000
    write(name, tmp_path / "w.vcd", top="accelerator")
    assert_equal(ours, Shown(tmp_path / "w.vcd"), range(cycles))


def test_the_stream_dataflow_looks_the_same_in_verilog(write, tmp_path):
    # its comparators and PEs name registers of a pipeline that this machine lacks
    config = FOUR.replace(dataflow="stream")
    result = write("myhdl", tmp_path / "ours.vcd", config)
    write("icarus", tmp_path / "theirs.vcd", config)
    ours, theirs = (Shown(tmp_path / f"{name}.vcd") for name in ("ours", "theirs"))
    assert "core.systolic.pe_row_3.held" in ours.widths
    assert_equal(ours, theirs, range(result.cycles + 2))


@pytest.mark.slow
def test_every_pe_of_a_large_machine(write, tmp_path):
    write("myhdl", tmp_path / "ours.vcd", SIXTEEN)
    write("verilator", tmp_path / "theirs.vcd", SIXTEEN)
    ours, theirs = (Shown(tmp_path / f"{name}.vcd") for name in ("ours", "theirs"))
    registers = [f"core.systolic.pe_row_{row}.pe_{column}.register" for row in range(16) for column in range(16)]
    assert set(registers) <= set(theirs.widths)
    assert_equal(ours, theirs, range(170))


# ---- what is shown

def test_scopes(device_wave):
    scopes = device_wave[0].scopes
    arrays = {f"accelerator.core.systolic.pe_row_{row}.pe_{column}" for row in range(4) for column in range(4)}
    units = {f"accelerator.core.accumulator.accumulator_unit_{column}" for column in range(4)}
    comparators = {f"accelerator.core.systolic.comparator_{column}" for column in range(4)}
    assert arrays | units | comparators <= scopes
    assert {"accelerator.core.scratchpad", "accelerator.core.accumulator_ram", "accelerator.word_queue",
            "accelerator.core.matrix_controller.sequencer_1", "accelerator.dma_engine.loads.load_port_3"} <= scopes


@block
def probed_core(clock, ports, config, probe):
    return core(clock, ports.reset, ports.instruction, ports.release, ports.busy, ports.scratchpad_write,
                ports.accumulator_read, ports.scale, config, probe)


def test_registers_are_those_of_the_machine(core_wave):
    """Against what the blocks themselves hand to a test bench, in the order in which they are made."""
    wave, cycles = core_wave
    rng = np.random.default_rng(5)
    q, k, v = (from_float(rng.normal(size=(4, 4)), FOUR.elem) for _ in range(3))
    probe = {}
    run = attention_run(q, k, v, FOUR)
    simulator = CycleSimulator(core_bench(run, unsigned(1), partial(probed_core, config=FOUR, probe=probe)))
    names = {f"core.systolic.pe_row_{index // 4}.pe_{index % 4}.register": signal
             for index, signal in enumerate(probe["pe_register"])}
    names |= {f"core.systolic.comparator_{column}.new_max": s for column, s in enumerate(probe["new_max"])}
    names |= {f"core.accumulator.accumulator_unit_{c}.a": s for c, s in enumerate(probe["accumulator_a"])}
    names |= {"core.accumulator_ram.write_data": probe["new_row"], "core.systolic.parallel": probe["parallel"]}
    assert len(names) == 16 + 4 + 4 + 2
    log = {name: [] for name in names}

    def note(_):
        for name, signal in names.items():
            log[name].append(int(signal))

    simulator.run(note)
    assert run.cycle == cycles
    for name, values in log.items():
        assert wave.values(name, range(cycles)) == values, name
        assert len(set(values)) > 1, name


def test_control_fields(core_wave):
    wave, cycles = core_wave
    every = range(cycles)
    for bit, name in enumerate(PE_SIGNALS):
        control = wave.values("core.systolic.pe_row_2.pe_1.control", every)
        field = wave.values(f"core.systolic.pe_row_2.pe_1.{name}", every)
        assert field == [word >> bit & 1 for word in control]
        assert set(field) == {0, 1}
    for scope, commands, name in (("core.systolic.comparator_3", Comparator, "PROP_MAX_DIFF"),
                                  ("core.accumulator", Accumulator, "ACC_SA"),
                                  ("core.accumulator.accumulator_unit_2", Accumulator, "RECIPROCAL")):
        command = wave.values(f"{scope}.command", every)
        field = wave.values(f"{scope}.command_{name.lower()}", every)
        assert field == [int(word == getattr(commands, name)) for word in command]
        assert set(field) == {0, 1}


def test_the_current_instruction(core_wave):
    wave, cycles = core_wave
    every = range(cycles)
    controller = "core.matrix_controller"
    function = wave.values(f"{controller}.instruction_function", every)
    seen = []
    for side in (0, 1):
        accept = wave.values(f"{controller}.sequencer_{side}.accept", every)
        busy = wave.values(f"{controller}.sequencer_{side}.busy", every)
        running = {f: wave.values(f"{controller}.sequencer_{side}.in_{f.name.lower()}", every) for f in Function}
        current = None
        for cycle in every:
            assert [f for f in Function if running[f][cycle]] == ([current] if busy[cycle] else []), cycle
            if accept[cycle]:
                current = Function(function[cycle])
                seen.append(current)
    assert sorted(seen) == [*Function]


def test_time_is_the_benchs(core_wave):
    """Cycle c, in which the bench stops at --max-cycles c, is from c * 10 ns on; the clock falls in its middle."""
    wave, cycles = core_wave
    for name in ("core.clock", "core.systolic.pe_row_3.pe_2.clock"):
        assert wave.values(name, range(3), 0) == [0, 1, 1]
        assert wave.values(name, range(cycles), PERIOD // 2) == [0] * cycles
    assert wave.values("core.reset", range(4)) == [1, 1, 0, 0]


# ---- bounds

@pytest.mark.parametrize(("name", "suffix"), [
    ("myhdl", ".vcd"), ("icarus", ".vcd"), ("verilator", ".vcd"),
    *(pytest.param(name, ".fst", marks=pytest.mark.slow) for name in ("icarus", "verilator")),
])
def test_bounds(write, core_wave, tmp_path, name, suffix):
    whole, cycles = core_wave
    path = tmp_path / f"w{suffix}"
    for first, last in ((40, 43), (0, 0), (cycles - 2, None), (cycles - 1, cycles + 100)):
        write(name, path, wave_from=first, wave_to=last)
        inside = range(first, cycles if last is None else min(last + 1, cycles))
        assert_equal(whole, Shown(path), inside)
        if suffix == ".vcd":
            times = [int(time) for time in re.findall(r"^#(\d+)$", path.read_text(), re.MULTILINE)]
            assert (times[0], times[-1]) == (inside[0] * PERIOD, inside[-1] * PERIOD + PERIOD // 2)
        else:
            check_fst(path, inside[-1] * PERIOD + PERIOD // 2)
    path.unlink()
    with pytest.raises(RunError, match=f"no waveform: the run ended in cycle {cycles - 1}, before cycle {cycles}"):
        write(name, path, wave_from=cycles)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["myhdl", "icarus", "verilator"])
def test_a_run_that_reaches_its_limit_leaves_its_waveform(write, core_wave, tmp_path, name):
    with pytest.raises(RunError, match="cycle limit 40 reached"):
        write(name, tmp_path / "w.vcd", max_cycles=40)
    assert_equal(core_wave[0], Shown(tmp_path / "w.vcd"), range(41))
    (tmp_path / "w.vcd").unlink()
    with pytest.raises(RunError, match="cycle limit 40 reached"):
        write(name, tmp_path / "w.vcd", max_cycles=40, wave_from=41)
    assert list(tmp_path.iterdir()) == []


def test_a_simulation_that_fails_leaves_its_waveform(write, core_wave, tmp_path):
    def fail(cycle, expected):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write("myhdl", tmp_path / "w.vcd", progress=fail)
    assert_equal(core_wave[0], Shown(tmp_path / "w.vcd"), range(64))


def test_bounds_without_a_cycle():
    with pytest.raises(ValueError, match="^wave_from -1: must be 0 or more$"):
        Watch(wave_from=-1)
    with pytest.raises(ValueError, match="^wave_to 3: must not be less than wave_from 4$"):
        Watch(wave_from=4, wave_to=3)
    assert last_time(Watch(wave_to=7), 5) == 45
    assert last_time(Watch(wave_to=3), 5) == 35


@pytest.mark.parametrize(("arguments", "says"), [
    (["--wave-from", "3"], "--wave-from 3: needs --vcd"),
    (["--wave-to", "3"], "--wave-to 3: needs --vcd"),
    (["--vcd", "w.vcd", "--wave-from", "4", "--wave-to", "3"], "--wave-to 3: must not be less than --wave-from 4"),
    (["--vcd", "w.vcd", "--wave-from", "-1"], "--wave-from"),
    (["--vcd", "w.fst"], "--vcd w.fst: --engine myhdl writes no FST: needs --engine verilator or icarus"),
])
def test_bad_options(arguments, says):
    done = CliRunner().invoke(main, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert says in done.stderr


def test_options(tmp_path):
    wave = tmp_path / "w.vcd"
    program = tmp_path / "p.s"
    done = CliRunner().invoke(main, ["--dump-asm", str(program), "--vcd", str(wave), "--wave-from", "20", "--wave-to",
                                     "22"])
    assert done.exit_code == 0, done.stderr
    assert re.findall(r"^#(\d+)$", wave.read_text(), re.MULTILINE) == ["200", "205", "210", "215", "220", "225"]
    wave.unlink()
    done = CliRunner().invoke(main, ["--program", str(program), "--vcd", str(wave), "--wave-from", "9", "--wave-to",
                                     "9"])
    assert done.exit_code == 0, done.stderr
    assert re.findall(r"^#(\d+)$", wave.read_text(), re.MULTILINE) == ["90", "95"]


# ---- writes that fail

@contextmanager
def largest_file(size):
    """No file may be larger, of this process and those that it starts: a full disk that needs no disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize(("name", "suffix"), [
    ("myhdl", ".vcd"), ("icarus", ".vcd"), ("icarus", ".fst"), ("verilator", ".vcd"),
    pytest.param("verilator", ".fst", marks=pytest.mark.slow),
])
def test_a_file_that_cannot_grow(write, tmp_path, name, suffix):
    path = tmp_path / f"w{suffix}"
    write(name, path)  # and what is built for it
    whole = path.stat().st_size
    path.unlink()
    for size in (5 << 10, 12 << 10):
        assert whole > size
        with largest_file(size), pytest.raises(WaveformError, match=rf"^cannot write {path}: File too large$"):
            write(name, path)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "says"), [("BUS", "No space left on device"), ("XFSZ", "File too large")])
def test_a_simulator_that_dies_as_it_writes(tmp_path, number, says):
    """On a full disk FST's map of its file in memory ends the process by SIGBUS."""
    dies = ["sh", "-c", f"kill -{number} $$"]
    for play in (lambda: verilator_engine._play(dies, Watch(vcd=tmp_path / "w.fst"), None, tmp_path / "said"),
                 lambda: icarus._run(dies)):
        with pytest.raises(OSError, match=says):
            play()
    with pytest.raises(RunError, match="the Verilator simulation failed: exit status -"):
        verilator_engine._play(dies, Watch(), None, tmp_path / "said")


def test_fsa_sim_names_the_file(tmp_path):
    wave = tmp_path / "w.vcd"
    with largest_file(1 << 12):
        done = CliRunner().invoke(main, ["--vcd", str(wave), "--top", "core"])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1] == f"fsa-sim: error: --vcd {wave}: cannot write: File too large"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(write, tmp_path):
    with pytest.raises(WaveformError, match=f"^cannot write {tmp_path}/no/w.vcd: No such file or directory$"):
        write("myhdl", tmp_path / "no" / "w.vcd")


def test_an_earlier_waveform_stays(tmp_path):
    path = tmp_path / "w.vcd"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), waveform_file(path) as beside:
        beside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_fst_is_told_from_a_whole_one(write, core_wave, tmp_path):
    path, end = tmp_path / "w.fst", (core_wave[1] - 1) * PERIOD + PERIOD // 2
    write("icarus", path)
    data = path.read_bytes()
    check_fst(path, end)
    with pytest.raises(OSError, match="No space left on device"):
        check_fst(path, end + 1)
    blocks, at = [], 0
    while at < len(data):
        size = 1 + int.from_bytes(data[at + 1:at + 9], "big")
        blocks.append(data[at:at + size])
        at += size
    torn = [data[:length] for length in (0, 5, 9, 400, *range(1000, len(data), 997), len(data) - 1)]
    torn += [b"".join(blocks[:index] + blocks[index + 1:]) for index, lost in enumerate(blocks)
             if lost[0] in (0, 1, 3, 4, 5, 6, 7, 8)]
    # a write in the middle that was lost
    torn += [data[:cut] + data[cut + 512:] for cut in range(350, len(data) - 600, 1009)]
    assert len(torn) > 30
    for damaged in torn:
        path.write_bytes(damaged)
        with pytest.raises(OSError, match="No space left on device"):
            check_fst(path, end)

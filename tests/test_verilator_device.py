"""The accelerator in Verilator: cycles, counters and outputs of the MyHDL bench, whatever memory and host do."""

import random
import re
import subprocess
from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from myhdl_fsa import golden
from myhdl_fsa.config import Config, ConfigError, preset
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.elaboration import shared_analysis
from myhdl_fsa.engine import RunError, Watch, engine
from myhdl_fsa.isa import Dma, Fence, Transfer, encode_all
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output
from myhdl_fsa.program import ErrorCode, Program, Region, State, Timing
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.accelerator_bench import DeviceRun, accelerator_bench, watched_accelerator
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.verilator_device import device_executable, harness_text, simulate, write_run

FOUR = Config(rows=4, cols=4)
SIXTEEN = Config(rows=16, cols=16, memory_ports=8)
LEFT = ("cycle", "position", "results", "outputs", "limit_reached")
"""what a run leaves behind"""


def attention(config, tiles_q, tiles_kv, causal=False, seed=5):
    """The kernel, and what it must give."""
    rng = np.random.default_rng(seed)
    q, k, v = (from_float(rng.normal(size=(tiles * config.rows, config.rows)), config.elem)
               for tiles in (tiles_q, tiles_kv, tiles_kv))
    return attention_kernel(q, k, v, config, causal), golden.attention(q, k, v, config, causal=causal)


def in_myhdl(run):
    with shared_analysis():
        bench = accelerator_bench(run, unsigned(1), partial(watched_accelerator, run=run))
    CycleSimulator(bench).run()


def compare(build_dir, programs, timing=None, max_cycles=20_000, config=FOUR):
    """Runs both; gives Verilator's run."""
    watch = Watch(max_cycles=max_cycles)
    ours, theirs = (DeviceRun(config, programs, timing or Timing(), watch=watch) for _ in range(2))
    in_myhdl(ours)
    simulate(theirs, build_dir=build_dir)
    for name in LEFT:
        assert getattr(theirs, name) == getattr(ours, name), name
    return theirs


def ended(run, number=0):
    """How a program ended: state, error and the instruction it is about."""
    execution = run.executions()[number]
    return execution.state, execution.error, execution.error_instruction


DONE = (State.DONE, ErrorCode.NONE, 0)


@pytest.mark.parametrize("timing", [
    Timing(),
    Timing(read_latency=100, write_latency=3),
    Timing(read_bandwidth=Fraction(1, 50), write_bandwidth=Fraction(2, 3)),
    Timing(read_bandwidth=Fraction(2, 3), write_bandwidth=Fraction(1, 50), write_latency=300),
    Timing(stall_seed=0),
    Timing(7, 11, Fraction(3, 7), Fraction(99_999, 100_000), stall_seed=(1 << 32) - 1, push_interval=3),
    Timing(push_interval=60),
], ids=["full-speed", "latency", "slow-reads", "slow-writes", "stalls", "all", "slow-host"])
def test_same_cycles_counters_and_outputs_as_myhdl(build_dir, timing):
    kernel, expected = attention(FOUR, 2, 2)
    run = compare(build_dir, [kernel.program()], timing)
    assert ended(run) == DONE
    np.testing.assert_array_equal(attention_output(kernel, run.executions()[0]), expected)


def test_random_timing(build_dir):
    rng = random.Random(1)
    program = attention(FOUR, 1, 2)[0].program()
    for _ in range(8):
        timing = Timing(
            rng.choice((1, 2, rng.randint(3, 200))), rng.choice((1, 2, rng.randint(3, 200))),
            *(Fraction(rng.randint(1, 9), rng.randint(9, 20)) for _ in range(2)), rng.getrandbits(32),
            rng.choice((1, rng.randint(2, 40))),
        )
        assert ended(compare(build_dir, [program], timing)) == DONE


def test_programs_one_after_the_other(build_dir):
    kernels = [attention(FOUR, 1, 2, seed=1), attention(FOUR, 2, 2, causal=True, seed=2)]
    # the last one finds what the ones before it left, and its part of memory comes again
    programs = [kernel.program() for kernel, _ in kernels] + [Program(encode_all([Fence(stop=1)]), outputs=(
        Region(FOUR.memory_base, 4096), Region(FOUR.memory_base, 0), Region(FOUR.memory_base + 5, 3)))]
    run = compare(build_dir, programs, Timing(stall_seed=7))
    for number, (kernel, expected) in enumerate(kernels):
        assert ended(run, number) == DONE
        np.testing.assert_array_equal(attention_output(kernel, run.executions()[number]), expected)
    whole, nothing, part = run.outputs[2]
    assert whole != bytes(4096)
    assert (nothing, part) == (b"", whole[5:8])


def test_no_program(build_dir):
    assert compare(build_dir, []).cycle == 3


def load(**fields):
    rows = {"rows": 4, "stride": 1, "memory_stride": 8, "size": 8, "address": FOUR.memory_base, **fields}
    return Dma(int(Transfer.LOAD), **rows)


def store(**fields):
    rows = {"rows": 4, "stride": 1, "memory_stride": 16, "size": 16, "address": FOUR.memory_base, **fields}
    return Dma(int(Transfer.STORE), accumulator=1, **rows)


LAST = FOUR.memory_base + FOUR.memory_size - 8


@pytest.mark.parametrize(("instructions", "error", "number"), [
    ([load(), load(row=22)], ErrorCode.SCRATCHPAD_ROW, 1),
    ([load(address=0)], ErrorCode.READ_RESPONSE, 0),
    ([load(), load(address=LAST, row=4)], ErrorCode.READ_RESPONSE, 1),
    ([store(address=0)], ErrorCode.WRITE_RESPONSE, 0),
    ([store(address=LAST)], ErrorCode.WRITE_RESPONSE, 0),
    ([load(address=FOUR.memory_base + 4)], ErrorCode.MISALIGNED, 0),
    ([load(semaphore=3, acquire=1, acquire_value=1)], ErrorCode.TIMEOUT, 0),
], ids=["scratchpad-row", "read", "read-at-the-end", "write", "write-at-the-end", "misaligned", "timeout"])
def test_errors(build_dir, instructions, error, number):
    # a good program has to work after a bad one
    good, _ = attention(FOUR, 1, 1)
    bad = Program(tuple(encode_all([*instructions, Fence(dma=1, stop=1)])), outputs=(Region(LAST, 8),), watchdog=500)
    run = compare(build_dir, [bad, good.program()], Timing(read_latency=5, write_latency=9))
    state, code, at = ended(run)
    assert (state, code) == (State.ERROR, error)
    if error is not ErrorCode.TIMEOUT:
        assert at == number
    assert ended(run, 1) == DONE


def test_cycle_limit(build_dir):
    program = attention(FOUR, 1, 1)[0].program()
    whole = compare(build_dir, [program, program], Timing(stall_seed=2))
    for limit in (0, 1, 2, 50, whole.cycle // 2 + 20, whole.cycle - 2, whole.cycle - 1):
        run = compare(build_dir, [program, program], Timing(stall_seed=2), max_cycles=limit)
        assert run.limit_reached is (limit < whole.cycle - 1), limit
        assert len(run.outputs) == (0 if limit < 100 else 1 if run.limit_reached else 2)


def test_progress(build_dir):
    calls = []
    kernel, expected = attention(FOUR, 16, 64)
    run = DeviceRun(FOUR, [kernel.program()], watch=Watch(progress=lambda cycle, _: calls.append(cycle)))
    simulate(run, build_dir=build_dir)
    np.testing.assert_array_equal(attention_output(kernel, run.executions()[0]), expected)
    assert calls == sorted(calls)
    assert all(0 <= cycle < run.cycle for cycle in calls)


def test_an_exception_in_progress_ends_the_simulation(build_dir):
    def stop(cycle, expected):
        raise KeyboardInterrupt

    program = Program((), watchdog=1 << 31)
    with pytest.raises(KeyboardInterrupt):
        simulate(DeviceRun(FOUR, [program], watch=Watch(progress=stop)), build_dir=build_dir)


def test_it_ends_when_nobody_listens(build_dir, tmp_path):
    # without the end of its output this would take minutes
    write_run(DeviceRun(FOUR, [Program((), watchdog=1 << 31)]), tmp_path / "run")
    command = [device_executable(FOUR, build_dir=build_dir), tmp_path / "run", tmp_path / "result"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.wait(timeout=30) != 0


@pytest.mark.parametrize("program", [
    Program((), memory=((FOUR.memory_base - 1, b"xy"),)),
    Program((), outputs=(Region(LAST, 9),)),
])
def test_memory_outside_is_refused(build_dir, program):
    with pytest.raises(RunError, match="bytes at 0x.*: memory is from 0x80000000 to 0x8fffffff"):
        simulate(DeviceRun(FOUR, [program]), build_dir=build_dir)


def test_the_bench_says_why_it_fails(build_dir, tmp_path):
    good, cut = tmp_path / "good", tmp_path / "cut"
    write_run(DeviceRun(FOUR, []), good)
    cut.write_bytes(good.read_bytes()[:-1])
    for arguments, says in (
        ([tmp_path / "none", tmp_path / "result"], f"cannot read {tmp_path}/none\n"),
        ([cut, tmp_path / "result"], f"too short: {cut}\n"),
        ([good, tmp_path / "no" / "result"], f"cannot write {tmp_path}/no/result\n"),
        ([good, tmp_path / "result", tmp_path / "wave", "10", "0", "9"], f"built without waveforms: {tmp_path}/wave\n"),
    ):
        command = [device_executable(FOUR, build_dir=build_dir), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (1, says)


@pytest.mark.parametrize("suffix", [".vcd", ".fst"])
@pytest.mark.slow
def test_waveform(build_dir, tmp_path, suffix):
    wave = tmp_path / f"wave{suffix}"
    program = attention(FOUR, 1, 1)[0].program()
    whole, limited = (DeviceRun(FOUR, [program], watch=Watch(vcd=wave, max_cycles=most)) for most in (None, 40))
    simulate(whole, build_dir=build_dir)
    size = wave.stat().st_size
    assert ended(whole) == DONE
    if suffix == ".vcd":
        text = wave.read_text()
        assert re.search(r"\$var wire +64 \S+ memory_m3_rdata", text)
        assert int(re.findall(r"^#(\d+)$", text, re.MULTILINE)[-1]) == 10 * whole.cycle - 5
    simulate(limited, build_dir=build_dir)
    assert limited.limit_reached
    assert 0 < wave.stat().st_size < size
    plain = compare(build_dir, [program])
    assert all(getattr(whole, name) == getattr(plain, name) for name in LEFT)
    with pytest.raises(RunError, match=r"^cannot write .*/no/wave\.(vcd|fst): No such file or directory$"):
        simulate(DeviceRun(FOUR, [program], watch=Watch(vcd=tmp_path / "no" / wave.name)), build_dir=build_dir)


# ---- other machines

@pytest.mark.slow
@pytest.mark.parametrize("config", [
    FOUR.replace(beat_bytes=1, memory_ports=1),
    FOUR.replace(beat_bytes=2, memory_ports=2),
    FOUR.replace(beat_bytes=4, memory_ports=16),
    Config(rows=8, cols=8),
    FOUR.replace(memory_base=0, memory_size=1 << 30),
], ids=lambda config: f"{config.rows}-{config.memory_ports}-{config.beat_bytes}-{config.memory_base:x}")
def test_other_ports(build_dir, config):
    kernel, expected = attention(config, 2, 2, causal=True)
    for timing in (Timing(), Timing(30, 20, stall_seed=1)):
        run = compare(build_dir, [kernel.program()], timing, config=config)
        np.testing.assert_array_equal(attention_output(kernel, run.executions()[0]), expected)


@pytest.mark.slow
def test_published_counters(build_dir):
    kernel, _ = attention(SIXTEEN, 1, 1)
    run = compare(build_dir, [kernel.program()], Timing(push_interval=290), config=SIXTEEN)
    assert run.executions()[0].counters.matrix_active == 179
    for timing in (Timing(), Timing(100, 3, Fraction(1, 5), Fraction(1, 7), 5)):
        compare(build_dir, [attention(SIXTEEN, 2, 2)[0].program()], timing, config=SIXTEEN)


@pytest.mark.slow
@pytest.mark.parametrize("beat_bytes", [32, 128])
def test_64(build_dir, beat_bytes):
    config = Config(rows=64, cols=64, memory_ports=8, beat_bytes=beat_bytes, memory_align=128)
    kernel, expected = attention(config, 2, 2)
    run = DeviceRun(config, [kernel.program()], Timing(stall_seed=1))
    simulate(run, build_dir=build_dir)
    np.testing.assert_array_equal(attention_output(kernel, run.executions()[0]), expected)


# ---- what is built

def test_the_bench_is_one_file():
    text = harness_text(FOUR.replace(memory_ports=2))
    assert set(re.findall(r'^#include "(.*)"', text, re.MULTILINE)) == {
        "Vaccelerator.h", "verilated.h", "verilated_fst_c.h", "verilated_vcd_c.h"}
    assert "#define MEMORY_PORTS(PORT) PORT(0) PORT(1)\n#define BEAT_BYTES 8\n" in text
    assert text.count("class Host {") == text.count("class ReadPort {") == 1


def test_a_configuration_of_the_bare_core_alone_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="the accelerator needs"):
        device_executable(Config(rows=6, cols=6, memory_ports=3), build_dir=tmp_path)


def test_a_missing_tool_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match="^verilator is not installed: run `apt-get install verilator`$"):
        simulate(DeviceRun(FOUR, []), build_dir=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tiles", "most"), [("FSA16X16Fp16Config", 16, 0.05), ("FSA64X64Fp16Config", 8, 0.02)])
def test_the_array_hardly_waits(name, tiles, most, build_dir):
    config = preset(name)
    rng = np.random.default_rng(0)
    q, k, v = (from_float(rng.random((tiles * config.rows, config.rows)), config.elem) for _ in range(3))
    for latency in (1, 100):
        result = engine("verilator", build_dir).device_attention(q, k, v, config, timing=Timing(latency, latency))
        np.testing.assert_array_equal(result.output, golden.attention(q, k, v, config))
        assert result.counters.matrix_bubble < most * result.counters.execution_time

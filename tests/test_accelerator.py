"""The whole accelerator in MyHDL: attention through instructions, errors, interrupts and counters."""

from __future__ import annotations

import mmap
import random
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from myhdl import block
from programs import Attention

from myhdl_fsa import golden
from myhdl_fsa.accelerator import accelerator
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, FloatFormat
from myhdl_fsa.axi import BOUNDARY, AxiLite, MemoryPorts
from myhdl_fsa.config import Config, ConfigError
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.elaboration import shared_analysis
from myhdl_fsa.engine import RunError, Watch
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.isa import Dma, Fence, Function, Instruction, Matrix, encode_all
from myhdl_fsa.kernel import Kernel, attention_kernel, attention_output
from myhdl_fsa.program import Counters, ErrorCode, Execution, Program, Region, State, Timing
from myhdl_fsa.scale import Scale
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.accelerator_bench import DevicePorts, DeviceRun, accelerator_bench
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.host import SCALES, Action, Step
from myhdl_fsa.sims.monitors.fsa import rules
from myhdl_fsa.tiling import AttentionShape

CONFIG = Config()
STOP = Fence(matrix=1, dma=1, stop=1)


@block
def watched(clock: Any, ports: DevicePorts, config: Config) -> Any:
    """The device with the core's collision assertions."""
    probe: dict[str, Any] = {}
    device = accelerator(clock, ports.reset, ports.control, ports.memory, ports.interrupt, config, probe)
    return device, rules(clock, probe, config)


def simulate(run: DeviceRun) -> DeviceRun:
    with shared_analysis():
        bench = accelerator_bench(run, unsigned(1), partial(watched, config=run.config))
    CycleSimulator(bench).run()
    assert not run.limit_reached, f"step {run.position} of {len(run.steps)}"
    return run


def execute(config: Config, programs: Sequence[Program], timing: Timing | None = None, limit: int = 200_000
            ) -> list[Execution]:
    """Runs programs one after the other on one device."""
    return simulate(DeviceRun(config, programs, timing or Timing(), watch=Watch(max_cycles=limit))).executions()


def problem(config: Config, tiles_q: int, tiles_kv: int, causal: bool = False, seed: int = 0) -> tuple[Kernel, Any]:
    """An attention kernel on random data, and what has to come out."""
    rng = np.random.default_rng(seed)
    q, k, v = (from_float(rng.standard_normal((tiles * size, config.rows)), config.elem)
               for tiles, size in ((tiles_q, config.cols), (tiles_kv, config.rows), (tiles_kv, config.rows)))
    return attention_kernel(q, k, v, config, causal), golden.attention(q, k, v, config, causal=causal)


def attention(config: Config, tiles_q: int = 1, tiles_kv: int = 1, causal: bool = False, timing: Timing | None = None,
              seed: int = 0) -> Execution:
    """Runs attention and compares; gives how it went."""
    kernel, expected = problem(config, tiles_q, tiles_kv, causal, seed)
    (execution,) = execute(config, [kernel.program()], timing)
    assert (execution.state, execution.error) == (State.DONE, ErrorCode.NONE)
    assert np.array_equal(attention_output(kernel, execution), expected)
    assert execution.counters is not None
    kinds = [type(each) for each in kernel.instructions]
    counts = execution.counters
    assert (counts.matrix, counts.dma, counts.fence) == tuple(kinds.count(kind) for kind in (Matrix, Dma, Fence))
    assert counts.raw == counts.enqueued == counts.dequeued == len(kernel.words)
    return execution


# attention


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("reciprocal", ["newton", "division"])
@pytest.mark.parametrize("elem", [FP16, BF16], ids=str)
def test_attention(elem: FloatFormat, reciprocal: str, causal: bool) -> None:
    attention(Config(elem=elem, reciprocal=reciprocal), 3, 3, causal)


@pytest.mark.parametrize(("config", "tiles", "causal"), [
    (Config(rows=8, cols=8), (2, 2), True),
    (Config(rows=8, cols=8, elem=BF16, reciprocal="division"), (1, 3), False),
    (Config(rows=8, cols=8, elem=FP32), (2, 1), False),
    (Config(rows=2, cols=2), (2, 3), False),
], ids=["8-fp16", "8-bf16", "8-fp32", "2"])
def test_attention_of_other_sizes(config: Config, tiles: tuple[int, int], causal: bool) -> None:
    attention(config, *tiles, causal, Timing(stall_seed=2))


def of_shape(config: Config, shape: AttentionShape, scale: float | None = None, timing: Timing | None = None) -> None:
    """Runs attention of any shape, and compares."""
    what = Attention(config, 4, shape=shape, scale=scale)
    (execution,) = execute(config, [what.program], timing)
    what.check(execution)


@pytest.mark.parametrize(("shape", "scale"), [
    (AttentionShape(1, 1, 1, 1), None),
    (AttentionShape(5, 7, 3, 4, causal=True), 0.25),
    (AttentionShape(3, 6, 4, 2, heads=4, kv_heads=2, causal=True, stacked=True), None),
], ids=["1", "causal", "heads"])
def test_attention_of_any_shape(shape: AttentionShape, scale: float | None) -> None:
    of_shape(CONFIG, shape, scale)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("seed", range(6))
def test_attention_of_many_shapes(n: int, seed: int) -> None:
    rng = random.Random(seed)
    config = Config(rows=n, elem=rng.choice((FP16, BF16)), reciprocal=rng.choice(("newton", "division")))
    problems = [Attention.drawn(config, rng, 3) for _ in range(8)]
    executions = execute(config, [each.program for each in problems], Timing(stall_seed=seed))
    for each, execution in zip(problems, executions, strict=True):
        each.check(execution)


def test_hidden_keys_of_other_instructions_mean_nothing() -> None:
    what = Attention(CONFIG, 1, shape=AttentionShape(6, 6, 4, 4, causal=True))
    words = encode_all([replace(each, hidden=255 if each.function % 2 else 4)
                        if isinstance(each, Matrix) and each.function != Function.ATTN_SCORE else each
                        for each in what.kernel.instructions])
    (execution,) = execute(CONFIG, [replace(what.program, words=tuple(words))])
    what.check(execution)


TIMINGS = {
    "latency_2000": Timing(2000, 2000),
    "slow_loads": Timing(30, 1, Fraction(1, 50), Fraction(1)),
    "slow_stores": Timing(1, 30, Fraction(1), Fraction(1, 50)),
    "slow": Timing(7, 5, Fraction(1, 11), Fraction(1, 13)),
    "stalls": Timing(stall_seed=1),
    "stalls_and_latency": Timing(100, 300, Fraction(1, 3), Fraction(1, 2), stall_seed=7),
    "slow_host": Timing(push_interval=40),
}


@pytest.mark.parametrize("name", TIMINGS)
def test_attention_at_any_memory_speed(name: str) -> None:
    attention(CONFIG, 3, 2, timing=TIMINGS[name])


@settings(deadline=None, max_examples=12, derandomize=True)
@given(
    latencies=st.tuples(*[st.one_of(st.integers(1, 20), st.integers(1, 2000))] * 2),
    bandwidths=st.tuples(*[st.builds(Fraction, st.just(1), st.integers(1, 50))] * 2),
    stall_seed=st.one_of(st.none(), st.integers(0, (1 << 32) - 1)), push_interval=st.sampled_from((1, 2, 17)),
    tiles=st.tuples(st.integers(1, 3), st.integers(1, 3)), causal=st.booleans(), elem=st.sampled_from((FP16, BF16)),
    memory_ports=st.sampled_from((1, 2, 4)), port_inflight=st.sampled_from((1, 2, 16)), seed=st.integers(0, 99),
)
def test_attention_at_random_speeds(
    latencies: tuple[int, int], bandwidths: tuple[Fraction, Fraction], stall_seed: int | None, push_interval: int,
    tiles: tuple[int, int], causal: bool, elem: FloatFormat, memory_ports: int, port_inflight: int, seed: int,
) -> None:
    config = Config(elem=elem, memory_ports=memory_ports, port_inflight=port_inflight)
    timing = Timing(*latencies, *bandwidths, stall_seed, push_interval)
    attention(config, max(tiles) if causal else tiles[0], max(tiles) if causal else tiles[1], causal, timing, seed)


@pytest.mark.parametrize("fields", [
    {"memory_ports": 1, "beat_bytes": 1}, {"memory_ports": 2, "beat_bytes": 2}, {"memory_ports": 8, "beat_bytes": 4},
    {"memory_ports": 1, "port_inflight": 1, "load_inflight": 1, "store_inflight": 1},
    {"instruction_queue": 1, "matrix_queue": 1}, {"instruction_queue": 3, "matrix_queue": 2, "load_inflight": 2},
    {"accumulator_rows": 5}, {"scratchpad_rows": 12}, {"scratchpad_rows": 12, "accumulator_rows": 5},
    {"accumulator_rows": 20, "scratchpad_rows": 100},
], ids=lambda fields: ",".join(f"{name}={value}" for name, value in fields.items()))
def test_attention_of_other_machines(fields: dict[str, int]) -> None:
    """Among them the published accelerator RAM of rows + 1 rows, and room for one tile of each operand."""
    config = Config(**fields)  # type: ignore[arg-type]
    attention(config, 3, 2, timing=Timing(3, 60, write_bandwidth=Fraction(1, 9), stall_seed=3))


@pytest.mark.parametrize("before", [1, 2, 5, 9, 40])
@pytest.mark.parametrize("memory_ports", [1, 4])
def test_rows_that_cross_4_kb(before: int, memory_ports: int) -> None:
    config = Config(rows=8, cols=8, beat_bytes=4, memory_ports=memory_ports, memory_align=4, memory_size=1 << 16,
                    memory_base=3 * BOUNDARY - 4 * before)
    kernel, _ = problem(config, 1, 1)
    crossed = [row for step in kernel.instructions if isinstance(step, Dma)
               for row in range(step.address, step.address + step.rows * step.memory_stride, step.memory_stride)
               if row // BOUNDARY != (row + step.size - 1) // BOUNDARY]
    assert len(crossed) == (before % 4 != 0)
    attention(config, timing=Timing(stall_seed=before))


@pytest.mark.parametrize("before", [16 * 24 + 8, 16 * 24 + 8 * 3 + 4])
def test_stored_rows_that_cross_4_kb(before: int) -> None:
    """Q, K and V^T, 128 bytes each, are in front of O^T."""
    config = Config(rows=8, cols=8, beat_bytes=4, memory_align=4, memory_size=1 << 16,
                    memory_base=3 * BOUNDARY - before)
    kernel, _ = problem(config, 1, 1)
    store = next(step for step in kernel.instructions if isinstance(step, Dma) and step.function == 1)
    assert any(row % BOUNDARY > BOUNDARY - store.size for row in range(
        store.address, store.address + store.rows * store.memory_stride, store.memory_stride))
    attention(config, timing=Timing(stall_seed=before))


def test_a_second_run_without_a_reset_and_with_one() -> None:
    """The counters are those of each program, whatever was before."""
    kernel, expected = problem(CONFIG, 2, 2)
    executions = execute(CONFIG, [kernel.program()] * 2)
    assert all(np.array_equal(attention_output(kernel, each), expected) for each in executions)
    assert executions[0].counters == executions[1].counters


# counters


@pytest.mark.parametrize(("push_interval", "active"), [(290, 179), (1, 147)])
def test_published_counters(push_interval: int, active: int) -> None:
    config = Config(rows=16, cols=16)
    counts = attention(config, timing=Timing(push_interval=push_interval)).counters
    assert counts is not None
    assert (counts.raw, counts.matrix, counts.dma, counts.fence, counts.matrix_active) == (32, 5, 4, 1, active)
    if push_interval == 290:
        assert 8000 < counts.execution_time < 11000  # published: 9414
    else:
        assert counts.execution_time < 400


def test_the_matrix_unit_seldom_waits() -> None:
    counts = attention(CONFIG, 4, 4).counters
    assert counts is not None
    assert counts.matrix_bubble < counts.execution_time // 10
    slow = attention(Config(memory_ports=1), 3, 3, timing=Timing(read_bandwidth=Fraction(1, 50))).counters
    assert slow is not None
    assert slow.matrix_bubble > slow.execution_time // 2
    assert slow.matrix_active < slow.execution_time
    assert slow.dma_active > slow.execution_time * 3 // 4


@pytest.mark.slow
def test_the_matrix_unit_seldom_waits_at_16() -> None:
    counts = attention(Config(rows=16, cols=16, memory_ports=8), 16, 16).counters
    assert counts is not None
    assert counts.matrix_bubble < counts.execution_time / 20


# errors


def load(**fields: int) -> Dma:
    """A good one of 4 rows unless ``fields`` say otherwise."""
    size = CONFIG.scratchpad_row_bytes
    return Dma(**{"function": 0, "rows": 4, "stride": 1, "address": CONFIG.memory_base, "memory_stride": size,
                  "size": size, **fields})


def store(**fields: int) -> Dma:
    """Likewise."""
    size = CONFIG.accumulator_row_bytes
    return Dma(**{"function": 1, "accumulator": 1, "rows": 4, "stride": 1, "address": CONFIG.memory_base,
                  "memory_stride": size, "size": size, **fields})


OUTSIDE = CONFIG.memory_base + CONFIG.memory_size
LAST = CONFIG.scratchpad_rows
LAST_ROW = CONFIG.accumulator_rows
BAD: list[tuple[ErrorCode, Instruction | int]] = [
    *((ErrorCode.ILLEGAL_TYPE, kind << 29) for kind in range(3, 8)),
    (ErrorCode.ILLEGAL_FUNCTION, Matrix(function=5)),
    (ErrorCode.ILLEGAL_FUNCTION, Matrix(function=31)),
    (ErrorCode.ILLEGAL_FUNCTION, load(function=2)),
    (ErrorCode.ILLEGAL_FUNCTION, load(accumulator=1)),
    (ErrorCode.ILLEGAL_FUNCTION, store(accumulator=0)),
    (ErrorCode.SCRATCHPAD_ROW, load(row=LAST - 3)),
    (ErrorCode.SCRATCHPAD_ROW, load(row=2, stride=-1)),
    (ErrorCode.SCRATCHPAD_ROW, load(row=(1 << 20) - 1, rows=1)),
    (ErrorCode.SCRATCHPAD_ROW, Matrix(function=0, scratchpad_row=LAST - 3, scratchpad_stride=1)),
    (ErrorCode.SCRATCHPAD_ROW, Matrix(function=2, scratchpad_row=15, scratchpad_stride=-16)),
    (ErrorCode.ACCUMULATOR_ROW, Matrix(function=3, accumulator_row=LAST_ROW)),
    (ErrorCode.ACCUMULATOR_ROW, Matrix(function=4, accumulator_row=LAST_ROW - 3, accumulator_stride=1)),
    (ErrorCode.ACCUMULATOR_ROW, store(row=LAST_ROW - 3)),
    (ErrorCode.ROW_SIZE, load(size=CONFIG.scratchpad_row_bytes + 1)),
    (ErrorCode.ROW_SIZE, load(size=0)),
    (ErrorCode.ROW_SIZE, store(size=CONFIG.scratchpad_row_bytes)),
    (ErrorCode.MISALIGNED, load(address=CONFIG.memory_base + 1)),
    (ErrorCode.MISALIGNED, store(memory_stride=CONFIG.accumulator_row_bytes + 4)),
    (ErrorCode.READ_RESPONSE, load(address=OUTSIDE)),
    (ErrorCode.READ_RESPONSE, load(address=OUTSIDE - 2 * CONFIG.scratchpad_row_bytes)),
    (ErrorCode.WRITE_RESPONSE, store(address=0)),
    (ErrorCode.HIDDEN_KEYS, Matrix(function=1, hidden=CONFIG.rows)),
    (ErrorCode.HIDDEN_KEYS, Matrix(function=1, hidden=255, causal=1)),
    (ErrorCode.TIMEOUT, Matrix(function=3, semaphore=3, acquire=1, acquire_value=1)),
    (ErrorCode.TIMEOUT, load(semaphore=31, acquire=1, acquire_value=7)),
    (ErrorCode.TIMEOUT, store(semaphore=1, acquire=1, acquire_value=2)),
]


def bad_program(bad: Instruction | int, number: int) -> Program:
    """``bad`` (a word, or an instruction) is instruction ``number``."""
    words = encode_all([load(row=4 * (i % 4)) for i in range(number)])
    words += [bad] if isinstance(bad, int) else encode_all([bad])
    return Program(tuple(words + encode_all([STOP])), watchdog=300)


@pytest.mark.parametrize("timing", [Timing(), Timing(40, 60, stall_seed=4)], ids=["fast", "slow"])
def test_every_error_and_a_good_program_after_it(timing: Timing) -> None:
    assert {code for code, _ in BAD} == set(ErrorCode) - {ErrorCode.NONE, ErrorCode.ORDER}  # fsa has no order
    kernel, expected = problem(CONFIG, 1, 1)
    programs = [each for index, (_, bad) in enumerate(BAD)
                for each in (bad_program(bad, index % 4), kernel.program(watchdog=WATCHDOG_CYCLES))]
    executions = execute(CONFIG, programs, timing)
    assert len(executions) == len(programs)
    for index, ((code, bad), failed, good) in enumerate(zip(BAD, executions[::2], executions[1::2], strict=True)):
        assert (failed.state, failed.error) == (State.ERROR, code), bad
        if code is not ErrorCode.TIMEOUT:
            assert failed.error_instruction == index % 4, bad
        else:
            # what was decoded when nothing moved any more: the fence with stop was not
            assert failed.error_instruction == index % 4 + 1, bad
        assert (good.state, good.error, good.error_instruction) == (State.DONE, ErrorCode.NONE, 0), bad
        assert np.array_equal(attention_output(kernel, good), expected), bad
    if timing.stall_seed is None:
        # as fast as without a past
        (alone,) = execute(CONFIG, [kernel.program()], timing)
        assert {good.counters for good in executions[1::2]} == {alone.counters}


@pytest.mark.parametrize("words", [
    (), encode_all([load(), Fence(matrix=1, dma=1)]), encode_all([Matrix(function=3)])[:2], encode_all([load()])[:3],
], ids=["none", "no_stop", "cut_matrix", "cut_dma"])
def test_a_program_without_an_end(words: Sequence[int]) -> None:
    kernel, expected = problem(CONFIG, 1, 1)
    failed, good = execute(CONFIG, [Program(tuple(words), watchdog=100), kernel.program(watchdog=WATCHDOG_CYCLES)])
    assert (failed.state, failed.error) == (State.ERROR, ErrorCode.TIMEOUT)
    assert np.array_equal(attention_output(kernel, good), expected)


def test_the_first_error_counts_and_nothing_follows_it() -> None:
    """What stands behind an illegal instruction does not reach memory, and the queue is empty for who comes next."""
    marker = Program(tuple(encode_all([Matrix(function=9), store(), *[load(row=LAST)] * 3, STOP])),
                     ((CONFIG.memory_base, b"\x77" * 64),), (Region(CONFIG.memory_base, 64),))
    kernel, expected = problem(CONFIG, 1, 1)
    failed, good = execute(CONFIG, [marker, kernel.program()])
    assert (failed.error, failed.error_instruction) == (ErrorCode.ILLEGAL_FUNCTION, 0)
    assert failed.outputs == (b"\x77" * 64,)
    assert np.array_equal(attention_output(kernel, good), expected)


# fences and the watchdog


RELEASED = {"semaphore": 1, "release": 1, "release_value": 1}
ACQUIRED = {"semaphore": 1, "acquire": 1, "acquire_value": 1}


@pytest.mark.parametrize("fence", [Fence(matrix=1, stop=1), STOP], ids=["matrix", "both"])
def test_a_fence_waits_for_what_is_queued(fence: Fence) -> None:
    """Here for a matrix instruction that waits for a load."""
    words = encode_all([load(**RELEASED), Matrix(function=0, scratchpad_stride=1, **ACQUIRED), fence])
    (done,) = execute(CONFIG, [Program(tuple(words))], Timing(read_latency=500))
    assert done.state is State.DONE
    assert done.counters is not None
    assert done.counters.matrix == 1
    assert done.counters.matrix_active > 0
    assert done.counters.execution_time > 500


def test_a_fence_waits_for_stores() -> None:
    """That wait for a matrix instruction, which waits for a load; a fence for nothing waits for none of them."""
    marker = ((CONFIG.memory_base, b"\x77" * 64),)
    step = Matrix(function=0, scratchpad_stride=1, semaphore=1, acquire=1, acquire_value=1, release=1, release_value=2)
    words = [load(**RELEASED), step, store(semaphore=1, acquire=1, acquire_value=2)]
    programs = [Program(tuple(encode_all([*words, fence])), marker, (Region(CONFIG.memory_base, 64),))
                for fence in (Fence(dma=1, stop=1), Fence(stop=1))]
    waited, hurried = execute(CONFIG, programs, Timing(300, 300))
    assert (waited.state, hurried.state) == (State.DONE, State.DONE)
    assert waited.outputs == (bytes(64),)
    assert hurried.outputs == (b"\x77" * 64,)
    assert hurried.cycles is not None
    assert waited.counters is not None and hurried.counters is not None
    assert waited.counters.execution_time > 600 > 100 > hurried.counters.execution_time


@pytest.mark.parametrize(("watchdog", "error"), [(100, ErrorCode.NONE), (20, ErrorCode.TIMEOUT)])
def test_rows_that_arrive_keep_the_watchdog_quiet(watchdog: int, error: ErrorCode) -> None:
    """A row takes 50 cycles, and there are 16."""
    config = Config(memory_ports=1)
    program = Program(tuple(encode_all([load(rows=16), STOP])), watchdog=watchdog)
    (execution,) = execute(config, [program], Timing(read_bandwidth=Fraction(1, 50)))
    assert execution.error == error


# the register interface, step by step


def play(config: Config, steps: Sequence[Step], programs: Sequence[Program] = (), timing: Timing | None = None
         ) -> DeviceRun:
    """Plays a script of ours; ``results`` are what it read."""
    run = DeviceRun(config, programs, timing or Timing(), watch=Watch(max_cycles=50_000))
    run.steps = list(steps)
    return simulate(run)


def write(register: Register, value: int = 0) -> Step:
    return Step(Action.WRITE, register, value)


def read(*registers: Register) -> list[Step]:
    return [Step(Action.READ, register) for register in registers]


def push(words: Sequence[int]) -> list[Step]:
    return [Step(Action.PUSH, Register.QUEUE, word) for word in words]


WAIT = Step(Action.WAIT)
START = write(Register.SET_ACTIVE, 1)
STATUS = (Register.STATE, Register.INTERRUPT, Register.ERROR, Register.ERROR_INSTRUCTION)


def test_registers_after_a_reset() -> None:
    run = play(CONFIG, read(*STATUS, *(r for r in Register if Register.EXECUTION_TIME <= r <= Register.DEQUEUED),
                            Register.WATCHDOG, Register.SCALE_ELEM, Register.SCALE_ACC))
    # log2(e) / sqrt(4)
    assert run.results == [0] * (len(STATUS) + 10) + [WATCHDOG_CYCLES, 0x39C5, 0x3F38AA3B]


def test_a_reset_by_software_leaves_scale_and_watchdog() -> None:
    kept = {Register.SCALE_ELEM: 0x3800, Register.SCALE_ACC: 0x3F00_0000, Register.WATCHDOG: 1234}
    writes = [write(register, value) for register, value in kept.items()]
    reset = [write(Register.ERROR), Step(Action.POLL, Register.STATE, State.IDLE)]
    failing = [START, *push(encode_all([Matrix(function=7)])), WAIT]
    run = play(CONFIG, [*writes, *reset, *read(*kept), *failing, *read(*kept), *reset, *read(*kept)])
    assert run.results == 3 * list(kept.values())


def test_the_host_writes_the_scale_where_it_changes() -> None:
    """And gives back what a reset leaves to a program that wants no other."""
    scales = [None, 0.3, 0.3, None, None, 0.7]
    programs = [Attention(CONFIG, 0, scale=scale).program for scale in scales]
    steps = DeviceRun(CONFIG, programs, Timing()).steps
    written = [(step.address, step.value) for step in steps if step.action is Action.WRITE and step.address in SCALES]
    values = [Scale.of(CONFIG, scale) for scale in (0.3, None, 0.7)]
    assert written == [pair for value in values
                       for pair in ((Register.SCALE_ELEM, value.elem), (Register.SCALE_ACC, value.acc))]


def test_interrupt_of_a_program_that_is_done() -> None:
    words = encode_all([STOP])
    run = play(CONFIG, [
        START, *push(words), WAIT, *read(*STATUS), write(Register.INTERRUPT, 2), *read(*STATUS),
        write(Register.INTERRUPT, 1), *read(*STATUS, Register.FENCE, Register.ENQUEUED),
        # again, without a reset: the first eight counters start at 0
        START, *read(*STATUS), *push(words), WAIT, *read(*STATUS, Register.FENCE, Register.ENQUEUED),
        # setting active takes the interrupt back too
        START, *read(*STATUS),
    ])
    done, quiet, active = [State.DONE, 1, 0, 0], [State.DONE, 0, 0, 0], [State.ACTIVE, 0, 0, 0]
    assert run.results == [*done, *done, *quiet, 1, 1, *active, *done, 1, 2, *active]


def test_interrupt_of_an_error() -> None:
    words = encode_all([Fence(), Matrix(function=7)])
    run = play(CONFIG, [
        START, *push(words), WAIT, *read(*STATUS), write(Register.INTERRUPT, 1), *read(*STATUS),
        write(Register.INTERRUPT, 3), *read(*STATUS),
        # state 3 is not left by setting active, and takes no words
        START, *push(words), *read(*STATUS, Register.ENQUEUED),
        write(Register.ERROR), Step(Action.POLL, Register.STATE, State.IDLE), *read(*STATUS, Register.ENQUEUED),
    ])
    code = ErrorCode.ILLEGAL_FUNCTION
    error, quiet = [State.ERROR, 2, code, 1], [State.ERROR, 0, code, 1]
    assert run.results == [*error, *error, *quiet, *quiet, 4, 0, 0, 0, 0, 0]


def test_words_before_the_device_is_active() -> None:
    """They wait in the queue; those that it has no room for are refused."""
    config = Config(instruction_queue=5)
    words = encode_all([Fence()] * 4 + [Fence(stop=1)])
    run = play(config, [
        *push(words), *push(encode_all([Matrix(function=9)] * 2)), *read(Register.STATE, Register.ENQUEUED),
        START, WAIT, *read(*STATUS, Register.FENCE, Register.DEQUEUED),
    ])
    assert run.results == [State.IDLE, 5, State.DONE, 1, 0, 0, 5, 5]


@pytest.mark.parametrize("end", [[STOP], []], ids=["at_work", "without_end"])
def test_a_reset_waits_for_the_bus(end: list[Instruction]) -> None:
    """And what comes after it is not met by answers from before it."""
    kernel, expected = problem(CONFIG, 1, 1)
    program = kernel.program()
    words = encode_all([load(row=4 * i) for i in range(4)] + end)
    steps = [START, *push(words), write(Register.ERROR), *read(Register.STATE),
             Step(Action.POLL, Register.STATE, State.IDLE), *read(*STATUS),
             Step(Action.FILL), START, *push(program.words), WAIT, *read(*STATUS), Step(Action.SAVE)]
    timing = Timing(read_latency=700, stall_seed=9)
    run = play(CONFIG, steps, [program], timing)
    assert run.results == [State.ERROR, 0, 0, 0, 0, State.DONE, 1, 0, 0]
    assert run.cycle > 1400
    execution = Execution(State.DONE, ErrorCode.NONE, 0, Counters(), run.outputs[0])
    assert np.array_equal(attention_output(kernel, execution), expected)


def test_the_watchdog_can_be_switched_off() -> None:
    stuck = encode_all([load(semaphore=1, acquire=1, acquire_value=1)])
    wait = read(*[Register.STATE] * 200)
    run = play(CONFIG, [write(Register.WATCHDOG, 100), START, *push(stuck), *wait, *read(Register.ERROR)])
    assert run.results[-2:] == [State.ERROR, ErrorCode.TIMEOUT]
    run = play(CONFIG, [write(Register.WATCHDOG, 0), START, *push(stuck), *wait, *read(Register.ERROR)])
    assert set(run.results) == {State.ACTIVE, 0}


@pytest.mark.parametrize("memory_base", [0, 1 << 38])
def test_all_of_the_memory_that_addresses_reach(memory_base: int) -> None:
    attention(Config(memory_base=memory_base, memory_size=(1 << 39) - memory_base), 1, 1)


def test_memory_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(RunError, match="^the 268435456 bytes of the device's memory cannot be had: Cannot allocate"):
        attention(Config(), 1, 1)


# what it cannot be


@pytest.mark.parametrize("config", [
    Config(memory_ports=3), Config(beat_bytes=3), Config(beat_bytes=32), Config(memory_align=4, beat_bytes=8),
    Config(memory_base=4),
], ids=["ports", "beat", "beats", "align", "base"])
def test_configurations_that_only_the_core_can_have(config: Config) -> None:
    with pytest.raises(ConfigError, match="the accelerator needs .*: the bare core takes it") as refused:
        accelerator(unsigned(1), unsigned(1), AxiLite(), MemoryPorts(CONFIG), unsigned(1), config)
    assert "\n" not in str(refused.value)

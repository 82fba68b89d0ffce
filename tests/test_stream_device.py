"""The device with the stream dataflow: any memory, and any order of instructions: right, refused, or ended in time."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from blocks import dut
from programs import Attention
from test_blocks import SIMULATORS

from myhdl_fsa import golden
from myhdl_fsa.config import Config, preset
from myhdl_fsa.convert.regression import check_all
from myhdl_fsa.dataflows import attention_cycles
from myhdl_fsa.dataflows.stream import order
from myhdl_fsa.dataflows.stream.kernel import residency
from myhdl_fsa.dataflows.stream.order import Order
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import engine
from myhdl_fsa.golden import device
from myhdl_fsa.isa import Dma, Fence, Function, Instruction, Matrix, Transfer, encode_all
from myhdl_fsa.kernel.checker import check
from myhdl_fsa.program import ErrorCode, Execution, Program, Region, State, Timing
from myhdl_fsa.tiling import AttentionShape

LOAD, SCORE, VALUE, RECIPROCAL, NORM = Function
STOP = Fence(matrix=1, dma=1, stop=1)
N = 4
CONFIG = Config(rows=N, dataflow="stream", reciprocal="division", memory_size=1 << 16)
BASE = CONFIG.memory_base


def load_q(**fields: int) -> Matrix:
    return Matrix(function=LOAD, scratchpad_row=N - 1, scratchpad_stride=-1, **fields)


def score(zero: int = 1, **fields: int) -> Matrix:
    given = {"scratchpad_row": 3 * N - 1, "scratchpad_stride": -1, "reverse_in": 1, "delay": 1, "zero": zero}
    return Matrix(function=SCORE, **given | fields)


def value(zero: int = 1, paired: int = 0, **fields: int) -> Matrix:
    given = {"scratchpad_row": 3 * N, "scratchpad_stride": 1, "reverse_in": 1, "delay": 1, "zero": zero,
             "accumulator_row": 1, "accumulator_stride": 1, "causal": paired}
    return Matrix(function=VALUE, **given | fields)


def reciprocal(**fields: int) -> Matrix:
    return Matrix(function=RECIPROCAL, wait_idle=1, **fields)


def norm(**fields: int) -> Matrix:
    return Matrix(function=NORM, wait_idle=1, **{"accumulator_row": 1, "accumulator_stride": 1} | fields)


def load(row: int, rows: int = N, memory: int = 0, **fields: int) -> Dma:
    size = CONFIG.scratchpad_row_bytes
    return Dma(function=Transfer.LOAD, rows=rows, row=row, stride=1, memory_stride=size, address=BASE + memory,
               size=size, **fields)


def store(row: int, rows: int, **fields: int) -> Dma:
    size = CONFIG.accumulator_row_bytes
    return Dma(function=Transfer.STORE, accumulator=1, rows=rows, row=row, stride=1, memory_stride=size,
               address=BASE + 0x8000, size=size, **fields)


FILLED = [load(0, CONFIG.scratchpad_rows), Fence(dma=1)]
"""every scratchpad row holds something"""


def program(instructions: list[Instruction], seed: int = 0, watchdog: int | None = None) -> Program:
    """The instructions' words, random numbers to load, and what ``store`` stores as output."""
    rng = np.random.default_rng(seed)
    numbers = from_float(rng.standard_normal((CONFIG.scratchpad_rows, N)), CONFIG.elem)
    return Program(tuple(encode_all(instructions)), ((BASE, numbers.tobytes()),),
                   (Region(BASE + 0x8000, CONFIG.accumulator_rows * CONFIG.accumulator_row_bytes),), watchdog)


def run(what: Program | list[Program], name: str = "myhdl", config: Config = CONFIG, **options: Any) -> list[Execution]:
    programs = what if isinstance(what, list) else [what]
    return engine(name, options.pop("build_dir", None)).execute_all(programs, config, max_cycles=200_000, **options)


# attention


@pytest.mark.parametrize(("n", "tiles_q", "tiles_kv", "causal", "fields"), [
    (2, 3, 4, False, {}), (3, 2, 2, True, {"elem": "bf16"}), (4, 3, 5, True, {"scratchpad_rows": 4 * 4}),
    (4, 5, 1, False, {"accumulator_rows": 4 + 1}), (4, 2, 6, False, {"accumulator_rows": 2 * 4 + 1}),
    (4, 4, 4, True, {"scratchpad_rows": 12 * 4}), (5, 2, 3, False, {"reciprocal": "newton"}), (8, 2, 4, True, {}),
    (5, 2, 3, True, {"mac_stages": 2}), (8, 2, 2, False, {"adder_stages": 2}),
])
def test_attention_with_any_memory(n, tiles_q, tiles_kv, causal, fields):
    config = Config(rows=n, **{"dataflow": "stream", "reciprocal": "division"} | fields)
    problem = Attention(config, n, tiles_q, tiles_kv, causal)
    problem.check(device.execute(problem.program, config))
    rng = random.Random(n)
    for _ in range(3):
        timing = Timing(rng.choice((1, 7, 90)), rng.choice((1, 7, 90)), stall_seed=rng.getrandbits(32),
                        push_interval=rng.choice((1, 1, 9)))
        (execution,) = engine("myhdl").execute_all([problem.program], config, timing=timing, max_cycles=100_000)
        problem.check(execution)


def test_late_tiles_cost_no_more_than_their_lateness():
    problem = Attention(CONFIG, 1, 3, 6)
    transfers = sum(isinstance(item, Dma) for item in problem.kernel.instructions)
    early, late = (run(problem.program, timing=Timing(latency, latency))[0].counters.execution_time
                   for latency in (1, 60))
    assert early < late <= early + transfers * 59


@pytest.mark.parametrize("name", ["icarus", "verilator"])
def test_attention_in_verilog(name, build_dir):
    problems = [Attention(CONFIG, seed, 2, 3 + seed, bool(seed)) for seed in range(2)]
    programs = [problem.program for problem in problems]
    ours = run(programs, timing=Timing(9, 5, stall_seed=3))
    for problem, execution in zip(problems, ours, strict=True):
        problem.check(execution)
    assert run(programs, name, timing=Timing(9, 5, stall_seed=3), build_dir=build_dir) == ours


@pytest.mark.parametrize(("items", "latency"), [
    # reads of the accumulator RAM, of Q's scratchpad and of K's and V's, each of a row that is being written
    ([load_q(), score(), value(zero=0, accumulator_stride=0)], 1),
    ([load_q(), load(0, CONFIG.scratchpad_rows), load_q(), score(), value()], 2),
    ([load_q(), load(0, CONFIG.scratchpad_rows), load_q(), score(), value()], 12),
], ids=["accumulators", "queries", "keys"])
def test_what_a_race_reads_is_the_same_in_verilog(items, latency, build_dir):
    """The checker objects to each."""
    whole = [*FILLED, *items, Fence(matrix=1, dma=1), store(0, N + 1), STOP]
    assert check(whole, CONFIG)
    timing = Timing(latency, 1)
    assert run(program(whole), timing=timing) == run(program(whole), "icarus", timing=timing, build_dir=build_dir)


@pytest.mark.slow
@pytest.mark.parametrize("n", [16, 32, 64, 128])
def test_attention_of_large_arrays_with_any_memory(n, tmp_path):
    """At N = 128, 2048 x 2048 loses at most 1 % to a latency of 100 cycles; smaller ones want more buffers for it."""
    config, machine = preset(f"STREAM{n}X{n}Fp16Config"), engine("verilator", tmp_path)
    for tiles, causal in ((2048 // n if n == 128 else 4, False), (3, True)):
        problem = Attention(config, n, tiles, tiles, causal)
        for timing in (Timing(100, 100), Timing(7, 30, stall_seed=n)):
            (execution,) = machine.execute_all([problem.program], config, timing=timing)
            problem.check(execution)
            if timing.stall_seed is None and n == 128 and not causal:
                assert attention_cycles(config, tiles, tiles) == 67_333 + 2
                assert execution.counters.execution_time <= 1.01 * 67_333


@pytest.mark.slow
@pytest.mark.parametrize("n", [16, 32, 64, 128])
def test_a_change_of_query_tile_is_free_in_large_arrays(n, tmp_path):
    config, machine = preset(f"STREAM{n}X{n}Bf16Config"), engine("verilator", tmp_path)
    for tiles_q, tiles_kv in ((5, 1), (2, 3)):
        rng = np.random.default_rng(n)
        q, k, v = (from_float(rng.standard_normal((tiles * n, n)), config.elem)
                   for tiles in (tiles_q, tiles_kv, tiles_kv))
        result = machine.attention(q, k, v, config)
        np.testing.assert_array_equal(result.output, golden.attention(q, k, v, config))
        assert result.cycles == tiles_q * tiles_kv * (2 * n + 4) + 6 * n + 5 + 2


@pytest.mark.parametrize(("places", "tiles", "expected"), [
    (1, 1, (1, 0)), (1, 2, (0, 1)), (2, 5, (0, 2)), (3, 3, (3, 0)), (3, 9, (1, 2)), (7, 9, (3, 4)), (40, 99, (32, 8)),
])
def test_what_stays_in_the_scratchpad(places, tiles, expected):
    assert residency(CONFIG.replace(scratchpad_rows=2 * N + 2 * N * places), tiles) == expected


@pytest.mark.parametrize(("places", "tiles", "expected"), [
    (1, 1, (1, 0)), (2, 1, (2, 0)), (5, 1, (2, 0)), (1, 2, (0, 1)), (2, 2, (2, 0)), (5, 2, (4, 0)), (3, 9, (1, 2)),
    (40, 13, (13, 0)), (40, 99, (6, 7)),
])
def test_what_stays_of_a_head(places, tiles, expected):
    assert residency(CONFIG.replace(scratchpad_rows=2 * N + 2 * N * places), tiles, 2) == expected


@pytest.mark.parametrize("o_tiles", [1, 2, 4])
@pytest.mark.parametrize("places", [1, 2, 3, 5, 16])
def test_heads_with_any_memory(places, o_tiles):
    """Tiles that stay for a head, and such that do not; the checker has nothing against any of it."""
    config = Config(rows=2, dataflow="stream", reciprocal="division", memory_size=1 << 16,
                    scratchpad_rows=4 + 4 * places, accumulator_rows=2 * o_tiles + 1)
    for seq_kv in (2, 3, 9):
        for heads, kv_heads, causal in ((2, 2, False), (4, 2, True)):
            problem = Attention(config, seq_kv, shape=AttentionShape(
                3, seq_kv, 2, 1, heads, kv_heads, causal=causal, stacked=True))
            assert check(problem.kernel) == []
            problem.check(device.execute(problem.program, config))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_many_shapes_with_any_memory(seed):
    rng = random.Random(seed)
    n = rng.choice((2, 3, 4, 5))
    fields: dict[str, Any] = {"mac_stages": rng.randrange(2)} if n > 3 else {}
    config = Config(rows=n, dataflow="stream", reciprocal="division", scratchpad_rows=2 * n * rng.randrange(2, 10),
                    accumulator_rows=n * rng.randrange(1, 5) + 1, **fields)
    problems = [Attention.drawn(config, rng, 4) for _ in range(6)]
    timing = Timing(rng.choice((1, 7, 90)), rng.choice((1, 7, 90)), stall_seed=rng.getrandbits(32))
    executions = engine("myhdl").execute_all([each.program for each in problems], config, timing=timing,
                                             max_cycles=400_000)
    for each, execution in zip(problems, executions, strict=True):
        each.check(execution)


# any program whose order is right


def random_program(config: Config, rng: random.Random) -> list[Instruction]:
    """Matrix instructions that no rule forbids, on any rows, until the checker has nothing against the whole."""
    while True:
        follower, items = Order(config), list[Instruction](FILLED)
        # every accumulator row holds something
        begin = [load_q(), *(item for tile in range(3) for item in (score(), value(accumulator_row=1 + N * tile)))]
        for item in begin:
            follower.take(item)
        items += begin
        for _ in range(rng.randrange(4, 40)):
            tile = 1 + N * rng.randrange(3)
            turn = rng.random() < 0.5
            rows = {"scratchpad_row": 2 * N + rng.randrange(4 * N) + (N - 1 if turn else 0),
                    "scratchpad_stride": -1 if turn else 1}
            item = rng.choice([
                load_q(), load_q() if rng.random() < 0.3 else replace(load_q(), scratchpad_row=0, scratchpad_stride=1),
                score(rng.randrange(2), causal=rng.randrange(2), accumulator_row=0,
                      hidden=rng.choice((0, rng.randrange(N))), **rows),
                value(rng.randrange(2), rng.randrange(2), accumulator_row=tile, **rows),
                value(1, 1, accumulator_row=tile, **rows), reciprocal(), norm(accumulator_row=tile),
            ])
            if follower.fault(item) is None:
                follower.take(item)
                items.append(item)
                if rng.random() < 0.2 and not follower.announced:
                    items.append(Fence(matrix=1))
        if follower.announced:
            items.append(score(1))
        items += [Fence(matrix=1), store(0, CONFIG.accumulator_rows), STOP]
        if not check(items, config):
            return items


@pytest.mark.parametrize(("mac_stages", "adder_stages", "count"), [
    (0, 1, 60), (1, 1, 15), (0, 2, 15), (1, 2, 10), (2, 2, 10),
])
def test_any_program_in_order_gives_golden_s_bits(mac_stages, adder_stages, count):
    config = CONFIG.replace(mac_stages=mac_stages, adder_stages=adder_stages)
    rng = random.Random(5)
    programs = [program(random_program(config, rng), seed) for seed in range(count)]
    for what, execution in zip(programs, run(programs, config=config), strict=True):
        expected = device.execute(what, config)
        assert execution.state is expected.state is State.DONE
        assert execution.outputs == expected.outputs


# order


REFUSED = [
    ([score()], 0, "before any LOAD_STATIONARY"),
    ([load_q(), score(zero=0)], 1, "the first ATTN_SCORE goes on with a query tile"),
    ([load_q(), score(), score()], 2, "ATTN_SCORE with 1 before it that wait for their ATTN_VALUE: must be at most 0"),
    ([load_q(), value()], 1, "ATTN_VALUE without an ATTN_SCORE before it"),
    ([load_q(), score(), value(), reciprocal(), score(zero=0), value()], 5, "goes on with a query tile after an ACC_R"),
    ([load_q(), score(), reciprocal()], 2, "ACC_RECIPROCAL without an ATTN_VALUE"),
    ([load_q(), score(), value(), reciprocal(), reciprocal()], 4, "ACC_RECIPROCAL without an ATTN_VALUE since"),
    ([load_q(), score(), value(), norm()], 3, "ATTN_LSE_NORM before any ACC_RECIPROCAL"),
    ([load_q(), score(), value(paired=1), reciprocal()], 3, "ACC_RECIPROCAL with wait_idle after an ATTN_VALUE that"),
    ([load_q(), score(), value(paired=1), load_q()], 3, "LOAD_STATIONARY after an ATTN_VALUE that announces"),
    ([load_q(), score(), value(paired=1), score(wait_idle=1)], 3, "ATTN_SCORE with wait_idle after an ATTN_VALUE"),
    ([load_q(), score(), value(paired=1)], 3, "fence after an ATTN_VALUE that announces an ATTN_SCORE"),
]


@pytest.mark.parametrize(("instructions", "number", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_breaks_the_order_is_refused(instructions, number, message):
    items = [*FILLED, *instructions, STOP]
    at = number + len(FILLED)
    finding = check(items, CONFIG)[0]
    assert (finding.index, finding.remedy) == (at, "order the instructions as kernel.flash_attention does")
    assert message in finding.message
    expected = device.execute(program(items), CONFIG)
    assert (expected.state, expected.error, expected.error_instruction) == (State.ERROR, ErrorCode.ORDER, at)
    good = program([*FILLED, load_q(), score(), value(), reciprocal(), norm(), Fence(matrix=1), store(0, N + 1), STOP])
    bad, after = run([program(items), good])
    assert (bad.state, bad.error, bad.error_instruction) == (State.ERROR, ErrorCode.ORDER, at)
    assert after.outputs == device.execute(good, CONFIG).outputs


def test_the_order_s_error_is_the_same_in_verilog(build_dir):
    programs = [program([*FILLED, *instructions, STOP]) for instructions, *_ in REFUSED]
    assert run(programs, "icarus", build_dir=build_dir) == run(programs)


@pytest.mark.parametrize("instructions", [
    [replace(load_q(), scratchpad_row=2 * N)], [load_q(), score(scratchpad_row=3 * N - 2)],
    [load_q(), score(), value(scratchpad_row=2 * N - 1)],
    [replace(load_q(), scratchpad_row=N + 1, scratchpad_stride=1)],
])
def test_operands_in_the_wrong_part_of_the_scratchpad_are_refused(instructions):
    items = [*FILLED, *instructions, STOP]
    expected = device.execute(program(items), CONFIG)
    (execution,) = run(program(items))
    assert (execution.error, execution.error_instruction) == (ErrorCode.SCRATCHPAD_ROW, len(items) - 2)
    assert (expected.error, expected.error_instruction) == (execution.error, execution.error_instruction)
    assert "must be from" in next(finding.message for finding in check(items, CONFIG))


def test_a_partner_whose_tile_never_comes_ends_in_a_timeout():
    items = [*FILLED, load_q(), score(), value(paired=1), score(semaphore=3, acquire=1, acquire_value=1), STOP]
    for execution in (*run(program(items, watchdog=300)), device.execute(program(items), CONFIG)):
        assert (execution.state, execution.error) == (State.ERROR, ErrorCode.TIMEOUT)
    assert "never acquires semaphore 3" in check(items, CONFIG)[0].message


def test_a_partner_that_waits_for_what_its_value_releases_is_found():
    # the two start together, so neither can
    wait = {"semaphore": 3, "acquire": 1}
    items = [*FILLED, load_q(), score(), value(paired=1, semaphore=3, release=1, release_value=1),
             score(acquire_value=1, **wait), STOP]
    assert any("never acquires semaphore 3 at 1" in finding.message for finding in check(items, CONFIG))
    (execution,) = run(program(items, watchdog=300))
    assert execution.error is ErrorCode.TIMEOUT


def order_dut(config: Config) -> Any:
    return dut(f"order_check_{config.rows}", order.order_check, {"reset": 1, "bits": 96, "valid": 1, "taken": 1},
               {"bad": 1, "code": 4, "announced": 1}, config=config)


def test_the_decoder_s_check_is_the_order(tmp_path):
    rng = random.Random(9)
    stimuli: dict[str, list[int]] = {name: [] for name in ("reset", "bits", "valid", "taken")}
    expected = []
    follower = Order(CONFIG)
    for cycle in range(4000):
        reset = cycle == 0 or rng.random() < 0.01
        item = rng.choice([load_q(), score(rng.randrange(2)), score(1, wait_idle=rng.random() < 0.1),
                           value(paired=rng.randrange(2)), reciprocal(), norm()])
        wrong = follower.fault(item) is not None
        # the decoder holds back what is wrong
        taken = not reset and not wrong and rng.random() < 0.8
        expected.append((wrong, item.function == VALUE and bool(item.causal)))
        (word,) = (sum(part << 32 * i for i, part in enumerate(encode_all([item]))),)
        for name, bit in (("reset", reset), ("bits", word), ("valid", 1), ("taken", taken)):
            stimuli[name].append(int(bit))
        if reset:
            follower = Order(CONFIG)
        elif taken:
            follower.take(item)
    (seen,) = check_all([(partial(order_dut, CONFIG), stimuli)], SIMULATORS, tmp_path)
    assert list(zip(seen["bad"][1:], seen["announced"][1:], strict=True)) == expected[1:]
    assert {code for code, bad in zip(seen["code"], seen["bad"], strict=True) if bad} == {ErrorCode.ORDER}
    assert sum(bad for bad, _ in expected) > 500


@pytest.mark.parametrize("config", [CONFIG, Config(rows=9, dataflow="stream", reciprocal="division")],
                         ids=["4", "9"])
def test_the_decoder_s_check_of_operands(config, tmp_path):
    """Against plain integers: each first row near a border, and each stride."""
    queries, last = 2 * config.cols, config.rows - 1
    items, taken = [load_q(), load_q()], [0, 1]
    for make in (load_q, score, value):
        for stride in range(-16, 16):
            near = (max(0, queries - stride * last + more) for more in (-1, 0, 1))
            for row in {*range(40), *near, (1 << 20) - 1}:
                items.append(replace(make(), scratchpad_row=row, scratchpad_stride=stride))
                taken.append(0)
        if make is score:
            # so that an ATTN_VALUE may come
            items.append(score(scratchpad_row=queries))
            taken.append(1)
    words = [sum(part << 32 * i for i, part in enumerate(encode_all([item]))) for item in items]
    stimuli = {"reset": [1] + [0] * (len(words) - 1), "bits": words, "valid": [1] * len(words), "taken": taken}
    (seen,) = check_all([(partial(order_dut, config), stimuli)], SIMULATORS, tmp_path)
    for item, code in zip(items[1:], seen["code"][1:], strict=True):
        ends = item.scratchpad_row, item.scratchpad_row + item.scratchpad_stride * last
        wrong = max(ends) >= queries if item.function == Function.LOAD_STATIONARY else min(ends) < queries
        assert code == (ErrorCode.SCRATCHPAD_ROW if wrong else ErrorCode.NONE), item


# what the checker finds in an order that is right


def test_a_store_that_overtakes_the_normalisation_is_found():
    wait = {"semaphore": 1, "acquire": 1}
    common = [*FILLED, load_q(), score(), value(), reciprocal(), norm(release=1, release_value=1, **wait)]
    stored = store(1, N, acquire_value=1, **wait)
    assert check([*common, stored, STOP], CONFIG) == []
    (finding,) = check([*common, replace(stored, row=N, stride=-1), STOP], CONFIG)
    assert "sooner than the ATTN_LSE_NORM of instruction 6" in finding.message


def test_sums_over_rows_that_are_being_normalised_are_found():
    begin = [*FILLED, load_q(), score(), value(), reciprocal(), norm()]
    again = [score(), value(), STOP]
    (finding,) = check([*begin, *again], CONFIG)
    assert "data race: its write to accumulator rows 1 to 4 and the write to them by instruction 6" in finding.message
    assert check([*begin, Fence(matrix=1), *again], CONFIG) == []


def test_an_early_load_over_values_is_found():
    # the score beside a value releases while rows of V are still to be read
    release = {"semaphore": 2, "release": 1, "release_value": 1}
    reload = load(3 * N, semaphore=2, acquire=1, acquire_value=1)
    items = [*FILLED, load_q(), score(), value(paired=1), score(zero=0, **release), reload, STOP]
    assert any("race: its load into scratchpad rows 12 to 15" in finding.message for finding in check(items, CONFIG))
    items[4:6] = [value(paired=1, **release), score(zero=0)]
    assert check(items, CONFIG) == []


@pytest.mark.parametrize(("item", "message"), [
    (score(delay=0), "ATTN_SCORE with reverse_in 1, delay 0 and reverse_out 0: must have reverse_in 1, delay 1 and"),
    (reciprocal(accumulator_row=3), "ACC_RECIPROCAL of accumulator row 3: must be 0, the sums of the last ATTN_VALUE"),
    (norm(zero=1), "ATTN_LSE_NORM with zero 1: must be 0"),
    (norm(accumulator_stride=0), "ATTN_LSE_NORM with accumulator stride 0"),
    (value(zero=0, accumulator_row=0), "whose first accumulator row is that of its sums, 0"),
])
def test_what_has_no_defined_result_is_found(item, message):
    done = [score(), value(), reciprocal()]
    items = {SCORE: [item], VALUE: [*done, score(), item], RECIPROCAL: [score(), value(), item],
             NORM: [*done, item]}[Function(item.function)]
    whole = [*FILLED, load_q(), *items, STOP]
    assert any(message in finding.message for finding in check(whole, CONFIG))


def test_the_bubble_is_what_the_array_waits_for():
    problem = Attention(CONFIG, 2, 2, 6)
    fast, slow = (run(problem.program, timing=Timing(latency, latency))[0].counters for latency in (1, 100))
    assert slow.execution_time - fast.execution_time <= slow.matrix_bubble - fast.matrix_bubble + 200
    assert fast.matrix_bubble < fast.execution_time / 2 < slow.matrix_bubble



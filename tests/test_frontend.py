"""The front end's blocks in MyHDL against models written from section 4, and the same cycles in Icarus and Verilator.

Every scenario simulates its block in an environment that answers it, holds it against its model, and gives what the
inputs were; ``test_in_verilog`` replays all of them.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial

import blocks
import exact
import pytest
from blocks import Seen, interact
from hypothesis import given, settings
from hypothesis import strategies as st

from myhdl_fsa.arithmetic.formats import FloatFormat
from myhdl_fsa.config import Config
from myhdl_fsa.convert.regression import Dut, Stimuli, check_all, simulate
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.instruction import hidden_width
from myhdl_fsa.isa import KINDS, Dma, Fence, Function, Instruction, Matrix, decode, encode
from myhdl_fsa.program import ErrorCode, State
from myhdl_fsa.signals import address_width

SIMULATORS = ("icarus", "verilator")
CONFIG = Config(scratchpad_rows=20, accumulator_rows=7)
LARGEST = Config(rows=256)
Job = tuple[Callable[[], Dut], Stimuli]
SCENARIOS: dict[str, Callable[[], Job]] = {}


def scenario(make: Callable[[], Job]) -> Callable[[], Job]:
    """Registers a scenario, which runs once."""
    SCENARIOS[make.__name__] = cache(make)
    return make


def word_of(instruction: Instruction) -> int:
    return sum(word << 32 * index for index, word in enumerate(encode(instruction)))


# the queue


def queue_scenario(depth: int) -> Job:
    rng = random.Random(depth)
    inside: deque[int] = deque()
    sent: list[int] = []
    moods = [(rng.random(), rng.random()) for _ in range(12)] + [(1, 1), (1, 0), (0, 1), (1, 1)]
    state = {"valid": 0, "data": 0, "reset": 1, "waits": 0}
    offered: list[tuple[int, int]] = []

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        assert seen["enter_ready"] == (len(inside) < depth)
        assert seen["empty"] == (not inside)
        if offered and not state["reset"]:
            # a word stays until it is taken
            assert seen["leave_valid"] and seen["leave_data"] == offered[0][0]
        # and comes two cycles after it entered an empty queue
        state["waits"] = state["waits"] + 1 if inside and not seen["leave_valid"] else 0
        assert state["waits"] <= 1
        offered.clear()
        if state["reset"]:
            inside.clear()
        else:
            if seen["leave_valid"]:
                assert seen["leave_data"] == inside[0]
                if seen["leave_ready"]:
                    inside.popleft()
                else:
                    offered.append((inside[0], cycle))
            if seen["enter_valid"] and seen["enter_ready"]:
                inside.append(seen["enter_data"])
                sent.append(seen["enter_data"])
        enters, leaves = moods[cycle // 40 % len(moods)]
        if not seen["enter_valid"] or seen["enter_ready"]:
            state["valid"], state["data"] = int(rng.random() < enters), rng.getrandbits(8)
        state["reset"] = int(cycle == 0 or rng.random() < 0.003)
        return {"reset": state["reset"], "enter_valid": state["valid"], "enter_data": state["data"],
                "leave_ready": int(rng.random() < leaves)}

    make = partial(blocks.fifo, depth, 8)
    stimuli = interact(make, 640, react)
    assert len(sent) > 100
    return make, stimuli


for _depth in (1, 2, 3, 8):
    SCENARIOS[f"fifo_{_depth}"] = cache(partial(queue_scenario, _depth))


def test_a_queue_moves_a_word_a_cycle() -> None:
    count = 50
    for depth in (3, 8):
        seen = simulate(blocks.fifo(depth, 8), {
            "reset": [1] + [0] * count, "enter_valid": [0] + [1] * count, "enter_data": list(range(count + 1)),
            "leave_ready": [1] * (count + 1)})
        left = [data for data, valid in zip(seen["leave_data"], seen["leave_valid"], strict=True) if valid]
        assert left == list(range(1, count - 1))


# semaphores


@scenario
def semaphore_scenario() -> Job:
    rng = random.Random(1)
    values, busy = [0] * 32, [False] * 32
    units = ("matrix", "load", "store")
    state = {"reset": 1, "granted": 0, "refused": 0, "met": 0, "passed_on": 0}
    wants: dict[str, tuple[int, int, int]] = dict.fromkeys(units, (0, 0, 0))

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        taken: list[int] = []
        for unit in units:
            number = seen[f"acquire_{unit}_semaphore"]
            free = not busy[number] and values[number] == seen[f"acquire_{unit}_value"]
            ready = free and number not in taken
            state["met"] += free and number in taken
            assert seen[f"acquire_{unit}_ready"] == ready, (cycle, unit)
            if seen[f"acquire_{unit}_valid"]:
                state["granted" if ready else "refused"] += 1
                if ready:
                    taken.append(number)
        for number in taken:
            busy[number] = True
        for unit in units:
            if seen[f"release_{unit}_valid"]:
                number = seen[f"release_{unit}_semaphore"]
                state["passed_on"] += number in taken
                values[number], busy[number] = seen[f"release_{unit}_value"], False
        if state["reset"]:
            values[:], busy[:] = [0] * 32, [False] * 32
        inputs = {}
        few = rng.choice(((0, 1, 31), range(32)))
        for unit in units:
            if not seen[f"acquire_{unit}_valid"] or seen[f"acquire_{unit}_ready"] or rng.random() < 0.3:
                wants[unit] = (int(rng.random() < 0.7), rng.choice(few), rng.choice((0, 0, 1, 7)))
            valid, number, value = wants[unit]
            inputs.update({f"acquire_{unit}_valid": valid, f"acquire_{unit}_semaphore": number,
                           f"acquire_{unit}_value": value, f"release_{unit}_valid": int(rng.random() < 0.3),
                           f"release_{unit}_semaphore": rng.choice(few),
                           f"release_{unit}_value": rng.choice((0, 0, 1, 7))})
        state["reset"] = int(cycle == 0 or rng.random() < 0.01)
        return {"reset": state["reset"], **inputs}

    stimuli = interact(blocks.semaphores, 1500, react)
    assert min(state["granted"], state["refused"], state["met"], state["passed_on"]) > 10
    return blocks.semaphores, stimuli


# checks


def inside(row: int, stride: int, count: int, rows: int) -> bool:
    return all(0 <= row + i * stride < rows for i in ((0, count - 1) if count else ()))


def judged_matrix(config: Config, what: Matrix) -> ErrorCode:
    """Rows read as section 3's table has them."""
    r, c = config.rows, config.cols
    reads = {0: (c, 0), 1: (r, 1), 2: (r, r), 3: (0, 1), 4: (0, r)}
    if what.function not in reads:
        return ErrorCode.ILLEGAL_FUNCTION
    scratchpad, accumulator = reads[what.function]
    if not inside(what.scratchpad_row, what.scratchpad_stride, scratchpad, config.scratchpad_rows):
        return ErrorCode.SCRATCHPAD_ROW
    if not inside(what.accumulator_row, what.accumulator_stride, accumulator, config.accumulator_rows):
        return ErrorCode.ACCUMULATOR_ROW
    if what.function == Function.ATTN_SCORE and what.hidden >= r:
        return ErrorCode.HIDDEN_KEYS
    return ErrorCode.NONE


def judged_dma(config: Config, what: Dma) -> ErrorCode:
    if (what.function, what.accumulator) not in ((0, 0), (1, 1)):
        return ErrorCode.ILLEGAL_FUNCTION
    size, rows, error = ((config.accumulator_row_bytes, config.accumulator_rows, ErrorCode.ACCUMULATOR_ROW)
                         if what.accumulator else
                         (config.scratchpad_row_bytes, config.scratchpad_rows, ErrorCode.SCRATCHPAD_ROW))
    if what.size != size:
        return ErrorCode.ROW_SIZE
    if what.address % config.beat_bytes or what.memory_stride % config.beat_bytes:
        return ErrorCode.MISALIGNED
    return ErrorCode.NONE if inside(what.row, what.stride, what.rows, rows) else error


def near(rng: random.Random, limit: int) -> int:
    if rng.random() < 0.1:
        return rng.getrandbits(20)
    return max(0, rng.choice((0, limit, limit // 2)) + rng.randint(-5, 2))


def random_matrix(rng: random.Random, config: Config) -> Matrix:
    return Matrix(
        function=rng.choice((0, 1, 2, 3, 4)) if rng.random() < 0.9 else rng.randrange(32),
        semaphore=rng.randrange(32), acquire=rng.getrandbits(1), acquire_value=rng.randrange(8),
        release=rng.getrandbits(1), release_value=rng.randrange(8), wait_idle=rng.getrandbits(1),
        scratchpad_row=near(rng, config.scratchpad_rows), scratchpad_stride=random_stride(rng),
        reverse_in=rng.getrandbits(1), reverse_out=rng.getrandbits(1), delay=rng.getrandbits(1),
        accumulator_row=near(rng, config.accumulator_rows) if rng.random() < 0.8 else 0,
        accumulator_stride=random_stride(rng), zero=rng.getrandbits(1), causal=rng.getrandbits(1),
        hidden=rng.choice((0, rng.randrange(config.rows), config.rows - 1, config.rows, rng.randrange(256))) % 256,
    )


def random_stride(rng: random.Random) -> int:
    return rng.choice((1, 1, 1, 0, -1, 2, rng.randint(-16, 15)))


def random_dma(rng: random.Random, config: Config) -> Dma:
    accumulator = rng.getrandbits(1)
    size, rows = ((config.accumulator_row_bytes, config.accumulator_rows) if accumulator else
                  (config.scratchpad_row_bytes, config.scratchpad_rows))
    beat = config.beat_bytes
    return Dma(
        function=accumulator if rng.random() < 0.9 else rng.randrange(16), semaphore=rng.randrange(32),
        acquire=rng.getrandbits(1), acquire_value=rng.randrange(8), release=rng.getrandbits(1),
        release_value=rng.randrange(8), rows=rng.choice((0, 1, config.rows, rng.randrange(512))),
        row=near(rng, rows), stride=random_stride(rng), accumulator=accumulator,
        memory_stride=rng.choice((beat, -beat, 0, rng.randrange(-(1 << 20), 1 << 20), -(1 << 20), (1 << 20) - beat)),
        address=rng.getrandbits(39) // beat * beat + (rng.randrange(beat) if rng.random() < 0.1 else 0),
        size=size if rng.random() < 0.9 else rng.choice((0, size - 1, size + 1, size + beat, 1023)),
    )


def unused_bits(rng: random.Random) -> int:
    """Of a matrix instruction: bits that no field uses mean nothing."""
    return rng.getrandbits(4) << 64 | rng.getrandbits(2) << 8


def check_scenario(
    make: Callable[[Config], Dut], random_one: Callable, judged: Callable, kinds: set[ErrorCode],
    config: Config = CONFIG, count: int = 2500,
) -> Job:
    rng = random.Random(2)
    some = [random_one(rng, config) for _ in range(count)]
    stimuli = {"bits": [word_of(one) | (unused_bits(rng) if make is blocks.matrix_check else 0) for one in some],
               "valid": [int(rng.random() < 0.9) for _ in some]}
    seen = simulate(make(config), stimuli)
    expected = [judged(config, one) for one in some]
    assert seen["code"] == expected
    assert seen["bad"] == [int(valid and code != 0) for valid, code in zip(stimuli["valid"], expected, strict=True)]
    assert set(expected) == kinds
    return partial(make, config), stimuli


ROW_ERRORS = {ErrorCode.NONE, ErrorCode.ILLEGAL_FUNCTION, ErrorCode.SCRATCHPAD_ROW, ErrorCode.ACCUMULATOR_ROW}


@scenario
def matrix_check_scenario() -> Job:
    return check_scenario(blocks.matrix_check, random_matrix, judged_matrix, {*ROW_ERRORS, ErrorCode.HIDDEN_KEYS})


@scenario
def matrix_check_of_the_largest_array_scenario() -> Job:
    """No number that the field can hold hides every key."""
    return check_scenario(blocks.matrix_check, random_matrix, judged_matrix, ROW_ERRORS, LARGEST, 400)


@scenario
def dma_check_scenario() -> Job:
    return check_scenario(blocks.dma_check, random_dma, judged_dma, {
        ErrorCode.NONE, ErrorCode.ILLEGAL_FUNCTION, ErrorCode.SCRATCHPAD_ROW, ErrorCode.ACCUMULATOR_ROW,
        ErrorCode.ROW_SIZE, ErrorCode.MISALIGNED})


def edges(stride: int, count: int, rows: int) -> set[int]:
    """First rows at which the first or the last of ``count`` rows lies outside, their neighbours, and others."""
    reach = stride * (count - 1)
    near = (edge + more for edge in (0, rows, -reach, rows - reach) for more in (-2, -1, 0, 1))
    return {row for row in (*near, rows // 2, (1 << 20) - 1) if 0 <= row < 1 << 20}


@scenario
def range_check_of_every_small_row_scenario() -> Job:
    return range_scenario(24, 4, lambda stride, count: range(64))


@scenario
def range_check_of_a_large_memory_scenario() -> Job:
    return range_scenario(5000, 256, lambda stride, count: edges(stride, count, 5000))


def range_scenario(rows: int, most: int, first_rows: Callable[[int, int], Iterable[int]]) -> Job:
    counts = (0, 1, most)
    some = [(row, stride, row_use) for stride in range(-16, 16) for row_use, count in enumerate(counts)
            for row in first_rows(stride, count)]
    stimuli = {"row": [row for row, _, _ in some], "stride": [stride % 32 for _, stride, _ in some],
               "row_use": [row_use for _, _, row_use in some]}
    make = partial(blocks.range_check, rows, most)
    expected = [int(not inside(row, stride, counts[row_use], rows)) for row, stride, row_use in some]
    assert simulate(make(), stimuli)["outside"] == expected
    return make, stimuli


@scenario
def dma_check_of_every_stride_scenario() -> Job:
    config = Config(scratchpad_rows=700, accumulator_rows=7)
    some = [
        Dma(function=accumulator, accumulator=accumulator, rows=count, row=row, stride=stride,
            size=(config.scratchpad_row_bytes, config.accumulator_row_bytes)[accumulator])
        for accumulator, rows in enumerate((config.scratchpad_rows, config.accumulator_rows))
        for stride in range(-16, 16) for count in (0, 1, 2, 3, 4, 6, 8, 44, 45, 255, 256, 511)
        for row in edges(stride, count, rows)
    ]
    stimuli = {"bits": [word_of(one) for one in some], "valid": [1] * len(some)}
    expected = [judged_dma(config, one) for one in some]
    assert simulate(blocks.dma_check(config), stimuli)["code"] == expected
    assert set(expected) == {ErrorCode.NONE, ErrorCode.SCRATCHPAD_ROW, ErrorCode.ACCUMULATOR_ROW}
    return partial(blocks.dma_check, config), stimuli


# the decoder


def good(rng: random.Random, count: int) -> Iterator[Instruction]:
    for _ in range(count):
        kind = rng.randrange(5)
        if kind == 0:
            yield Fence(matrix=rng.getrandbits(1), dma=rng.getrandbits(1), stop=int(rng.random() < 0.2))
        elif kind < 3:
            yield next(m for m in iter(partial(random_matrix, rng, CONFIG), None) if not judged_matrix(CONFIG, m))
        else:
            yield next(d for d in iter(partial(random_dma, rng, CONFIG), None) if not judged_dma(CONFIG, d))


def run_decoder(seed: int, last: list[int], error: ErrorCode | None, count: int = 40) -> Stimuli:
    """``last`` are the words of what must not go on, with ``error``; more words come after it."""
    rng = random.Random(seed)
    program = list(good(rng, count))
    words = deque([word for one in program for word in encode(one)] + last)
    if error is not None:
        words.extend([*last, *(word for one in good(rng, 6) for word in encode(one))])
    # at full speed the next word meets what must not go on
    speeds = (0.2, 0.6, 1.0) if error is None or seed % 2 else (1.0,)
    paces = {name: rng.choice(speeds) for name in ("words", "matrix", "dma", "idle", "active")}
    state = {"valid": 0, "at": 0, "fault": 0}
    handed: dict[str, list[int]] = {"matrix": [], "dma": []}
    fences: list[tuple[int, int]] = []
    wanted = {
        "matrix": [word_of(one) for one in program if isinstance(one, Matrix)],
        "dma": [word_of(one) | number << 128 for number, one in enumerate(program) if isinstance(one, Dma)],
    }
    expected_fences = [(number, one.stop) for number, one in enumerate(program) if isinstance(one, Fence)]

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        if cycle > 1:
            for name, into in handed.items():
                if seen[f"{name}_valid"] and seen[f"{name}_ready"]:
                    into.append(seen[f"{name}_data"])
            if seen["fence"]:
                number, stop = expected_fences[len(fences)]
                fences.append((seen["number"], seen["stop"]))
                assert fences[-1] == (number, stop)
                # all before it has been handed on, and what it waits for is idle
                one, before = program[number], program[:number]
                assert isinstance(one, Fence)
                for waits, kind, name in ((one.matrix, Matrix, "matrix"), (one.dma, Dma, "dma")):
                    if waits:
                        assert seen[f"{name}_idle"]
                        assert len(handed[name]) == sum(isinstance(each, kind) for each in before)
            assert not seen["stop"] or seen["fence"]
            assert seen["active"] or not seen["words_ready"]
            if seen["fault_valid"]:
                assert error is not None and (seen["fault_code"], seen["fault_number"]) == (error, count)
                state["fault"] = 1
            else:
                # it stays for who is not looking, as long as there are words to look at
                assert not state["fault"] or error is ErrorCode.ILLEGAL_TYPE
        if cycle and seen["words_valid"] and seen["words_ready"]:
            words.popleft()
            state["valid"] = 0
        if not state["valid"]:
            state["valid"] = int(bool(words) and cycle > 3 and rng.random() < paces["words"])
        # a block that has taken something is not idle at once; here it is idle at random
        return {"reset": int(cycle < 2), "restart": int(cycle == 2),
                "active": int(cycle > 2 and not state["fault"] and rng.random() < paces["active"]),
                "words_valid": state["valid"], "words_data": words[0] if state["valid"] else rng.getrandbits(32),
                **{f"{name}_ready": int(rng.random() < paces[name]) for name in ("matrix", "dma")},
                **{f"{name}_idle": int(rng.random() < paces["idle"]) for name in ("matrix", "dma")}}

    stimuli = interact(partial(blocks.decoder, CONFIG), 5000, react, lambda: not words or bool(state["fault"]))
    assert (handed, fences) == (wanted, expected_fences)
    assert state["fault"] == (error is not None)
    return stimuli


@pytest.mark.parametrize("seed", range(6))
def test_decoder(seed: int) -> None:
    run_decoder(seed, [], None)


@scenario
def decoder_scenario() -> Job:
    rng = random.Random(0)
    joined: dict[str, list[int]] = {}
    bad_matrix = next(m for m in iter(partial(random_matrix, rng, CONFIG), None) if judged_matrix(CONFIG, m))
    all_hidden = Matrix(Function.ATTN_SCORE, hidden=CONFIG.rows)
    bad_dma = next(d for d in iter(partial(random_dma, rng, CONFIG), None) if judged_dma(CONFIG, d))
    lasts = [([], None), *((encode(m), judged_matrix(CONFIG, m)) for m in (bad_matrix, all_hidden)),
             *((encode(d), judged_dma(CONFIG, d)) for d in (bad_dma,)),
             *(([kind << 29 | rng.getrandbits(29)], ErrorCode.ILLEGAL_TYPE) for kind in range(3, 8))]
    for seed, (last, error) in enumerate(each for each in lasts for _ in range(2)):
        for name, values in run_decoder(seed, last, error, 12).items():
            joined.setdefault(name, []).extend(values)
    return partial(blocks.decoder, CONFIG), joined


def test_decoder_takes_a_word_a_cycle() -> None:
    rng = random.Random(5)
    words = [word for one in good(rng, 30) if not isinstance(one, Fence) for word in encode(one)]
    cycles = len(words)
    seen = simulate(blocks.decoder(CONFIG), {
        "reset": [1] + [0] * cycles, "active": [1] * (cycles + 1), "words_valid": [0] + [1] * cycles,
        "words_data": [0, *words], "matrix_ready": [1] * (cycles + 1), "dma_ready": [1] * (cycles + 1)})
    assert seen["words_ready"][1:] == [1] * cycles


# from the matrix queue to the core


def masks_of(config: Config) -> dict[str, int]:
    return {name: (1 << address_width(rows)) - 1 for name, rows in
            (("scratchpad", config.scratchpad_rows), ("accumulator", config.accumulator_rows))}


def run_matrix_issue(config: Config, count: int) -> Job:
    rng = random.Random(3)
    todo = [random_matrix(rng, config) for _ in range(count)]
    masks = masks_of(config)
    state = {"at": 0, "taken": 0, "valid": 0, "stopped": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        if cycle and seen["words_valid"]:
            one = todo[state["at"]]
            assert (seen["acquire_semaphore"], seen["acquire_value"]) == (one.semaphore, one.acquire_value)
            assert seen["acquire_valid"] == (one.acquire and not state["taken"] and not seen["stopped"])
            state["taken"] |= seen["acquire_valid"] & seen["acquire_ready"]
            assert seen["instruction_valid"] == ((not one.acquire or state["taken"]) and not seen["stopped"])
            for name in ("function", "wait_idle", "semaphore", "release", "release_value", "reverse_in", "reverse_out",
                         "delay", "zero", "causal"):
                assert seen[f"instruction_{name}"] == getattr(one, name), name
            assert seen["instruction_hidden"] == one.hidden & (1 << hidden_width(config)) - 1
            for name, mask in masks.items():
                assert seen[f"instruction_{name}_row"] == getattr(one, f"{name}_row") & mask
                assert seen[f"instruction_{name}_stride"] == getattr(one, f"{name}_stride") & mask
            assert seen["words_ready"] == (seen["instruction_valid"] and seen["instruction_ready"])
            if seen["words_ready"]:
                state["at"], state["taken"], state["valid"] = state["at"] + 1, 0, 0
        elif cycle:
            assert not (seen["acquire_valid"] or seen["instruction_valid"] or seen["words_ready"])
            assert not seen["instruction_wait_idle"]
        if not state["valid"]:
            state["valid"] = int(cycle > 2 and state["at"] < len(todo) and rng.random() < 0.8)
        unused = unused_bits(rng)
        return {"reset": int(cycle < 2), "stopped": int(rng.random() < 0.1), "words_valid": state["valid"],
                "words_data": word_of(todo[state["at"]]) | unused if state["valid"] else 0,
                "acquire_ready": int(rng.random() < 0.4), "instruction_ready": int(rng.random() < 0.5)}

    make = partial(blocks.matrix_issue, config)
    stimuli = interact(make, 8 * count, react)
    assert state["at"] == len(todo)
    return make, stimuli


@scenario
def matrix_issue_scenario() -> Job:
    assert masks_of(CONFIG) == {"scratchpad": 31, "accumulator": 7}
    return run_matrix_issue(CONFIG, 150)


@scenario
def matrix_issue_of_the_largest_array_scenario() -> Job:
    """The core counts with a bit more than the field of hidden keys has."""
    return run_matrix_issue(LARGEST, 40)


# registers


SCALES = {Register.SCALE_ELEM: "scale_elem", Register.SCALE_ACC: "scale_acc"}
READABLE = {
    Register.STATE: "control_state", Register.ERROR: "control_error", Register.INTERRUPT: "control_interrupt",
    Register.ERROR_INSTRUCTION: "control_error_instruction", Register.WATCHDOG: "control_watchdog",
    **{register: f"counters_{register.name.lower()}" for register in Register
       if Register.EXECUTION_TIME <= register <= Register.DEQUEUED},
    **SCALES,
}


def run_registers(seed: int, addresses: list[int], cycles: int = 600, config: Config = CONFIG) -> Stimuli:
    """Random accesses, back to back and with pauses, each answered as the register map says."""
    rng = random.Random(seed)
    scales = reset_scales(config)
    widths = {"scale_elem": config.elem.width, "scale_acc": config.acc.width}
    due: dict[str, deque[tuple[int, int]]] = {"write": deque(), "read": deque()}
    effects = {"activate": 0, "clear": 0, "acknowledge": 0}
    state = {"aw": 0, "w": 0, "ar": 0, "watchdog": WATCHDOG_CYCLES}
    values = {"awaddr": 0, "wdata": 0, "wstrb": 15, "araddr": 0}
    other = {name: 0 for name in READABLE.values() if name not in ("control_watchdog", *SCALES.values())}
    counts = {"written": 0, "refused": 0, "waited": 0, "pushed": 0}
    pace = rng.choice((0.3, 0.7, 1.0))

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        if cycle > 1:
            assert {name: seen[f"control_{name}"] for name in effects} == effects
            assert seen["control_watchdog"] == state["watchdog"]
            assert {name: seen[name] for name in scales} == scales
            effects.update(activate=0, clear=0, acknowledge=0)
            for channel, name in (("b", "write"), ("r", "read")):
                assert seen[f"bus_{channel}valid"] == bool(due[name])
                if due[name]:
                    response, data = due[name][0]
                    assert seen[f"bus_{channel}resp"] == response
                    assert name == "write" or seen["bus_rdata"] == data
                    if seen[f"bus_{channel}ready"]:
                        due[name].popleft()
            assert seen["bus_awready"] == seen["bus_wready"]
            full, pushes = not seen["push_ready"], seen["bus_awaddr"] & 0xFC == 0 and seen["bus_wstrb"] == 15
            taken = seen["bus_awvalid"] and seen["bus_awready"]
            assert not taken or seen["bus_wvalid"]
            if seen["push_valid"] and seen["push_ready"]:
                assert taken and pushes and seen["control_state"] != State.ERROR
                assert seen["push_data"] == seen["bus_wdata"]
                counts["pushed"] += 1
            if taken:
                state["aw"] = state["w"] = 0
                at, data = seen["bus_awaddr"] & 0xFC, seen["bus_wdata"]
                okay = False
                if pushes:
                    # state 3 swallows words
                    okay = seen["control_state"] == State.ERROR or not full
                    assert okay or seen["control_state"] != State.ACTIVE
                    assert seen["push_valid"] == (seen["control_state"] != State.ERROR)
                elif seen["bus_wstrb"] == 15:
                    okay = at in (Register.SET_ACTIVE, Register.ERROR, Register.INTERRUPT, Register.WATCHDOG, *SCALES)
                    effects["activate"] = int(at == Register.SET_ACTIVE) & data
                    effects["clear"] = int(at == Register.ERROR)
                    effects["acknowledge"] = data & 3 if at == Register.INTERRUPT else 0
                    if at == Register.WATCHDOG:
                        state["watchdog"] = data
                    elif at in SCALES:
                        # the bits above the format's are dropped
                        scales[SCALES[Register(at)]] = data & (1 << widths[SCALES[Register(at)]]) - 1
                counts["written" if okay else "refused"] += 1
                due["write"].append((0 if okay else 2, 0))
            elif seen["bus_awvalid"] and seen["bus_wvalid"] and not due["write"]:
                assert pushes and full and seen["control_state"] == State.ACTIVE
                counts["waited"] += 1
            if seen["bus_arvalid"] and seen["bus_arready"]:
                state["ar"] = 0
                name = READABLE.get(seen["bus_araddr"] & 0xFC)
                due["read"].append((2, 0) if name is None else (0, seen[name]))
        # address and data come together or one after the other, and stay
        for channel in ("aw", "w", "ar"):
            if not state[channel] and cycle > 2 and rng.random() < pace:
                state[channel] = 1
                if channel == "aw":
                    values["awaddr"] = rng.choice(addresses)
                elif channel == "ar":
                    values["araddr"] = rng.choice(addresses)
                else:
                    values["wdata"] = rng.choice((0, 1, 2, 3, rng.getrandbits(32)))
                    values["wstrb"] = 15 if rng.random() < 0.85 else rng.randrange(16)
        for name in other:
            if rng.random() < 0.1:
                bits = {"control_state": 2, "control_error": 4, "control_interrupt": 2}.get(name, 32)
                other[name] = rng.getrandbits(bits)
        return {"reset": int(cycle < 2), **{f"bus_{c}valid": state[c] for c in ("aw", "w", "ar")},
                **{f"bus_{name}": value for name, value in values.items()}, **other,
                "bus_bready": int(rng.random() < 0.8), "bus_rready": int(rng.random() < 0.8),
                "push_ready": int(rng.random() < 0.5)}

    stimuli = interact(partial(blocks.registers, config), cycles, react)
    assert min(counts.values()) > 3, counts
    return stimuli


@scenario
def registers_scenario() -> Job:
    addresses = [*Register, *Register, *[Register.QUEUE] * 6, *SCALES, 0x4C, 0x80, 0xFC, 0x02, 0x09]
    return partial(blocks.registers, CONFIG), run_registers(1, addresses, 1800)


NARROW = Config(rows=5, elem=FloatFormat(4, 3), acc=FloatFormat(6, 9))


@scenario
def registers_of_narrow_formats_scenario() -> Job:
    addresses = [*SCALES, *SCALES, Register.QUEUE, Register.WATCHDOG]
    return partial(blocks.registers, NARROW), run_registers(8, addresses, config=NARROW)


def reset_scales(config: Config) -> dict[str, int]:
    """log2(e) / sqrt(N), rounded once to each format."""
    factor = math.log2(math.e) / math.sqrt(config.rows)
    return {name: exact.from_double(factor, (fmt.exponent_bits, fmt.mantissa_bits))
            for name, fmt in (("scale_elem", config.elem), ("scale_acc", config.acc))}


def test_the_scale_after_a_reset() -> None:
    """Whatever was written before."""
    both = {"bus_awvalid": 1, "bus_wvalid": 1, "bus_bready": 1, "bus_wstrb": 15, "bus_wdata": 0xFFFF_FFFF}
    written = {name: [0, value, value, 0, 0, 0, 0] for name, value in both.items()}
    for config, values in ((CONFIG, (0xFFFF, 0xFFFF_FFFF)), (NARROW, (0xFF, 0xFFFF))):
        seen = simulate(blocks.registers(config), {
            "reset": [1, 0, 0, 0, 1, 0, 0], "bus_awaddr": [0, *SCALES, 0, 0, 0, 0], **written})
        for (name, value), held in zip(reset_scales(config).items(), values, strict=True):
            assert seen[name][1] == value
            assert seen[name][3:] == [held, held, value, value]
    assert reset_scales(CONFIG) == {"scale_elem": 0x39C5, "scale_acc": 0x3F38AA3B}
    assert reset_scales(NARROW) == {"scale_elem": 0x32, "scale_acc": 0x3C95}


@pytest.mark.parametrize("seed", range(2, 5))
def test_registers(seed: int) -> None:
    run_registers(seed, [Register.QUEUE] * 3 + [Register.WATCHDOG, Register.SET_ACTIVE, 0x40, 0x60])


def test_writes_and_reads_follow_each_other_without_a_pause() -> None:
    count = 20
    seen = simulate(blocks.registers(CONFIG), {
        "reset": [1] + [0] * count, "push_ready": [1] * (count + 1), "bus_wdata": list(range(count + 1)),
        "bus_wstrb": [15] * (count + 1), "bus_araddr": [Register.RAW] * (count + 1),
        **{f"bus_{name}": [0] + [1] * count for name in ("awvalid", "wvalid", "bready", "arvalid", "rready")}})
    assert seen["bus_awready"][1:] == seen["bus_arready"][1:] == seen["push_valid"][1:] == [1] * count
    assert seen["push_data"][1:] == list(range(1, count + 1))
    assert seen["bus_bvalid"][2:] == seen["bus_rvalid"][2:] == [1] * (count - 1)


# counters


@scenario
def counters_scenario() -> Job:
    rng = random.Random(6)
    names = ("execution_time", "matrix_bubble", "matrix_active", "dma_active", "raw", "matrix", "dma", "fence",
             "enqueued", "dequeued")
    count = dict.fromkeys(names, 0)
    state = {"started": 0}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        assert {name: seen[f"counters_{name}"] for name in names} == count
        event = {name.removeprefix("events_"): value for name, value in seen.items() if name.startswith("events_")}
        if cycle:
            if seen["reset"] or seen["restart"]:
                count.update(dict.fromkeys(names[:8], 0))
                state["started"] = 0
            elif seen["active"]:
                count["execution_time"] += 1
                count["matrix_bubble"] += state["started"] and event["matrix_free"]
                count["matrix_active"] += event["matrix_busy"]
                count["dma_active"] += event["dma_busy"]
                count["raw"] += event["dequeue"]
                for name in ("matrix", "dma", "fence"):
                    count[name] += event[name]
                state["started"] |= event["matrix"]
            if seen["reset"]:
                count["enqueued"] = count["dequeued"] = 0
            else:
                count["enqueued"] += event["enqueue"]
                count["dequeued"] += event["dequeue"]
        return {"reset": int(cycle < 2 or rng.random() < 0.005), "restart": int(rng.random() < 0.02),
                "active": int(rng.random() < 0.8),
                **{f"events_{name}": int(rng.random() < 0.4) for name in event}}

    return blocks.performance_counters, interact(blocks.performance_counters, 800, react)


# the state


FAULTS = ("decode", "read", "write")


@scenario
def state_scenario() -> Job:
    rng = random.Random(7)
    now = {"state": State.IDLE, "error": 0, "error_instruction": 0, "interrupt": 0}
    hidden = {"resetting": False, "waited": 0}
    met: set[object] = set()
    mood = {"quiet": False, "watchdog": 10}

    def react(cycle: int, seen: Seen) -> dict[str, int]:
        if cycle > 1:
            assert {name: seen[f"control_{name}"] for name in now} == now, cycle
            assert seen["active"] == (now["state"] == State.ACTIVE)
            assert seen["stopped"] == (now["state"] == State.ERROR)
            assert seen["interrupt"] == (now["interrupt"] != 0)
            assert seen["clear"] == (hidden["resetting"] and not seen["bus_busy"])
            starts = bool(seen["control_activate"]) and now["state"] in (State.IDLE, State.DONE)
            assert seen["restart"] == starts
            step(seen, starts)
        if rng.random() < 0.02:
            mood["quiet"] = not mood["quiet"]
            mood["watchdog"] = rng.choice((0, 1, 10, 10, 10))
        rare = 0.002 if mood["quiet"] else 0.05
        decoded = rng.choice((1, 2, 3, 4, 5, 6, 10, 11))
        return {"reset": int(cycle < 2 or rng.random() < 0.002), "stop": int(rng.random() < rare),
                "progress": int(rng.random() < (0.0 if mood["quiet"] else 0.3)), "bus_busy": int(rng.random() < 0.6),
                "next_number": rng.getrandbits(32), "control_activate": int(rng.random() < 0.2),
                "control_clear": int(rng.random() < 0.02), "control_acknowledge": rng.choice((0, 0, 0, 1, 2, 3)),
                "control_watchdog": mood["watchdog"],
                **{f"{f}_fault_valid": int(rng.random() < rare) for f in FAULTS},
                **{f"{f}_fault_code": code for f, code in zip(FAULTS, (decoded, 7, 8), strict=True)},
                **{f"{f}_fault_number": rng.getrandbits(32) for f in FAULTS}}

    def step(seen: Seen, starts: bool) -> None:
        def stop_with(state: State, interrupt: int, error: int = 0, number: int = 0) -> None:
            now.update(state=state, interrupt=interrupt, error=error, error_instruction=number)
            met.add((state, error))

        if seen["reset"] or seen["clear"]:
            met.add("clear" if seen["clear"] else "reset")
            now.update(state=State.IDLE, error=0, error_instruction=0, interrupt=0)
            hidden.update(resetting=False, waited=0)
            return
        now["interrupt"] &= ~seen["control_acknowledge"]
        if seen["control_clear"]:
            hidden["resetting"] = True
            met.add(("busy", seen["bus_busy"]))
            now.update(state=State.ERROR, interrupt=0)
        elif starts:
            now.update(state=State.ACTIVE, interrupt=0)
            hidden["waited"] = 0
        elif now["state"] == State.ACTIVE:
            fault = next((f for f in FAULTS if seen[f"{f}_fault_valid"]), None)
            if fault:
                stop_with(State.ERROR, 2, seen[f"{fault}_fault_code"], seen[f"{fault}_fault_number"])
            elif seen["stop"]:
                stop_with(State.DONE, 1)
            elif seen["progress"]:
                hidden["waited"] = 0
            elif seen["control_watchdog"]:
                if hidden["waited"] >= seen["control_watchdog"]:
                    stop_with(State.ERROR, 2, ErrorCode.TIMEOUT, seen["next_number"])
                else:
                    hidden["waited"] += 1

    stimuli = interact(blocks.device_state, 12_000, react)
    assert met >= {"clear", "reset", ("busy", 0), ("busy", 1), (State.DONE, 0),
                   *((State.ERROR, code) for code in ErrorCode if code)}
    return blocks.device_state, stimuli


def test_the_watchdog_waits_as_long_as_it_says() -> None:
    count = 30
    seen = simulate(blocks.device_state(), {
        "reset": [1] + [0] * count, "control_activate": [0, 1] + [0] * (count - 1),
        "control_watchdog": [12] * (count + 1), "next_number": [5] * (count + 1)})
    # active from cycle 2 on
    assert seen["active"].count(1) == 13
    assert (seen["control_error"][-1], seen["control_error_instruction"][-1]) == (ErrorCode.TIMEOUT, 5)


# all of them


@pytest.mark.parametrize("name", SCENARIOS)
def test_against_the_model(name: str) -> None:
    SCENARIOS[name]()


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_in_verilog(simulator: str, tmp_path) -> None:
    check_all([run() for run in SCENARIOS.values()], [simulator], tmp_path)


# the instruction words that all of this is about


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_words_come_back(data: st.DataObject) -> None:
    cls = data.draw(st.sampled_from(list(KINDS.values())))
    fields = {name: data.draw(st.integers(field.allowed[0], field.allowed[-1]), label=name)
              for name, field in cls.LAYOUT.items()}
    one = cls(**fields)
    assert decode(encode(one)) == one

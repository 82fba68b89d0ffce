"""The checker: silent on good programs, and each fault found where it is."""

import hashlib
import random
import re
import time
from dataclasses import replace

import numpy as np
import pytest
import test_stream_device as stream

from myhdl_fsa import golden
from myhdl_fsa.config import Config, preset
from myhdl_fsa.engine import engine
from myhdl_fsa.isa import Dma, Fence, Matrix, encode, encode_all
from myhdl_fsa.kernel import (
    Context,
    Finding,
    KernelError,
    Origin,
    assemble,
    attention_kernel,
    attention_output,
    check,
    disassemble,
    ensure,
)
from myhdl_fsa.kernel.remedies import Remedy
from myhdl_fsa.program import State

CONFIG = Config(rows=4, cols=4)
BASE = CONFIG.memory_base


def attention(config, query_tiles, kv_tiles, causal=False):
    n = config.rows
    arrays = (np.ones((tiles * n, n)) for tiles in (query_tiles, kv_tiles, kv_tiles))
    return list(attention_kernel(*arrays, config, causal).instructions)


def found(program, config=CONFIG):
    findings = check(program, config)
    assert all(finding.remedy and "\n" not in str(finding) for finding in findings)
    return [(finding.severity, finding.index, finding.message) for finding in findings]


def load(**fields):
    return Dma(0, **{"rows": 4, "stride": 1, "memory_stride": 8, "address": BASE, "size": 8, **fields})


def store(**fields):
    return Dma(1, **{"rows": 4, "row": 1, "stride": 1, "accumulator": 1, "memory_stride": 16, "address": BASE + 4096,
                     "size": 16, **fields})


def stationary(**fields):
    return Matrix(0, **{"scratchpad_stride": 1, **fields})


def score(**fields):
    return Matrix(1, **{"scratchpad_stride": 1, "reverse_in": 1, "reverse_out": 1, "delay": 1, "zero": 1, **fields})


def value(**fields):
    return Matrix(2, **{"scratchpad_stride": 1, "reverse_in": 1, "delay": 1, "zero": 1, "accumulator_row": 1,
                        "accumulator_stride": 1, **fields})


def reciprocal(**fields):
    return Matrix(3, **{"wait_idle": 1, **fields})


def norm(**fields):
    return Matrix(4, **{"wait_idle": 1, "accumulator_row": 1, "accumulator_stride": 1, **fields})


STOP = Fence(1, 1, 1)
GOOD = [load(), Fence(dma=1), stationary(), score(), value(), reciprocal(), norm(), Fence(matrix=1), store(), STOP]


# Good programs.

@pytest.mark.parametrize("accumulator", ["two O tiles", "one O tile"])
@pytest.mark.parametrize("scratchpad", ["two tiles each", "one tile each"])
@pytest.mark.parametrize("n", [2, 4, 8])
def test_flash_attention_is_clean(n, scratchpad, accumulator):
    config = Config(rows=n, cols=n, scratchpad_rows=6 * n if scratchpad == "two tiles each" else 3 * n,
                    accumulator_rows=2 * n + 1 if accumulator == "two O tiles" else n + 1)
    for query_tiles in (1, 2, 3, 5):
        for kv_tiles in (1, 2, 4):
            for causal in (False, True):
                assert check(attention(config, query_tiles, kv_tiles, causal), config) == []


def test_words_are_checked_as_instructions_are():
    assert check(GOOD, CONFIG) == check(encode_all(GOOD), CONFIG) == []
    ensure(GOOD, CONFIG)
    with pytest.raises(KernelError, match="^program: must be all words or all instructions$"):
        check([STOP, 0], CONFIG)


def test_a_long_program_takes_seconds_at_most():
    config = preset("FSA16X16Fp16Config")
    program = encode_all(attention(config, 40, 50))
    start = time.process_time()
    assert check(program, config) == []
    assert time.process_time() - start < 5


# The race of the published kernel.

def published(config, query_tiles, kv_tiles, causal=False):
    """The published kernel: one O tile, and a normalisation that waits for nothing."""
    program = attention(config, query_tiles, kv_tiles, causal)
    return [
        replace(item, acquire=0, acquire_value=0) if isinstance(item, Matrix) and item.function == 4 else item
        for item in program if item != Fence(dma=1)
    ]


@pytest.mark.parametrize("causal", [False, True])
def test_the_published_kernel_overwrites_o_while_it_is_stored(causal):
    config = CONFIG.replace(accumulator_rows=5)
    assert check(published(config, 1, 4, causal), config) == []
    program = published(config, 2, 1, causal)
    first_store = next(i for i, item in enumerate(program) if isinstance(item, Dma) and item.function == 1)
    second_value = [i for i, item in enumerate(program) if isinstance(item, Matrix) and item.function == 2][1]
    findings = check(program, config)
    assert str(findings[0]) == (
        f"error: instruction {second_value}: data race: its write to accumulator rows 1 to 4 and the store from them "
        f"by instruction {first_store} are not ordered; let it acquire a semaphore that instruction {first_store} "
        f"releases, or put ctx.fence(dma=True) between them"
    )
    with pytest.raises(KernelError, match=f"^instruction {second_value}: data race"):
        ensure(program, config)


def interleaved(program, config, rng):
    """What a program stores, in one random order of what its units do; None when it comes to a standstill.

    Written apart from the checker: an instruction starts (and acquires), touches its rows at some later moment, and
    then releases; what the accumulators still owe after a release comes later still. Contents are hashes of what made
    them.
    """
    scratchpad, accumulator, memory, array = {}, {}, {}, []
    queues, running, owed, semaphores = {"matrix": [], "load": [], "store": []}, {}, [], {}
    position = 0
    speeds = {name: rng.choice([0.02, 1]) for name in (*queues, "decode", "settle")}

    def unit(item):
        return "matrix" if isinstance(item, Matrix) else ("load", "store")[item.function]

    def rows(first, stride, count):
        return [first + stride * i for i in range(count)]

    def accumulate(item, seen):
        count = {0: 0, 1: 1, 2: config.rows, 3: 1, 4: config.rows}[item.function]
        for row in rows(item.accumulator_row, item.accumulator_stride, count):
            old = None if item.zero else accumulator.get(row)
            if item.function != 3:
                accumulator[row] = hash((item.function, old, seen))

    def touch(item):
        if isinstance(item, Matrix):
            count = config.rows if item.function < 3 else 0
            seen = tuple(scratchpad.get(row) for row in rows(item.scratchpad_row, item.scratchpad_stride, count))
            if item.function == 0:
                array[:] = seen
            owed.append((item, (seen, *array)))
            if item.function > 2:
                settle(0)
        else:
            pairs = zip(rows(item.address, item.memory_stride, item.rows), rows(item.row, item.stride, item.rows),
                        strict=True)
            for address, row in pairs:
                if item.function:
                    memory[address] = accumulator.get(row)
                else:
                    scratchpad[row] = address

    def settle(left):
        while len(owed) > left:
            accumulate(*owed.pop(0))

    def start(name):
        item = queues[name][0]
        value, busy = semaphores.get(item.semaphore, (0, False))
        if item.acquire and (busy or value != item.acquire_value):
            return False
        if isinstance(item, Matrix) and item.wait_idle:
            settle(0)
        if item.acquire:
            semaphores[item.semaphore] = (value, True)
        running[name] = [queues[name].pop(0), False]
        return True

    while True:
        choices = [name for name in queues if name in running or queues[name]]
        choices += (["decode"] if position < len(program) else []) + (["settle"] if owed else [])
        choices.sort(key=lambda choice: rng.expovariate(speeds[choice]))
        for choice in choices:
            if choice == "settle":
                settle(len(owed) - 1)
            elif choice == "decode":
                item = program[position]
                if isinstance(item, Fence):
                    names = ("matrix",) * item.matrix + ("load", "store") * item.dma
                    if any(queues[name] or name in running for name in names) or (item.matrix and owed):
                        continue
                    if item.stop:
                        return memory
                elif len(queues[unit(item)]) < 8:
                    queues[unit(item)].append(item)
                else:
                    continue
                position += 1
            elif choice not in running:
                if not start(choice):
                    continue
            elif not running[choice][1]:
                touch(running[choice][0])
                settle(2)
                running[choice][1] = True
            else:
                item, _ = running.pop(choice)
                if item.release:
                    semaphores[item.semaphore] = (item.release_value, False)
            break
        else:
            return None


def outcomes(program, config, count):
    return [interleaved(program, config, random.Random(seed)) for seed in range(count)]


@pytest.mark.parametrize("accumulator_rows", [5, 9])
def test_what_is_clean_comes_out_the_same_in_any_order(accumulator_rows):
    config = CONFIG.replace(accumulator_rows=accumulator_rows)
    for shape in ((1, 3, False), (3, 1, False), (3, 3, True)):
        first, *others = outcomes(attention(config, *shape), config, 20)
        assert first is not None and None not in first.values()
        assert all(other == first for other in others)


def test_what_the_published_kernel_stores_depends_on_the_order():
    config = CONFIG.replace(accumulator_rows=5)
    first, *others = outcomes(published(config, 3, 1), config, 40)
    assert any(other != first for other in others)


@pytest.mark.parametrize("dropped", ["acquire", "release"])
@pytest.mark.parametrize("causal", [False, True])
def test_a_hand_over_left_out_is_found_unless_nothing_depends_on_it(dropped, causal):
    program = attention(CONFIG, 4, 4, causal)
    expected = interleaved(program, CONFIG, random.Random(0))
    missed = []
    for index, item in enumerate(program):
        if getattr(item, dropped, 0):
            broken = [*program[:index], replace(item, **{dropped: 0}), *program[index + 1:]]
            if not any(finding.severity == "error" for finding in check(broken, CONFIG)):
                missed.append(item)
                assert all(outcome == expected for outcome in outcomes(broken, CONFIG, 8)), (index, item)
    # A first acquire takes what the reset left. Loads may be ordered by an earlier load's acquire, a normalisation by a
    # later one's; what reads a tile is not.
    readers = [item for item in missed if isinstance(item, Matrix) and item.function < 3]
    readers += [item for item in missed if isinstance(item, Dma) and item.function == 1]
    assert dropped == "release" or not readers
    assert 0 < len(missed) < 24


def test_hand_overs_changed_at_random_are_found_unless_nothing_depends_on_them():
    rng = random.Random(0)
    clean = 0
    for _ in range(120):
        program = attention(CONFIG, 3, 2, rng.random() < 0.5)
        for _ in range(rng.choice([1, 1, 2])):
            index = rng.choice([i for i, item in enumerate(program) if not isinstance(item, Fence)])
            name = rng.choice(["acquire", "release", "acquire_value", "release_value", "semaphore"])
            changed = rng.randrange(7) if name == "semaphore" else 1 - getattr(program[index], name)
            program[index] = replace(program[index], **{name: changed})
        if not any(finding.severity == "error" for finding in check(program, CONFIG)):
            clean += 1
            first, *others = outcomes(program, CONFIG, 8)
            assert first is not None
            assert all(other == first for other in others)
    assert 10 < clean < 90


# Each fault by itself: what is wrong, and the index and message expected.

FUNCTIONS = "0 (LOAD_STATIONARY), 1 (ATTN_SCORE), 2 (ATTN_VALUE), 3 (ACC_RECIPROCAL), 4 (ATTN_LSE_NORM)"


@pytest.mark.parametrize(("instruction", "message"), [
    (Matrix(5), f"matrix function 5: must be one of {FUNCTIONS}"),
    (Dma(2), "DMA function 2: must be 0 (load) or 1 (store)"),
    (load(accumulator=1), "load into the accumulator RAM: must go to the scratchpad"),
    (store(accumulator=0), "store from the scratchpad: must come from the accumulator RAM"),
    (stationary(scratchpad_row=21), "scratchpad rows 21 to 24: must be from 0 to 23"),
    (score(scratchpad_row=2, scratchpad_stride=-1), "scratchpad rows 2 to -1: must be from 0 to 23"),
    (value(scratchpad_row=9, scratchpad_stride=5), "scratchpad rows 9 to 24: must be from 0 to 23"),
    (score(accumulator_row=9), "accumulator RAM rows 9 to 9: must be from 0 to 8"),
    (reciprocal(accumulator_row=9), "accumulator RAM rows 9 to 9: must be from 0 to 8"),
    (value(accumulator_row=6), "accumulator RAM rows 6 to 9: must be from 0 to 8"),
    (norm(accumulator_row=2, accumulator_stride=-1), "accumulator RAM rows 2 to -1: must be from 0 to 8"),
    (load(row=21), "scratchpad rows 21 to 24: must be from 0 to 23"),
    (store(row=6), "accumulator RAM rows 6 to 9: must be from 0 to 8"),
    (load(size=16), "rows of 16 bytes: must be 8, a row of the scratchpad"),
    (store(size=8), "rows of 8 bytes: must be 16, a row of the accumulator RAM"),
    (load(address=BASE + 4), f"memory address {BASE + 4:#x}: must be a multiple of 8 bytes, a beat"),
    (store(memory_stride=-12), "memory stride -12: must be a multiple of 8 bytes, a beat"),
    (load(row=12, address=BASE - 8), "memory row at 0x7ffffff8 of 8 bytes: must lie from 0x80000000 to 0x90000000"),
    (load(row=12, address=0x8FFF_FFE8), "memory row at 0x90000000 of 8 bytes: must lie from 0x80000000 to 0x90000000"),
    (load(row=12, address=BASE + 16, memory_stride=-8),
     "memory row at 0x7ffffff8 of 8 bytes: must lie from 0x80000000 to 0x90000000"),
    (stationary(delay=1), "LOAD_STATIONARY with delay 1 and reverse_out 0: must have delay 0"),
    (score(reverse_out=0), "ATTN_SCORE with delay 1 and reverse_out 0: must have delay 1 and reverse_out 1"),
    (value(delay=0), "ATTN_VALUE with delay 0 and reverse_out 0: must have delay 1 and reverse_out 0"),
    (value(accumulator_stride=0, zero=0),
     "ATTN_VALUE with accumulator stride 0: must not be 0, a row would be read before it is written"),
    (reciprocal(wait_idle=0),
     "ACC_RECIPROCAL at once after an ATTN_VALUE, which is still at work: must have wait_idle"),
    (norm(wait_idle=0),
     "ATTN_LSE_NORM at once after an ATTN_VALUE, which is still at work: must have wait_idle"),
])
def test_a_fault_of_one_instruction(instruction, message):
    # the program is good but for this, which comes after everything it may use
    program = [load(), load(row=4), load(row=8), Fence(dma=1), stationary(), score(), value(),
               value(accumulator_row=5), instruction]
    assert ("error", 8, message) in found([*program, STOP])
    assert ("error", 8, message) in found(encode_all([*program, STOP]))
    remedy = next(finding.remedy for finding in check([*program, STOP], CONFIG) if finding.message == message)
    with pytest.raises(KernelError, match=f"^instruction 8: {re.escape(f'{message}; {remedy}')}$"):
        ensure([*program, STOP], CONFIG)


def test_a_dma_of_no_rows_is_fine():
    assert found([load(rows=0, row=1000), store(rows=0, row=1000), STOP]) == []


def test_words_that_are_no_instruction():
    assert found([7 << 29, *encode(STOP)]) == [
        ("error", 0, "word 0xe0000000: type 7: must be one of 0 (fence), 1 (matrix), 2 (dma)"),
    ]
    assert found(encode_all(GOOD[:1])[:-1]) == [
        ("error", 0, "the last instruction lacks 1 of its 4 words"),
        ("warning", 0, "no fence with stop: the device is never done"),
    ]


@pytest.mark.parametrize(("program", "expected"), [
    (GOOD[:-1], [("warning", 8, "no fence with stop: the device is never done")]),
    ([], [("warning", None, "no instructions: the device is never done")]),
    ([*GOOD, Fence(), STOP], [("warning", 10, "comes after the stop of instruction 9 and never runs")]),
    ([*GOOD, Matrix(9), store(row=0)], [("warning", 10, "comes after the stop of instruction 9 and never runs")]),
    ([*GOOD[:-1], Fence(stop=1)],
     [("warning", 9, "stops without waiting for the store queue: what it still does may be lost")]),
    ([load(), Fence(stop=1)],
     [("warning", 1, "stops without waiting for the load queue: what it still does may be lost")]),
    ([load(), Fence(dma=1), Fence(stop=1)], []),
    (GOOD[1:], [("error", 1, "uses scratchpad rows 0 to 3 before anything is loaded into them"),
                ("error", 2, "uses scratchpad rows 0 to 3 before anything is loaded into them"),
                ("error", 3, "uses scratchpad rows 0 to 3 before anything is loaded into them")]),
    ([load(rows=3), *GOOD[1:3], STOP],
     [("error", 2, "uses scratchpad rows 3 before anything is loaded into them")]),
    ([*GOOD[:3], score(zero=0), STOP],
     [("error", 3, "uses accumulator rows 0 before anything is written to them")]),
    ([*GOOD[:3], reciprocal(), norm(), STOP],
     [("error", 3, "uses accumulator rows 0 before anything is written to them"),
      ("error", 4, "uses accumulator rows 1 to 4 before anything is written to them")]),
    ([store(), STOP], [("error", 0, "stores accumulator rows 1 to 4 before anything is written to them")]),
    ([*GOOD[:4], stationary(), STOP],
     [("error", 4, "LOAD_STATIONARY at once after an ATTN_SCORE, which is still at work: must have wait_idle")]),
    ([*GOOD[:4], Fence(matrix=1), stationary(), STOP], []),
    ([*GOOD[:4], stationary(wait_idle=1), STOP], []),
])
def test_faults_of_the_whole(program, expected):
    assert found(program) == expected


# Semaphores.

def test_a_semaphore_that_never_comes():
    program = [load(semaphore=3, acquire=1, acquire_value=1), STOP]
    assert found(program) == [
        ("error", 0, "never acquires semaphore 3 at 1: it stays at 0"),
        ("error", 1, "fence waits for ever for the load queue"),
    ]


def test_a_semaphore_that_is_never_given_back():
    program = [load(semaphore=3, acquire=1), load(semaphore=3, acquire=1), STOP]
    assert found(program)[0] == ("error", 1, "never acquires semaphore 3 at 0: it stays taken by instruction 0")


def test_two_units_that_wait_for_each_other():
    program = [
        load(semaphore=1, acquire=1, acquire_value=1, release=1, release_value=1),
        stationary(semaphore=1, acquire=1, acquire_value=2, release=1, release_value=1), STOP,
    ]
    assert [(index, message.split(":")[0]) for _, index, message in found(program)] == [
        (0, "never acquires semaphore 1 at 1"), (1, "never acquires semaphore 1 at 2"),
        (2, "fence waits for ever for the matrix and load queue"),
    ]


@pytest.mark.parametrize(("count", "stuck"), [(9, False), (10, True)])
def test_a_load_behind_more_matrix_instructions_than_the_queue_holds(count, stuck):
    """The matrix queue holds 8 and the decoder one more; the load that they all wait for must get past."""
    waiting = [stationary(semaphore=0, acquire=1, acquire_value=1, release=1, release_value=1)] * count
    program = [*waiting, load(semaphore=0, release=1, release_value=1), STOP]
    errors = [finding for finding in check(program, CONFIG) if finding.severity == "error"]
    assert bool(errors) == stuck
    if stuck:
        assert errors[0] == Finding(
            "error", 0, "never acquires semaphore 0 at 1: it stays at 0",
            "load the tile with the same semaphore first, to release it at 1, or acquire it at 0")
        assert errors[-1] == Finding(
            "error", 9, "never decoded: the matrix queue stays full and instruction 8 waits for it",
            "write what instruction 0 waits for before the matrix queue is full")


def test_a_release_without_an_acquire_may_be_lost():
    """The published kernel again: the norm's release comes while the store before still holds the semaphore."""
    first = norm(semaphore=6, release=1, release_value=1)
    stored = store(semaphore=6, acquire=1, acquire_value=1, release=1)
    second = replace(first, accumulator_row=5)
    body = [*READY, value(accumulator_row=5), Fence(matrix=1), first, stored]
    assert found([*body, second, STOP]) == [
        ("error", len(body), f"its use of semaphore 6 and that by instruction {len(body) - 1} are not ordered: "
                             "a release may be lost"),
    ]
    assert found([*body, Fence(dma=1), second, STOP]) == []
    assert found([*body, replace(second, acquire=1), STOP]) == []


def test_two_units_that_acquire_the_same_value():
    """Whoever is first, the other comes after it, so that nothing is lost, but the order is anybody's guess."""
    shared = {"semaphore": 6, "acquire": 1, "release": 1}
    taken, wanted = store(**shared), load(row=12, **shared)
    assert found([*READY, taken, wanted, STOP]) == [
        ("error", len(READY) + 1,
         f"acquires semaphore 6 at 0, as instruction {len(READY)} does: either may come first"),
    ]
    assert found([*READY, taken, Fence(dma=1), wanted, STOP]) == []


# Races, each with what orders the two and what does not.

def handed(first, second, number=0):
    """Two instructions of which the second waits for the first."""
    return (replace(first, semaphore=number, release=1, release_value=1),
            replace(second, semaphore=number, acquire=1, acquire_value=1, release=1))


READY = [load(), load(row=4), load(row=8), Fence(dma=1), stationary(), score(), value(), Fence(matrix=1)]


def races(*program):
    findings = check([*READY, *program, STOP], CONFIG)
    assert all("data race" in finding.message for finding in findings), findings
    return [finding.index - len(READY) for finding in findings]


def test_a_load_over_rows_that_are_being_read():
    assert races(stationary(), load()) == races(stationary(), load(row=3)) == races(load(row=3), stationary()) == [1]
    assert races(stationary(), load(row=4)) == []
    assert races(stationary(), Fence(matrix=1), load()) == []
    assert races(stationary(), Fence(dma=1), load()) != []
    assert races(*handed(stationary(), load())) == []
    # what comes before the release in the queue is ordered with it
    first, second = handed(stationary(scratchpad_row=4), load())
    assert races(stationary(), first, second) == []
    assert races(first, second, stationary(wait_idle=1)) != []


def test_a_row_between_two_others_is_not_touched():
    assert races(load(rows=2, row=1, stride=2), stationary(scratchpad_stride=2)) == []
    assert races(load(rows=2, row=1, stride=3), stationary(scratchpad_stride=2)) != []


def test_a_store_of_what_is_being_computed():
    assert races(norm(), store()) != []
    assert races(*handed(norm(), store())) == []
    assert races(norm(), Fence(matrix=1), store()) == []
    assert races(value(), Fence(matrix=1), store()) == []
    assert races(store(), Fence(dma=1), value()) == []
    assert races(store(), value(accumulator_row=5)) == []
    assert races(store(), value(accumulator_row=4)) != []
    # reading what is stored is no race
    assert races(store(row=0, rows=1), reciprocal()) == []


def test_an_attn_value_releases_before_its_rows_are_written():
    """LOAD_STATIONARY, SCORE and VALUE release once the scratchpad is read; their accumulator rows come later."""
    assert races(*handed(value(), store())) != []
    # nor are those of the one before, which may still be in the accumulators
    first, second = handed(value(accumulator_row=5), store())
    assert races(value(), first, second) != []
    # two back is over
    assert races(value(), value(accumulator_row=5), first, second) == []
    assert races(value(), replace(first, wait_idle=1), second) == []
    assert races(norm(), first, second) == []


def test_memory_that_is_stored_and_loaded():
    def there(**fields):
        return load(**{"row": 12, "address": BASE + 4096, **fields})

    assert races(store(), there()) != []
    assert races(there(), store()) != []
    assert races(store(), Fence(dma=1), there()) == []
    assert races(*handed(store(), there())) == []
    assert races(store(), there(address=BASE + 4096 - 32)) == []
    assert races(store(), there(address=BASE + 4096 - 24)) != []
    assert races(store(), there(address=BASE + 4096 + 64)) == []
    assert races(store(), there(address=BASE + 4096 + 56)) != []
    # between the rows of a store
    assert races(store(memory_stride=32), there(address=BASE + 4096 + 16, memory_stride=32)) == []
    assert races(store(memory_stride=32), there(address=BASE + 4096 + 24, memory_stride=32)) == []
    assert races(store(memory_stride=32), there(address=BASE + 4096 + 24, memory_stride=40)) != []


# Remedies: what each promises comes true.

def before(*program):
    return [load(), load(row=4), load(row=8), Fence(dma=1), stationary(), score(), value(),
            value(accumulator_row=5), *program, STOP]


def ready(*program):
    return [*READY, *program, STOP]


SHARED = {"semaphore": 6, "acquire": 1, "release": 1}
NORM_6 = norm(semaphore=6, release=1, release_value=1)
STORE_6 = store(semaphore=6, acquire=1, acquire_value=1, release=1)
WAITING = [stationary(semaphore=0, acquire=1, acquire_value=1, release=1, release_value=1)] * 10
RELEASING = load(semaphore=0, release=1, release_value=1)
NEVER = load(semaphore=3, acquire=1, acquire_value=1)

# What has the finding, and the same without it, for each way that the remedy names.
MENDED = {
    Remedy.TYPE: ([7 << 29, *encode(STOP)], encode(STOP)),
    Remedy.MISSING_WORDS: (encode_all(GOOD[:1])[:-1], encode_all([GOOD[0], STOP]), encode(STOP)),
    Remedy.FUNCTION: (before(Matrix(5)), before(stationary())),
    Remedy.LOAD_TARGET: (before(load(accumulator=1)), before(load(row=12))),
    Remedy.STORE_SOURCE: (ready(store(accumulator=0)), ready(store())),
    Remedy.ROW_SIZE: (before(load(row=12, size=16)), before(load(row=12, size=8))),
    Remedy.ADDRESS: (before(load(row=12, address=BASE + 4)), before(load(row=12, address=BASE + 8))),
    Remedy.MEMORY_STRIDE: (ready(store(memory_stride=-12)), ready(store(memory_stride=-16))),
    Remedy.SCRATCHPAD_ROWS: (before(load(row=21)), before(load(row=20))),
    Remedy.ACCUMULATOR_ROWS: (before(value(accumulator_row=6)), before(value(accumulator_row=5))),
    Remedy.SKEW: (before(score(reverse_out=0)), before(score(reverse_out=1))),
    Remedy.ACCUMULATOR_STRIDE: (before(value(accumulator_stride=0, zero=0)), before(value(zero=0)),
                                before(value(zero=0, accumulator_row=4, accumulator_stride=-1))),
    Remedy.OVERLAP: (before(reciprocal(wait_idle=0)), before(reciprocal()),
                     before(Fence(matrix=1), reciprocal(wait_idle=0))),
    Remedy.HIDDEN: ([*GOOD[:3], score(hidden=4), *GOOD[4:]], [*GOOD[:3], score(hidden=3), *GOOD[4:]]),
    Remedy.MEMORY: (before(load(row=12, address=BASE - 8)), before(load(row=12))),
    Remedy.EMPTY: ([], GOOD),
    Remedy.NO_STOP: (GOOD[:-1], GOOD),
    Remedy.AFTER_STOP: ([*GOOD, store(), STOP], [*GOOD[:-1], store(), STOP], GOOD),
    Remedy.STOP_WAITS: ([load(), Fence(stop=1)], [load(), Fence(dma=1, stop=1)]),
    Remedy.TAKEN: ([load(semaphore=3, acquire=1), load(semaphore=3, acquire=1), STOP],
                   [load(semaphore=3, acquire=1, release=1), load(semaphore=3, acquire=1), STOP]),
    Remedy.OPERAND_NEVER_LOADED: ([load(), Fence(dma=1), WAITING[0], STOP], [RELEASING, WAITING[0], STOP],
                                  [load(), Fence(dma=1), replace(WAITING[0], acquire_value=0), STOP]),
    Remedy.OTHER_NEVER_RELEASED: ([NEVER, STOP], [replace(NEVER, acquire_value=0), STOP],
                                  [load(semaphore=3, release=1, release_value=1), NEVER, STOP]),
    Remedy.FENCE_NEVER_PASSES: ([NEVER, STOP], [replace(NEVER, acquire_value=0), STOP]),
    Remedy.QUEUE_STAYS_FULL: ([*WAITING, RELEASING, STOP], [RELEASING, *WAITING, STOP],
                              [*WAITING[:8], RELEASING, *WAITING[8:], STOP]),
    Remedy.RACE: (ready(stationary(), load()), ready(stationary(), Fence(matrix=1), load()),
                  ready(stationary(semaphore=1, release=1, release_value=1),
                        load(semaphore=1, acquire=1, acquire_value=1))),
    Remedy.RACE_AFTER_RELEASE: (ready(value(), store()), ready(value(), Fence(matrix=1), store())),
    Remedy.SAME_ACQUIRE: (ready(store(**SHARED), load(row=12, **SHARED)),
                          ready(store(**SHARED), Fence(dma=1), load(row=12, **SHARED)),
                          ready(store(**SHARED, release_value=1), load(row=12, **SHARED, acquire_value=1))),
    Remedy.LOST_RELEASE: (ready(value(accumulator_row=5), NORM_6, STORE_6, replace(NORM_6, accumulator_row=5)),
                          ready(value(accumulator_row=5), NORM_6, STORE_6, Fence(dma=1),
                                replace(NORM_6, accumulator_row=5)),
                          ready(value(accumulator_row=5), NORM_6, STORE_6,
                                replace(NORM_6, accumulator_row=5, acquire=1))),
    Remedy.LOAD_FIRST: (GOOD[1:], GOOD),
    Remedy.START_FROM_ZERO: ([*GOOD[:3], score(zero=0), STOP], [*GOOD[:3], score(), STOP],
                             [*GOOD[:4], Fence(matrix=1), score(zero=0), STOP]),
    Remedy.SUM_FIRST: ([*GOOD[:3], reciprocal(), STOP], [*GOOD[:4], reciprocal(), STOP]),
    Remedy.VALUE_FIRST: ([*GOOD[:4], norm(), STOP], [*GOOD[:5], norm(), STOP]),
    Remedy.STORE_AFTER: ([store(), STOP], [*GOOD[:5], Fence(matrix=1), store(), STOP]),
}


SUMMED = [stream.score(), stream.value(), stream.reciprocal()]
STORED = [stream.norm(semaphore=1, acquire=1, release=1, release_value=1)]
WAITING_STORE = stream.store(1, 4, semaphore=1, acquire=1, acquire_value=1)
MENDED_IN_STREAM = {
    Remedy.ORDER: ([stream.value()], [stream.score(), stream.value()]),
    Remedy.NORM_ZERO: ([*SUMMED, stream.norm(zero=1)], [*SUMMED, stream.norm()]),
    Remedy.SUM_ROW: ([*SUMMED[:2], stream.score(0), stream.value(0, accumulator_row=0)],
                     [*SUMMED[:2], stream.score(0), stream.value(0)]),
    Remedy.LAST_SUMS: ([*SUMMED[:-1], stream.reciprocal(accumulator_row=1)], SUMMED),
    Remedy.STORE_ORDER: ([*SUMMED, *STORED, replace(WAITING_STORE, row=4, stride=-1)],
                         [*SUMMED, *STORED, WAITING_STORE]),
}
"""of the stream dataflow: a program behind LOAD_STATIONARY, and what mends it"""


def test_every_remedy_is_tried():
    assert MENDED.keys() | MENDED_IN_STREAM.keys() == set(Remedy)


@pytest.mark.parametrize("remedy", Remedy)
def test_a_remedy_mends(remedy):
    config = CONFIG
    faulty, *mended = (MENDED | MENDED_IN_STREAM)[remedy]
    if remedy in MENDED_IN_STREAM:
        config = stream.CONFIG
        faulty, *mended = ([*stream.FILLED, stream.load_q(), *program, STOP] for program in (faulty, *mended))
    text = re.sub(r"\\{\w+\\}", ".+", re.escape(remedy.value))
    assert any(re.fullmatch(text, finding.remedy) for finding in check(faulty, config))
    for program in mended:
        assert check(program, config) == []


@pytest.mark.parametrize(("program", "remedy"), [
    (before(Dma(2)), "set the function to one of these"),
    (before(load(row=12, size=16)), "give the tensor rows of 8 bytes, as wide as the tile's"),
    (ready(store(size=8)), "give the tensor rows of 16 bytes, as wide as the tile's"),
    (before(stationary(delay=1)), "set delay 0, as ctx.load_stationary does"),
    (before(value(reverse_out=1)), "set delay 1 and reverse_out 0, as ctx.attn_value does"),
    ([*GOOD[:-1], Fence(stop=1)], "make it ctx.fence(dma=True, stop=True)"),
    ([*GOOD[:4], Fence(dma=1, stop=1)], "make it ctx.fence(matrix=True, dma=True, stop=True)"),
    ([load(semaphore=3, acquire=1), load(semaphore=3, acquire=1), STOP], "let instruction 0 release semaphore 3 at 0"),
    (ready(load(), stationary()), "let it acquire a semaphore that instruction 8 releases, or put "
                                  "ctx.fence(dma=True) between them"),
    (ready(norm(), store()), "let it acquire a semaphore that instruction 8 releases, or put "
                             "ctx.fence(matrix=True) between them"),
])
def test_a_remedy_is_about_the_case(program, remedy):
    assert check(program, CONFIG)[0].remedy == remedy


def test_a_fence_that_never_passes_names_all_it_waits_for():
    program = [replace(NEVER, semaphore=1), replace(WAITING[0], semaphore=2), STOP]
    assert check(program, CONFIG)[-1].remedy == "mend first what never starts, instruction 1 and instruction 0"


# Where an instruction was written.

def test_a_text_has_lines():
    text = disassemble(encode_all(GOOD[1:])).replace("matrix attn_score", "# a comment\n\nmatrix attn_score")
    found = check(assemble(text), CONFIG)
    assert [(finding.index, finding.origin) for finding in found] == [(1, Origin(2)), (2, Origin(5)), (3, Origin(6))]
    assert str(found[1]) == ("error: instruction 2 (line 5): uses scratchpad rows 0 to 3 before anything is loaded "
                             "into them; load the tile first, with ctx.load_tile")
    words = ["\n.word " + hex(word) for word in encode(load(size=16))]
    assert check(assemble("fence\n" + "".join(words) + "\nfence matrix dma stop"), CONFIG)[0].origin == Origin(3)
    cut = check(assemble("fence\n.word 0x20000000"), CONFIG)
    assert [(finding.index, finding.origin) for finding in cut] == [(1, Origin(2)), (1, Origin(2))]


def test_words_and_instructions_need_a_machine_and_have_no_lines():
    for program in (encode_all(GOOD[1:]), GOOD[1:]):
        assert [finding.origin for finding in check(program, CONFIG)] == [None] * 3
        for examine in (check, ensure):
            with pytest.raises(KernelError, match="^check: config is missing: must be given with words or instr"):
                examine(program)


def test_order_passes_through_a_third():
    """Load, matrix, store: what the store acquired from the matrix unit is ordered with what that had acquired."""
    first, second = handed(load(row=12), stationary(scratchpad_row=12))
    third, fourth = handed(norm(), store(address=BASE), number=1)
    # the store overwrites what the load has read: ordered only through the two hand-overs
    assert races(first, second, third, fourth) == []
    assert races(first, replace(second, acquire=0, release=0), third, fourth) != []


def test_findings_come_in_the_order_of_the_program():
    context = Context(CONFIG)
    tile = context.alloc_scratchpad(4)
    for _ in range(3):
        context.load_stationary(tile)
    indices = [finding.index for finding in check(context.instructions, CONFIG)]
    assert indices == sorted(indices) == [0, 1, 2, 2]


def test_the_published_kernel_is_the_published_drivers_words():
    """The digest is of what the published Python driver writes for 8 queries and 8 keys on the 4x4 machine."""
    config = Config(accumulator_rows=5)
    words = np.array(encode_all(published(config, 2, 2)), "<u4")
    assert len(words) == 97
    assert hashlib.sha256(words.tobytes()).hexdigest() == (
        "cc0483d2e076b538a6728d8244d30c535319fb798fb167c1625f1a51fbcf77b5"
    )


def test_the_published_words_run_unchanged():
    config = Config(accumulator_rows=5)
    rng = np.random.default_rng(4)
    q, k, v = (rng.random((8, 4)).astype(np.float16) for _ in range(3))
    kernel = attention_kernel(q, k, v, config)
    program = replace(kernel.program(), words=tuple(encode_all(published(config, 2, 2))))
    for name in ("myhdl", "golden"):
        execution = engine(name).execute(program, config)
        assert execution.state is State.DONE
        np.testing.assert_array_equal(attention_output(kernel, execution), golden.attention(q, k, v, config))

"""The golden model of the whole device: attention bit for bit, every instruction by itself, and errors as states."""

import math
from dataclasses import replace

import exact
import numpy as np
import pytest

from myhdl_fsa import golden
from myhdl_fsa.config import Config
from myhdl_fsa.easyfloat import BF16, FP16, FP32, TF32, FloatFormat, Reciprocal
from myhdl_fsa.engine import RunError
from myhdl_fsa.golden.device import execute
from myhdl_fsa.isa import Dma, Fence, Matrix, encode, encode_all
from myhdl_fsa.kernel import attention_kernel, attention_output, check
from myhdl_fsa.program import ErrorCode, Execution, Program, Region, State
from myhdl_fsa.scale import Scale

CONFIG = Config(rows=4, cols=4)
BASE = CONFIG.memory_base
RESULT = BASE + 4096
STOP = Fence(1, 1, 1)
E4M3 = FloatFormat(4, 3)


def bits(rng, *shape):
    return rng.standard_normal(shape).astype(np.float16).view(np.uint16)


# Attention.

@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("reciprocal", ["newton", "division"])
@pytest.mark.parametrize(("elem", "acc"), [(FP16, FP32), (BF16, FP32), (FP16, FP16), (E4M3, BF16), (TF32, FP32),
                                          (FloatFormat(5, 4), FloatFormat(6, 12))])
def test_attention_equals_the_golden_model(elem, acc, reciprocal, causal):
    rng = np.random.default_rng(5)
    for n, query_tiles, kv_tiles in ((4, 1, 1), (4, 3, 5), (6, 5, 3), (16, 2, 2), (8, 1, 4)):
        for accumulator_rows in (n + 1, 2 * n + 1):
            config = Config(rows=n, cols=n, elem=elem, acc=acc, reciprocal=reciprocal,
                            accumulator_rows=accumulator_rows)
            q, k, v = (3 * rng.standard_normal((tiles * n, n)) for tiles in (query_tiles, kv_tiles, kv_tiles))
            kernel = attention_kernel(q, k, v, config, causal)
            execution = execute(kernel.program(), config)
            assert (execution.state, execution.error) == (State.DONE, ErrorCode.NONE)
            assert (execution.counters, execution.cycles) == (None, None)
            assert np.array_equal(attention_output(kernel, execution), golden.attention(q, k, v, config, causal))


def test_special_values_too():
    rng = np.random.default_rng(6)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 65504.0, -65504.0, 1e-7, -1e-7, 1.0]
    for _ in range(40):
        q, k, v = (rng.choice(special, (8, 4), p=[.2, .1, .02, .02, .02, .1, .1, .1, .04, .3]) for _ in range(3))
        kernel = attention_kernel(q, k, v, CONFIG)
        output = attention_output(kernel, execute(kernel.program(), CONFIG))
        assert np.array_equal(output, golden.attention(q, k, v, CONFIG))


# Every instruction by itself, against scalar arithmetic that is not the package's.

H, S = exact.FP16, exact.FP32


def run(body, spad, config=CONFIG, output_rows=None, scale=None):
    """The accumulator RAM's rows after ``body``, the scratchpad holding ``spad``."""
    count = config.accumulator_rows if output_rows is None else output_rows
    program = [
        Dma(0, rows=len(spad), stride=1, memory_stride=8, address=BASE, size=8), Fence(dma=1), *body, Fence(matrix=1),
        Dma(1, rows=count, stride=1, accumulator=1, memory_stride=16, address=RESULT, size=16), STOP,
    ]
    memory = ((BASE, spad.tobytes()),)
    execution = execute(
        Program(tuple(encode_all(program)), memory, (Region(RESULT, 16 * count),), scale=scale), config)
    assert execution.state is State.DONE
    return np.frombuffer(execution.outputs[0], np.uint32).reshape(count, 4)


def fold(lefts, rights):
    total = 0
    for left, right in zip(lefts, rights, strict=True):
        total = exact.fma(int(left), int(right), total, H, S, S)
    return total


STATIONARY = Matrix(0, scratchpad_row=3, scratchpad_stride=-1)
VALUE = Matrix(2, scratchpad_row=4, scratchpad_stride=1, reverse_in=1, delay=1, accumulator_row=1,
               accumulator_stride=1, zero=1)
SCORE = Matrix(1, scratchpad_row=4, scratchpad_stride=1, reverse_in=1, reverse_out=1, delay=1, zero=1)


def test_the_last_row_loaded_is_column_zero():
    """ATTN_VALUE with queries in place of weights: column c meets query c, array row r element N-1-r of V^T."""
    spad = bits(np.random.default_rng(0), 8, 4)
    q, v_t = spad[:4], spad[4:]
    expected = [[fold(q[c], v_t[d][::-1]) for c in range(4)] for d in range(4)]
    assert run([STATIONARY, VALUE], spad)[1:5].tolist() == expected
    # rows in order: the columns turned round
    in_order = replace(STATIONARY, scratchpad_row=0, scratchpad_stride=1)
    assert run([in_order, VALUE], spad)[1:5].tolist() == [row[::-1] for row in expected]
    # reversed once: the elements of each query turned round; twice: as they were
    turned = [[fold(q[c][::-1], v_t[d][::-1]) for c in range(4)] for d in range(4)]
    assert run([replace(STATIONARY, reverse_in=1), VALUE], spad)[1:5].tolist() == turned
    assert run([replace(STATIONARY, reverse_out=1), VALUE], spad)[1:5].tolist() == turned
    assert run([replace(STATIONARY, reverse_in=1, reverse_out=1), VALUE], spad)[1:5].tolist() == expected
    # without reversing, array row r meets element r
    straight = [[fold(q[c], v_t[d]) for c in range(4)] for d in range(4)]
    assert run([STATIONARY, replace(VALUE, reverse_in=0)], spad)[1:5].tolist() == straight


def test_strides_are_followed():
    spad = bits(np.random.default_rng(1), 24, 4)
    by_two = replace(STATIONARY, scratchpad_row=6, scratchpad_stride=-2)
    back = replace(VALUE, scratchpad_row=20, scratchpad_stride=-3, accumulator_row=8, accumulator_stride=-2)
    result = run([by_two, back], spad)
    for source, target in zip((20, 17, 14, 11), (8, 6, 4, 2), strict=True):
        assert result[target].tolist() == [fold(spad[2 * c], spad[source][::-1]) for c in range(4)]
    assert not result[[1, 3, 5, 7]].any()


def test_reciprocal_and_norm_scale_the_columns():
    rng = np.random.default_rng(2)
    spad = bits(rng, 8, 4)
    body = [STATIONARY, VALUE, Matrix(3, wait_idle=1, accumulator_row=2),
            Matrix(4, wait_idle=1, accumulator_row=1, accumulator_stride=1)]
    before, after = run(body[:2], spad), run(body, spad)
    inverse = Reciprocal(FP32, "newton").compute(before[2])
    for d in range(1, 5):
        expected = [exact.fma(int(o), int(r), 0, S, S, S) for o, r in zip(before[d], inverse, strict=True)]
        assert after[d].tolist() == expected


def test_zero_replaces_the_old_value():
    spad = bits(np.random.default_rng(3), 8, 4)
    wait = {"wait_idle": 1}
    norm = Matrix(4, accumulator_row=1, accumulator_stride=1, zero=1, **wait)
    # 1/0 = Inf, and Inf * 0 is NaN in every column
    result = run([STATIONARY, VALUE, Matrix(3, zero=1, accumulator_row=1, **wait), norm], spad)
    assert (result[1:5] == 0x7FC0_0000).all()


def weights(query, keys, seen, scale):
    """P of each key, from the scores of those that are seen."""
    nothing = exact.infinity(1, S)
    scores = [fold(key[::-1], query[::-1]) if sees else nothing for key, sees in zip(keys, seen, strict=True)]
    maximum = nothing
    for score in scores:
        maximum = exact.maximum(score, maximum, S)
    found, table = [], exact.exp2_constants(H, S)
    for score in scores:
        x = exact.fma(exact.convert(score, S, H), exact.one(H), exact.negate(maximum, S), H, S, H)
        found.append(exact.exp2(exact.fma(x, scale, 0, H, S, H), H, S, H, table))
    return found


@pytest.mark.parametrize("factor", [None, 0.3, 2.0])
@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("hidden", range(4))
def test_score_hides_and_scales(hidden, causal, factor):
    spad = bits(np.random.default_rng(11), 12, 4)
    q, keys, v_t = spad[:4], spad[4:8], spad[8:]
    scale = None if factor is None else Scale.of(CONFIG, factor)
    pattern = exact.from_double(math.log2(math.e) * (0.5 if factor is None else factor), H)
    result = run([STATIONARY, replace(SCORE, hidden=hidden, causal=causal), replace(VALUE, scratchpad_row=8)], spad,
                 scale=scale)
    for c in range(4):
        seen = [k < 4 - hidden and not (causal and k > c) for k in range(4)]
        found = weights(q[c], keys, seen, pattern)
        assert [p == 0 for p in found] == [not sees for sees in seen]
        assert result[0][c] == fold([exact.one(H)] * 4, found[::-1])
        assert [result[1 + d][c] for d in range(4)] == [fold(found[::-1], v_t[d][::-1]) for d in range(4)]


def test_norm_starts_the_maxima_afresh():
    """The second of two equal ATTN_SCORE finds the maximum as it left it, unless a NORM came between."""
    spad = bits(np.random.default_rng(4), 12, 4)
    again = replace(SCORE, scratchpad_row=8, zero=0, wait_idle=1)
    norm = Matrix(4, wait_idle=1, accumulator_row=4, accumulator_stride=1)
    load = replace(STATIONARY, wait_idle=1)
    first = run([load, replace(SCORE, scratchpad_row=8)], spad)[0]
    fresh = run([load, SCORE, norm, load, again], spad)[0]
    kept = run([load, SCORE, load, again], spad)[0]
    # after a NORM the old sum counts nothing: exp2(-Inf - max) = 0
    assert fresh.tolist() == first.tolist()
    assert kept.tolist() != first.tolist()


def test_the_state_that_a_program_starts_from():
    spad = bits(np.random.default_rng(5), 8, 4)
    assert not run([VALUE], spad).any()
    assert not run([Matrix(4, wait_idle=1, accumulator_row=1, accumulator_stride=1)], spad).any()


def test_memory_is_zero_where_nothing_was_put_and_rows_cross_pages():
    far = BASE + (1 << 16) - 16
    program = [
        Dma(0, rows=4, stride=1, memory_stride=8, address=far, size=8), Fence(dma=1), STATIONARY, Fence(matrix=1),
        Dma(0, rows=4, row=4, stride=1, memory_stride=8, address=BASE, size=8), Fence(dma=1), VALUE, Fence(matrix=1),
        Dma(1, rows=4, row=1, stride=1, accumulator=1, memory_stride=-16, address=far + 32, size=16), STOP,
    ]
    spad = bits(np.random.default_rng(6), 8, 4)
    memory = ((far, spad[:4].tobytes()), (BASE, spad[4:].tobytes()))
    regions = (Region(far - 16, 64), Region(BASE + 512, 8))
    stored, nothing = execute(Program(tuple(encode_all(program)), memory, regions), CONFIG).outputs
    expected = run([STATIONARY, VALUE], spad)[1:5]
    assert np.array_equal(np.frombuffer(stored, np.uint32).reshape(4, 4), expected[::-1])
    assert nothing == bytes(8)


# Errors are states.

def outcome(program, config=CONFIG):
    words = program if program and isinstance(program[0], int) else encode_all(program)
    execution = execute(Program(tuple(words)), config)
    assert isinstance(execution, Execution)
    assert (execution.state is State.DONE) == (execution.error is ErrorCode.NONE)
    return execution.error, execution.error_instruction


def load(**fields):
    return Dma(0, **{"rows": 4, "stride": 1, "memory_stride": 8, "address": BASE, "size": 8, **fields})


def store(**fields):
    return Dma(1, **{"rows": 4, "row": 1, "stride": 1, "accumulator": 1, "memory_stride": 16, "address": RESULT,
                     "size": 16, **fields})


@pytest.mark.parametrize(("instruction", "code"), [
    (Matrix(5), ErrorCode.ILLEGAL_FUNCTION),
    (Matrix(31, scratchpad_row=1000), ErrorCode.ILLEGAL_FUNCTION),
    (Dma(2), ErrorCode.ILLEGAL_FUNCTION),
    (load(accumulator=1), ErrorCode.ILLEGAL_FUNCTION),
    (store(accumulator=0, size=3), ErrorCode.ILLEGAL_FUNCTION),
    (Matrix(0, scratchpad_row=21, scratchpad_stride=1), ErrorCode.SCRATCHPAD_ROW),
    (Matrix(1, scratchpad_row=2, scratchpad_stride=-1, accumulator_row=99), ErrorCode.SCRATCHPAD_ROW),
    (Matrix(2, scratchpad_row=24), ErrorCode.SCRATCHPAD_ROW),
    (Matrix(1, accumulator_row=9), ErrorCode.ACCUMULATOR_ROW),
    (Matrix(2, accumulator_row=6, accumulator_stride=1), ErrorCode.ACCUMULATOR_ROW),
    (Matrix(1, hidden=4, accumulator_row=9), ErrorCode.ACCUMULATOR_ROW),
    (Matrix(1, hidden=4), ErrorCode.HIDDEN_KEYS),
    (Matrix(1, hidden=255, causal=1), ErrorCode.HIDDEN_KEYS),
    (Matrix(3, accumulator_row=9), ErrorCode.ACCUMULATOR_ROW),
    (Matrix(4, accumulator_row=2, accumulator_stride=-1), ErrorCode.ACCUMULATOR_ROW),
    (load(size=16, address=BASE + 1), ErrorCode.ROW_SIZE),
    (store(size=8), ErrorCode.ROW_SIZE),
    (load(rows=0, size=0), ErrorCode.ROW_SIZE),
    (load(address=BASE + 4, row=99), ErrorCode.MISALIGNED),
    (store(memory_stride=4), ErrorCode.MISALIGNED),
    (load(row=21), ErrorCode.SCRATCHPAD_ROW),
    (load(row=3, stride=-2), ErrorCode.SCRATCHPAD_ROW),
    (store(row=6), ErrorCode.ACCUMULATOR_ROW),
    (load(address=BASE - 8), ErrorCode.READ_RESPONSE),
    (load(address=BASE + CONFIG.memory_size - 24), ErrorCode.READ_RESPONSE),
    (load(address=BASE + 16, memory_stride=-8), ErrorCode.READ_RESPONSE),
    (store(address=0), ErrorCode.WRITE_RESPONSE),
    (store(address=BASE + CONFIG.memory_size - 48), ErrorCode.WRITE_RESPONSE),
    (load(semaphore=1, acquire=1, acquire_value=1), ErrorCode.TIMEOUT),
])
def test_each_error_and_the_instruction_it_is_about(instruction, code):
    at = 3 if code is not ErrorCode.TIMEOUT else 4
    assert outcome([load(), Fence(dma=1), Fence(), instruction, STOP]) == (code, at)
    # the checker finds them all beforehand
    findings = check([load(), Fence(dma=1), Fence(), instruction, STOP], CONFIG)
    assert ("error", 3) in [(finding.severity, finding.index) for finding in findings]


@pytest.mark.parametrize("instruction", [
    load(row=20), load(row=20, stride=-5), store(row=5), load(rows=0, row=1000, address=0), store(rows=0, row=1000),
    load(address=BASE + CONFIG.memory_size - 32), Matrix(0, accumulator_row=1000), Matrix(3, scratchpad_row=1000),
    load(semaphore=31, acquire=1, release=1, release_value=7), load(row=3, stride=-1), load(stride=0, memory_stride=0),
])
def test_what_is_just_within_bounds(instruction):
    assert outcome([instruction, STOP]) == (ErrorCode.NONE, 0)


def test_an_illegal_type():
    for kind in range(3, 8):
        assert outcome([*encode(Fence()), kind << 29, *encode(STOP)]) == (ErrorCode.ILLEGAL_TYPE, 1)


def test_the_first_refused_instruction_is_reported():
    assert outcome([load(row=99), load(size=1), STOP]) == (ErrorCode.SCRATCHPAD_ROW, 0)
    # the decoder is there long before the memory answers, but not before a fence that waits for the memory
    outside = load(address=0)
    assert outcome([outside, load(size=1), STOP]) == (ErrorCode.ROW_SIZE, 1)
    assert outcome([outside, Fence(dma=1), load(size=1), STOP]) == (ErrorCode.READ_RESPONSE, 0)


def test_nothing_after_a_stop_matters():
    assert outcome([STOP, load(size=1)]) == (ErrorCode.NONE, 0)
    assert outcome([*encode(STOP), 7 << 29]) == (ErrorCode.NONE, 0)


WAITING = Matrix(0, acquire=1, acquire_value=1, release=1, release_value=1)


@pytest.mark.parametrize(("program", "number"), [
    ([], 0),
    ([load()], 1),
    ([Fence(matrix=1), Fence(dma=1)], 2),
    ([load(acquire=1, acquire_value=1), Fence(matrix=1), STOP], 2),
    ([load(acquire=1), load(acquire=1), STOP], 2),
    # eight in the queue and one in the decoder
    ([WAITING] * 9 + [load(release=1, release_value=1)], 10),
    ([WAITING] * 10 + [load(release=1, release_value=1), STOP], 9),
    ([WAITING] * 10 + [Matrix(9), STOP], 9),
    ([WAITING] * 9 + [Fence(matrix=1), Matrix(9), STOP], 9),
])
def test_a_standstill_is_a_timeout_at_the_instruction_that_the_decoder_comes_to(program, number):
    assert outcome(program) == (ErrorCode.TIMEOUT, number)


def test_an_instruction_without_its_last_words_is_waited_for():
    for instruction in (load(), Matrix(0)):
        words = encode(instruction)
        for count in range(1, len(words)):
            assert outcome([*encode(Fence()), *words[:count]]) == (ErrorCode.TIMEOUT, 2)


def test_what_was_stored_before_an_error_is_there():
    program = [load(), Fence(dma=1), STATIONARY, replace(VALUE, scratchpad_row=0), Fence(matrix=1), store(),
               Fence(dma=1), load(row=99), STOP]
    spad = bits(np.random.default_rng(7), 4, 4)
    execution = execute(Program(tuple(encode_all(program)), ((BASE, spad.tobytes()),), (Region(RESULT, 64),)), CONFIG)
    assert (execution.state, execution.error, execution.error_instruction) == (
        State.ERROR, ErrorCode.SCRATCHPAD_ROW, 7)
    assert any(execution.outputs[0])


# What has no defined result.

@pytest.mark.parametrize(("body", "message"), [
    ([replace(STATIONARY, delay=1)],
     "instruction 0: LOAD_STATIONARY with delay 1 and reverse_out 0: must have delay 0"),
    ([replace(SCORE, delay=0)], "instruction 0: ATTN_SCORE with delay 0 and reverse_out 1: "
                                "must have delay 1 and reverse_out 1"),
    ([replace(VALUE, reverse_out=1)], "instruction 0: ATTN_VALUE with delay 1 and reverse_out 1: "
                                      "must have delay 1 and reverse_out 0"),
    ([SCORE, STATIONARY], "instruction 1: LOAD_STATIONARY at once after an ATTN_SCORE, which is still at work: "
                          "must have wait_idle"),
    ([SCORE, replace(VALUE, accumulator_row=0, zero=0)],
     "instruction 1: ATTN_VALUE at once after an ATTN_SCORE on the same accumulator row: must have wait_idle"),
    ([VALUE, Matrix(3)], "instruction 1: ACC_RECIPROCAL at once after an ATTN_VALUE, which is still at work: "
                         "must have wait_idle"),
    ([Matrix(4)], "instruction 0: ATTN_LSE_NORM with accumulator stride 0: must not be 0, "
                  "a row would be read before it is written"),
])
def test_what_has_no_defined_result_says_so(body, message):
    with pytest.raises(RunError) as error:
        execute(Program(tuple(encode_all([*body, STOP]))), CONFIG)
    assert str(error.value) == f"{message}; this has no defined result in the golden model"


def test_a_fence_or_waiting_defines_it():
    assert outcome([SCORE, Fence(matrix=1), STATIONARY, STOP]) == (ErrorCode.NONE, 0)
    assert outcome([SCORE, replace(STATIONARY, wait_idle=1), STOP]) == (ErrorCode.NONE, 0)

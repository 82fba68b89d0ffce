"""What cycles are used for and what the matrix unit waits for, against cases where that is known another way."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from myhdl_fsa import golden
from myhdl_fsa.config import Config, preset
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import Stretch, Wait, Watch, engine
from myhdl_fsa.engine.cycle_use import CAUSES, USES, cycles_by_use, waiting_cycles
from myhdl_fsa.isa import Dma, Function, Matrix, Transfer
from myhdl_fsa.program import Timing
from myhdl_fsa.sims.core_bench import attention_run
from myhdl_fsa.sims.core_engine import MyHDLEngine, simulate
from myhdl_fsa.workbench.dataflow_activity import slots

FSA, STREAM = preset("FSA4X4Fp16Config"), preset("STREAM4X4Fp16Config")
DATAFLOWS = {"fsa": FSA, "stream": STREAM}
TRANSFERS = ("Q", "K", "V", "store of O")


def operands(config: Config, seq_q: int, seq_kv: int):
    rng = np.random.default_rng(7)
    return [from_float(rng.random((rows, config.rows)), config.elem) for rows in (seq_q, seq_kv, seq_kv)]


def run(config: Config, seq_q: int, seq_kv: int, timing: Timing | None = None, **options):
    """The result of a run, of the device if it has a timing: every cycle used once, and waits that are its bubble."""
    tensors = operands(config, seq_q, seq_kv)
    if timing is None:
        result = MyHDLEngine().attention(*tensors, config, waits=True, **options)
    else:
        result = MyHDLEngine().device_attention(*tensors, config, timing=timing, waits=True, **options)
    np.testing.assert_array_equal(result.output, golden.attention(*tensors, config, **options))
    stretches = result.stretches
    assert sum(cycles_by_use(stretches).values()) == result.cycles == stretches[-1].last - stretches[0].first + 1
    assert all(one.last + 1 == two.first and one.use != two.use
               for one, two in zip(stretches, stretches[1:], strict=False))
    assert {stretch.use for stretch in stretches} <= set(USES)
    assert {wait.cause for wait in result.waits} <= set(CAUSES)
    if result.counters is not None:
        assert sum(waiting_cycles(result.waits).values()) == result.counters.matrix_bubble
    return result


TIMINGS = {"fast": Timing(), "slow": Timing(9, 30, Fraction(1, 9), Fraction(1, 3), push_interval=4),
           "stalls": Timing(stall_seed=3)}


@pytest.mark.parametrize("timing", TIMINGS)
@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_what_the_array_does_is_the_same_whatever_is_waited_for(dataflow, timing):
    result = run(DATAFLOWS[dataflow], 8, 16, TIMINGS[timing])
    used = cycles_by_use(result.stretches)
    # 2 x 4 tile pairs, of which each has 4 rows of K and 4 of V^T
    assert used["products"] == 2 * 4 * 8
    expected = slots(DATAFLOWS[dataflow])
    assert used["softmax"] == 2 * 4 * (expected.softmax + expected.dropped)
    # a wait that has work in it counts as work
    waited = waiting_cycles(result.waits)
    assert all(used[cause] <= waited[cause] for cause in (*TRANSFERS, "host"))


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_slow_memory_makes_waits_for_what_it_holds(dataflow):
    fast, slow = (run(DATAFLOWS[dataflow], 8, 24, timing) for timing in (Timing(), Timing(read_latency=200)))
    more = {use: count - cycles_by_use(fast.stretches)[use] for use, count in cycles_by_use(slow.stretches).items()}
    assert more["K"] + more["V"] + more["Q"] > 190
    # but for the first tiles nothing else takes longer
    assert sum(more.values()) == slow.cycles - fast.cycles
    assert more["fill"] == pytest.approx(199, abs=2)
    assert more["host"] <= 0 and more["store of O"] <= 0


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_slow_host_makes_waits_for_it_alone(dataflow):
    waited = waiting_cycles(run(DATAFLOWS[dataflow], 8, 8, Timing(push_interval=50)).waits)
    assert waited["host"] > 1000
    assert sum(waited[name] for name in TRANSFERS) == 0


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_slow_stores_make_waits_for_them(dataflow):
    # with one tile of O^T a fence holds the words back and each of three stores is waited for; else a semaphore, if any
    for config, stores in ((DATAFLOWS[dataflow], 1), (replace(DATAFLOWS[dataflow], accumulator_rows=5), 3)):
        fast, slow = (waiting_cycles(run(config, 12, 8, timing).waits)
                      for timing in (Timing(), Timing(write_latency=300)))
        assert slow["store of O"] - fast["store of O"] > stores * 290
        assert all(slow[name] - fast[name] < 20 for name in CAUSES if name != "store of O")


def test_a_full_queue_of_loads_is_a_wait_for_them():
    config = replace(FSA, load_inflight=1, matrix_queue=1)
    waited = waiting_cycles(run(config, 4, 24, Timing(read_latency=100)).waits)
    assert waited["K"] + waited["V"] > 400
    assert waited["host"] < 40


@pytest.mark.parametrize("dataflow", DATAFLOWS)
def test_a_core_that_has_all_in_time_waits_for_nothing(dataflow):
    config = DATAFLOWS[dataflow]
    result = run(config, 8, 40)
    assert {wait.cause for wait in result.waits} == {"array"}
    assert {wait.instruction for wait in result.waits} == {max(wait.instruction for wait in result.waits)}
    used = cycles_by_use(result.stretches)
    assert not any(used[name] for name in (*TRANSFERS, "host"))
    if dataflow == "stream":
        # steady state: no cycle without work from the first product to the last tile's
        assert used["array"] < 2 * config.rows + 10


@pytest.mark.parametrize("dataflow", DATAFLOWS)
@pytest.mark.parametrize("name", ["K", "V"])
def test_a_late_tile_on_the_core_is_a_wait_of_its_instruction(dataflow, name):
    config = DATAFLOWS[dataflow]
    case = attention_run(*operands(config, 4, 24), config, watch=Watch(waits=True))
    address = {"K": case.kernel.inputs[1][0], "V": case.kernel.inputs[2][0]}[name].address
    low, high = address, address + 24 * config.rows * 2
    loads = [item for item in case.kernel.instructions if isinstance(item, Dma) and item.function == Transfer.LOAD
             and low <= item.address < high]
    case.late = {loads[4]: 400}
    simulate(case)
    # in stream the V of the tile before comes behind K, and is wanted first
    tile, waited_for = (3, "V") if (dataflow, name) == ("stream", "K") else (4, name)
    function = {"K": Function.ATTN_SCORE, "V": Function.ATTN_VALUE}[waited_for]
    users = [number for number, step in enumerate(item for item in case.kernel.instructions if isinstance(item, Matrix))
             if step.function == function]
    (wait,) = [wait for wait in case.log.waits() if wait.cause != "array"]
    assert (wait.instruction, wait.cause) == (users[tile], waited_for)
    assert 250 < wait.cycles < 400


def test_waits_that_follow_each_other_are_one():
    waits = run(FSA, 4, 24, Timing(read_latency=100)).waits
    assert all(one.last < two.first for one, two in zip(waits, waits[1:], strict=False))
    assert max(wait.cycles for wait in waits) > 50
    assert Wait(3, 10, 19, "K").cycles == Stretch(10, 19, "K").cycles == 10


def test_who_does_not_ask_or_sees_nothing_inside_says_nothing():
    tensors = operands(FSA, 4, 4)
    assert MyHDLEngine().attention(*tensors, FSA).waits is None
    result = engine("golden").attention(*tensors, FSA, waits=True)
    assert (result.waits, result.stretches) == (None, None)

"""The execution plans against the table of section 3, and the control memory made of them."""

from __future__ import annotations

from collections import defaultdict

import pytest

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import PE_BIT, PE_CONTROL_WIDTH, Accumulator, Comparator, Constant
from myhdl_fsa.dataflows.fsa.plan import (
    Accumulate,
    AccumulatorRead,
    Compare,
    Direction,
    ExecutionPlan,
    Flow,
    PlanWord,
    ScratchpadRead,
)
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.dataflows.fsa.sequencer import EDGE_BIT, EDGE_WIDTH, ControlMemory
from myhdl_fsa.isa import Function

CONFIGS = [Config(rows=n, cols=n, exp2_pieces=pieces, reciprocal=way)
           for n, pieces, way in ((4, 8, "newton"), (4, 4, "division"), (16, 8, "newton"), (128, 8, "newton"))]
LATENCY = {"newton": 19, "division": 15}


def bits(names: str) -> int:
    return sum(PE_BIT[name] for name in names.split())


def table(config: Config) -> dict[str, tuple[list[tuple], int | None, int]]:
    """Section 3's table: per plan (field, value, start, repeat) rows, release cycle and next-may-start cycle."""
    r, c, p, latency = config.rows, config.cols, config.exp2_pieces, LATENCY[config.reciprocal]
    e = 2 * r + 4 + p - 1

    def constant(which: int, start: int, repeat: int = 1) -> list[tuple]:
        return [("use_constant", 1, start, repeat), ("constant", which, start, repeat)]

    def update(start: int, repeat: int = 1) -> list[tuple]:
        return [("accumulator_read", 1, start, repeat), ("write_back", 1, start, repeat)]

    return {
        "LOAD_STATIONARY": ([("read", 1, 0, c), ("parallel", bits("load_reg_li"), 1, c)], c - 1, c - 1),
        "ATTN_SCORE": ([
            ("read", 1, 0, r), ("up", bits("mac flow_lr"), 1, r),
            ("down", bits("flow_ud"), r + 1, r), ("compare", Comparator.UPDATE, r + 1, r),
            ("up", bits("flow_du"), r + 4, r),
            ("parallel", bits("load_reg_ui"), 2 * r + 1, 1), ("compare", Comparator.PROP_MAX, 2 * r + 1, 1),
            *constant(Constant.ONE, 2 * r + 1),
            ("down", bits("update_reg acc_ui flow_ud flow_lr"), 2 * r + 2, 1),
            ("compare", Comparator.PROP_MAX_DIFF, 2 * r + 2, 1), *constant(Constant.SCALE, 2 * r + 2),
            ("down", bits("flow_ud update_reg flow_lr"), 2 * r + 3, 1),
            ("down", bits("flow_ud flow_lr acc_ui exp2"), 2 * r + 4, p),
            ("compare", Comparator.PROP_EXP2_INTERCEPTS, 2 * r + 3, p), *constant(Constant.SLOPES, 2 * r + 3, p),
            ("compare", Comparator.PROP_ZERO, e, 1), *constant(Constant.ONE, e),
            ("down", bits("mac acc_ui flow_lr"), e + 1, 1),
            ("accumulate", Accumulator.EXP_S1, 3 * r + c + 2, 1), ("accumulate", Accumulator.EXP_S2, 3 * r + c + 3, 1),
            *update(e + r + c - 1), ("accumulate", Accumulator.ACC_SA, e + r + c, 1),
        ], r - 1, e),
        "ATTN_VALUE": ([
            ("read", 1, 0, r), ("down", bits("mac acc_ui flow_lr"), 1, r),
            *update(r + c - 1, r), ("accumulate", Accumulator.ACC_SA, r + c, r),
        ], r - 1, 2 * r - 2),
        # blocking: nothing may start before the last cycle
        "ACC_RECIPROCAL": ([
            ("accumulator_read", 1, 0, 1), ("accumulate", Accumulator.SET_SCALE, 1, 1),
            ("accumulate", Accumulator.RECIPROCAL, 2, latency),
        ], None, latency + 1),
        "ATTN_LSE_NORM": ([
            ("compare", Comparator.RESET, 0, 1), *update(0, r), ("accumulate", Accumulator.ACC, 1, r),
        ], r, r),
    }


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.rows}-{c.exp2_pieces}-{c.reciprocal}")
def test_words_are_the_published_table(config) -> None:
    wanted = table(config)
    made = plans(config)
    assert [plan.name for plan in made] == list(wanted) == [function.name for function in Function]
    assert [plan.function for plan in made] == list(range(5))
    for plan in made:
        rows, release, may_start = wanted[plan.name]
        cycles: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for name, value, start, repeat in rows:
            for cycle in range(start, start + repeat):
                cycles[cycle][name] |= value
        for cycle, word in enumerate(plan.words):
            expected = dict(cycles.pop(cycle, {})) | {
                "release": int(cycle == (plan.release if release is None else release)),
                "may_start": int(cycle >= may_start), "last": int(cycle == len(plan.words) - 1),
            }
            assert word == PlanWord(**expected), (plan.name, cycle)
        assert not cycles, f"{plan.name}: nothing is sent in the cycles {list(cycles)}"


def test_busy_cycles() -> None:
    """The published FPGA counter: 179 in all at N = 16 with the Newton reciprocal."""
    busy = [plan.busy_cycles for plan in plans(Config(rows=16, cols=16))]
    assert busy == [17, 76, 48, 21, 17]
    assert sum(busy) == 179
    assert [len(plan.words) for plan in plans(Config(rows=16, cols=16))] == busy


@pytest.mark.parametrize("n", [4, 8, 16, 32, 64, 128])
def test_an_inner_iteration_takes_5n_plus_13_cycles(n) -> None:
    """An instruction is accepted when the one before has come far enough and the one before that is over."""
    order = [plan for _ in range(3) for plan in plans(Config(rows=n, cols=n))[:3]]
    accepted: list[int] = [0]
    for index in range(1, len(order)):
        at = accepted[-1] + 1 + order[index - 1].next_may_start
        if index > 1:
            at = max(at, accepted[-2] + 1 + order[index - 2].busy_cycles)
        accepted.append(at)
    assert accepted[6] - accepted[3] == accepted[3] - accepted[0] == 5 * n + 13


def plan_of(*entries, rows: int = 4) -> ExecutionPlan:
    return ExecutionPlan("TEST", 0, rows, entries, next_may_start=0)


@pytest.mark.parametrize("first, second, resource", [
    (ScratchpadRead(0, 3), ScratchpadRead(2), "read"),
    (ScratchpadRead(1, constant=Constant.ONE), ScratchpadRead(1, constant=Constant.SCALE), "use_constant"),
    (Compare(Comparator.UPDATE, 0, 2), Compare(Comparator.PROP_MAX, 1), "compare"),
    (AccumulatorRead(1), AccumulatorRead(0, 2), "accumulator_read"),
    (Accumulate(Accumulator.ACC, 1), Accumulate(Accumulator.ACC_SA, 1), "accumulate"),
    (Flow("mac acc_ui", Direction.DOWN, 0, 2), Flow("mac", Direction.DOWN, 1), "down"),
    (Flow("flow_lr", Direction.UP, 0), Flow("flow_lr", Direction.UP, 0), "up"),
    (Flow("load_reg_li", Direction.PARALLEL, 0), Flow("load_reg_li", Direction.PARALLEL, 0), "parallel"),
])
def test_entries_that_collide(first, second, resource) -> None:
    with pytest.raises(ValueError, match=f"^TEST: two entries drive {resource} in cycle [0-2]$"):
        plan_of(first, second)


def test_a_row_and_a_constant_share_one_port() -> None:
    with pytest.raises(ValueError, match="cycle 1"):
        plan_of(ScratchpadRead(0, 2), ScratchpadRead(1, constant=Constant.ONE))


def test_entries_that_do_not_collide() -> None:
    """Different bits one way, or one bit different ways; one after the other."""
    plan = plan_of(
        Flow("mac", Direction.DOWN, 0, 2), Flow("flow_lr", Direction.DOWN, 1), Flow("mac", Direction.UP, 0),
        ScratchpadRead(0, 2), ScratchpadRead(2), Compare(Comparator.UPDATE, 0), Compare(Comparator.UPDATE, 1),
    )
    assert [word.down for word in plan.words[:3]] == [bits("mac"), bits("mac flow_lr"), 0]
    assert plan.words[0].up == bits("mac")
    assert [word.read for word in plan.words[:4]] == [1, 1, 1, 0]


def test_unknown_signal() -> None:
    with pytest.raises(KeyError, match="flow_left"):
        plan_of(Flow("flow_left", Direction.DOWN, 0))


@pytest.mark.parametrize("direction, busy", [(Direction.PARALLEL, 5), (Direction.DOWN, 8), (Direction.UP, 8)])
def test_directions(direction, busy) -> None:
    """Down and up reach the last of 4 rows 3 cycles after the first; the plan lasts as long."""
    plan = plan_of(Flow("mac", direction, 2, 3))
    assert plan.busy_cycles == busy
    sent = [getattr(word, direction.value) for word in plan.words]
    assert sent == [0, 0, 1, 1, 1] + [0] * (busy - 5)
    others = {d.value for d in Direction} - {direction.value}
    assert all(getattr(word, other) == 0 for word in plan.words for other in others)


def test_control_memory() -> None:
    made = plans(Config())
    memory = ControlMemory.of(made)
    lengths = [plan.busy_cycles for plan in made]
    assert len(memory.pe) == len(memory.edges) == 1 + sum(lengths)
    assert memory.base == (*(1 + sum(lengths[:i]) for i in range(5)), *[0] * 27)
    # word 0 is for the functions without a plan: it does nothing, and is the last of its instruction
    assert memory.pe[0] == 0
    assert memory.edges[0] == 1 << EDGE_BIT["may_start"] | 1 << EDGE_BIT["last"]
    words = [word for plan in made for word in plan.words]
    w = PE_CONTROL_WIDTH
    assert [(pe & (1 << w) - 1, pe >> w & (1 << w) - 1, pe >> 2 * w) for pe in memory.pe[1:]] == [
        (word.parallel, word.down, word.up) for word in words]
    # the edge fields lie side by side and hold their values whole
    ends = [*list(EDGE_BIT.values())[1:], EDGE_WIDTH]
    for edges, word in zip(memory.edges[1:], words, strict=True):
        for (name, low), end in zip(EDGE_BIT.items(), ends, strict=True):
            assert edges >> low & (1 << end - low) - 1 == getattr(word, name), name


def test_control_memory_of_plans_in_another_order() -> None:
    made = plans(Config())
    memory = ControlMemory.of(made[::-1])
    for plan in made:
        start = memory.base[plan.function]
        stored = memory.pe[start:start + plan.busy_cycles]
        w = PE_CONTROL_WIDTH
        assert [pe >> w & (1 << w) - 1 for pe in stored] == [word.down for word in plan.words]

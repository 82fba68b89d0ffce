"""The published dataflow as execution plans: a table an instruction. Source: docs/specification.md section 3."""

from __future__ import annotations

from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import Accumulator, Comparator, Constant
from myhdl_fsa.dataflows.fsa.plan import (
    Accumulate,
    AccumulatorRead,
    Compare,
    Direction,
    ExecutionPlan,
    Flow,
    ScratchpadRead,
)
from myhdl_fsa.isa import Function

__all__ = [
    "accumulator_reciprocal",
    "attention_lse_norm",
    "attention_score",
    "attention_value",
    "load_stationary",
    "plans",
]

PARALLEL, DOWN, UP = Direction.PARALLEL, Direction.DOWN, Direction.UP


def load_stationary(rows: int, cols: int) -> ExecutionPlan:
    """Q rows, the last query first, move right until each column holds its query."""
    return ExecutionPlan("LOAD_STATIONARY", Function.LOAD_STATIONARY, rows, (
        ScratchpadRead(0, cols),
        Flow("load_reg_li", PARALLEL, 1, cols),
    ), next_may_start=cols - 1, release=cols - 1)


def attention_score(rows: int, cols: int, pieces: int) -> ExecutionPlan:
    """S = Q K^T leaves upwards, passes the comparators, returns, and becomes P in place; then the row sum."""
    exp2_start = 2 * rows + 4
    end = exp2_start + pieces - 1
    return ExecutionPlan("ATTN_SCORE", Function.ATTN_SCORE, rows, (
        # S = Q K^T
        ScratchpadRead(0, rows),
        Flow("mac flow_lr", UP, 1, rows),
        # S comes back down while the maximum is taken; +0 rises for the multiplication by the scale
        Compare(Comparator.UPDATE, rows + 1, rows),
        Flow("flow_ud", DOWN, rows + 1, rows),
        Flow("flow_du", UP, rows + 4, rows),
        Flow("load_reg_ui", PARALLEL, 2 * rows + 1),
        # x1 = s * 1 - max
        Compare(Comparator.PROP_MAX, 2 * rows + 1),
        ScratchpadRead(2 * rows + 1, constant=Constant.ONE),
        Flow("update_reg acc_ui flow_ud flow_lr", DOWN, 2 * rows + 2),
        # x2 = x1 * scale + 0, while old max - new max passes on its way to the accumulator
        Compare(Comparator.PROP_MAX_DIFF, 2 * rows + 2),
        ScratchpadRead(2 * rows + 2, constant=Constant.SCALE),
        Flow("flow_ud update_reg flow_lr", DOWN, 2 * rows + 3),
        # P = 2**x2
        Compare(Comparator.PROP_EXP2_INTERCEPTS, exp2_start - 1, pieces),
        ScratchpadRead(exp2_start - 1, pieces, Constant.SLOPES),
        Flow("flow_ud flow_lr acc_ui exp2", DOWN, exp2_start, pieces),
        # row sum = P * 1 + ...
        Compare(Comparator.PROP_ZERO, end),
        ScratchpadRead(end, constant=Constant.ONE),
        Flow("mac acc_ui flow_lr", DOWN, end + 1),
        # a = 2**((old max - new max) * scale); L = L * a + row sum
        Accumulate(Accumulator.EXP_S1, 3 * rows + cols + 2),
        Accumulate(Accumulator.EXP_S2, 3 * rows + cols + 3),
        AccumulatorRead(end + rows + cols - 1),
        Accumulate(Accumulator.ACC_SA, end + rows + cols),
    ), next_may_start=end, release=rows - 1)


def attention_value(rows: int, cols: int) -> ExecutionPlan:
    """O = O * a + P V, one row of V^T a cycle."""
    return ExecutionPlan("ATTN_VALUE", Function.ATTN_VALUE, rows, (
        ScratchpadRead(0, rows),
        Flow("mac acc_ui flow_lr", DOWN, 1, rows),
        AccumulatorRead(rows + cols - 1, rows),
        Accumulate(Accumulator.ACC_SA, rows + cols, rows),
    ), next_may_start=2 * rows - 2, release=rows - 1)


def accumulator_reciprocal(rows: int, latency: int) -> ExecutionPlan:
    """a = 1 / L."""
    return ExecutionPlan("ACC_RECIPROCAL", Function.ACC_RECIPROCAL, rows, (
        AccumulatorRead(0, write_back=False),
        Accumulate(Accumulator.SET_SCALE, 1),
        Accumulate(Accumulator.RECIPROCAL, 2, latency),
    ), next_may_start=latency + 1, release=latency + 1)


def attention_lse_norm(rows: int) -> ExecutionPlan:
    """O = O * a; the comparators forget their maxima."""
    return ExecutionPlan("ATTN_LSE_NORM", Function.ATTN_LSE_NORM, rows, (
        Compare(Comparator.RESET, 0),
        AccumulatorRead(0, rows),
        Accumulate(Accumulator.ACC, 1, rows),
    ), next_may_start=rows, release=rows)


def plans(config: Config) -> tuple[ExecutionPlan, ...]:
    """All five instructions."""
    rows, cols = config.rows, config.cols
    return (
        load_stationary(rows, cols),
        attention_score(rows, cols, config.exp2_pieces),
        attention_value(rows, cols),
        accumulator_reciprocal(rows, Reciprocal(config.acc, config.reciprocal).latency),
        attention_lse_norm(rows),
    )

"""The table of docs/attention.md: what each unit of column 0 does in each cycle of an inner iteration, by value.

It is made from the execution plans that the controller's memory is generated from. Values have short names: Q01 is
element 1 of query 0, K20 element 0 of key 2, S02 and P02 score and weight of query 0 for key 2, V30 element 0 of value
3; m0, L0 and O01 are the running maximum, the row sum and element 1 of the output of query 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import Accumulator, Comparator
from myhdl_fsa.dataflows.fsa.plan import Accumulate, Compare, Direction, ExecutionPlan, Flow
from myhdl_fsa.dataflows.fsa.plans import attention_score, attention_value, load_stationary

N = 4
PIECES = 8
ACCUMULATOR = N + 1
"""the columns of the table are the comparator, PE rows 0 to N-1 and the accumulator"""

# What a flow of the plan is for: of row r and the k-th cycle in it, or None where a value only passes.
LAST = N - 1
PURPOSES: dict[str, Callable[[int, int], str]] = {
    "load_reg_li": lambda r, k: f"Q{LAST - k}{r} comes",
    "mac flow_lr": lambda r, k: f"S0{k} {'=' if r == LAST else '+='} Q0{r} K{k}{r}",
    "load_reg_ui": lambda r, k: f"keeps S0{LAST - r}",
    "update_reg acc_ui flow_ud flow_lr": lambda r, k: f"x = S0{LAST - r} - m0",
    "flow_ud update_reg flow_lr": lambda r, k: "x = x scale",
    "flow_ud flow_lr acc_ui exp2": lambda r, k: f"2^x? piece {k}",
    "mac acc_ui flow_lr": lambda r, k: f"sum {'=' if r == 0 else '+='} P0{LAST - r}",
}
COMPARATOR: dict[int, Callable[[int], str]] = {
    Comparator.UPDATE: lambda k: f"m0 = max(m0, S0{k})",
    Comparator.PROP_MAX: lambda k: "sends -m0",
    Comparator.PROP_MAX_DIFF: lambda k: "sends old m0 - m0",
    Comparator.PROP_EXP2_INTERCEPTS: lambda k: f"sends piece {k}",
    Comparator.PROP_ZERO: lambda k: "sends +0",
}
SUMMED = {
    Accumulator.EXP_S1: lambda k: "a = (old m0 - m0) scale",
    Accumulator.EXP_S2: lambda k: "a = 2^a",
}


def _value(r: int, k: int) -> str:
    return f"O0{k} part {'=' if r == 0 else '+='} P0{LAST - r} V{LAST - r}{k}"


def _iteration() -> Iterator[tuple[int, ExecutionPlan]]:
    """The three instructions, and the cycle that is each one's first."""
    start = 0
    for plan in (load_stationary(N, N), attention_score(N, N, PIECES), attention_value(N, N)):
        yield start, plan
        start += plan.next_may_start + 1


def activity() -> dict[int, dict[int, str]]:
    """By cycle and column of the table, what is done there."""
    done: dict[int, dict[int, str]] = defaultdict(dict)
    for first, plan in _iteration():
        for entry in plan.entries:
            for k in range(getattr(entry, "repeat", 1)):
                cycle = first + entry.start + k
                if isinstance(entry, Compare):
                    done[cycle][0] = COMPARATOR[entry.command](k)
                elif isinstance(entry, Accumulate):
                    total = "L0 = L0 a + sum" if plan.name == "ATTN_SCORE" else f"O0{k} = O0{k} a + part"
                    done[cycle][ACCUMULATOR] = SUMMED[entry.command](k) if entry.command in SUMMED else total
                elif isinstance(entry, Flow):
                    said = _value if plan.name == "ATTN_VALUE" else PURPOSES.get(str(entry.signals))
                    for r in range(N):
                        later = {Direction.DOWN: r, Direction.UP: LAST - r, Direction.PARALLEL: 0}[entry.direction]
                        if said is not None:
                            done[cycle + later][r + 1] = said(r, k)
    return done


def rows() -> Iterator[list[str]]:
    """The rows of the table, a cycle each."""
    assert Config().exp2_pieces == PIECES and Config().rows == N
    done = activity()
    for cycle in range(max(done) + 1):
        yield [str(cycle), *(done[cycle].get(column, "") for column in range(ACCUMULATOR + 1))]

"""The table of docs/attention.md: what each unit of column 0 does in each cycle of an inner iteration, by value.

It is made from the trace of a run (docs/trace.md), so that it has the names and the cycles of the animation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myhdl_fsa import engine, preset
from myhdl_fsa.trace import CycleTrace
from myhdl_fsa.workbench.workload import generate

__all__ = ["N", "iteration", "rows"]

N = 4


def iteration() -> CycleTrace:
    """The tensors of the README's first command on the bare core."""
    config = preset("FSA4X4Fp16Config")
    work = generate(config, N, N, 0, "uniform")
    trace = engine("myhdl").attention(work.q, work.k, work.v, config, record=True).recorded
    assert trace is not None and trace.rows == N
    return trace


def _plus(before: str, product: str) -> str:
    return product if before in ("", "0") else f"{before} + {product}"


def _said(kind: str, state: dict[str, Any]) -> str:
    """What a unit does, with the names of what it holds and takes; nothing where a value only passes."""
    names = {name: value[1] for name, value in state.items() if name not in ("work", "control") and value is not None}
    work = state["work"]
    above, left, register = (names.get(name, "") for name in ("above", "left", "register"))
    piece = left.rpartition(" ")[2]
    match kind, work:
        case "pe", "load":
            return f"{left} comes"
        case "pe", "score":
            return _plus(names["below"], f"{register} {left}")
        case "pe", "return":
            return f"keeps {above}"
        case "pe", "subtract":
            return f"{register} {above[0]} {above[1:]}"
        case "pe", "scale":
            return f"({register}) scale"
        case "pe", "exp2":
            return f"2^{register}? piece {piece}" if register.startswith("z") else f"{register}; piece {piece} passes"
        case "pe", "sum":
            return f"sum {_plus(above, register)}"
        case "pe", "value":
            return _plus(above, f"{register} {left}")
        case "comparator", "maximum":
            return f"max({names['maximum'] or '-Inf'}, {names['score']})"
        case "comparator", "subtract":
            return f"sends -{names['maximum']}"
        case "comparator", "scale":
            return "sends d0"
        case "comparator", "exp2":
            return "sends an intercept"
        case "comparator", "sum":
            return "sends 0"
        case "accumulator", "scale":
            return f"{names['result']} = {names['inflow']} scale"
        case "accumulator", "exp2":
            return f"{names['result']} = 2^{names['factor']}"
        case "accumulator", "sum" | "value":
            old = "" if names["old"] == "0" else f"{names['old']} {names['factor']}"
            return f"{names['result']} = {_plus(old, names['inflow'])}"
    return ""


def rows() -> Iterator[list[str]]:
    """The rows of the table, a cycle each, from the first instruction to the last sum of the accumulator."""
    trace = iteration()
    units = [("comparator_0", "comparator"), *((f"pe_{row}_0", "pe") for row in range(N)),
             ("accumulator_0", "accumulator")]
    for frame, state in trace.states():
        if frame.cycle >= trace.start:
            if state["accumulator_0"]["work"] == "reciprocal":
                return
            said = [_said(kind, state[name]) for name, kind in units]
            if any(said) or frame.cycle == trace.start:
                yield [str(frame.cycle - trace.start), *said]

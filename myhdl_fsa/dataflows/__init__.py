"""The dataflows an array can run, by the name the configuration gives."""

from __future__ import annotations

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import fsa
from myhdl_fsa.dataflows.stream import times as stream
from myhdl_fsa.plan import ExecutionPlan

__all__ = [
    "attention_cycles",
    "plans",
    "rows_read",
]

_PLANS = {"fsa": fsa.plans}
_CYCLES = {"fsa": fsa.attention_cycles, "stream": stream.attention_cycles}


def plans(config: Config) -> tuple[ExecutionPlan, ...]:
    """The execution plans of the configuration's dataflow, one an instruction (stream has ``stream.timetable``)."""
    return _PLANS[config.dataflow](config)


def rows_read(config: Config) -> dict[int, tuple[int, int]]:
    """By matrix function, the rows of the scratchpad and of the accumulator RAM that an instruction goes through."""
    if config.dataflow == "stream":
        return stream.rows_read(config)
    return {plan.function: (plan.scratchpad_rows, plan.accumulator_rows) for plan in plans(config)}


def attention_cycles(config: Config, query_tiles: int, kv_tiles: int, causal: bool = False) -> int:
    """Cycles of attention on the bare core, from the first issue to idle, with memory never in the way."""
    return _CYCLES[config.dataflow](config, query_tiles, kv_tiles, causal)

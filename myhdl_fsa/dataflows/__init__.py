"""The dataflows an array can run, by the name the configuration gives."""

from __future__ import annotations

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import fsa
from myhdl_fsa.plan import ExecutionPlan

_PLANS = {"fsa": fsa.plans}


def plans(config: Config) -> tuple[ExecutionPlan, ...]:
    """The execution plans of the configuration's dataflow, one an instruction."""
    return _PLANS[config.dataflow](config)

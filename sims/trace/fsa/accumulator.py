"""The accumulators of the published dataflow as their names are followed."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.convert.blocks import arguments
from myhdl_fsa.dataflows.fsa.control import Accumulator
from myhdl_fsa.sims.command_names import command_names
from myhdl_fsa.sims.trace.follower import Seen, Sight
from myhdl_fsa.sims.trace.movers import inside
from myhdl_fsa.sims.trace.names import Name, Names, accumulated

__all__ = ["FollowedAccumulator"]

_COMMANDS = command_names(Accumulator)
_ACCUMULATES = {Accumulator.EXP_S1: "scale", Accumulator.EXP_S2: "exp2", Accumulator.ACC: "normalise",
                Accumulator.SET_SCALE: "reciprocal", Accumulator.RECIPROCAL: "reciprocal"}


class FollowedAccumulator:
    """``accumulator_unit``, likewise."""

    def __init__(self, block: Any, unit: str, names: Names) -> None:
        ports = arguments(block)
        self.unit, self._names = unit, names
        self._command, self._inflow, self._old = ports["command"], ports["from_array"], ports["ram_word"]
        self._result, self._factor, self._done = ports["result"], inside(block, "a"), inside(block, "done")

    def combine(self, inflow: Name | None, old: Name | None) -> Name | None:
        """What the unit's result is."""
        names, command = self._names, int(self._command)
        names.now(self._inflow, inflow)
        names.now(self._old, old)
        factor, result = names.of(self._factor), None
        if command == Accumulator.EXP_S1:
            result = inflow and Name("e", inflow.at)
        elif command == Accumulator.EXP_S2:
            result = factor and Name("b", factor.at)
        elif command == Accumulator.ACC_SA:
            result = accumulated(inflow)
        elif command == Accumulator.ACC:
            result = old and Name("O/L", old.at[:2])
        names.now(self._result, result)
        return result

    def observe(self) -> Seen:
        """As Part."""
        names, command = self._names, int(self._command)
        inflow = names.of(self._inflow)
        work = _ACCUMULATES.get(command, "idle")
        if command == Accumulator.ACC_SA:
            work = "sum" if inflow is not None and inflow.kind == "l" else "value"
        taken = {"inflow": (self._inflow, (Accumulator.EXP_S1, Accumulator.ACC_SA)),
                 "old": (self._old, (Accumulator.ACC_SA, Accumulator.ACC, Accumulator.SET_SCALE)),
                 "result": (self._result, (Accumulator.EXP_S1, Accumulator.EXP_S2, Accumulator.ACC_SA,
                                           Accumulator.ACC))}
        values: dict[str, Sight | None] = {"factor": (int(self._factor), names.of(self._factor))}
        for name, (signal, takers) in taken.items():
            values[name] = (int(signal), names.of(signal)) if command in takers else None
        return Seen(self.unit, work, _COMMANDS.get(command, ""), values)

    def edge(self) -> None:
        """As Part."""
        names, command, factor = self._names, int(self._command), self._names.of(self._factor)
        if command in (Accumulator.EXP_S1, Accumulator.EXP_S2):
            names.later(self._factor, names.of(self._result))
        elif command == Accumulator.SET_SCALE:
            names.later(self._factor, names.of(self._old))
        elif command == Accumulator.RECIPROCAL and self._done:
            names.later(self._factor, factor and Name("1/L", factor.at[:1]))

"""The accumulators of the stream dataflow as their names are followed."""

from __future__ import annotations

from collections import deque
from typing import Any

from myhdl_fsa.convert.blocks import arguments
from myhdl_fsa.dataflows.stream.control import Accumulate
from myhdl_fsa.sims.command_names import command_names
from myhdl_fsa.sims.trace.follower import Seen, Sight
from myhdl_fsa.sims.trace.movers import inside
from myhdl_fsa.sims.trace.names import Name, Names, accumulated

__all__ = ["FollowedAccumulator"]

_COMMANDS = command_names(Accumulate)
_ACCUMULATES = {Accumulate.EXP_S1: "scale", Accumulate.EXP_S2: "exp2", Accumulate.ACC_SUM: "sum",
                Accumulate.ACC_SA: "value", Accumulate.NORM: "normalise"}


class FollowedAccumulator:
    """``accumulator_unit`` of dataflows/stream/accumulator.py."""

    def __init__(self, block: Any, unit: str, names: Names) -> None:
        ports = arguments(block)
        self.unit, self._names = unit, names
        self._command, self._divide, self._inflow = ports["command"], ports["divide"], ports["from_array"]
        self._old, self._result = ports["ram_word"], ports["result"]
        self._rescale, self._row_sum = inside(block, "rescale"), inside(block, "row_sum")
        self._reciprocal, self._active = inside(block, "reciprocal"), inside(block, "active")
        self._done, self._finished = inside(block, "done"), inside(block, "done_command")
        self._under_way: deque[Name | None] = deque()

    def combine(self, inflow: Name | None, old: Name | None) -> Name | None:
        """What the unit's result is."""
        names, command = self._names, int(self._command)
        names.now(self._inflow, inflow)
        names.now(self._old, old)
        if command:
            self._under_way.append(self._begun(command, inflow, old))
        result = self._under_way.popleft() if self._finished else None
        names.now(self._result, result)
        return result

    def _begun(self, command: int, inflow: Name | None, old: Name | None) -> Name | None:
        if command == Accumulate.EXP_S1:
            return inflow and Name("e", inflow.at)
        if command == Accumulate.EXP_S2:
            factor = self._names.of(self._rescale)
            return factor and Name("b", factor.at)
        if command == Accumulate.NORM:
            return old and Name("O/L", old.at[:2])
        return accumulated(inflow)

    def observe(self) -> Seen:
        """As Part."""
        names, command = self._names, int(self._command)
        work = _ACCUMULATES.get(command, "reciprocal" if self._active else "idle")
        sums = command in (Accumulate.ACC_SUM, Accumulate.ACC_SA)
        taken = {"inflow": (self._inflow, sums or command == Accumulate.EXP_S1),
                 "old": (self._old, sums or command == Accumulate.NORM),
                 "result": (self._result, bool(self._finished))}
        values: dict[str, Sight | None] = {
            "factor": (int(self._rescale), names.of(self._rescale)),
            "reciprocal": (int(self._reciprocal), names.of(self._reciprocal))}
        for name, (signal, is_taken) in taken.items():
            values[name] = (int(signal), names.of(signal)) if is_taken else None
        return Seen(self.unit, work, _COMMANDS.get(command, ""), values)

    def edge(self) -> None:
        """As Part."""
        names, finished = self._names, int(self._finished)
        if finished in (Accumulate.EXP_S1, Accumulate.EXP_S2):
            names.later(self._rescale, names.of(self._result))
        elif finished == Accumulate.ACC_SUM:
            names.later(self._row_sum, names.of(self._result))
        if self._divide and not self._active:
            names.later(self._reciprocal, names.of(self._row_sum))
        elif self._active:
            # newton's register holds its steps
            divisor = names.of(self._reciprocal)
            done = divisor and Name("1/L", divisor.at[:1])
            names.later(self._reciprocal, done if self._done else divisor)

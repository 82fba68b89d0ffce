"""The PEs of the stream dataflow as their names are followed."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.convert.blocks import arguments
from myhdl_fsa.dataflows.stream.control import LATCH_P, LATCH_Q, OPERAND_WIDTH, Operation, addend_at, result_at
from myhdl_fsa.sims.command_names import command_names
from myhdl_fsa.sims.trace.follower import Seen, Sight
from myhdl_fsa.sims.trace.movers import inside
from myhdl_fsa.sims.trace.names import ONE, Name, Names, scored, weighted

__all__ = ["FollowedPe"]

_OPERATIONS = command_names(Operation)
_OPERATION = (1 << Operation.WIDTH) - 1
_WORKS = {Operation.QK: "score", Operation.PASS: "subtract", Operation.SUB: "subtract", Operation.SCALE: "scale",
          Operation.EXP: "exp2"}
_KEPT = {Operation.SUB: "X", Operation.SCALE: "z", Operation.EXP: "P"}


@cache
def _control(bits: int) -> str:
    latches = [name for name, bit in (("latch_p", LATCH_P), ("latch_q", LATCH_Q)) if bits & bit]
    return " ".join([*([_OPERATIONS[bits & _OPERATION]] if bits & _OPERATION else []), *latches])


class FollowedPe:
    """``pe`` of dataflows/stream/pe.py. What a pipelined one has taken and not finished waits in two queues."""

    def __init__(self, block: Any, unit: str, names: Names, config: Config) -> None:
        ports = arguments(block)
        self.unit, self._names, self._rows = unit, names, config.rows
        self._control, self._left = ports["control"], ports["left"]
        self._above, self._below = ports["above"], ports["below"]
        self._right, self._down, self._up = ports["right"], ports["down"], ports["up"]
        self._query, self._weight = inside(block, "query"), inside(block, "weight")
        self._addend, self._result = addend_at(config), result_at(config)
        self._undivided = config.adder_stages == 1
        self._taken: deque[tuple[int, Name | None, Name | None]] = deque()
        self._added: deque[tuple[int, Name | None, Name | None, Name | None]] = deque()

    def observe(self) -> Seen:
        """As Part."""
        names, bits = self._names, int(self._control)
        operation = bits & _OPERATION
        adds = bits >> self._addend & _OPERATION
        left, word = names.of(self._left), names.of(self._below)
        work = "idle"
        if operation == Operation.PV:
            work = "sum" if left == ONE else "value"
        elif operation:
            work = _WORKS[operation]
        elif bits & LATCH_P:
            work = "return"
        elif bits & LATCH_Q:
            work = "load"
        values: dict[str, Sight | None] = {
            "query": (int(self._query), names.of(self._query)), "weight": (int(self._weight), names.of(self._weight)),
            "left": (int(self._left), left) if operation not in (0, Operation.EXP, Operation.PASS) else None,
            "above": (int(self._above), names.of(self._above))
            if adds not in (0, Operation.SCALE, Operation.EXP) else None,
            "below": (int(self._below), word) if word is not None else None,
        }
        return Seen(self.unit, work, _control(bits & (1 << OPERAND_WIDTH) - 1), values)

    def edge(self) -> None:
        """As Part."""
        names, bits = self._names, int(self._control)
        below, above = names.of(self._below), names.of(self._above)
        names.later(self._up, below)
        operation = bits & _OPERATION
        if operation:
            left = names.of(self._left)
            names.later(self._right, left)
            register = self._query if operation == Operation.QK else self._weight
            self._taken.append((operation, names.of(register), left))
        if bits >> self._addend & _OPERATION:
            self._added.append((*self._taken.popleft(), above))
        if bits >> self._result & _OPERATION:
            self._finish(*self._added.popleft(), above)
        if bits & LATCH_P:
            names.later(self._weight, below)
        if bits & LATCH_Q:
            names.later(self._query, below)

    def _finish(
        self, operation: int, register: Name | None, left: Name | None, addend: Name | None, above: Name | None
    ) -> None:
        names = self._names
        if operation == Operation.QK:
            names.later(self._down, scored(register, left, addend, self._rows))
        elif operation == Operation.PV:
            names.later(self._down, weighted(register, left, addend, self._rows))
        elif operation == Operation.PASS:
            names.later(self._down, addend)
        else:
            names.later(self._weight, register and Name(_KEPT[operation], register.at))
            if operation == Operation.SUB and self._undivided:
                names.later(self._down, above)

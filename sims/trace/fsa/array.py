"""The array of the published dataflow as its names are followed: PEs and comparators."""

from __future__ import annotations

from functools import cache
from typing import Any

from myhdl_fsa.convert.blocks import arguments
from myhdl_fsa.dataflows.fsa.control import PE_BIT, Comparator
from myhdl_fsa.sims.command_names import command_names
from myhdl_fsa.sims.trace.follower import Seen, Sight
from myhdl_fsa.sims.trace.movers import inside
from myhdl_fsa.sims.trace.names import ONE, ZERO, Name, Names, greatest, scored, weighted

__all__ = ["FollowedComparator", "FollowedPe"]

_MAC, _ACC_UI, _UPDATE_REG, _EXP2, _LOAD_LEFT, _LOAD_ABOVE, _RIGHT, _DOWN, _UP = PE_BIT.values()
_ARITHMETIC = _MAC | _UPDATE_REG | _EXP2
_COMMANDS = command_names(Comparator)
_COMPARES = {Comparator.UPDATE: "maximum", Comparator.PROP_MAX: "subtract", Comparator.PROP_MAX_DIFF: "scale",
             Comparator.PROP_EXP2_INTERCEPTS: "exp2", Comparator.PROP_ZERO: "sum"}


@cache
def _signals(bits: int) -> str:
    return " ".join(name for name, bit in PE_BIT.items() if bits & bit)


class FollowedPe:
    """``pe``: docs/specification.md section 3."""

    def __init__(self, block: Any, unit: str, names: Names, rows: int) -> None:
        ports = arguments(block)
        self.unit, self._names, self._rows = unit, names, rows
        self._control, self._left = ports["control"], ports["left"]
        self._above, self._below = ports["above"], ports["below"]
        self._right, self._down, self._up = ports["right"], ports["down"], ports["up"]
        self._register, self._done = inside(block, "register"), inside(block, "exp2_done")
        self._hit: Name | None = None
        self._was_done = False
        self.takes_left = False

    def _work(self, bits: int) -> str:
        if bits & _MAC:
            if not bits & _ACC_UI:
                return "score"
            return "sum" if self._names.of(self._left) == ONE else "value"
        if bits & _UPDATE_REG:
            return "subtract" if bits & _ACC_UI else "scale"
        if bits & _EXP2:
            return "exp2"
        if bits & _LOAD_LEFT:
            return "load"
        if bits & _LOAD_ABOVE:
            return "return"
        return "pass" if bits else "idle"

    def observe(self) -> Seen:
        """As Part."""
        names, bits = self._names, int(self._control)
        if self._hit is not None:
            # the piece that came by was the register's own
            if self._done and not self._was_done:
                names.now(self._register, self._hit)
            self._hit = None
        arithmetic = bits & _ARITHMETIC
        from_above = bool(bits & _ACC_UI)
        self.takes_left = bool(arithmetic or bits & (_LOAD_LEFT | _RIGHT))
        values: dict[str, Sight | None] = {
            "register": (int(self._register), names.of(self._register)), "left": None, "above": None, "below": None}
        for name, signal, taken in (
            ("left", self._left, self.takes_left),
            ("above", self._above, bits & (_DOWN | _LOAD_ABOVE) or (arithmetic and from_above)),
            ("below", self._below, bits & _UP or (arithmetic and not from_above)),
        ):
            if taken:
                values[name] = int(signal), names.of(signal)
        return Seen(self.unit, self._work(bits), _signals(bits), values)

    def edge(self) -> None:
        """As Part."""
        names, bits = self._names, int(self._control)
        self._was_done = bool(self._done)
        if not bits:
            return
        left, above, below = names.of(self._left), names.of(self._above), names.of(self._below)
        register = names.of(self._register)
        if bits & _RIGHT:
            names.later(self._right, left)
        if bits & _DOWN:
            names.later(self._down, above)
        if bits & _UP:
            names.later(self._up, below)
        if bits & _MAC:
            if bits & _ACC_UI:
                names.later(self._down, weighted(register, left, above, self._rows))
            else:
                names.later(self._up, scored(register, left, below, self._rows))
        if register is not None and bits & _UPDATE_REG:
            names.later(self._register, Name("X" if bits & _ACC_UI else "z", register.at))
        elif register is not None and bits & _EXP2:
            self._hit = Name("P", register.at)
        if bits & _LOAD_LEFT:
            names.later(self._right, register)
            names.later(self._register, left)
        elif bits & _LOAD_ABOVE:
            names.later(self._register, above)


class FollowedComparator:
    """``comparator``, likewise."""

    def __init__(self, block: Any, unit: str, names: Names, rows: int) -> None:
        ports = arguments(block)
        self.unit, self._names, self._rows = unit, names, rows
        self._command, self._score, self._down = ports["command"], ports["score"], ports["down"]
        self._maximum, self._piece = inside(block, "new_max"), inside(block, "next_piece")

    def observe(self) -> Seen:
        """As Part."""
        names, command = self._names, int(self._command)
        score = (int(self._score), names.of(self._score)) if command == Comparator.UPDATE else None
        held = int(self._maximum), names.of(self._maximum)
        return Seen(self.unit, _COMPARES.get(command, "idle"), _COMMANDS.get(command, ""),
                    {"maximum": held, "score": score})

    def edge(self) -> None:
        """As Part."""
        names, command = self._names, int(self._command)
        score, maximum = names.of(self._score), names.of(self._maximum)
        if command == Comparator.UPDATE:
            names.later(self._down, score and Name("s", score.at))
            names.later(self._maximum, greatest(score, maximum, self._rows))
        elif command == Comparator.PROP_MAX:
            names.later(self._down, maximum and Name("-m", maximum.at))
        elif command == Comparator.PROP_MAX_DIFF:
            names.later(self._down, maximum and Name("d", maximum.at))
        elif command == Comparator.PROP_EXP2_INTERCEPTS:
            names.later(self._down, Name("intercept", (int(self._piece),)))
        elif command == Comparator.PROP_ZERO:
            names.later(self._down, ZERO)
        elif command == Comparator.RESET:
            names.later(self._maximum, None)

"""The names of the published dataflow's values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.convert.blocks import arguments, children, find
from myhdl_fsa.dataflows.fsa.control import PE_BIT, Accumulator, Comparator, Constant
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.dataflows.fsa.sequencer import EDGE_BIT
from myhdl_fsa.isa import Function
from myhdl_fsa.sims.trace import follower
from myhdl_fsa.sims.trace.follower import Part, Seen, Sight
from myhdl_fsa.sims.trace.movers import Delay, FollowedRam, inside
from myhdl_fsa.sims.trace.names import ONE, SCALE, ZERO, Name, Names, Row, accumulated, greatest, scored, weighted
from myhdl_fsa.sims.trace.spans import Spans
from myhdl_fsa.trace.contents import Kind, Unit

__all__ = ["Follower"]

_MAC, _ACC_UI, _UPDATE_REG, _EXP2, _LOAD_LEFT, _LOAD_ABOVE, _RIGHT, _DOWN, _UP = PE_BIT.values()
_ARITHMETIC = _MAC | _UPDATE_REG | _EXP2
_COMPARES = {Comparator.UPDATE: "maximum", Comparator.PROP_MAX: "subtract", Comparator.PROP_MAX_DIFF: "scale",
             Comparator.PROP_EXP2_INTERCEPTS: "exp2", Comparator.PROP_ZERO: "sum"}
_ACCUMULATES = {Accumulator.EXP_S1: "scale", Accumulator.EXP_S2: "exp2", Accumulator.ACC: "normalise",
                Accumulator.SET_SCALE: "reciprocal", Accumulator.RECIPROCAL: "reciprocal"}


class _Pe:
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
        return Seen(self.unit, self._work(bits), values)

    def edge(self) -> None:
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


class _Comparator:
    """``comparator``, likewise."""

    def __init__(self, block: Any, unit: str, names: Names, rows: int) -> None:
        ports = arguments(block)
        self.unit, self._names, self._rows = unit, names, rows
        self._command, self._score, self._down = ports["command"], ports["score"], ports["down"]
        self._maximum, self._piece = inside(block, "new_max"), inside(block, "next_piece")

    def observe(self) -> Seen:
        names, command = self._names, int(self._command)
        score = (int(self._score), names.of(self._score)) if command == Comparator.UPDATE else None
        held = int(self._maximum), names.of(self._maximum)
        return Seen(self.unit, _COMPARES.get(command, "idle"), {"maximum": held, "score": score})

    def edge(self) -> None:
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


class _Accumulator:
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
        for name, (signal, commands) in taken.items():
            values[name] = (int(signal), names.of(signal)) if command in commands else None
        return Seen(self.unit, work, values)

    def edge(self) -> None:
        names, command, factor = self._names, int(self._command), self._names.of(self._factor)
        if command in (Accumulator.EXP_S1, Accumulator.EXP_S2):
            names.later(self._factor, names.of(self._result))
        elif command == Accumulator.SET_SCALE:
            names.later(self._factor, names.of(self._old))
        elif command == Accumulator.RECIPROCAL and self._done:
            names.later(self._factor, factor and Name("1/L", factor.at[:1]))


class Follower(follower.Follower):
    """Of the core of ``dataflows/fsa/core.py``."""

    kinds = {
        "edge": Kind({}, {"value": "elem"}),
        "comparator": Kind({"maximum": "acc"}, {"score": "acc"}),
        "pe": Kind({"register": "elem"}, {"left": "elem", "above": "acc", "below": "acc"}),
        "accumulator": Kind({"factor": "acc"}, {"inflow": "acc", "old": "acc", "result": "acc"}),
    }
    order = ("comparator", "pe", "accumulator")

    def __init__(self, core: Any, config: Config, names: Names, spans: Spans) -> None:
        n = self._n = config.rows
        self._names, self._spans = names, spans
        self._busy = {plan.function: plan.busy_cycles for plan in plans(config)}
        scratchpad, accumulator_ram = (block for block in children(core) if block.func.__name__ == "ram")
        self._scratchpad = FollowedRam(scratchpad, names, n)
        self._accumulator_ram = FollowedRam(accumulator_ram, names, n)
        self._skew, self._edge = arguments(find(core, "input_skew")), arguments(find(core, "left_edge"))
        self._piece, self._zero = inside(find(core, "left_edge"), "piece"), inside(core, "zero")
        self._delay, self._leave = Delay(list(range(n))), Delay([n - 1 - column for column in range(n)])
        self._instruction = arguments(core)["instruction"]
        array = find(core, "systolic")
        rows = [block for block in children(array) if block.func.__name__ == "pe_row"]
        self._lefts = [arguments(row)["left"] for row in rows]
        self._pes = [_Pe(pe, f"pe_{r}_{c}", names, n) for r, row in enumerate(rows)
                     for c, pe in enumerate(children(row))]
        self._bottoms = list(arguments(rows[-1])["down"])
        for signal in arguments(rows[-1])["below"]:
            names.now(signal, ZERO)
        self._comparators = [
            _Comparator(block, f"comparator_{c}", names, n)
            for c, block in enumerate(b for b in children(array) if b.func.__name__ == "comparator")]
        self._accumulators = [_Accumulator(block, f"accumulator_{c}", names)
                              for c, block in enumerate(children(find(core, "accumulator")))]
        self._new_row = arguments(find(core, "accumulator"))["result_row"]
        self.units = (
            *(Unit(f"edge_{r}", "edge", r) for r in range(n)),
            *(Unit(f"comparator_{c}", "comparator", None, c) for c in range(n)),
            *(Unit(pe.unit, "pe", *divmod(place, n)) for place, pe in enumerate(self._pes)),
            *(Unit(f"accumulator_{c}", "accumulator", None, c) for c in range(n)),
        )

    def combine(self) -> None:
        """As Follower."""
        names, n, skew = self._names, self._n, self._skew
        row: Row = names.row(skew["row"], n)
        if skew["use_constant"]:
            row = (names.of(skew["constant"]),) * n
        elif skew["reverse_in"]:
            row = row[::-1]
        delayed = self._delay.enter(row)
        row = delayed if skew["delay"] else row
        for signal, name in zip(self._lefts, row[::-1] if skew["reverse_out"] else row, strict=True):
            names.now(signal, name)
        inflow = self._leave.enter(tuple(names.of(signal) for signal in self._bottoms))
        old: Row = (ZERO,) * n if self._zero else names.row(self._accumulator_ram.ports["read_data"], n)
        names.now(self._new_row, tuple(unit.combine(inflow[c], old[c]) for c, unit in enumerate(self._accumulators)))

    def observe(self) -> Iterator[Seen]:
        """As Follower."""
        for comparator in self._comparators:
            yield comparator.observe()
        for place, pe in enumerate(self._pes):
            seen = pe.observe()
            if place % self._n == 0:
                taken = seen.values["left"]
                yield Seen(f"edge_{place // self._n}", "idle" if taken is None else seen.work, {"value": taken})
            yield seen
        for accumulator in self._accumulators:
            yield accumulator.observe()

    def edge(self) -> None:
        """As Follower."""
        names, edges = self._names, int(self._edge["edges"])
        parts: list[Part] = [*self._pes, *self._comparators, *self._accumulators]
        for part in parts:
            part.edge()
        self._scratchpad.edge()
        self._accumulator_ram.edge()
        if edges >> EDGE_BIT["use_constant"] & 1:
            which = edges >> EDGE_BIT["constant"] & (1 << Constant.WIDTH) - 1
            slope = Name("slope", (int(self._piece),))
            names.later(self._edge["constant"], {Constant.ONE: ONE, Constant.SCALE: SCALE}.get(which, slope))
        if self._instruction.valid and self._instruction.ready:
            function = int(self._instruction.function)
            self._spans.begin(function, 1, self._about(function))
            self._spans.end(function, self._busy[function])

    def _about(self, function: int) -> Name | None:
        """A value of the tile that the instruction reads from the scratchpad; None if it reads none."""
        reads = function in (Function.LOAD_STATIONARY, Function.ATTN_SCORE, Function.ATTN_VALUE)
        return self._scratchpad.first(int(self._instruction.scratchpad_row)) if reads else None

"""The names of the stream dataflow's values."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.convert.blocks import arguments, children, find
from myhdl_fsa.dataflows.stream.control import (
    LATCH_P,
    LATCH_Q,
    Accumulate,
    Capture,
    Compare,
    Lane,
    Left,
    Operation,
    addend_at,
    result_at,
    word_width,
)
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.isa import Function
from myhdl_fsa.sims.monitors.stream import TO_SLOT
from myhdl_fsa.sims.trace import follower
from myhdl_fsa.sims.trace.follower import Part, Seen, Sight
from myhdl_fsa.sims.trace.movers import Delay, FollowedRam, inside
from myhdl_fsa.sims.trace.names import ONE, SCALE, ZERO, Name, Names, Row, accumulated, greatest, scored, weighted
from myhdl_fsa.sims.trace.spans import Spans
from myhdl_fsa.trace.contents import Kind, Unit

__all__ = ["Follower"]

_OPERATION = (1 << Operation.WIDTH) - 1
_LANE = (1 << Lane.WIDTH) - 1
_WORKS = {Operation.QK: "score", Operation.PASS: "subtract", Operation.SUB: "subtract", Operation.SCALE: "scale",
          Operation.EXP: "exp2"}
_KEPT = {Operation.SUB: "X", Operation.SCALE: "z", Operation.EXP: "P"}
_ACCUMULATES = {Accumulate.EXP_S1: "scale", Accumulate.EXP_S2: "exp2", Accumulate.ACC_SUM: "sum",
                Accumulate.ACC_SA: "value", Accumulate.NORM: "normalise"}
_UPDATES = (Compare.UPDATE, Compare.UPDATE_FIRST)
_DIFFERENCES = (Compare.DIFF, Compare.DIFF_FIRST)


class _Pe:
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
        return Seen(self.unit, work, values)

    def edge(self) -> None:
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


class _Top:
    """``column_top`` of dataflows/stream/edge.py."""

    def __init__(self, block: Any, unit: str, names: Names) -> None:
        ports = arguments(block)
        self.unit, self._names = unit, names
        self._control, self._lane, self._above = ports["control"], ports["lane"], ports["above"]
        self._maximum = inside(block, "maximum")

    def combine(self) -> None:
        """What enters the column from above."""
        maximum = self._names.of(self._maximum)
        shows = int(self._control) >> Capture.WIDTH & 1
        self._names.now(self._above, (maximum and Name("-m", maximum.at)) if shows else ZERO)

    def observe(self) -> Seen:
        names, bits = self._names, int(self._control)
        capture, shows = bits & (1 << Capture.WIDTH) - 1, bits >> Capture.WIDTH & 1
        lane = (int(self._lane), names.of(self._lane)) if capture else None
        above = (int(self._above), names.of(self._above)) if shows else None
        held = int(self._maximum), names.of(self._maximum)
        return Seen(self.unit, "maximum" if capture else "subtract" if shows else "idle",
                    {"maximum": held, "above": above, "below": lane})

    def edge(self) -> None:
        lane = self._names.of(self._lane)
        if int(self._control) & (1 << Capture.WIDTH) - 1 == Capture.HIGH:
            self._names.later(self._maximum, lane and Name("m", lane.at))


class _Comparator:
    """``comparator`` of dataflows/stream/edge.py: maximum, buffer, and the bottom of the return lane."""

    def __init__(self, block: Any, unit: str, names: Names, config: Config, slots: int) -> None:
        ports = arguments(block)
        self.unit, self._names, self._rows, self._slots = unit, names, config.rows, slots
        self._command, self._lane, self._score = ports["command"], ports["lane"], ports["score"]
        self._query, self._lift, self._bottom = ports["query"], ports["lift"], ports["bottom"]
        self._running, self._buffer = inside(block, "running"), inside(block, "scores")
        self._write_at, self._wave = inside(block, "write_at"), inside(block, "wave")
        self._maxima, self._read, self._write = (inside(block, name) for name in ("maxima", "read_slot", "write_slot"))
        divided = config.adder_stages > 1
        self._difference = inside(block, "later_difference" if divided else "difference")
        self._later: deque[Name | None] = deque([None] * (config.adder_stages - 1))

    def combine(self) -> Name | None:
        """What goes on to the accumulator."""
        sends = int(self._command) == Compare.SEND
        name = self._names.of(self._difference if sends else self._score)
        self._names.now(self._bottom, name)
        return name

    def observe(self) -> Seen:
        names, command, word = self._names, int(self._command), int(self._lane)
        work = "idle"
        if command in _UPDATES:
            work = "maximum"
        elif command in _DIFFERENCES:
            work = "subtract"
        elif command == Compare.SEND:
            work = "scale"
        elif word & _LANE:
            work = "load" if word & _LANE == Lane.QUERY else "return"
        score = (int(self._score), names.of(self._score)) if command in _UPDATES + _DIFFERENCES else None
        sent = (int(self._bottom), names.of(self._bottom)) if command == Compare.SEND else None
        lift = names.of(self._lift)
        return Seen(self.unit, work, {
            "maximum": (int(self._running), names.of(self._running)), "score": score, "difference": sent,
            "lift": None if lift is None else (int(self._lift), lift)})

    def edge(self) -> None:
        names, command, word = self._names, int(self._command), int(self._lane)
        score, best, finished = names.of(self._score), names.of(self._running), False
        difference = names.of(self._difference)
        if command in _UPDATES:
            best = greatest(score, best, self._rows)
            names.later(self._running, best)
            names.later(self._buffer[int(self._write_at)], score and Name("s", score.at))
            if self._slots > 1 and int(self._wave) == self._rows - 1:
                finished = True
                names.later(self._maxima[int(self._write)], best)
        elif command in _DIFFERENCES:
            difference = score and Name("d", score.at)
        self._later.append(difference)
        names.later(self._difference, self._later.popleft())
        kind = word & _LANE
        lift = None
        if kind in (Lane.MAX_LOW, Lane.MAX_HIGH):
            if self._slots > 1 and not (finished and int(self._read) == int(self._write)):
                best = names.of(self._maxima[int(self._read)])
            lift = best and Name("low m" if kind == Lane.MAX_LOW else "high m", best.at)
        elif kind == Lane.SCORE:
            lift = names.of(self._buffer[word >> Lane.WIDTH])
        elif kind == Lane.QUERY:
            lift = names.of(self._query)
        names.later(self._lift, lift)


class _Accumulator:
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
        return Seen(self.unit, work, values)

    def edge(self) -> None:
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


class Follower(follower.Follower):
    """Of the core of ``dataflows/stream/core.py``."""

    kinds = {
        "edge": Kind({}, {"value": "elem"}),
        "top": Kind({"maximum": "acc"}, {"above": "acc", "below": "lane"}),
        "pe": Kind({"query": "elem", "weight": "elem"}, {"left": "elem", "above": "acc", "below": "lane"}),
        "comparator": Kind({"maximum": "acc"}, {"score": "acc", "difference": "acc", "lift": "lane"}),
        "accumulator": Kind({"factor": "acc", "reciprocal": "acc"}, {"inflow": "acc", "old": "acc", "result": "acc"}),
    }
    order = ("top", "pe", "comparator", "accumulator")

    @classmethod
    def formats(cls, config: Config) -> dict[str, int]:
        """As Follower."""
        return {"lane": word_width(config)}

    def __init__(self, core: Any, config: Config, names: Names, spans: Spans) -> None:
        n, times = config.rows, Times.of(config)
        self._n, self._times, self._names, self._spans = n, times, names, spans
        scratchpad, query_scratchpad, accumulator_ram = (
            block for block in children(core) if block.func.__name__ == "ram")
        self._rams = [FollowedRam(block, names, n) for block in (scratchpad, query_scratchpad, accumulator_ram)]
        self._control = arguments(find(core, "matrix_controller"))["control"]
        self._starts = arguments(find(core, "start_rules"))["starts"]
        self._query_rows = 2 * config.cols
        self._zero = inside(core, "zero")
        self._enter = Delay([times.hop * lane for lane in range(n)])
        self._enter_queries, self._leave = Delay(list(range(n))), Delay([n - 1 - column for column in range(n)])
        array = find(core, "systolic")
        rows = [block for block in children(array) if block.func.__name__ == "pe_row"]
        self._lefts = [arguments(row)["left"] for row in rows]
        self._pes = [_Pe(pe, f"pe_{r}_{c}", names, config) for r, row in enumerate(rows)
                     for c, pe in enumerate(children(row))]
        comparators = [block for block in children(array) if block.func.__name__ == "comparator"]
        self._words = [arguments(block)["query"] for block in comparators]
        self._comparators = [_Comparator(block, f"comparator_{c}", names, config, times.slots)
                             for c, block in enumerate(comparators)]
        self._tops = [_Top(block, f"top_{c}", names)
                      for c, block in enumerate(b for b in children(array) if b.func.__name__ == "column_top")]
        accumulators = find(core, "accumulator")
        self._accumulators = [
            _Accumulator(block, f"accumulator_{c}", names)
            for c, block in enumerate(b for b in children(accumulators) if b.func.__name__ == "accumulator_unit")]
        self._new_row, self._divide = arguments(accumulators)["result_row"], arguments(accumulators)["divide"]
        self._command = arguments(accumulators)["command"]
        self._active = inside(children(accumulators)[0], "active")
        self._scores = self._normalised = 0
        self.units = (
            *(Unit(f"edge_{r}", "edge", r) for r in range(n)), *(Unit(f"top_{c}", "top", None, c) for c in range(n)),
            *(Unit(pe.unit, "pe", *divmod(place, n)) for place, pe in enumerate(self._pes)),
            *(Unit(f"comparator_{c}", "comparator", None, c) for c in range(n)),
            *(Unit(f"accumulator_{c}", "accumulator", None, c) for c in range(n)),
        )

    def combine(self) -> None:
        """As Follower."""
        names, n = self._names, self._n
        keys, queries, results = self._rams
        which = int(self._control.left)
        constant = {Left.ONE: ONE, Left.SCALE: SCALE}.get(which)
        row: Row = names.row(keys.ports["read_data"], n)[::-1] if constant is None else (constant,) * n
        for signal, name in zip(self._lefts, self._enter.enter(row), strict=True):
            names.now(signal, name)
        for signal, name in zip(self._words, self._enter_queries.enter(names.row(queries.ports["read_data"], n)),
                                strict=True):
            names.now(signal, name)
        for top in self._tops:
            top.combine()
        inflow = self._leave.enter(tuple(comparator.combine() for comparator in self._comparators))
        old: Row = (ZERO,) * n if self._zero else names.row(results.ports["read_data"], n)
        names.now(self._new_row, tuple(unit.combine(inflow[c], old[c]) for c, unit in enumerate(self._accumulators)))

    def observe(self) -> Iterator[Seen]:
        """As Follower."""
        for top in self._tops:
            yield top.observe()
        for place, pe in enumerate(self._pes):
            seen = pe.observe()
            if place % self._n == 0:
                taken = seen.values["left"]
                yield Seen(f"edge_{place // self._n}", "idle" if taken is None else seen.work, {"value": taken})
            yield seen
        edge: list[Part] = [*self._comparators, *self._accumulators]
        for part in edge:
            yield part.observe()

    def edge(self) -> None:
        """As Follower."""
        parts: list[Part] = [*self._tops, *self._pes, *self._comparators, *self._accumulators]
        for part in parts:
            part.edge()
        self._follow_instructions()
        for ram in self._rams:
            ram.edge()

    def _follow_instructions(self) -> None:
        spans, times, n = self._spans, self._times, self._n
        if self._starts.load:
            spans.begin(Function.LOAD_STATIONARY, TO_SLOT, self._about(Function.LOAD_STATIONARY))
            spans.end(Function.LOAD_STATIONARY, TO_SLOT + times.ring * (n - 1))
        if self._starts.score:
            spans.begin(Function.ATTN_SCORE, TO_SLOT, self._about(Function.ATTN_SCORE))
            self._scores = n
        if self._starts.value:
            spans.begin(Function.ATTN_VALUE, TO_SLOT, self._about(Function.ATTN_VALUE))
            spans.end(Function.ATTN_VALUE, TO_SLOT + times.lead + times.waves - 1)
        if self._scores and int(self._control.pe) & _OPERATION == Operation.QK:
            self._scores -= 1
            spans.end(Function.ATTN_SCORE, 0)
        if self._divide and not self._active:
            spans.begin(Function.ACC_RECIPROCAL, 0)
            spans.end(Function.ACC_RECIPROCAL, times.reciprocal)
        if int(self._command) == Accumulate.NORM:
            if self._normalised % n == 0:
                spans.begin(Function.ATTN_LSE_NORM, 0)
            self._normalised += 1
            spans.end(Function.ATTN_LSE_NORM, 0)

    def _about(self, function: Function) -> Name | None:
        """A value of the tile that the instruction reads from the scratchpad."""
        instruction = self._spans.next_of(function)
        if instruction is None:
            return None
        keys, queries, _ = self._rams
        row = instruction.scratchpad_row
        return queries.first(row) if row < self._query_rows else keys.first(row - self._query_rows)

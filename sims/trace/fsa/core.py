"""The names of the published dataflow's values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.convert.blocks import arguments, children, find
from myhdl_fsa.dataflows.fsa.control import Constant
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.dataflows.fsa.sequencer import EDGE_BIT
from myhdl_fsa.isa import Function
from myhdl_fsa.sims.trace import follower
from myhdl_fsa.sims.trace.follower import Part, Seen, with_edges
from myhdl_fsa.sims.trace.fsa.accumulator import FollowedAccumulator
from myhdl_fsa.sims.trace.fsa.array import FollowedComparator, FollowedPe
from myhdl_fsa.sims.trace.movers import Delay, FollowedRam, inside
from myhdl_fsa.sims.trace.names import ONE, SCALE, ZERO, Name, Names, Row
from myhdl_fsa.sims.trace.spans import Spans
from myhdl_fsa.trace.contents import Kind, Unit

__all__ = ["Follower"]

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
        self._pes = [FollowedPe(pe, f"pe_{r}_{c}", names, n) for r, row in enumerate(rows)
                     for c, pe in enumerate(children(row))]
        self._bottoms = list(arguments(rows[-1])["down"])
        for signal in arguments(rows[-1])["below"]:
            names.now(signal, ZERO)
        self._comparators = [
            FollowedComparator(block, f"comparator_{c}", names, n)
            for c, block in enumerate(b for b in children(array) if b.func.__name__ == "comparator")]
        self._accumulators = [FollowedAccumulator(block, f"accumulator_{c}", names)
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
        yield from with_edges(self._pes, self._n)
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

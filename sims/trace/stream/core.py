"""The names of the stream dataflow's values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.convert.blocks import arguments, children, find
from myhdl_fsa.dataflows.stream.control import Accumulate, Left, Operation, word_width
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.isa import Function
from myhdl_fsa.sims.monitors.stream import TO_SLOT
from myhdl_fsa.sims.trace import follower
from myhdl_fsa.sims.trace.follower import Part, Seen, with_edges
from myhdl_fsa.sims.trace.movers import Delay, FollowedRam, inside
from myhdl_fsa.sims.trace.names import ONE, SCALE, ZERO, Name, Names, Row
from myhdl_fsa.sims.trace.spans import Spans
from myhdl_fsa.sims.trace.stream.accumulator import FollowedAccumulator
from myhdl_fsa.sims.trace.stream.edge import FollowedComparator, FollowedTop
from myhdl_fsa.sims.trace.stream.pe import FollowedPe
from myhdl_fsa.trace.contents import Kind, Unit

__all__ = ["Follower"]

_OPERATION = (1 << Operation.WIDTH) - 1


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
        self._pes = [FollowedPe(pe, f"pe_{r}_{c}", names, config) for r, row in enumerate(rows)
                     for c, pe in enumerate(children(row))]
        comparators = [block for block in children(array) if block.func.__name__ == "comparator"]
        self._words = [arguments(block)["query"] for block in comparators]
        self._comparators = [FollowedComparator(block, f"comparator_{c}", names, config, times.slots)
                             for c, block in enumerate(comparators)]
        self._tops = [FollowedTop(block, f"top_{c}", names)
                      for c, block in enumerate(b for b in children(array) if b.func.__name__ == "column_top")]
        accumulators = find(core, "accumulator")
        self._accumulators = [
            FollowedAccumulator(block, f"accumulator_{c}", names)
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
        yield from with_edges(self._pes, self._n)
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

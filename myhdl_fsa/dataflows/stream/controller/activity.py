"""Whether the core has anything to do."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.dataflows.stream.controller.words import counter
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import always, always_comb, block

__all__ = ["activity"]


@block
def activity(
    clock: Any, reset: Any, starts: Any, lane: Any, value_state: Any, score_state: Any, accumulators: Any, queued: Any,
    sending: Any, busy: Any, moving: Any, times: Times,
) -> Any:
    """A slot is under way until its results are written.

    Ports
        starts        in     ``Starts``
        lane          in     ``LaneState``
        value_state   in     ``ValueState``
        score_state   in     ``ScoreState``
        accumulators  in     ``AccumulatorState``
        queued        in  3  words in the array's queue
        sending       in  1  a release is due
        busy          out 1  something is queued or under way
        moving        out 1  something is under way

    From the cycle after a start; a word that is queued makes busy at once. Source: docs/stream.md, Order.
    """
    cycles = times.to_accumulator + times.latency + 1
    drain = counter(cycles)

    @always(clock.posedge)
    def follow() -> None:
        lasting = int(drain)
        if lasting != 0:
            lasting = lasting - 1
        if starts.load or starts.score or starts.value or lane.under_way or value_state.under_way:
            lasting = cycles
        if accumulators.under_way or not score_state.idle:
            lasting = cycles
        drain.next = lasting
        if reset:
            drain.next = 0

    @always_comb
    def tell() -> None:
        under_way = drain != 0 or sending
        moving.next = under_way
        busy.next = under_way or queued != 0 or accumulators.tailed != 0

    return follow, tell

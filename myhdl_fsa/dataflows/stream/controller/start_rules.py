"""When the array's next instruction may start."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.controller.words import TAG_WIDTH, counter
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.isa import Function
from myhdl_fsa.signals import unsigned

__all__ = ["Starts", "start_rules"]


class Starts:
    """The instruction at the head of the array's queue starts in this cycle; at most one is 1. Combinational."""

    def __init__(self) -> None:
        self.load = unsigned(1)
        self.score = unsigned(1)
        self.value = unsigned(1)


@block
def start_rules(
    clock: Any, reset: Any, head: Any, following: Any, queued: Any, lane: Any, value_state: Any, score_state: Any,
    tiles: Any, accumulators: Any, accumulator_head: Any, starts: Any, starved: Any, config: Config, times: Times,
) -> Any:
    """Starts what can run to its end: an instruction waits before it starts, and never after.

    Ports
        head              in     ``Word`` of ``array_word``
        following         in  3  the function of the one behind it
        queued            in  3  words in the array's queue
        lane              in     ``LaneState``
        value_state       in     ``ValueState``
        score_state       in     ``ScoreState``
        tiles             in     ``ScoreTiles``
        accumulators      in     ``AccumulatorState``
        accumulator_head  in     ``Word`` of ``accumulator_word``
        starts            out    ``Starts``
        starved           out 1  an instruction could start, and there is none

    In the same cycle. Source: docs/stream.md, and ``Times``.
    """
    ring, last_phase = times.ring, times.ring - 1
    # a LOAD_STATIONARY is issued a cycle after its ATTN_SCORE at the earliest, on the same phase a turn after it
    load_after = times.load_after or ring
    start_phase, slots = (1 - load_after) % ring, times.slots
    load, score, value = Function.LOAD_STATIONARY, Function.ATTN_SCORE, Function.ATTN_VALUE
    newton = int(config.reciprocal == "newton")
    tag_mask, tag_half = (1 << TAG_WIDTH) - 1, 1 << (TAG_WIDTH - 1)
    age, phase, seen, load_fits = counter(max(2, load_after)), unsigned(2), unsigned(1), unsigned(1, 1)

    @always(clock.posedge)
    def follow_score() -> None:
        since = int(age)
        turn = int(phase) + 1
        behind = int(seen)
        if since < load_after:
            since = since + 1
        if phase == last_phase:
            turn = 0
        if starts.score:
            since = 1
            turn = start_phase
            behind = 1
        if reset:
            since = 0
            turn = 0
            behind = 0
        age.next = since
        phase.next = turn
        seen.next = behind != 0
        # behind the waves of the score before it, on the phase that no ATTN_VALUE will want
        load_fits.next = behind == 0 or (since >= load_after and turn == 0)

    @always_comb
    def starve() -> None:
        # an ATTN_VALUE without the partner that it announces is none to start yet
        alone = queued == 1 and head.function == value and head.causal
        starved.next = (queued == 0 or alone) and value_state.rested and score_state.idle

    @always_comb
    def choose() -> None:
        begin_load = 0
        begin_score = 0
        begin_value = 0
        if queued != 0:
            code = int(head.function)
            if code == load:
                if not lane.taken and not lane.latching and load_fits:
                    begin_load = 1
            if code == score:
                # its Q latched, a place in the edge buffers, and slots before the SUM of an ATTN_VALUE under way
                held = int(tiles.held)
                if value_state.frees:
                    held = held - 1
                if score_state.idle and not lane.latching and held < slots and value_state.score_fits:
                    begin_score = 1
            if code == value:
                ready = 0
                if tiles.ready and not lane.taken and value_state.rested:
                    ready = 1
                # the partner, ``Times.lambda_`` cycles later
                if queued > 1 and following == score:
                    if score_state.late or lane.late:
                        ready = 0
                elif queued < 2 and head.causal:
                    ready = 0
                if accumulators.tailed != 0:
                    behind = (int(value_state.started) - int(accumulator_head.tag)) & tag_mask
                    # one row sum register, one reciprocal: those of two query tiles ago must be through
                    if tiles.first and behind != 0 and behind < tag_half:
                        ready = 0
                    if newton:
                        # the reciprocal has the accumulators for itself
                        if behind == 0 and not accumulator_head.norm:
                            ready = 0
                if newton:
                    if accumulators.late:
                        ready = 0
                begin_value = ready
        starts.load.next = begin_load
        starts.score.next = begin_score
        starts.value.next = begin_value

    return follow_score, starve, choose

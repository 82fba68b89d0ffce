"""The matrix controller of the stream dataflow, wired up.

    instruction -> instruction_queue --head--> start_rules --starts--> lane_ring ----------------+
        |                                       ^ (the states of all)  value_player -wave-+      |
        |                                       |                         ^  |            v      v
        |                                       +-------- score_tiles ----+  |   score_player -> slot_stages -> control
        |                                                                    v
        +-------------------------------------------------------> accumulator_queue -> control
    all players -> releases -> release;   all states -> activity -> busy
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.controller.accumulator_queue import AccumulatorState, accumulator_queue
from myhdl_fsa.dataflows.stream.controller.activity import activity
from myhdl_fsa.dataflows.stream.controller.instruction_queue import instruction_queue
from myhdl_fsa.dataflows.stream.controller.lane_ring import LaneState, lane_ring
from myhdl_fsa.dataflows.stream.controller.releases import releases
from myhdl_fsa.dataflows.stream.controller.score_player import ScoreState, score_player
from myhdl_fsa.dataflows.stream.controller.score_tiles import ScoreTiles, score_tiles
from myhdl_fsa.dataflows.stream.controller.slot_stages import Slot, slot_stages
from myhdl_fsa.dataflows.stream.controller.start_rules import Starts, start_rules
from myhdl_fsa.dataflows.stream.controller.value_player import ValueState, ValueWave, value_player
from myhdl_fsa.dataflows.stream.controller.words import (
    QUEUE_DEPTH,
    TAG_WIDTH,
    Ended,
    Word,
    accumulator_word,
    array_word,
)
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import block
from myhdl_fsa.signals import unsigned

__all__ = ["matrix_controller"]


@block
def matrix_controller(
    clock: Any, reset: Any, instruction: Any, control: Any, release: Any, busy: Any, config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """Accepts instructions, starts them by the rules, and writes one slot word a cycle.

    Ports
        instruction  in    ``MatrixInstruction``; its ``ready`` says whether its queue has room (an instruction for the
                           array that waits for idle must find the machine idle), ``starved`` whether the array could
                           start one and has none, ``moving`` whether anything is under way
        control      out   ``SlotControl``
        release      out   ``SemaphoreRelease``
        busy         out   1

    The causal flag of an ATTN_VALUE, which has no use of its own, says that an ATTN_SCORE follows and is its partner:
    it then waits for it even if it has not come yet. Two cycles from acceptance to the first scratchpad read.
    """
    times = Times.of(config)
    head, accumulator_head = Word(array_word(config)), Word(accumulator_word(config))
    following, queued, accepted = unsigned(3), unsigned(QUEUE_DEPTH.bit_length()), unsigned(TAG_WIDTH)
    starts, lane, value, score = Starts(), LaneState(), ValueState(), ScoreState()
    tiles, accumulators = ScoreTiles(config), AccumulatorState()
    wave, slot = ValueWave(config), Slot(config, times)
    of_score, of_value, of_load, of_norm, of_reciprocal = (Ended() for _ in range(5))
    sending = unsigned(1)

    queue = instruction_queue(
        clock, reset, instruction, starts, accumulators.tailed, busy, head, following, queued, accepted, config
    )
    rules = start_rules(
        clock, reset, head, following, queued, lane, value, score, tiles, accumulators, accumulator_head, starts,
        instruction.starved, config, times,
    )
    ring = lane_ring(
        clock, reset, starts, head, slot, control.query_read, control.query_row, lane, of_load, config, times
    )
    values = value_player(clock, reset, starts.value, head, tiles, wave, slot.latch_p, value, of_value, config, times)
    scores = score_player(
        clock, reset, starts.score, head, wave, slot, control.row_read, control.row, score, of_score, config, times
    )
    buffers = score_tiles(clock, reset, starts, head, value.frees, of_score.due, tiles, config, times)
    accumulator_waves = accumulator_queue(
        clock, reset, instruction, accepted, starts.value, value, wave, accumulator_head, accumulators, control,
        of_norm, of_reciprocal, config, times,
    )
    arbiter = releases(clock, reset, of_score, of_value, of_load, of_norm, of_reciprocal, release, sending)
    idle = activity(
        clock, reset, starts, lane, value, score, accumulators, queued, sending, busy, instruction.moving, times
    )
    stages = slot_stages(clock, reset, slot, control, config, times)

    if probe is not None:
        probe.update(control=control, start_load=starts.load, start_score=starts.score, start_value=starts.value,
                     queued=queued, tailed=accumulators.tailed, tiles=tiles.held, waiting=tiles.waiting)
    return queue, rules, ring, values, scores, buffers, accumulator_waves, arbiter, idle, stages

"""The matrix controller: when an instruction may start, and the players of the timetable.

Two queues, each in order: the array's (LOAD_STATIONARY, ATTN_SCORE, ATTN_VALUE) and the accumulators' (ACC_RECIPROCAL,
ATTN_LSE_NORM; each remembers which ATTN_VALUE it follows). The machine waits only before an instruction starts; one
that has started never waits. An ATTN_VALUE with an ATTN_SCORE behind it starts only when both can, the score
``Times.lambda_`` cycles later. Source: docs/stream.md.

    words              the words of the queues, and what is released
    instruction_queue  the array's queue, and when an instruction is accepted
    start_rules        when the next one may start
    lane_ring          LOAD_STATIONARY, and the words on the return lane
    value_player       ATTN_VALUE
    score_player       ATTN_SCORE, in the slots that it leaves
    score_tiles        the tiles of scores in the edge buffers
    accumulator_queue  ACC_RECIPROCAL and ATTN_LSE_NORM
    releases           one a cycle
    activity           busy, moving
    slot_stages        what the controller sends
    controller         all together
"""

from myhdl_fsa.dataflows.stream.controller.controller import matrix_controller
from myhdl_fsa.dataflows.stream.controller.slot_stages import SlotControl
from myhdl_fsa.dataflows.stream.controller.words import QUEUE_DEPTH, TAG_WIDTH

__all__ = ["QUEUE_DEPTH", "SlotControl", "TAG_WIDTH", "matrix_controller"]

"""ATTN_SCORE's player: its waves take the slots that an ATTN_VALUE leaves."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import Compare, Left, Operation
from myhdl_fsa.dataflows.stream.controller.words import RELEASE, counter
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.instruction import hidden_width
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["ScoreState", "score_player"]


class ScoreState:
    """What the start rules know of the ATTN_SCORE under way. Registers."""

    def __init__(self) -> None:
        self.idle = unsigned(1, 1)
        """none is"""
        self.late = unsigned(1)
        """its waves are over too late for the ATTN_SCORE beside an ATTN_VALUE that starts now"""


@block
def score_player(
    clock: Any, reset: Any, start: Any, head: Any, wave: Any, slot: Any, row_read: Any, row: Any, state: Any,
    ended: Any, config: Config, times: Times,
) -> Any:
    """Fills each slot: with the wave of an ATTN_VALUE, and where there is none with the next of the ATTN_SCORE.

    Ports
        start     in  1  an ATTN_SCORE starts
        head      in     ``Word`` of ``array_word``, that ATTN_SCORE
        wave      in     ``ValueWave``
        slot      out    ``Slot``: its ``operation``, ``left``, ``compare`` and ``hidden``
        row_read  out 1  a row of the K/V scratchpad enters with the slot
        row       out    its address
        state     out    ``ScoreState``
        ended     out    ``Ended``

    All is a register behind the slot of ``wave``, which a start's first wave may already take. Source:
    ``timetable.attention_score``.
    """
    n = times.rows
    # waves that still fit before the follower starts, with an ATTN_VALUE's among them
    most_left = min(n - 1, max(0, times.lambda_ - 3 - times.pass_waves))
    width = address_width(config.scratchpad_rows)
    row_mask = (1 << width) - 1
    qk, from_row, update, update_first = Operation.QK, Left.ROW, Compare.UPDATE, Compare.UPDATE_FIRST
    waves_left, key_row, key_stride = counter(n), unsigned(width), unsigned(width)
    first, causal, releases = unsigned(1), unsigned(1), unsigned(RELEASE.width)
    hidden_keys = unsigned(hidden_width(config))

    @always(clock.posedge)
    def play() -> None:
        waves = int(waves_left)
        keys = int(key_row)
        stride = int(key_stride)
        is_first = int(first)
        hides = int(causal)
        past = int(hidden_keys)
        operation = int(wave.operation)
        enters = int(wave.left)
        compare = int(wave.compare)
        reads = int(wave.row)
        hidden = 0
        over = 0
        if start:
            waves = n
            keys = int(head.row)
            stride = int(head.stride)
            is_first = int(head.zero)
            hides = int(head.causal)
            past = int(head.hidden)
            key_stride.next = head.stride
            first.next = head.zero
            causal.next = head.causal
            hidden_keys.next = head.hidden
            releases.next = head.releases
        if waves != 0 and operation == 0:
            operation = qk
            enters = from_row
            reads = keys
            compare = update
            if is_first != 0 and waves == n:
                compare = update_first
            # a countdown from the number of columns hides the key from all of them
            if waves + past > n:
                hidden = n
            elif hides != 0:
                hidden = waves - 1
            keys = (keys + stride) & row_mask
            waves = waves - 1
            if waves == 0:
                over = 1
                ended.releases.next = releases
        waves_left.next = waves
        key_row.next = keys
        state.idle.next = waves == 0
        state.late.next = waves > most_left
        ended.due.next = over
        slot.operation.next = operation
        slot.left.next = enters
        slot.compare.next = compare
        slot.hidden.next = hidden
        row_read.next = enters == from_row
        row.next = reads
        if reset:
            waves_left.next = 0
            state.idle.next = 1
            state.late.next = 0
            ended.due.next = 0
            slot.operation.next = 0
            slot.compare.next = 0
            row_read.next = 0

    return play

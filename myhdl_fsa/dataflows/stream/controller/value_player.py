"""ATTN_VALUE's player: the cycles until its waves begin, then a word of the timetable's memory a slot."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import Accumulate, Compare, Left, Operation
from myhdl_fsa.dataflows.stream.controller.words import RELEASE, TAG_WIDTH, counter
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.dataflows.stream.timetable import WAVE_BIT, before_waves, wave_memory
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["ValueState", "ValueWave", "value_player"]


class ValueWave:
    """An ATTN_VALUE's wave in this slot; 0 where it leaves the slot. Registers."""

    def __init__(self, config: Config) -> None:
        self.operation = unsigned(Operation.WIDTH)
        self.left = unsigned(Left.WIDTH)
        self.row = unsigned(address_width(config.scratchpad_rows))
        """of the scratchpad, if it enters from the left"""
        self.compare = unsigned(Compare.WIDTH)
        self.accumulate = unsigned(Accumulate.WIDTH)
        self.accumulator_row = unsigned(address_width(config.accumulator_rows))
        self.zero = unsigned(1)
        """the old value of the row is +0"""


class ValueState:
    """What the others know of ATTN_VALUEs. Registers."""

    def __init__(self) -> None:
        self.rested = unsigned(1, 1)
        """the last one started ``Times.period`` cycles ago"""
        self.leading = unsigned(1)
        """the waves of one have not begun"""
        self.under_way = unsigned(1)
        self.frees = unsigned(1)
        """the place of its tile in the edge buffers, as far as an ATTN_SCORE that starts now is concerned"""
        self.score_fits = unsigned(1, 1)
        """an ATTN_SCORE that starts now has slots before the SUM of the one under way"""
        # counts of ATTN_VALUEs
        self.started = unsigned(TAG_WIDTH)
        self.summed = unsigned(TAG_WIDTH)
        """whose row sums the divider may take"""
        self.valued = unsigned(TAG_WIDTH)
        """whose rows of O^T are all on their way"""


@block
def value_player(
    clock: Any, reset: Any, start: Any, head: Any, tiles: Any, wave: Any, latch_p: Any, state: Any, ended: Any,
    config: Config, times: Times,
) -> Any:
    """Plays ``timetable.wave_memory``, ``Times.lead`` cycles after each start.

    Ports
        start    in  1  an ATTN_VALUE starts
        head     in     ``Word`` of ``array_word``, that ATTN_VALUE
        tiles    in     ``ScoreTiles``: of its tile
        wave     out    ``ValueWave``
        latch_p  out 1  of ``Slot``, a register behind ``wave``
        state    out    ``ValueState``
        ended    out    ``Ended``

    The one that leads keeps its fields beside those of the one that plays. Source: ``timetable.attention_value``.
    """
    lead, sigma, period, passes = times.lead, times.sigma, times.period, times.pass_waves
    waves, pass_on = wave_memory(times), before_waves(times).operation
    scratchpad, accumulator = address_width(config.scratchpad_rows), address_width(config.accumulator_rows)
    row_mask, accumulator_mask, tag_mask = (1 << scratchpad) - 1, (1 << accumulator) - 1, (1 << TAG_WIDTH) - 1
    operation_mask, left_mask = (1 << Operation.WIDTH) - 1, (1 << Left.WIDTH) - 1
    compare_mask, accumulate_mask = (1 << Compare.WIDTH) - 1, (1 << Accumulate.WIDTH) - 1
    left_at, compare_at, accumulate_at = WAVE_BIT["left"], WAVE_BIT["compare"], WAVE_BIT["accumulate"]
    summed_at, valued_at, release_at, last_at = (WAVE_BIT[name] for name in ("summed", "valued", "release", "last"))
    from_row, diff, diff_first = Left.ROW, Compare.DIFF, Compare.DIFF_FIRST
    acc_sum, acc_sa = Accumulate.ACC_SUM, Accumulate.ACC_SA
    frees_in_lead = int(sigma > 0)

    since_value, lead_left = unsigned(max(2, period.bit_length()), period), counter(lead)
    playing, index = unsigned(1), counter(len(waves))
    settles, settled = times.settles, unsigned(1)
    summed_now, valued_now, releases_now, last_now = (unsigned(1) for _ in range(4))
    # of the one that leads
    lead_row, lead_stride, lead_out, lead_out_stride, lead_sums = (
        unsigned(width) for width in (scratchpad, scratchpad, accumulator, accumulator, accumulator))
    lead_zero, lead_first, lead_releases = unsigned(1), unsigned(1), unsigned(RELEASE.width)
    # of the one that plays
    stride, out_row, out_stride, sums_row = unsigned(scratchpad), *(unsigned(accumulator) for _ in range(3))
    zero, first, releases = unsigned(1), unsigned(1), unsigned(RELEASE.width)

    @always(clock.posedge)
    def play() -> None:
        # what this slot leaves behind
        remaining = int(lead_left)
        plays = int(playing)
        number = int(index)
        row = int(wave.row)
        out = int(out_row)
        sums = int(sums_row)
        old_zero = int(zero)
        is_first = int(first)
        valued = 0
        if plays != 0:
            number = number + 1
            if wave.left == from_row:
                row = (row + int(stride)) & row_mask
            if wave.accumulate == acc_sa:
                out = (out + int(out_stride)) & accumulator_mask
            if last_now:
                plays = 0
            if summed_now:
                state.summed.next = (int(state.summed) + 1) & tag_mask
            if valued_now:
                valued = 1
            if releases_now:
                ended.releases.next = releases
        if settles:
            settled.next = valued
            valued = int(settled)
        if valued != 0:
            state.valued.next = (int(state.valued) + 1) & tag_mask
        ended.due.next = releases_now
        latch_p.next = remaining == 1
        if remaining == 1:
            # the last wave of the one before may be in this very slot
            plays = 1
            number = 0
            row = int(lead_row)
            stride.next = lead_stride
            out = int(lead_out)
            out_stride.next = lead_out_stride
            sums = int(lead_sums)
            old_zero = int(lead_zero)
            is_first = int(lead_first)
            releases.next = lead_releases
        if remaining != 0:
            remaining = remaining - 1
        since = int(since_value)
        if since != period:
            since = since + 1
        if start:
            remaining = lead - 1
            since = 1
            lead_row.next = head.row
            lead_stride.next = head.stride
            lead_out.next = head.accumulator_row
            lead_out_stride.next = head.accumulator_stride
            lead_zero.next = head.zero
            lead_releases.next = head.releases
            lead_first.next = tiles.first
            lead_sums.next = tiles.sums_row
            state.started.next = (int(state.started) + 1) & tag_mask
        if reset:
            remaining = 0
            plays = 0
            number = 0
            since = period
            state.started.next = 0
            state.summed.next = 0
            state.valued.next = 0
            if settles:
                settled.next = 0
            ended.due.next = 0
            latch_p.next = 0
        lead_left.next = remaining
        since_value.next = since
        playing.next = plays != 0
        index.next = number
        out_row.next = out
        sums_row.next = sums
        zero.next = old_zero
        first.next = is_first

        # the wave of the next slot
        word = 0
        if plays != 0:
            word = waves[number]
        operation = word & operation_mask
        compare = (word >> compare_at) & compare_mask
        accumulates = (word >> accumulate_at) & accumulate_mask
        if passes:
            if remaining == 1:
                operation = pass_on
        if compare == diff and is_first != 0:
            compare = diff_first
        if accumulates == acc_sum:
            old_zero = is_first
            out = sums
        wave.operation.next = operation
        wave.left.next = (word >> left_at) & left_mask
        wave.row.next = row
        wave.compare.next = compare
        wave.accumulate.next = accumulates
        wave.accumulator_row.next = out
        wave.zero.next = old_zero != 0
        summed_now.next = (word >> summed_at) & 1
        valued_now.next = (word >> valued_at) & 1
        releases_now.next = (word >> release_at) & 1
        last_now.next = (word >> last_at) & 1
        state.rested.next = since == period
        state.leading.next = remaining != 0
        state.under_way.next = remaining != 0 or plays != 0
        if frees_in_lead:
            state.frees.next = remaining == sigma
            state.score_fits.next = (remaining == 0 or remaining >= sigma) and plays == 0
        else:
            state.frees.next = plays != 0 and number == 0
            state.score_fits.next = plays == 0 or number == 0

    return play

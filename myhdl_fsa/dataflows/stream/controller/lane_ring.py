"""The return lane: LOAD_STATIONARY's player, and the words that an ATTN_VALUE sends."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import Lane
from myhdl_fsa.dataflows.stream.controller.words import RELEASE, counter
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["LaneState", "lane_ring"]


class LaneState:
    """What the start rules know of the lane. Registers."""

    def __init__(self) -> None:
        self.taken = unsigned(1)
        """a stream sends a word in this cycle"""
        self.latching = unsigned(1)
        """a Q is on its way to its latch"""
        self.late = unsigned(1)
        """and comes too late for the ATTN_SCORE beside an ATTN_VALUE that starts now"""
        self.under_way = unsigned(1)


@block
def lane_ring(
    clock: Any, reset: Any, starts: Any, head: Any, slot: Any, query_read: Any, query_row: Any, state: Any, ended: Any,
    config: Config, times: Times,
) -> Any:
    """A stream on each of the lane's ``Times.ring`` phases, which sends a word a turn; two streams may overlap.

    Ports
        starts      in     ``Starts``: ``load`` and ``value`` begin a stream on the phase of that cycle
        head        in     ``Word`` of ``array_word``
        slot        out    ``Slot``: its ``lane`` and ``latch_q``
        query_read  out 1  the row of the Q scratchpad that is sent with the slot
        query_row   out    its address
        state       out    ``LaneState``
        ended       out    ``Ended``, of LOAD_STATIONARY

    The first word is in ``slot`` in the cycle after the start; Q is latched ``Times.rows`` slots behind it. Source:
    ``timetable.load_stationary`` and the lane's words of ``timetable.attention_value``.
    """
    n, partner, last_phase, last_tile = times.rows, times.lambda_, times.ring - 1, times.slots - 1
    value_words, row_width = n + 2, address_width(config.scratchpad_rows)
    # of a tile's words in the edge buffers
    ends_of_tiles = tuple((tile + 1) * n for tile in range(times.slots))
    row_mask = (1 << row_width) - 1
    max_low, max_high, score_word, query_word, word_at = Lane.MAX_LOW, Lane.MAX_HIGH, Lane.SCORE, Lane.QUERY, Lane.WIDTH
    # from the phase of this cycle on: 1 an ATTN_VALUE's stream, 2 a LOAD_STATIONARY's, and the words left of it
    places = range(times.ring)
    streams, words_left = [unsigned(2) for _ in places], [counter(value_words) for _ in places]
    # where they are: rows of the Q scratchpad, or the tile in the edge buffers
    rows, strides = ([unsigned(row_width) for _ in places] for _ in range(2))
    load_releases, tiles_sent = [unsigned(RELEASE.width) for _ in places], [unsigned(2) for _ in places]
    next_tile, latch_wait = unsigned(2), counter(max(n, partner + 1))

    @always(clock.posedge)
    def turn() -> None:
        stream = int(streams[0])
        words = int(words_left[0])
        row = int(rows[0])
        stride = int(strides[0])
        releases = int(load_releases[0])
        tile = int(tiles_sent[0])
        word = 0
        over = 0
        if starts.load:
            stream = 2
            words = n
            row = int(head.row)
            stride = int(head.stride)
            releases = int(head.releases)
        elif starts.value:
            stream = 1
            words = value_words
            tile = int(next_tile)
            if next_tile == last_tile:
                next_tile.next = 0
            else:
                next_tile.next = next_tile + 1
        if stream == 1:
            if words == value_words:
                word = max_low
            elif words > n:
                word = max_high
            else:
                end_of_tile = ends_of_tiles[tile]
                word = score_word | ((end_of_tile - words) << word_at)
        if stream == 2:
            word = query_word
            query_row.next = row
            row = (row + stride) & row_mask
            if words == 1:
                over = 1
                ended.releases.next = releases
        query_read.next = stream == 2
        slot.lane.next = word
        ended.due.next = over
        if stream != 0:
            words = words - 1
            if words == 0:
                stream = 0
        for place in range(last_phase):
            streams[place].next = streams[place + 1]
            words_left[place].next = words_left[place + 1]
            rows[place].next = rows[place + 1]
            strides[place].next = strides[place + 1]
            load_releases[place].next = load_releases[place + 1]
            tiles_sent[place].next = tiles_sent[place + 1]
        streams[last_phase].next = stream
        words_left[last_phase].next = words
        rows[last_phase].next = row
        strides[last_phase].next = stride
        load_releases[last_phase].next = releases
        tiles_sent[last_phase].next = tile

        latching = int(latch_wait)
        slot.latch_q.next = latching == 1
        if latching != 0:
            latching = latching - 1
        if starts.load:
            latching = n
        latch_wait.next = latching
        state.taken.next = streams[1] != 0
        state.latching.next = latching != 0
        state.late.next = latching > partner
        state.under_way.next = streams[1] != 0 or latching != 0
        if reset:
            for place in range(last_phase + 1):
                streams[place].next = 0
            next_tile.next = 0
            latch_wait.next = 0
            slot.lane.next = 0
            slot.latch_q.next = 0
            query_read.next = 0
            ended.due.next = 0
            state.taken.next = 0
            state.latching.next = 0
            state.late.next = 0
            state.under_way.next = 0

    return turn

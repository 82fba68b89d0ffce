"""The tiles of scores in the edge buffers, and which of them an ATTN_VALUE can take."""

from __future__ import annotations

from typing import Any

from myhdl import concat

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["ScoreTiles", "score_tiles"]


class ScoreTiles:
    """The tiles of scores. Registers."""

    def __init__(self, config: Config) -> None:
        self.held = unsigned(2)
        """that have a place in the edge buffers"""
        self.waiting = unsigned(2)
        """that no ATTN_VALUE has taken"""
        self.ready = unsigned(1)
        """the oldest of those has come to the edge buffers"""
        self.first = unsigned(1)
        """the oldest is its query's first"""
        self.sums_row = unsigned(address_width(config.accumulator_rows))
        """where the row sums of the oldest are added up"""


@block
def score_tiles(
    clock: Any, reset: Any, starts: Any, head: Any, frees: Any, finished: Any, tiles: Any, config: Config, times: Times,
) -> Any:
    """Counts the tiles from the start of their ATTN_SCORE, and remembers what their ATTN_VALUE needs to know of them.

    Ports
        starts    in     ``Starts``: ``score`` adds a tile, ``value`` takes the oldest
        head      in     ``Word`` of ``array_word``
        frees     in  1  of ``ValueState``
        finished  in  1  the last wave of an ATTN_SCORE was in the slot before
        tiles     out    ``ScoreTiles``

    A tile is in the buffers ``Times.to_comparator`` cycles after its last wave. Source: docs/stream.md.
    """
    last_tile = times.slots - 1
    # the oldest first
    firsts = [unsigned(1) for _ in range(times.slots)]
    sums = [unsigned(address_width(config.accumulator_rows)) for _ in range(times.slots)]
    # a last wave on its way; a register of one bit would be a bool
    falling, lowest = unsigned(max(2, times.to_comparator - 1)), times.to_comparator - 2
    top = len(falling) - 1
    complete = unsigned(2)

    @always(clock.posedge)
    def count() -> None:
        falling.next = concat(falling[top:], finished)
        held = int(tiles.held)
        pending = int(tiles.waiting)
        whole = int(complete)
        if frees:
            held = held - 1
        if falling[lowest]:
            whole = whole + 1
        if starts.value:
            for place in range(last_tile):
                firsts[place].next = firsts[place + 1]
                sums[place].next = sums[place + 1]
            pending = pending - 1
            whole = whole - 1
        if starts.score:
            held = held + 1
            firsts[pending].next = head.zero
            sums[pending].next = head.accumulator_row
            pending = pending + 1
        tiles.held.next = held
        tiles.waiting.next = pending
        complete.next = whole
        if lowest:
            tiles.ready.next = whole != 0 or falling[lowest - 1]
        else:
            tiles.ready.next = whole != 0 or finished
        if reset:
            falling.next = 0
            tiles.held.next = 0
            tiles.waiting.next = 0
            complete.next = 0
            tiles.ready.next = 0

    @always_comb
    def oldest() -> None:
        tiles.first.next = firsts[0]
        tiles.sums_row.next = sums[0]

    return count, oldest

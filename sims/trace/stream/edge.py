"""The two ends of a column of the stream dataflow as their names are followed."""

from __future__ import annotations

from collections import deque
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.convert.blocks import arguments
from myhdl_fsa.dataflows.stream.control import Capture, Compare, Lane
from myhdl_fsa.sims.command_names import command_names
from myhdl_fsa.sims.trace.follower import Seen
from myhdl_fsa.sims.trace.movers import inside
from myhdl_fsa.sims.trace.names import ZERO, Name, Names, greatest

__all__ = ["FollowedComparator", "FollowedTop"]

_CAPTURES, _COMPARES, _LANES = command_names(Capture), command_names(Compare), command_names(Lane)
_LANE = (1 << Lane.WIDTH) - 1
_UPDATES = (Compare.UPDATE, Compare.UPDATE_FIRST)
_DIFFERENCES = (Compare.DIFF, Compare.DIFF_FIRST)


class FollowedTop:
    """``column_top`` of dataflows/stream/edge.py."""

    def __init__(self, block: Any, unit: str, names: Names) -> None:
        ports = arguments(block)
        self.unit, self._names = unit, names
        self._control, self._lane, self._above = ports["control"], ports["lane"], ports["above"]
        self._maximum = inside(block, "maximum")

    def combine(self) -> None:
        """What enters the column from above."""
        maximum = self._names.of(self._maximum)
        shows = int(self._control) >> Capture.WIDTH & 1
        self._names.now(self._above, (maximum and Name("-m", maximum.at)) if shows else ZERO)

    def observe(self) -> Seen:
        """As Part."""
        names, bits = self._names, int(self._control)
        capture, shows = bits & (1 << Capture.WIDTH) - 1, bits >> Capture.WIDTH & 1
        lane = (int(self._lane), names.of(self._lane)) if capture else None
        above = (int(self._above), names.of(self._above)) if shows else None
        held = int(self._maximum), names.of(self._maximum)
        return Seen(self.unit, "maximum" if capture else "subtract" if shows else "idle", _CAPTURES.get(capture, ""),
                    {"maximum": held, "above": above, "below": lane})

    def edge(self) -> None:
        """As Part."""
        lane = self._names.of(self._lane)
        if int(self._control) & (1 << Capture.WIDTH) - 1 == Capture.HIGH:
            self._names.later(self._maximum, lane and Name("m", lane.at))


class FollowedComparator:
    """``comparator`` of dataflows/stream/edge.py: maximum, buffer, and the bottom of the return lane."""

    def __init__(self, block: Any, unit: str, names: Names, config: Config, slots: int) -> None:
        ports = arguments(block)
        self.unit, self._names, self._rows, self._slots = unit, names, config.rows, slots
        self._command, self._lane, self._score = ports["command"], ports["lane"], ports["score"]
        self._query, self._lift, self._bottom = ports["query"], ports["lift"], ports["bottom"]
        self._running, self._buffer = inside(block, "running"), inside(block, "scores")
        self._write_at, self._wave = inside(block, "write_at"), inside(block, "wave")
        self._maxima, self._read, self._write = (inside(block, name) for name in ("maxima", "read_slot", "write_slot"))
        divided = config.adder_stages > 1
        self._difference = inside(block, "later_difference" if divided else "difference")
        self._later: deque[Name | None] = deque([None] * (config.adder_stages - 1))

    def combine(self) -> Name | None:
        """What goes on to the accumulator."""
        sends = int(self._command) == Compare.SEND
        name = self._names.of(self._difference if sends else self._score)
        self._names.now(self._bottom, name)
        return name

    def observe(self) -> Seen:
        """As Part."""
        names, command, word = self._names, int(self._command), int(self._lane)
        work = "idle"
        if command in _UPDATES:
            work = "maximum"
        elif command in _DIFFERENCES:
            work = "subtract"
        elif command == Compare.SEND:
            work = "scale"
        elif word & _LANE:
            work = "load" if word & _LANE == Lane.QUERY else "return"
        score = (int(self._score), names.of(self._score)) if command in _UPDATES + _DIFFERENCES else None
        sent = (int(self._bottom), names.of(self._bottom)) if command == Compare.SEND else None
        lift = names.of(self._lift)
        said = [_COMPARES[command]] if command else []
        said += [_LANES[word & _LANE]] if word & _LANE else []
        return Seen(self.unit, work, " ".join(said), {
            "maximum": (int(self._running), names.of(self._running)), "score": score, "difference": sent,
            "lift": None if lift is None else (int(self._lift), lift)})

    def edge(self) -> None:
        """As Part."""
        names, command, word = self._names, int(self._command), int(self._lane)
        score, best, finished = names.of(self._score), names.of(self._running), False
        difference = names.of(self._difference)
        if command in _UPDATES:
            best = greatest(score, best, self._rows)
            names.later(self._running, best)
            names.later(self._buffer[int(self._write_at)], score and Name("s", score.at))
            if self._slots > 1 and int(self._wave) == self._rows - 1:
                finished = True
                names.later(self._maxima[int(self._write)], best)
        elif command in _DIFFERENCES:
            difference = score and Name("d", score.at)
        self._later.append(difference)
        names.later(self._difference, self._later.popleft())
        kind = word & _LANE
        lift = None
        if kind in (Lane.MAX_LOW, Lane.MAX_HIGH):
            if self._slots > 1 and not (finished and int(self._read) == int(self._write)):
                best = names.of(self._maxima[int(self._read)])
            lift = best and Name("low m" if kind == Lane.MAX_LOW else "high m", best.at)
        elif kind == Lane.SCORE:
            lift = names.of(self._buffer[word >> Lane.WIDTH])
        elif kind == Lane.QUERY:
            lift = names.of(self._query)
        names.later(self._lift, lift)

"""How names move through the parts that both dataflows have: memories and skews. Each follows the block of its name."""

from __future__ import annotations

from collections import deque
from typing import Any

from myhdl_fsa.convert.blocks import arguments, local_names
from myhdl_fsa.sims.trace.names import Name, Names, Row

__all__ = ["Delay", "FollowedRam", "inside"]


def inside(block: Any, name: str) -> Any:
    """A signal, or a list of them, that a block calls ``name`` in its own processes."""
    return local_names(block)[name]


class FollowedRam:
    """``ram``: the names of its rows."""

    def __init__(self, block: Any, names: Names, count: int) -> None:
        self.ports, self.names, self.count = arguments(block), names, count
        self.rows: dict[int, Row] = {}

    def edge(self) -> None:
        """The clock edge; a read sees what was there before."""
        ports = self.ports
        if ports["read"]:
            self.names.later(ports["read_data"], self.rows.get(int(ports["read_row"])))
        if ports["write"]:
            self.rows[int(ports["write_row"])] = self.names.row(ports["write_data"], self.count)

    def first(self, row: int) -> Name | None:
        """The name of the first word of a row."""
        return self.rows.get(row, (None,))[0]


class Delay:
    """Lane i of a row waits ``waits[i]`` cycles."""

    def __init__(self, waits: list[int]) -> None:
        self._waits = waits
        self._entered: deque[Row] = deque([(None,) * len(waits)] * (max(waits) + 1), max(waits) + 1)

    def enter(self, row: Row) -> Row:
        """What leaves in the cycle in which ``row`` enters; once a cycle."""
        self._entered.appendleft(row)
        return tuple(self._entered[wait][lane] for lane, wait in enumerate(self._waits))

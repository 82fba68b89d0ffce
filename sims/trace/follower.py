"""What a dataflow's follower gives the recorder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from myhdl_fsa.config import Config
from myhdl_fsa.sims.trace.names import Name, Names
from myhdl_fsa.sims.trace.spans import Spans
from myhdl_fsa.trace.contents import Kind, Unit

__all__ = ["Follower", "Part", "Seen", "Sight", "with_edges"]

Sight = tuple[int, Name | None]
"""A value: its bits and its name."""


class Seen(NamedTuple):
    """A unit in one cycle."""

    unit: str
    work: str
    """a key of ``trace.contents.WORKS``"""
    control: str
    """the control bits that are 1, or the command, by their names; empty for none"""
    values: dict[str, Sight | None]
    """by name, all that the unit's kind holds and takes"""


class Part(Protocol):
    """A unit of the machine as a follower follows it."""

    def observe(self) -> Seen:
        """What it holds, takes and does in this cycle."""

    def edge(self) -> None:
        """Gives its registers the names that they have from the next cycle on."""


def with_edges(pes: Sequence[Part], columns: int) -> Iterator[Seen]:
    """Every PE, row by row, and before each row its ``edge``: what its first PE takes from the left."""
    for place, pe in enumerate(pes):
        seen = pe.observe()
        if place % columns == 0:
            taken = seen.values["left"]
            yield Seen(f"edge_{place // columns}", "idle" if taken is None else seen.work, "", {"value": taken})
        yield seen


class Follower(ABC):
    """Follows the names through an elaborated ``core`` of a dataflow, which is simulated beside it.

    Every cycle, just before the clock edge: ``combine``, then ``observe``, then ``edge``.
    """

    kinds: Mapping[str, Kind]
    order: tuple[str, ...]
    """as in ``trace.CycleTrace``"""
    units: tuple[Unit, ...]

    @classmethod
    def formats(cls, config: Config) -> dict[str, int]:
        """Bits of what is no number of ``elem`` or ``acc``, by the format's name."""
        return {}

    @abstractmethod
    def __init__(self, core: Any, config: Config, names: Names, spans: Spans) -> None:
        """Finds the blocks and signals."""

    @abstractmethod
    def combine(self) -> None:
        """Gives what is combinational its name, from the registers' names."""

    @abstractmethod
    def observe(self) -> Iterator[Seen]:
        """Every unit in this cycle."""

    @abstractmethod
    def edge(self) -> None:
        """Gives the registers the names that they have from the next cycle on."""

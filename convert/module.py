"""A Verilog module as the converter leaves it: text, ports, instances, and where in it each signal is."""

from __future__ import annotations

from dataclasses import dataclass, field

from myhdl_fsa.convert.infer import Ranges

__all__ = ["Location", "Module", "Port"]


@dataclass(frozen=True)
class Port:
    """A port of a module."""

    name: str
    direction: str
    """``input`` or ``output``"""
    width: int
    """bits of one signal"""
    count: int = 0
    """signals side by side; 0 for one alone"""
    shared: bool = True
    """whether all lanes of a module that stands for several see the same"""


@dataclass(frozen=True)
class Location:
    """Where a signal is inside a module: a net, so many bits of it, or a word of a memory."""

    net: str
    width: int
    offset: int | None = None
    word: int | None = None
    lanes: bool = False

    def text(self, lane: int | None = None) -> str:
        """As an expression; ``lane`` is that of a module that stands for several."""
        if self.word is not None:
            return f"{self.net}[{self.word}]"
        offset = self.offset
        if self.lanes and lane is not None:
            offset = lane * self.width
        if offset is None:
            return self.net
        return f"{self.net}[{offset}]" if self.width == 1 else f"{self.net}[{offset} +: {self.width}]"


@dataclass(frozen=True)
class Module:
    """A Verilog module: its text, its ports, and the modules it instantiates."""

    name: str
    text: str
    ports: dict[str, Port]
    children: tuple[str, ...] = ()
    """the modules it instantiates, each once"""
    instances: tuple[tuple[str, int | None], ...] = ()
    """of each block inside, in order: the path of its instance, and the lane where one instance stands for several"""
    instantiated: tuple[str, ...] = ()
    """the module of each of ``instances``"""
    driven: dict[str, list[Location]] = field(default_factory=dict)
    """what its processes drive, by the name in Python; of a list, every element"""
    located: dict[str, Location] = field(default_factory=dict)
    """every signal of its ports by the flattened name in Python (``blocks.ports``)"""
    lanes: bool = False
    ranges: Ranges = field(default_factory=Ranges)
    """the intervals of its processes' and functions' locals"""

    @property
    def directions(self) -> dict[str, str]:
        """port name -> ``input`` or ``output``, in order"""
        return {name: port.direction for name, port in self.ports.items()}

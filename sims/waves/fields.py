"""Named fields in a waveform: what the bits of a control word say, which the machine itself never names.

They are part of no simulated machine and of no converted Verilog: every engine works them out from the signals beside
them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from myhdl_fsa.convert.hierarchy import arguments
from myhdl_fsa.dataflows.fsa.control import PE_SIGNALS, Accumulator, Comparator
from myhdl_fsa.dataflows.fsa.sequencer import EDGE_FIELDS, ControlMemory
from myhdl_fsa.dataflows.stream import control as stream
from myhdl_fsa.sims.command_names import command_names

__all__ = ["Bits", "BitsEqual", "Equals", "Field", "Within", "fields", "is_streamed"]


@dataclass(frozen=True)
class Field(ABC):
    """A field of a scope."""

    name: str
    width: int = field(default=1, kw_only=True)

    @property
    @abstractmethod
    def sources(self) -> tuple[str, ...]:
        """The signals of the same scope that ``value`` takes."""

    @abstractmethod
    def value(self, *words: int) -> int:
        """The field where the sources are these words."""

    @abstractmethod
    def verilog(self) -> str:
        """The same as an expression over the sources' names."""


@dataclass(frozen=True)
class _OfOne(Field):
    """A field of one signal."""

    source: str

    @property
    def sources(self) -> tuple[str, ...]:
        """As Field."""
        return (self.source,)


@dataclass(frozen=True)
class Bits(_OfOne):
    """``width`` bits of ``source`` from bit ``low`` up."""

    low: int

    def value(self, *words: int) -> int:
        """As Field."""
        return words[0] >> self.low & (1 << self.width) - 1

    def verilog(self) -> str:
        """As Field."""
        return f"{self.source}[{self.low} +: {self.width}]"


@dataclass(frozen=True)
class Equals(_OfOne):
    """1 where ``source`` is ``number``."""

    number: int

    def value(self, *words: int) -> int:
        """As Field."""
        return int(words[0] == self.number)

    def verilog(self) -> str:
        """As Field."""
        return f"({self.source} == {self.number})"


@dataclass(frozen=True)
class BitsEqual(_OfOne):
    """1 where ``bits`` bits of ``source`` from bit ``low`` up are ``number``."""

    low: int
    bits: int
    number: int

    def value(self, *words: int) -> int:
        """As Field."""
        return int(words[0] >> self.low & (1 << self.bits) - 1 == self.number)

    def verilog(self) -> str:
        """As Field."""
        return f"({self.source}[{self.low} +: {self.bits}] == {self.number})"


@dataclass(frozen=True)
class Within(Field):
    """1 where ``enable`` is 1 and ``source`` is from ``first`` to ``last``."""

    enable: str
    source: str
    first: int
    last: int

    @property
    def sources(self) -> tuple[str, ...]:
        """As Field."""
        return (self.enable, self.source)

    def value(self, *words: int) -> int:
        """As Field."""
        enable, word = words
        return int(bool(enable) and self.first <= word <= self.last)

    def verilog(self) -> str:
        """As Field."""
        return f"({self.enable} && {self.source} >= {self.first} && {self.source} <= {self.last})"


def fields(block: Any) -> Iterator[Field]:
    """The named fields of a block."""
    table = _STREAM if is_streamed(block) else _FIELDS
    return table.get(block.func.__name__, lambda _: iter(()))(block)


def is_streamed(block: Any) -> bool:
    """Whether a block is one of the stream dataflow's own."""
    return block.func.__module__.startswith("myhdl_fsa.dataflows.stream.")


def _pe(_: Any) -> Iterator[Field]:
    return (Bits(name, "control", bit) for bit, name in enumerate(PE_SIGNALS))


def _stream_pe(_: Any) -> Iterator[Field]:
    width = stream.Operation.WIDTH
    yield Bits("operation", "control", 0, width=width)
    for name, number in _numbers(stream.Operation).items():
        yield BitsEqual(f"operation_{name}", "control", 0, width, number)
    yield Bits("latch_p", "control", stream.LATCH_P.bit_length() - 1)
    yield Bits("latch_q", "control", stream.LATCH_Q.bit_length() - 1)


def _commands(commands: type) -> Callable[[Any], Iterator[Field]]:
    numbers = _numbers(commands)
    return lambda _: (Equals(f"command_{name}", "command", number) for name, number in numbers.items())


def _numbers(commands: type) -> dict[str, int]:
    return {name.lower(): number for number, name in command_names(commands).items()}


def _edges(_: Any) -> Iterator[Field]:
    low = 0
    for name, width in EDGE_FIELDS:
        yield Bits(f"control_edges_{name}", "control_edges", low, width=width)
        low += width


def _sequencer(block: Any) -> Iterator[Field]:
    """Which matrix instruction a sequencer is in."""
    plans = arguments(block)["plans"]
    base = ControlMemory.of(plans).base
    for plan in plans:
        first = base[plan.function]
        yield Within(f"in_{plan.function.name.lower()}", "busy", "word", first, first + len(plan.words) - 1)
    yield from _edges(block)


_FIELDS: dict[str, Callable[[Any], Iterator[Field]]] = {
    "pe": _pe,
    "comparator": _commands(Comparator),
    "accumulator": _commands(Accumulator),
    "accumulator_unit": _commands(Accumulator),
    "matrix_controller": _edges,
    "sequencer": _sequencer,
}
"""by the block's function"""

_STREAM: dict[str, Callable[[Any], Iterator[Field]]] = {
    "pe": _stream_pe,
    "comparator": _commands(stream.Compare),
    "accumulator": _commands(stream.Accumulate),
    "accumulator_unit": _commands(stream.Accumulate),
}
"""of the stream dataflow's blocks"""

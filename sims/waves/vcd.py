"""Waveforms of the MyHDL model, as VCD."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, TextIO

from vcd import VCDWriter
from vcd.writer import Variable

from myhdl_fsa.signals import BitSignal
from myhdl_fsa.sims.waves.scopes import PERIOD, Scope, scope_of

__all__ = ["Read", "Waveform", "waveform"]

Read = Callable[[], int]


class Waveform:
    """The cycles from ``first`` to ``last`` (None: to the end) of a block called ``name``; ``sample`` gives them."""

    def __init__(self, file: TextIO, name: str, block: Any, clock: Any, first: int, last: int | None) -> None:
        self._first, self._last = first, last
        self._end: int | None = None
        self._writer = VCDWriter(file, timescale="1 ns", date="", version="myhdl-fsa", init_timestamp=first * PERIOD)
        self._clock = id(clock)
        self._seen: dict[int, Variable[Any]] = {}
        self._variables: list[Variable[Any]] = []
        self._reads: list[Read] = []
        self._values: list[int] = []
        self._clock_variable: Variable[Any] | None = None
        self._name, self._scope = name, scope_of(block)

    def sample(self, cycle: int) -> None:
        """Notes every signal's value in ``cycle``, which is the one after the last one given."""
        if cycle < self._first or (self._last is not None and cycle > self._last):
            return
        start = cycle * PERIOD
        self._end = start + PERIOD // 2
        if cycle == self._first:
            self._declare(self._scope, (self._name,), int(cycle > 0))
        else:
            values, change = self._values, self._writer.change
            for index, read in enumerate(self._reads):
                value = read()
                if value != values[index]:
                    values[index] = value
                    change(self._variables[index], start, value)
        if self._clock_variable is not None and cycle > 0:
            self._writer.change(self._clock_variable, start, 1)
            self._writer.change(self._clock_variable, self._end, 0)

    def close(self) -> None:
        """Ends the file, which stays open."""
        self._writer.close(self._end)

    def _declare(self, scope: Scope, path: tuple[str, ...], clock: int) -> None:
        reads: dict[str, Read] = {}
        for probe in scope.probes:
            signal = probe.signal
            reads[probe.name] = _reader(signal)
            if id(signal) in self._seen:
                self._writer.register_alias(path, _declared(probe.name, probe.width), self._seen[id(signal)])
            elif id(signal) == self._clock:
                self._clock_variable = self._register(path, probe.name, 1, clock)
                self._seen[id(signal)] = self._clock_variable
            else:
                self._seen[id(signal)] = self._watch(path, probe.name, probe.width, reads[probe.name])
        for field in scope.fields:
            sources = [reads[name] for name in field.sources]
            self._watch(path, field.name, field.width, _function(field.value, sources))
        for name, child in scope.children:
            self._declare(child, (*path, name), clock)

    def _watch(self, path: tuple[str, ...], name: str, width: int, read: Read) -> Variable[Any]:
        value = read()
        variable = self._register(path, name, width, value)
        self._variables.append(variable)
        self._reads.append(read)
        self._values.append(value)
        return variable

    def _register(self, path: tuple[str, ...], name: str, width: int, value: int) -> Variable[Any]:
        return self._writer.register_var(path, _declared(name, width), "wire", size=width, init=value)


@contextmanager
def waveform(
    path: Path, name: str, block: Any, clock: Any, first: int, last: int | None
) -> Iterator[Waveform]:
    """A waveform into ``path``, whose file is whole when the block ends, also by an exception. Raises OSError."""
    with path.open("w", encoding="ascii") as file:
        wave = Waveform(file, name, block, clock, first, last)
        try:
            yield wave
        finally:
            wave.close()


def _declared(name: str, width: int) -> str:
    """As the other engines declare it: a viewer's list of signals then goes with every file."""
    return name if width == 1 else f"{name} [{width - 1}:0]"


def _reader(signal: Any) -> Read:
    if isinstance(signal, BitSignal):
        return lambda: int(signal._val)
    value = attrgetter("_val._val")
    return lambda: int(value(signal))


def _function(value: Callable[..., int], sources: list[Read]) -> Read:
    return lambda: value(*(source() for source in sources))

"""What a waveform shows of a design, whichever engine writes it: scopes, signals and their names.

A block is a scope: its ports, the signals that its processes drive, and the named fields of its control words. The
names are MyHDL's own. What a RAM or a queue holds is left out: its ports show every write.

Cycle c, as the benches count cycles, is from c * PERIOD to (c + 1) * PERIOD nanoseconds: the state that clock edge c
samples, with the clock 1 in the first half. Before the first edge, in cycle 0, the clock is 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from myhdl._instance import _Instantiator

from myhdl_fsa.convert.hierarchy import children, ports, twin_of
from myhdl_fsa.sims.waves.fields import Field, fields

__all__ = ["PERIOD", "Probe", "Scope", "scope_of"]

PERIOD = 10
"""nanoseconds of a cycle in a waveform"""
_STORES = ("ram", "fifo")
"""blocks whose lists of signals are memories"""


@dataclass(frozen=True)
class Probe:
    """A signal in a waveform."""

    name: str
    signal: Any
    driven: tuple[str, Sequence[Any]] | None = None
    """of one that is no port: what the process that drives it calls it, and the signals of that name"""
    index: int = 0
    """where among those it is"""

    @property
    def width(self) -> int:
        """Bits."""
        return max(1, len(self.signal))


@dataclass(frozen=True)
class Scope:
    """A block in a waveform."""

    block: Any
    """which was elaborated: of several blocks that are the same module, the first will do for the names"""
    probes: tuple[Probe, ...]
    fields: tuple[Field, ...]
    children: tuple[tuple[str, Scope], ...]
    """in the order of the block's children, each with its name"""


def scope_of(block: Any, known: dict[int, Scope] | None = None) -> Scope:
    """The scope of a block and all in it; ``known`` keeps those of blocks that stand for many."""
    known = {} if known is None else known
    block = twin_of(block)
    if id(block) not in known:
        inside = children(block)
        probes = _probes(block)
        taken = {probe.name for probe in probes}
        names = _names(block, inside, taken)
        known[id(block)] = Scope(
            block, probes, tuple(fields(block)),
            tuple((name, scope_of(child, known)) for name, child in zip(names, inside, strict=True)),
        )
    return known[id(block)]


def _probes(block: Any) -> tuple[Probe, ...]:
    found = {name: Probe(name, signal) for name, signal in ports(block).items()}
    shown = {id(signal) for signal in ports(block).values()}
    for process in block.subs:
        if not isinstance(process, _Instantiator):
            continue
        for name in sorted(process.outputs):
            driven = process.symdict[name]
            if isinstance(driven, list):
                parts = [] if block.func.__name__ in _STORES else [
                    Probe(f"{name}_{index}", signal, (name, driven), index) for index, signal in enumerate(driven)]
            else:
                parts = [Probe(name, driven, (name, [driven]))]
            for probe in parts:
                if id(probe.signal) not in shown:
                    shown.add(id(probe.signal))
                    found[probe.name] = probe
    return tuple(found.values())


def _names(block: Any, inside: list[Any], taken: set[str]) -> list[str]:
    """A child is called after its function, unless the block holds several of them: then as the block calls it."""
    counts = Counter(child.func.__name__ for child in inside)
    called: dict[int, str] = {}
    for process in block.subs:
        if isinstance(process, _Instantiator):  # which knows the names around it
            called.update((id(value), name) for name, value in process.callinfo.symdict.items())
    numbers: Counter[str] = Counter()
    names = []
    for child in inside:
        name = child.func.__name__
        if counts[name] > 1:
            if id(child) in called:
                name = called[id(child)]
            else:
                numbers[name] += 1
                name = f"{name}_{numbers[name] - 1}"
        if name in taken:
            name = f"{name}_block"
        names.append(name)
    return names

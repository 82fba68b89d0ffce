"""The nets of a block: which signals stand alone, which in a vector, and what both are called.

A signal may have several names: a port, a local, an element of one list or more. Each name that is used is a net, and
all but the one that is driven are assigned from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from myhdl._Signal import _Signal

from myhdl_fsa.convert.blocks import HierarchyError, arguments, elements, is_bundle, local_names, port_values, width_of
from myhdl_fsa.convert.read import is_vector
from myhdl_fsa.convert.reference import Reference, sum_of, times

__all__ = ["Net", "Nets", "minus_one"]


@dataclass(eq=False)
class Net:
    """One signal, or several side by side, lane 0 in the low bits."""

    name: str
    signals: list[Any]
    row: int = 0
    """signals of a row, where it is a list of vectors; 1 for a list of signals, 0 for one signal"""
    port: bool = False
    memory: bool = False
    array: bool = False
    """whether its rows are elements of an array of nets"""
    used: bool = False
    driver: str = ""
    """``reg`` where a process drives it, ``wire`` where an instance or an assignment does"""

    @property
    def width(self) -> int:
        """Bits of one signal."""
        return width_of(self.signals[0])

    @property
    def negative(self) -> bool:
        """Whether a signal of it may be negative."""
        return self.signals[0]._min is not None and self.signals[0]._min < 0

    @property
    def signed(self) -> bool:
        """Whether it is declared signed: a vector is not, whose elements may be negative nevertheless."""
        return self.row == 0 and self.negative


@dataclass
class Nets:
    """The nets of one block."""

    block: Any
    name: str
    scalars: dict[int, Net] = field(default_factory=dict)
    """by the signal's identity: the net that holds it alone"""
    vectors: list[Net] = field(default_factory=list)
    places: dict[int, list[tuple[Net, int]]] = field(default_factory=dict)
    """by the signal's identity: the vectors that it is in, and where"""
    lists: dict[int, Net] = field(default_factory=dict)
    """by the identity of the list in Python"""
    symbolic: bool = False
    """whether widths and counts of vectors have names, so that the text is the same for any"""
    lanes: bool = False
    """whether the module stands for several: each net but those in ``shared`` has a lane for each"""
    shared: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.ports: dict[str, Net] = {}
        for name, value in port_values(self.block).items():
            self._port(name, value)
        found = {name: value for name, value in local_names(self.block).items()
                 if name not in arguments(self.block)}
        for name, value in found.items():
            if isinstance(value, _Signal):
                self._scalar(name, value)
        for name, value in found.items():
            self._list(name, value)
        for name, value in found.items():
            if is_bundle(value):
                self._bundle(name, value)

    def _port(self, name: str, value: Any) -> None:
        net = Net(name, elements(value), 0 if isinstance(value, _Signal) else 1, port=True, used=True)
        self.ports[name] = net
        if net.row:
            self._vector(net, value)
        else:
            self.scalars.setdefault(id(value), net)

    def _scalar(self, name: str, signal: Any) -> None:
        if id(signal) not in self.scalars:
            self.scalars[id(signal)] = Net(name, [signal])

    def _vector(self, net: Net, value: Any) -> None:
        self.vectors.append(net)
        self.lists[id(value)] = net
        for index, signal in enumerate(net.signals):
            self.places.setdefault(id(signal), []).append((net, index))

    def _list(self, name: str, value: Any) -> None:
        """A list of signals, of vectors, or of interfaces, as vectors."""
        if is_vector(value):
            if not any(same.signals == (items := elements(value)) and all(
                    a is b for a, b in zip(same.signals, items, strict=True)) for same in self._alike(value)):
                self._vector(Net(name, elements(value), 1), value)
            else:
                self.lists[id(value)] = self._alike(value)[0]
        elif isinstance(value, list | tuple) and value:
            if all(is_vector(inner) for inner in value) and len({len(inner) for inner in value}) == 1 and len(
                    {width_of(inner[0]) for inner in value}) == 1:
                signals = [signal for inner in value for signal in elements(inner)]
                self._vector(Net(name, signals, len(value[0])), value)
            elif all(is_bundle(inner) for inner in value) and len({type(inner) for inner in value}) == 1:
                for attribute, inner in vars(value[0]).items():
                    if isinstance(inner, _Signal):
                        together = [getattr(bundle, attribute) for bundle in value]
                        if is_vector(together):
                            self._vector(Net(f"{name}_{attribute}", together, 1), together)

    def _alike(self, value: Any) -> list[Net]:
        """Vectors that hold the very same signals."""
        items = elements(value)
        return [net for net, index in self.places.get(id(items[0]), ())
                if index == 0 and len(net.signals) == len(items)
                and all(a is b for a, b in zip(net.signals, items, strict=True))]

    def _bundle(self, name: str, value: Any) -> None:
        for attribute, inner in vars(value).items():
            if isinstance(inner, _Signal):
                if id(inner) not in self.scalars and id(inner) not in self.places:
                    self.scalars[id(inner)] = Net(f"{name}_{attribute}", [inner])
            elif is_vector(inner) and not self._alike(inner):
                self._vector(Net(f"{name}_{attribute}", elements(inner), 1), inner)

    # -- references ----------------------------------------------------------------------------------------------------
    def home(self, signal: Any, otherwise: str = "") -> tuple[Net, int]:
        """The net that a signal is in, and where: alone if it can be, else in the first vector.

        One that nothing has a name for is called ``otherwise``.
        """
        known = self.scalars.get(id(signal))
        if known is not None:
            known.used = True
            return known, 0
        for net, index in self.places.get(id(signal), ()):
            net.used = True
            return net, index
        net = self.scalars[id(signal)] = Net(otherwise, [signal], used=True)
        return net, 0

    def vector(self, value: Any, name: str) -> Net:
        """The vector of a list in Python."""
        net = self.lists.get(id(value))
        if net is None:
            alike = self._alike(value)
            if alike:
                net = alike[0]
            else:
                net = Net(name, elements(value), 1)
                self._vector(net, value)
            self.lists[id(value)] = net
        net.used = True
        return net

    def reference(self, net: Net, index: str | int = 0) -> Reference:
        """A signal of a net; ``index`` as text."""
        if net.memory:
            return Reference(net.name, net.width, net.negative, word=str(index))
        if net.row:
            size = self.size(net)
            return Reference(net.name, net.width, net.negative, offset=times(size, str(index)),
                             size=size if isinstance(size, str) else None)
        if self.lanes and id(net.signals[0]) not in self.shared:
            return Reference(net.name, net.width, net.negative, offset=times(net.width, "lane"), size=None)
        return Reference(net.name, net.width, net.signed)

    def size(self, net: Net) -> int | str:
        """The width of one signal, as it is written."""
        return f"{net.name.upper()}_WIDTH" if self.symbolic and net.width > 1 else net.width

    def count(self, net: Net) -> int | str:
        """How many rows a vector has, as it is written."""
        rows = len(net.signals) // net.row
        return f"{net.name.upper()}_COUNT" if self.symbolic else rows

    def row_size(self, net: Net) -> int | str:
        """Bits of a row, as they are written."""
        if net.row == 1:
            return self.size(net)
        if not self.symbolic:
            return net.row * net.width
        return times(f"{net.name.upper()}_LANES", str(self.size(net)))

    def values(self, net: Net) -> dict[str, int]:
        """The numbers behind ``size``, ``count`` and ``row_size``, by name."""
        found: dict[str, int] = {}
        if self.symbolic:
            stem = net.name.upper()
            if net.row:
                found[f"{stem}_COUNT"] = len(net.signals) // net.row
            if net.row > 1:
                found[f"{stem}_LANES"] = net.row
            if net.width > 1 and (net.row or net.port):
                found[f"{stem}_WIDTH"] = net.width
        return found

    def range(self, net: Net) -> str:
        """A declaration's range, with a space behind."""
        if net.memory or (not net.row and not (self.lanes and id(net.signals[0]) not in self.shared)):
            size = self.size(net) if net.port and self.symbolic else net.width
            return f"[{minus_one(size)}:0] " if net.width > 1 else ""
        if not net.row:
            return f"[{minus_one(times(net.width, 'LANES'))}:0] "
        if net.array:
            return f"[{minus_one(self.row_size(net))}:0] "
        return f"[{minus_one(times(self.row_size(net), str(self.count(net))))}:0] "

    def extent(self, net: Net, size: int) -> str:
        """How many signals of a vector so many are, as it is written."""
        if self.symbolic and net.row > 1 and size == net.row:
            return f"{net.name.upper()}_LANES"
        return str(self.count(net)) if net.row == 1 and size == len(net.signals) else str(size)

    def slice(self, net: Net, first: int, stride: int, size: int, variable: str, lanes: str = "") -> str:
        """``size`` signals from ``first`` up, and ``stride`` further with every turn of a loop over ``variable``.

        With ``lanes`` it is so many times as much.
        """
        total = len(net.signals)
        if net.array:
            return self._of_array(net, first, stride, size, variable)
        if (first, size) == (0, total) and not lanes:
            return net.name
        if net.row == 1:
            index = _index(first, total, str(self.count(net)), variable if stride else "", stride)
            offset = times(self.size(net), index)
            extent: int | str = self.size(net) if size == 1 else times(self.size(net), str(size))
        else:
            rows, lane_at = divmod(first, net.row)
            count = str(self.count(net))
            if stride and stride % net.row == 0:
                row = times(self.row_size(net), _index(rows, total // net.row, count, variable, stride // net.row))
                lane = times(self.size(net), str(lane_at))
            else:
                row = times(self.row_size(net), _index(rows, total // net.row, count, "", 0))
                lane = times(self.size(net), _index(lane_at, -1, "", variable if stride else "", stride))
            offset = sum_of(row, lane)
            extent = self.row_size(net) if size == net.row else times(self.size(net), str(size))
            if size == 1:
                extent = self.size(net)
        if lanes:
            extent = times(extent, lanes)
        if extent == 1:
            return f"{net.name}[{offset}]"
        return f"{net.name}[{offset} +: {extent}]"

    def _of_array(self, net: Net, first: int, stride: int, size: int, variable: str) -> str:
        """The same of an array: a row, or a part of one."""
        rows, beside = divmod(first, net.row)
        count, moves = len(net.signals) // net.row, stride != 0 and stride % net.row == 0
        index = _index(rows, count, str(self.count(net)), variable if moves else "", stride // net.row if moves else 0)
        name = f"{net.name}[{index[1:-1] if index.startswith('(') else index}]"
        if size == net.row:
            return name
        assert size == 1
        offset = times(self.size(net), _index(beside, -1, "", "" if moves or not stride else variable, stride))
        return f"{name}[{offset} +: {self.size(net)}]" if net.width > 1 else f"{name}[{offset}]"

    def run(self, signals: Sequence[Any]) -> list[tuple[Net, int]]:
        """The nets in which signals stand one after the other, and where the first is."""
        found = []
        for net, index in self.places.get(id(signals[0]), ()):
            if net.signals[index:index + len(signals)] and len(net.signals) >= index + len(signals) and all(
                    a is b for a, b in zip(net.signals[index:], signals, strict=False)):
                found.append((net, index))
        return found

    def check(self) -> list[Net]:
        """The nets that are used, each once. Raises HierarchyError for two of one name."""
        nets = [net for net in (*self.ports.values(), *self.scalars.values(), *self.vectors) if net.used]
        nets = list({id(net): net for net in nets}.values())
        seen: set[str] = set()
        for net in nets:
            if net.name in seen:
                raise HierarchyError(f"{self.name}: two of its nets, processes and instances are called {net.name}")
            seen.add(net.name)
        return nets


def minus_one(size: int | str) -> str:
    """``size - 1`` as text."""
    return str(size - 1) if isinstance(size, int) else str(int(size) - 1) if size.isdecimal() else f"{size}-1"


def _index(first: int, count: int, name: str, variable: str, stride: int) -> str:
    """``first + stride * variable``; the last one of a list whose count has a name is called so."""
    fixed = f"({name} - 1)" if first == count - 1 > 1 and not name.isdecimal() else str(first)
    if not variable:
        return fixed
    return sum_of(times(stride, variable), fixed)

"""The wiring of a block: its processes as trees, its nets, its instances, and who drives what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.blocks import HierarchyError, edge_of, elements, port_values, ports, processes
from myhdl_fsa.convert.infer import Ranges
from myhdl_fsa.convert.inline import inline
from myhdl_fsa.convert.instances import Connection, Group, groups, loop_connections
from myhdl_fsa.convert.keywords import VERILOG_KEYWORDS
from myhdl_fsa.convert.lanes import all_lanes, take_lanes
from myhdl_fsa.convert.module import Location, Module
from myhdl_fsa.convert.nets import Net, Nets
from myhdl_fsa.convert.read import read_process
from myhdl_fsa.convert.simplify import simplify
from myhdl_fsa.convert.source import docstring

__all__ = ["Process", "Wiring", "accesses"]


@dataclass
class Process:
    """A process as a tree; ``edge`` is None for a combinational one, else its kind and the signal."""

    name: str
    body: tuple[tree.Statement, ...]
    edge: tuple[str, Any] | None
    docstring: str
    whole: int = 0
    """so many statements at the beginning are for all lanes at once"""


class Wiring:
    """Who drives each signal of a block, which nets there are, and how its blocks are connected."""

    def __init__(self, block: Any, name: str, parts: dict[int, Module], shared: set[str] | None) -> None:
        self.block, self.name, self.parts = block, name, parts
        self.nets = Nets(block, name)
        self.ranges = Ranges()
        self.lanes = shared is not None
        if shared is not None:
            self.nets.lanes = True
            self.nets.shared = {id(net.signals[0]) for port, net in self.nets.ports.items() if port in shared}
        self.functions: dict[Any, tree.Function] = {}
        self.processes: list[Process] = []
        self.drivers: dict[int, tuple[Net, int]] = {}
        """by a signal's identity: the net through which it is driven"""
        self.idle: set[int] = set()
        """signals that a process drives where it never comes to"""
        self.uses: list[tuple[Net, int]] = []
        self.groups = groups(block)
        self.loops: dict[str, dict[str, Connection]] = {}
        self.directions: dict[str, str] = {}
        self.links: list[tuple[Net, int, Net, int]] = []
        self.assigned: set[int] = set()
        """nets that an ``assign`` drives"""
        self.instance_uses: list[tuple[Net, int]] = []
        self.whole: set[tuple[int, int]] = set()

    # -- processes -----------------------------------------------------------------------------------------------------
    def _read(self, process: Any) -> None:
        function = process.func
        body = simplify(inline(read_process(function, self.functions)))
        whole: list[tree.Drive] = []
        if self.lanes:
            def in_lanes(signal: Any) -> bool:
                return id(signal) not in self.nets.shared

            whole = all_lanes(body, in_lanes)
            body = (*whole, *take_lanes([statement for statement in body if statement not in whole], in_lanes))
        self.processes.append(Process(function.__name__, body, edge_of(process), docstring(function.__code__),
                                      len(whole)))
        self.ranges.process(function.__name__, body, function.__code__.co_filename.rpartition("/")[2])

    def _find_memories(self) -> None:
        """Lists that one process writes word by word, and that no loop and no instance touches, are memories."""
        writers: dict[int, set[str]] = {}
        plain: set[int] = set()
        indexed: dict[int, Net] = {}
        for process in self.processes:
            loops = self.ranges.scopes[process.name].loops
            for node, drives in accesses(process.body):
                if isinstance(node, tree.Read):
                    if drives:
                        plain.update(id(net) for net, _ in self.nets.places.get(id(node.signal), ()))
                    continue
                net = self.nets.vector(node.vector, node.name)
                by_loop = any(isinstance(part, tree.Variable) and part.name in loops for part in tree.walk(node.index))
                if drives:
                    writers.setdefault(id(net), set()).add(process.name)
                    if by_loop:
                        plain.add(id(net))
                elif not by_loop:
                    indexed[id(net)] = net
            for move in _moves(process.body):
                plain |= {id(self.nets.vector(part.vector, part.name)) for part in (move.target, move.source)}
        for key, net in indexed.items():
            net.memory = key not in plain and len(writers.get(key, ())) == 1 and not net.port and all(
                id(signal) not in self.nets.scalars for signal in net.signals)

    def _find_arrays(self) -> None:
        """Lists of vectors that instances alone touch, a row or a signal at a time, are arrays of nets."""
        pieces: dict[int, bool] = {}

        def note(net: Net, first: int, stride: int, size: int) -> None:
            whole = size == net.row and first % net.row == 0 and stride % net.row == 0
            pieces[id(net)] = pieces.get(id(net), True) and (whole or size == 1)

        for group in self.groups:
            if group.loops:
                for c in self.loops[group.name].values():
                    if c.net.row > 1:
                        note(c.net, c.first, c.stride, c.size)
                        if self.parts[id(group.blocks[0])].lanes:
                            pieces[id(c.net)] = False
            else:
                for value in port_values(group.blocks[0]).values():
                    signals = elements(value)
                    for net, first in self.nets.run(signals)[:1]:
                        if net.row > 1:
                            note(net, first, 0, len(signals))
        for net, index, driver, at, size in self._runs():
            for linked, first in ((net, index), (driver, at)):
                if linked.row > 1 and first >= 0:
                    note(linked, first, 0, size)
        touched = {id(net) for process in self.processes for node, _ in accesses(process.body)
                   for net, _ in ([self.nets.home(node.signal)] if isinstance(node, tree.Read)
                                  else [(self.nets.vector(node.vector, node.name), 0)])}
        for net in self.nets.vectors:
            if net.row > 1 and net.used and not net.port:
                net.array = pieces.get(id(net), False) and id(net) not in touched

    def _note_process(self, process: Process) -> None:
        driven: set[int] = set()
        live = {id(signal) for node, drives in accesses(process.body, self.ranges) if drives
                for signal in ([node.signal] if isinstance(node, tree.Read) else elements(node.vector))}
        for node, drives in accesses(process.body):
            if isinstance(node, tree.Read):
                places = [self.nets.home(node.signal, node.name)]
            else:
                net = self.nets.vector(node.vector, node.name)
                places = [(net, index) for index in range(len(net.signals))]
            if drives:
                for place in places:
                    signal = place[0].signals[place[1]]
                    if id(signal) not in live and not place[0].row and not self.lanes:
                        self.idle.add(id(signal))
                    elif id(signal) not in driven:
                        driven.add(id(signal))
                        self._drive(signal, place, "reg", process.name)
            else:
                self.uses += places
        if process.edge is not None:
            self.uses.append(self.nets.home(process.edge[1]))

    def _drive(self, signal: Any, place: tuple[Net, int], kind: str, by: str) -> None:
        net = place[0]
        if id(signal) in self.drivers:
            raise HierarchyError(f"{self.name}: {by} drives net {net.name}, which is driven already")
        if getattr(signal, "constant", False):
            raise HierarchyError(f"{self.name}: net {net.name} is declared constant and driven")
        if net.driver and net.driver != kind:
            raise HierarchyError(f"{self.name}: net {net.name} is driven by a process and by what is no process")
        net.driver = kind
        self.drivers[id(signal)] = place

    # -- instances -----------------------------------------------------------------------------------------------------
    def _find_loops(self) -> None:
        found: list[Group] = []
        for group in self.groups:
            connections = loop_connections(group, self.nets) if group.loops else None
            if group.loops and connections is None:
                found += [Group(f"{group.name}_{number}", [block]) for number, block in enumerate(group.blocks)]
                continue
            found.append(group)
            if connections is not None:
                self.loops[group.name] = connections
        self.groups = found

    def _note_group(self, group: Group) -> None:
        if group.loops:
            for port, connection in self.loops[group.name].items():
                module = self.parts[id(group.blocks[0])]
                turns = range(len(group.blocks)) if connection.stride else range(1)
                connection.net.used = True
                for turn in turns:
                    for number in range(connection.size):
                        place = connection.net, connection.first + turn * connection.stride + number
                        self._connect(module, port, place, f"{group.name}.{port}")
            return
        for block in group.blocks:
            module = self.parts[id(block)]
            for port, value in port_values(block).items():
                signals = elements(value)
                runs = self.nets.run(signals) if len(signals) > 1 else []
                if len(signals) > 1 and not runs:
                    runs = [(self.nets.vector(value, f"{group.name}_{port}"), 0)]
                if runs:
                    runs[0][0].used = True
                places = ([(runs[0][0], runs[0][1] + number) for number in range(len(signals))] if runs
                          else [self.nets.home(signals[0], f"{group.name}_{port}")])
                for place in places:
                    self._connect(module, port, place, f"{group.name}.{port}")

    def _connect(self, module: Module, port: str, place: tuple[Net, int], by: str) -> None:
        if module.ports[port].direction == "output":
            self._drive(place[0].signals[place[1]], place, "wire", by)
        else:
            self.uses.append(place)
            self.instance_uses.append(place)

    def _directions(self) -> None:
        inside = self.drivers.keys() | self.idle
        for port, net in self.nets.ports.items():
            driven = [id(signal) in inside for signal in net.signals]
            if any(driven) and not all(driven):
                raise HierarchyError(f"{self.name}: port {port} is driven in part")
            self.directions[port] = "output" if driven[0] else "input"
            if not driven[0]:
                for index, signal in enumerate(net.signals):
                    self.drivers.setdefault(id(signal), (net, index))

    def _link(self) -> None:
        """Assigns every net that is used and is not the one that is driven; refuses what nobody drives."""
        wanted = list(self.uses)
        for port, net in self.nets.ports.items():
            if self.directions[port] == "output":
                wanted += [(net, index) for index in range(len(net.signals))]
        seen: set[tuple[int, int]] = set()
        for net, index in wanted:
            if (id(net), index) in seen:
                continue
            seen.add((id(net), index))
            signal = net.signals[index]
            driver = self.drivers.get(id(signal))
            if driver is None:
                if not getattr(signal, "constant", False) and id(signal) not in self.idle:
                    where = net.name if not net.row else f"{net.name}[{index}]"
                    raise HierarchyError(f"{self.name}: net {where} is read and driven by nobody: drive it, or declare "
                                         "it with signals.constant")
                driver = self.drivers[id(signal)] = (net, index)
                self.links.append((net, index, net, -1))
                net.driver = net.driver or "wire"
            elif driver != (net, index):
                if net.driver == "reg":
                    raise HierarchyError(f"{self.name}: net {net.name} is driven by a process, and is {driver[0].name}")
                net.driver = "wire"
                self.links.append((net, index, *driver))
        self.links.sort(key=lambda link: (link[0].name, link[1]))

    def _check_names(self) -> None:
        """Refuses keywords, and two things of one name. Instances are called otherwise where a net has their name."""
        things = [*(net.name for net in self.nets.check()), *(process.name for process in self.processes),
                  *(group.name for group in self.groups if group.loops)]
        # what the text needs for itself
        own = ["lane"] * self.lanes + ["word"] * any(net.memory for net in self.nets.check())
        for name, count in Counter([*things, *own]).items():
            if count > 1:
                raise HierarchyError(f"{self.name}: two of its nets, processes and instances are called {name}")
        for name in (self.name, *things, *(local for scope in self.ranges.scopes.values() for local in scope.locals)):
            if name in VERILOG_KEYWORDS:
                raise HierarchyError(f"{self.name}: {name} is named like a keyword of Verilog")

    def _paths(self) -> tuple[tuple[str, int | None], ...]:
        found: list[tuple[str, int | None]] = []
        for group in self.groups:
            module = self.parts[id(group.blocks[0])]
            if not group.loops:
                found.append((self._instance(group.name), None))
            elif module.lanes:
                inner = group.blocks[0].func.__name__
                found += [(f"{group.name}[0].{inner}", lane) for lane in range(len(group.blocks))]
            else:
                inner = group.blocks[0].func.__name__
                found += [(f"{group.name}[{number}].{inner}", None) for number in range(len(group.blocks))]
        return tuple(found)

    def _instance(self, name: str) -> str:
        """An instance's name, which no net has."""
        taken = {net.name for net in (*self.nets.ports.values(), *self.nets.scalars.values(), *self.nets.vectors)
                 if net.used}
        return f"{name}_block" if name in taken or name in VERILOG_KEYWORDS else name

    def _driven(self) -> Iterator[tuple[str, list[Location]]]:
        for process in processes(self.block):
            for name in process.outputs:
                driven = process.symdict[name]
                yield name, [self._location(*self.drivers[id(signal)]) for signal in (
                    driven if isinstance(driven, list) else [driven]) if id(signal) in self.drivers]

    def _located(self) -> Iterator[tuple[str, Location]]:
        for name, signal in ports(self.block).items():
            for net in self.nets.ports.values():
                for index, other in enumerate(net.signals):
                    if other is signal:
                        yield name, self._location(net, index)

    def _location(self, net: Net, index: int) -> Location:
        if net.memory:
            return Location(net.name, net.width, word=index)
        if net.row:
            return Location(net.name, net.width, offset=index * net.width)
        return Location(net.name, net.width, lanes=self.lanes and id(net.signals[0]) not in self.nets.shared)

    def _runs(self) -> list[tuple[Net, int, Net, int, int]]:
        """The links, those of neighbours together: a net from an index on, what drives it, and how many."""
        found: list[tuple[Net, int, Net, int, int]] = []
        for net, index, driver, at in self.links:
            if found:
                known, first, source, start, size = found[-1]
                alike = start == at == -1 and int(known.signals[first]._init) == int(net.signals[index]._init)
                if (known, source) == (net, driver) and first + size == index and (
                        alike or (at >= 0 and start >= 0 and start + size == at)):
                    found[-1] = known, first, source, start, size + 1
                    continue
            found.append((net, index, driver, at, 1))
        return found

    def _note_whole(self) -> None:
        """Notes the signals that something other than an expression reads: instances, assignments, clocks."""
        self.whole = {(id(driver), at) for _, _, driver, at in self.links if at >= 0}
        self.whole |= {(id(net), at) for net, at in self.instance_uses}
        for process in self.processes:
            if process.edge is not None:
                net, at = self.nets.home(process.edge[1])
                self.whole.add((id(net), at))
            moves = {id(move.source): move.count for move in _moves(process.body)}
            # of what is only taken apart some bits may have no reader
            parts = {id(part.word) for statement in tree.statements(process.body) for root in tree.roots(statement)
                     for part in tree.walk(root)
                     if isinstance(part, tree.Part)}
            for node, drives in accesses(process.body):
                if isinstance(node, tree.Element):
                    net = self.nets.vector(node.vector, node.name)
                    if id(node) in moves:
                        assert isinstance(node.index, tree.Number)
                        first = node.index.value
                        self.whole |= {(id(net), at) for at in range(first, first + moves[id(node)])}
                    elif not drives and id(node) not in parts:
                        self.whole |= {(id(net), at) for at in range(len(net.signals))}
                elif not drives:
                    net, at = self.nets.home(node.signal)
                    if net.row:
                        self.whole.add((id(net), at))


def _moves(body: Sequence[tree.Statement]) -> Iterator[tree.Move]:
    yield from (statement for statement in tree.statements(body) if isinstance(statement, tree.Move))


def _reached(body: Sequence[tree.Statement], ranges: Ranges) -> Iterator[tree.Statement]:
    """All statements that can be reached."""
    for statement in body:
        yield statement
        if isinstance(statement, tree.If):
            taken = ranges.reached(statement)
            yield from _reached(statement.then if True in taken else (), ranges)
            yield from _reached(statement.other if False in taken else (), ranges)
        elif isinstance(statement, tree.For):
            yield from _reached(statement.body, ranges)


def accesses(
    body: Sequence[tree.Statement], ranges: Ranges | None = None
) -> Iterator[tuple[tree.Read | tree.Element, bool]]:
    """The signals that statements name, and whether they drive them; with ``ranges`` only what can be reached."""
    statements = list(tree.statements(body) if ranges is None else _reached(body, ranges))
    yield from ((statement.target, True) for statement in statements if isinstance(statement, tree.Drive | tree.Move))
    yield from ((statement.source, False) for statement in statements if isinstance(statement, tree.Move))
    for statement in statements:
        for root in tree.roots(statement):
            yield from ((node, False) for node in tree.walk(root) if isinstance(node, tree.Read | tree.Element))

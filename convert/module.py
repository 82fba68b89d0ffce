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
<<<<<<< HEAD
=======


@dataclass
class _Process:
    name: str
    body: tuple[tree.Statement, ...]
    edge: tuple[str, Any] | None
    docstring: str


def convert_block(block: Any, name: str, parts: dict[int, Module], shared: set[str] | None = None) -> Module:
    """The module ``name`` of a block whose blocks are modules already, ``parts`` by the block's identity.

    With ``shared`` the module stands for several such blocks side by side, all ports but those having a lane for each.
    Raises HierarchyError, ReadError and InferenceError.
    """
    return _Converter(block, name, parts, shared).convert()


class _Converter:
    def __init__(self, block: Any, name: str, parts: dict[int, Module], shared: set[str] | None) -> None:
        self.block, self.name, self.parts = block, name, parts
        self.nets = Nets(block, name)
        self.ranges = Ranges()
        self.lanes = shared is not None
        if shared is not None:
            self.nets.lanes = True
            self.nets.shared = {id(net.signals[0]) for port, net in self.nets.ports.items() if port in shared}
        self.functions: dict[Any, tree.Function] = {}
        self.processes: list[_Process] = []
        self.drivers: dict[int, tuple[Net, int]] = {}
        """by a signal's identity: the net through which it is driven"""
        self.uses: list[tuple[Net, int]] = []
        self.groups = groups(block)
        self.loops: dict[str, dict[str, Connection]] = {}
        self.directions: dict[str, str] = {}
        self.links: list[tuple[Net, int, Net, int]] = []
        self.assigned: set[int] = set()
        """nets that an ``assign`` drives"""
        self.instance_uses: list[tuple[Net, int]] = []
        self.whole: set[tuple[int, int]] = set()

    def convert(self) -> Module:
        for process in processes(self.block):
            self._read(process)
        self._find_loops()
        self.nets.symbolic = bool(self.loops)
        self._find_memories()
        for process in self.processes:
            self._note_process(process)
        for group in self.groups:
            self._note_group(group)
        self._directions()
        self._link()
        self._note_whole()
        self._find_arrays()
        text = self._text()
        return Module(
            self.name, text,
            {port: Port(port, self.directions[port], net.width, len(net.signals) if net.row else 0,
                        not self.lanes or id(net.signals[0]) in self.nets.shared)
             for port, net in self.nets.ports.items()},
            tuple(dict.fromkeys(self.parts[id(block)].name for group in self.groups for block in group.blocks)),
            self._paths(), dict(self._driven()), dict(self._located()), self.lanes, self.ranges,
        )

    # -- processes -----------------------------------------------------------------------------------------------------
    def _read(self, process: Any) -> None:
        function = process.func
        body = simplify(inline(read_process(function, self.functions)))
        if self.lanes:
            body = take_lanes(body, lambda signal: id(signal) not in self.nets.shared)
        self.processes.append(_Process(function.__name__, body, edge_of(process), docstring(function.__code__)))
        self.ranges.process(function.__name__, body, function.__code__.co_filename.rpartition("/")[2])

    def _find_memories(self) -> None:
        """Lists that one process writes word by word, and that no loop and no instance touches, are memories."""
        writers: dict[int, set[str]] = {}
        plain: set[int] = set()
        indexed: dict[int, Net] = {}
        for process in self.processes:
            loops = self.ranges.scopes[process.name].loops
            for node, drives in _accesses(process.body):
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
        touched = {id(net) for process in self.processes for node, _ in _accesses(process.body)
                   for net, _ in ([self.nets.home(node.signal)] if isinstance(node, tree.Read)
                                  else [(self.nets.vector(node.vector, node.name), 0)])}
        for net in self.nets.vectors:
            if net.row > 1 and net.used and not net.port:
                net.array = pieces.get(id(net), False) and id(net) not in touched

    def _note_process(self, process: _Process) -> None:
        driven: set[int] = set()
        for node, drives in _accesses(process.body):
            if isinstance(node, tree.Read):
                places = [self.nets.home(node.signal, node.name)]
            else:
                net = self.nets.vector(node.vector, node.name)
                places = [(net, index) for index in range(len(net.signals))]
            if drives:
                for place in places:
                    signal = place[0].signals[place[1]]
                    if id(signal) not in driven:
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
        for port, net in self.nets.ports.items():
            driven = [id(signal) in self.drivers for signal in net.signals]
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
                if not getattr(signal, "constant", False):
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

    # -- text ----------------------------------------------------------------------------------------------------------
    def _text(self) -> str:
        self._check_names()
        nets = frozenset([net.name for net in self.nets.check()] + ["lane"] * self.lanes)
        # no constant is called as a parameter, a count of instances, or a local, which would hide it
        others = frozenset(name for net in self.nets.check() for name in self.nets.values(net)) | {"LANES"} | {
            f"{group.name.upper()}{end}" for group in self.groups if group.loops for end in ("", "_LANES")} | {
            local for scope in self.ranges.scopes.values() for local in scope.locals}
        shared = Shared(self.ranges, Constants(taken=nets | others), Usage(), nets)
        previous: list[str] = []
        while True:
            lines = self._lines(shared)
            if lines == previous:
                return "\n".join(lines) + "\n"
            previous = lines
            shared = Shared(self.ranges, Constants(taken=nets | others, wider=shared.constants.widths), Usage(),
                            shared.taken, shared.usage)

    def _check_names(self) -> None:
        """Raises HierarchyError for a name that Verilog reserves, and for two things of one name."""
        names = [("module", self.name), *(("net", net.name) for net in self.nets.check()),
                 *(("process", process.name) for process in self.processes),
                 *(("instances", group.name) for group in self.groups if group.loops)]
        seen = {"lane"} if self.lanes else {"word"} if any(net.memory for net in self.nets.check()) else set()
        for kind, name in names:
            if name in VERILOG_KEYWORDS:
                raise HierarchyError(f"{self.name}: {kind} {name} is called as a word that Verilog reserves")
            if kind != "module" and name in seen:
                raise HierarchyError(f"{self.name}: two of its nets, processes and instances are called {name}")
            if kind != "module":
                seen.add(name)

    def _lines(self, shared: Shared) -> list[str]:
        self.assigned = set()
        bodies = [line for process in self.processes for line in ["", *self._process(process, shared)]]
        instances = [line for group in self.groups for line in ["", *self._instances(group, shared)]]
        links = self._links(shared)
        nets = self._declarations(shared)
        parameters, constants = self._parameters(shared)
        lines = [f"// {line}".rstrip() for line in (docstring(self.block.func.__code__) or self.name).split("\n")]
        lines += ["", "`default_nettype none", "", *self._header(parameters, shared)]
        for section in (constants, nets, links, self._start()):
            if section:
                lines += ["", *section]
        return [*lines, *bodies, *instances, "", "endmodule", "", "`default_nettype wire"]

    def _header(self, parameters: list[str], shared: Shared) -> list[str]:
        lines = []
        if parameters:
            lines += [f"module {self.name} #(", *_listed(parameters, ","), ") ("]
        else:
            lines.append(f"module {self.name} (")
        declared = []
        for port, net in self.nets.ports.items():
            direction = self.directions[port]
            kind = "reg " if direction == "output" and net.driver == "reg" and id(net) not in self.assigned else "wire"
            signed = "signed " if net.signed else ""
            text = f"{direction:6} {kind} {signed}{self.nets.range(net)}{port}".replace("reg  ", "reg  ")
            declared.append((text, self._waiver(net, shared)))
        for number, (text, waiver) in enumerate(declared):
            comma = "," if number < len(declared) - 1 else ""
            lines += _waived(f"{INDENT}{text}{comma}", waiver)
        return [*lines, ");"]

    def _waiver(self, net: Net, shared: Shared) -> tuple[str, str] | None:
        """The warnings to be waived on a net's declaration, and why."""
        if net.memory or self.lanes:
            return None
        places = range(len(net.signals))
        driven = all(id(net.signals[at]) in self.drivers for at in places)
        if net.row:
            used = all((id(net), at) in self.whole for at in places)
        else:
            full = (1 << net.width) - 1
            used = (id(net), 0) in self.whole or shared.usage.bits.get(("", net.name), 0) & full == full
        warnings = [*([] if used or self.directions.get(net.name) == "output" else ["UNUSEDSIGNAL"]),
                    *([] if driven else ["UNDRIVEN"])]
        if net.port and net.name in CPP_WORDS:
            return " ".join([*warnings, "SYMRSVDWORD"]), "the name is as in the specification"
        return (" ".join(warnings), "not all of it is used in this configuration") if warnings else None

    def _note_whole(self) -> None:
        """Notes the signals that something other than an expression reads: instances, assignments, clocks."""
        self.whole = {(id(driver), at) for _, _, driver, at in self.links if at >= 0}
        self.whole |= {(id(net), at) for net, at in self.instance_uses}
        for process in self.processes:
            if process.edge is not None:
                net, at = self.nets.home(process.edge[1])
                self.whole.add((id(net), at))
            for node, drives in _accesses(process.body):
                if isinstance(node, tree.Element):
                    net = self.nets.vector(node.vector, node.name)
                    if not drives:
                        self.whole |= {(id(net), at) for at in range(len(net.signals))}
                elif not drives:
                    net, at = self.nets.home(node.signal)
                    if net.row:
                        self.whole.add((id(net), at))

    def _parameters(self, shared: Shared) -> tuple[list[str], list[str]]:
        parameters = ["parameter LANES = 1"] if self.lanes else []
        constants: list[str] = []
        values: dict[str, int] = {}
        for net in self.nets.check():
            if net.port:
                parameters += [f"parameter {name} = {value}" for name, value in self.nets.values(net).items()]
            else:
                values.update(self.nets.values(net))
        for group in self.groups:
            if group.loops:
                values[group.name.upper()] = len(group.blocks)
        constants += [f"localparam {name} = {value};" for name, value in values.items()]
        constants += [f"localparam {name} = {value};" for name, value in shared.constants.counts.items()]
        for name, value in shared.constants.values.items():
            width = shared.constants.widths[name]
            constants.append(f"localparam {vector(width)}{name} = {literal(value, width)};")
        return parameters, constants

    def _declarations(self, shared: Shared) -> list[str]:
        lines = []
        for net in self.nets.check():
            if net.port or not net.driver:
                continue
            kind = "reg" if net.driver == "reg" and id(net) not in self.assigned else "wire"
            extent = f" [0:{len(net.signals) - 1}]" if net.memory else (
                f" [0:{minus_one(self.nets.count(net))}]" if net.array else "")
            signed = "signed " if net.signed else ""
            lines += _waived(f"{kind} {signed}{self.nets.range(net)}{net.name}{extent};", self._waiver(net, shared))
        return lines

    def _links(self, shared: Shared) -> list[str]:
        lines = []
        for net, index, driver, at, size in self._runs():
            target = self.nets.slice(net, index, 0, size, "") if net.row else self.nets.reference(net).whole()
            if at < 0:
                start = literal(int(net.signals[index]._init), net.width)
                value = start if size == 1 else f"{{{self.nets.extent(net, size)}{{{start}}}}}"
            else:
                value = (self.nets.slice(driver, at, 0, size, "") if driver.row
                         else self.nets.reference(driver).whole())
            lines.append(f"assign {target} = {value};")
        return lines

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

    def _select(self, net: Net, index: int) -> Reference:
        if not net.row:
            return self.nets.reference(net)
        count = len(net.signals) // net.row
        if net.row == 1 and self.nets.symbolic and index == count - 1 > 1:
            return self.nets.reference(net, f"({self.nets.count(net)} - 1)")
        return self.nets.reference(net, index)

    def _start(self) -> list[str]:
        """What registers and memories begin with in a simulation, as in MyHDL."""
        lines: list[str] = []
        clocked = {id(signal) for process in self.processes if process.edge is not None
                   for node, drives in _accesses(process.body) if drives
                   for signal in ([node.signal] if isinstance(node, tree.Read) else elements(node.vector))}
        loops = False
        for net in self.nets.check():
            if net.driver != "reg" or id(net.signals[0]) not in clocked:
                continue
            starts = [int(signal._init) for signal in net.signals]
            if net.memory:
                loops = True
                lines.append(f"{INDENT}for (word = 0; word < {len(starts)}; word = word + 1) {net.name}[word] = "
                             f"{literal(starts[0], net.width)};")
            elif net.row and len(set(starts)) > 1:
                parts = ", ".join(literal(start, net.width) for start in reversed(starts))
                lines.append(f"{INDENT}{net.name} <= {{{parts}}};")
            elif net.row or (self.lanes and id(net.signals[0]) not in self.nets.shared):
                count = self.nets.count(net) if net.row else "LANES"
                lines.append(f"{INDENT}{net.name} <= {{{count}{{{literal(starts[0], net.width)}}}}};")
            else:
                lines.append(f"{INDENT}{net.name} <= {literal(starts[0], net.width)};")
        if not lines:
            return []
        return ["`ifndef SYNTHESIS", *(["integer word;"] if loops else []),
                "// as in hardware after a reset; later than all processes began to wait, which then see it",
                "/* verilator lint_off INITIALDLY */", "initial begin", *lines, "end",
                "/* verilator lint_on INITIALDLY */", "`endif"]

    def _process(self, process: _Process, shared: Shared) -> list[str]:
        scope = self.ranges.scopes[process.name]
        writer = Writer(process.name, shared, scope, self._net, self._elements,
                        "<=" if process.edge is not None else "=")
        if process.edge is None and not self.lanes:
            assigns = self._assigns(process, writer)
            if assigns is not None:
                return assigns
        indent = INDENT * 2 if self.lanes else INDENT
        body = writer.block(process.body, indent)
        lines = [f"// {line}".rstrip() for line in process.docstring.split("\n")] if process.docstring else []
        when = "*" if process.edge is None else f"({process.edge[0]} {self._clock(process.edge[1])})"
        lines.append(f"always @{when} begin : {process.name}")
        declared = [INDENT + line for line in writer.declarations()]
        # before the loop: a simulator then keeps them nowhere
        defaults = [INDENT + line for line in writer.defaults(all_of_them=self.lanes)]
        if self.lanes:
            body = [f"{INDENT}for (lane = 0; lane < LANES; lane = lane + 1) begin", *body, f"{INDENT}end"]
            return [*lines, f"{INDENT}integer lane;", *declared, *defaults, *body, "end"]
        return [*lines, *declared, *defaults, *body, "end"]

    def _clock(self, signal: Any) -> str:
        return self.nets.reference(*self.nets.home(signal)).whole()

    def _assigns(self, process: _Process, writer: Writer) -> list[str] | None:
        """A combinational process that only says what each net is, as assignments; None for any other."""
        if not all(isinstance(s, tree.Drive) and s.low is None and isinstance(s.target, tree.Read)
                   for s in process.body):
            return None
        targets = [self.nets.home(s.target.signal)[0] for s in process.body]  # type: ignore[union-attr]
        if any(net.row for net in targets) or len({id(net) for net in targets}) != len(targets):
            return None
        lines: list[str] = []
        for statement in process.body:
            text = writer.block([statement], "")
            if len(text) != 1 + len(statement.comments):
                return None
            lines += [*text[:-1], f"assign {text[-1]}"]
        self.assigned |= {id(net) for net in targets}
        return lines

    def _net(self, node: tree.Expression, writer: Expressions) -> Reference:
        if isinstance(node, tree.Read):
            return self.nets.reference(*self.nets.home(node.signal, node.name))
        assert isinstance(node, tree.Element)
        net = self.nets.vector(node.vector, node.name)
        return self.nets.reference(net, writer.index(node.index, len(net.signals)))

    def _elements(self, node: tree.Element, count: int) -> str:
        """Several elements of a list, from one on."""
        assert isinstance(node.index, tree.Number)
        return self.nets.slice(self.nets.vector(node.vector, node.name), node.index.value, 0, count, "")

    def _instances(self, group: Group, shared: Shared) -> list[str]:
        module = self.parts[id(group.blocks[0])]
        if not group.loops:
            return self._one(module, self._instance(group.name), self._plain(group.blocks[0]), "")
        connections = self.loops[group.name]
        count, variable = group.name.upper(), f"{group.name}_index"
        step, parameters, chosen = "1", "", []
        if module.lanes:
            step = f"{count}_LANES"
            parameters = f"#(.LANES({step})) "
            chosen = ["`ifdef SYNTHESIS", f"localparam {step} = 1;", "`else",
                      "// one instance and one process for all: to a simulator thousands of them are as many copies",
                      f"localparam {step} = {count};", "`endif", ""]
        texts = {port: self.nets.slice(c.net, c.first, c.stride, c.size, variable, step if module.lanes else "")
                 if c.stride else self._shown(c) for port, c in connections.items()}
        inner = group.blocks[0].func.__name__
        return [*chosen, "generate", f"{INDENT}genvar {variable};",
                f"{INDENT}for ({variable} = 0; {variable} < {count}; {variable} = {variable} + {step}) "
                f"begin : {group.name}",
                *self._one(module, inner, texts, INDENT * 2, parameters), f"{INDENT}end", "endgenerate"]

    def _shown(self, connection: Connection) -> str:
        """A connection that is the same for every instance."""
        if connection.size > 1:
            return self.nets.slice(connection.net, connection.first, 0, connection.size, "")
        return self._select(connection.net, connection.first).whole()

    def _plain(self, block: Any) -> dict[str, str]:
        texts = {}
        for port, value in port_values(block).items():
            signals = elements(value)
            if len(signals) > 1:
                net, first = self.nets.run(signals)[0]
                texts[port] = self.nets.slice(net, first, 0, len(signals), "")
            else:
                texts[port] = self._select(*self.nets.home(signals[0])).whole()
        return texts

    def _one(self, module: Module, instance: str, texts: dict[str, str], indent: str, parameters: str = "") -> list[str]:
        given = [f"{indent}{INDENT}.{port}({texts[port]})" for port in module.ports]
        return [f"{indent}{module.name} {parameters}{instance} (", *(line + "," for line in given[:-1]), given[-1],
                f"{indent});"]


def _listed(items: Sequence[str], separator: str) -> list[str]:
    return [f"{INDENT}{item}{separator}" for item in items[:-1]] + [f"{INDENT}{item}" for item in items[-1:]]


def _waived(line: str, waiver: tuple[str, str] | None) -> list[str]:
    """A declaration between comments that waive warnings about it."""
    if waiver is None:
        return [line]
    warnings, reason = waiver
    off = " ".join(f"/* verilator lint_off {warning} */" for warning in warnings.split())
    return [f"{off} // {reason}", line, off.replace("lint_off", "lint_on")]


def _moves(body: Sequence[tree.Statement]) -> Iterator[tree.Move]:
    for statement in body:
        if isinstance(statement, tree.Move):
            yield statement
        elif isinstance(statement, tree.If):
            yield from _moves((*statement.then, *statement.other))
        elif isinstance(statement, tree.For):
            yield from _moves(statement.body)


def _accesses(body: Sequence[tree.Statement]) -> Iterator[tuple[tree.Read | tree.Element, bool]]:
    """The signals that statements name, and whether they drive them."""
    for statement in body:
        roots: list[tree.Expression] = []
        if isinstance(statement, tree.Assign | tree.Return):
            roots = [statement.value]
        elif isinstance(statement, tree.Put):
            roots = [statement.value, statement.low]
        elif isinstance(statement, tree.Drive):
            yield statement.target, True
            roots = [statement.value, *statement.target.parts(), *([statement.low] if statement.low else [])]
        elif isinstance(statement, tree.Move):
            yield statement.target, True
            yield statement.source, False
        elif isinstance(statement, tree.If):
            roots = [statement.test]
            yield from _accesses(statement.then)
            yield from _accesses(statement.other)
        elif isinstance(statement, tree.For):
            yield from _accesses(statement.body)
        for root in roots:
            for node in tree.walk(root):
                if isinstance(node, tree.Read | tree.Element):
                    yield node, False

>>>>>>> checks

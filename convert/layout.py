"""A block's module as text: ports, parameters, constants, nets, processes and instances, in this order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.blocks import elements, port_values, processes
from myhdl_fsa.convert.constants import Constants, Usage, literal
from myhdl_fsa.convert.expressions import Expressions
from myhdl_fsa.convert.instances import Connection, Group
from myhdl_fsa.convert.keywords import CPP_WORDS
from myhdl_fsa.convert.memories import RamStyle
from myhdl_fsa.convert.module import Module, Port
from myhdl_fsa.convert.nets import Net, minus_one
from myhdl_fsa.convert.reference import Reference
from myhdl_fsa.convert.source import docstring
from myhdl_fsa.convert.statements import INDENT, Writer, vector
from myhdl_fsa.convert.statements import Module as Shared
from myhdl_fsa.convert.wiring import Process, Wiring, accesses

__all__ = ["convert_block"]


def convert_block(
    block: Any, name: str, parts: dict[int, Module], shared: set[str] | None = None, ram_style: RamStyle | None = None
) -> Module:
    """The module ``name`` of a block whose blocks are modules already, ``parts`` by the block's identity.

    With ``shared`` the module stands for several such blocks side by side, all ports but those having a lane for each.
    ``ram_style`` says what its memories are to be made of. Raises HierarchyError, ReadError and InferenceError.
    """
    return _Layout(block, name, parts, shared, ram_style).convert()


class _Layout(Wiring):
    """Writes what the wiring found."""

    def __init__(
        self, block: Any, name: str, parts: dict[int, Module], shared: set[str] | None, ram_style: RamStyle | None
    ) -> None:
        super().__init__(block, name, parts, shared)
        self.ram_style = ram_style

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
        self._check_names()
        text = self._text()
        inside = [self.parts[id(block)].name for group in self.groups for block in group.blocks]
        return Module(
            self.name, text,
            {port: Port(port, self.directions[port], net.width, len(net.signals) if net.row else 0,
                        not self.lanes or id(net.signals[0]) in self.nets.shared)
             for port, net in self.nets.ports.items()},
            tuple(dict.fromkeys(inside)), self._paths(), tuple(inside), dict(self._driven()), dict(self._located()),
            self.lanes, self.ranges,
        )

    # -- text ----------------------------------------------------------------------------------------------------------
    def _text(self) -> str:
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

    def _lines(self, shared: Shared) -> list[str]:
        self.assigned = set()
        bodies = [line for process in self.processes for line in ["", *self._process(process, shared)]]
        instances = [line for group in self.groups for line in ["", *self._instances(group)]]
        links = self._links()
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
            lines += [f"module {self.name} #(", *_listed(parameters), ") ("]
        else:
            lines.append(f"module {self.name} (")
        columns = []
        for port, net in self.nets.ports.items():
            direction = self.directions[port]
            kind = "reg" if direction == "output" and net.driver == "reg" and id(net) not in self.assigned else "wire"
            signed = "signed " if net.signed else ""
            columns.append((f"{direction:6} {kind:4} {signed}{self.nets.range(net)}", port, self._waiver(net, shared)))
        widest = max((len(kind) for kind, _, _ in columns), default=0)
        commas = [","] * (len(columns) - 1) + [""]
        lines += _waived([(f"{INDENT}{kind:{widest}}{port}{comma}", waiver)
                          for (kind, port, waiver), comma in zip(columns, commas, strict=True)])
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
            style = self.ram_style(len(net.signals), net.width) if net.memory and self.ram_style else ""
            attribute = f'(* ram_style = "{style}" *) ' if style else ""
            lines.append((f"{attribute}{kind} {signed}{self.nets.range(net)}{net.name}{extent};",
                          self._waiver(net, shared)))
        return _waived(lines)

    def _links(self) -> list[str]:
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

    def _single(self, net: Net, index: int) -> str:
        """One signal of a net."""
        if net.array:
            return self.nets.slice(net, index, 0, 1, "")
        count = len(net.signals) // net.row if net.row else 0
        if net.row == 1 and self.nets.symbolic and index == count - 1 > 1:
            return self.nets.reference(net, f"({self.nets.count(net)} - 1)").whole()
        return self.nets.reference(net, index).whole()

    def _start(self) -> list[str]:
        """What registers and memories begin with in a simulation, as in MyHDL."""
        lines: list[str] = []
        clocked = {id(signal) for process in self.processes if process.edge is not None
                   for node, drives in accesses(process.body) if drives
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
                "// a simulation starts like MyHDL's; nonblocking: what waits for a change then sees one",
                "/* verilator lint_off INITIALDLY */", "initial begin", *lines, "end",
                "/* verilator lint_on INITIALDLY */", "`endif"]

    def _process(self, process: Process, shared: Shared) -> list[str]:
        scope = self.ranges.scopes[process.name]
        writer = Writer(process.name, shared, scope, self._net, self._elements,
                        "<=" if process.edge is not None else "=")
        if process.edge is None and not self.lanes:
            assigns = self._assigns(process, writer)
            if assigns is not None:
                return assigns
        indent = INDENT * 2 if self.lanes else INDENT
        body = writer.block(process.body[process.whole:], indent)
        lines = [f"// {line}".rstrip() for line in process.docstring.split("\n")] if process.docstring else []
        when = "*" if process.edge is None else f"({process.edge[0]} {self._clock(process.edge[1])})"
        lines.append(f"always @{when} begin : {process.name}")
        declared = _waived([(INDENT + line, waiver) for line, waiver in writer.declarations()])
        # before the loop: a simulator then keeps them nowhere
        defaults = [INDENT + line for line in _filled(writer.defaults(all_of_them=self.lanes))]
        if self.lanes:
            body = [*self._all_lanes(process), f"{INDENT}for (lane = 0; lane < LANES; lane = lane + 1) begin",
                    *body, f"{INDENT}end"]
            return [*lines, f"{INDENT}integer lane;", *declared, *defaults, *body, "end"]
        return [*lines, *declared, *defaults, *body, "end"]

    def _all_lanes(self, process: Process) -> list[str]:
        """What every lane passes on, as whole vectors."""
        lines: list[str] = []
        for statement in process.body[:process.whole]:
            assert isinstance(statement, tree.Drive) and isinstance(statement.value, tree.Read)
            target, value = (self.nets.home(read.signal)[0].name  # type: ignore[union-attr]
                             for read in (statement.target, statement.value))
            lines += [f"{INDENT}// {comment}" for comment in statement.comments]
            lines.append(f"{INDENT}{target} {'<=' if process.edge is not None else '='} {value};")
        return lines

    def _clock(self, signal: Any) -> str:
        return self.nets.reference(*self.nets.home(signal)).whole()

    def _assigns(self, process: Process, writer: Writer) -> list[str] | None:
        """A combinational process that only says what each net is, as assignments; None for any other."""
        targets: list[Net] = []
        for drive in process.body:
            if not (isinstance(drive, tree.Drive) and drive.low is None and isinstance(drive.target, tree.Read)):
                return None
            targets.append(self.nets.home(drive.target.signal)[0])
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

    def _instances(self, group: Group) -> list[str]:
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
        return self._single(connection.net, connection.first)

    def _plain(self, block: Any) -> dict[str, str]:
        texts = {}
        for port, value in port_values(block).items():
            signals = elements(value)
            if len(signals) > 1:
                net, first = self.nets.run(signals)[0]
                texts[port] = self.nets.slice(net, first, 0, len(signals), "")
            else:
                texts[port] = self._single(*self.nets.home(signals[0]))
        return texts

    def _one(
        self, module: Module, instance: str, texts: dict[str, str], indent: str, parameters: str = ""
    ) -> list[str]:
        given = [f"{indent}{INDENT}.{port}({texts[port]})" for port in module.ports]
        return [f"{indent}{module.name} {parameters}{instance} (", *(line + "," for line in given[:-1]), given[-1],
                f"{indent});"]


def _listed(items: Sequence[str]) -> list[str]:
    return [f"{INDENT}{item}," for item in items[:-1]] + [f"{INDENT}{item}" for item in items[-1:]]


def _filled(statements: Sequence[str], width: int = 110) -> list[str]:
    """Short statements, as many on a line as fit."""
    lines: list[str] = []
    for statement in statements:
        if lines and len(lines[-1]) + 1 + len(statement) <= width:
            lines[-1] += f" {statement}"
        else:
            lines.append(statement)
    return lines


def _waived(lines: Sequence[tuple[str, tuple[str, str] | None]]) -> list[str]:
    """Declarations, those with warnings to be waived between comments that do so."""
    found: list[str] = []
    for waiver, group in groupby(lines, key=lambda line: line[1]):
        texts = [text for text, _ in group]
        if waiver is None:
            found += texts
            continue
        warnings, reason = waiver
        indent = texts[0][:len(texts[0]) - len(texts[0].lstrip())]
        off = " ".join(f"/* verilator lint_off {warning} */" for warning in warnings.split())
        found += [f"{indent}{off} // {reason}", *texts, indent + off.replace("lint_off", "lint_on")]
    return found

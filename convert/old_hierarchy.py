"""One Verilog module per distinct block, instantiated where MyHDL would have flattened it.

MyHDL converts a block together with all it contains. Here every block is converted with its processes alone: nets that
its children drive or read are marked so, and the children follow as instantiations. Two blocks are the same module when
they have the same function, the same parameters and ports of the same widths. Nothing here knows this design.
"""

from __future__ import annotations

import inspect
import keyword
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from unittest.mock import patch

from myhdl._always_comb import _AlwaysComb
from myhdl._block import _Block
from myhdl._instance import _Instantiator
from myhdl._Signal import _Signal
from myhdl.conversion._toVerilog import _ToVerilogConvertor

from myhdl_fsa.arithmetic.scalar import LOCAL_WIDTH
from myhdl_fsa.convert.keywords import VERILOG_KEYWORDS
from myhdl_fsa.convert.verilog import polish
from myhdl_fsa.sims.cycle_simulator import CycleSimulator, processes
from myhdl_fsa.workbench.temporary import temporary_folder

__all__ = [
    "Design",
    "HierarchyError",
    "Module",
    "arguments",
    "check_names",
    "children",
    "driven_ports",
    "find",
    "flatten",
    "identity",
    "parameters",
    "ports",
    "twin_of",
]


class HierarchyError(ValueError):
    """A block that cannot be kept as a module; the message is one line naming the block and the port or signal."""


@dataclass(frozen=True)
class Module:
    """A Verilog module: its text, the direction of its ports, and the modules it instantiates."""

    name: str
    text: str
    directions: dict[str, str]
    """port name -> ``input`` or ``output``, in order"""
    children: tuple[str, ...]
    """names of the modules it instantiates, each once"""
    instances: tuple[str, ...] = ()
    """instance names, in the order of the block's children"""
    driven: dict[str, str] = field(default_factory=dict)
    """what its processes drive: the name in Python -> the net's (or memory's) name in Verilog"""


def ports(block: Any) -> dict[str, Any]:
    """A block's signals by their Verilog port names; an interface's attribute ``x`` is ``<argument>_x``."""
    found: dict[str, Any] = {}
    for name, value in arguments(block).items():
        found.update(flatten(name, value))
    return found


def flatten(name: str, value: Any) -> dict[str, Any]:
    """A port's signals by their Verilog names: an interface's attribute ``x`` is ``<name>_x``."""
    return dict(_signals(name, value))


def _signals(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, _Signal):
        yield name, value
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        for attribute, inner in vars(value).items():
            if isinstance(inner, _Signal):
                yield f"{name}_{attribute}", inner


def parameters(block: Any) -> dict[str, Any]:
    """A block's arguments that are not ports."""
    return {name: value for name, value in arguments(block).items() if not flatten(name, value)}


def arguments(block: Any) -> dict[str, Any]:
    """What a block was instantiated with, by the names of its function's parameters."""
    return _signature(block.func).bind(*block.args, **block.kwargs).arguments


_signature = cache(inspect.signature)


def identity(block: Any) -> tuple[Any, ...]:
    """Equal for blocks that are the same module."""
    widths = tuple((name, len(signal)) for name, signal in ports(block).items())
    return (block.func, widths, tuple((name, repr(value)) for name, value in parameters(block).items()))


@dataclass
class Design:
    """A block of an elaborated design and everything in it, as Verilog modules."""

    whole: Any
    """the design, which gives the signals their initial values"""
    top: Any
    """the block to convert: the design itself, or a block inside"""
    name: str
    """of the top module"""
    modules: dict[str, Module] = field(default_factory=dict)
    """by name, children before parents"""
    _names: dict[tuple[Any, ...], str] = field(default_factory=dict)

    def convert(self) -> dict[str, Module]:
        """Converts every distinct block once. Raises HierarchyError and myhdl.ConversionError."""
        self._settle()
        self.name_modules()
        with patch.object(self.top.__class__, "_clear", lambda _: None):
            self._convert(self.top)
        return self.modules

    def module_of(self, block: Any) -> Module:
        """The module that a block of this design, or of one elaborated alike, was converted to."""
        return self.modules[self.name_of(block)]

    def name_of(self, block: Any) -> str:
        """The name of a block's module; likewise."""
        return self._names[identity(block)]

    def _settle(self) -> None:
        """Makes what the combinational processes give at the start the initial value of what they drive.

        MyHDL runs them once at time 0; a Verilog ``always @(...)`` waits for a change, which a register that starts at
        its reset value never gives.
        """
        simulator = CycleSimulator(self.whole)
        simulator.start()
        # a block that was not elaborated gives what its twin gives
        while self._answer(self.whole):
            simulator.settle()
        self._check_starts(self.whole)
        for process in processes(self.whole):
            if isinstance(process, _AlwaysComb):
                for name in process.outputs:
                    driven = process.symdict[name]
                    for signal in driven if isinstance(driven, list) else [driven]:
                        signal._init = deepcopy(signal._val)

    def _answer(self, block: Any) -> bool:
        """Puts the twins' values on what unelaborated blocks drive; True if that changed anything."""
        changed = False
        for child in children(block):
            if twin_of(child) is child:
                changed |= self._answer(child)
                continue
            given, mirrored = ports(child), ports(twin_of(child))
            for name in driven_ports(twin_of(child)):
                if given[name]._val != mirrored[name]._val:
                    given[name].next = mirrored[name]
                    changed = True
        return changed

    def _check_starts(self, block: Any) -> None:
        """Blocks of one module have to start alike: their combinational outputs' start values are in its text."""
        inputs: dict[int, set[str]] = {}
        for child in children(block):
            twin = twin_of(child)
            if twin is child:
                self._check_starts(child)
                continue
            if id(twin) not in inputs:
                inputs[id(twin)] = set(ports(twin)) - set(driven_ports(twin))
            given, mirrored = ports(child), ports(twin)
            for name in inputs[id(twin)]:
                here, there = given[name]._val, mirrored[name]._val
                if here != there:
                    raise HierarchyError(f"{child.func.__name__}: port {name} starts at {there} in one instance and at "
                                         f"{here} in another, which one module cannot hold")

    def name_modules(self) -> None:
        """The function's name; where several modules share it, the integer parameters in which they differ."""
        variants: dict[str, dict[tuple[Any, ...], Any]] = {}

        def collect(block: Any) -> None:
            found = variants.setdefault(block.func.__name__, {})
            if found.setdefault(identity(block), block) is block:
                for child in children(twin_of(block)):
                    collect(child)

        for child in children(self.top):
            collect(child)
        self._names[identity(self.top)] = self.name
        taken = {self.name}
        for base, found in variants.items():
            for key, block in found.items():
                if key in self._names:
                    continue
                name = base if len(found) == 1 and base not in taken else base + "".join(
                    f"_{value}" for value in parameters(block).values() if isinstance(value, int)
                )
                stem, number = name, 2
                while name in taken:
                    name, number = f"{stem}_{number}", number + 1
                taken.add(name)
                self._names[key] = name

    def _convert(self, block: Any) -> Module:
        name = self.name_of(block)
        if name in self.modules:
            return self.modules[name]
        block = twin_of(block)
        parts = [(child, self._convert(child)) for child in children(block)]
        module = _Converter(block, name, parts).convert()
        self.modules[name] = module
        return module


def find(block: Any, name: str) -> Any:
    """The first block called ``name`` in a design, itself included. Raises HierarchyError."""
    if block.func.__name__ == name:
        return block
    for child in children(block):
        try:
            return find(child, name)
        except HierarchyError:
            continue
    raise HierarchyError(f"{block.func.__name__} holds no block called {name}")


def twin_of(block: Any) -> Any:
    """The block of the same module that was elaborated: the block itself, or see ``convert.distinct``."""
    return getattr(block, "twin", block)


def driven_ports(block: Any) -> list[str]:
    """The ports that processes of an elaborated block, or of a block inside it, drive."""
    if not hasattr(block, "driven_ports"):
        block.driven_ports = _find_driven_ports(block)
    return block.driven_ports


def _find_driven_ports(block: Any) -> list[str]:
    driven: set[int] = set()

    def collect(inside: Any) -> None:
        for process in inside.subs:
            if isinstance(process, _Instantiator):
                for name in process.outputs:
                    value = process.symdict[name]
                    driven.update(id(signal) for signal in (value if isinstance(value, list) else [value]))
        for child in children(inside):
            if twin_of(child) is child:
                collect(child)
            else:
                given = ports(child)
                driven.update(id(given[name]) for name in driven_ports(twin_of(child)))

    collect(block)
    return [name for name, signal in ports(block).items() if id(signal) in driven]


def children(block: Any) -> list[Any]:
    """The blocks inside a block, not those inside them."""
    return [sub for sub in block.subs if isinstance(sub, _Block)]


class _Converter:
    """Converts one block whose children are modules already."""

    def __init__(self, block: Any, name: str, parts: list[tuple[Any, Module]]) -> None:
        self.block, self.name = block, name
        self.ports = ports(block)
        self.own = [sub for sub in block.subs if isinstance(sub, _Instantiator)]
        self.links: list[tuple[str, Module, dict[str, Any]]] = []
        """instance name, module, and the net at each port, by port"""
        self.undriven: dict[str, Any] = {}
        """nets that are read and driven by nobody, by name"""
        self.undriven_lists: list[str] = []
        """and the same of elements of lists of signals"""
        counts: dict[str, int] = {}
        for child, module in parts:
            index = counts.setdefault(module.name, 0)
            counts[module.name] += 1
            self.links.append((f"{module.name}_{index}", module, ports(child)))

    def convert(self) -> Module:
        self._forget()
        self._mark()
        text, nets = self._run()
        directions = {name: direction for direction, name in _PORT.findall(text)}
        self._check(directions)
        starts = {name: int(signal._init) for name, signal in self.ports.items()}
        text = polish(text, starts, self._local_widths())
        body = text.rstrip().removesuffix("endmodule").rstrip("\n")
        instances = "".join(_instantiate(name, module, link, nets) for name, module, link in self.links)
        text = self._tie_down(f"{body}\n\n{instances}endmodule\n")
        check_names(self.name, text)
        return Module(
            self.name, text, directions,
            tuple(dict.fromkeys(module.name for _, module, _ in self.links)),
            tuple(instance for instance, _, _ in self.links), self._driven(nets),
        )

    def _driven(self, nets: dict[int, str]) -> dict[str, str]:
        names = {}
        for process in self.own:
            for name in process.outputs:
                driven = process.symdict[name]
                names[name] = (nets[id(driven[0])].removesuffix("[0]") if isinstance(driven, list)
                               else nets[id(driven)])
        return names

    def _forget(self) -> None:
        """Drops what the conversion of a child left on the signals it shares with this block."""
        nets = [signal for _, _, link in self.links for signal in link.values()]
        for signal in (*self.ports.values(), *self.block.sigdict.values(), *nets):
            _clean(signal)
        for memory in self.block.memdict.values():
            memory.name, memory._driven, memory._read = None, False, None
            for signal in memory.mem:
                _clean(signal)

    def _mark(self) -> None:
        """Tells MyHDL of the nets that only the children touch, and names those that have no name yet."""
        for name, signal in self.ports.items():
            self.block.sigdict[name] = signal
            signal._used = True
        named = {id(signal) for signal in self.block.sigdict.values()}
        for memory in self.block.memdict.values():
            if memory._used:
                named.update(id(signal) for signal in memory.mem)
        for wanted in ("output", "input"):  # a net is named after what drives it
            for instance, module, link in self.links:
                for port, signal in link.items():
                    if module.directions[port] != wanted:
                        continue
                    signal._used = True
                    if wanted == "output":
                        if signal._driven:
                            raise HierarchyError(f"{self.name}: {instance}.{port} drives a net that is driven already")
                        signal._driven = "wire"
                    else:
                        signal._read = True
                    if id(signal) not in named:
                        self.block.sigdict[f"{instance}_{port}"] = signal
                        named.add(id(signal))

    def _run(self) -> tuple[str, dict[int, str]]:
        """MyHDL's text for the processes alone, and each net's name by the signal's identity."""
        nets: dict[int, str] = {}

        def keep_names(converter: Any, signals: Any, memories: Any) -> None:
            for signal in (*signals, *self.ports.values()):
                nets[id(signal)] = str(signal._name)
            for memory in memories:
                for signal in memory.mem:
                    nets[id(signal)] = str(signal._name)
            self._find_undriven(signals, memories)
            _CLEANUP(converter, signals, memories)

        subs, self.block.subs = self.block.subs, self.own
        try:
            with temporary_folder() as folder, warnings.catch_warnings():
                # an input that a configuration does not use is no fault of the block's
                warnings.simplefilter("ignore")
                with patch.object(_ToVerilogConvertor, "_cleanup", keep_names):
                    self.block.convert(
                        hdl="Verilog", path=str(folder), name=self.name, testbench=False, initial_values=True
                    )
                return (folder / f"{self.name}.v").read_text(), nets
        finally:
            self.block.subs = subs

    def _check(self, directions: dict[str, str]) -> None:
        for port in directions:
            if keyword.iskeyword(port):
                raise HierarchyError(f"{self.name}: port {port} is named like a keyword of Python")

    def _find_undriven(self, signals: Any, memories: Any) -> None:
        """Notes what MyHDL and the children's marks say is read and driven by nobody."""
        ports = {id(signal) for signal in self.ports.values()}
        for signal in signals:
            if signal._used and signal._read and not signal._driven and id(signal) not in ports:
                self.undriven[str(signal._name)] = signal
            elif signal._driven and getattr(signal, "constant", False):
                raise HierarchyError(f"{self.name}: net {signal._name} is declared constant and driven")
        for memory in memories:
            # a process may drive any element of a list: MyHDL does not say which
            if not memory._used or memory._driven == "reg":
                continue
            for signal in memory.mem:
                if (memory._read or signal._read) and not signal._driven:
                    self.undriven_lists.append(str(signal._name))

    def _tie_down(self, text: str) -> str:
        """Refuses a net that is read and driven by nobody, which MyHDL ties to its start value without a word.

        One that is read in a folded branch only is no longer there. A signal that is declared constant is what it says.
        """
        for name in self.undriven_lists:
            raise HierarchyError(f"{self.name}: net {name} is read and driven by nobody")
        uses = Counter(re.findall(r"\w+", _COMMENT.sub("", text))) if self.undriven else {}
        for name, signal in self.undriven.items():
            if uses[name] == 2:  # its declaration, and MyHDL's assignment
                text = re.sub(rf"^(?:wire [^\n]*\b|assign ){name}(?: = [^\n]*)?;\n", "", text, flags=re.MULTILINE)
            elif not getattr(signal, "constant", False):
                raise HierarchyError(f"{self.name}: net {name} is read and driven by nobody: drive it, or declare it "
                                     "with signals.constant")
        return text

    def _local_widths(self) -> dict[str, int]:
        """Per process, bits for its int locals: any signal it names and a sign, or what functions it calls declare."""
        widths: dict[str, int] = {}
        for process in self.own:
            named, width = process.func.__code__.co_names, 32
            for cell in process.func.__closure__ or ():
                value = cell.cell_contents
                for item in value if isinstance(value, list) else [value]:
                    if isinstance(item, _Signal):
                        width = max(width, len(item) + 1)
                    else:
                        width = max(width, getattr(item, LOCAL_WIDTH, 0))
                        parts = (s for name, s in _signals("", item) if name.removeprefix("_") in named)
                        width = max([width, *(len(s) + 1 for s in parts)])
            widths[process.func.__name__] = max(width, widths.get(process.func.__name__, 0))
        return widths


def check_names(module: str, text: str) -> None:
    """Raises HierarchyError for a name of a module's text that is a keyword, or that two things of the module share."""
    seen: set[str] = set()
    for match in _DECLARATION.finditer(_COMMENT.sub("", text)):
        name = match["net"] or match["scope"] or match["instance"] or match["inner"]
        if name in VERILOG_KEYWORDS:
            raise HierarchyError(f"{module}: {name} is named like a keyword of Verilog")
        if match["inner"] is None:
            if name in seen:
                raise HierarchyError(f"{module}: two of its nets, processes and instances are called {name}")
            seen.add(name)


_COMMENT = re.compile(r"//.*$", re.MULTILINE)
_DECLARATION = re.compile(
    # a port is an input, or an output that a reg or wire follows
    r"^(?:input|reg|wire)(?: signed)?(?: \[\d+:0\])? (?P<net>\w+)"
    r"|^(?:function [^;]*?|(?:always|initial) .*begin: |initial begin: |module )(?P<scope>\w+)(?:;| \($|$)"
    r"|^(?!module )\w+ (?P<instance>\w+) \($"
    r"|^ +(?:input|integer|reg)(?: signed)?(?: \[\d+:0\])? (?P<inner>\w+)",
    re.MULTILINE,
)
_CLEANUP = _ToVerilogConvertor._cleanup
_PORT = re.compile(r"^(input|output) (?:signed )?(?:\[\d+:0\] )?(\w+);$", re.MULTILINE)


def _clean(signal: Any) -> None:
    signal._name = signal._driven = None
    signal._read = signal._inList = False


def _instantiate(instance: str, module: Module, link: dict[str, Any], nets: dict[int, str]) -> str:
    connections = ",\n".join(f"    .{port}({nets[id(link[port])]})" for port in module.directions)
    return f"{module.name} {instance} (\n{connections}\n);\n\n"

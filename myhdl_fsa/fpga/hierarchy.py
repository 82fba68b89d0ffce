"""The modules of a converted design as yosys elaborates it, each to be synthesised by itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from myhdl_fsa.fpga import yosys

__all__ = ["PREFIX", "STRUCTURE", "Hierarchy", "Port", "Source"]

PREFIX = "fsa_"
"""what the converter may put in front of its modules' names; names here go without"""
STRUCTURE = (
    "accelerator", "decoder", "dma_engine", "loads", "stores", "core", "systolic", "pe_row", "accumulator",
    "plain_array", "plain_row",
)
"""modules that are synthesised apart from what they instantiate; all others are flattened"""


@dataclass(frozen=True)
class Port:
    """A port of a module."""

    name: str
    direction: str
    """input or output"""
    width: int


@dataclass(frozen=True)
class Source:
    """What a run of yosys reads for one module: equal for the same text, whatever design it is from."""

    top: str
    """its name in Verilog"""
    texts: tuple[str, ...]
    stubs: tuple[str, ...] = ()
    """modules of which only the ports count"""
    parameters: tuple[tuple[str, int], ...] = ()

    @property
    def files(self) -> dict[str, str]:
        """The texts by the names that ``script`` has for them."""
        return {"module.v": "".join(self.texts), "stubs.v": "".join(self.stubs)}

    @property
    def script(self) -> list[str]:
        """The commands that read the files and elaborate them."""
        values = "".join(f" -chparam {name} {value}" for name, value in self.parameters)
        return ["read_verilog -lib stubs.v", "read_verilog module.v", f"hierarchy -check -top {self.top}{values}"]


@dataclass(frozen=True)
class _Elaborated:
    """One module, with one set of parameters."""

    verilog: str
    parameters: tuple[tuple[str, int], ...]
    instances: Mapping[str, str]
    """yosys' names of the modules by the instances' own"""
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Hierarchy:
    """A design of converted modules."""

    texts: Mapping[str, str]
    """by name, with or without the prefix; one module is not instantiated by any other"""

    @cached_property
    def _elaborated(self) -> dict[str, _Elaborated]:
        """By yosys' names."""
        script = ["read_verilog -defer design.v", "hierarchy -check -auto-top", "delete */p:*",
                  "write_json design.json"]
        design, _ = yosys.run({"design.v": "".join(self.texts.values())}, script, "design.json")
        modules = json.loads(design)["modules"]
        return {name: _elaborated(name, module, modules) for name, module in modules.items()}

    @cached_property
    def _plain(self) -> dict[str, str]:
        """Plain names by yosys' names; a number tells apart modules that differ in parameters only."""
        names: dict[str, str] = {}
        seen: Counter[str] = Counter()
        for name, module in self._elaborated.items():
            plain = module.verilog.removeprefix(PREFIX)
            seen[plain] += 1
            names[name] = plain if seen[plain] == 1 else f"{plain}_{seen[plain]}"
        return names

    @cached_property
    def _modules(self) -> dict[str, _Elaborated]:
        return {self._plain[name]: module for name, module in self._elaborated.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, name: str) -> bool:
        return name in self._modules

    def children(self, name: str) -> Counter[str]:
        """Instances in a module, by their modules."""
        return Counter(self._plain[module] for module in self._modules[name].instances.values())

    def instances(self, top: str, above: str = "") -> dict[str, str]:
        """The modules of the ``parts`` of ``top`` by the path of each of their instances, ``array.pe_rows[0].pe_row``.

        ``top`` itself has the path ``above``.
        """
        found = {above: top}
        if top in STRUCTURE:
            for instance, module in self._modules[top].instances.items():
                found |= self.instances(self._plain[module], f"{above}.{instance}" if above else instance)
        return found

    def ports(self, name: str) -> tuple[Port, ...]:
        """The ports of a module."""
        return self._modules[name].ports

    def inside(self, name: str) -> list[str]:
        """A module and all that it and its children instantiate, each once."""
        found = [name]
        for module in found:
            found += [child for child in self.children(module) if child not in found]
        return found

    def source(self, name: str, alone: bool = False) -> Source:
        """A module with all that is inside it or, ``alone``, with the ports only of what it instantiates."""
        module = self._modules[name]
        below = dict.fromkeys(self._text(child) for child in self.inside(name)[1:])
        direct = dict.fromkeys(self._text(child) for child in self.children(name))
        own = self._text(name)
        return Source(module.verilog, (own,) if alone else (own, *below), tuple(direct) if alone else (),
                      module.parameters)

    def parts(self, top: str, outside: tuple[str, ...] = ()) -> Counter[str]:
        """How often each module is in ``top`` that is synthesised by itself, but for those whose name starts so."""
        found = Counter({top: 1})
        if top in STRUCTURE:
            for child, times in self.children(top).items():
                if not child.startswith(outside):
                    for name, number in self.parts(child, outside).items():
                        found[name] += times * number
        return found

    def part(self, name: str) -> Source:
        """What is synthesised for one of the ``parts``."""
        return self.source(name, alone=name in STRUCTURE)

    def _text(self, name: str) -> str:
        verilog = self._modules[name].verilog
        return self.texts.get(verilog) or self.texts[verilog.removeprefix(PREFIX)]


def _elaborated(name: str, module: Mapping[str, Any], all_: Collection[str]) -> _Elaborated:
    """``$paramod\\module\\WIDTH=...`` and the like have the module's own name as an attribute."""
    verilog = module["attributes"].get("hdlname", name)
    derived = name.startswith("$paramod")
    values = module.get("parameter_default_values", {}) if derived else {}
    return _Elaborated(
        verilog.removeprefix("\\"), tuple((parameter, int(value, 2)) for parameter, value in values.items()),
        {instance: cell["type"] for instance, cell in module["cells"].items() if cell["type"] in all_},
        tuple(Port(port, item["direction"], len(item["bits"])) for port, item in module["ports"].items()),
    )

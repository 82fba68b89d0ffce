"""One Verilog module per distinct block, instantiated as in the design.

Two blocks are the same module when they have the same function, the same parameters and ports of the same widths.
Nothing here knows this design.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from myhdl_fsa.convert.blocks import (
    HierarchyError,
    arguments,
    children,
    find,
    flatten,
    identity,
    parameters,
    ports,
    processes,
    twin_of,
)
from myhdl_fsa.convert.instances import Group, groups, loop_connections
from myhdl_fsa.convert.layout import convert_block
from myhdl_fsa.convert.memories import RamStyle
from myhdl_fsa.convert.module import Module
from myhdl_fsa.convert.nets import Nets

__all__ = [
    "Design",
    "HierarchyError",
    "Module",
    "PREFIX",
    "arguments",
    "children",
    "find",
    "flatten",
    "identity",
    "parameters",
    "ports",
    "twin_of",
]

PREFIX = "fsa_"
"""of module names"""


@dataclass
class Design:
    """A block of an elaborated design and everything in it, as Verilog modules."""

    whole: Any
    """the design that the block is in, or the block"""
    top: Any
    """the block to convert: the design itself, or a block inside"""
    name: str
    """of the top module, without the prefix"""
    prefix: str = ""
    """of every module"""
    ram_styles: Mapping[str, RamStyle] = field(default_factory=dict)
    """what the memories of blocks of a name are to be made of; those of others are left to synthesis"""
    modules: dict[str, Module] = field(default_factory=dict)
    """by name without the prefix, those inside before those around them"""
    _names: dict[tuple[Any, ...], str] = field(default_factory=dict)
    _grouped: dict[int, list[Group]] = field(default_factory=dict)
    _lanes: dict[str, set[str]] = field(default_factory=dict)
    _converted: dict[str, Any] = field(default_factory=dict)

    def convert(self) -> dict[str, Module]:
        """Converts every distinct block once. Raises HierarchyError, ReadError and InferenceError."""
        self.name_modules()
        self._find_lanes()
        self._convert(self.top)
        return self.modules

    def module_of(self, block: Any) -> Module:
        """The module that a block of this design, or of one elaborated alike, was converted to."""
        return self.modules[self.name_of(block)]

    def name_of(self, block: Any) -> str:
        """The name of a block's module without the prefix; likewise."""
        return self._names[identity(block)]

    def blocks(self) -> Iterator[Any]:
        """The distinct blocks, from the top down."""
        seen: set[int] = set()

        def visit(block: Any) -> Iterator[Any]:
            block = twin_of(block)
            if id(block) not in seen:
                seen.add(id(block))
                yield block
                for child in children(block):
                    yield from visit(child)

        yield from visit(self.top)

    def name_modules(self) -> None:
        """The function's name; where several modules share it, with what the first block of each is called."""
        variants: dict[str, dict[tuple[Any, ...], str]] = {}
        for block in self.blocks():
            self._grouped[id(block)] = groups(block)
            for group in self._grouped[id(block)]:
                for inner in group.blocks:
                    found = variants.setdefault(inner.func.__name__, {})
                    found.setdefault(identity(inner), group.name)
        self._names[identity(self.top)] = self.name
        taken = {self.name}
        for base, found in variants.items():
            for key, called in found.items():
                if key in self._names:
                    continue
                name = base if len(found) == 1 else called if called.startswith(f"{base}_") else f"{base}_{called}"
                stem, number = name, 2
                while name in taken:
                    name, number = f"{stem}_{number}", number + 1
                taken.add(name)
                self._names[key] = name

    def _find_lanes(self) -> None:
        """Blocks without blocks that a loop inside a loop makes stand side by side in one instance.

        A simulator then runs one process over all of them: thousands of instances are as many copies to it.
        """
        looped: set[str] = set()
        uses: dict[str, list[tuple[Any, Group]]] = {}
        for block in self.blocks():
            for group in self._grouped[id(block)]:
                name = self.name_of(group.blocks[0])
                uses.setdefault(name, []).append((block, group))
                if group.loops:
                    looped.add(name)
        for name, found in uses.items():
            block = twin_of(found[0][1].blocks[0])
            if children(block) or not all(group.loops and self.name_of(parent) in looped for parent, group in found):
                continue
            moving: set[str] = set()
            fits = not any(isinstance(process.symdict.get(output), list)
                           for process in processes(block) for output in process.outputs)
            for parent, group in found:
                connections = loop_connections(group, Nets(parent, name))
                fits = fits and connections is not None and all(
                    c.stride in (0, c.size) and c.size == 1 for c in connections.values())
                moving |= {port for port, c in (connections or {}).items() if c.stride}
            if fits:
                self._lanes[name] = set(Nets(block, name).ports) - moving

    def _convert(self, block: Any) -> Module:
        name = self.name_of(block)
        if name in self.modules:
            return self.modules[name]
        block = twin_of(block)
        parts = {id(child): self._convert(child) for child in children(block)}
        self._check_starts(block)
        self.modules[name] = module = convert_block(block, self.prefix + name, parts, self._lanes.get(name),
                                                    self.ram_styles.get(block.func.__name__))
        self._converted[name] = block
        return module

    def _check_starts(self, block: Any) -> None:
        """Blocks of one module have to start alike: the start values of registers are in its text."""
        for child in children(block):
            name = self.name_of(child)
            given, mirrored = ports(child), ports(self._converted[name])
            directions = self.modules[name].directions
            for port in mirrored:
                here, there = given[port]._init, mirrored[port]._init
                if directions.get(port) == "output" and here != there:
                    raise HierarchyError(f"{child.func.__name__}: port {port} starts at {there} in one instance and at "
                                         f"{here} in another, which one module cannot hold")

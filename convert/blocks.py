"""What MyHDL knows of an elaborated design: blocks, their ports and parameters, their processes, and names.

Everything that the converter takes from MyHDL's inside is taken here.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

from myhdl._always import _Always
from myhdl._always_comb import _AlwaysComb
from myhdl._block import _Block
from myhdl._instance import _Instantiator
from myhdl._Signal import _Signal

from myhdl_fsa.convert.read import is_vector

__all__ = [
    "HierarchyError",
    "arguments",
    "children",
    "edge_of",
    "elements",
    "find",
    "flatten",
    "identity",
    "is_bundle",
    "local_names",
    "parameters",
    "port_values",
    "ports",
    "processes",
    "twin_of",
    "width_of",
]


class HierarchyError(ValueError):
    """A block that cannot be kept as a module; the message is one line naming the block and the port or signal."""


def ports(block: Any) -> dict[str, Any]:
    """A block's signals by name; an interface's attribute ``x`` is ``<argument>_x``."""
    found: dict[str, Any] = {}
    for name, value in arguments(block).items():
        found.update(flatten(name, value))
    return found


def flatten(name: str, value: Any) -> dict[str, Any]:
    """A port's signals by name: an interface's attribute ``x`` is ``<name>_x``."""
    return dict(_signals(name, value))


def _signals(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, _Signal):
        yield name, value
    elif hasattr(value, "__dict__") and not isinstance(value, type):
        for attribute, inner in vars(value).items():
            if isinstance(inner, _Signal):
                yield f"{name}_{attribute}", inner


def elements(value: Any) -> list[Any]:
    """The signals of a vector (``read.is_vector``), or the one that is given."""
    return [value] if isinstance(value, _Signal) else [value[index] for index in range(len(value))]


def width_of(signal: Any) -> int:
    """Bits of a signal."""
    return max(1, len(signal))


def parameters(block: Any) -> dict[str, Any]:
    """A block's arguments that are not ports."""
    return {name: value for name, value in arguments(block).items() if not flatten(name, value)}


def arguments(block: Any) -> dict[str, Any]:
    """What a block was instantiated with, by the names of its function's parameters."""
    return _signature(block.func).bind(*block.args, **block.kwargs).arguments


_signature = cache(inspect.signature)


def identity(block: Any) -> tuple[Any, ...]:
    """Equal for blocks that are the same module.

    A block that has one signal at two ports is another than one that has two: its processes read one of them.
    """
    first: dict[int, str] = {}
    widths = tuple((name, len(signal), first.setdefault(id(signal), name)) for name, signal in ports(block).items())
    return (block.func, widths, tuple((name, repr(value)) for name, value in parameters(block).items()))


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


def children(block: Any) -> list[Any]:
    """The blocks inside a block, not those inside them."""
    return [sub for sub in block.subs if isinstance(sub, _Block)]


def processes(block: Any) -> list[Any]:
    """A block's own processes."""
    return [sub for sub in block.subs if isinstance(sub, _Instantiator)]


def edge_of(process: Any) -> tuple[str, Any] | None:
    """``posedge`` or ``negedge`` and the signal, of a clocked process; None for a combinational one.

    Raises HierarchyError for any other process.
    """
    name = process.func.__name__
    if isinstance(process, _AlwaysComb):
        return None
    if isinstance(process, _Always) and len(process.senslist) == 1:
        waiter = process.senslist[0]
        kind = {"_PosedgeWaiterList": "posedge", "_NegedgeWaiterList": "negedge"}.get(type(waiter).__name__)
        if kind is not None:
            return kind, waiter.sig
    raise HierarchyError(f"process {name} is neither combinational nor clocked by one edge")


def local_names(block: Any) -> dict[str, Any]:
    """What a block's function called the things around its processes and blocks."""
    code = block.func.__code__
    locals_ = (*code.co_varnames, *code.co_cellvars)
    found: dict[str, Any] = {}
    for sub in block.subs:
        info = getattr(sub, "callinfo", None)
        if info is not None and info.symdict:
            found.update((name, info.symdict[name]) for name in locals_ if name in info.symdict)
    # the order of the function's code, whatever that of the processes
    return {name: found[name] for name in dict.fromkeys(locals_) if name in found}


def is_bundle(value: Any) -> bool:
    """Whether something is an interface: an object with signals for attributes, and no vector."""
    return (hasattr(value, "__dict__") and not isinstance(value, type | _Signal | _Block) and not callable(value)
            and not is_vector(value)
            and any(isinstance(inner, _Signal) or is_vector(inner) for inner in vars(value).values()))


def port_values(block: Any) -> dict[str, Any]:
    """What a block's ports are connected to: a signal or a vector, by the port's name in Verilog."""
    found: dict[str, Any] = {}
    for name, value in arguments(block).items():
        if isinstance(value, _Signal) or is_vector(value):
            found[name] = value
        elif is_bundle(value):
            found.update((f"{name}_{attribute}", inner) for attribute, inner in vars(value).items()
                         if isinstance(inner, _Signal) or is_vector(inner))
    return found

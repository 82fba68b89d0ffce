"""The instances in a block: one by one, or in a loop where they came from a list and are connected alike."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from myhdl._block import _Block

from myhdl_fsa.convert.blocks import children, elements, identity, local_names, port_values
from myhdl_fsa.convert.nets import Net, Nets

__all__ = ["Connection", "Group", "SMALLEST", "groups", "loop_connections"]

SMALLEST = 3
"""instances from which on a list is a loop"""


@dataclass
class Group:
    """Blocks of one module, in a list of that name; or one block."""

    name: str
    blocks: list[Any]
    loops: bool = False


@dataclass(frozen=True)
class Connection:
    """Where a port of the instances of a loop is connected: ``size`` signals of a net, ``stride`` further each turn."""

    net: Net
    first: int
    stride: int
    size: int


def groups(block: Any) -> list[Group]:
    """The blocks inside a block, those of one list and one module together."""
    named = local_names(block)
    single = {id(value): name for name, value in named.items() if isinstance(value, _Block)}
    listed: dict[int, tuple[str, int, int]] = {}
    for name, value in named.items():
        if isinstance(value, list | tuple) and value and all(isinstance(inner, _Block) for inner in value):
            for index, inner in enumerate(value):
                listed.setdefault(id(inner), (name, index, len(value)))
    found: list[Group] = []
    pending: list[Any] = []
    inside = children(block)
    _list_rest(inside, single, listed)
    for child in inside:
        place = listed.get(id(child))
        if id(child) in single or place is None:
            found.append(Group(single.get(id(child), child.func.__name__), [child]))
            continue
        name, index, count = place
        pending = [*pending, child] if index else [child]
        if index == count - 1:
            alike = len(pending) == count and len({identity(inner) for inner in pending}) == 1
            if alike and count >= SMALLEST:
                found.append(Group(name, pending, loops=True))
            elif count == 1:
                found.append(Group(name, pending))
            else:
                found += [Group(f"{name}_{number}", [inner]) for number, inner in enumerate(pending)]
            pending = []
    _tell_apart(found)
    return found


def _tell_apart(found: list[Group]) -> None:
    """Numbers groups that are called alike: blocks without a name of their own are called after their function."""
    shared = {name for name, count in Counter(group.name for group in found).items() if count > 1}
    taken = {group.name for group in found}
    numbers: Counter[str] = Counter()
    for group in found:
        stem = group.name
        while group.name in taken and stem in shared:
            group.name = f"{stem}_{numbers[stem]}"
            numbers[stem] += 1
        taken.add(group.name)


def _list_rest(inside: list[Any], single: dict[int, str], listed: dict[int, tuple[str, int, int]]) -> None:
    """Lists whose names are unknown, since nothing comes after them: blocks of one module one after the other."""
    run: list[Any] = []
    for child in [*inside, None]:
        plain = child is not None and id(child) not in single and id(child) not in listed
        if run and (not plain or identity(child) != identity(run[0])):
            if len(run) > 1:
                name = f"{run[0].func.__name__}s"
                listed.update((id(block), (name, index, len(run))) for index, block in enumerate(run))
            run = []
        if plain:
            run.append(child)


def loop_connections(group: Group, nets: Nets) -> dict[str, Connection] | None:
    """How the ports of a group's blocks are connected as in a loop; None where one is not."""
    values = [port_values(block) for block in group.blocks]
    found: dict[str, Connection] = {}
    for port in values[0]:
        signals = [elements(given[port]) for given in values]
        connection = _connection(signals, nets)
        if connection is None:
            return None
        found[port] = connection
    return found


def _connection(signals: list[list[Any]], nets: Nets) -> Connection | None:
    size = len(signals[0])
    if all(one is other for given in signals[1:] for one, other in zip(given, signals[0], strict=True)):
        if size == 1:
            net, index = nets.home(signals[0][0])
            return Connection(net, index, 0, 1)
        places = nets.run(signals[0])
        return Connection(*places[0], 0, size) if places else None
    for net, first in nets.run(signals[0]):
        second = {id(other): index for other, index in nets.run(signals[1])}.get(id(net))
        if second is None:
            continue
        stride = second - first
        if all((id(net), first + number * stride) in {(id(other), index) for other, index in nets.run(given)}
               for number, given in enumerate(signals)):
            return Connection(net, first, stride, size)
    return None

"""The dataflows' arrays in gates, and the useful work a cycle that they buy.

The array is all of the core but the controller, the scratchpads, the accumulators and their RAM: PEs with their control
chains, comparators, edge buffers and top registers, the skews on all sides, the left edge's constants, the delays of
control words, and what the core has between these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

from area import gates
from area.requirement import Requirement
from myhdl_fsa.config import Config, ConfigError
from myhdl_fsa.convert.design import modules
from myhdl_fsa.dataflows import iteration_cycles
from myhdl_fsa.fpga.hierarchy import Hierarchy

__all__ = ["MACHINES", "OUTSIDE", "PE_FLIP_FLOPS", "converted", "machines", "report"]

STREAM = {"dataflow": "stream", "reciprocal": "division"}
MACHINES: dict[str, dict[str, Any]] = {
    "fsa": {}, "stream": STREAM, "stream M=1": {**STREAM, "mac_stages": 1},
    "stream M=1 H=2": {**STREAM, "mac_stages": 1, "adder_stages": 2},
}
"""label -> fields; a machine with a field that ``Config`` lacks is left out"""
OUTSIDE = ("matrix_controller", "ram", "accumulator")
"""modules of the core that do not belong to the array"""

PE_FLIP_FLOPS = 101
"""the most that a PE of the stream dataflow may have with fp16/fp32 and no multiplier stages"""
ARRAY_RATIO, ARRAY_RATIO_FROM = 1.1, 16
"""the most that the stream array's area may be over that of the published one, from that N on"""

Measured = dict[tuple[int, str], tuple[Config, gates.Array]]
"""by array size and label"""


@cache
def converted(size: int, label: str, top: str = "core") -> Hierarchy:
    """One of ``MACHINES``."""
    return _hierarchy(Config(rows=size, **MACHINES[label]), top)


def _hierarchy(config: Config, top: str) -> Hierarchy:
    return Hierarchy({name: module.text for name, module in modules(config, top).items()})


def machines(extra: Sequence[str], known: frozenset[str] | None = None) -> dict[str, dict[str, Any]]:
    """What is compared: ``MACHINES``, as far as ``Config`` has their fields, and one for each text of fields."""
    known = frozenset(field.name for field in fields(Config)) if known is None else known
    found = {label: given for label, given in MACHINES.items() if given.keys() <= known}
    for text in extra:
        pairs = (pair.partition("=") for pair in text.split(","))
        found[text] = {name: int(value) if value.isdecimal() else value for name, _, value in pairs}
    return found


def report(sizes: Sequence[int], extra: Sequence[str]) -> Iterator[str | Requirement]:
    """A line per figure, the requirements, and a table."""
    measured: Measured = {}
    for size in sizes:
        for label, given in machines(extra).items():
            try:
                config = Config(rows=size, **given)
                array = gates.array(_hierarchy(config, "core"), "core", OUTSIDE)
            except ConfigError as error:
                # fsa and stream are there in every size, and a pipeline is not
                if label in ("fsa", "stream"):
                    raise SystemExit(f"synthesis: error: {error}") from None
                yield f"array {label} N={size}: left out: {error}"
                continue
            measured[size, label] = config, array
            yield from _figures(f"array {label} N={size}", array)
    for label, (_, array) in {label: machine for (_, label), machine in measured.items()}.items():
        pe = array.parts["pe"]
        yield (f"pe {label}: {pe.area:g} gate equivalents, {pe.flip_flops} flip-flop bits, {pe.gates.total()} gates, "
               f"longest path {pe.levels} gates")
    yield from requirements(measured)
    yield from table(measured)


def _figures(name: str, array: gates.Array) -> Iterator[str]:
    yield f"{name}: {array.area:.0f} gate equivalents, {array.flip_flops} flip-flop bits, {array.gates} gates"
    for module, times in sorted(array.times.items()):
        part = array.parts[module]
        if part.gates:
            yield (f"{name}, {times} x {module}: {part.area:g} gate equivalents and "
                   f"{part.flip_flops} flip-flop bits each, longest path {part.levels} gates")


def requirements(measured: Measured) -> Iterator[Requirement]:
    """What the stream dataflow has to keep to, as far as it was measured."""
    size = max(size for size, _ in measured)
    (_, fsa), (_, stream) = measured[size, "fsa"], measured[size, "stream"]
    yield Requirement("flip-flop bits of a stream PE", stream.parts["pe"].flip_flops, PE_FLIP_FLOPS)
    yield Requirement("gate equivalents of a stream PE, against fsa's", stream.parts["pe"].area, fsa.parts["pe"].area)
    if size >= ARRAY_RATIO_FROM:
        yield Requirement(f"gate equivalents of the stream array over fsa's, N={size}", stream.area / fsa.area,
                          ARRAY_RATIO)


def table(measured: Measured) -> Iterator[str]:
    """A line per array; the last three columns are MACs over fsa's: a cycle, by area too, and by longest path too."""
    yield ("| array | N | kGE | over fsa | flip-flop bits | longest path | cycles an iteration | MACs a cycle | "
           "over fsa | by area | by area and path |")
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for (size, label), (config, array) in measured.items():
        published_config, published = measured[size, "fsa"]
        cycles, useful = work(config)
        gain, larger = useful / work(published_config)[1], array.area / published.area
        yield (f"| {label} | {size} | {array.area / 1e3:.1f} | {larger:.3f} | {array.flip_flops} | {array.levels} | "
               f"{cycles} | {useful:.1f} | {gain:.2f} | {gain / larger:.2f} | "
               f"{gain / larger * published.levels / array.levels:.2f} |")


def work(config: Config) -> tuple[int, float]:
    """Cycles of an inner iteration, and the multiply-adds of Q K^T and P V that it does a cycle."""
    cycles = iteration_cycles(config)
    return cycles, 2 * config.rows**3 / cycles

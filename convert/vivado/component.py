"""``component.xml``, the description of an IP in IP-XACT (IEEE 1685-2009) as Vivado's catalog reads it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from myhdl_fsa.config import Config
from myhdl_fsa.convert.module import Module
from myhdl_fsa.convert.vivado.interfaces import interfaces
from myhdl_fsa.convert.vivado.registers import registers
from myhdl_fsa.workbench.templates import template

__all__ = ["COMPONENT", "FAMILIES", "Identifier", "component", "constraints", "constraints_name", "identifier"]

COMPONENT = "component.xml"
"""the file's name, which Vivado looks for"""
FAMILIES = (
    "artix7", "kintex7", "virtex7", "zynq", "spartan7", "kintexu", "virtexu", "artixuplus", "kintexuplus",
    "virtexuplus", "virtexuplusHBM", "zynquplus", "versal",
)
"""what Vivado calls the families for which it shows the IP: it is plain Verilog, so all; none was tried"""
_MAP_BYTES = 4096
"""what Vivado gives an AXI4-Lite port at least; the registers repeat in it"""


@dataclass(frozen=True)
class Identifier:
    """What the IP is called in a catalog."""

    library: str
    name: str
    """its module"""
    version: str
    """two numbers, as Vivado wants it"""
    revision: str
    vendor: str = "myhdl-fsa"

    def __str__(self) -> str:
        return f"{self.vendor}:{self.library}:{self.name}:{self.version}"


def identifier(library: str, top: str, version: str) -> Identifier:
    """Of the module ``top``; a character of the library that Vivado does not take is ``_``."""
    numbers = [*re.findall(r"\d+", version), "0", "0", "0"]
    return Identifier(re.sub(r"[^A-Za-z0-9_.-]", "_", library), top, ".".join(numbers[:2]), numbers[2])


def constraints_name(top: str) -> str:
    """The file of the IP's constraints."""
    return f"{top}_ooc.xdc"


def constraints(top: str, frequency: float) -> str:
    """The clock of the IP for its synthesis alone, out of context; ``frequency`` in MHz."""
    return str(template(__package__, "out_of_context.xdc", escape=False).render(
        top=top, frequency=f"{frequency:g}", period=f"{1000 / frequency:.3f}"))


def component(
    named: Identifier, module: Module, sources: Sequence[str], config: Config, bench: Sequence[str] = ()
) -> str:
    """The text of ``component.xml`` for the device ``module``, whose files lie beside it, children first.

    ``bench`` is a testbench: its module's file, then those that it reads. Raises ValueError for a module with ports
    that no bus interface has.
    """
    ports = list(module.ports.values())
    views = [("xilinx_anylanguagesynthesis", "Synthesis", "synthesis", named.name, [
                 *_files(sources), (constraints_name(named.name), ("xdc", "USED_IN_out_of_context"))]),
             ("xilinx_anylanguagebehavioralsimulation", "Simulation", "simulation", named.name, [*_files(sources)])]
    if bench:
        top = bench[0].removesuffix(".v")
        views.append(("xilinx_testbench", "Test Bench", "simulation.testbench", top, [*_files(bench)]))
    return str(template(__package__, COMPONENT).render(
        named=named, ports=ports, interfaces=interfaces(ports, config), registers=list(registers(config)),
        map_bytes=_MAP_BYTES, views=views, families=FAMILIES, parameters=_parameters(config),
        config=json.dumps(config.name)[1:-1] or "unnamed configuration"))


def _parameters(config: Config) -> dict[str, object]:
    """The configuration's fields, for who looks at the IP; its name is said elsewhere."""
    return {name: value for name, value in config.to_dict(complete=True).items() if name != "name"}


def _files(names: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    """Each with its types: those that IP-XACT knows, or for others Vivado's."""
    return [(name, () if name.endswith(".v") else ("mem",)) for name in names]

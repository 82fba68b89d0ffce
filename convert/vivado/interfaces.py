"""The bus interfaces of a device, found by the names of its ports, as Vivado's catalog of buses calls them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from myhdl_fsa.config import Config
from myhdl_fsa.convert.module import Port

__all__ = ["Interface", "interfaces"]

_CONTROL = re.compile(r"control_(\w+)")
_MEMORY = re.compile(r"(memory_m\d+)_(\w+)")
# port -> the bus and the signal that it is alone; in Vivado such an interface has the name of its port
_SINGLE = {"clock": ("clock", "CLK"), "reset": ("reset", "RST"), "interrupt": ("interrupt", "INTERRUPT")}


@dataclass
class Interface:
    """A bus interface: which ports are which of the bus's signals."""

    name: str
    bus: str
    """as in ``xilinx.com:interface:aximm:1.0``, or ``xilinx.com:signal:clock:1.0``"""
    manager: bool
    """whether it begins transfers, or drives the signal"""
    signals: dict[str, str] = field(default_factory=dict)
    """ports by what the bus calls them"""
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def library(self) -> str:
        """Of the bus in Vivado's catalog."""
        return "interface" if self.bus == "aximm" else "signal"


def interfaces(ports: Iterable[Port], config: Config) -> list[Interface]:
    """Every port of the device in one interface: AXI4-Lite, AXI4 managers by their numbers, interrupt, clock, reset.

    Raises ValueError for a port that belongs to none.
    """
    found: dict[str, Interface] = {}
    for port in ports:
        if port.name in _SINGLE:
            bus, signal = _SINGLE[port.name]
            found[port.name] = Interface(port.name, bus, port.direction == "output", {signal: port.name})
        elif match := _CONTROL.fullmatch(port.name):
            control = found.setdefault("control", Interface("control", "aximm", manager=False))
            control.signals[match[1].upper()] = port.name
        elif match := _MEMORY.fullmatch(port.name):
            memory = found.setdefault(match[1], Interface(match[1], "aximm", manager=True))
            memory.signals[match[2].upper()] = port.name
        else:
            raise ValueError(f"port {port.name} belongs to no bus interface")
    widths = {port.name: port.width for port in ports}
    buses = [interface for interface in found.values() if interface.bus == "aximm"]
    for axi in buses:
        axi.parameters = _managers(axi, widths, config) if axi.manager else _registers(axi, widths)
    found["interrupt"].parameters = {"SENSITIVITY": "LEVEL_HIGH"}
    found["reset"].parameters = {"POLARITY": "ACTIVE_HIGH"}
    found["clock"].parameters = {"ASSOCIATED_BUSIF": ":".join(axi.name for axi in buses), "ASSOCIATED_RESET": "reset"}
    return [*buses, *(found[name] for name in ("interrupt", "clock", "reset"))]


def _widths(bus: Interface, widths: dict[str, int]) -> dict[str, str]:
    return {"ADDR_WIDTH": str(widths[bus.signals["ARADDR"]]), "DATA_WIDTH": str(widths[bus.signals["RDATA"]])}


def _registers(bus: Interface, widths: dict[str, int]) -> dict[str, str]:
    return {"PROTOCOL": "AXI4LITE", **_widths(bus, widths)}


def _managers(bus: Interface, widths: dict[str, int], config: Config) -> dict[str, str]:
    # a row is one burst, in two where it crosses a boundary; its words are whole beats, and all have one ID
    inflight = str(config.port_inflight)
    return {
        "PROTOCOL": "AXI4", **_widths(bus, widths), "ID_WIDTH": str(widths[bus.signals["ARID"]]),
        "SUPPORTS_NARROW_BURST": "0", "READ_WRITE_MODE": "READ_WRITE", "NUM_READ_THREADS": "1",
        "NUM_WRITE_THREADS": "1", "NUM_READ_OUTSTANDING": inflight, "NUM_WRITE_OUTSTANDING": inflight,
    }

"""A Vivado project for the Alveo U55C: the device beside PCIe (XDMA) and the card's HBM, as a Tcl script."""

from __future__ import annotations

from myhdl_fsa.config import Config
from myhdl_fsa.convert.vivado.component import Identifier
from myhdl_fsa.workbench.templates import template

__all__ = ["CONSTRAINTS", "HBM_BYTES", "HBM_PORTS", "HOST_PORT", "SCRIPT", "hbm_ports", "misfit", "project"]

SCRIPT, CONSTRAINTS = "u55c.tcl", "u55c.xdc"
"""the files"""
HBM_BYTES = 1 << 34
"""of the card, from address 0, for the host as for the device"""
HBM_PORTS = 32
"""AXI ports of the HBM; each reaches all of it"""
HOST_PORT = 0
_CHANNELS = 32
"""pseudo channels of HBM, each a part of the addresses"""
_MOST_PORTS = HBM_PORTS // 2


def misfit(config: Config) -> str:
    """Why the card cannot take a device, in one line that names field and value, or nothing."""
    end = config.memory_base + config.memory_size
    if end > HBM_BYTES:
        return (f"mem_base = 0x{config.memory_base:X} and mem_size = 0x{config.memory_size:X}: the memory must end at "
                f"0x{HBM_BYTES:X} at most, where the card's HBM ends, and ends at 0x{end:X}")
    if config.memory_ports > _MOST_PORTS:
        return (f"memory_ports = {config.memory_ports}: must be at most {_MOST_PORTS}: HBM has {HBM_PORTS}, and one "
                "is the host's")
    return ""


def hbm_ports(config: Config) -> list[int]:
    """The HBM's AXI port for each memory port of a device, as far apart as they can be. ``misfit`` must be nothing."""
    step = HBM_PORTS // config.memory_ports
    return [number * step + step // 2 for number in range(config.memory_ports)]


def project(named: Identifier, config: Config, frequency: float) -> dict[str, str]:
    """The script that makes the project, and the constraints that it reads; ``frequency`` of the device in MHz.

    ``misfit`` must be nothing.
    """
    ports = hbm_ports(config)
    given = {
        "named": named, "frequency": f"{frequency:.3f}", "ports": ports, "host": HOST_PORT, "hbm_ports": HBM_PORTS,
        "channels": _CHANNELS, "channel_bytes": HBM_BYTES // _CHANNELS,
        # each of the two stacks has a clock of its own, and takes it from one of its ports
        "right": next(port for port in ports if port >= HBM_PORTS // 2),
    }
    return {name: str(template(__package__, name, escape=False).render(given)) for name in (SCRIPT, CONSTRAINTS)}

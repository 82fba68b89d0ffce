"""AXI4 and AXI4-Lite ports as bundles of signals under their standard names."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.isa import MEMORY_ADDRESS_WIDTH
from myhdl_fsa.signals import unsigned

__all__ = [
    "AxiLite",
    "AxiRead",
    "AxiWrite",
    "BOUNDARY",
    "BOUNDARY_BITS",
    "Channels",
    "MANAGER_DRIVES",
    "MemoryPorts",
    "REGISTER_ADDRESS_WIDTH",
    "Response",
]

BOUNDARY_BITS = 12
BOUNDARY = 1 << BOUNDARY_BITS
"""bytes; no burst crosses a multiple of it"""
REGISTER_ADDRESS_WIDTH = 8


class Response(IntEnum):
    """BRESP and RRESP."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


MANAGER_DRIVES = frozenset((
    "awid", "awaddr", "awlen", "awsize", "awburst", "awvalid", "wdata", "wstrb", "wlast", "wvalid", "bready",
    "arid", "araddr", "arlen", "arsize", "arburst", "arvalid", "rready",
))
"""the signals that go from manager to subordinate; the others come back"""


class AxiLite:
    """An AXI4-Lite port of 32-bit registers; addresses in bytes."""

    def __init__(self) -> None:
        self.awaddr = unsigned(REGISTER_ADDRESS_WIDTH)
        self.awvalid, self.awready = unsigned(1), unsigned(1)
        self.wdata, self.wstrb = unsigned(32), unsigned(4)
        self.wvalid, self.wready = unsigned(1), unsigned(1)
        self.bresp = unsigned(2)
        self.bvalid, self.bready = unsigned(1), unsigned(1)
        self.araddr = unsigned(REGISTER_ADDRESS_WIDTH)
        self.arvalid, self.arready = unsigned(1), unsigned(1)
        self.rdata, self.rresp = unsigned(32), unsigned(2)
        self.rvalid, self.rready = unsigned(1), unsigned(1)


class AxiRead:
    """The read channels of an AXI4 manager: INCR bursts of whole beats, one ID, addresses in bytes."""

    def __init__(self, config: Config) -> None:
        self.arid = unsigned(1)
        self.araddr, self.arlen = unsigned(MEMORY_ADDRESS_WIDTH), unsigned(8)
        self.arsize, self.arburst = unsigned(3), unsigned(2)
        self.arvalid, self.arready = unsigned(1), unsigned(1)
        self.rid, self.rdata, self.rresp = unsigned(1), unsigned(8 * config.beat_bytes), unsigned(2)
        self.rlast = unsigned(1)
        self.rvalid, self.rready = unsigned(1), unsigned(1)


class AxiWrite:
    """The write channels of an AXI4 manager: INCR bursts of whole beats, one ID, addresses in bytes."""

    def __init__(self, config: Config) -> None:
        self.awid = unsigned(1)
        self.awaddr, self.awlen = unsigned(MEMORY_ADDRESS_WIDTH), unsigned(8)
        self.awsize, self.awburst = unsigned(3), unsigned(2)
        self.awvalid, self.awready = unsigned(1), unsigned(1)
        self.wdata, self.wstrb = unsigned(8 * config.beat_bytes), unsigned(config.beat_bytes)
        self.wlast = unsigned(1)
        self.wvalid, self.wready = unsigned(1), unsigned(1)
        self.bid, self.bresp = unsigned(1), unsigned(2)
        self.bvalid, self.bready = unsigned(1), unsigned(1)


class Channels:
    """The channels of several memory ports as one port of a block: ``m0_araddr`` ... after the argument's name."""

    def __init__(self, *ports: AxiRead | AxiWrite) -> None:
        self._ports = ports
        for index, port in enumerate(ports):
            for name, signal in vars(port).items():
                setattr(self, f"m{index}_{name}", signal)

    def __getitem__(self, index: int) -> Any:
        return self._ports[index]

    def __len__(self) -> int:
        return len(self._ports)


class MemoryPorts:
    """All memory ports as one port of a block: ``m0_araddr`` ... ``m0_awaddr`` ... after the argument's name."""

    def __init__(self, config: Config) -> None:
        self._channels = (Channels(*(AxiRead(config) for _ in range(config.memory_ports))),
                          Channels(*(AxiWrite(config) for _ in range(config.memory_ports))))
        for channels in self._channels:
            for name, signal in vars(channels).items():
                if not name.startswith("_"):
                    setattr(self, name, signal)

    @property
    def pairs(self) -> tuple[tuple[Any, Any], ...]:
        """The read and the write channels of each port."""
        reads, writes = self._channels
        return tuple((reads[index], writes[index]) for index in range(len(reads)))

    @property
    def reads(self) -> Channels:
        """The read channels of each port."""
        return self._channels[0]

    @property
    def writes(self) -> Channels:
        """The write channels of each port."""
        return self._channels[1]

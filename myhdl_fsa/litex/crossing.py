"""AXI4 between two clock domains."""

from __future__ import annotations

from typing import Any

from litex.gen import LiteXModule
from litex.soc.interconnect import stream

__all__ = ["AXIClockDomainCrossing"]


class AXIClockDomainCrossing(LiteXModule):
    """Connects an AXI4 manager in one clock domain to a subordinate in another, each channel through a queue.

    LiteX has as much for AXI4-Lite (``AXILiteClockDomainCrossing``).
    """

    def __init__(self, master: Any, slave: Any, cd_from: str, cd_to: str) -> None:
        for channel, back in (("aw", False), ("w", False), ("b", True), ("ar", False), ("r", True)):
            first, last = getattr(slave if back else master, channel), getattr(master if back else slave, channel)
            domains = (cd_to, cd_from) if back else (cd_from, cd_to)
            crossing = stream.ClockDomainCrossing(first.description, *domains)
            self.add_module(name=f"{channel}_crossing", module=crossing)
            self.comb += [first.connect(crossing.sink), crossing.source.connect(last)]

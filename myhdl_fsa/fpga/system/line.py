"""One serial line for two: the processor's console first, then the bridge by which a PC reaches the bus."""

from __future__ import annotations

from typing import Any

from litex.gen import LiteXModule
from litex.soc.cores.uart import UARTBone, UARTPads, UARTPHY
from litex.soc.interconnect.csr import CSRField, CSRStorage
from migen import If

__all__ = ["Line"]


class Line(LiteXModule):
    """Shares ``pads``: ``console`` are the pins for LiteX's UART, ``bridge`` is a bus master that takes requests.

    The register ``owner`` says whose the line is: 0 after a reset, the console's. What is not the owner hears an idle
    line, so neither takes the other's bytes for its own, and goes on sending to nobody, so it is never held up.
    """

    def __init__(self, pads: Any, frequency: float, baud_rate: int) -> None:
        self.console, self._bridge_pads = UARTPads(), UARTPads()
        self.phy = UARTPHY(self._bridge_pads, frequency, baud_rate)
        self.bridge = UARTBone(phy=self.phy, clk_freq=frequency)
        self.owner = CSRStorage(fields=[CSRField("bridge", size=1, values=[
            ("``0b0``", "The console's."), ("``0b1``", "The bridge's to the bus."),
        ])], description="Whose the serial line is.")
        self.comb += If(self.owner.fields.bridge,
            pads.tx.eq(self._bridge_pads.tx), self._bridge_pads.rx.eq(pads.rx), self.console.rx.eq(1),
        ).Else(
            pads.tx.eq(self.console.tx), self.console.rx.eq(pads.rx), self._bridge_pads.rx.eq(1),
        )

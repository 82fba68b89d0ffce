"""One serial line for two: the processor's console first, then the bridge by which a PC reaches the bus."""

from __future__ import annotations

from typing import Any

from litex.gen import LiteXModule
from litex.gen.genlib.misc import WaitTimer
from litex.soc.cores.uart import UARTPHY, UARTBone, UARTPads
from litex.soc.interconnect.csr import CSRField, CSRStorage
from migen import If, Signal

__all__ = ["Line"]

_SILENT_BITS = 12
"""a byte on the line, with its start and stop, and some more"""


class Line(LiteXModule):
    """Shares ``pads``: ``console`` are the pins for LiteX's UART, ``bridge`` is a bus master that takes requests.

    The register ``owner`` says whose the line is: 0 after a reset, the console's; 1, the bridge's, once the console has
    been silent for a byte. What is not the owner hears an idle
    line, so neither takes the other's bytes for its own, and goes on sending to nobody, so it is never held up.
    """

    def __init__(self, pads: Any, frequency: float, baud_rate: int) -> None:
        self.console, self._bridge_pads = UARTPads(), UARTPads()
        self.phy = UARTPHY(self._bridge_pads, frequency, baud_rate)
        self.bridge = UARTBone(phy=self.phy, clk_freq=frequency)
        self.owner = CSRStorage(fields=[CSRField("bridge", size=1, values=[
            ("``0b0``", "The console's."), ("``0b1``", "The bridge's to the bus."),
        ])], description="Whose the serial line is.")
        # the console's last byte leaves the line first
        self._silence = WaitTimer(_SILENT_BITS * frequency / baud_rate)
        handed_over = Signal()
        self.comb += self._silence.wait.eq(self.console.tx)
        self.sync += handed_over.eq(self.owner.fields.bridge & (handed_over | self._silence.done))
        self.comb += If(handed_over,
            pads.tx.eq(self._bridge_pads.tx), self._bridge_pads.rx.eq(pads.rx), self.console.rx.eq(1),
        ).Else(
            pads.tx.eq(self.console.tx), self.console.rx.eq(pads.rx), self._bridge_pads.rx.eq(1),
        )

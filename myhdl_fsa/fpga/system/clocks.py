"""The clocks of each board, and the accelerator's."""

from __future__ import annotations

from typing import Any

from litex.build.io import DDROutput
from litex.gen import LiteXModule
from litex.soc.cores.clock import ECP5PLL
from migen import ClockDomain, ClockSignal, If, Instance, Signal
from migen.genlib.resetsync import AsyncResetSynchronizer

from myhdl_fsa.fpga.boards import ACCELERATOR

__all__ = ["CLOCKS", "Ecpix5Clocks", "Ulx3sClocks"]


class Ulx3sClocks(LiteXModule):
    """The system's clock, the same a quarter later for the SDRAM, and the accelerator's; frequencies in Hz.

    ``rst`` is what resets the whole, for LiteX's controller to drive.
    """

    def __init__(self, platform: Any, system: float, accelerator: float) -> None:
        self.rst = Signal()
        self.cd_sys, self.cd_sys_ps = ClockDomain("sys"), ClockDomain("sys_ps")
        oscillator, reset = platform.request("clk25"), platform.request("rst") | self.rst
        self.pll = pll = ECP5PLL()
        self.comb += pll.reset.eq(reset)
        pll.register_clkin(oscillator, 25e6)
        pll.create_clkout(self.cd_sys, system)
        pll.create_clkout(self.cd_sys_ps, system, phase=90)
        self.specials += DDROutput(1, 0, platform.request("sdram_clock"), ClockSignal("sys_ps"))
        # low, it would let the board's radio reset the part
        self.comb += platform.request("wifi_gpio0").eq(1)
        _add_accelerator(self, oscillator, 25e6, reset, accelerator)


class Ecpix5Clocks(LiteXModule):
    """The system's clock, made from the DDR3's of twice that, and the accelerator's; frequencies in Hz.

    As ``Ulx3sClocks``; the memory's PHY drives ``stop`` and ``reset`` while it starts.
    """

    def __init__(self, platform: Any, system: float, accelerator: float) -> None:
        self.rst, self.stop, self.reset = Signal(), Signal(), Signal()
        self.cd_sys, self.cd_sys2x, self.cd_sys2x_i = ClockDomain("sys"), ClockDomain("sys2x"), ClockDomain("sys2x_i")
        self.cd_init, self.cd_por = ClockDomain("init"), ClockDomain("por", reset_less=True)
        oscillator, button = platform.request("clk100"), ~platform.request("rst_n")
        waited = Signal(16, reset=2**16 - 1)
        self.comb += self.cd_por.clk.eq(oscillator)
        self.sync.por += If(waited != 0, waited.eq(waited - 1))
        reset = (waited != 0) | button | self.rst
        self.pll = pll = ECP5PLL()
        self.comb += pll.reset.eq(reset)
        pll.register_clkin(oscillator, 100e6)
        pll.create_clkout(self.cd_sys2x_i, 2 * system)
        pll.create_clkout(self.cd_init, 25e6)
        self.specials += [
            Instance("ECLKSYNCB", i_ECLKI=self.cd_sys2x_i.clk, i_STOP=self.stop, o_ECLKO=self.cd_sys2x.clk),
            Instance("CLKDIVF", p_DIV="2.0", i_ALIGNWD=0, i_CLKI=self.cd_sys2x.clk, i_RST=self.reset,
                     o_CDIVX=self.cd_sys.clk),
            AsyncResetSynchronizer(self.cd_sys, ~pll.locked | self.reset),
        ]
        _add_accelerator(self, oscillator, 100e6, reset, accelerator)


CLOCKS = {"ulx3s": Ulx3sClocks, "ecpix5": Ecpix5Clocks}
"""by the board's name"""


def _add_accelerator(clocks: Any, oscillator: Signal, frequency: float, reset: Any, accelerator: float) -> None:
    """A PLL of its own, so that any frequency can be had beside any other."""
    clocks.cd_fsa = ClockDomain(ACCELERATOR)
    clocks.fsa_pll = pll = ECP5PLL()
    clocks.comb += pll.reset.eq(reset)
    pll.register_clkin(oscillator, frequency)
    pll.create_clkout(clocks.cd_fsa, accelerator)

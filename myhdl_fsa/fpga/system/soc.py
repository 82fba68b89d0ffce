"""The system on chip of a board."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import litedram.modules
from litedram.phy import ECP5DDRPHY, GENSDRPHY
from litex.soc.integration.soc_core import SoCCore

from myhdl_fsa.config import Config
from myhdl_fsa.fpga.boards import ACCELERATOR, BOARDS
from myhdl_fsa.fpga.system.clocks import CLOCKS
from myhdl_fsa.fpga.system.line import Line
from myhdl_fsa.litex.fsa import FSA

__all__ = ["BAUD_RATE", "DEMO", "BoardSoC"]

BAUD_RATE = 115200
_ROM, _SRAM = 0x10000, 0x8000
"""bytes for LiteX's BIOS, and for the data of it and the demo"""
DEMO = "demo"
"""the ROM of the program that the BIOS begins when nothing comes on the serial line"""
_DEMO_ORIGIN, _DEMO_BYTES = 0x00040000, 0x40000


class BoardSoC(SoCCore):
    """VexRiscv, the board's memory through LiteDRAM, the line to the PC, and the accelerator; frequencies in MHz.

    ``config`` None: there is no accelerator, but its clock. Raises ValueError where no PLL makes the clocks, or the
    accelerator does not suit the bus, and ConfigError where it is none.
    """

    def __init__(self, board: str, system: float, accelerator: float, config: Config | None) -> None:
        about, frequency = BOARDS[board], system * 1e6
        platform = import_module(f"litex_boards.platforms.{about.platform}").Platform(**about.arguments)
        self.crg = CLOCKS[board](platform, frequency, accelerator * 1e6)
        self.line = Line(platform.request(about.serial), frequency, BAUD_RATE)
        super().__init__(platform, frequency, ident=f"FlashAttention on {about.title}", cpu_type="vexriscv",
                         integrated_rom_size=_ROM, integrated_sram_size=_SRAM, with_uart=False)
        self.add_uart("uart", "serial", uart_pads=self.line.console, baudrate=BAUD_RATE)
        self.bus.add_master(name="bridge", master=self.line.bridge.wishbone)
        _MEMORIES[board](self, getattr(litedram.modules, about.memory))
        self.fsa = None
        if config is not None:
            self.fsa = FSA(platform, config, clock_domain=ACCELERATOR)
            self.fsa.connect(self)
            self.add_rom(DEMO, _DEMO_ORIGIN, _DEMO_BYTES)
            self.add_constant("ROM_BOOT_ADDRESS", _DEMO_ORIGIN)


def _sdram(soc: Any, chip: Any) -> None:
    soc.sdrphy = GENSDRPHY(soc.platform.request("sdram"), soc.sys_clk_freq)
    soc.add_sdram("sdram", phy=soc.sdrphy, module=chip(soc.sys_clk_freq, "1:1"), l2_cache_size=0)


def _ddr3(soc: Any, chip: Any) -> None:
    soc.ddrphy = ECP5DDRPHY(soc.platform.request("ddram"), sys_clk_freq=soc.sys_clk_freq)
    soc.comb += soc.crg.stop.eq(soc.ddrphy.init.stop), soc.crg.reset.eq(soc.ddrphy.init.reset)
    soc.add_sdram("sdram", phy=soc.ddrphy, module=chip(soc.sys_clk_freq, "1:2"), l2_cache_size=0)


_MEMORIES = {"ulx3s": _sdram, "ecpix5": _ddr3}

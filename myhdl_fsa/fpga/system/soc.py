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
from myhdl_fsa.litex.demo_data import Demo
from myhdl_fsa.litex.fsa import FSA
from myhdl_fsa.workbench.workload import default_seq

__all__ = ["BAUD_RATE", "DEMO", "BoardSoC", "demo_of"]

BAUD_RATE = 115200
_ROM, _SRAM = 0x10000, 0x2000
"""bytes for LiteX's BIOS, and for its variables"""
DEMO = "demo"
"""the ROM of the program that the BIOS begins when nothing comes on the serial line"""
_DEMO_ORIGIN = 0x00400000


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
        variables = 0 if config is None else demo_of(config).sram_bytes
        super().__init__(platform, frequency, ident=f"FlashAttention on {about.title}", cpu_type="vexriscv",
                         integrated_rom_size=_ROM, integrated_sram_size=max(_SRAM, _power_of_two(variables)),
                         with_uart=False)
        self.add_uart("uart", "serial", uart_pads=self.line.console, baudrate=BAUD_RATE)
        self.bus.add_master(name="bridge", master=self.line.bridge.wishbone)
        _MEMORIES[board](self, getattr(litedram.modules, about.memory))
        self.fsa = None
        if config is not None:
            self.fsa = FSA(platform, config, clock_domain=ACCELERATOR)
            self.fsa.connect(self)
            self.add_rom(DEMO, _DEMO_ORIGIN, _power_of_two(demo_of(config).rom_bytes))
            self.add_constant("ROM_BOOT_ADDRESS", _DEMO_ORIGIN)


def demo_of(config: Config) -> Demo:
    """The demo of a machine: as many queries and keys as make a tile."""
    return Demo(config, default_seq(config), default_seq(config))


def _power_of_two(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()


def _sdram(soc: Any, chip: Any) -> None:
    soc.sdrphy = GENSDRPHY(soc.platform.request("sdram"), soc.sys_clk_freq)
    soc.add_sdram("sdram", phy=soc.sdrphy, module=chip(soc.sys_clk_freq, "1:1"), l2_cache_size=0)


def _ddr3(soc: Any, chip: Any) -> None:
    soc.ddrphy = ECP5DDRPHY(soc.platform.request("ddram"), sys_clk_freq=soc.sys_clk_freq)
    soc.comb += soc.crg.stop.eq(soc.ddrphy.init.stop), soc.crg.reset.eq(soc.ddrphy.init.reset)
    soc.add_sdram("sdram", phy=soc.ddrphy, module=chip(soc.sys_clk_freq, "1:2"), l2_cache_size=0)


_MEMORIES = {"ulx3s": _sdram, "ecpix5": _ddr3}

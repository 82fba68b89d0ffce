"""What is in a board's ROMs: LiteX's BIOS, and the demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litex.soc.integration.builder import soc_software_packages

from myhdl_fsa.fpga.system.soc import DEMO, demo_of
from myhdl_fsa.litex.software import DemoBuilder, make
from myhdl_fsa.sims.build_cache import run_tool

__all__ = ["BoardBuilder"]


class BoardBuilder(DemoBuilder):
    """LiteX's builder with its BIOS in the ROM, and the demo, attention on tiles of one size, in a ROM of its own."""

    def __init__(self, soc: Any, folder: Path) -> None:
        super().__init__(soc, demo_of(soc.fsa.config), folder)
        self._packages = {name for name, _ in self.software_packages}
        for name in soc_software_packages:
            if name not in self._packages:
                self.add_software_package(name)
        self.software_libraries = list(soc_software_packages)

    def _generate_rom_software(self, compile_bios: bool = True) -> None:
        self._init_memory(DEMO, self._compile_demo(DEMO), auto_size=True)
        # the BIOS is the last of them
        for name, folder in self.software_packages:
            if name not in self._packages:
                run_tool(make(Path(folder) / "Makefile"), Path(self.software_dir) / name)

"""The boards that ``fsa-fpga build`` makes bitstreams for: their parts, clocks and memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from myhdl_fsa.fpga.devices import DEVICES, Device, Nextpnr

__all__ = ["ACCELERATOR", "BOARDS", "Board"]

ACCELERATOR = "fsa"
"""the accelerator's clock domain, in every system"""


@dataclass(frozen=True)
class Board:
    """A board that LiteX has a platform for."""

    title: str
    device: Device
    idcode: int
    """what the part answers to a programmer, which a bitstream begins with"""
    platform: str
    """the module of ``litex_boards.platforms``"""
    arguments: Mapping[str, str]
    """of its class"""
    memory: str
    """LiteDRAM's name of a memory chip that all versions of the board can be driven as"""
    system: float
    """MHz of the CPU, the bus and the memory's controller, where none are asked for"""
    system_range: tuple[float, float]
    """MHz of the same that the memory can have"""
    loader: str
    """what openFPGALoader calls it"""
    accelerator: float = 10
    """MHz, where none are asked for"""
    accelerator_range: tuple[float, float] = (3.125, 400)
    """MHz that a PLL of the part makes"""
    serial: str = "serial"
    """the platform's pins that lead to the PC"""


_LARGE = DEVICES["ecp5-85k"]
_LARGE_5G = replace(_LARGE, part="LFE5UM5G-85F",
                    nextpnr=Nextpnr("nextpnr-ecp5", ("--um5g-85k", "--package", "CABGA554", "--speed", "8")))

BOARDS = {
    # its boards carry chips of 32 and 64 MiB; driven as this one, all of them have 32
    "ulx3s": Board("ULX3S 85F", _LARGE, 0x41113043, "radiona_ulx3s", {"device": "LFE5U-85F"}, "MT48LC16M16",
                   system=30, system_range=(20, 100), loader="ulx3s"),
    # below, a DDR3 gets no usable delays from its clock
    "ecpix5": Board("ECPIX-5 85F", _LARGE_5G, 0x81113043, "lambdaconcept_ecpix5", {"device": "85F"}, "MT41K256M16",
                    system=50, system_range=(48, 100), loader="ecpix5"),
}
"""by the name that ``--board`` has for it"""

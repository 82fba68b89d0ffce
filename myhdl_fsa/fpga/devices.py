"""The FPGAs that ``fsa-fpga`` knows by name, with what they have.

The makers' documents are the ECP5 family data sheet (FPGA-DS-02012), the product table of Zynq UltraScale+ (XMP104) and
the data sheets of the Kria K26 (DS987) and the Alveo U55C (DS978). They give thousands of LUTs; to the last one the
figures are those of nextpnr's and Lattice Diamond's reports and, of UltraScale+, 8 LUTs and 16 flip-flops in each of
8820, 14640 and 162960 CLBs, as public tables of the dice count them: an XCU55C is an XCVU47P, an XCK26 an XCZU5EV.
"""

from __future__ import annotations

from dataclasses import dataclass

from myhdl_fsa.fpga.resources import ECP5, XCUP, Family, Resources

__all__ = ["DEVICES", "Device", "Nextpnr"]


@dataclass(frozen=True)
class Nextpnr:
    """How nextpnr places and routes for a part."""

    tool: str
    options: tuple[str, ...]
    """the part, its package and its speed grade"""


@dataclass(frozen=True)
class Device:
    """A part, or a family of parts where nothing is said of how much there is."""

    part: str
    family: Family
    capacity: Resources | None = None
    nextpnr: Nextpnr | None = None


def _ecp5(size: str, package: str, capacity: Resources) -> Device:
    # the slowest speed grade, which every board's part keeps to
    return Device(f"LFE5U-{size.upper()[:-1]}F", ECP5, capacity,
                  Nextpnr("nextpnr-ecp5", (f"--{size}", "--package", package, "--speed", "6")))


DEVICES = {
    "ecp5-25k": _ecp5("25k", "CABGA381", Resources(24288, 24288, 28, 56)),
    "ecp5-45k": _ecp5("45k", "CABGA381", Resources(43848, 43848, 72, 108)),
    "ecp5-85k": _ecp5("85k", "CABGA381", Resources(83640, 83640, 156, 208)),
    "xcup": Device("any part", XCUP),
    "xczu3eg": Device("XCZU3EG", XCUP, Resources(70560, 141120, 360, 216)),
    "xck26": Device("XCK26", XCUP, Resources(117120, 234240, 1248, 144, 64)),
    "xcu55c": Device("XCU55C", XCUP, Resources(1303680, 2607360, 9024, 2016, 960)),
}
"""by the name that ``--device`` has for it"""

"""Rocket's Verilog as PyPI has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litex import get_data_mod
from litex.soc.cores.cpu.rocket.core import Rocket

__all__ = ["use_packaged_rocket"]

_FILES = {"small": "LitexConfig", "linux": "LitexLinuxConfig", "full": "LitexFullConfig"}
"""LiteX's variant -> the configuration's name in the package"""


def use_packaged_rocket() -> None:
    """Has LiteX's ``Rocket`` take its Verilog by the names that it has in the package of PyPI.

    Its ports are the same; LiteX's own names are those of a later package, which PyPI does not have.
    """
    # the class itself, since LiteX looks for the CPU's startup code beside the class's file
    Rocket.add_sources = staticmethod(_add_sources)


def _add_sources(platform: Any, variant: str) -> None:
    folder = Path(get_data_mod("cpu", "rocket").data_location)
    name = f"freechips.rocketchip.system.{_FILES[variant]}"
    platform.add_sources(str(folder / "generated-src"), f"{name}.v", f"{name}.behav_srams.v")
    platform.add_sources(str(folder / "vsrc"), "plusarg_reader.v", "AsyncResetReg.v", "EICG_wrapper.v")

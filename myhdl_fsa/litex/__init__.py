"""The accelerator in a LiteX SoC: the module ``FSA``, a C driver and demo, and the SoC in Verilator."""

from __future__ import annotations

from typing import Any

__all__ = ["FSA"]


def __getattr__(name: str) -> Any:
    # LiteX is optional: only who asks for the module imports it
    if name == "FSA":
        from myhdl_fsa.litex.fsa import FSA

        return FSA
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

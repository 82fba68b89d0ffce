"""The processing element of the published array: see ``dataflows.fsa.pe``."""

from __future__ import annotations

from myhdl_fsa.dataflows.fsa.pe import pe

__all__ = ["pe"]

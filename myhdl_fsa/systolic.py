"""The published array: see ``dataflows.fsa.systolic``."""

from __future__ import annotations

from myhdl_fsa.dataflows.fsa.systolic import pe_row, systolic

__all__ = ["pe_row", "systolic"]

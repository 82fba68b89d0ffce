"""Verilog from the MyHDL blocks."""

__all__ = []

"""Verilog from MyHDL blocks, by a compiler of a few stages: docs/converter.md leads through them."""

__all__ = []

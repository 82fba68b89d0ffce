"""Engines that run the hardware: the MyHDL simulation, and harnesses for the converted Verilog."""

__all__ = []

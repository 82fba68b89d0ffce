"""Verilog from the MyHDL blocks."""

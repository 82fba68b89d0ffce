"""The device for Vivado: an IP in IP-XACT beside the Verilog, and its project with HBM and PCIe for the Alveo U55C."""

__all__ = []

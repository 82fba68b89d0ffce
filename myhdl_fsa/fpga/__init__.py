"""The machine on an FPGA: what parts have, synthesis module by module, and place and route."""

__all__ = []

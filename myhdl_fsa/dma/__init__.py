"""From DMA instructions to AXI4 bursts, scratchpad writes and accumulator RAM reads."""

__all__ = []

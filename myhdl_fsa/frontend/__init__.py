"""From instruction words on AXI4-Lite to matrix and DMA instructions past their semaphores."""

__all__ = []

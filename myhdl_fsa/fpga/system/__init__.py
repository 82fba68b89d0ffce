"""The system on a board, in LiteX: processor, memory, the line to the PC, and the accelerator at its own clock."""

__all__ = []

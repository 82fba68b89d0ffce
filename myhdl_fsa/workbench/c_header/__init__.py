"""The device for software in C: a header made from the tables that the hardware is made from."""

__all__ = []

"""The PC's side of a device that stands in a LiteX SoC: the bus to it, its driver, and the board as an engine."""

__all__: list[str] = []

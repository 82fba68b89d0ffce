"""Recording of a trace from the MyHDL simulation: names that follow the values through the machine, cycle by cycle.

A dataflow has a folder here of its name, with the class ``Follower`` in its ``core``; all else is common.
"""

from __future__ import annotations

__all__: list[str] = []

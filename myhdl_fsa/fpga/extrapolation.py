"""What an array takes that is too large to synthesise in minutes, from two smaller ones."""

from __future__ import annotations

from collections.abc import Mapping

from myhdl_fsa.fpga.resources import Resources
from myhdl_fsa.fpga.synthesis import Area, Part

__all__ = ["extrapolated"]

_STEEPEST = 4.0
"""no module grows faster than the square of the array's side"""


def extrapolated(
    smaller: Area, larger: Area, doublings: float, counts: Mapping[str, int], known: Mapping[str, Resources]
) -> Area:
    """The area of an array ``2**doublings`` times as wide as that of ``larger``, which is twice as wide as ``smaller``.

    ``counts`` has how often each module is in it. A module of it, alone, grows with each doubling as it did from
    ``smaller`` to ``larger``: one PE not at all, a skew fourfold. ``known`` has those that were measured at its own
    size, for memories do not grow so. Raises ValueError for a module that is neither known nor in ``larger``.
    """
    small, large = ({part.name: part.takes for part in area.parts} for area in (smaller, larger))
    if missing := counts.keys() - large.keys() - known.keys():
        raise ValueError(f"the smaller array has no {', '.join(sorted(missing))}")
    return Area(tuple(
        Part(name, times, known[name] if name in known else _grown(small.get(name), large[name], doublings))
        for name, times in counts.items()
    ))


def _grown(small: Resources | None, large: Resources, doublings: float) -> Resources:
    before = large.to_dict() if small is None else small.to_dict()
    return Resources(**{
        name: round(value * (min(max(value / before[name], 1.0), _STEEPEST) if before[name] else 1.0) ** doublings)
        for name, value in large.to_dict().items()
    })

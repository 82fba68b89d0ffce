"""The names of the published dataflow's values on their way: ``core.Follower``."""

from __future__ import annotations

__all__: list[str] = []

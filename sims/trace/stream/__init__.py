"""The names of the stream dataflow's values on their way: ``core.Follower``."""

from __future__ import annotations

__all__: list[str] = []

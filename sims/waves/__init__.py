"""Waveforms: which scopes, names and fields they show, their writers, and the save files of viewers."""

from __future__ import annotations

__all__: list[str] = []

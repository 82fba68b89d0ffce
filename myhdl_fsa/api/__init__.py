"""What ``import myhdl_fsa`` offers beyond its parts: attention in one call, and packages that can be called."""

from __future__ import annotations

__all__ = []

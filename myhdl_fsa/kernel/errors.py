"""The one exception of the kernel API."""

from __future__ import annotations

__all__ = ["KernelError"]


class KernelError(ValueError):
    """A kernel that cannot be written this way; the message is one line saying what is wrong and what is allowed."""

"""What surrounds a run: its tensors, its errors, what is said of it, and the files it leaves."""

__all__ = []

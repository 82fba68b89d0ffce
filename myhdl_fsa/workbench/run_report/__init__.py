"""The report of a run of attention as one HTML file: what is reported, its figures, and the page around them."""

__all__ = []

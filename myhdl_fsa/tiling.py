"""How attention is cut into tiles: which K/V tiles a query tile meets."""

from __future__ import annotations

__all__ = ["key_tiles", "tile_pairs", "visits"]


def key_tiles(query_tile: int, count: int, causal: bool) -> int:
    """How many of ``count`` K/V tiles a query tile visits: all, or those that are not wholly after it."""
    return min(query_tile + 1, count) if causal else count


def tile_pairs(query_tiles: int, kv_tiles: int, causal: bool) -> int:
    """How many inner iterations there are: the length of ``visits``."""
    return sum(key_tiles(i, kv_tiles, causal) for i in range(query_tiles))


def visits(query_tiles: int, kv_tiles: int, causal: bool) -> list[tuple[int, int]]:
    """(query tile, K/V tile) of every inner iteration, in the order in which the kernel does them."""
    return [(i, j) for i in range(query_tiles) for j in range(key_tiles(i, kv_tiles, causal))]

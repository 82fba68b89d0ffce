"""The shape of an attention problem, and how it is cut into tiles: which K/V tiles a query tile meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["AttentionShape", "Visit", "key_tiles", "tile_pairs", "tiles", "visits"]


@dataclass(frozen=True)
class AttentionShape:
    """q is [batch, heads, seq_q, head_dim], k and v are [batch, kv_heads, seq_kv, head_dim or value_dim].

    Query head h goes with K/V head ``h // (heads // kv_heads)``, as torch's ``enable_gqa`` has it. ``causal`` lets
    query i see keys 0 to i, whatever the lengths (aligned to the top left, as torch's ``is_causal``).
    """

    seq_q: int
    seq_kv: int
    head_dim: int
    value_dim: int
    heads: int = 1
    kv_heads: int = 1
    batch: int = 1
    causal: bool = False
    stacked: bool = False
    """whether the tensors have [batch, heads] before them; of plain ones both are 1"""

    @classmethod
    def of(cls, shapes: Sequence[Sequence[int]], side: int, causal: bool = False) -> AttentionShape:
        """That of q, k and v of these shapes, [seq, d] or [batch, heads, seq, d], on an array of ``side`` rows.

        Raises ValueError, naming the tensor, for shapes that are none or do not go together.
        """
        q, k, v = shapes
        for name, shape in zip("qkv", shapes, strict=True):
            if len(shape) not in (2, 4) or len(shape) != len(q):
                dimensions = "[seq, d] or [batch, heads, seq, d]" if name == "q" else f"{len(q)} dimensions, as q"
                raise ValueError(f"{name} has shape {list(shape)}: must be {dimensions}")
            if 0 in shape or shape[-1] > side:
                sizes = "" if len(shape) == 2 else "batch, heads, "
                raise ValueError(f"{name} has shape {list(shape)}: must be [{sizes}seq, d] with d from 1 to {side}, "
                                 "and no size 0")
        if k[-1] != q[-1]:
            raise ValueError(f"k has shape {list(k)}: must have a head dimension of {q[-1]}, that of q")
        if tuple(v[:-1]) != tuple(k[:-1]):
            raise ValueError(f"v has shape {list(v)}: must be that of k, {list(k)}, but for the head dimension")
        (batch, heads), (k_batch, kv_heads) = (1, 1) if len(q) == 2 else q[:2], (1, 1) if len(q) == 2 else k[:2]
        if k_batch != batch or heads % kv_heads:
            raise ValueError(f"k has shape {list(k)}: must have the batch of q, {batch}, and heads that divide its "
                             f"{heads}")
        return cls(q[-2], k[-2], q[-1], v[-1], heads, kv_heads, batch, causal, len(q) == 4)

    @property
    def leading(self) -> tuple[int, ...]:
        """The dimensions of the result before [seq_q, value_dim]."""
        return (self.batch, self.heads) if self.stacked else ()

    @property
    def query_heads(self) -> int:
        """Of all the batch."""
        return self.batch * self.heads

    @property
    def key_heads(self) -> int:
        """Of all the batch."""
        return self.batch * self.kv_heads

    def key_head(self, query_head: int) -> int:
        """The K/V head of a query head, both counted through the batch."""
        return query_head // (self.heads // self.kv_heads)


@dataclass(frozen=True)
class Visit:
    """A query tile meets a K/V tile: one inner iteration. Tiles are counted through all heads."""

    query_tile: int
    key_tile: int
    first: bool
    """of the query tile"""
    last: bool
    causal: bool
    """the keys after each query of the tile are hidden: it lies on the diagonal"""
    hidden: int
    """keys at the end of the tile that are past the sequence's"""


def tiles(length: int, tile: int) -> int:
    """Tiles that hold so many rows; the last may be partly empty."""
    return -(-length // tile)


def key_tiles(query_tile: int, count: int, causal: bool) -> int:
    """How many of ``count`` K/V tiles a query tile visits: all, or those that are not wholly after it."""
    return min(query_tile + 1, count) if causal else count


def tile_pairs(query_tiles: int, kv_tiles: int, causal: bool) -> int:
    """How many inner iterations a head has."""
    return sum(key_tiles(i, kv_tiles, causal) for i in range(query_tiles))


def visits(shape: AttentionShape, tile: int) -> list[Visit]:
    """Every inner iteration, in the order in which the kernel does them."""
    query_tiles, kv_tiles = tiles(shape.seq_q, tile), tiles(shape.seq_kv, tile)
    empty = kv_tiles * tile - shape.seq_kv
    found = []
    for head in range(shape.query_heads):
        first_key = shape.key_head(head) * kv_tiles
        for i in range(query_tiles):
            count = key_tiles(i, kv_tiles, shape.causal)
            found += [
                Visit(head * query_tiles + i, first_key + j, j == 0, j == count - 1, shape.causal and i == j,
                      empty if j == kv_tiles - 1 else 0)
                for j in range(count)
            ]
    return found

"""Where data lies: tensors in memory, tiles of the scratchpad and of the accumulator RAM. Only places, no data.

Memory is addressed in bytes, the two RAMs in rows: a scratchpad row holds ``config.rows`` elem values, an accumulator
row ``config.cols`` acc values. Everything here is frozen; ``split``, ``reverse`` and ``transpose`` give new places.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits, FloatFormat, as_format
from myhdl_fsa.arithmetic.rounding import check_bits
from myhdl_fsa.arithmetic.tensors import to_elem
from myhdl_fsa.kernel.errors import KernelError

__all__ = [
    "AccumulatorTile",
    "MemoryTensor",
    "ScratchpadTile",
    "check_format",
    "check_shape",
    "element_bytes",
    "pack",
    "patterns",
    "unpack",
]


def element_bytes(fmt: FloatFormat) -> int:
    """Bytes that one value takes in memory: whole bytes, little-endian, the pattern in the low bits."""
    return fmt.memory_bytes


def pack(bits: Bits, fmt: FloatFormat) -> bytes:
    """Patterns as memory holds them, the last dimension contiguous."""
    wide = np.ascontiguousarray(bits, dtype=fmt.dtype.newbyteorder("<"))
    return wide.view(np.uint8).reshape(-1, fmt.dtype.itemsize)[:, : element_bytes(fmt)].tobytes()


def unpack(data: Any, fmt: FloatFormat) -> Bits:
    """Patterns from their bytes, ``data`` being [..., element_bytes]; bits above the format's width are dropped."""
    wide = np.zeros((*data.shape[:-1], fmt.dtype.itemsize), np.uint8)
    wide[..., : data.shape[-1]] = data
    bits = wide.view(fmt.dtype.newbyteorder("<"))[..., 0].astype(fmt.dtype)
    return bits & fmt.dtype.type((1 << fmt.width) - 1)


def patterns(array: np.ndarray, fmt: FloatFormat, what: str) -> Bits:
    """An array's patterns of ``fmt``: floats rounded, or its own. Raises KernelError for one that is neither."""
    if array.dtype.kind == "u":
        try:
            return check_bits(array, fmt)
        except ValueError as error:
            raise KernelError(f"{what}: {error}") from None
    if array.dtype in (np.float16, np.float32, np.float64):
        return to_elem(array, fmt)
    raise KernelError(f"{what}: array of {array.dtype}: must be float16, float32, float64 or unsigned patterns")


def check_shape(shape: Any, what: str) -> tuple[int, ...]:
    """``shape`` as a tuple. Raises KernelError unless it has one or more sizes of at least 1."""
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    whole = all(isinstance(size, (int, np.integer)) and not isinstance(size, bool) and size >= 1 for size in sizes)
    if not sizes or not whole:
        raise KernelError(f"{what}: shape {shape!r}: must be integers of at least 1")
    return tuple(int(size) for size in sizes)


def check_format(fmt: Any, what: str) -> FloatFormat:
    """``fmt``, or the format of that name. Raises KernelError for anything else."""
    try:
        return as_format(fmt)
    except (TypeError, ValueError) as error:
        raise KernelError(f"{what}: {error}") from None


def _integer(value: Any, name: str, what: str) -> int:
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise KernelError(f"{what}: {name} = {value!r}: must be an integer")
    return int(value)


def _parts(what: str, shape: tuple[int, ...], size: int, dim: int) -> int:
    """How many parts of ``size`` there are along ``dim``."""
    size = _integer(size, "split size", what)
    if size < 1 or shape[dim] % size:
        raise KernelError(f"{what} of shape {list(shape)}: split size {size}: must divide {shape[dim]}")
    return shape[dim] // size


def _dimension(what: str, shape: tuple[int, ...], dim: int) -> int:
    """``dim`` counted from the front."""
    dim = _integer(dim, "dimension", what)
    if not -len(shape) <= dim < len(shape):
        raise KernelError(f"{what} of shape {list(shape)}: dimension {dim}: "
                          f"must be from {-len(shape)} to {len(shape) - 1}")
    return dim % len(shape)


@dataclass(frozen=True)
class MemoryTensor:
    """A tensor in memory. Raises KernelError for a shape, a format or strides that are none."""

    shape: tuple[int, ...]
    format: FloatFormat
    address: int
    """of element [0, 0, ...], in bytes"""
    strides: tuple[int, ...] = ()
    """bytes from one element to the next along each dimension; left out: contiguous, the last dimension fastest"""

    def __post_init__(self) -> None:
        what = "memory tensor"
        object.__setattr__(self, "shape", check_shape(self.shape, what))
        object.__setattr__(self, "format", check_format(self.format, what))
        if _integer(self.address, "address", what) < 0:
            raise KernelError(f"{what}: address = {self.address}: must not be negative")
        if not self.strides:
            steps = np.cumprod([element_bytes(self.format), *self.shape[:0:-1]])[::-1]
            object.__setattr__(self, "strides", tuple(int(step) for step in steps))
        if len(self.strides) != len(self.shape):
            raise KernelError(f"{what}: {len(self.strides)} strides for {len(self.shape)} dimensions: must be as many")

    @property
    def extent(self) -> tuple[int, int]:
        """The first byte and the byte after the last one of the stretch of memory that holds every element."""
        reach = [(size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True)]
        low = self.address + sum(step for step in reach if step < 0)
        return low, self.address + sum(step for step in reach if step > 0) + element_bytes(self.format)

    def split(self, size: int, dim: int) -> tuple[Self, ...]:
        """Parts of ``size`` along ``dim`` (negative: from the back), in order. Raises KernelError."""
        dim = _dimension("memory tensor", self.shape, dim)
        parts = _parts("memory tensor", self.shape, size, dim)
        shape = (*self.shape[:dim], int(size), *self.shape[dim + 1:])
        step = size * self.strides[dim]
        return tuple(replace(self, shape=shape, address=self.address + i * step) for i in range(parts))

    def reverse(self, dim: int) -> Self:
        """The same elements, last first along ``dim``. Raises KernelError."""
        dim = _dimension("memory tensor", self.shape, dim)
        step = self.strides[dim]
        strides = (*self.strides[:dim], -step, *self.strides[dim + 1:])
        return replace(self, address=self.address + (self.shape[dim] - 1) * step, strides=strides)

    def transpose(self) -> Self:
        """The same elements with the order of the dimensions turned round."""
        return replace(self, shape=self.shape[::-1], strides=self.strides[::-1])

    def read(self, data: bytes, start: int) -> Bits:
        """The elements' patterns, in ``shape``, out of ``data``, which begins at the byte address ``start``."""
        shape, strides = (*self.shape, element_bytes(self.format)), (*self.strides, 1)
        low, high = self.extent
        if low < start or high > start + len(data):
            raise KernelError(f"memory tensor from {low:#x} to {high:#x}: must lie in the data, "
                              f"{start:#x} to {start + len(data):#x}")
        return unpack(np.ndarray(shape, np.uint8, data, self.address - start, strides), self.format)


@dataclass(frozen=True)
class _RamTile:
    """Rows of a RAM, each as wide as the RAM: [rows, width]."""

    shape: tuple[int, int]
    format: FloatFormat
    row: int
    """the RAM row of row 0"""
    stride: int = 1
    """RAM rows from one row to the next"""

    NAME = "tile"

    def __post_init__(self) -> None:
        shape = check_shape(self.shape, self.NAME)
        if len(shape) != 2:
            raise KernelError(f"{self.NAME}: shape {list(shape)}: must be [rows, width]")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "format", check_format(self.format, self.NAME))
        row, stride = _integer(self.row, "row", self.NAME), _integer(self.stride, "stride", self.NAME)
        if row < 0 or row + (shape[0] - 1) * stride < 0:
            raise KernelError(f"{self.NAME}: row {self.row}, stride {self.stride}, {shape[0]} rows: "
                              "must not reach below row 0")

    def _along_rows(self, dim: int, action: str) -> None:
        if _dimension(self.NAME, self.shape, dim) != 0:
            raise KernelError(f"{self.NAME}: cannot {action} dimension {dim}: must be 0, a row is whole")

    def split(self, size: int, dim: int = 0) -> tuple[Self, ...]:
        """Parts of ``size`` rows, in order; ``dim`` must be 0, since a row is whole. Raises KernelError."""
        self._along_rows(dim, "split")
        parts = _parts(self.NAME, self.shape, size, 0)
        return tuple(
            replace(self, shape=(int(size), self.shape[1]), row=self.row + i * size * self.stride)
            for i in range(parts)
        )

    def reverse(self, dim: int = 0) -> Self:
        """The same rows, last first; ``dim`` must be 0. Raises KernelError."""
        self._along_rows(dim, "reverse")
        return replace(self, row=self.row + (self.shape[0] - 1) * self.stride, stride=-self.stride)


@dataclass(frozen=True)
class ScratchpadTile(_RamTile):
    """Rows of the scratchpad, each ``config.rows`` elem values. Raises KernelError for what is no tile."""

    NAME = "scratchpad tile"


@dataclass(frozen=True)
class AccumulatorTile(_RamTile):
    """Rows of the accumulator RAM, each ``config.cols`` acc values. Raises KernelError for what is no tile."""

    NAME = "accumulator tile"

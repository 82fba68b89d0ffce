"""Tensors that people have, as bit patterns of a format."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.formats import FP16, FP32, Bits, FloatFormat
from myhdl_fsa.arithmetic.rounding import check_bits, encode, round_values

__all__ = ["as_array", "to_bits", "to_elem"]


def as_array(values: Any, name: str = "tensor") -> np.ndarray:
    """``values`` as a numpy array of floating point, or of unsigned patterns, unchanged.

    Takes numpy arrays, those of ml_dtypes, torch tensors of any device and type (bfloat16 comes out as float32), and
    what ``numpy.asarray`` takes. Raises TypeError, naming it as ``name``, for what holds neither.
    """
    if type(values).__module__.partition(".")[0] == "torch":
        # not imported here: who has a tensor has torch
        tensor = values.detach().cpu()
        values = (tensor.float() if str(tensor.dtype) in _TORCH_ONLY else tensor).numpy()
    array = np.asarray(values)
    if array.dtype.kind in "fu" and array.dtype.itemsize <= 8:
        return array
    if type(array.dtype.type(0)).__module__.startswith("ml_dtypes"):
        return array.astype(np.float32)
    raise TypeError(f"{name} holds {array.dtype}: must be an array of floating point, or of unsigned bit patterns")


_TORCH_ONLY = ("torch.bfloat16", "torch.float8_e4m3fn", "torch.float8_e5m2", "torch.float8_e4m3fnuz",
               "torch.float8_e5m2fnuz")
"""types of torch that numpy has not"""


def to_bits(values: Any, fmt: FloatFormat, name: str = "tensor") -> Bits:
    """Patterns of ``fmt`` of what ``as_array`` takes: floats are rounded to nearest even, patterns stay as they are.

    Raises TypeError as ``as_array``, and ValueError for a pattern wider than the format.
    """
    array = as_array(values, name)
    if array.dtype.kind == "u":
        try:
            return check_bits(array, fmt)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return to_elem(array, fmt)


def to_elem(values: npt.NDArray[np.floating[Any]], fmt: FloatFormat) -> Bits:
    """Bit patterns of float ``values`` rounded to nearest even in ``fmt``, same shape.

    For fp16 and fp32 this is numpy's own cast, as published: subnormals keep their pattern, and read as zero later.
    """
    # Copies are taken throughout: values may be a read-only map of a file.
    with np.errstate(over="ignore", invalid="ignore"):
        if fmt == FP16:
            return np.array(values, dtype=np.float16, order="C").view(np.uint16)
        if fmt == FP32:
            return np.array(values, dtype=np.float32, order="C").view(np.uint32)
    wide = np.array(values, dtype=np.float64, order="C")
    return encode(round_values(np.atleast_1d(wide), fmt), fmt).reshape(wide.shape)

"""Tensors that people have, as bit patterns of a format."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.formats import FP16, FP32, Bits, FloatFormat
from myhdl_fsa.arithmetic.rounding import encode, round_values


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

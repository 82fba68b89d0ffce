"""The software reference on numpy: attention (``attention``) and the whole device (``device``), without a clock."""

from __future__ import annotations

from myhdl_fsa.golden.model import (
    Evaluation,
    attention,
    evaluate,
    exp_weights,
    fold,
    hide_last,
    mask_later,
    rescale_factor,
    running_max,
    weight_table,
)

__all__ = [
    "Evaluation",
    "attention",
    "evaluate",
    "exp_weights",
    "fold",
    "hide_last",
    "mask_later",
    "rescale_factor",
    "running_max",
    "weight_table",
]

"""The software reference on numpy: attention (``attention``) and the whole device (``device``), without a clock."""

from __future__ import annotations

from myhdl_fsa.golden.model import attention, exp_weights, fold, mask_later, rescale_factor, running_max

__all__ = ["attention", "exp_weights", "fold", "mask_later", "rescale_factor", "running_max"]

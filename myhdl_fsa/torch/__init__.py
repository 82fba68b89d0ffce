"""The machine's attention in torch: an operator (``scaled_dot_product_attention``), and in whole models (``use``)."""

from __future__ import annotations

from myhdl_fsa.torch.context import use
from myhdl_fsa.torch.operator import scaled_dot_product_attention

__all__ = ["scaled_dot_product_attention", "use"]

"""First attention: the same tensors through the golden model and through the simulated hardware, against exact softmax.

Run from anywhere: ``python examples/first_attention.py``.
"""

from __future__ import annotations

import numpy as np

import myhdl_fsa
from myhdl_fsa.easyfloat import from_float, to_float

# 6 queries and 10 keys of 4 numbers each, as any attention layer has them
rng = np.random.default_rng(0)
q, k, v = rng.standard_normal((6, 4)), rng.standard_normal((10, 4)), rng.standard_normal((10, 4))

# The machine: an array of 4 x 4 processing elements. The array's size is the size of a tile and the largest d.
config = myhdl_fsa.preset("FSA4X4Fp16Config")

# The golden model computes every bit as the hardware does, but without a clock: quick, whatever the size.
o = myhdl_fsa.attention(q, k, v, config)

# The same on the hardware, simulated cycle by cycle in MyHDL: the device fetches tiles over AXI4 and stores O.
simulated = myhdl_fsa.attention(q, k, v, config, engine="myhdl")
print("hardware and golden model:", "equal in every bit" if (o == simulated).all() else "different")

# An engine says more than the result. It takes patterns, the bits of the input format.
patterns = [from_float(x, config.elem) for x in (q, k, v)]
core = myhdl_fsa.engine("myhdl").attention(*patterns, config)
print(f"the array alone: {core.cycles} cycles, {core.inner_iteration_cycles:.0f} for one more tile of keys")

# What softmax says of the rounded inputs, in float64.
x, y, z = (to_float(bits, config.elem) for bits in patterns)
scores = x @ y.T / np.sqrt(4)
weights = np.exp(scores - scores.max(axis=1, keepdims=True))
exact = weights / weights.sum(axis=1, keepdims=True) @ z
print(f"largest error against exact softmax: {abs(o - exact).max():.1e}")
print("first row of O:", *(f"{value:+.4f}" for value in o[0]))
print("        exact:", *(f"{value:+.4f}" for value in exact[0]))

"""A kernel of one's own: K and V are loaded once, and stay while several tiles of queries pass.

Run from anywhere: ``python examples/own_kernel.py``. The published order loads K and V anew for each query tile; with
one tile of keys that is a waste. So this kernel has another order, and shows what the checker finds in a wrong one.
"""

from __future__ import annotations

import numpy as np

from myhdl_fsa import Config, engine, golden, kernel
from myhdl_fsa.kernel import Context, KernelError, MemoryTensor


def one_key_tile(ctx: Context, q: MemoryTensor, k: MemoryTensor, v_t: MemoryTensor, forgetful: bool) -> MemoryTensor:
    """softmax(Q K^T / sqrt(d)) V of one tile of keys; gives O^T [d, seq_q]. ``forgetful``: without waiting for Q."""
    n = ctx.config.rows
    # rows of the memories, and a semaphore for each buffer that two units share
    q_tiles = [(ctx.alloc_scratchpad(n, "Q"), ctx.semaphore()) for _ in range(2)]
    k_tile, k_there = ctx.alloc_scratchpad(n, "K"), ctx.semaphore()
    v_tile, v_there = ctx.alloc_scratchpad(n, "V^T"), ctx.semaphore()
    sums = ctx.alloc_accumulator(1, "L")
    o_tiles = [ctx.alloc_accumulator(n, "O^T") for _ in range(2)]
    stored = ctx.semaphore()
    o_t = ctx.alloc_memory((n, q.shape[0]), ctx.config.acc, "O^T")
    q_parts, o_parts = q.split(n, dim=0), o_t.split(n, dim=1)

    for i, (part, result) in enumerate(zip(q_parts, o_parts, strict=True)):
        (q_tile, q_there), o_tile = q_tiles[i % 2], o_tiles[i % 2]
        ctx.load_tile(part, q_tile, q_there)
        if i == 0:
            ctx.load_tile(k, k_tile, k_there)
            ctx.load_tile(v_t, v_tile, v_there)
        # row 0 goes to the last column: queries enter in reverse
        ctx.load_stationary(q_tile.reverse(dim=0), q_there, acquire=not forgetful)
        # K and V are waited for once, and never given back: nobody overwrites them
        ctx.attn_score(k_tile, sums, False, k_there, acquire=i == 0, release=False)
        ctx.attn_value(v_tile, o_tile, False, v_there, acquire=i == 0, release=False)
        ctx.reciprocal(sums)
        ctx.attn_lse_norm(o_tile, stored)
        ctx.store_tile(o_tile, result, stored)
    ctx.fence(matrix=True, dma=True, stop=True)
    return o_t


config = Config(rows=4, reciprocal="division")
q, k, v = (np.random.default_rng(seed).standard_normal((rows, 4)) for seed, rows in enumerate((16, 4, 4)))

written = kernel(one_key_tile)(config, q, k, v.T, False)
execution = engine("myhdl").execute(written, config)
(o_t,) = written.tensors(execution)
same = (o_t.T == golden.attention(q, k, v, config)).all()
published = engine("myhdl").execute(kernel.attention_kernel(q, k, v, config), config)
for name, run in (("published order", published), ("K and V stay", execution)):
    print(f"{name:16}", f"{run.counters.dma:2} transfers, {run.counters.dma_active:3} cycles of DMA,",
          f"{run.counters.execution_time} cycles in all")
print("bits:", "those of the golden model" if same else "others")

# An engine refuses a kernel that the checker finds an error in, and says where it was written and what would mend it.
try:
    engine("myhdl").execute(kernel(one_key_tile)(config, q, k, v.T, True), config)
except KernelError as error:
    print("without the wait for Q:", str(error).replace(__file__, "own_kernel.py"))

"""Programs for the accelerator, written in Python: tiles, semaphores and one call an instruction.

>>> from myhdl_fsa.config import Config
>>> import numpy as np
>>> @kernel
... def load_only(ctx, k):
...     ctx.load_tile(k, ctx.alloc_scratchpad(4, "K"), ctx.semaphore())
...     ctx.fence(dma=True, stop=True)
>>> print(disassemble(load_only(Config(rows=4, cols=4), np.zeros((4, 4))).words), end="")
load rows=4 spad=0+1 memory=0x80000000+8 size=8 sem=0 acquire=0 release=1
fence dma stop
"""

from __future__ import annotations

from myhdl_fsa.api.callable_module import make_callable
from myhdl_fsa.kernel.allocator import Allocator
from myhdl_fsa.kernel.assembly import assemble, disassemble
from myhdl_fsa.kernel.checker import check, ensure
from myhdl_fsa.kernel.context import Context, Kernel, kernel
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.finding import Finding, Origin
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output, flash_attention
from myhdl_fsa.kernel.semaphore import Semaphore
from myhdl_fsa.kernel.tensor import AccumulatorTile, MemoryTensor, ScratchpadTile

__all__ = [
    "AccumulatorTile",
    "Allocator",
    "Context",
    "Finding",
    "Kernel",
    "KernelError",
    "MemoryTensor",
    "Origin",
    "ScratchpadTile",
    "Semaphore",
    "assemble",
    "attention_kernel",
    "attention_output",
    "check",
    "disassemble",
    "ensure",
    "flash_attention",
    "kernel",
]

make_callable(__name__)

"""How fast attention is on a GPU with the machine's bits: against torch's own, and against the golden model if asked.

Run from the repository: ``python benchmarks/gpu.py [--quick] [--golden]``. Prints one line per measurement; without a
GPU, one that says so. "equal" compares every bit of the first head with the golden model, with ``--golden`` of all.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.tensors import to_bits
from myhdl_fsa.config import Config

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Problem:
    """Tensors [batch, heads or kv_heads, seq_q or seq_kv, d] of one type, on a machine of d rows."""

    elem: str
    batch: int
    heads: int
    kv_heads: int
    seq_q: int
    seq_kv: int
    d: int
    causal: bool = False

    def __str__(self) -> str:
        return (f"{self.elem} [{self.batch}, {self.heads}/{self.kv_heads}, {self.seq_q}/{self.seq_kv}, {self.d}]"
                f"{' causal' if self.causal else ''}")

    @property
    def operations(self) -> int:
        """Multiplications and additions of both products, of the keys that a query sees."""
        seen = self.seq_q * self.seq_kv
        if self.causal:
            seen = sum(min(query + 1, self.seq_kv) for query in range(self.seq_q))
        return 4 * self.batch * self.heads * seen * self.d

    def tensors(self) -> list[torch.Tensor]:
        generator = torch.Generator().manual_seed(0)
        sizes = ((self.heads, self.seq_q), (self.kv_heads, self.seq_kv), (self.kv_heads, self.seq_kv))
        return [torch.randn(self.batch, heads, length, self.d, generator=generator).to(DTYPES[self.elem])
                for heads, length in sizes]


PROBLEMS = (
    *(Problem(elem, 1, 32, 32, 2048, 2048, 128, causal) for elem in DTYPES for causal in (False, True)),
    Problem("fp16", 1, 32, 32, 2048, 2048, 64),
    Problem("fp16", 4, 32, 8, 1000, 1000, 128, True),
    Problem("fp16", 8, 32, 8, 1, 4096, 128),
    Problem("fp16", 1, 16, 16, 8192, 8192, 128, True),
)


def measure(problem: Problem, whole: bool) -> None:
    from triton.testing import do_bench

    from myhdl_fsa.torch.triton_kernel import attention

    config = Config(rows=problem.d, elem=problem.elem, reciprocal="division")
    tensors = problem.tensors()
    on_gpu = [tensor.cuda() for tensor in tensors]
    ours = partial(attention, *on_gpu, config, causal=problem.causal)
    found = ours()
    patterns = [to_bits(tensor, config.elem) for tensor in tensors]
    if not whole:
        found, patterns = found[:1, :1], [array[:1, :1] for array in patterns]
    start = time.perf_counter()
    wanted = golden.attention(*patterns, config, problem.causal, workers=None)
    taken = time.perf_counter() - start
    equal = np.array_equal(found.cpu().numpy().view(np.uint32), wanted)
    theirs = partial(torch.nn.functional.scaled_dot_product_attention, *on_gpu, is_causal=problem.causal,
                     enable_gqa=problem.heads != problem.kv_heads)
    ms, torch_ms = (do_bench(call, return_mode="median") for call in (ours, theirs))
    print(f"{problem}: {ms:.3f} ms, {problem.operations / ms / 1e9:.1f} TFLOP/s; torch's own {torch_ms:.3f} ms; "
          f"equal: {'yes' if equal else 'NO'}" + (f"; golden {taken:.1f} s" if whole else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the first two alone")
    parser.add_argument("--golden", action="store_true", help="the golden model computes, and is timed on, every head")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no GPU here: nothing to measure")
        sys.exit()
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}")
    for problem in PROBLEMS[:2] if options.quick else PROBLEMS:
        measure(problem, options.golden)


if __name__ == "__main__":
    main()

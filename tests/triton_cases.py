"""Attention problems for the GPU's kernel, and how its bits are compared with the golden model's.

``TRITON_INTERPRET=1 python tests/triton_cases.py GROUP`` compares a group in Triton's interpreter, which has to be
chosen before triton is imported, and prints a line for each problem that differs.
"""

import sys
import time
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import BF16, FP16, FloatFormat
from myhdl_fsa.arithmetic.tensors import to_bits
from myhdl_fsa.config import Config


@dataclass(frozen=True)
class Case:
    """One problem. ``kind`` says what the tensors hold: see ``tensor``."""

    rows: int
    seq_q: int
    seq_kv: int
    d: int
    dv: int = 0
    batch: int = 1
    heads: int = 1
    kv_heads: int = 1
    elem: FloatFormat = FP16
    causal: bool = False
    kind: str = "normal"
    dtype: torch.dtype = torch.float32
    transposed: bool = False
    options: dict = field(default_factory=dict)
    scale: float | None = None

    def __str__(self) -> str:
        words = [f"{self.elem} N={self.rows}", f"[{self.batch},{self.heads}/{self.kv_heads},{self.seq_q}/{self.seq_kv},"
                 f"{self.d}/{self.dv or self.d}]", str(self.dtype).removeprefix("torch."), self.kind]
        words += ["causal"] * self.causal + ["transposed"] * self.transposed
        words += [f"{key}={value}" for key, value in self.options.items()]
        return " ".join(words + [f"scale={self.scale}"] * (self.scale is not None))

    @property
    def config(self) -> Config:
        return Config(rows=self.rows, elem=self.elem, **self.options)

    def tensors(self, seed: int = 0) -> list[torch.Tensor]:
        rng = np.random.default_rng(seed)
        sizes = ((self.heads, self.seq_q, self.d), (self.kv_heads, self.seq_kv, self.d),
                 (self.kv_heads, self.seq_kv, self.dv or self.d))
        made = []
        for index, (heads, sequence, width) in enumerate(sizes):
            shape = (self.batch, sequence, heads, width) if self.transposed else (self.batch, heads, sequence, width)
            tensor = torch.from_numpy(numbers(rng, self.kind, shape, index)).to(self.dtype)
            made.append(tensor.transpose(1, 2) if self.transposed else tensor)
        return made


def numbers(rng: np.random.Generator, kind: str, shape: tuple[int, ...], index: int) -> np.ndarray:
    """float64 for q (``index`` 0), k or v."""
    normal = rng.standard_normal(shape)
    if kind == "special":
        # Inf and NaN spoil whole rows of the output, so there are few
        odd = rng.choice([np.inf, -np.inf, np.nan, 6e4, 1e38, 1e-40], shape)
        zeros = rng.choice([0.0, -0.0, 2.0**-14, 2.0**-14 - 2.0**-26, -(2.0**-15), 2.0**-126, 1e-39], shape)
        return np.where(rng.random(shape) < 0.004, odd, np.where(rng.random(shape) < 0.3, zeros, normal))
    if kind == "tiny":
        # elements, scores, weights and sums on both sides of the smallest normal numbers
        return normal * 2.0 ** rng.integers(-17, -11, shape)
    if kind == "wide":
        # all of bf16: products far below and above what float32 holds
        low, high = ((-70, 8), (-70, 8), (-126, 40))[index]
        return normal * 2.0 ** rng.integers(low, high, shape)
    if kind == "spread":
        # weights down to the smallest number, and values whose products with them lie below it
        return normal * (12.0 if index < 2 else 2.0 ** rng.integers(-20, 2, shape))
    if kind == "late":
        # only the tiles that hold the last keys spoil an output, and only those of queries that meet them
        late = np.arange(shape[2])[:, None] >= shape[2] // 2
        return np.where(late & (rng.random(shape) < 0.2), np.inf, normal) if index == 2 else normal
    assert kind == "normal"
    return normal


_NEWTON, _DIVISION = {"reciprocal": "newton"}, {"reciprocal": "division"}
_SMALL = (
    Case(4, 9, 11, 4, batch=2, heads=2, causal=True),
    Case(8, 8, 24, 8, heads=4, kv_heads=2, options=_DIVISION, dtype=torch.float16),
    Case(16, 5, 37, 11, dv=7, causal=True, transposed=True, options=_DIVISION),
    Case(12, 30, 13, 12, dv=3, causal=True, dtype=torch.float64, scale=0.7, options={"exp2_pieces": 4}),
    Case(4, 7, 40, 3, kind="special", dtype=torch.float64),
    Case(4, 21, 13, 4, kind="special", causal=True, dtype=torch.float32, options=_DIVISION),
    Case(16, 16, 32, 16, kind="tiny", options=_DIVISION, scale=1000.0),
    Case(8, 9, 40, 8, kind="tiny", dtype=torch.float64, causal=True),
    Case(8, 5, 40, 8, kind="spread", dtype=torch.bfloat16),
    Case(4, 22, 19, 4, kind="late", causal=True),
)
_WIDE = (
    Case(8, 9, 23, 8, elem=BF16, kind="wide", causal=True),
    Case(16, 6, 33, 16, elem=BF16, kind="wide", options=_DIVISION, dtype=torch.float64),
    Case(8, 7, 40, 8, elem=BF16, kind="spread", options=_DIVISION, dtype=torch.bfloat16),
)
INTERPRETED = {
    "fp16": _SMALL,
    "bf16": (*(replace(case, elem=BF16) for case in _SMALL), *_WIDE),
}
"""what the interpreter can compute in seconds, by group"""

_LARGE = (
    Case(128, 256, 256, 128, heads=2, kv_heads=2, dtype=torch.float16),
    Case(128, 256, 256, 128, heads=2, kv_heads=2, causal=True, dtype=torch.float16),
    Case(128, 300, 517, 128, batch=2, heads=4, kv_heads=1, causal=True, dtype=torch.float16, transposed=True),
    Case(128, 1, 1000, 128, batch=3, heads=8, kv_heads=2, dtype=torch.bfloat16, options=_DIVISION),
    Case(128, 77, 130, 96, dv=64, causal=True),
    Case(128, 130, 140, 64, kind="special", causal=True, dtype=torch.float64),
    Case(128, 200, 400, 128, kind="tiny", options=_DIVISION, scale=1000.0),
    Case(128, 200, 400, 128, kind="spread", causal=True, options=_DIVISION),
    Case(64, 256, 192, 64, batch=2, heads=4, kv_heads=2, dtype=torch.float16),
    Case(64, 1025, 1025, 64, heads=3, kv_heads=3, causal=True, dtype=torch.bfloat16, options=_DIVISION),
    Case(64, 129, 500, 64, kind="special", transposed=True),
    Case(32, 100, 90, 24, heads=2, causal=True, dtype=torch.float64),
    Case(48, 100, 200, 48, dv=40, causal=True, options={"exp2_pieces": 32}),
    Case(16, 333, 222, 16, heads=4, kv_heads=4, causal=True, dtype=torch.float16),
    Case(256, 200, 600, 200, causal=True, options=_DIVISION),
)
CUDA = (
    *_LARGE,
    *(replace(case, elem=BF16) for case in _LARGE),
    Case(128, 300, 400, 128, elem=BF16, kind="wide", causal=True),
    Case(64, 300, 400, 64, elem=BF16, kind="wide", options=_DIVISION, dtype=torch.float64),
    Case(32, 200, 200, 32, kind="late", causal=True, heads=2),
    Case(128, 600, 500, 128, elem=BF16, kind="late", causal=True),
    Case(128, 2048, 2048, 128, dtype=torch.float16),
    Case(128, 2048, 2048, 128, elem=BF16, causal=True, dtype=torch.bfloat16),
    *INTERPRETED["fp16"],
    *INTERPRETED["bf16"],
)


def difference(case: Case, device: str) -> str | None:
    """What is first different, or None."""
    # triton is imported here, by who has chosen where it runs
    from myhdl_fsa.torch.triton_kernel import attention

    tensors = case.tensors()
    patterns = [to_bits(tensor, case.elem) for tensor in tensors]
    wanted = golden.attention(*patterns, case.config, case.causal, scale=case.scale, workers=None)
    found = attention(*(tensor.to(device) for tensor in tensors), case.config, causal=case.causal, scale=case.scale)
    assert found.dtype == torch.float32 and found.device.type == device
    bits = found.cpu().numpy().view(np.uint32)
    assert bits.shape == wanted.shape
    places = np.argwhere(bits != wanted)
    if len(places) == 0:
        return None
    at = tuple(int(x) for x in places[0])
    return f"{case}: {len(places)} of {bits.size} differ, first {list(at)}: {bits[at]:#010x}, golden {wanted[at]:#010x}"


if __name__ == "__main__":
    np.seterr(all="ignore")
    for chosen in INTERPRETED[sys.argv[1]]:
        start = time.perf_counter()
        text = difference(chosen, "cpu")
        if text is not None:
            print(text, flush=True)
        print(f"{chosen}: {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)

"""How fast the reference attention is: against a scalar chain of big-integer multiply-adds, and at full size.

Run from the repository: ``python benchmarks/golden.py [--quick]``. Prints one line per measurement.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import exact

from myhdl_fsa.config import PRESETS, Config
from myhdl_fsa.easyfloat import FP16, FP32, Exp2, MultiplyAdd, Reciprocal, from_float
from myhdl_fsa.golden import attention


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The median time of a call, after one call that is not counted."""
    call()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def inputs(config: Config, queries: int, keys: int) -> Any:
    rng = np.random.default_rng(0)
    return [from_float(rng.standard_normal((rows, config.rows)), config.elem) for rows in (queries, keys, keys)]


def against_scalar(quick: bool) -> None:
    config = PRESETS["FSA16X16Fp16Config"]
    q, k, v = inputs(config, 256, 256)
    ours = seconds(lambda: attention(q, k, v, config), 20)
    # every query costs the scalar model the same, so some of them tell
    rows = 16 if quick else 256
    start = time.perf_counter()
    expected = exact.attention(q[:rows].tolist(), k.tolist(), v.tolist(), exact.FP16, exact.FP32)
    scalar = (time.perf_counter() - start) * 256 / rows
    assert np.array_equal(attention(q, k, v, config)[:rows], expected)
    print(f"golden N=16 256x256 fp16/fp32: {ours * 1e3:.2f} ms; scalar {scalar:.2f} s; ratio {scalar / ours:.0f}")


def sizes(quick: bool) -> None:
    runs = [("FSA16X16Bf16Config", 256, False), ("FSA16X16Fp16Config", 256, True), ("FSA64X64Fp16Config", 1024, False)]
    if not quick:
        runs += [(f"FSA128X128{elem}Config", 2048, causal) for elem in ("Fp16", "Bf16") for causal in (False, True)]
    for name, length, causal in runs:
        config = PRESETS[name]
        q, k, v = inputs(config, length, length)
        taken = seconds(partial(attention, q, k, v, config, causal), 3)
        print(f"golden {name} {length}x{length}{' causal' if causal else ''}: {taken:.4f} s")


def operations() -> None:
    rng = np.random.default_rng(1)
    count = 1 << 20
    half, single = (from_float(rng.standard_normal(count), fmt) for fmt in (FP16, FP32))
    for name, call in (
        ("fma fp16/fp32", lambda: MultiplyAdd(FP16, FP32).compute(half, half, single)),
        ("fma fp32/fp32", lambda: MultiplyAdd(FP32, FP32).compute(single, single, single)),
        ("exp2 fp16", lambda: Exp2(FP16, FP32).compute(half)),
        ("reciprocal fp32 newton", lambda: Reciprocal(FP32, "newton").compute(single)),
        ("reciprocal fp32 division", lambda: Reciprocal(FP32, "division").compute(single)),
    ):
        print(f"easyfloat {name}: {seconds(call, 3) / count * 1e9:.1f} ns an element")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes only")
    quick = parser.parse_args().quick
    against_scalar(quick)
    operations()
    sizes(quick)
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()

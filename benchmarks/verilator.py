"""How long the Verilator engine builds and how fast it simulates core and device, harness and start included.

Run from the repository: ``python benchmarks/verilator.py [--quick] [--size N]...``. Every run is checked against the
golden model. Prints one line per measurement.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from myhdl_fsa.config import preset
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import engine

TILES = {4: (64, 64), 16: (32, 64), 64: (8, 16), 128: (2, 8)}
"""per array size, the query and key tiles of the measured run"""


def measure(size: int, repeats: int, device: bool) -> None:
    config = preset(f"FSA{size}X{size}Fp16Config")
    rng = np.random.default_rng(0)
    q, k, v, q1, k1, v1 = (from_float(rng.random((tiles * size, size)), config.elem)
                           for tiles in (TILES[size][0], TILES[size][1], TILES[size][1], 1, 1, 1))
    expected = engine("golden").attention(q, k, v, config).output
    with tempfile.TemporaryDirectory() as folder:
        simulator = engine("verilator", Path(folder))
        attention = simulator.device_attention if device else simulator.attention
        start = time.perf_counter()
        attention(q1, k1, v1, config)
        built = time.perf_counter() - start
        start = time.perf_counter()
        attention(q1, k1, v1, config)
        again = time.perf_counter() - start
        speeds, cycles, bubble = [], 0, ""
        for _ in range(repeats):
            start = time.perf_counter()
            result = attention(q, k, v, config)
            cycles = result.cycles or 0
            speeds.append(cycles / (time.perf_counter() - start))
            if not np.array_equal(result.output, expected):
                raise SystemExit(f"verilator {config.name}: the output differs from the golden model's")
            if result.counters is not None:
                bubble = f", bubble {100 * result.counters.matrix_bubble / cycles:.2f} %"
    print(f"verilator {'device' if device else 'core'} {config.name}: {built:.0f} s to build, {again:.2f} s for one "
          f"tile once built, {np.median(speeds):.0f} cycles/s over {cycles} cycles{bubble}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat each")
    parser.add_argument("--size", type=int, action="append", choices=TILES, help="only this array size; repeatable")
    arguments = parser.parse_args()
    for size in arguments.size or TILES:
        for device in (False, True):
            measure(size, 1 if arguments.quick else 3, device)


if __name__ == "__main__":
    main()

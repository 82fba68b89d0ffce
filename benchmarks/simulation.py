"""How fast the MyHDL model of the core simulates: whole attention runs, elaboration included, and the command itself.

Run from the repository: ``python benchmarks/simulation.py [--quick]``. Prints one line per measurement.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

import numpy as np

from myhdl_fsa.config import preset
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.sims.core_engine import MyHDLEngine


def attention(name: str, tiles_q: int, tiles_kv: int, repeats: int) -> None:
    config = preset(name)
    rng = np.random.default_rng(0)
    q, k, v = (from_float(rng.random((tiles * config.rows, config.rows)), config.elem)
               for tiles in (tiles_q, tiles_kv, tiles_kv))
    speeds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = MyHDLEngine().attention(q, k, v, config)
        speeds.append((result.cycles or 0) / (time.perf_counter() - start))
    print(f"myhdl {name} {tiles_q}x{tiles_kv} tiles, {result.cycles} cycles: {np.median(speeds):.0f} cycles/s")


def command(repeats: int) -> None:
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        # with --quiet nothing would be measured against torch
        subprocess.run([sys.executable, "-m", "myhdl_fsa"], check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - start)
    print(f"fsa-sim --seq-q 4 --seq-kv 4: {np.median(times):.2f} s in all, the import of torch included")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat each")
    repeats = 1 if parser.parse_args().quick else 3
    command(repeats)
    for size, tiles_q, tiles_kv in ((4, 16, 8), (8, 8, 4), (16, 4, 4), (32, 1, 2)):
        attention(f"FSA{size}X{size}Fp16Config", tiles_q, tiles_kv, repeats)


if __name__ == "__main__":
    main()

"""How fast the MyHDL model of the core simulates: whole attention runs, elaboration included, and the command itself.

Run from the repository: ``python benchmarks/simulation.py [--quick] [--dataflows]``. Prints one line per measurement.
The two dataflows side by side (alone with ``--dataflows``) have the same tensors and the same reciprocal: the best
processor times of several runs, in turn.
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


def compare(size: int, tiles_q: int, tiles_kv: int, repeats: int) -> None:
    """Both dataflows' cycles/s and time for one attention run, elaboration included."""
    configs = {name: preset(f"{name.upper()}{size}X{size}Fp16Config").replace(reciprocal="division")
               for name in ("fsa", "stream")}
    rng = np.random.default_rng(0)
    q, k, v = (from_float(rng.random((tiles * size, size)), configs["fsa"].elem)
               for tiles in (tiles_q, tiles_kv, tiles_kv))
    cycles, seconds = dict.fromkeys(configs, 0), dict.fromkeys(configs, float("inf"))
    for name, config in [*configs.items()] * repeats:
        start = time.process_time()
        result = MyHDLEngine().attention(q, k, v, config)
        seconds[name] = min(seconds[name], time.process_time() - start)
        cycles[name] = result.cycles or 0
    speeds = {name: cycles[name] / seconds[name] for name in configs}
    print(f"myhdl N = {size}, {tiles_q}x{tiles_kv} tiles: "
          + ", ".join(f"{name} {speeds[name]:.0f} cycles/s, {seconds[name]:.2f} s" for name in configs)
          + f"; stream has {100 * speeds['stream'] / speeds['fsa']:.0f} % of the cycles/s of fsa and takes "
          f"{100 * seconds['stream'] / seconds['fsa']:.0f} % of its time", flush=True)


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
    parser.add_argument("--dataflows", action="store_true", help="only the comparison of the dataflows")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else 3
    if not arguments.dataflows:
        command(repeats)
        for size, tiles_q, tiles_kv in ((4, 16, 8), (8, 8, 4), (16, 4, 4), (32, 1, 2)):
            attention(f"FSA{size}X{size}Fp16Config", tiles_q, tiles_kv, repeats)
    for size, tiles_q, tiles_kv in ((4, 16, 8), (16, 2, 8), (16, 8, 8), (64, 1, 2)):
        compare(size, tiles_q, tiles_kv, repeats)


if __name__ == "__main__":
    main()

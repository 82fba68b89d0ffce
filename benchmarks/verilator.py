"""How long the Verilator engine builds and how fast it simulates core and device, harness and start included.

Run from the repository: ``python benchmarks/verilator.py [--quick] [--size N]... [--dataflows]``. Every run is checked
against the golden model. Prints one line per measurement. The two dataflows side by side (alone with ``--dataflows``)
are on the core, with the same tensors and the same reciprocal: the best processor times of several runs, in turn.
"""

from __future__ import annotations

import argparse
import resource
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


def compare(size: int, repeats: int) -> None:
    """Both dataflows' cycles/s and time for one attention run."""
    configs = {name: preset(f"{name.upper()}{size}X{size}Fp16Config").replace(reciprocal="division")
               for name in ("fsa", "stream")}
    rng = np.random.default_rng(0)
    q, k, v, q1, k1, v1 = (from_float(rng.random((tiles * size, size)), configs["fsa"].elem)
                           for tiles in (TILES[size][0], TILES[size][1], TILES[size][1], 1, 1, 1))
    cycles, seconds = dict.fromkeys(configs, 0), dict.fromkeys(configs, float("inf"))
    outputs = {}
    with tempfile.TemporaryDirectory() as folder:
        simulator = engine("verilator", Path(folder))
        for config in configs.values():
            simulator.attention(q1, k1, v1, config)
        for name, config in [*configs.items()] * repeats:
            start = _simulator_time()
            result = simulator.attention(q, k, v, config)
            seconds[name] = min(seconds[name], _simulator_time() - start)
            cycles[name], outputs[name] = result.cycles or 0, result.output
    if not np.array_equal(outputs["fsa"], outputs["stream"]):
        raise SystemExit(f"verilator N = {size}: the outputs of the dataflows differ")
    speeds = {name: cycles[name] / seconds[name] for name in configs}
    print(f"verilator core N = {size}, {TILES[size][0]}x{TILES[size][1]} tiles: "
          + ", ".join(f"{name} {speeds[name]:.0f} cycles/s, {seconds[name]:.2f} s" for name in configs)
          + f"; stream has {100 * speeds['stream'] / speeds['fsa']:.0f} % of the cycles/s of fsa and takes "
          f"{100 * seconds['stream'] / seconds['fsa']:.0f} % of its time", flush=True)


def _simulator_time() -> float:
    """Processor time of the simulators so far: what else runs on the machine disturbs it least."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat each")
    parser.add_argument("--size", type=int, action="append", choices=TILES, help="only this array size; repeatable")
    parser.add_argument("--dataflows", action="store_true", help="only the comparison of the dataflows")
    arguments = parser.parse_args()
    for size in arguments.size or TILES:
        for device in () if arguments.dataflows else (False, True):
            measure(size, 1 if arguments.quick else 3, device)
        compare(size, 1 if arguments.quick else 4)


if __name__ == "__main__":
    main()

"""Execution time of the whole device against the memory's bandwidth: a table, and with --plot a picture of it.

Run from the repository: ``python benchmarks/bandwidth.py [--size N] [--tiles T] [--plot FILE.png]``. Runs in Verilator;
every run is checked against the golden model.
"""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import numpy as np

from myhdl_fsa.config import Config, preset
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import engine
from myhdl_fsa.program import Timing

SIZES = (4, 16, 64)
BANDWIDTHS = tuple(Fraction(1, beats) for beats in (1, 2, 4, 8, 12, 16, 24, 32, 50))
"""beats a cycle of each port"""
LATENCY = 100
"""cycles, of reads and writes"""


def sweep(config: Config, tiles: int) -> list[tuple[Fraction, int, float]]:
    """Per bandwidth: the execution time in cycles, and the share of it in which the array waits, the bubble."""
    rng = np.random.default_rng(0)
    q, k, v = (from_float(rng.random((tiles * config.rows, config.rows)), config.elem) for _ in range(3))
    expected = engine("golden").attention(q, k, v, config).output
    points = []
    for bandwidth in BANDWIDTHS:
        timing = Timing(LATENCY, LATENCY, bandwidth, bandwidth)
        result = engine("verilator").device_attention(q, k, v, config, timing=timing)
        if result.counters is None or not np.array_equal(result.output, expected):
            raise SystemExit(f"{config.name} at {bandwidth} beats a cycle: the output differs from the golden model's")
        time = result.counters.execution_time
        points.append((bandwidth, time, result.counters.matrix_bubble / time))
    return points


def plot(path: Path, curves: dict[str, list[tuple[float, float]]]) -> None:
    """Bytes a cycle of all ports together against the execution time over that at full bandwidth."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4))
    for label, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=label)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xlabel("memory bandwidth, bytes a cycle, all ports together")
    axes.set_ylabel("execution time over that at full bandwidth")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    # no date and no version in the file: the same from run to run
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the smallest array only")
    parser.add_argument("--size", type=int, action="append", choices=SIZES, help="only this array size; repeatable")
    parser.add_argument("--tiles", type=int, default=8, help="query tiles, and key tiles (default: 8)")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw it")
    arguments = parser.parse_args()
    curves = {}
    for size in arguments.size or (SIZES[:1] if arguments.quick else SIZES):
        config = preset(f"FSA{size}X{size}Fp16Config")
        most = config.memory_ports * config.beat_bytes
        points = sweep(config, arguments.tiles)
        for bandwidth, time, bubble in points:
            print(f"{config.name} {arguments.tiles}x{arguments.tiles} tiles, {float(bandwidth * most):6.1f} bytes a "
                  f"cycle: {time} cycles, bubble {100 * bubble:.1f} %", flush=True)
        curves[f"N = {size}"] = [(float(bandwidth * most), time / points[0][1]) for bandwidth, time, _ in points]
    if arguments.plot is not None:
        plot(arguments.plot, curves)


if __name__ == "__main__":
    main()

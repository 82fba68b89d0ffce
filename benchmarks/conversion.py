"""How long fsa-convert takes and how much memory it needs, start of Python included, each size in a process of its own.

Run from the repository: ``python benchmarks/conversion.py [--quick]``. Prints one line per measurement.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time


def convert(name: str, repeats: int) -> None:
    seconds, megabytes = [], 0.0
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            command = [sys.executable, "-m", "myhdl_fsa.cli.convert", "--config", name, "--out", folder, "--quiet"]
            process = subprocess.Popen(command)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise subprocess.CalledProcessError(process.returncode, command)
            seconds.append(time.perf_counter() - start)
            megabytes = max(megabytes, usage.ru_maxrss / 1024)
    print(f"fsa-convert {name}: {statistics.median(seconds):.1f} s, {megabytes:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one repeat each")
    repeats = 1 if parser.parse_args().quick else 3
    for size in (4, 16, 64, 128):
        convert(f"FSA{size}X{size}Fp16Config", repeats)


if __name__ == "__main__":
    main()

"""Runs the converted accelerator in Verilator: the same counters, outputs and cycles as ``accelerator_bench``.

The bench is C++ (``verilator/accelerator.cpp``, ``host.h`` and ``memory.h``); this module writes what it plays, has it
built around the device into the build cache, runs it and reads what it leaves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from myhdl_fsa.config import Config
from myhdl_fsa.sims.accelerator_bench import RESET_CYCLES, DeviceRun
from myhdl_fsa.sims.verilator_engine import NONE, exchange, executable, one_file

__all__ = [
    "HARNESS",
    "TOP",
    "device_executable",
    "harness_text",
    "read_result",
    "simulate",
    "write_run",
]

TOP = "accelerator"
HARNESS = Path(__file__).with_name("verilator") / "accelerator.cpp"
_HEAD_WORDS = 5
_WORD_BYTES = 8


def simulate(run: DeviceRun, *, build_dir: Path | None = None) -> None:
    """Simulates ``run`` to its end or its cycle limit, which ``run`` then says.

    A waveform is written as FST when its name ends in .fst. Raises RunError when the device cannot be built or run.
    """
    exchange(
        run, lambda kind: device_executable(run.config, waveform=kind, build_dir=build_dir, say=run.watch.say),
        write_run, read_result,
    )


def device_executable(
    config: Config, *, waveform: str = "", build_dir: Path | None = None, say: Callable[[str], None] | None = None
) -> Path:
    """The bench around the accelerator of ``config``, as ``verilator_engine.executable`` has it for the core."""
    config.check_accelerator()
    return executable(config, waveform=waveform, build_dir=build_dir, top=TOP, harness=harness_text(config), say=say)


def harness_text(config: Config) -> str:
    """The bench's C++, with the names of the configuration's memory ports."""
    ports = " ".join(f"PORT({port})" for port in range(config.memory_ports))
    generated = f"#define MEMORY_PORTS(PORT) {ports}\n#define BEAT_BYTES {config.beat_bytes}\n"
    return one_file(HARNESS, {"ports.h": generated})


def write_run(run: DeviceRun, path: Path) -> None:
    """Writes what the bench plays: the memory's ways, the programs' stretches of memory, and the host's script."""
    config, timing, limit = run.config, run.timing, run.watch.max_cycles
    words = [
        config.memory_base, config.memory_size, RESET_CYCLES, NONE if limit is None else limit,
        NONE if timing.stall_seed is None else timing.stall_seed, timing.push_interval, timing.read_latency,
        timing.write_latency, *timing.read_bandwidth.as_integer_ratio(), *timing.write_bandwidth.as_integer_ratio(),
        len(run.programs), len(run.steps),
    ]
    for program in run.programs:
        words += [len(program.memory), len(program.outputs)]
        for address, data in program.memory:
            words += [address, len(data)]
        for region in program.outputs:
            words += [region.address, region.size]
    for step in run.steps:
        words += [int(step.action), int(step.address), int(step.value)]
    with path.open("wb") as file:
        file.write(np.array(words, np.uint64).tobytes())
        for program in run.programs:
            for _, data in program.memory:
                file.write(data)


def read_result(run: DeviceRun, path: Path) -> None:
    """Fills ``run`` with what the bench wrote."""
    data = path.read_bytes()
    cycle, position, limit, results, saves = (int(word) for word in np.frombuffer(data, np.uint64, _HEAD_WORDS))
    lists = np.frombuffer(data, np.uint64, results + saves, _HEAD_WORDS * _WORD_BYTES).tolist()
    run.cycle, run.position, run.limit_reached = cycle, position, bool(limit)
    if not limit:
        run.results = lists[:results]
    at = (_HEAD_WORDS + len(lists)) * _WORD_BYTES
    for number in lists[results:]:
        outputs = []
        for region in run.programs[number].outputs:
            outputs.append(data[at:at + region.size])
            at += region.size
        run.outputs.append(tuple(outputs))

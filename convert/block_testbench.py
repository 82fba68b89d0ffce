"""Any other block's testbench: stimuli, and what the MyHDL simulation of that very block answered, in plain Verilog."""

from __future__ import annotations

import copy
import dataclasses
import random
import zlib
from functools import partial
from typing import Any

import myhdl
import numpy as np
from myhdl._Signal import _Signal

from myhdl_fsa.accelerator import accelerator
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.axi import BOUNDARY, AxiRead, AxiWrite, Channels, MemoryPorts
from myhdl_fsa.config import Config
from myhdl_fsa.convert.hierarchy import Design, arguments, find, flatten, ports, twin_of
from myhdl_fsa.convert.regression import Case, Dut, case_bench, case_ports, connections, simulate, vectors
from myhdl_fsa.convert.testbench_data import BENCH_HEAD, SEED, TestbenchError, attention_data
from myhdl_fsa.core import AccumulatorReadPort, ScalePort, ScratchpadWrite
from myhdl_fsa.dataflows.fsa.control import Accumulator
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.elaboration import shared_analysis
from myhdl_fsa.instruction import MatrixInstruction, SemaphoreRelease
from myhdl_fsa.isa import Dma, encode_all
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.program import Program, Timing
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.accelerator_bench import DevicePorts, DeviceRun, accelerator_bench
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.ideal_device import pack

__all__ = ["BLOCK_CYCLES", "block_testbench", "recorded", "standalone"]

BLOCK_CYCLES = 400
"""at least that many"""


def block_testbench(config: Config, design: Design) -> dict[str, str]:
    """The testbench of a smaller block: stimuli, and the outputs of its MyHDL simulation, every cycle."""
    module = design.modules[design.name]
    bench = f"tb_{module.name}"
    dut, stimuli = standalone(config, design)
    seen = simulate(dut, stimuli)
    case = Case(module.name, "", *case_ports(dut, stimuli, seen), "clock" if "clock" in module.ports else None,
                connections(module))
    lines = [
        "// Self-checking: seeded stimuli, and every output compared every cycle with the block's MyHDL simulation.",
        "// Run it in the folder of its .hex files.", *BENCH_HEAD,
        *case_bench(bench, case, bench, stop=True),
    ]
    return {
        f"{bench}.v": "\n".join(lines) + "\n",
        f"{bench}_in.hex": vectors(case.inputs),
        f"{bench}_out.hex": vectors(case.outputs),
    }


def standalone(config: Config, design: Design) -> tuple[Dut, dict[str, list[int]]]:
    """The top block of a converted design, elaborated by itself with signals of its own, and stimuli for it."""
    block, module = twin_of(design.top), design.modules[design.name]
    directions = {name: module.ports[place.net].direction for name, place in module.located.items()}
    with shared_analysis():
        instance = myhdl.block(block.func)(**_fresh(arguments(block), {}))
    signals = ports(instance)
    inputs = {port: signals[port] for port, direction in directions.items() if direction == "input" and port != "clock"}
    outputs = {port: signals[port] for port, direction in directions.items() if direction == "output"}
    # a response without a request is a fault of who drives the block, so the blocks in front of memory meet one
    if any(isinstance(value, AxiRead | AxiWrite | Channels | MemoryPorts) for value in arguments(block).values()):
        stimuli = recorded(config, block.func.__name__, list(inputs))
    else:
        widths = {port: len(signal) or 1 for port, signal in inputs.items()}
        stimuli = _stimuli(config, widths, block)
    return Dut(design.name, instance, inputs, outputs), stimuli


def _fresh(value: Any, made: dict[int, Any]) -> Any:
    """A block's arguments with signals of its own, which start like those it has in the design; ``made`` by old id."""
    if isinstance(value, _Signal):
        return made.setdefault(id(value), unsigned(len(value) or 1, int(value)))
    if isinstance(value, dict):
        return {name: _fresh(inner, made) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        parts = [_fresh(inner, made) for inner in value]
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else type(value)(parts)
    if not flatten("", value):
        return value
    bundle = copy.copy(value)
    vars(bundle).update(_fresh(vars(value), made))
    return bundle


@myhdl.block
def _array(
    clock: Any, reset: Any, instruction: MatrixInstruction, release: SemaphoreRelease, busy: Any,
    write: ScratchpadWrite, read: AccumulatorReadPort, scale: ScalePort, config: Config, probe: Any = None,
) -> Any:
    """In the core's place, whatever its size: takes an instruction now and then, releases, and answers reads."""
    rng = random.Random(SEED)
    width = config.cols * config.acc.width

    @myhdl.always(clock.posedge)
    def act() -> None:
        takes = bool(instruction.valid and instruction.ready)
        release.valid.next = takes and bool(instruction.release)
        release.semaphore.next = instruction.semaphore
        release.value.next = instruction.release_value
        busy.next = takes
        instruction.ready.next = not takes and rng.random() < 0.2
        read.ready.next = rng.random() < 0.7
        if read.valid and read.ready:
            read.data.next = rng.getrandbits(width)

    return act


def recorded(config: Config, name: str, inputs: list[str]) -> dict[str, list[int]]:
    """What the first block called ``name`` is given in each cycle of an attention kernel's run on the accelerator.

    Before a memory that stalls, on tensors that cross 4 KB, and on some that are not in memory.
    """
    config = config.replace(memory_base=BOUNDARY, memory_size=1 << 20)
    q, k, v = attention_data(config)
    try:
        kernel = attention_kernel(q, k, v, config)
    except KernelError as error:
        raise TestbenchError(f"the testbench's kernel does not fit: {error}") from None
    (o_t,) = kernel.outputs
    beat, far, memory = config.beat_bytes, config.memory_size, kernel.program().memory
    # the first row of Q, then that of O^T, begin a beat before 4 KB; then loads, then stores miss the memory
    shifts = [(BOUNDARY - beat,) * 2, (2 * BOUNDARY - o_t.address - beat,) * 2, (far, 0), (0, far)]
    programs = [
        Program(
            tuple(encode_all(
                dataclasses.replace(step, address=step.address + shift[step.function]) if isinstance(step, Dma)
                else step for step in kernel.instructions)),
            tuple((address + shift[0] % far, data) for address, data in memory))
        for shift in shifts
    ]
    run = DeviceRun(config, programs, Timing(read_latency=3, write_latency=5, stall_seed=SEED + 1))
    values: dict[str, list[int]] = {port: [] for port in inputs}

    @myhdl.block
    def watched(clock: Any) -> Any:
        bench = accelerator_bench(run, clock, partial(_device, config=config))
        watched_ports = ports(find(bench, name))
        pairs = [(watched_ports[port], values[port]) for port in inputs]

        @myhdl.always(clock.posedge)
        def watch() -> None:
            for signal, seen in pairs:
                seen.append(int(signal))

        return watch, bench

    with shared_analysis():
        bench = watched(unsigned(1))
    CycleSimulator(bench).run()
    return values


@myhdl.block
def _device(clock: Any, device: DevicePorts, config: Config) -> Any:
    return accelerator(clock, device.reset, device.control, device.memory, device.interrupt, config, core=_array)


def _stimuli(config: Config, widths: dict[str, int], block: Any) -> dict[str, list[int]]:
    """Values a cycle for each input: words of floats where the width says so, controls that are held now and then."""
    cycles = max(BLOCK_CYCLES, 3 * config.rows)
    # a row that a RAM does not have, or a reciprocal that is not seen to its end, is a fault of who drives the block
    rows = arguments(block).get("rows")
    accumulates = block.func.__name__ in ("accumulator", "accumulator_unit")
    computes = not block.func.__module__.startswith("myhdl_fsa.frontend.")
    stimuli = {}
    for port, width in widths.items():
        rng = np.random.default_rng([SEED, zlib.crc32(port.encode())])
        if port == "reset":
            values = [int(cycle < 2 or (not accumulates and rng.random() < 0.01)) for cycle in range(cycles)]
        elif port == "command" and accumulates:
            values = _accumulator_commands(config, rng, cycles)
        elif computes and (width % config.acc.width == 0 or width % config.elem.width == 0):
            values = _floats(config, width, rng, cycles)
        else:
            values = _held(width, rng, cycles)
        if isinstance(rows, int) and port.endswith("_row"):
            values = [value % rows for value in values]
        stimuli[port] = values
    return stimuli


def _floats(config: Config, width: int, rng: np.random.Generator, cycles: int) -> list[int]:
    fmt = config.acc if width % config.acc.width == 0 else config.elem
    shape = (cycles, width // fmt.width)
    words = from_float(rng.standard_normal(shape) * 2.0 ** rng.integers(-3, 4, shape), fmt).astype(object)
    odd = rng.random(shape) < 0.1
    words[odd] = rng.integers(0, 1 << fmt.width, int(odd.sum()), dtype=np.uint64).astype(object)
    return [pack(row, fmt.width) for row in words]


def _held(width: int, rng: np.random.Generator, cycles: int) -> list[int]:
    values = [0]
    for _ in range(cycles - 1):
        fresh = int.from_bytes(rng.bytes((width + 7) // 8), "little") & (1 << width) - 1
        values.append(values[-1] if rng.random() < 0.3 else fresh)
    return values


def _accumulator_commands(config: Config, rng: np.random.Generator, cycles: int) -> list[int]:
    latency = Reciprocal(config.acc, config.reciprocal).latency
    values = [0, 0]
    while len(values) < cycles:
        command = int(rng.integers(0, Accumulator.RECIPROCAL + 1))
        values += [command] * (latency if command == Accumulator.RECIPROCAL else 1)
    return values[:cycles]

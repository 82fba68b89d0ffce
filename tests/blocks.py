"""Every hardware block as a device under test, with fresh ports; and what a whole run puts on a block's ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from myhdl_fsa import fifo as fifos
from myhdl_fsa import ram as rams
from myhdl_fsa import skew as skews
from myhdl_fsa.arithmetic import divider as dividers
from myhdl_fsa.arithmetic import newton as newtons
from myhdl_fsa.arithmetic import units
from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.formats import FloatFormat, RoundingMode
from myhdl_fsa.axi import AxiLite, AxiRead, AxiWrite, Channels, MemoryPorts
from myhdl_fsa.config import Config
from myhdl_fsa.convert import blocks as hierarchy
from myhdl_fsa.convert.regression import Dut, Stimuli, flatten
from myhdl_fsa.core import AccumulatorReadPort, ScalePort, ScratchpadWrite
from myhdl_fsa.dataflows.fsa import accumulator as accumulators
from myhdl_fsa.dataflows.fsa import comparator as comparators
from myhdl_fsa.dataflows.fsa import core as cores
from myhdl_fsa.dataflows.fsa import pe as pes
from myhdl_fsa.dataflows.fsa import sequencer as sequencers
from myhdl_fsa.dataflows.fsa import systolic as arrays
from myhdl_fsa.dataflows.fsa.control import PE_CONTROL_WIDTH, Accumulator, Comparator
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.dataflows.fsa.sequencer import EDGE_WIDTH, MatrixControl
from myhdl_fsa.dma import engine as engines
from myhdl_fsa.dma import load_port as load_ports
from myhdl_fsa.dma import loads as load_sides
from myhdl_fsa.dma import share as shares
from myhdl_fsa.dma import store_port as store_ports
from myhdl_fsa.dma import stores as store_sides
from myhdl_fsa.dma import transfer as transfers
from myhdl_fsa.dma.transfer import Row, RowDone
from myhdl_fsa.elaboration import always, block, shared_analysis
from myhdl_fsa.fifo import Stream
from myhdl_fsa.frontend import counters as device_counters
from myhdl_fsa.frontend import decoder as decoders
from myhdl_fsa.frontend import device_state as states
from myhdl_fsa.frontend import matrix_issue as issues
from myhdl_fsa.frontend import registers as register_files
from myhdl_fsa.frontend import semaphores as semaphore_files
from myhdl_fsa.frontend.counters import Events, PerformanceCounters
from myhdl_fsa.frontend.decoder import Fault
from myhdl_fsa.frontend.semaphores import SemaphoreAcquire
from myhdl_fsa.instruction import MatrixInstruction, SemaphoreRelease, hidden_width
from myhdl_fsa.isa import MEMORY_ADDRESS_WIDTH
from myhdl_fsa.signals import Lanes, address_width, unsigned
from myhdl_fsa.sims.core_bench import CorePorts, CoreRun, attention_run, core_bench, watched_core
from myhdl_fsa.sims.cycle_simulator import CycleSimulator, processes


def dut(
    name: str, make: Callable[..., Any], inputs: dict[str, int], outputs: dict[str, int], clocked: bool = True,
    **parameters: Any,
) -> Dut:
    """A block whose ports are plain signals of the widths given."""
    ins = {port: unsigned(bits) for port, bits in inputs.items()}
    outs = {port: unsigned(bits) for port, bits in outputs.items()}
    clock = {"clock": unsigned(1)} if clocked else {}
    return Dut(name, make(**clock, **ins, **outs, **parameters), ins, outs, clock.get("clock"))


def tag(config: Config) -> str:
    """What tells two configurations of one block apart in a module's name."""
    return f"{config.elem}_{config.acc}_{config.rows}_{config.exp2_pieces}_{config.reciprocal}"


# arithmetic


def fma(mul: FloatFormat, add: FloatFormat, out: FloatFormat, mode: RoundingMode = RoundingMode.RNE) -> Dut:
    return dut(f"fma_{mul}_{add}_{out}_{mode.name.lower()}", units.fma,
               {"a": mul.width, "b": mul.width, "c": add.width}, {"result": out.width},
               clocked=False, mul=mul, add=add, out=out, mode=mode)


def exp2(unit: Exp2, out: FloatFormat) -> Dut:
    return dut(f"exp2_{unit.mul}_{unit.add}_{out}_{unit.pieces}", units.exp2, {"x": unit.mul.width},
               {"result": out.width}, clocked=False, unit=unit, out=out)


def convert(src: FloatFormat, dst: FloatFormat) -> Dut:
    return dut(f"convert_{src}_{dst}", units.convert, {"x": src.width}, {"result": dst.width},
    clocked=False, src=src, dst=dst)


def divider(fmt: FloatFormat) -> Dut:
    return dut(f"divider_{fmt}", dividers.divider, {"reset": 1, "active": 1, "x": fmt.width},
               {"result": fmt.width, "done": 1}, fmt=fmt)


@block
def newton_with_fma(
    clock: Any, reset: Any, active: Any, x: Any, result: Any, done: Any, fmt: FloatFormat
) -> Any:
    """The Newton sequencer and the multiply-adder it borrows."""
    a, b, c = (unsigned(fmt.width) for _ in range(3))
    return (newtons.newton(clock, reset, active, x, result, a, b, c, done, fmt),
            units.fma(a, b, c, result, fmt, fmt, fmt))


def newton(fmt: FloatFormat) -> Dut:
    return dut(f"newton_{fmt}", newton_with_fma, {"reset": 1, "active": 1, "x": fmt.width},
               {"result": fmt.width, "done": 1}, fmt=fmt)


# the array


def pe(config: Config) -> Dut:
    elem, acc = config.elem.width, config.acc.width
    return dut(f"pe_{tag(config)}", pes.pe,
               {"reset": 1, "control": PE_CONTROL_WIDTH, "left": elem, "above": acc, "below": acc},
               {"control_out": PE_CONTROL_WIDTH, "right": elem, "down": acc, "up": acc}, config=config)


def comparator(config: Config) -> Dut:
    acc, hidden = config.acc.width, hidden_width(config)
    return dut(f"comparator_{tag(config)}", comparators.comparator,
               {"reset": 1, "command": Comparator.WIDTH, "hidden": hidden, "score": acc},
               {"command_out": Comparator.WIDTH, "hidden_out": hidden, "down": acc}, config=config)


def pe_row(config: Config) -> Dut:
    w, elem, cols, acc = PE_CONTROL_WIDTH, config.elem.width, config.cols, config.acc.width
    plain = {"reset": 1, "parallel": w, "down_in": w, "up_in": w, "left": elem}
    ins = {port: unsigned(bits) for port, bits in plain.items()}
    outs = {"down_out": unsigned(w), "up_out": unsigned(w)}
    lanes = {port: Lanes(cols, acc) for port in ("above", "below", "down", "up")}
    clock = unsigned(1)
    instance = arrays.pe_row(clock=clock, **ins, **outs, **lanes, config=config)
    for port, directed in (("above", ins), ("below", ins), ("down", outs), ("up", outs)):
        directed.update(flatten(port, lanes[port]))
    return Dut(f"pe_row_{tag(config)}", instance, ins, outs, clock)


def systolic(config: Config) -> Dut:
    return dut(f"systolic_{tag(config)}", arrays.systolic,
               {"reset": 1, "command": Comparator.WIDTH, "hidden": hidden_width(config),
                "pe_control": 3 * PE_CONTROL_WIDTH, "left": config.rows * config.elem.width},
               {"bottom": config.cols * config.acc.width}, config=config)


# around the array


def accumulator_unit(config: Config) -> Dut:
    acc = config.acc.width
    return dut(f"accumulator_unit_{tag(config)}", accumulators.accumulator_unit,
               {"reset": 1, "command": Accumulator.WIDTH, "from_array": acc, "ram_word": acc, "scale": acc},
               {"result": acc}, config=config)


def accumulator(config: Config) -> Dut:
    acc = config.acc.width
    row = config.cols * acc
    return dut(f"accumulator_{tag(config)}", accumulators.accumulator,
               {"reset": 1, "command": Accumulator.WIDTH, "from_array": row, "ram_row": row, "scale": acc},
               {"result_row": row}, config=config)


def input_skew(count: int, width: int) -> Dut:
    flags = ("use_constant", "reverse_in", "delay", "reverse_out")
    return dut(f"input_skew_{count}_{width}", skews.input_skew,
               {"row": count * width, "constant": width, **dict.fromkeys(flags, 1)}, {"out": count * width},
               count=count, width=width)


def output_skew(count: int, width: int) -> Dut:
    return dut(f"output_skew_{count}_{width}", skews.output_skew, {"row": count * width}, {"out": count * width},
    count=count, width=width)


def ram(rows: int, width: int) -> Dut:
    address = address_width(rows)
    return dut(f"ram_{rows}_{width}", rams.ram,
               {"read": 1, "read_row": address, "write": 1, "write_row": address, "write_data": width},
               {"read_data": width}, rows=rows)


def left_edge(config: Config) -> Dut:
    return dut(f"left_edge_{tag(config)}", cores.left_edge,
               {"reset": 1, "edges": EDGE_WIDTH, "skew": 3, "scale": config.elem.width},
               {"use_constant": 1, "constant": config.elem.width, "reverse_in": 1, "delay": 1, "reverse_out": 1},
               config=config)


# control


@block
def sequencer_with_rom(
    clock: Any, reset: Any, accept: Any, instruction: Any, control: Any, release: Any, busy: Any, config: Config
) -> Any:
    """A sequencer and the control ROM, whose other port reads the same words."""
    made = plans(config)
    address, other = unsigned(sequencers.ControlMemory.of(made).address_width), MatrixControl(config)
    return (sequencers.sequencer(clock, reset, accept, instruction, address, control, release, busy, config, made),
            sequencers.control_rom(clock, address, address, control.pe, control.edges, other.pe, other.edges, made))


def sequencer(config: Config) -> Dut:
    instruction, control, release = MatrixInstruction(config), MatrixControl(config), SemaphoreRelease()
    clock, reset, accept, busy = (unsigned(1) for _ in range(4))
    instance = sequencer_with_rom(clock, reset, accept, instruction, control, release, busy, config)
    fields = flatten("instruction", instruction)
    for handshake in ("instruction_valid", "instruction_ready"):
        del fields[handshake]
    return Dut(f"sequencer_{tag(config)}", instance, {"reset": reset, "accept": accept, **fields},
               {"busy": busy, **flatten("control", control), **flatten("release", release)}, clock)


def matrix_controller(config: Config) -> Dut:
    instruction, control, release = MatrixInstruction(config), MatrixControl(config), SemaphoreRelease()
    clock, reset, busy = (unsigned(1) for _ in range(3))
    instance = sequencers.matrix_controller(clock, reset, instruction, control, release, busy, config, plans(config))
    fields = flatten("instruction", instruction)
    ready = fields.pop("instruction_ready")
    return Dut(f"matrix_controller_{tag(config)}", instance, {"reset": reset, **fields},
               {"instruction_ready": ready, "busy": busy, **flatten("control", control), **flatten("release", release)},
               clock)


def core(config: Config) -> Dut:
    clock, reset, busy = (unsigned(1) for _ in range(3))
    ports = (MatrixInstruction(config), SemaphoreRelease(), busy, ScratchpadWrite(config),
             AccumulatorReadPort(config), ScalePort(config))
    instance = cores.core(clock, reset, *ports, config)
    return Dut(f"core_{tag(config)}", instance, *_core_ports(reset, *ports), clock)


def _core_ports(
    reset: Any, instruction: Any, release: Any, busy: Any, write: Any, read: Any, scale: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    ins = {"reset": reset, **flatten("instruction", instruction), **flatten("scratchpad_write", write),
           **flatten("accumulator_read", read), **flatten("scale", scale)}
    driven = ("instruction_ready", "accumulator_read_ready", "accumulator_read_data")
    return ({port: signal for port, signal in ins.items() if port not in driven},
            {"busy": busy, **flatten("release", release), **{port: ins[port] for port in driven}})


# around the core


def bundled(name: str, make: Callable[..., Any], **arguments: Any) -> Dut:
    """A block whose ports may be bundles, converted as fsa-convert does; what it drives are its outputs."""
    instance = make(**arguments)
    signals, driven = hierarchy.ports(instance), driven_ports(instance)
    clock = signals.pop("clock", None)
    return Dut(name, instance, {port: signal for port, signal in signals.items() if port not in driven},
               {port: signals[port] for port in driven}, clock)


def driven_ports(instance: Any) -> list[str]:
    """The ports that a process inside drives."""
    driven = {id(signal) for process in processes(instance) for name in process.outputs
              for signal in hierarchy.elements(process.symdict[name])}
    return [name for name, signal in hierarchy.ports(instance).items() if id(signal) in driven]


def fifo(depth: int, width: int) -> Dut:
    return bundled(f"fifo_{depth}_{width}", fifos.fifo, clock=unsigned(1), reset=unsigned(1), enter=Stream(width),
                   leave=Stream(width), empty=unsigned(1), depth=depth)


def semaphores() -> Dut:
    acquires = {f"acquire_{who}": SemaphoreAcquire() for who in ("matrix", "load", "store")}
    releases = {f"release_{who}": SemaphoreRelease() for who in ("matrix", "load", "store")}
    return bundled("semaphores", semaphore_files.semaphores, clock=unsigned(1), reset=unsigned(1), **acquires,
                   **releases)


def range_check(rows: int, most: int) -> Dut:
    return bundled(f"range_check_{rows}_{most}", decoders.range_check, row=unsigned(20), stride=unsigned(5),
                   row_use=unsigned(2), outside=unsigned(1), rows=rows, most=most)


def matrix_check(config: Config) -> Dut:
    return bundled(f"matrix_check_{config.rows}", decoders.matrix_check, bits=unsigned(96), valid=unsigned(1),
                   bad=unsigned(1), code=unsigned(4), config=config)


def dma_check(config: Config) -> Dut:
    return bundled(f"dma_check_{config.scratchpad_rows}", decoders.dma_check, bits=unsigned(128), valid=unsigned(1),
                   bad=unsigned(1), code=unsigned(4), config=config)


def decoder(config: Config) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "active", "restart", "matrix_idle", "dma_idle", "fence",
                                           "stop")}
    return bundled("decoder", decoders.decoder, **bits, words=Stream(32), matrix=Stream(96), dma=Stream(160),
                   fault=Fault(), number=unsigned(32), config=config)


def matrix_issue(config: Config) -> Dut:
    return bundled(f"matrix_issue_{config.rows}", issues.matrix_issue, clock=unsigned(1), reset=unsigned(1),
                   stopped=unsigned(1), words=Stream(96), acquire=SemaphoreAcquire(),
                   instruction=MatrixInstruction(config), config=config)


def registers(config: Config) -> Dut:
    return bundled(f"registers_{tag(config)}", register_files.registers, clock=unsigned(1), reset=unsigned(1),
                   bus=AxiLite(), push=Stream(32), control=register_files.DeviceControl(), scale=ScalePort(config),
                   counters=PerformanceCounters(), config=config)


def performance_counters() -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "restart", "active")}
    return bundled("performance_counters", device_counters.performance_counters, **bits, events=Events(),
                   counters=PerformanceCounters())


def device_state() -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "stop", "progress", "bus_busy", "active", "restart",
                                           "stopped", "clear", "interrupt")}
    faults = {f"{what}_fault": Fault() for what in ("decode", "read", "write")}
    return bundled("device_state", states.device_state, **bits, **faults, control=register_files.DeviceControl(),
                   next_number=unsigned(32))


def transfer(config: Config, inflight: int) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "stopped", "active")}
    return bundled(f"transfer_{inflight}", transfers.transfer, **bits, requests=Stream(160), acquire=SemaphoreAcquire(),
                   release=SemaphoreRelease(), rows=Row(inflight), done=RowDone(inflight), fault=Fault(), config=config,
                   inflight=inflight, error_code=7)


def hand_out(count: int) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "hold")}
    return bundled(f"hand_out_{count}", shares.hand_out, **bits, rows=Row(4), free=shares.port_bits(count),
                   chosen=shares.port_bits(count), count=count)


def collect(count: int) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "some")}
    return bundled(f"collect_{count}", shares.collect, **bits, waiting=shares.port_bits(count),
                   picked=shares.port_bits(count), which=unsigned(address_width(count)), count=count)


def load_port(config: Config, name: str) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "offer", "free", "full", "taken", "failed")}
    rows = Row(config.load_inflight)
    return bundled(f"load_port_{name}", load_ports.load_port, **bits, rows=rows, bus=AxiRead(config),
                   place=unsigned(transfers.ROW_WIDTH), tag=unsigned(len(rows.tag)), failed_tag=unsigned(len(rows.tag)),
                   data=unsigned(8 * config.scratchpad_row_bytes), config=config)


def store_port(config: Config, name: str) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "offer", "free", "done", "taken", "failed")}
    tags = {port: unsigned(transfers.tag_width(config.store_inflight)) for port in ("tag", "done_tag", "failed_tag")}
    return bundled(f"store_port_{name}", store_ports.store_port, **bits, **tags, address=unsigned(MEMORY_ADDRESS_WIDTH),
                   data=unsigned(config.cols * config.acc.width), bus=AxiWrite(config), config=config)


def loads(config: Config, name: str) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "stopped", "active")}
    ports = Channels(*(AxiRead(config) for _ in range(config.memory_ports)))
    return bundled(f"loads_{name}", load_sides.loads, **bits, requests=Stream(160), acquire=SemaphoreAcquire(),
                   release=SemaphoreRelease(), ports=ports, write=ScratchpadWrite(config),
                   done=RowDone(config.load_inflight), fault=Fault(), config=config)


def stores(config: Config, name: str) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "stopped", "active")}
    ports = Channels(*(AxiWrite(config) for _ in range(config.memory_ports)))
    return bundled(f"stores_{name}", store_sides.stores, **bits, requests=Stream(160), acquire=SemaphoreAcquire(),
                   release=SemaphoreRelease(), ports=ports, read=AccumulatorReadPort(config),
                   done=RowDone(config.store_inflight), fault=Fault(), config=config)


def dma_engine(config: Config) -> Dut:
    bits = {port: unsigned(1) for port in ("clock", "reset", "stopped")}
    bundles = {f"acquire_{what}": SemaphoreAcquire() for what in ("load", "store")}
    releases = {f"release_{what}": SemaphoreRelease() for what in ("load", "store")}
    faults = {f"{what}_fault": Fault() for what in ("load", "store")}
    return bundled("dma_engine", engines.dma_engine, **bits, **bundles, **releases, **faults, requests=Stream(160),
                   memory=MemoryPorts(config), write=ScratchpadWrite(config),
                   read=AccumulatorReadPort(config), status=engines.DmaStatus(), config=config)


Seen = Mapping[str, int]
"""every port's value just before the last rising edge"""
React = Callable[[int, Seen], dict[str, int]]
"""what the inputs are after a rising edge; those it leaves out stay"""


def interact(
    make: Callable[[], Dut], cycles: int, react: React, finished: Callable[[], bool] | None = None
) -> Stimuli:
    """Simulates a block in MyHDL in an environment of clocked logic; returns what its inputs were, for a replay.

    ``react`` is called once more at the end, which comes after ``cycles`` or some cycles after ``finished`` said so.
    """
    with shared_analysis():
        dut = make()
    simulator = CycleSimulator(dut.instance)
    simulator.start()
    both = dut.inputs | dut.outputs
    seen = {name: int(signal) for name, signal in both.items()}
    stimuli: dict[str, list[int]] = {name: [] for name in dut.inputs}
    cycle = left = 0
    while cycle < cycles and left < 20:
        left = left + 1 if finished is not None and finished() else 0
        for name, value in react(cycle, seen).items():
            dut.inputs[name].next = int(value)
        simulator.settle()
        seen = {name: int(signal) for name, signal in both.items()}
        for name, values in stimuli.items():
            values.append(seen[name])
        simulator.edge()
        cycle += 1
    react(cycle, seen)
    return stimuli


# whole runs


Recording = dict[str, list[int]]
"""a value a cycle for each port"""


def record_attention(
    config: Config, q: np.ndarray, k: np.ndarray, v: np.ndarray, causal: bool = False, scale: float | None = None
) -> tuple[CoreRun, Recording, Recording]:
    """Attention on the core: the run, and what its ports and those of its array carried in every cycle."""
    run = attention_run(q, k, v, config, causal, scale=scale)
    core_log: Recording = {}
    array_log: Recording = {}
    ports = CorePorts(config)

    @block
    def recorded(clock: Any) -> Any:
        bench = core_bench(run, clock, partial(watched_core, run=run), ports)
        ins, outs = _core_ports(*vars(ports).values())
        array = hierarchy.ports(hierarchy.find(bench, "systolic"))
        del array["clock"]
        pairs = [(signal, log.setdefault(name, [])) for named, log in ((ins | outs, core_log), (array, array_log))
                 for name, signal in named.items()]

        @always(clock.posedge)
        def watch() -> None:
            for signal, values in pairs:
                values.append(int(signal))

        return watch, bench  # in this order it sees the cycle in which the bench stops

    with shared_analysis():
        instance = recorded(unsigned(1))
    CycleSimulator(instance).run()
    return run, core_log, array_log

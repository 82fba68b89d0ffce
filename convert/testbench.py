"""A self-checking Verilog testbench of what was converted, for plain Icarus and Verilator, without Python.

The accelerator's and the core's run FlashAttention on seeded data and compare with the golden model. A smaller block's
replays seeded stimuli and compares with what the MyHDL simulation of that very block answered.
"""

from __future__ import annotations

import copy
import dataclasses
import random
import zlib
from functools import partial
from string import Template
from typing import Any
from unittest.mock import patch

import myhdl
import numpy as np
from myhdl._Signal import _Signal

from myhdl_fsa import accelerator as accelerators
from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.axi import BOUNDARY, MANAGER_DRIVES, AxiLite, AxiRead, AxiWrite, Channels, MemoryPorts, Response
from myhdl_fsa.config import Config
from myhdl_fsa.control import Accumulator
from myhdl_fsa.convert.hierarchy import Design, arguments, find, flatten, ports, twin_of
from myhdl_fsa.convert.regression import Case, Dut, Port, case_bench, simulate, vectors
from myhdl_fsa.core import AccumulatorReadPort, ScratchpadWrite
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.frontend.registers import Register
from myhdl_fsa.golden import attention
from myhdl_fsa.isa import Dma, Kind, encode_all
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.program import Program, State, Timing
from myhdl_fsa.sequencer import MatrixInstruction, SemaphoreRelease
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.accelerator_bench import DevicePorts, DeviceRun, accelerator_bench
from myhdl_fsa.sims.core_bench import CoreRun, pack
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.elaboration import shared_analysis
from myhdl_fsa.sims.schedule import O_ROW, Operand, expected_cycles, flash_attention, scratchpad_row, tile_loads

KEY_TILES = 2
"""tiles of K and V that the accelerator's and the core's testbench run one tile of Q against"""
BLOCK_CYCLES = 400
"""at least that many of a smaller block"""
SEED = 0


class TestbenchError(ValueError):
    """A configuration that the testbench cannot run; the message is one line."""

    __test__ = False  # no test, whatever pytest makes of its name


def testbench(config: Config, design: Design) -> dict[str, str]:
    """The testbench of a converted ``design`` as texts by file name: ``tb_<top>.v``, and what it reads.

    It prints a line that starts with PASS; or lines that start with FAIL, and ends by $stop. Raises TestbenchError.
    """
    if design.name == "accelerator":
        return accelerator_testbench(config)
    return core_testbench(config) if design.name == "core" else block_testbench(config, design)


testbench.__test__ = False  # type: ignore[attr-defined]


def attention_data(config: Config) -> tuple[Bits, Bits, Bits]:
    """One tile of Q, and ``KEY_TILES`` of K and V."""
    rng = np.random.default_rng(SEED)
    shapes = ((config.cols, config.rows), *[(KEY_TILES * config.rows, config.rows)] * 2)
    q, k, v = (from_float(rng.standard_normal(shape), config.elem) for shape in shapes)
    return q, k, v


# the accelerator


def accelerator_testbench(config: Config) -> dict[str, str]:
    """The testbench of the accelerator: one tile of Q, two of K and V, in memory and through instructions.

    Raises TestbenchError when the kernel does not fit the configuration.
    """
    q, k, v = attention_data(config)
    try:
        kernel = attention_kernel(q, k, v, config)
    except KernelError as error:
        raise TestbenchError(f"the testbench's kernel does not fit: {error}") from None
    program, expected = kernel.program(), attention(q, k, v, config)
    (region,) = program.outputs
    base = min(region.address, *(address for address, _ in program.memory))
    end = max(region.address + region.size, *(address + len(data) for address, data in program.memory))
    # what is not overwritten is not the answer
    memory = bytearray([UNWRITTEN]) * (end - base)
    for address, data in program.memory:
        memory[address - base:address - base + len(data)] = data
    kinds = [instruction.KIND for instruction in kernel.instructions]
    words = len(program.words)
    checks = {
        Register.STATE: State.DONE, Register.ERROR: 0, Register.INTERRUPT: 1, Register.RAW: words,
        Register.ENQUEUED: words, Register.DEQUEUED: words, Register.MATRIX: kinds.count(Kind.MATRIX),
        Register.DMA: kinds.count(Kind.DMA), Register.FENCE: kinds.count(Kind.FENCE),
    }
    latency = Reciprocal(config.acc, config.reciprocal).latency
    bursts = config.cols + 2 * KEY_TILES * config.rows + config.rows
    beats = max(config.scratchpad_row_bytes, config.accumulator_row_bytes) // config.beat_bytes
    channels = {**vars(AxiRead(config)), **vars(AxiWrite(config))}
    control = vars(AxiLite())
    fixed = ("bready", "rready", "wstrb")
    text = Template(_ACCELERATOR).substitute(
        words=words, checks=len(checks), ports=config.memory_ports, beat=config.beat_bytes, bytes=len(memory),
        base=f"{len(channels['araddr'])}'h{base:x}", first=region.address - base, values=expected.size,
        columns=config.cols, width=config.acc.width, value_bytes=config.accumulator_row_bytes // config.cols,
        limit=2000 + 8 * words + 4 * expected_cycles(config, 1, KEY_TILES, False, latency) + bursts * (beats + 20),
        address=len(channels["araddr"]), address_high=len(channels["araddr"]) - 1,
        set_active=int(Register.SET_ACTIVE), queue=int(Register.QUEUE), outside=int(Response.DECERR),
        host="\n".join(
            _declare(f"control_{name}", len(signal) or 1, name in MANAGER_DRIVES, name in fixed)
            for name, signal in control.items()),
        memory="\n".join(
            _declare(name, config.memory_ports * (len(signal) or 1), name not in MANAGER_DRIVES, vector=True)
            for name, signal in channels.items()),
        connections=",\n".join((
            *(f"        .control_{name}(control_{name})" for name in control),
            *(f"        .memory_m{port}_{name}({name}[{port * (len(signal) or 1)} +: {len(signal) or 1}])"
              for port in range(config.memory_ports) for name, signal in channels.items()),
        )),
    )
    return {
        "tb_accelerator.v": text,
        "tb_accelerator_words.hex": _hex(program.words),
        "tb_accelerator_memory.hex": _hex(memory),
        "tb_accelerator_registers.hex": _hex(register << 32 | int(value) for register, value in checks.items()),
        "tb_accelerator_expected.hex": _hex(int(value) for value in expected.T.ravel()),
    }


UNWRITTEN = 0x5A
"""what memory holds before, where the kernel has no input"""


def _declare(name: str, width: int, driven: bool, ones: bool = False, vector: bool = False) -> str:
    """A net that the device drives, or a register that the testbench drives, which starts at zeros or ones."""
    bits = f"[{width - 1}:0] " if width > 1 or vector else ""
    start = f" = {(1 << width) - 1 if ones else 0}" if driven else ""
    return f"    {'reg' if driven else 'wire'} {bits}{name}{start};"


_ACCELERATOR = """\
// Self-checking: one tile of Q and two of K and V in memory, FlashAttention on them by instruction words through the
// AXI4-Lite port, and O^T in memory compared bit for bit with the golden model. Also checks the state, the interrupt
// and the counters of words and instructions. Run it in the folder of its .hex files.
`timescale 1ns/1ps

module tb_accelerator;
    localparam WORDS = $words, CHECKS = $checks, PORTS = $ports, BEAT = $beat, BYTES = $bytes;
    localparam FIRST = $first, VALUES = $values, COLUMNS = $columns, WIDTH = $width, VALUE_BYTES = $value_bytes;
    localparam LIMIT = $limit;
    localparam [$address_high:0] BASE = $base;

    // instruction words; registers at the end (address, value); memory from BASE on; O^T, row after row
    reg [31:0] words [0:WORDS-1];
    reg [39:0] checks [0:CHECKS-1];
    reg [7:0] memory [0:BYTES-1];
    reg [WIDTH-1:0] expected [0:VALUES-1];

    reg clock = 0;
    reg reset = 1;
    wire interrupt;
    // the host's AXI4-Lite port
$host
    // the AXI4 ports side by side, port 0 in the low bits
$memory

    accelerator dut (
        .clock(clock),
        .reset(reset),
        .interrupt(interrupt),
$connections
    );

    integer cycle = 0, sent = 0, checked = 0, start = 0, taken = 0, failures = 0, port, lane, value;
    reg writing = 0;
    reg reading = 0;
    reg finished = 0;
    reg [39:0] check;
    reg [8*VALUE_BYTES-1:0] got;

    // the burst under way at each port: its next beat and the beats left
    reg [$address_high:0] read_at [0:PORTS-1], write_at [0:PORTS-1];
    reg [8:0] read_left [0:PORTS-1], write_left [0:PORTS-1];

    initial begin
        $$readmemh("tb_accelerator_words.hex", words);
        $$readmemh("tb_accelerator_registers.hex", checks);
        $$readmemh("tb_accelerator_memory.hex", memory);
        $$readmemh("tb_accelerator_expected.hex", expected);
        for (port = 0; port < PORTS; port = port + 1) begin
            read_left[port] = 0;
            write_left[port] = 0;
        end
    end

    always #5 clock = !clock;

    always @(posedge clock) begin
        cycle <= cycle + 1;
        reset <= cycle < 2;

        // the host: sets the device active, pushes the words, waits for the interrupt, and reads the registers
        if (writing) begin
            if (control_awready) control_awvalid <= 0;
            if (control_wready) control_wvalid <= 0;
            if (control_bvalid) begin
                writing <= 0;
                sent <= sent + 1;
                if (control_bresp != 0) begin
                    failures = failures + 1;
                    $$display("FAIL write %0d answered %0d", sent, control_bresp);
                end
            end
        end
        else if (reading) begin
            if (control_arready) control_arvalid <= 0;
            if (control_rvalid) begin
                reading <= 0;
                checked <= checked + 1;
                check = checks[checked];
                if (control_rdata !== check[31:0]) begin
                    failures = failures + 1;
                    $$display("FAIL register %h: %0d, expected %0d", check[39:32], control_rdata, check[31:0]);
                end
            end
        end
        else if (cycle > 3 && sent <= WORDS) begin
            if (sent == 0) start <= cycle;
            writing <= 1;
            control_awvalid <= 1;
            control_wvalid <= 1;
            control_awaddr <= sent == 0 ? $set_active : $queue;
            control_wdata <= sent == 0 ? 1 : words[sent-1];
        end
        else if (interrupt && !finished) begin
            finished <= 1;
            taken <= cycle - start;
        end
        else if (finished && checked < CHECKS) begin
            check = checks[checked];
            reading <= 1;
            control_arvalid <= 1;
            control_araddr <= check[39:32];
        end

        // the memory: at each port one burst a direction at a time
        for (port = 0; port < PORTS; port = port + 1) begin
            if (arvalid[port] && arready[port]) begin
                read_at[port] = araddr[port*$address +: $address] - BASE;
                read_left[port] = arlen[port*8 +: 8] + 1;
            end
            if (!rvalid[port] || rready[port]) begin
                rvalid[port] <= read_left[port] != 0;
                if (read_left[port] != 0) begin
                    for (lane = 0; lane < BEAT; lane = lane + 1)
                        rdata[(port*BEAT+lane)*8 +: 8] <= memory[read_at[port]+lane];
                    rresp[port*2 +: 2] <= read_at[port] > BYTES - BEAT ? $outside : 0;
                    rlast[port] <= read_left[port] == 1;
                    read_at[port] = read_at[port] + BEAT;
                    read_left[port] = read_left[port] - 1;
                end
            end
            arready[port] <= read_left[port] == 0;

            if (bvalid[port] && bready[port]) bvalid[port] <= 0;
            if (awvalid[port] && awready[port]) begin
                write_at[port] = awaddr[port*$address +: $address] - BASE;
                write_left[port] = awlen[port*8 +: 8] + 1;
                bresp[port*2 +: 2] <= 0;
            end
            if (wvalid[port] && wready[port]) begin
                if (write_at[port] > BYTES - BEAT) bresp[port*2 +: 2] <= $outside;
                else
                    for (lane = 0; lane < BEAT; lane = lane + 1)
                        if (wstrb[port*BEAT+lane]) memory[write_at[port]+lane] = wdata[(port*BEAT+lane)*8 +: 8];
                if (wlast[port] !== (write_left[port] == 1)) begin
                    failures = failures + 1;
                    $$display("FAIL port %0d: wlast is %b with %0d beats left", port, wlast[port], write_left[port]);
                end
                write_at[port] = write_at[port] + BEAT;
                write_left[port] = write_left[port] - 1;
                if (write_left[port] == 0) bvalid[port] <= 1;
            end
            wready[port] <= write_left[port] != 0;
            // not before the last burst's answer is taken
            awready[port] <= write_left[port] == 0 && !wready[port] && (!bvalid[port] || bready[port]);
        end

        if (checked == CHECKS) begin
            for (value = 0; value < VALUES; value = value + 1) begin
                for (lane = 0; lane < VALUE_BYTES; lane = lane + 1)
                    got[8*lane +: 8] = memory[FIRST+value*VALUE_BYTES+lane];
                if (got !== expected[value]) begin
                    failures = failures + 1;
                    if (failures <= 10)
                        $$display("FAIL row %0d of O^T, column %0d: memory %h, golden model %h", value / COLUMNS,
                                 value % COLUMNS, got, expected[value]);
                end
            end
            if (failures != 0) begin
                $$display("FAIL %0d differences", failures);
                $$stop;
            end
            else $$display("PASS %0d cycles, %0d values", taken, VALUES);
            $$finish;
        end
        else if (cycle >= LIMIT) begin
            $$display("FAIL cycle limit %0d reached with %0d of %0d words sent, %0d of %0d registers read", LIMIT,
                     sent == 0 ? 0 : sent - 1, WORDS, checked, CHECKS);
            $$stop;
            $$finish;
        end
    end
endmodule
"""


# the core


def core_testbench(config: Config) -> dict[str, str]:
    """The testbench of the core: one tile of Q, two of K and V, all loaded before the first instruction.

    Raises TestbenchError when the scratchpad does not hold them.
    """
    n, steps = config.rows, flash_attention(config, 1, KEY_TILES, False)
    q, k, v = attention_data(config)
    run = CoreRun(config, steps, q, k, v)

    fields = MatrixInstruction(config)
    widths = {name: len(signal) or 1 for name, signal in vars(fields).items() if name not in ("valid", "ready")}
    instructions = [
        _join((({"function": int(step.function), **step.fields}).get(name, 0) % (1 << width), width)
              for name, width in widths.items())
        for step in steps
    ]
    address, row = len(fields.scratchpad_row), config.rows * config.elem.width
    loads = [
        _join([(scratchpad_row(config, tile) + index, address), (word, row)])
        for tile in tile_loads(steps) for index, word in enumerate(run.tile_rows(tile))
    ]
    last = max(scratchpad_row(config, tile) + (config.cols if tile.operand is Operand.Q else n)
               for tile in tile_loads(steps))
    if last > config.scratchpad_rows:
        raise TestbenchError(f"the testbench needs {last} scratchpad rows, two tiles of Q, K and V each: "
                             f"the configuration has {config.scratchpad_rows}")
    output: Bits = attention(q, k, v, config)

    latency = Reciprocal(config.acc, config.reciprocal).latency
    cycles = expected_cycles(config, 1, KEY_TILES, False, latency)
    text = Template(_CORE).substitute(
        loads=len(loads), steps=len(steps), rows=n, columns=config.cols, width=config.acc.width, cycles=cycles,
        limit=len(loads) + 2 * cycles + n + 100, first_row=O_ROW, address_high=address - 1, row_high=row - 1,
        load_high=address + row - 1, step_high=sum(widths.values()) - 1,
        ram_high=len(fields.accumulator_row) - 1, out_high=config.cols * config.acc.width - 1,
        declarations="\n".join(f"    reg [{width - 1}:0] instruction_{name} = 0;" for name, width in widths.items()),
        connections="\n".join(f"        .instruction_{name}(instruction_{name})," for name in widths),
        fields=", ".join(f"instruction_{name}" for name in widths),
    )
    return {
        "tb_core.v": text,
        "tb_core_loads.hex": _hex(loads),
        "tb_core_instructions.hex": _hex(instructions),
        "tb_core_expected.hex": _hex(pack(output[:, index], config.acc.width) for index in range(n)),
    }


def _join(parts: Any) -> int:
    """(value, bits) pairs side by side, the first in the high bits."""
    word = 0
    for value, width in parts:
        word = word << width | int(value)
    return word


def _hex(words: Any) -> str:
    return "".join(f"{word:x}\n" for word in words)


_CORE = """\
// Self-checking: one tile of Q and two of K and V through the scratchpad's write port, FlashAttention on them by matrix
// instructions, and O^T back through the accumulator's read port, compared bit for bit with the golden model. Also
// checks the cycles from the first instruction to idle. Run it in the folder of its .hex files.
`timescale 1ns/1ps

module tb_core;
    localparam LOADS = $loads, STEPS = $steps, ROWS = $rows, COLUMNS = $columns, WIDTH = $width;
    localparam CYCLES = $cycles, LIMIT = $limit;

    // a scratchpad row and its address; an instruction's fields; a row of O^T
    reg [$load_high:0] loads [0:LOADS-1];
    reg [$step_high:0] instructions [0:STEPS-1];
    reg [$out_high:0] expected [0:ROWS-1];

    reg clock = 0;
    reg reset = 1;
    reg instruction_valid = 0;
    wire instruction_ready;
$declarations
    wire release_valid;
    wire [4:0] release_semaphore;
    wire [2:0] release_value;
    wire busy;
    reg scratchpad_write_valid = 0;
    reg [$address_high:0] scratchpad_write_row = 0;
    reg [$row_high:0] scratchpad_write_data = 0;
    reg accumulator_read_valid = 0;
    wire accumulator_read_ready;
    reg [$ram_high:0] accumulator_read_row = 0;
    wire [$out_high:0] accumulator_read_data;

    core dut (
        .clock(clock),
        .reset(reset),
        .busy(busy),
        .instruction_valid(instruction_valid),
        .instruction_ready(instruction_ready),
$connections
        .release_valid(release_valid),
        .release_semaphore(release_semaphore),
        .release_value(release_value),
        .scratchpad_write_valid(scratchpad_write_valid),
        .scratchpad_write_row(scratchpad_write_row),
        .scratchpad_write_data(scratchpad_write_data),
        .accumulator_read_valid(accumulator_read_valid),
        .accumulator_read_ready(accumulator_read_ready),
        .accumulator_read_row(accumulator_read_row),
        .accumulator_read_data(accumulator_read_data)
    );

    integer cycle = 0, loaded = 0, issued = 0, first = 0, taken = 0, asked = 0, compared = 0, failures = 0, column;
    reg finished = 0;
    reg answered = 0;
    wire accepted = instruction_valid && instruction_ready;
    wire read = accumulator_read_valid && accumulator_read_ready;

    initial begin
        $$readmemh("tb_core_loads.hex", loads);
        $$readmemh("tb_core_instructions.hex", instructions);
        $$readmemh("tb_core_expected.hex", expected);
    end

    always #5 clock = !clock;

    always @(posedge clock) begin
        cycle <= cycle + 1;
        reset <= cycle < 2;

        scratchpad_write_valid <= 0;
        if (cycle > 2 && loaded < LOADS) begin
            scratchpad_write_valid <= 1;
            {scratchpad_write_row, scratchpad_write_data} <= loads[loaded];
            loaded <= loaded + 1;
        end

        if (accepted) begin
            if (issued == 0) first <= cycle;
            issued <= issued + 1;
            instruction_valid <= 0;
        end
        if (loaded == LOADS && !scratchpad_write_valid && issued + accepted < STEPS) begin
            instruction_valid <= 1;
            {$fields} <= instructions[issued + accepted];
        end

        if (issued == STEPS && !busy && !finished) begin
            finished <= 1;
            taken <= cycle - first;
        end

        if (finished && (read || !accumulator_read_valid)) begin
            accumulator_read_valid <= asked < ROWS;
            accumulator_read_row <= $first_row + asked;
            asked <= asked + 1;
        end
        answered <= read;
        if (answered) begin
            for (column = 0; column < COLUMNS; column = column + 1)
                if (accumulator_read_data[column*WIDTH +: WIDTH] !== expected[compared][column*WIDTH +: WIDTH]) begin
                    failures = failures + 1;
                    if (failures <= 10)
                        $$display("FAIL row %0d of O^T, column %0d: core %h, golden model %h", compared, column,
                                 accumulator_read_data[column*WIDTH +: WIDTH],
                                 expected[compared][column*WIDTH +: WIDTH]);
                end
            compared <= compared + 1;
        end

        if (compared == ROWS) begin
            if (taken != CYCLES) $$display("FAIL %0d cycles, expected %0d", taken, CYCLES);
            if (failures != 0) $$display("FAIL %0d of %0d values differ", failures, ROWS * COLUMNS);
            if (taken != CYCLES || failures != 0) $$stop;
            else $$display("PASS %0d cycles, %0d values", taken, ROWS * COLUMNS);
            $$finish;
        end
        else if (cycle >= LIMIT) begin
            $$display("FAIL cycle limit %0d reached with %0d of %0d instructions issued, %0d of %0d rows compared",
                     LIMIT, issued, STEPS, compared, ROWS);
            $$stop;
            $$finish;
        end
    end
endmodule
"""


# any other block


def block_testbench(config: Config, design: Design) -> dict[str, str]:
    """The testbench of a smaller block: stimuli, and the outputs of its MyHDL simulation, every cycle."""
    name, directions = design.name, design.modules[design.name].directions
    dut, stimuli = standalone(config, design)
    starts = {port: int(signal) for port, signal in dut.inputs.items()}
    widths = {port: len(signal) or 1 for port, signal in (dut.inputs | dut.outputs).items()}
    seen = simulate(dut, stimuli)
    case = Case(
        name, "", [Port(port, widths[port], stimuli[port], starts[port]) for port in dut.inputs],
        [Port(port, widths[port], seen[port]) for port in dut.outputs], "clock" if "clock" in directions else None,
    )
    lines = [
        "// Self-checking: seeded stimuli, and every output compared every cycle with the block's MyHDL simulation.",
        "// Run it in the folder of its .hex files.", "`timescale 1ns/1ps", "",
        *case_bench(f"tb_{name}", case, f"tb_{name}", stop=True),
    ]
    return {
        f"tb_{name}.v": "\n".join(lines) + "\n",
        f"tb_{name}_in.hex": vectors(case.inputs),
        f"tb_{name}_out.hex": vectors(case.outputs),
    }


def standalone(config: Config, design: Design) -> tuple[Dut, dict[str, list[int]]]:
    """The top block of a converted design, elaborated by itself with signals of its own, and stimuli for it."""
    block, directions = twin_of(design.top), design.modules[design.name].directions
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
    write: ScratchpadWrite, read: AccumulatorReadPort, config: Config, probe: Any = None,
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
    beat, far = config.beat_bytes, config.memory_size
    # the first row of Q, then that of O^T, begin a beat before 4 KB; then loads, then stores miss the memory
    shifts = [(BOUNDARY - beat,) * 2, (2 * BOUNDARY - o_t.address - beat,) * 2, (far, 0), (0, far)]
    programs = [
        Program(
            tuple(encode_all(
                dataclasses.replace(step, address=step.address + shift[step.function]) if isinstance(step, Dma)
                else step for step in kernel.instructions)),
            tuple((address + shift[0] % far, data) for address, data in kernel.program().memory))
        for shift in shifts
    ]
    run = DeviceRun(config, programs, Timing(read_latency=3, write_latency=5, stall_seed=SEED + 1))
    values: dict[str, list[int]] = {port: [] for port in inputs}

    @myhdl.block
    def watched(clock: Any) -> Any:
        with patch.object(accelerators, "core", _array):
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
    return accelerators.accelerator(clock, device.reset, device.control, device.memory, device.interrupt, config)


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

"""A self-checking Verilog testbench of what was converted, for plain Icarus and Verilator, without Python.

The core's runs FlashAttention on seeded data and compares with the golden model. A smaller block's replays seeded
stimuli and compares with what the MyHDL simulation of that very block answered.
"""

from __future__ import annotations

import copy
import zlib
from string import Template
from typing import Any

import myhdl
import numpy as np
from myhdl._Signal import _Signal

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.control import Accumulator
from myhdl_fsa.convert.hierarchy import Design, arguments, flatten, ports, twin_of
from myhdl_fsa.convert.regression import Case, Dut, Port, case_bench, simulate, vectors
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.golden import attention
from myhdl_fsa.sequencer import MatrixInstruction
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.core_bench import CoreRun, pack
from myhdl_fsa.sims.elaboration import shared_analysis
from myhdl_fsa.sims.schedule import O_ROW, Operand, expected_cycles, flash_attention, scratchpad_row, tile_loads

KEY_TILES = 2
"""tiles of K and V that the core's testbench runs one tile of Q against"""
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
    return core_testbench(config) if design.name == "core" else block_testbench(config, design)


testbench.__test__ = False  # type: ignore[attr-defined]


# the core


def core_testbench(config: Config) -> dict[str, str]:
    """The testbench of the core: one tile of Q, two of K and V, all loaded before the first instruction.

    Raises TestbenchError when the scratchpad does not hold them.
    """
    n, steps = config.rows, flash_attention(config, 1, KEY_TILES, False)
    rng = np.random.default_rng(SEED)
    q, k, v = (from_float(rng.standard_normal((tiles * n, n)), config.elem) for tiles in (1, KEY_TILES, KEY_TILES))
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
    """The testbench of a block of the core: seeded stimuli, and the outputs of its MyHDL simulation, every cycle."""
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
        instance = myhdl.block(block.func)(**{name: _fresh(value) for name, value in arguments(block).items()})
    signals = ports(instance)
    inputs = {port: signals[port] for port, direction in directions.items() if direction == "input" and port != "clock"}
    outputs = {port: signals[port] for port, direction in directions.items() if direction == "output"}
    widths = {port: len(signal) or 1 for port, signal in inputs.items()}
    return Dut(design.name, instance, inputs, outputs), _stimuli(config, widths, block)


def _fresh(value: Any) -> Any:
    """A block's argument with signals of its own, which start like those it has in the core."""
    if isinstance(value, _Signal):
        return unsigned(len(value) or 1, int(value))
    if not flatten("", value):
        return value
    bundle = copy.copy(value)
    for name, signal in vars(value).items():
        if isinstance(signal, _Signal):
            setattr(bundle, name, _fresh(signal))
    return bundle


def _stimuli(config: Config, widths: dict[str, int], block: Any) -> dict[str, list[int]]:
    """Values a cycle for each input: words of floats where the width says so, controls that are held now and then."""
    cycles = max(BLOCK_CYCLES, 3 * config.rows)
    # a row that a RAM does not have, or a reciprocal that is not seen to its end, is a fault of who drives the block
    rows = arguments(block).get("rows")
    accumulates = block.func.__name__ in ("accumulator", "accumulator_unit")
    stimuli = {}
    for port, width in widths.items():
        rng = np.random.default_rng([SEED, zlib.crc32(port.encode())])
        if port == "reset":
            values = [int(cycle < 2 or (not accumulates and rng.random() < 0.01)) for cycle in range(cycles)]
        elif port == "command" and accumulates:
            values = _accumulator_commands(config, rng, cycles)
        elif width % config.acc.width == 0 or width % config.elem.width == 0:
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

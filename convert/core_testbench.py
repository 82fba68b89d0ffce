"""The core's testbench: FlashAttention by matrix instructions alone, in plain Verilog."""

from __future__ import annotations

from string import Template
from typing import Any

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.convert.hierarchy import PREFIX
from myhdl_fsa.convert.testbench_data import BENCH_HEAD, KEY_TILES, TestbenchError, attention_data, hex_text
from myhdl_fsa.dataflows import attention_cycles
from myhdl_fsa.golden import attention
from myhdl_fsa.instruction import MatrixInstruction
from myhdl_fsa.isa import Dma, Transfer
from myhdl_fsa.kernel.legality import scratchpad_rows
from myhdl_fsa.sims.core_bench import MATRIX_FIELDS, attention_run
from myhdl_fsa.sims.ideal_device import pack

__all__ = ["core_testbench"]


def core_testbench(config: Config, prefix: str = PREFIX) -> dict[str, str]:
    """The testbench of the core: one tile of Q, two of K and V, all loaded before the first instruction.

    ``prefix`` is that of the core's module name.

    Raises TestbenchError when the scratchpad does not hold them.
    """
    q, k, v = attention_data(config)
    run = attention_run(q, k, v, config)
    n, steps = config.rows, run.steps

    fields = MatrixInstruction(config)
    widths = {name: len(signal) or 1 for name, signal in vars(fields).items() if name in MATRIX_FIELDS}
    # what a controller with a queue says besides
    others = [name for name in vars(fields) if name not in (*widths, "valid", "ready")]
    instructions = [
        _join((getattr(step, name) % (1 << width), width) for name, width in widths.items()) for step in steps
    ]
    address, row = len(fields.scratchpad_row), config.rows * config.elem.width
    transfers = [instruction for instruction in run.kernel.instructions if isinstance(instruction, Dma)]
    tiles = [transfer for transfer in transfers if transfer.function == Transfer.LOAD]
    (store,) = (transfer for transfer in transfers if transfer.function == Transfer.STORE)
    loads = {
        place: word for tile in tiles
        for place, word in zip(scratchpad_rows(tile, config).tolist(), run.load_rows(tile), strict=True)
    }
    if len(loads) < sum(tile.rows for tile in tiles):
        needed = 2 * config.cols + 4 * n
        raise TestbenchError(f"the testbench needs {needed} scratchpad rows, two tiles of Q, K and V each: "
                             f"the configuration has {config.scratchpad_rows}")
    output: Bits = attention(q, k, v, config)

    cycles = attention_cycles(config, 1, KEY_TILES)
    bench = f"tb_{prefix}core"
    text = Template(_CORE).substitute(
        head="\n".join(BENCH_HEAD), bench=bench, core=f"{prefix}core",
        loads=len(loads), steps=len(steps), rows=n, columns=config.cols, width=config.acc.width, cycles=cycles,
        limit=len(loads) + 2 * cycles + n + 100, first_row=store.row, address_high=address - 1, row_high=row - 1,
        load_high=address + row - 1, step_high=sum(widths.values()) - 1,
        elem_scale=f"{config.elem.width}'h{run.scale.elem:x}", acc_scale=f"{config.acc.width}'h{run.scale.acc:x}",
        ram_high=len(fields.accumulator_row) - 1, out_high=config.cols * config.acc.width - 1,
        declarations="\n".join((
            *(f"    reg [{width - 1}:0] instruction_{name};" for name, width in widths.items()),
            *(f"    wire instruction_{name};" for name in others))),
        starts="\n".join(f"        instruction_{name} <= 0;" for name in widths),
        connections="\n".join(f"        .instruction_{name}(instruction_{name})," for name in (*widths, *others)),
        fields=", ".join(f"instruction_{name}" for name in widths),
    )
    return {
        f"{bench}.v": text,
        f"{bench}_loads.hex": hex_text(_join([(place, address), (word, row)]) for place, word in loads.items()),
        f"{bench}_instructions.hex": hex_text(instructions),
        f"{bench}_expected.hex": hex_text(pack(output[:, index], config.acc.width) for index in range(n)),
    }


def _join(parts: Any) -> int:
    """(value, bits) pairs side by side, the first in the high bits."""
    word = 0
    for value, width in parts:
        word = word << width | int(value)
    return word


_CORE = """\
// Self-checking: one tile of Q and two of K and V through the scratchpad's write port, FlashAttention on them by matrix
// instructions, and O^T back through the accumulator's read port, compared bit for bit with the golden model. Also
// checks the cycles from the first instruction to idle. Run it in the folder of its .hex files.
$head
module $bench;
    localparam LOADS = $loads, STEPS = $steps, ROWS = $rows, COLUMNS = $columns, WIDTH = $width;
    localparam CYCLES = $cycles, LIMIT = $limit;

    // a scratchpad row and its address; an instruction's fields; a row of O^T
    reg [$load_high:0] loads [0:LOADS-1];
    reg [$step_high:0] instructions [0:STEPS-1];
    reg [$out_high:0] expected [0:ROWS-1];

    reg clock = 0;
    reg reset;
    reg instruction_valid;
    wire instruction_ready;
$declarations
    wire release_valid;
    wire [4:0] release_semaphore;
    wire [2:0] release_value;
    wire busy;
    reg scratchpad_write_valid;
    reg [$address_high:0] scratchpad_write_row;
    reg [$row_high:0] scratchpad_write_data;
    reg accumulator_read_valid;
    wire accumulator_read_ready;
    reg [$ram_high:0] accumulator_read_row;
    wire [$out_high:0] accumulator_read_data;

    $core dut (
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
        .accumulator_read_data(accumulator_read_data),
        .scale_elem($elem_scale),
        .scale_acc($acc_scale)
    );

    integer cycle = 0, loaded = 0, issued = 0, first = 0, taken = 0, asked = 0, compared = 0, failures = 0, column;
    reg finished = 0;
    reg answered = 0;
    wire accepted = instruction_valid && instruction_ready;
    wire read = accumulator_read_valid && accumulator_read_ready;

    initial begin
        $$readmemh("${bench}_loads.hex", loads);
        $$readmemh("${bench}_instructions.hex", instructions);
        $$readmemh("${bench}_expected.hex", expected);
        reset <= 1;
        instruction_valid <= 0;
$starts
        scratchpad_write_valid <= 0;
        scratchpad_write_row <= 0;
        scratchpad_write_data <= 0;
        accumulator_read_valid <= 0;
        accumulator_read_row <= 0;
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

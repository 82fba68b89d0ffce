"""The accelerator's testbench: a small host and memories around FlashAttention's instructions, in plain Verilog."""

from __future__ import annotations

from string import Template

from myhdl_fsa.axi import MANAGER_DRIVES, AxiLite, AxiRead, AxiWrite, Response
from myhdl_fsa.config import Config
from myhdl_fsa.convert.hierarchy import PREFIX
from myhdl_fsa.convert.testbench_data import BENCH_HEAD, KEY_TILES, TestbenchError, attention_data, hex_text
from myhdl_fsa.dataflows import attention_cycles
from myhdl_fsa.frontend.registers import Register
from myhdl_fsa.golden import attention
from myhdl_fsa.isa import Kind
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.program import State

__all__ = ["UNWRITTEN", "accelerator_testbench"]


def accelerator_testbench(config: Config, prefix: str = PREFIX) -> dict[str, str]:
    """The testbench of the accelerator: one tile of Q, two of K and V, in memory and through instructions.

    ``prefix`` is that of its module's name.

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
    bursts = config.cols + 2 * KEY_TILES * config.rows + config.rows
    beats = max(config.scratchpad_row_bytes, config.accumulator_row_bytes) // config.beat_bytes
    channels = {**vars(AxiRead(config)), **vars(AxiWrite(config))}
    control = vars(AxiLite())
    fixed = ("bready", "rready", "wstrb")
    bench = f"tb_{prefix}accelerator"
    text = Template(_ACCELERATOR).substitute(
        head="\n".join(BENCH_HEAD), bench=bench, accelerator=f"{prefix}accelerator",
        words=words, checks=len(checks), ports=config.memory_ports, beat=config.beat_bytes, bytes=len(memory),
        base=f"{len(channels['araddr'])}'h{base:x}", first=region.address - base, values=expected.size,
        columns=config.cols, width=config.acc.width, value_bytes=config.accumulator_row_bytes // config.cols,
        limit=2000 + 8 * words + 4 * attention_cycles(config, 1, KEY_TILES) + bursts * (beats + 20),
        address=len(channels["araddr"]), address_high=len(channels["araddr"]) - 1,
        set_active=int(Register.SET_ACTIVE), queue=int(Register.QUEUE), outside=int(Response.DECERR),
        host="\n".join(
            _declare(f"control_{name}", len(signal) or 1, name in MANAGER_DRIVES)
            for name, signal in control.items()),
        memory="\n".join(
            _declare(name, config.memory_ports * (len(signal) or 1), name not in MANAGER_DRIVES, vector=True)
            for name, signal in channels.items()),
        starts="\n".join((
            *(f"        control_{name} <= {(1 << (len(signal) or 1)) - 1 if name in fixed else 0};"
              for name, signal in control.items() if name in MANAGER_DRIVES),
            *(f"        {name} <= 0;" for name in channels if name not in MANAGER_DRIVES),
        )),
        connections=",\n".join((
            *(f"        .control_{name}(control_{name})" for name in control),
            *(f"        .memory_m{port}_{name}({name}[{port * (len(signal) or 1)} +: {len(signal) or 1}])"
              for port in range(config.memory_ports) for name, signal in channels.items()),
        )),
    )
    return {
        f"{bench}.v": text,
        f"{bench}_words.hex": hex_text(program.words),
        f"{bench}_memory.hex": hex_text(memory),
        f"{bench}_registers.hex": hex_text(register << 32 | int(value) for register, value in checks.items()),
        f"{bench}_expected.hex": hex_text(int(value) for value in expected.T.ravel()),
    }


UNWRITTEN = 0x5A
"""what memory holds before, where the kernel has no input"""


def _declare(name: str, width: int, driven: bool, vector: bool = False) -> str:
    """A net that the device drives, or a register that the testbench drives."""
    bits = f"[{width - 1}:0] " if width > 1 or vector else ""
    return f"    {'reg' if driven else 'wire'} {bits}{name};"


_ACCELERATOR = """\
// Self-checking: one tile of Q and two of K and V in memory, FlashAttention on them by instruction words through the
// AXI4-Lite port, and O^T in memory compared bit for bit with the golden model. Also checks the state, the interrupt
// and the counters of words and instructions. Run it in the folder of its .hex files.
$head
module $bench;
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
    reg reset;
    wire interrupt;
    // the host's AXI4-Lite port
$host
    // the AXI4 ports side by side, port 0 in the low bits
$memory

    $accelerator dut (
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
        $$readmemh("${bench}_words.hex", words);
        $$readmemh("${bench}_registers.hex", checks);
        $$readmemh("${bench}_memory.hex", memory);
        $$readmemh("${bench}_expected.hex", expected);
        for (port = 0; port < PORTS; port = port + 1) begin
            read_left[port] = 0;
            write_left[port] = 0;
        end
        reset <= 1;
$starts
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

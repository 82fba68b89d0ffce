"""Lists, memories, loops of instances and lanes: the compiler's modules in Icarus against MyHDL, cycle by cycle."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from generated import HEADER, load, tool

from myhdl_fsa.convert.hierarchy import Design
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.cycle_simulator import CycleSimulator

SOURCE = """
@block
def adder(clock, reset, given, beside, held):
    @always(clock.posedge)
    def step():
        if reset:
            held.next = 0
        else:
            held.next = (held + given * 3 + beside) & 255

    return step


@block
def row(clock, reset, given, start, helds):
    chain = [start, *helds]
    adders = [adder(clock, reset, given, chain[n], chain[n + 1]) for n in range(4)]
    return adders


@block
def grid(clock, reset, given, last):
    zero = unsigned(8)
    zero.constant = True
    helds = [[unsigned(8) for _ in range(4)] for _ in range(3)]
    rows = [row(clock, reset, given[n], zero, helds[n]) for n in range(3)]
    helds_last = helds[2]

    @always_comb
    def gather():
        word = 0
        for n in range(4):
            word = word | (helds_last[n] << (n * 8))
        last.next = word

    return rows, gather


@block
def store(clock, reset, given, last):
    words = [unsigned(8) for _ in range(8)]
    address = unsigned(3)

    @always(clock.posedge)
    def write():
        if reset:
            address.next = 0
        else:
            address.next = (address + 3) & 7
            words[address].next = given[0] ^ given[2]

    @always(clock.posedge)
    def read():
        if reset:
            last.next = 0
        else:
            last.next = words[(address + 1) & 7] + (address << 9)

    return write, read
"""
CYCLES = 40


@pytest.mark.parametrize("synthesis", [False, True], ids=("simulation", "synthesis"))
@pytest.mark.parametrize("name", ["grid", "store"])
def test_structures_are_the_same_in_icarus(tmp_path: Path, name: str, synthesis: bool) -> None:
    path = tmp_path / f"{name}_{synthesis}.py"
    path.write_text(HEADER + "from myhdl_fsa.signals import unsigned\n" + SOURCE)
    make = getattr(load(path), name)

    def ports() -> tuple:
        return unsigned(1), unsigned(1), [unsigned(8) for _ in range(3)], unsigned(32)

    block = make(*ports())
    modules = Design(block, block, name).convert()
    given_ports = ports()
    _, reset, given, last = given_ports
    simulator = CycleSimulator(make(*given_ports))
    simulator.start()
    rng = random.Random(name)
    vectors, expected = [], []
    for cycle in range(CYCLES):
        values = [rng.randrange(256) for _ in given]
        vectors.append(int(cycle < 2) << 24 | values[2] << 16 | values[1] << 8 | values[0])
        reset.next = cycle < 2
        for one, value in zip(given, values, strict=True):
            one.next = value
        simulator.settle()
        simulator.edge()
        expected.append(int(last))
    for module in modules.values():
        (tmp_path / f"{module.name}.v").write_text(module.text)
    (tmp_path / "vectors.hex").write_text("\n".join(f"{vector:x}" for vector in vectors) + "\n")
    (tmp_path / "bench.v").write_text(f"""module bench;
reg clock = 0;
reg [24:0] vectors [0:{CYCLES - 1}];
reg [24:0] given = 0;
wire [31:0] last;
integer at;
{name} dut (.clock(clock), .reset(given[24]), .given(given[23:0]), .last(last));
initial begin
    $readmemh("vectors.hex", vectors);
    #1;
    for (at = 0; at < {CYCLES}; at = at + 1) begin
        given = vectors[at];
        #1 clock = 1;
        #1 $display("%h", last);
        clock = 0;
        #1;
    end
end
endmodule
""")
    flags = ["-DSYNTHESIS"] if synthesis else []
    files = [f"{module.name}.v" for module in modules.values()]
    tool(["iverilog", "-g2005", *flags, "-o", "bench.vvp", "-s", "bench", *files, "bench.v"], tmp_path)
    found = tool(["vvp", "-N", "bench.vvp"], tmp_path).split()
    # without start values a memory is unknown until it is written
    pairs = [(int(text, 16), value) for text, value in zip(found, expected, strict=True)
             if not (synthesis and re.search("[xX]", text))]
    assert len(pairs) > CYCLES // 2
    assert all(one == other for one, other in pairs), pairs

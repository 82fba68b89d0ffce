"""The plain weight-stationary array that benchmarks/synthesis.py compares with: a matrix product, Python and Icarus."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from myhdl_fsa.arithmetic.scalar import multiply_adder, rounder
from myhdl_fsa.config import Config
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.cycle_simulator import CycleSimulator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from area import plain_array

from myhdl_fsa.fpga.hierarchy import Hierarchy

N = 4
CONFIG = Config(rows=N)
INPUTS = {"reset": 1, "control": 2, "row": 16 * N, "accumulate": 1, "first": 1}
LATENCY = 2 * N - 1
BENCH = """\
module bench;
reg clock = 0;
reg [{high}:0] inputs;
reg [{high}:0] vectors [0:{last}];
wire [{result_high}:0] result;
integer i;
{module} dut (.clock(clock), {ports}, .result(result));
initial begin
    $readmemh("vectors.hex", vectors);
    for (i = 0; i <= {last}; i = i + 1) begin
        inputs = vectors[i];
        #1 $display("%h", result);
        clock = 1;
        #1 clock = 0;
    end
end
endmodule
"""


def pack(values, width):
    return sum(int(value) << (width * lane) for lane, value in enumerate(values))


def stimuli(weights, inputs):
    """A word of inputs a cycle: reset, the weights, the rows of ``inputs``, and one sum of all of them."""
    words = [{"reset": 1}]
    words += [{"control": plain_array.LOAD, "row": pack(weights[:, c], 16)} for c in reversed(range(N))]
    start = len(words)
    words += [{"control": plain_array.RUN, "row": pack(row, 16)} for row in inputs]
    # the skewed lanes leave under the control of the row they belong to
    words += [{} for _ in range(LATENCY + 2)]
    for t in range(len(inputs)):
        words[start + t + LATENCY] |= {"accumulate": 1, "first": int(t == 0)}
    return [{"reset": 0, "control": 0, "row": 0, "accumulate": 0, "first": 0} | word for word in words]


def in_python(words):
    signals = {name: unsigned(width) for name, width in INPUTS.items()}
    result = unsigned(32 * N)
    simulator = CycleSimulator(plain_array.plain_array(unsigned(1), **signals, result=result, config=CONFIG))
    simulator.start()
    seen = []
    for word in words:
        for name, value in word.items():
            signals[name].next = value
        simulator.settle()
        seen.append(int(result))
        simulator.edge()
    return seen


def in_icarus(words, folder):
    total, at, ports, vectors = sum(INPUTS.values()), 0, [], [0] * len(words)
    for name, width in INPUTS.items():
        ports.append(f".{name}(inputs[{at + width - 1}:{at}])")
        vectors = [vector | word[name] << at for vector, word in zip(vectors, words, strict=True)]
        at += width
    texts = plain_array.convert(CONFIG)
    module = Hierarchy(texts).source("plain_array").top
    (folder / "design.v").write_text("".join(texts.values()))
    (folder / "bench.v").write_text(BENCH.format(high=total - 1, last=len(words) - 1, result_high=32 * N - 1,
                                                 module=module, ports=", ".join(ports)))
    (folder / "vectors.hex").write_text("".join(f"{vector:x}\n" for vector in vectors))
    subprocess.run(["iverilog", "-g2005", "-o", "bench.vvp", "-s", "bench", "design.v", "bench.v"], cwd=folder,
                   check=True)
    done = subprocess.run(["vvp", "-N", "bench.vvp"], cwd=folder, check=True, capture_output=True, text=True)
    return [int(line, 16) for line in done.stdout.split()]


def expected(weights, inputs):
    """The sum of the rows of the product, each rounded as the machine rounds."""
    elem, acc = CONFIG.elem, CONFIG.acc
    in_pe, from_pe = multiply_adder(elem, acc), rounder(elem, acc, acc)
    in_column, from_column = multiply_adder(acc, acc), rounder(acc, acc, acc)
    sums = [0] * N
    for t, row in enumerate(inputs):
        for c in range(N):
            product = 0
            for r in range(N):
                product = from_pe(in_pe(int(weights[r, c]), int(row[r]), product, 0))
            sums[c] = from_column(in_column(product, acc.one, sums[c] if t else 0, 0))
    return sums


def test_a_matrix_product(tmp_path):
    random = np.random.default_rng(11)
    weights, inputs = (random.standard_normal(shape).astype(np.float16) for shape in ((N, N), (6, N)))
    patterns = weights.view(np.uint16), inputs.view(np.uint16)
    words = stimuli(*patterns)
    seen = in_python(words)
    sums = [seen[-1] >> (32 * c) & 0xFFFFFFFF for c in range(N)]
    assert sums == expected(*patterns)
    product = (inputs.astype(np.float64) @ weights.astype(np.float64)).sum(0)
    assert np.allclose(np.array(sums, np.uint32).view(np.float32), product, atol=1e-5)
    assert in_icarus(words, tmp_path) == seen

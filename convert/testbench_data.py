"""What the self-checking testbenches have in common: their data, and how they read it."""

from __future__ import annotations

from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.config import Config
from myhdl_fsa.easyfloat import from_float

__all__ = ["BENCH_HEAD", "KEY_TILES", "SEED", "TestbenchError", "attention_data", "hex_text"]

KEY_TILES = 2
"""tiles of K and V that the accelerator's and the core's testbench run one tile of Q against"""
SEED = 0
BENCH_HEAD = (
    "/* verilator lint_off WIDTH */ // counts in integers, and compares them with vectors",
    "/* verilator lint_off UNUSEDSIGNAL */ // does not look at all that is said",
    "/* verilator lint_off BLKSEQ */ // is no hardware: a clocked process counts in variables",
    "/* verilator lint_off INITIALDLY */ // inputs get values when all processes wait for a change",
    "",
)
"""what Verilator need not say of a testbench, and why"""


class TestbenchError(ValueError):
    """A configuration that the testbench cannot run; the message is one line."""

    __test__ = False  # no test, whatever pytest makes of its name


def attention_data(config: Config) -> tuple[Bits, Bits, Bits]:
    """One tile of Q, and ``KEY_TILES`` of K and V."""
    rng = np.random.default_rng(SEED)
    shapes = ((config.cols, config.rows), *[(KEY_TILES * config.rows, config.rows)] * 2)
    q, k, v = (from_float(rng.standard_normal(shape), config.elem) for shape in shapes)
    return q, k, v


def hex_text(words: Any) -> str:
    """Words as $readmemh reads them, one a line."""
    return "".join(f"{word:x}\n" for word in words)

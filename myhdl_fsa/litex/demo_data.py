"""What the demo runs and compares with, as a C header: words, tensors, the golden model's bits, and references."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from myhdl_fsa.arithmetic.formats import FP16
from myhdl_fsa.config import Config
from myhdl_fsa.frontend.registers import Register
from myhdl_fsa.golden.device import execute
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.program import Program
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import tiles
from myhdl_fsa.workbench import metrics
from myhdl_fsa.workbench.report import COUNTER_FORMS
from myhdl_fsa.workbench.templates import template
from myhdl_fsa.workbench.workload import Workload, generate

__all__ = ["Demo"]

_CODE, _STACK = 1 << 16, 1 << 14
"""bytes, with some to spare"""
_LINE = 100
"""characters of a line of a table, about"""


@dataclass(frozen=True)
class Demo:
    """Attention on generated tensors, as ``fsa-sim`` has it with the same sizes and seed.

    The tensors lie from ``config.memory_base`` on. ``queries`` and ``keys`` are rows, at least 1.
    """

    config: Config
    queries: int
    keys: int
    seed: int = 0

    @cached_property
    def work(self) -> Workload:
        """The tensors. Raises WorkloadError for sizes that are not allowed."""
        return generate(self.config, self.queries, self.keys, self.seed)

    @cached_property
    def program(self) -> Program:
        """The kernel's words, what memory holds before, and where O^T comes.

        Raises KernelError for tensors that do not fit into the configuration's memory.
        """
        work = self.work
        return attention_kernel(work.q, work.k, work.v, self.config).program()

    @property
    def values(self) -> int:
        """Of the result."""
        return self.queries * self.work.v.shape[-1]

    @property
    def ram_bytes(self) -> int:
        """From ``config.memory_base`` to the end of the last tensor."""
        ends = [address + len(data) for address, data in self.program.memory]
        ends += [region.address + region.size for region in self.program.outputs]
        return max(ends) - self.config.memory_base

    @property
    def rom_bytes(self) -> int:
        """Of the program with its data, at most."""
        sizes = [len(data) for _, data in self.program.memory] + [region.size for region in self.program.outputs]
        return _CODE + 4 * len(self.program.words) + sum(sizes) + (4 + 8) * self.values

    @property
    def sram_bytes(self) -> int:
        """Of the program's variables: the result, and three differences of each value in float and in double."""
        return _STACK + (4 + 3 * (4 + 8)) * self.values

    def header(self) -> str:
        """``demo_data.h``. Raises WorkloadError and KernelError."""
        config, work, program = self.config, self.work, self.program
        (region,) = program.outputs
        (expected,) = execute(program, config).outputs
        # torch computes fp16 in fp16, where the published 1e-8 is zero; anything else it gives in float32
        epsilon = 0.0 if config.elem == FP16 else 1e-8
        text: str = template(__package__, "demo_data.h", filters={
            "table": _table, "string_literal": _string_literal}, escape=False).render(
            name=config.name or "unnamed configuration", queries=self.queries, keys=self.keys, seed=self.seed,
            words=[f"0x{word:08X}u" for word in program.words],
            inputs=[{"address": address, "bytes": _hexadecimal(data)} for address, data in program.memory],
            queries_in_tiles=tiles(self.queries, config.rows) * config.rows, columns=work.v.shape[-1],
            output=region.address, expected=_hexadecimal(expected), scale=program.scale or Scale.of(config),
            epsilon=_number(epsilon, "f"),
            torch=_numbers(metrics.torch_attention(work, config.elem), "f"),
            float64=_numbers(metrics.float64_attention(work, config.elem), ""),
            counters=[(form.format("%lu") + "\n", Register[name.upper()]) for name, form in COUNTER_FORMS.items()],
        )
        return text


def _hexadecimal(data: bytes) -> list[str]:
    return [f"0x{byte:02X}" for byte in data]


def _numbers(values: np.ndarray[Any, Any], suffix: str) -> list[str]:
    return [_number(float(value), suffix) for value in values.ravel()]


def _number(value: float, suffix: str) -> str:
    """A constant of C with exactly this value."""
    if math.isnan(value):
        return f"0.0{suffix} / 0.0{suffix}"
    if math.isinf(value):
        return f"{math.copysign(1.0, value)}{suffix} / 0.0{suffix}"
    return f"{value.hex()}{suffix}"


def _table(items: Sequence[str]) -> str:
    """The items with commas between them, in lines."""
    wide = max(map(len, items), default=0) + 2
    step = max(1, _LINE // wide)
    lines = [", ".join(items[at:at + step]) for at in range(0, len(items), step)]
    return ",\n".join(f"    {line}" for line in lines)


def _string_literal(text: str) -> str:
    """A string of C; what is not ASCII becomes a question mark."""
    return json.dumps(text.encode("ascii", "replace").decode())

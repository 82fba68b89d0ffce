"""Programs for the device: random kernels that are right, and random and mutated words that need not be."""

from __future__ import annotations

import random
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from myhdl_fsa import golden
from myhdl_fsa.config import Config
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.isa import Dma, Fence, Instruction, Matrix, decode_all, encode, encode_all
from myhdl_fsa.kernel.context import Kernel
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output
from myhdl_fsa.program import Execution, Program, State
from myhdl_fsa.tiling import AttentionShape


class Attention:
    """A random attention kernel with the golden model's answer: of whole tiles, or of ``shape``."""

    def __init__(
        self, config: Config, seed: int, tiles_q: int = 1, tiles_kv: int = 1, causal: bool = False, *,
        shape: AttentionShape | None = None, scale: float | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        n = config.rows
        if shape is None:
            shape = AttentionShape(tiles_q * n, tiles_kv * n, n, n, causal=causal)
        q, k, v = (from_float(rng.standard_normal(size), config.elem) for size in tensor_shapes(shape))
        self.kernel: Kernel = attention_kernel(q, k, v, config, shape.causal, scale)
        self.program: Program = self.kernel.program()
        self.expected = golden.attention(q, k, v, config, causal=shape.causal, scale=scale)

    @classmethod
    def drawn(cls, config: Config, rng: random.Random, tiles: int) -> Attention:
        """Up to so many tiles a side; every other one with hidden keys, a small d, heads, or a scale of its own."""
        n, seed, causal = config.rows, rng.randrange(1 << 30), bool(rng.randrange(2))
        queries, keys = (rng.randrange(1, tiles + 1) * n for _ in range(2))
        if rng.randrange(2):
            return cls(config, seed, shape=AttentionShape(queries, keys, n, n, causal=causal))
        heads, kv_heads = rng.choice(((1, 1), (1, 1), (1, 1), (2, 1), (2, 2)))
        if heads > 1:
            queries, keys = min(queries, n), min(keys, 2 * n)
        shape = AttentionShape(
            queries - rng.randrange(n), keys - rng.randrange(n), *(n - rng.choice((0, rng.randrange(n))) for _ in "kv"),
            heads, kv_heads, causal=causal, stacked=heads > 1)
        return cls(config, seed, shape=shape, scale=rng.choice((None, 0.05, 0.5, 3.0)))

    def check(self, execution: Execution) -> None:
        """Fails unless the device is done and its output is the golden model's, bit for bit."""
        assert execution.state is State.DONE, execution
        np.testing.assert_array_equal(attention_output(self.kernel, execution), self.expected)


def tensor_shapes(shape: AttentionShape) -> list[tuple[int, ...]]:
    """Of q, k and v."""
    sizes = ((shape.heads, shape.seq_q, shape.head_dim), (shape.kv_heads, shape.seq_kv, shape.head_dim),
             (shape.kv_heads, shape.seq_kv, shape.value_dim))
    return [(shape.batch, *size) if shape.stacked else size[1:] for size in sizes]


def bad_words(config: Config, good: Program, rng: random.Random) -> list[int]:
    """Words that are random, or a good program's with something wrong in them."""
    kind = rng.randrange(6)
    if kind == 0:
        return [rng.getrandbits(32) for _ in range(rng.randrange(1, 40))]
    words = list(good.words)
    if kind == 1:  # bits
        for _ in range(rng.randrange(1, 6)):
            words[rng.randrange(len(words))] ^= 1 << rng.randrange(32)
        return words
    if kind == 2:  # cut short, or begun late
        at = rng.randrange(1, len(words))
        return words[:at] if rng.randrange(2) else words[at:]
    instructions = list(decode_all(words))
    if kind == 3:  # left out, doubled, in another order
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(instructions))
            choice = rng.randrange(3)
            if choice == 0 and len(instructions) > 1:
                del instructions[at]
            elif choice == 1:
                instructions.insert(at, rng.choice(instructions))
            else:
                rng.shuffle(instructions)
        return encode_all(instructions)
    if kind == 4:  # fields
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(len(instructions))
            instructions[at] = _change(instructions[at], config, rng)
        return encode_all(instructions)
    return [word for _ in range(rng.randrange(1, 20)) for word in encode(_random(config, rng))]


def _change(instruction: Instruction, config: Config, rng: random.Random) -> Instruction:
    name = rng.choice(list(asdict(instruction)))
    return replace(instruction, **{name: _value(instruction, name, config, rng)})


def _value(instruction: Any, name: str, config: Config, rng: random.Random) -> int:
    allowed = instruction.LAYOUT[name].allowed
    if rng.randrange(2):
        return rng.randrange(allowed[0], allowed[-1] + 1)
    near = {
        "function": range(5), "row": range(config.scratchpad_rows), "rows": range(2 * config.rows),
        "scratchpad_row": range(config.scratchpad_rows), "accumulator_row": range(config.accumulator_rows),
        "stride": range(-2, 3), "scratchpad_stride": range(-2, 3), "accumulator_stride": range(-2, 3),
        "size": (config.scratchpad_row_bytes, config.accumulator_row_bytes),
        "address": range(config.memory_base, config.memory_base + 4096, config.beat_bytes),
        "memory_stride": range(0, 256, config.beat_bytes), "semaphore": range(4), "acquire_value": range(2),
        "release_value": range(2), "hidden": range(2 * config.rows),
    }.get(name, allowed)
    return rng.choice(near) if not isinstance(near, range) or len(near) < 1 << 40 else 0


def _random(config: Config, rng: random.Random) -> Instruction:
    """An instruction that is likely to be legal."""
    kind = rng.choice((Matrix, Matrix, Dma, Dma, Dma, Fence))
    if kind is Fence:
        return Fence(rng.randrange(2), rng.randrange(2), int(rng.randrange(4) == 0))
    blank = kind(function=0)
    fields = {name: _value(blank, name, config, rng) if rng.randrange(4) else 0 for name in asdict(blank)}
    fields["function"] = rng.randrange(5 if kind is Matrix else 2)
    if kind is Matrix and rng.randrange(4):
        fields["hidden"] = rng.randrange(config.rows)
    if kind is Dma:
        fields["accumulator"] = fields["function"]
        fields["size"] = config.accumulator_row_bytes if fields["accumulator"] else config.scratchpad_row_bytes
    return kind(**fields)

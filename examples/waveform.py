"""A waveform, written and read: which instruction each sequencer is in, cycle by cycle, for two tiles of keys.

Run from anywhere: ``python examples/waveform.py [FILE.vcd]``. GTKWave or Surfer opens the file; what is printed here is
the same by name, ``in_attn_score`` and its likes, a column a cycle.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from vcd.reader import TokenKind, tokenize

from myhdl_fsa import Config, engine
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import AttentionRequest, Watch

PERIOD = 10
"""a cycle in the waveform, in ns"""
LETTERS = {"in_load_stationary": "Q", "in_attn_score": "S", "in_attn_value": "V", "in_acc_reciprocal": "/",
           "in_attn_lse_norm": "n"}


def changes(path: Path) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """By sequencer and instruction, at which cycles its bit takes which value."""
    scope: list[str] = []
    names: dict[str, tuple[str, str]] = {}
    found: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    cycle = 0
    with path.open("rb") as file:
        for token in tokenize(file):
            if token.kind is TokenKind.SCOPE:
                scope.append(token.scope.ident)
            elif token.kind is TokenKind.UPSCOPE:
                scope.pop()
            elif token.kind is TokenKind.VAR and token.var.reference in LETTERS:
                names[token.var.id_code] = (scope[-1], token.var.reference)
            elif token.kind is TokenKind.CHANGE_TIME:
                cycle = token.time_change // PERIOD
            elif token.kind is TokenKind.CHANGE_SCALAR and token.scalar_change.id_code in names:
                found[names[token.scalar_change.id_code]].append((cycle, int(token.scalar_change.value)))
    return found


def timeline(found: dict[tuple[str, str], list[tuple[int, int]]], sequencer: str, cycles: int) -> str:
    """A letter a cycle: the instruction that the sequencer is in."""
    line = ["."] * cycles
    for (where, name), values in found.items():
        if where == sequencer:
            for (start, value), (stop, _) in zip(values, [*values[1:], (cycles, 0)], strict=True):
                line[start:stop] = [LETTERS[name]] * (stop - start) if value else line[start:stop]
    return "".join(line)


with TemporaryDirectory() as folder:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "core.vcd"
    config = Config(rows=4, reciprocal="division")
    q, k, v = (from_float(np.random.default_rng(seed).random((rows, 4)), "fp16")
               for seed, rows in enumerate((4, 8, 8)))
    result = engine("myhdl").run_attention(AttentionRequest(q, k, v, config, top="core"), Watch(vcd=path))
    found = changes(path)
    cycles = 1 + max(cycle for values in found.values() for cycle, _ in values)
    print(f"{result.cycles} cycles from the first instruction to idle")
    print("Q load_stationary, S attn_score, V attn_value, / acc_reciprocal, n attn_lse_norm")
    for sequencer in sorted({sequencer for sequencer, _ in found}):
        print(f"{sequencer:12}", timeline(found, sequencer, cycles))

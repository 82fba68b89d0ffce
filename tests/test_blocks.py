"""Every block of the machine in MyHDL against a reference, and the same cycles in Icarus and Verilator.

The references are ``easyfloat`` (numpy) for arithmetic, and for the rest short models written from section 3 of the
specification on the scalar arithmetic of ``exact``. Ports whose value means nothing in a cycle are compared between the
simulators only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import blocks
import exact
import numpy as np
import pytest
from test_easyfloat import build, fma_cases, random_bits, specials

from myhdl_fsa import easyfloat
from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, FloatFormat, RoundingMode
from myhdl_fsa.config import Config
from myhdl_fsa.convert.regression import Stimuli, check_all
from myhdl_fsa.dataflows.fsa.control import PE_BIT, Accumulator, Comparator, Constant
from myhdl_fsa.dataflows.fsa.plan import ExecutionPlan
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.dataflows.fsa.sequencer import EDGE_BIT
from myhdl_fsa.instruction import hidden_width
from myhdl_fsa.isa import Function
from myhdl_fsa.signals import address_width
from myhdl_fsa.workbench.workload import generate

E4M3, E5M2, E6M9 = FloatFormat(4, 3), FloatFormat(5, 2), FloatFormat(6, 9)
SIMULATORS = ("icarus", "verilator")
FP16_NEWTON = Config(elem=FP16, acc=FP32)
BF16_DIVISION = Config(elem=BF16, acc=FP32, reciprocal="division")
SMALL = Config(elem=E4M3, acc=E6M9, exp2_pieces=4)
CONFIGS = (FP16_NEWTON, BF16_DIVISION, SMALL)

Rows = Sequence[Sequence[int]]


def columns(names: str, rows: Rows) -> dict[str, list[int]]:
    """A list a port out of a tuple a cycle."""
    return {name: list(values) for name, values in zip(names.split(), zip(*rows, strict=True), strict=True)}


def pair(fmt: FloatFormat) -> exact.Format:
    return fmt.exponent_bits, fmt.mantissa_bits


def mixed(rng: np.random.Generator, fmt: FloatFormat, count: int) -> list[int]:
    """Patterns of every kind, half of them of a size that meets its like in an addition."""
    kinds = np.stack([
        random_bits(rng, fmt, count), rng.choice(specials(fmt), count).astype(fmt.dtype),
        *(build(rng, fmt, fmt.bias - 4, fmt.bias + 4, count) for _ in range(3)),
        build(rng, fmt, 0, 3, count), build(rng, fmt, fmt.exponent_max - 3, fmt.exponent_max, count),
    ])
    return kinds[rng.integers(0, len(kinds), count), np.arange(count)].tolist()


def packed(words: Sequence[int], width: int) -> int:
    return sum(word << index * width for index, word in enumerate(words))


def unpacked(word: int, count: int, width: int) -> list[int]:
    return [word >> index * width & (1 << width) - 1 for index in range(count)]


def assert_words(seen: Sequence[int], expected: Sequence[int] | np.ndarray, inputs: Stimuli) -> None:
    wrong = np.flatnonzero(np.array(seen, dtype=np.int64) != np.array(expected, dtype=np.int64))
    assert len(wrong) == 0, (
        f"{len(wrong)} of {len(seen)} wrong, first at {wrong[0]}: {seen[wrong[0]]:#x} is not "
        f"{int(expected[wrong[0]]):#x}, inputs { {name: hex(values[wrong[0]]) for name, values in inputs.items()} }"
    )


# arithmetic: each bundle of modules is one build

Job = tuple[Callable[[], Any], Stimuli]


@pytest.mark.parametrize("mul, add", [
    (FP16, FP32), (BF16, FP32), (FP32, FP32), (FP16, FP16), (BF16, BF16), (E4M3, E6M9),
], ids=str)
def test_fma(mul: FloatFormat, add: FloatFormat, tmp_path) -> None:
    """Both widths a PE rounds to, in all five modes."""
    rng = np.random.default_rng(1)
    jobs: list[Job] = []
    expected = []
    for out in dict.fromkeys((add, mul)):
        arrays = fma_cases(rng, mul, add, out, 10_000)
        assert len(arrays[0]) >= 10_000
        for mode in RoundingMode:
            # every special combination in the mode attention uses; a prime stride visits them all alike
            operands = [array[::1 if mode == RoundingMode.RNE else 7] for array in arrays]
            jobs.append((partial(blocks.fma, mul, add, out, mode),
                         {name: array.tolist() for name, array in zip("abc", operands, strict=True)}))
            expected.append(easyfloat.fma(*operands, mul, add, out, mode))
    for (_, stimuli), seen, bits in zip(jobs, check_all(jobs, SIMULATORS, tmp_path), expected, strict=True):
        assert_words(seen["result"], bits, stimuli)


def every(fmt: FloatFormat) -> np.ndarray:
    return np.arange(1 << fmt.width, dtype=np.uint64).astype(fmt.dtype)


def exp2_cases(fmt: FloatFormat, pieces: int) -> np.ndarray:
    """All patterns of a narrow format; else random ones, the ends of the pieces, and both sides of each."""
    if fmt.width <= 16:
        return every(fmt)
    rng = np.random.default_rng(2)
    ends = easyfloat.from_float(np.arange(0, 140 * pieces) / pieces, fmt).astype(np.int64)
    ends = np.concatenate([ends - 1, ends, ends + 1]).clip(0, fmt.infinity)
    ends = np.concatenate([ends, ends | fmt.sign_mask]).astype(fmt.dtype)
    return np.concatenate([
        random_bits(rng, fmt, 4000), np.array(specials(fmt), fmt.dtype), ends,
        build(rng, fmt, fmt.bias - 10, fmt.bias + 8, 16000),
    ])


@pytest.mark.parametrize("units", [
    ((FP16, FP32, FP16, 8), (FP32, FP32, FP32, 8)),
    ((BF16, FP32, BF16, 8), (E4M3, E6M9, E4M3, 4), (FP16, FP16, FP16, 16), (E5M2, FP32, E5M2, 8),
     (E4M3, BF16, E4M3, 32)),
], ids=("fp16", "other"))
def test_exp2(units, tmp_path) -> None:
    jobs: list[Job] = []
    expected = []
    for mul, add, out, pieces in units:
        x = exp2_cases(mul, pieces)
        jobs.append((partial(blocks.exp2, Exp2(mul, add, pieces), out), {"x": x.tolist()}))
        expected.append(easyfloat.exp2(x, mul, add, out, pieces))
    for (_, stimuli), seen, bits in zip(jobs, check_all(jobs, SIMULATORS, tmp_path), expected, strict=True):
        assert_words(seen["result"], bits, stimuli)


def convert_cases(src: FloatFormat, dst: FloatFormat) -> np.ndarray:
    """Around the ends of ``dst``'s range, and halfway between two of its values."""
    if src.width <= 16:
        return every(src)
    rng = np.random.default_rng(3)
    low, high = src.bias + 1 - dst.bias, src.bias + dst.bias
    drop = src.mantissa_bits - dst.mantissa_bits
    x = np.concatenate([
        random_bits(rng, src, 5000), np.array(specials(src), src.dtype), build(rng, src, low - 3, low + 2, 5000),
        build(rng, src, high - 2, high + 3, 5000), build(rng, src, low, high, 5000),
    ]).astype(np.int64)
    halfway = (x >> drop << drop) + (1 << drop >> 1) + rng.integers(-1, 2, len(x))
    return np.concatenate([x, halfway.clip(0, (1 << src.width) - 1)]).astype(src.dtype)


def test_convert(tmp_path) -> None:
    pairs = ((FP32, FP16), (FP32, BF16), (FP32, FP32), (FP16, E4M3), (E6M9, E4M3))
    cases = [convert_cases(src, dst) for src, dst in pairs]
    jobs: list[Job] = [(partial(blocks.convert, *formats), {"x": x.tolist()})
                       for formats, x in zip(pairs, cases, strict=True)]
    outputs = check_all(jobs, SIMULATORS, tmp_path)
    for (src, dst), x, seen in zip(pairs, cases, outputs, strict=True):
        assert_words(seen["result"], easyfloat.convert(x, src, dst), {"x": x.tolist()})


def latency(fmt: FloatFormat, method: str) -> int:
    m = fmt.mantissa_bits
    return 2 * (math.ceil(math.log2(m + 1)) + 4) + 1 if method == "newton" else math.ceil((m + 3) / 2) + 2


def reciprocal_stimuli(
    fmt: FloatFormat, method: str, count: int
) -> tuple[dict[str, list[int]], np.ndarray, np.ndarray]:
    """Operands held for as long as the specification says, with and without a pause between two of them.

    The stimuli, the operands, and the cycle in which each one's result is due.
    """
    rng = np.random.default_rng(4)
    x = np.concatenate([
        np.array(specials(fmt), fmt.dtype), random_bits(rng, fmt, count // 2),
        build(rng, fmt, fmt.bias - 3, fmt.bias + 3, count // 4),
        # where the result underflows
        build(rng, fmt, 2 * fmt.bias - 3, 2 * fmt.bias, count // 4),
    ])
    steps = latency(fmt, method)
    pauses = rng.integers(0, 2, len(x))
    length = steps + pauses
    due = 2 + np.cumsum(length) - 1 - pauses
    active = np.concatenate([[0, 0], *([1] * steps + [0] * pause for pause in pauses)])
    stimuli = {"reset": [1] + [0] * (len(active) - 1), "active": active.tolist(),
               "x": [0, 0, *np.repeat(x, length).tolist()]}
    return stimuli, x, due


@pytest.mark.parametrize("method", ["newton", "division"])
def test_reciprocal(method: str, tmp_path) -> None:
    make = blocks.newton if method == "newton" else blocks.divider
    formats = {FP32: 10_000, BF16: 2_000, E6M9: 2_000}
    cases = [reciprocal_stimuli(fmt, method, count) for fmt, count in formats.items()]
    jobs: list[Job] = [(partial(make, fmt), stimuli) for fmt, (stimuli, _, _) in zip(formats, cases, strict=True)]
    for fmt, (_, x, due), seen in zip(formats, cases, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        assert np.flatnonzero(seen["done"]).tolist() == due.tolist()
        assert_words(np.array(seen["result"])[due].tolist(), easyfloat.reciprocal(x, fmt, method), {"x": x.tolist()})


def test_reciprocals_start_anew_after_a_reset(tmp_path) -> None:
    jobs: list[Job] = []
    for make, steps in ((blocks.newton, 19), (blocks.divider, 15)):
        active = [1] * 5 + [0] * 2 + [1] * steps
        jobs.append((partial(make, FP32), {
            "reset": [0] * 5 + [1] + [0] * (1 + steps), "active": active,
            "x": [0x40490FDB] * 7 + [0x40400000] * steps,
        }))
    for seen in check_all(jobs, SIMULATORS, tmp_path):
        assert seen["done"] == [0] * (len(seen["done"]) - 1) + [1]
        assert seen["result"][-1] == 0x3EAAAAAB  # 1/3


# the array


class Pe:
    """A PE as section 3 describes it; the attributes are what it shows after an edge."""

    def __init__(self, config: Config) -> None:
        self.elem, self.acc, self.pieces = pair(config.elem), pair(config.acc), config.exp2_pieces
        self.register = self.right = self.down = self.up = 0
        self.taken = False

    def edge(self, control: int, left: int, above: int, below: int) -> None:
        def on(name: str) -> bool:
            return bool(control & PE_BIT[name])

        register = self.register
        addend = above if on("acc_ui") else below
        right, down, up = (left if on("flow_lr") else self.right, above if on("flow_ud") else self.down,
                           below if on("flow_du") else self.up)
        if on("mac"):
            total = exact.fma(register, left, addend, self.elem, self.acc, self.acc)
            down, up = (total, up) if on("acc_ui") else (down, total)
        if on("load_reg_li"):
            right = register
            self.register = left
        elif on("load_reg_ui"):
            self.register = above & (1 << sum(self.elem) + 1) - 1
        elif on("update_reg"):
            self.register = exact.fma(register, left, addend, self.elem, self.acc, self.elem)
        elif on("exp2"):
            self.pass_intercept(left, above)
        if control and not on("exp2"):
            self.taken = False
        self.right, self.down, self.up = right, down, up

    def pass_intercept(self, slope: int, word: int) -> None:
        # the piece's number stands in exponent bits [E-1:1]; the bit below tells (0.5, 1) from 1
        e, m = self.acc
        piece, low, mantissa = word >> (m + 1), word >> m & 1, word & (1 << m) - 1
        if not self.taken and piece == self.piece_of(self.register):
            bias = (1 << e - 1) - 1
            intercept = (bias if low else bias - 1) << m | mantissa
            table = [slope] * self.pieces, [intercept] * self.pieces
            self.register = exact.exp2(self.register, self.elem, self.acc, self.elem, table)
            self.taken = True

    def piece_of(self, x: int) -> int:
        kind, _, integer, exponent = exact.unpack(x, self.elem)
        if kind or exponent >= 0:
            return 0  # no fraction: any piece gives the same
        return self.pieces * (integer & (1 << -exponent) - 1) >> -exponent


def streamed(config: Config) -> list[tuple[int, int]]:
    """(slope, intercept with its piece number) for each piece, in the order they travel."""
    slopes, intercepts = exact.exp2_constants(pair(config.elem), pair(config.acc), config.exp2_pieces)
    known = config.acc.mantissa_bits + 1
    return [(slope, piece << known | intercept & (1 << known) - 1)
            for piece, (slope, intercept) in enumerate(zip(slopes, intercepts, strict=True))]


def pe_controls(rng: np.random.Generator, count: int) -> list[int]:
    """Every combination with at most one writer of the register, exp2 left out; a quarter idle."""
    writers = [0, PE_BIT["load_reg_li"], PE_BIT["load_reg_ui"], PE_BIT["update_reg"]]
    controls = rng.choice(writers, count)
    for name in ("mac", "acc_ui", "flow_lr", "flow_ud", "flow_du"):
        controls |= PE_BIT[name] * rng.integers(0, 2, count)
    return np.where(rng.random(count) < 0.25, 0, controls).tolist()


def pe_stimuli(config: Config, count: int) -> dict[str, list[int]]:
    """Random control and operands, then exp2 of many values, each loaded before and read out after."""
    rng = np.random.default_rng(5)
    elem, acc = config.elem, config.acc
    operands = zip(mixed(rng, elem, count), mixed(rng, acc, count), mixed(rng, acc, count), strict=True)
    rows = [(int(cycle < 2), control, *words) for cycle, (control, words)
            in enumerate(zip(pe_controls(rng, count), operands, strict=True))]
    load, pass_by = PE_BIT["load_reg_li"], PE_BIT["flow_ud"] | PE_BIT["flow_lr"] | PE_BIT["acc_ui"] | PE_BIT["exp2"]
    negative = build(rng, elem, elem.bias - 5, elem.bias + 4, 400) | np.array(elem.sign_mask, elem.dtype)
    for x in [*specials(elem), *negative.tolist(), *mixed(rng, elem, 100)]:
        rows.append((0, load, x, 0, 0))
        rows += [(0, pass_by, slope, intercept, 0) for slope, intercept in streamed(config)]
    return columns("reset control left above below", [*rows, (0, load, 0, 0, 0), (0, 0, 0, 0, 0)])


def test_pe(tmp_path) -> None:
    jobs: list[Job] = [(partial(blocks.pe, config), pe_stimuli(config, count))
                       for config, count in ((FP16_NEWTON, 12_000), (BF16_DIVISION, 5_000), (SMALL, 5_000))]
    for config, (_, stimuli), seen in zip(CONFIGS, jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        pe, expected = Pe(config), []
        for operands in zip(*(stimuli[name] for name in ("control", "left", "above", "below")), strict=True):
            expected.append((pe.right, pe.down, pe.up))
            pe.edge(*operands)
        for name, values in columns("right down up", expected).items():
            assert_words(seen[name], values, stimuli)
        resets, controls = stimuli["reset"], stimuli["control"]
        assert seen["control_out"][1:] == [0 if r else c for r, c in zip(resets, controls, strict=True)][:-1]


class ComparatorModel:
    """A column's comparator as sections 2 and 3 describe it."""

    def __init__(self, config: Config) -> None:
        self.elem, self.acc = pair(config.elem), pair(config.acc)
        self.intercepts = [intercept for _, intercept in streamed(config)]
        self.clear()
        self.down = 0

    def clear(self) -> None:
        self.old = self.new = exact.infinity(1, self.acc)
        self.piece = 0

    def edge(self, command: int, hidden: int, score: int) -> None:
        def minus_new(x: int) -> int:
            return exact.fma(x, exact.one(self.acc), exact.negate(self.new, self.acc), self.acc, self.acc, self.acc)

        if command == Comparator.UPDATE:
            score = exact.infinity(1, self.acc) if hidden else score
            self.down = exact.convert(score, self.acc, self.elem)
            self.new = exact.maximum(score, self.new, self.acc)
        elif command == Comparator.PROP_MAX:
            # +0 - max, which is -max but for the sign of a zero, that no product with the scale keeps
            self.down = minus_new(0)
        elif command == Comparator.PROP_MAX_DIFF:
            self.down = minus_new(self.old)
            self.old = self.new
        elif command == Comparator.PROP_ZERO:
            self.down = 0
        elif command == Comparator.PROP_EXP2_INTERCEPTS:
            self.down = self.intercepts[self.piece]
            self.piece = (self.piece + 1) % len(self.intercepts)
        elif command == Comparator.RESET:
            self.old = self.new = exact.infinity(1, self.acc)


def test_comparator(tmp_path) -> None:
    rng = np.random.default_rng(6)
    jobs: list[Job] = []
    for config in CONFIGS:
        count = 10_000
        # RESET and rare, so that the maximum has time to rise
        commands = rng.choice(7, count, p=[0.1, 0.62, 0.06, 0.06, 0.05, 0.1, 0.01])
        scores = np.array(mixed(rng, config.acc, count))
        # runs of scores that are near each other, and no NaN in most: one would stay the maximum
        near = (config.acc.one << 1) // 2 + rng.integers(-3, 4, count) + rng.choice([0, config.acc.sign_mask], count)
        scores = np.where(rng.random(count) < 0.4, near, scores)
        unordered = (scores & (config.acc.sign_mask - 1)) > config.acc.infinity
        scores = np.where(unordered & (rng.random(count) < 0.9), config.acc.sign_mask, scores)
        hidden = rng.integers(0, 1 << hidden_width(config), count) * (rng.random(count) < 0.3)
        resets = rng.random(count) < 0.01
        jobs.append((partial(blocks.comparator, config), {
            "reset": resets.astype(int).tolist(), "command": commands.tolist(), "hidden": hidden.tolist(),
            "score": scores.tolist(),
        }))
    for config, (_, stimuli), seen in zip(CONFIGS, jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        model, expected = ComparatorModel(config), []
        passed_on = (0, 0)
        for reset, command, hidden, score in zip(*stimuli.values(), strict=True):
            expected.append((*passed_on, model.down))
            if reset:
                model.clear()
                passed_on = (0, 0)
            else:
                model.edge(command, hidden, score)
                passed_on = (command, max(0, hidden - 1))
        for name, values in columns("command_out hidden_out down", expected).items():
            assert_words(seen[name], values, stimuli)


def test_pe_row(tmp_path) -> None:
    rng = np.random.default_rng(7)
    config, count = FP16_NEWTON, 1500
    elem, acc, cols = config.elem, config.acc, config.cols
    # one of the three ways at a time: what several send together has a meaning only when the plans do not collide
    ways, controls = rng.integers(0, 3, count), np.array(pe_controls(rng, count))
    sent = {name: (controls * (ways == way)).tolist() for way, name in enumerate(("parallel", "down_in", "up_in"))}
    lanes = {f"{port}_lane{c}": mixed(rng, acc, count) for port in ("above", "below") for c in range(cols)}
    stimuli = {"reset": [1] + [0] * (count - 1), **sent, "left": mixed(rng, elem, count), **lanes}
    (seen,) = check_all([(partial(blocks.pe_row, config), stimuli)], SIMULATORS, tmp_path)

    pes = [Pe(config) for _ in range(cols)]
    controls[0] = 0 if ways[0] == 0 else controls[0]
    for cycle in range(count):
        for c, pe in enumerate(pes):
            assert (seen[f"down_lane{c}"][cycle], seen[f"up_lane{c}"][cycle]) == (pe.down, pe.up), (cycle, c)
        lefts = [stimuli["left"][cycle], *(pe.right for pe in pes)]
        for c, pe in enumerate(pes):
            # control moves one column right each cycle; what enters under reset goes no further than column 0
            entered = cycle - c
            control = int(controls[entered]) if entered > 0 or (entered == 0 and c == 0) else 0
            pe.edge(control, lefts[c], stimuli[f"above_lane{c}"][cycle], stimuli[f"below_lane{c}"][cycle])
    for way in ("down", "up"):
        assert seen[f"{way}_out"] == [0, 0, *stimuli[f"{way}_in"][1:-1]]


@pytest.fixture(scope="module")
def recordings():
    """Two query tiles over two key tiles, causal and not: what went through the core and its array."""
    made: dict[Any, Any] = {}

    def get(config: Config, causal: bool):
        key = config, causal
        if key not in made:
            work = generate(config, 2 * config.cols, 2 * config.rows, seed=8, distribution="fa3")
            made[key] = work, *blocks.record_attention(config, work.q, work.k, work.v, causal)
        return made[key]

    return get


def run_array(config: Config, ports: blocks.Recording) -> list[int]:
    """``bottom`` in every cycle, from the PEs and comparators alone and the skew of their control."""
    rows, cols, w = config.rows, config.cols, len(PE_BIT)
    pes = [[Pe(config) for _ in range(cols)] for _ in range(rows)]
    comparators = [ComparatorModel(config) for _ in range(cols)]
    words = [unpacked(word, 3, w) for word in ports["pe_control"]]
    bottom = []

    def sent(way: int, cycle: int) -> int:
        return words[cycle][way] if cycle >= 0 else 0

    for cycle, left_word in enumerate(ports["left"]):
        bottom.append(packed([pe.down for pe in pes[-1]], config.acc.width))
        lefts = unpacked(left_word, rows, config.elem.width)
        edges = []
        for r in range(rows):
            for c in range(cols):
                at = cycle - c
                control = sent(0, at) | sent(1, at - r) | sent(2, at - (rows - 1 - r))
                edges.append((
                    pes[r][c], control, pes[r][c - 1].right if c else lefts[r],
                    pes[r - 1][c].down if r else comparators[c].down, pes[r + 1][c].up if r < rows - 1 else 0,
                ))
        for c, comparator in enumerate(comparators):
            if cycle >= c:
                comparator.edge(ports["command"][cycle - c], max(0, ports["hidden"][cycle - c] - c), pes[0][c].up)
        for pe, *operands in edges:
            pe.edge(*operands)
    return bottom


@pytest.mark.parametrize("config, causal", [(FP16_NEWTON, False), (FP16_NEWTON, True), (BF16_DIVISION, True)])
def test_systolic(config: Config, causal: bool, recordings, tmp_path) -> None:
    """The array alone, on what the core sends it during attention."""
    _, _, _, ports = recordings(config, causal)
    inputs = {name: values for name, values in ports.items() if name != "bottom"}
    (seen,) = check_all([(partial(blocks.systolic, config), inputs)], ["icarus"], tmp_path)
    assert seen["bottom"] == ports["bottom"] == run_array(config, ports)


def expected_output(config: Config, work: Any, causal: bool) -> list[list[int]]:
    """O^T, a row of O a column, from the scalar model of the specification."""
    rows = exact.attention(work.q.tolist(), work.k.tolist(), work.v.tolist(), pair(config.elem), pair(config.acc),
                           config.reciprocal, causal)
    tiles = [rows[i:i + config.cols] for i in range(0, len(rows), config.cols)]
    return [list(row) for tile in tiles for row in zip(*tile, strict=True)]


@pytest.mark.parametrize("config, causal", [(FP16_NEWTON, False), (FP16_NEWTON, True), (BF16_DIVISION, False)])
def test_core(config: Config, causal: bool, recordings, tmp_path) -> None:
    work, run, ports, _ = recordings(config, causal)
    made = blocks.core(config)
    inputs = {name: ports[name] for name in made.inputs}
    (seen,) = check_all([(partial(blocks.core, config), inputs)], ["icarus"], tmp_path)
    assert seen == {name: ports[name] for name in made.outputs}

    asked = np.array(ports["accumulator_read_valid"]) & np.array(seen["accumulator_read_ready"])
    read = [unpacked(seen["accumulator_read_data"][cycle + 1], config.cols, config.acc.width)
            for cycle in np.flatnonzero(asked)]
    assert read == expected_output(config, work, causal)
    n, visits = config.rows, 3 if causal else 4
    assert run.cycles == visits * (5 * n + 13) + 2 * (2 * n + 4 + latency(config.acc, config.reciprocal)) + 1


@pytest.mark.slow
@pytest.mark.parametrize("config", [FP16_NEWTON, BF16_DIVISION])
def test_core_and_systolic_in_verilator(config: Config, recordings, tmp_path) -> None:
    _, _, *first = recordings(config, False)
    _, _, *second = recordings(config, True)
    jobs: list[Job] = []
    for make, *recorded in zip((blocks.core, blocks.systolic), first, second, strict=True):
        # one after the other: each begins with a reset
        jobs.append((partial(make, config), {name: sum((ports[name] for ports in recorded), [])
                                             for name in make(config).inputs}))
    check_all(jobs, ["verilator"], tmp_path)


# around the array


class AccumulatorModel:
    """A column's accumulator as sections 1 and 3 describe it."""

    def __init__(self, config: Config) -> None:
        self.acc, self.method = pair(config.acc), config.reciprocal
        self.table = exact.exp2_constants(self.acc, self.acc, config.exp2_pieces)
        self.latency, self.held, self.a = latency(config.acc, config.reciprocal), 0, 0

    def result(self, command: int, from_array: int, ram_word: int) -> int | None:
        """What goes back to the RAM; None when nothing does."""
        if command not in (Accumulator.ACC, Accumulator.ACC_SA):
            return None
        return self.fma(self.a, ram_word, from_array if command == Accumulator.ACC_SA else 0)

    def edge(self, command: int, from_array: int, ram_word: int, scale: int) -> None:
        self.held = self.held + 1 if command == Accumulator.RECIPROCAL else 0
        if command == Accumulator.EXP_S1:
            self.a = self.fma(from_array, scale, 0)
        elif command == Accumulator.EXP_S2:
            self.a = exact.exp2(self.a, self.acc, self.acc, self.acc, self.table)
        elif command == Accumulator.SET_SCALE:
            self.a = ram_word
        elif self.held == self.latency:
            self.a, self.held = exact.reciprocal(self.a, self.acc, self.method), 0

    def fma(self, x: int, y: int, z: int) -> int:
        return exact.fma(x, y, z, self.acc, self.acc, self.acc)


def accumulator_commands(rng: np.random.Generator, config: Config, count: int) -> list[int]:
    """The sequences the plans use, in any order, with updates of the RAM and idle cycles between."""
    steps = latency(config.acc, config.reciprocal)
    updates = [[Accumulator.ACC], [Accumulator.ACC_SA], [0]]
    longer = [[Accumulator.EXP_S1, Accumulator.EXP_S2], [Accumulator.EXP_S1], [Accumulator.SET_SCALE],
              [Accumulator.SET_SCALE] + [Accumulator.RECIPROCAL] * steps]
    commands: list[int] = []
    while len(commands) < count:
        commands += longer[rng.integers(len(longer))]
        for _ in range(rng.integers(1, 5)):
            commands += updates[rng.integers(3)]
    return commands


def scales(rng: np.random.Generator, config: Config, fmt: FloatFormat, count: int) -> list[int]:
    """Any patterns, a new one in every cycle; half of them are what attention of some head dimension has."""
    usual = [exact.from_double(math.log2(math.e) / math.sqrt(d), pair(fmt)) for d in range(1, config.rows + 1)]
    return [usual[i % len(usual)] if i >= 0 else word
            for i, word in zip(rng.integers(-64, 64, count).tolist(), mixed(rng, fmt, count), strict=True)]


def test_accumulator_unit(tmp_path) -> None:
    rng = np.random.default_rng(9)
    jobs: list[Job] = []
    for config in (*CONFIGS, SMALL.replace(reciprocal="division")):
        commands = accumulator_commands(rng, config, 10_000)
        from_array, words = (mixed(rng, config.acc, len(commands)) for _ in range(2))
        # a maximum that rose: mostly negative differences reach exp2
        inflow = [word | config.acc.sign_mask if command == Accumulator.EXP_S1 and rng.random() < 0.8 else word
                  for command, word in zip(commands, from_array, strict=True)]
        jobs.append((partial(blocks.accumulator_unit, config), {
            "reset": [1] + [0] * (len(commands) - 1), "command": commands, "from_array": inflow, "ram_word": words,
            "scale": scales(rng, config, config.acc, len(commands)),
        }))
    configs = (*CONFIGS, SMALL.replace(reciprocal="division"))
    for config, (_, stimuli), seen in zip(configs, jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        model = AccumulatorModel(config)
        expected = []
        cycles = zip(*(stimuli[name] for name in ("command", "from_array", "ram_word", "scale")), strict=True)
        for cycle, (*operands, scale) in enumerate(cycles):
            result = model.result(*operands)
            expected.append(seen["result"][cycle] if result is None else result)
            model.edge(*operands, scale)
        assert_words(seen["result"], expected, stimuli)


def test_accumulator(tmp_path) -> None:
    """Each column does what a unit alone would."""
    rng = np.random.default_rng(10)
    config = FP16_NEWTON.replace(rows=2, cols=2)
    cols, width = config.cols, config.acc.width
    commands = accumulator_commands(rng, config, 1_000)
    inflows, words = ([mixed(rng, config.acc, len(commands)) for _ in range(cols)] for _ in range(2))
    factors = scales(rng, config, config.acc, len(commands))
    stimuli = {"reset": [1] + [0] * (len(commands) - 1), "command": commands, "scale": factors,
               **{name: [packed(lane, width) for lane in zip(*lanes, strict=True)]
                  for name, lanes in (("from_array", inflows), ("ram_row", words))}}
    (seen,) = check_all([(partial(blocks.accumulator, config), stimuli)], SIMULATORS, tmp_path)
    results = [unpacked(row, cols, width) for row in seen["result_row"]]
    for c in range(cols):
        model = AccumulatorModel(config)
        for cycle, (command, *operands) in enumerate(zip(commands, inflows[c], words[c], strict=True)):
            assert model.result(command, *operands) in (None, results[cycle][c]), (cycle, c)
            model.edge(command, *operands, factors[cycle])


def random_words(rng: np.random.Generator, width: int, count: int) -> list[int]:
    return [int.from_bytes(rng.bytes((width + 7) // 8), "little") >> -width % 8 for _ in range(count)]


def test_skews(tmp_path) -> None:
    """The input delayer with its flags changing in any cycle, and the output delayer."""
    rng = np.random.default_rng(11)
    count = 1_000
    jobs: list[Job] = []
    sizes = ((4, 16), (3, 7), (8, 16))
    for lanes, width in sizes:
        flags = {name: rng.integers(0, 2, count).tolist()
                 for name in ("use_constant", "reverse_in", "delay", "reverse_out")}
        row = random_words(rng, lanes * width, count)
        jobs.append((partial(blocks.input_skew, lanes, width),
                     {"row": row, "constant": random_words(rng, width, count), **flags}))
        jobs.append((partial(blocks.output_skew, lanes, width), {"row": row}))
    outputs = check_all(jobs, SIMULATORS, tmp_path)
    for index, (lanes, width) in enumerate(sizes):
        stimuli, entered = jobs[2 * index][1], []
        rows = [unpacked(word, lanes, width) for word in stimuli["row"]]
        for row, constant, fixed, backwards in zip(
            rows, *(stimuli[n] for n in ("constant", "use_constant", "reverse_in")), strict=True
        ):
            entered.append([constant] * lanes if fixed else row[::-1] if backwards else row)
        for cycle in range(count):
            waits = [i if stimuli["delay"][cycle] else 0 for i in range(lanes)]
            left = [entered[cycle - wait][i] if cycle >= wait else 0 for i, wait in enumerate(waits)]
            left = left[::-1] if stimuli["reverse_out"][cycle] else left
            assert outputs[2 * index]["out"][cycle] == packed(left, width), (lanes, cycle)
            waits = [lanes - 1 - i for i in range(lanes)]
            left = [rows[cycle - wait][i] if cycle >= wait else 0 for i, wait in enumerate(waits)]
            assert outputs[2 * index + 1]["out"][cycle] == packed(left, width), (lanes, cycle)


def test_ram(tmp_path) -> None:
    """Both memories of a 4x4 core: a read meets the write of its own row, before, in and after its cycle."""
    rng = np.random.default_rng(12)
    count = 2_000
    sizes = ((24, 64), (5, 128))
    jobs: list[Job] = []
    for rows, width in sizes:
        jobs.append((partial(blocks.ram, rows, width), {
            "read": rng.integers(0, 2, count).tolist(), "read_row": rng.integers(0, rows, count).tolist(),
            "write": rng.integers(0, 2, count).tolist(), "write_row": rng.integers(0, rows, count).tolist(),
            "write_data": random_words(rng, width, count),
        }))
    for (_, stimuli), seen in zip(jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        memory: dict[int, int] = {}
        shown, expected = 0, []
        for read, read_row, write, write_row, data in zip(*stimuli.values(), strict=True):
            expected.append(shown)
            if read:
                shown = memory.get(read_row, 0)
            if write:
                memory[write_row] = data
        assert seen["read_data"] == expected


def test_left_edge(tmp_path) -> None:
    rng = np.random.default_rng(13)
    count = 1_000
    read, fixed, choice = (1 << EDGE_BIT[name] for name in ("read", "use_constant", "constant"))
    jobs: list[Job] = []
    for config in CONFIGS:
        uses, which = rng.integers(0, 3, count), rng.choice([0, 1, 2, 2, 2], count)
        edges = read * (uses == 1) + (fixed + choice * which) * (uses == 2)
        # whatever else is under way at the time
        edges |= (rng.integers(0, 1 << EDGE_BIT["last"], count) >> EDGE_BIT["compare"]) << EDGE_BIT["compare"]
        jobs.append((partial(blocks.left_edge, config), {
            "reset": (rng.random(count) < 0.02).astype(int).tolist(), "edges": edges.tolist(),
            "skew": rng.integers(0, 8, count).tolist(), "scale": scales(rng, config, config.elem, count),
        }))
    for config, (_, stimuli), seen in zip(CONFIGS, jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        elem = pair(config.elem)
        slopes = [slope for slope, _ in streamed(config)]
        flags, position = 0, 0
        for cycle, (reset, edges, skew, scale) in enumerate(zip(*stimuli.values(), strict=True)):
            if edges & (read | fixed):
                flags = skew
            if reset:
                position = 0
            elif edges & fixed and cycle + 1 < count:
                which = edges // choice & 3
                constant = {Constant.ONE: exact.one(elem), Constant.SCALE: scale}.get(which, slopes[position])
                position = (position + (which == Constant.SLOPES)) % len(slopes)
                assert seen["constant"][cycle + 1] == constant, cycle
            if cycle + 1 < count:
                assert seen["use_constant"][cycle + 1] == int(bool(edges & fixed))
                names = ("reverse_in", "delay", "reverse_out")
                assert sum(seen[name][cycle + 1] << bit for bit, name in enumerate(names)) == flags, cycle


# control

FIELDS = ("function", "wait_idle", "semaphore", "release", "release_value", "scratchpad_row", "scratchpad_stride",
          "reverse_in", "reverse_out", "delay", "accumulator_row", "accumulator_stride", "zero", "causal", "hidden")
Instruction = dict[str, int]


def random_instruction(rng: np.random.Generator, config: Config, function: int) -> Instruction:
    instruction = {name: int(rng.integers(0, 2)) for name in FIELDS}
    instruction.update(function=function, semaphore=int(rng.integers(32)), release_value=int(rng.integers(8)),
                       hidden=int(rng.choice([0, rng.integers(config.rows), config.rows - 1])))
    for memory, rows in (("scratchpad", config.scratchpad_rows), ("accumulator", config.accumulator_rows)):
        size = 1 << address_width(rows)
        instruction[f"{memory}_row"] = int(rng.integers(size))
        instruction[f"{memory}_stride"] = int(rng.integers(-16, 16)) % size
    return instruction


def sent_by(plan: ExecutionPlan, instruction: Instruction, config: Config) -> list[dict[str, int]]:
    """Per cycle of the plan, the control ports whose value means something."""
    sizes = {memory: 1 << address_width(rows) for memory, rows in
             (("scratchpad", config.scratchpad_rows), ("accumulator", config.accumulator_rows))}
    reads = {"scratchpad": 0, "accumulator": 0}
    keys = 0
    cycles = []
    for word in plan.words:
        ports = {
            "control_pe": packed([word.parallel, word.down, word.up], len(PE_BIT)),
            "control_edges": sum(getattr(word, name) << bit for name, bit in EDGE_BIT.items()),
        }
        for memory, reading in (("scratchpad", word.read), ("accumulator", word.accumulator_read)):
            if reading:
                row = instruction[f"{memory}_row"] + reads[memory] * instruction[f"{memory}_stride"]
                ports[f"control_{memory}_row"] = row % sizes[memory]
                reads[memory] += 1
        if word.read:
            ports["control_skew"] = packed([instruction[n] for n in ("reverse_in", "delay", "reverse_out")], 1)
        if word.accumulator_read:
            ports["control_zero"] = instruction["zero"]
        if word.compare == Comparator.UPDATE:
            # each column further right counts one less, and while something is left the key is hidden
            hides = [keys >= config.rows - instruction["hidden"] or (instruction["causal"] and keys > c)
                     for c in range(config.cols)]
            ports["control_hidden"] = sum(hides)
            assert [c < sum(hides) for c in range(config.cols)] == hides
            keys += 1
        if word.release:
            ports |= {"release_valid": instruction["release"], "release_semaphore": instruction["semaphore"],
                      "release_value": instruction["release_value"]}
        cycles.append(ports)
    assert keys in (0, config.rows)
    return cycles


def test_sequencer(tmp_path) -> None:
    """Instructions one after the other, some cut off by a reset, some unknown."""
    rng = np.random.default_rng(14)
    config = FP16_NEWTON
    by_function = {plan.function: plan for plan in plans(config)}
    rows, expected = [], []
    idle = {"busy": 0, "control_pe": 0, "control_edges": 0}

    def drive(reset: int, accept: int, instruction: Instruction, shows: dict[str, int]) -> None:
        rows.append((reset, accept, *(instruction[name] for name in FIELDS)))
        expected.append(shows)

    def noise() -> Instruction:
        return random_instruction(rng, config, int(rng.integers(32)))

    drive(1, 0, noise(), {})
    for _ in range(60):
        instruction = random_instruction(rng, config, int(rng.integers(6)))
        plan = by_function.get(instruction["function"])
        drive(0, 1, instruction, idle)
        cycles = [{"busy": 1} | ports for ports in sent_by(plan, instruction, config)] if plan else [{"busy": 1}]
        cut = rng.integers(len(cycles)) if rng.random() < 0.2 else len(cycles)
        for cycle, ports in enumerate(cycles[:cut + 1]):
            drive(int(cycle == cut), 0, noise(), ports)
        for _ in range(rng.integers(0, 3)):
            drive(0, 0, noise(), idle)
    stimuli = columns("reset accept " + " ".join(f"instruction_{name}" for name in FIELDS), rows)
    (seen,) = check_all([(partial(blocks.sequencer, config), stimuli)], SIMULATORS, tmp_path)
    for cycle, ports in enumerate(expected):
        assert {name: seen[name][cycle] for name in ports} == ports, cycle


class ControllerModel:
    """When instructions may start, and what their plans send together."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.plans = {plan.function: plan for plan in plans(config)}
        self.running: list[tuple[int, ExecutionPlan, list[dict[str, int]]]] = []
        """(cycle of the plan's cycle 0, plan, what it sends), the last instruction last"""

    def busy(self, cycle: int) -> list[bool]:
        return [cycle < start + plan.busy_cycles for start, plan, _ in self.running]

    def ready(self, cycle: int, wait_idle: int) -> bool:
        """Free to take an instruction now: at most the one before is under way, and far enough."""
        busy = self.busy(cycle)
        if wait_idle or not any(busy):
            return not any(busy)
        start, plan, _ = self.running[-1]
        return not any(busy[:-1]) and cycle - start >= plan.next_may_start

    def accept(self, cycle: int, instruction: Instruction) -> None:
        plan = self.plans[instruction["function"]]
        self.running.append((cycle + 1, plan, sent_by(plan, instruction, self.config)))

    def shows(self, cycle: int) -> dict[str, int]:
        total = {"busy": int(any(self.busy(cycle))), "control_pe": 0, "control_edges": 0, "release_valid": 0}
        for start, _, sent in self.running:
            if start <= cycle < start + len(sent):
                for name, value in sent[cycle - start].items():
                    assert name in ("control_pe", "control_edges") or not total.get(name), f"both drive {name}"
                    total[name] = total.get(name, 0) | value
        if total["control_edges"] >> EDGE_BIT["use_constant"] & 1:
            total["control_skew"] = 2  # a constant is delayed like a row, and the same in either order
        return total


@pytest.mark.parametrize("config", [FP16_NEWTON, BF16_DIVISION.replace(rows=8, cols=8)], ids=("4x4", "8x8"))
def test_matrix_controller(config: Config, tmp_path) -> None:
    """Kernels with any gap between two instructions, offered early and waiting; resets in between."""
    rng = np.random.default_rng(15)
    model = ControllerModel(config)
    rows: list[tuple[int, ...]] = []
    expected: list[dict[str, int]] = []

    def drive(reset: int, valid: int, instruction: Instruction) -> bool:
        cycle = len(rows)
        ready = model.ready(cycle, instruction["wait_idle"])
        expected.append(model.shows(cycle) | {"instruction_ready": int(ready)})
        rows.append((reset, valid, *(instruction[name] for name in FIELDS)))
        if reset:
            model.running.clear()
        elif valid and ready:
            model.accept(cycle, instruction)
        return ready

    inner = [Function.LOAD_STATIONARY, Function.ATTN_SCORE, Function.ATTN_VALUE]
    ends = [Function.ACC_RECIPROCAL, Function.ATTN_LSE_NORM]
    drive(1, 0, random_instruction(rng, config, 0))
    for _ in range(12):
        # any instruction may wait for idle; the last two have to
        kernel = [(function, rng.random() < 0.1) for function in inner * int(rng.integers(1, 4))]
        for function, waits in [*kernel, *((function, True) for function in ends)]:
            instruction = random_instruction(rng, config, function) | {"wait_idle": int(waits)}
            for _ in range(rng.choice([0, 0, 0, 1, 2, 9])):
                drive(0, 0, random_instruction(rng, config, 0))
            while not drive(0, 1, instruction):
                pass
        if rng.random() < 0.3:
            drive(1, 0, random_instruction(rng, config, 0))
    stimuli = columns("reset instruction_valid " + " ".join(f"instruction_{name}" for name in FIELDS), rows)
    (seen,) = check_all([(partial(blocks.matrix_controller, config), stimuli)], SIMULATORS, tmp_path)
    for cycle, ports in enumerate(expected):
        assert {name: seen[name][cycle] for name in ports} == ports, cycle

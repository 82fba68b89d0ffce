"""The stream leaf blocks on the same vectors in MyHDL, Icarus and Verilator; the PE against its rules too."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any

import exact
import numpy as np
import pytest
from blocks import bundled, dut
from test_blocks import BF16_DIVISION, CONFIGS, FP16_NEWTON, SIMULATORS, assert_words, columns, mixed, pair, scales

from myhdl_fsa.config import Config
from myhdl_fsa.convert.regression import check_all
from myhdl_fsa.dataflows.stream import accumulator, edge, pe
from myhdl_fsa.dataflows.stream.control import (
    LATCH_P,
    LATCH_Q,
    Accumulate,
    Compare,
    Lane,
    Left,
    Operation,
    lane_width,
    pe_control_width,
)
from myhdl_fsa.dataflows.stream.controller.score_player import ScoreState, score_player
from myhdl_fsa.dataflows.stream.controller.slot_stages import Slot
from myhdl_fsa.dataflows.stream.controller.value_player import ValueWave
from myhdl_fsa.dataflows.stream.controller.words import Ended, Word, array_word
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.instruction import hidden_width
from myhdl_fsa.signals import address_width, unsigned

COUNT = 3_000


STAGES = [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
"""of the multiply-adder: before the addend, and from there"""


def staged(config: Config, stages: tuple[int, int]) -> Config:
    return config.replace(rows=5, cols=5, dataflow="stream", reciprocal="division", mac_stages=stages[0],
                          adder_stages=stages[1], scratchpad_rows=30)


def pe_dut(config: Config) -> Any:
    elem, acc, control = config.elem.width, config.acc.width, pe_control_width(config)
    return dut(f"stream_pe_{config.elem}_{config.mac_stages}_{config.adder_stages}", pe.pe,
               {"reset": 1, "control": control, "left": elem, "above": acc, "below": elem},
               {"control_out": control, "right": elem, "down": acc, "up": elem}, config=config)


def expected_down(config: Config, stimuli: dict[str, list[int]]) -> list[int]:
    """``down`` of a PE by its rules: operands, addend and result in the cycles of their operation."""
    elem, acc = pair(config.elem), pair(config.acc)
    table = exact.exp2_constants(elem, acc, config.exp2_pieces)
    query = weight = down = 0
    # waves whose addend, and whose result is still to come: operation, and what it took
    multiplying: deque[tuple[int, ...]] = deque([(0, 0, 0)] * config.mac_stages)
    adding: deque[tuple[int, ...]] = deque([(0, 0, 0, 0)] * (config.adder_stages - 1))
    seen = []
    for control, left, above, below in zip(*(stimuli[n] for n in ("control", "left", "above", "below")), strict=True):
        seen.append(down)
        operation = control & 7
        multiplying.append((operation, query if operation == Operation.QK else weight, left))
        adding.append((*multiplying.popleft(), above))
        operation, x, y, addend = adding.popleft()
        if operation in (Operation.QK, Operation.PV):
            down = exact.fma(x, y, addend, elem, acc, acc)
        elif operation == Operation.PASS:
            down = exact.fma(0, config.elem.sign_mask, addend, elem, acc, acc)
        elif operation == Operation.SUB:
            weight = exact.fma(x, y, addend, elem, acc, elem)
            down = above if config.adder_stages == 1 else down
        elif operation == Operation.SCALE:
            weight = exact.fma(x, y, 0, elem, acc, elem)
        elif operation == Operation.EXP:
            weight = exact.exp2(x, elem, acc, elem, table)
        weight = below if control & LATCH_P else weight
        query = below if control & LATCH_Q else query
    return seen


@pytest.mark.parametrize("stages", [[(0, 1)], STAGES[1:]], ids=["undivided", "pipelined"])
def test_pe(stages, tmp_path):
    rng = np.random.default_rng(1)
    jobs, machines = [], []
    writes_down = [Operation.QK, Operation.PV]
    for config in [staged(config, pair_) for config in CONFIGS[:2] for pair_ in stages]:
        adds, results = config.mac_stages, config.mac_stages + config.adder_stages - 1
        operations = [0, *writes_down, Operation.SUB, Operation.SCALE, Operation.EXP]
        operations += [Operation.PASS] if config.adder_stages > 1 else []
        count = COUNT if len(stages) == 1 else COUNT // 3
        operation = rng.choice(operations, count)
        operation[:3] = operation[-8:] = 0
        control = operation | rng.choice([0, LATCH_Q], count)
        if adds:
            control |= np.roll(operation, adds) << 5
        if config.adder_stages > 1:
            control |= np.roll(operation, results) << (8 if adds else 5)
        # no latch of P beside a result that is written to it: the timetable has none
        free = np.isin(np.roll(operation, results), [0, *writes_down, Operation.PASS])
        control |= np.where(free & (rng.random(count) < 0.5), LATCH_P, 0)
        machines.append(config)
        jobs.append((partial(pe_dut, config), {
            "reset": [1] + [0] * (count - 1), "control": control.tolist(),
            "left": mixed(rng, config.elem, count), "above": mixed(rng, config.acc, count),
            "below": mixed(rng, config.elem, count),
        }))
    for config, (_, stimuli), seen in zip(machines, jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        assert seen["up"][1:] == stimuli["below"][:-1]
        assert_words(seen["down"], expected_down(config, stimuli), stimuli)


def edge_dut(config: Config, slots: int) -> Any:
    acc, elem, hidden, lane = config.acc.width, config.elem.width, hidden_width(config), lane_width(config, slots)
    return dut(f"stream_comparator_{config.elem}_{slots}_{config.adder_stages}", edge.comparator,
               {"reset": 1, "command": Compare.WIDTH, "hidden": hidden, "lane": lane, "score": acc, "query": elem},
               {"command_out": Compare.WIDTH, "hidden_out": hidden, "lane_out": lane, "lift": elem, "bottom": acc},
               config=config, slots=slots)


@pytest.mark.parametrize(("slots", "adder_stages"), [(1, 1), (2, 1), (2, 2)])
def test_comparator(slots, adder_stages, tmp_path):
    rng = np.random.default_rng(2)
    jobs = []
    for config in [staged(config, (0, adder_stages)) for config in CONFIGS]:
        words = rng.integers(0, config.rows * slots, COUNT)
        kinds = rng.integers(0, 5, COUNT)
        command = rng.choice(6, COUNT, p=[.1, .6, .05, .1, .05, .1])
        score = mixed(rng, config.acc, COUNT)
        # the difference leaves two cycles after it was taken, undisturbed
        for at in range(10, COUNT - 10, 10):
            command[at:at + 3] = rng.choice([Compare.DIFF, Compare.DIFF_FIRST]), Compare.UPDATE, Compare.SEND
        jobs.append((partial(edge_dut, config, slots), {
            "reset": [1] + [0] * (COUNT - 1), "command": command.tolist(),
            "hidden": (rng.integers(0, 4, COUNT) * (rng.random(COUNT) < 0.2)).tolist(),
            "lane": (kinds | np.where(kinds == Lane.SCORE, words << Lane.WIDTH, 0)).tolist(), "score": score,
            "query": mixed(rng, config.elem, COUNT),
        }))
    for config, (_, stimuli), seen in zip(CONFIGS, jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        assert seen["lane_out"][2:] == stimuli["lane"][1:-1]
        acc = pair(config.acc)
        in_use = config.acc.minus_infinity
        for at, (command, score) in enumerate(zip(stimuli["command"], stimuli["score"], strict=True)):
            if at and command in (Compare.DIFF, Compare.DIFF_FIRST):
                old = config.acc.minus_infinity if command == Compare.DIFF_FIRST else in_use
                in_use = score ^ config.acc.sign_mask
                if at % 10 == 0 and at < COUNT - 10:
                    assert seen["bottom"][at + 2] == exact.fma(old, config.acc.one, score, acc, acc, acc), at


def unit_dut(config: Config) -> Any:
    acc = config.acc.width
    return dut(f"stream_accumulator_{config.elem}_{config.reciprocal}_{config.mac_stages}_{config.adder_stages}",
               accumulator.accumulator_unit,
               {"reset": 1, "command": Accumulate.WIDTH, "divide": 1, "from_array": acc, "ram_word": acc, "scale": acc},
               {"result": acc}, config=config)


def test_accumulator_unit(tmp_path):
    rng = np.random.default_rng(3)
    jobs = []
    for config in (FP16_NEWTON, BF16_DIVISION):
        rows = []
        for _ in range(40):
            # some commands, then a reciprocal with the unit for itself, then rows that are normalised
            commands = [*rng.integers(0, 5, 12).tolist(), Accumulate.ACC_SUM]
            rows += [(command, 0) for command in commands] + [(0, 1)] + [(0, 0)] * 20 + [(Accumulate.NORM, 0)] * 3
        commands, divides = (list(column) for column in zip(*rows, strict=True))
        jobs.append((partial(unit_dut, config), {
            "reset": [1] + [0] * (len(rows) - 1), "command": commands, "divide": divides,
            "from_array": mixed(rng, config.acc, len(rows)), "ram_word": mixed(rng, config.acc, len(rows)),
            "scale": scales(rng, config, config.acc, len(rows)),
        }))
    for config, (_, stimuli), seen in zip((FP16_NEWTON, BF16_DIVISION), jobs, check_all(jobs, SIMULATORS, tmp_path),
                                          strict=True):
        assert_words(seen["result"], expected_results(config, stimuli, seen["result"]), stimuli)


def expected_results(config: Config, stimuli: dict[str, list[int]], seen: list[int]) -> list[int]:
    """What the commands give; where the reciprocal unit is at work, or its result used, what was seen."""
    acc = pair(config.acc)
    table = exact.exp2_constants(acc, acc, config.exp2_pieces)
    factor, found = 0, []
    names = ("command", "from_array", "ram_word", "scale")
    for at, (command, inflow, word, scale) in enumerate(zip(*(stimuli[name] for name in names), strict=True)):
        if command in (Accumulate.ACC_SUM, Accumulate.ACC_SA):
            found.append(exact.fma(factor, word, inflow, acc, acc, acc))
        elif command == Accumulate.EXP_S1:
            factor = exact.fma(inflow, scale, 0, acc, acc, acc)
            found.append(factor)
        elif command == Accumulate.EXP_S2:
            factor = exact.exp2(factor, acc, acc, acc, table)
            found.append(factor)
        else:
            found.append(seen[at])
    return found


def test_accumulator_unit_with_a_pipelined_multiply_adder(tmp_path):
    rng = np.random.default_rng(4)
    gap, rows = [0] * 3, [(0, 0)]
    for _ in range(20):
        # what needs a result follows it by a latency at least; the sums follow each other
        sums = [Accumulate.ACC_SUM, *[Accumulate.ACC_SA] * 5]
        commands = [Accumulate.EXP_S1, *gap, Accumulate.EXP_S2, *gap, *sums, *gap]
        rows += [(command, 0) for command in commands] + [(0, 1)] + [(0, 0)] * 20
        rows += [(Accumulate.NORM, 0)] * 5 + [(0, 0)] * 3
    commands, divides = (list(column) for column in zip(*rows, strict=True))
    stimuli = {"reset": [1] + [0] * (len(rows) - 1), "command": commands, "divide": divides,
               "from_array": mixed(rng, FP16_NEWTON.acc, len(rows)), "ram_word": mixed(rng, FP16_NEWTON.acc, len(rows)),
               "scale": scales(rng, FP16_NEWTON, FP16_NEWTON.acc, len(rows))}
    jobs = [(partial(unit_dut, staged(FP16_NEWTON, stages)), stimuli) for stages in STAGES]
    undivided, *pipelined = check_all(jobs, SIMULATORS, tmp_path)
    expected = [word for word, command in zip(undivided["result"], commands, strict=True) if command]
    for stages, seen in zip(STAGES[1:], pipelined, strict=True):
        later = sum(stages) - 1
        assert [word for word, command in zip(seen["result"][later:], commands, strict=False) if command] == expected


def player_dut(config: Config) -> Any:
    times, row = Times.of(config), address_width(config.scratchpad_rows)
    bits = {name: unsigned(1) for name in ("clock", "reset", "start", "row_read")}
    return bundled(f"score_player_{config.rows}", score_player, **bits, row=unsigned(row),
                   head=Word(array_word(config)), wave=ValueWave(config), slot=Slot(config, times), state=ScoreState(),
                   ended=Ended(), config=config, times=times)


Cycles = list[dict[str, int]]


def played(config: Config, rng: np.random.Generator, count: int) -> tuple[Cycles, Cycles]:
    """Waves and starts at random, and what the player shows behind them where it means something."""
    n, size = config.rows, 1 << address_width(config.scratchpad_rows)
    score: dict[str, int] = {}
    left, inputs, shown = 0, [], [{}]
    while len(inputs) < count:
        wave = {name: int(rng.integers(high)) for name, high in
                (("operation", 7), ("left", 4), ("compare", 6), ("row", size))}
        if rng.random() < 0.7:
            # an ATTN_VALUE that leaves the slot
            wave = dict.fromkeys(wave, 0)
        hidden = int(rng.choice([0, rng.integers(n), n - 1]))
        head = {"row": int(rng.integers(size)), "stride": int(rng.choice([1, size - 1, rng.integers(size)])),
                "zero": int(rng.integers(2)), "causal": int(rng.integers(2)), "hidden": hidden,
                "releases": int(rng.integers(1 << 9))}
        reset = int(not inputs or rng.random() < 0.005)
        start = int(not left and not reset and rng.random() < 0.3)
        inputs.append({"reset": reset, "start": start, **{f"head_{name}": value for name, value in head.items()},
                       **{f"wave_{name}": value for name, value in wave.items()}})
        if start:
            score, left = head, n
        if reset:
            left = 0
            shown.append({"slot_operation": 0, "slot_compare": 0, "row_read": 0, "ended_due": 0, "state_idle": 1})
        elif left and not wave["operation"]:
            # rows of K enter from the last to the first
            key, left = left - 1, left - 1
            first = score["zero"] and key == n - 1
            hides = [key >= n - score["hidden"] or (score["causal"] and key > column) for column in range(config.cols)]
            assert hides == [column < sum(hides) for column in range(config.cols)]
            shown.append({
                "slot_operation": Operation.QK, "slot_left": Left.ROW, "row_read": 1,
                "row": (score["row"] + (n - 1 - key) * score["stride"]) % size,
                "slot_compare": Compare.UPDATE_FIRST if first else Compare.UPDATE,
                # each column further right counts one less, and while something is left the key is hidden
                "slot_hidden": sum(hides), "ended_due": int(key == 0), "state_idle": int(key == 0),
                **({"ended_releases": score["releases"]} if key == 0 else {}),
            })
        else:
            reads = int(wave["left"] == Left.ROW)
            shown.append({"slot_operation": wave["operation"], "slot_left": wave["left"], "slot_hidden": 0,
                          "slot_compare": wave["compare"], "row_read": reads, **({"row": wave["row"]} if reads else {}),
                          "ended_due": 0, "state_idle": int(not left)})
    return inputs, shown[:-1]


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_score_player(simulator, tmp_path):
    """Whatever is hidden, past the end of the keys and after the query, at the same time."""
    rng = np.random.default_rng(5)
    configs = [staged(FP16_NEWTON, (0, 1)).replace(rows=4, cols=4), staged(FP16_NEWTON, (1, 2))]
    cases = [played(config, rng, 1_500) for config in configs]
    jobs = [(partial(player_dut, config), columns(" ".join(inputs[0]), [tuple(cycle.values()) for cycle in inputs]))
            for config, (inputs, _) in zip(configs, cases, strict=True)]
    for (_, shown), seen in zip(cases, check_all(jobs, [simulator], tmp_path), strict=True):
        for cycle, ports in enumerate(shown):
            assert {name: seen[name][cycle] for name in ports} == ports, cycle

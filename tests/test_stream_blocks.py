"""The stream leaf blocks on the same vectors in MyHDL, Icarus and Verilator; the PE against its rules too."""

from __future__ import annotations

from functools import partial
from typing import Any

import exact
import numpy as np
import pytest
from blocks import dut
from test_blocks import BF16_DIVISION, CONFIGS, FP16_NEWTON, SIMULATORS, assert_words, mixed, pair

from myhdl_fsa.arithmetic.scalar import local_width
from myhdl_fsa.config import Config
from myhdl_fsa.convert.regression import check_all
from myhdl_fsa.dataflows.stream import accumulator, edge, pe
from myhdl_fsa.dataflows.stream.control import LATCH_P, LATCH_Q, Accumulate, Compare, Lane, Operation, pe_control_width
from myhdl_fsa.instruction import hidden_width

COUNT = 3_000


def pe_dut(config: Config, mac_stages: int) -> Any:
    elem, acc, control = config.elem.width, config.acc.width, pe_control_width(mac_stages)
    return dut(f"stream_pe_{config.elem}_{mac_stages}", pe.pe,
               {"reset": 1, "control": control, "left": elem, "above": acc, "below": elem},
               {"control_out": control, "right": elem, "down": acc, "up": elem},
               locals_=local_width(config.elem, config.acc), config=config, mac_stages=mac_stages)


def expected_down(config: Config, stimuli: dict[str, list[int]]) -> list[int]:
    """``down`` of a PE without multiplier stages, by its rules."""
    elem, acc = pair(config.elem), pair(config.acc)
    table = exact.exp2_constants(elem, acc, config.exp2_pieces)
    query = weight = down = 0
    seen = []
    for control, left, above, below in zip(*(stimuli[n] for n in ("control", "left", "above", "below")), strict=True):
        seen.append(down)
        operation, old = control & 7, weight
        if operation in (Operation.QK, Operation.PV):
            down = exact.fma(query if operation == Operation.QK else old, left, above, elem, acc, acc)
        elif operation == Operation.SUB:
            weight, down = exact.fma(old, left, above, elem, acc, elem), above
        elif operation == Operation.SCALE:
            weight = exact.fma(old, left, 0, elem, acc, elem)
        elif operation == Operation.EXP:
            weight = exact.exp2(old, elem, acc, elem, table)
        weight = below if control & LATCH_P else weight
        query = below if control & LATCH_Q else query
    return seen


@pytest.mark.parametrize("mac_stages", [0, 2])
def test_pe(mac_stages, tmp_path):
    rng = np.random.default_rng(1)
    jobs = []
    operations = [0, Operation.QK, Operation.SUB, Operation.SCALE, Operation.EXP, Operation.PV]
    for config in CONFIGS:
        # no latch of P beside an operation that writes it: the timetable has none
        control = rng.choice(operations, COUNT) | rng.choice([0, LATCH_Q], COUNT)
        loads = rng.random(COUNT) < 0.4
        control[loads] = rng.choice([LATCH_P, LATCH_P | LATCH_Q, LATCH_P | Operation.PV], int(loads.sum()))
        if mac_stages:
            control |= np.where(loads, 0, rng.choice(operations, COUNT)) << 5
        jobs.append((partial(pe_dut, config, mac_stages), {
            "reset": [1] + [0] * (COUNT - 1), "control": control.tolist(), "left": mixed(rng, config.elem, COUNT),
            "above": mixed(rng, config.acc, COUNT), "below": mixed(rng, config.elem, COUNT),
        }))
    for config, (_, stimuli), seen in zip(CONFIGS, jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        assert seen["up"][1:] == stimuli["below"][:-1]
        if not mac_stages:
            assert_words(seen["down"], expected_down(config, stimuli), stimuli)


def edge_dut(config: Config, slots: int) -> Any:
    acc, elem, hidden = config.acc.width, config.elem.width, hidden_width(config)
    return dut(f"stream_comparator_{config.elem}_{slots}", edge.comparator,
               {"reset": 1, "command": Compare.WIDTH, "hidden": hidden, "lane": Lane.WIDTH, "score": acc,
                "query": elem},
               {"command_out": Compare.WIDTH, "hidden_out": hidden, "lane_out": Lane.WIDTH, "lift": elem,
                "bottom": acc},
               locals_=local_width(config.acc, config.acc), config=config, slots=slots)


@pytest.mark.parametrize("slots", [1, 2])
def test_comparator(slots, tmp_path):
    rng = np.random.default_rng(2)
    jobs = []
    for config in CONFIGS:
        jobs.append((partial(edge_dut, config, slots), {
            "reset": [1] + [0] * (COUNT - 1), "command": rng.choice(6, COUNT, p=[.1, .6, .05, .1, .05, .1]).tolist(),
            "hidden": (rng.integers(0, 4, COUNT) * (rng.random(COUNT) < 0.2)).tolist(),
            "lane": rng.integers(0, 5, COUNT).tolist(), "score": mixed(rng, config.acc, COUNT),
            "query": mixed(rng, config.elem, COUNT),
        }))
    for (_, stimuli), seen in zip(jobs, check_all(jobs, SIMULATORS, tmp_path), strict=True):
        assert seen["lane_out"][2:] == stimuli["lane"][1:-1]


def unit_dut(config: Config) -> Any:
    acc = config.acc.width
    return dut(f"stream_accumulator_{config.elem}_{config.reciprocal}", accumulator.accumulator_unit,
               {"reset": 1, "command": Accumulate.WIDTH, "divide": 1, "from_array": acc, "ram_word": acc},
               {"result": acc}, locals_=local_width(config.acc, config.acc), config=config)


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
        }))
    check_all(jobs, SIMULATORS, tmp_path)

"""Any words end in done or error within a bound, in all engines alike, and leave a device that works."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from programs import Attention, bad_words

from myhdl_fsa.config import Config
from myhdl_fsa.engine import engine
from myhdl_fsa.isa import Function, Matrix, encode_all
from myhdl_fsa.program import ErrorCode, Execution, Program, State, Timing

SMALL = Config(rows=2, cols=2, memory_ports=2, matrix_queue=4, load_inflight=4, store_inflight=2, port_inflight=4,
               memory_size=1 << 16, memory_align=4)
STREAM = SMALL.replace(dataflow="stream", reciprocal="division")
BOTH = pytest.mark.parametrize("config", [SMALL, STREAM], ids=lambda config: config.dataflow)
WATCHDOG = 200
"""cycles: the longest that a program may stand still"""
LONGEST = 20_000
"""cycles a program may take: 511 rows in each of a few dozen instructions"""
EVERY = 4
"""bad programs from one good one to the next"""


def sequence(config: Config, count: int, seed: int) -> tuple[list[Program], list[Attention | None]]:
    """``count`` bad programs, with good ones in between; and for each program its answer, if it has one."""
    rng = random.Random(seed)
    programs: list[Program] = []
    answers: list[Attention | None] = []
    for number in range(count):
        good = Attention.drawn(config, rng, 2)
        words = bad_words(config, good.program, rng)
        programs.append(replace(good.program, words=tuple(words), watchdog=WATCHDOG))
        answers.append(None)
        if number % EVERY == EVERY - 1:
            programs.append(good.program)
            answers.append(good)
    return programs, answers


def run(config: Config, name: str, programs: list[Program], timing: Timing, build_dir: object) -> list[Execution]:
    machine = engine(name, build_dir if name in ("icarus", "verilator") else None)
    return machine.execute_all(programs, config, timing=timing, max_cycles=LONGEST * len(programs))


def check(executions: list[Execution], answers: list[Attention | None]) -> None:
    assert len(executions) == len(answers)
    for execution, answer in zip(executions, answers, strict=True):
        assert execution.state in (State.DONE, State.ERROR)
        assert (execution.error != 0) == (execution.state is State.ERROR)
        if answer is not None:
            answer.check(execution)


@BOTH
def test_all_keys_of_a_tile_hidden(config, build_dir):
    """The instruction is refused, in every engine; in any other the field means nothing."""
    good = Attention(config, 5, 2, 2)

    def hiding(function: Function, count: int) -> Program:
        changed = (replace(each, hidden=count) if isinstance(each, Matrix) and each.function == function else each
                   for each in good.kernel.instructions)
        return replace(good.program, words=tuple(encode_all(changed)), watchdog=WATCHDOG)

    n = config.rows
    at = next(index for index, each in enumerate(good.kernel.instructions)
              if isinstance(each, Matrix) and each.function == Function.ATTN_SCORE)
    refused = [hiding(Function.ATTN_SCORE, count) for count in (n, n + 1, 255)]
    programs = [*refused, *(hiding(function, 255) for function in Function if function != Function.ATTN_SCORE)]
    for name in ("golden", "myhdl", "verilator", "icarus"):
        executions = run(config, name, programs, Timing(), build_dir)
        for execution in executions[:len(refused)]:
            assert (execution.state, execution.error) == (State.ERROR, ErrorCode.HIDDEN_KEYS), name
            assert execution.error_instruction == at, name
        for execution in executions[len(refused):]:
            good.check(execution)


@BOTH
def test_each_program_has_its_own_scale(config, build_dir):
    """One without finds what a reset leaves, whatever the one before had, and however that ended."""
    scales = (None, 0.3, None, 0.3, 2.0, None)
    problems = [Attention(config, seed, 1, 2, scale=scale) for seed, scale in enumerate(scales)]
    programs = [problem.program for problem in problems]
    assert [program.scale is None for program in programs] == [scale is None for scale in scales]
    # without its end: a timeout stops the device in the middle, with a scale of its own
    programs.insert(2, replace(programs[1], words=programs[1].words[:-10], watchdog=WATCHDOG))
    for name in ("golden", "myhdl", "verilator"):
        executions = run(config, name, programs, Timing(), build_dir)
        assert executions.pop(2).error is ErrorCode.TIMEOUT
        for problem, execution in zip(problems, executions, strict=True):
            problem.check(execution)


@BOTH
@pytest.mark.parametrize("seed", [0, 1])
def test_bad_programs_end_alike_in_myhdl_and_verilator(config, seed, build_dir):
    programs, answers = sequence(config, 100, seed)
    timing = Timing(read_latency=5, write_latency=9, stall_seed=None if seed == 0 else seed)
    ours = run(config, "myhdl", programs, timing, build_dir)
    check(ours, answers)
    assert {e.state for e, a in zip(ours, answers, strict=True) if a is None} == {State.DONE, State.ERROR}
    assert len({e.error for e in ours}) >= 6
    assert run(config, "verilator", programs, timing, build_dir) == ours


@BOTH
def test_bad_programs_end_alike_in_icarus(config, build_dir):
    programs, answers = sequence(config, 12, 7)
    timing = Timing(stall_seed=5)
    ours = run(config, "myhdl", programs, timing, build_dir)
    check(ours, answers)
    assert run(config, "icarus", programs, timing, build_dir) == ours


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_bad_programs_end(config, seed, build_dir):
    programs, answers = sequence(config, 1000, seed)
    check(run(config, "verilator", programs, Timing(stall_seed=seed), build_dir), answers)


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("seed", [200, 201])
def test_many_bad_programs_end_alike(config, seed, build_dir):
    programs, answers = sequence(config, 1000, seed)
    timing = Timing(7, 3, stall_seed=seed)
    ours = run(config, "myhdl", programs, timing, build_dir)
    check(ours, answers)
    assert run(config, "verilator", programs, timing, build_dir) == ours

"""The compiler against Python: random programs in the subset, the same bits in Python, in Icarus and in Verilator."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path

import generated
import pytest
from generated import Program, generate, lint, load, simulate, stimuli
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

COUNT, VECTORS = 80, 50
NUMBERS = count(1)
"""of files: what is known of one by its name stays known"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("compiled")


@cache
def compiled(folder: Path, seed: int, amount: int) -> tuple[list[Program], list[int], list[list[int]]]:
    """Programs, vectors, and what the programs drive in Python, where every local was held against its interval."""
    path = folder / f"programs_{seed}.py"
    path.write_text(generate(amount, seed))
    source = load(path)
    programs = [Program.compiled(source, f"p{number}") for number in range(amount)]
    vectors = stimuli(VECTORS, seed)
    return programs, vectors, [program.run(vectors) for program in programs]


def differences(programs: list[Program], vectors: list[int], expected: list[list[int]], found: list[list[int]]
                ) -> Iterator[str]:
    kinds = list(generated.OUTPUTS.values())
    for program, here, there in zip(programs, expected, found, strict=True):
        for vector, one, other in zip(vectors, here, there, strict=True):
            if one != other:
                yield (f"{program.name} of {generated.fields(vector, generated.input_kinds())}: "
                       f"{generated.fields(one, kinds)} in Python, {other} = {generated.fields(other, kinds)}")
                break


def test_programs_are_the_same_in_python_and_icarus(folder) -> None:
    programs, vectors, expected = compiled(folder, 1, COUNT)
    found = simulate(programs, vectors, folder / "icarus", "icarus")
    assert list(differences(programs, vectors, expected, found)) == []


def test_programs_are_the_same_in_python_and_verilator(folder) -> None:
    programs, vectors, expected = compiled(folder, 1, COUNT)
    found = simulate(programs[:12], vectors, folder / "verilator", "verilator")
    assert list(differences(programs[:12], vectors, expected[:12], found)) == []


def test_verilator_has_nothing_to_say_of_them(folder) -> None:
    assert lint(compiled(folder, 1, COUNT)[0], folder) == ""


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(chance=st.randoms(use_true_random=False), seed=st.integers(0, 1000))
def test_every_local_stays_in_its_interval(folder, chance, seed) -> None:
    path = folder / f"one_{next(NUMBERS)}.py"
    path.write_text(generated.HEADER + generated.Generator(chance).program("p0"))
    Program.compiled(load(path), "p0").run(stimuli(30, seed))


def test_the_text_is_the_same_from_run_to_run(folder) -> None:
    programs, _, _ = compiled(folder, 1, COUNT)
    source = load(folder / "programs_1.py")
    assert [Program.compiled(source, f"p{number}").module.text for number in range(0, COUNT, 8)] == [
        program.module.text for program in programs[::8]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 100 + int(os.environ.get("PROGRAM_SEEDS", "20"))))
def test_thousands_of_programs(folder, seed) -> None:
    programs, vectors, expected = compiled(folder, seed, 150)
    found = simulate(programs, vectors, folder / f"icarus_{seed}", "icarus")
    assert list(differences(programs, vectors, expected, found)) == []
    assert lint(programs, folder) == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 203))
def test_hundreds_of_programs_in_verilator(folder, seed) -> None:
    programs, vectors, expected = compiled(folder, seed, 60)
    found = simulate(programs, vectors, folder / f"verilator_{seed}", "verilator")
    assert list(differences(programs, vectors, expected, found)) == []

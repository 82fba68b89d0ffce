"""The README's commands and programs, run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from myhdl_fsa.cli import convert, sim

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
PROGRAMS = [text for language, text in BLOCKS if language == "python"]
# $ command, and what it prints
SESSIONS = [
    (command, printed)
    for language, text in BLOCKS if language == ""
    for command, printed in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M)
]
# what belongs to a shell and prints nothing that is shown
SCRIPTS = [text for language, text in BLOCKS if language == "sh"]
ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def expression(printed: str) -> str:
    """What matches the printed text: times may differ, and a line of dots stands for any lines."""
    lines = []
    for line in printed.splitlines():
        if re.fullmatch(r"\.\.\.", line):
            lines.append(r"(?:.*\n)*?")
        else:
            lines.append(re.sub(r"\d+\\\.\d s\b", r"\\d+\\.\\d s", re.escape(line).replace(r"\ ", " ")) + r"\n")
    return "".join(lines)


@pytest.mark.parametrize("command", [command for command, _ in SESSIONS])
def test_a_command_prints_what_the_readme_shows(command, tmp_path):
    printed = dict(SESSIONS)[command]
    run = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT,
                         check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(expression(printed), run.stdout), run.stdout


@pytest.mark.parametrize("index", range(len(PROGRAMS)))
def test_a_program_runs_and_says_what_its_last_line_promises(index, tmp_path):
    run = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAMS[index]], capture_output=True, text=True,
                         cwd=tmp_path, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    promised = re.findall(r"^# prints: (.*)$", PROGRAMS[index], re.M)
    assert promised, "a program ends with what it prints"
    for line in promised:
        assert line in run.stdout, run.stdout


@pytest.mark.parametrize("index", range(len(SCRIPTS)))
def test_a_script_runs(index, tmp_path):
    subprocess.run(["fsa-convert", "--testbench", "--quiet"], cwd=tmp_path, env=ENVIRONMENT, check=True, timeout=300)
    run = subprocess.run(["bash", "-euo", "pipefail", "-c", SCRIPTS[index]], capture_output=True, text=True,
                         cwd=tmp_path, env=ENVIRONMENT, check=False, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "PASS 179 cycles, 16 values" in run.stdout


def options(command: click.Command) -> set[str]:
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}


def test_every_option_has_its_row_and_every_row_its_option():
    rows = set(re.findall(r"--[a-z-]+", "".join(re.findall(r"^\| (`--.*?) \|", README, re.M))))
    assert rows == (options(sim.main) | options(convert.main)) - {"--version", "--help"}


def test_every_make_target_is_there_and_shown():
    shown = {*re.findall(r"`(?:PYTHON=\S+ )?make ([a-z-]+)`", README), *re.findall(r"^make (\S+)$", README, re.M)}
    there = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)) - {"help"}
    assert shown == there


def test_every_file_of_the_map_exists():
    map_ = README[README.index("## From the block diagram to the tree"):README.index("## Where it follows whom")]
    for path in re.findall(r"`([\w/]+(?:\.py|/))`", map_):
        assert any((base / path).exists() for base in (ROOT, ROOT / "myhdl_fsa")), path
    # and every module of the machine is on it
    top = {path.name for path in (ROOT / "myhdl_fsa").glob("*.py")} - {"__init__.py", "__main__.py"}
    folders = {path.parent.name for path in (ROOT / "myhdl_fsa").glob("*/__init__.py")}
    missing = {name for name in top | {f"{folder}/" for folder in folders} if name not in map_}
    assert not missing


@pytest.mark.slow
def test_make_sim_from_nothing_needs_no_more_than_what_running_needs(tmp_path):
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    run = subprocess.run(["make", "sim"], cwd=tmp_path / "clone", capture_output=True, text=True, check=False,
                         timeout=1200)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "Error of FSA vs torch: {'MAE': 9.6587464e-05, 'MSE': 1.6099552e-08" in run.stdout
    there = {path.name for path in (tmp_path / "clone/.venv/lib").glob("python3*/site-packages/*")}
    assert "myhdl" in there
    assert not {"pytest", "cocotb", "hypothesis", "ruff", "mypy", "pyosys", "pyslang"} & there

"""The README and the pages that lead through the repository: their figures, their make targets, their map of the tree.

test_document_blocks.py runs the commands and programs, test_site.py follows the links.
"""

import re
from pathlib import Path

import pytest

from myhdl_fsa.config import preset
from myhdl_fsa.dataflows import attention_cycles, iteration_cycles
from myhdl_fsa.workbench.dataflow_activity import slots

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
CONTRIBUTING = (ROOT / "docs" / "contributing.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def test_a_newcomer_reads_it_in_two_minutes():
    assert len(README.split()) < 800


def rows():
    return re.findall(r"^\| (\d+) \|(.*) \|$", README, re.M)


def test_the_table_has_a_row_for_each_size():
    assert [int(n) for n, _ in rows()] == [4, 16, 64, 128]


@pytest.mark.parametrize(("n", "cells"), rows())
def test_the_table_says_what_the_machine_takes(n, cells):
    expected = {"cycles": [], "products": [], "attention": []}
    for dataflow in ("fsa", "stream"):
        config = preset(f"{dataflow.upper()}{n}X{n}Fp16Config")
        found = slots(config)
        expected["cycles"].append(str(iteration_cycles(config)))
        expected["products"].append(f"{100 * found.products / found.cycles:.1f} %")
        expected["attention"].append(str(attention_cycles(config, 2048 // int(n), 2048 // int(n))))
    assert [cell.strip() for cell in cells.split("|")] == [cell for pair in expected.values() for cell in pair]


def test_every_make_target_is_there_and_shown():
    rows = set(re.findall(r"^\| `make ([a-z-]+)`", CONTRIBUTING, re.M))
    there = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M)) - {"help"}
    assert rows == there
    pages = "".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    shown = {*re.findall(r"`(?:PYTHON=\S+ )?make ([a-z-]+)`", pages), *re.findall(r"^\$ make (\S+)$", pages, re.M)}
    assert shown == there


def test_every_file_of_the_map_exists():
    map_ = ARCHITECTURE
    for path in re.findall(r"`([\w/]+(?:\.py|/))`", map_):
        assert any((base / path).exists() for base in (ROOT, ROOT / "myhdl_fsa")), path
    # and every module of the machine is on it
    top = {path.name for path in (ROOT / "myhdl_fsa").glob("*.py")} - {"__init__.py", "__main__.py"}
    folders = {path.parent.name for path in (ROOT / "myhdl_fsa").glob("*/__init__.py")}
    missing = {name for name in top | {f"{folder}/" for folder in folders} if name not in map_}
    assert not missing

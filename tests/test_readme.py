"""The README and the pages that lead through the repository: their figures, their make targets, their map of the tree.

test_document_blocks.py runs the commands and programs, test_site.py follows the links.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

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


def test_figures_of_area_are_those_of_the_page_of_speed():
    pages = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("fpga", "published", "speed")}
    blocks = re.findall(r"^\| (.+ \| \d+ \| \d \| \d+) \|$", pages["fpga"], re.M)
    assert len(blocks) == 7
    for block in blocks:
        assert f"| {block.replace('`', '')} | " in pages["speed"]
    prose = " ".join(pages["speed"].split())
    assert "| 3.68 mm2 | 2.73 mm2 | 3.02 mm2 |" in pages["published"]
    assert "takes 2.73 mm2, 0.74 of the published one's 3.68 (stream: 3.02)" in prose
    assert "47 % more at N = 16 | 55 % more" in pages["published"]
    assert "by 94, 64 and 47 % at N = 4, 8, 16 (stream: 109, 74 and 55 %)" in prose
    assert "The array takes 4 % more area" in README
    area = re.search(r"\| area of the array, kGE \| (\d+) \| (\d+) \|", pages["speed"])
    assert round(100 * int(area[2]) / int(area[1])) == 104


def test_the_block_diagram_names_files_that_exist():
    figure = (ROOT / "docs" / "architecture.svg").read_text()
    ElementTree.fromstring(figure)
    paths = re.findall(r"[\w/]+\.py", figure)
    assert len(paths) > 25
    for path in paths:
        bases = (ROOT / "myhdl_fsa", ROOT / "myhdl_fsa/dma", ROOT / "myhdl_fsa/dataflows/fsa")
        assert any((base / path).exists() for base in bases), path


def test_every_test_that_the_page_of_verification_names_is_there():
    text = (ROOT / "docs" / "verification.md").read_text()
    named = re.findall(r"`((?:tests|convert|sims)/[\w/]+(?:\.py|/))`", text)
    assert len(named) > 20
    for path in named:
        assert (ROOT / path).exists(), path

"""docs/accuracy.md has a row for every case of benchmarks/accuracy.py; rows that are computed again are the same."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import accuracy
from accuracy import Case

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "accuracy.md").read_text()


def test_every_case_has_its_row(tmp_path):
    assert CliRunner().invoke(accuracy.main, ["--check"]).exit_code == 0
    row = accuracy.document_rows(TEXT)[7]
    without, twice = tmp_path / "without.md", tmp_path / "twice.md"
    without.write_text(TEXT.replace(row + "\n", ""))
    twice.write_text(TEXT.replace(row, f"{row}\n{row}"))
    for path, count in ((without, "1 missing, the first of them e4m3 "), (twice, "0 missing")):
        refused = CliRunner().invoke(accuracy.main, ["--check", "--document", str(path)])
        assert refused.exit_code == 1
        assert count in str(refused.exception)


@pytest.mark.parametrize("case", [
    Case("tf32", "fp32", 8, "newton", "fa3", 1024), Case("e5m2", "fp32", 8, "division", "uniform", 1024),
    Case("fp16", "fp32", 32, "division", "uniform", 1024),
    pytest.param(Case("e4m3", "bf16", 8, "newton", "fa3", 4096), marks=pytest.mark.slow),
], ids=lambda case: "-".join(case.cells))
def test_rows_are_current(case):
    assert accuracy.row(case) in accuracy.document_rows(TEXT)

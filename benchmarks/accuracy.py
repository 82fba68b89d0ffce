"""The error of every pair of formats, number of exp2 pieces and reciprocal against float64, as docs/accuracy.md has it.

Run from the repository: ``python benchmarks/accuracy.py [--check] [--document FILE.md]``. Computes with the golden
model, whose bits are the machine's, and writes the tables between the document's markers; with --check it computes
nothing and exits with 1 where a row is missing or is one too many.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import click
import numpy as np

from myhdl_fsa import golden
from myhdl_fsa.config import Config
from myhdl_fsa.workbench.metrics import error_metrics, float64_attention, to_float32
from myhdl_fsa.workbench.workload import DISTRIBUTIONS, Workload, generate

__all__ = ["Case", "by_formats", "by_pieces", "document_rows", "main", "row", "tables"]

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
PAIRS = (
    ("e4m3", "fp16"), ("e4m3", "bf16"), ("e4m3", "fp32"), ("e5m2", "fp16"), ("e5m2", "bf16"), ("e5m2", "fp32"),
    ("fp16", "fp16"), ("fp16", "fp32"), ("bf16", "bf16"), ("bf16", "fp32"), ("tf32", "fp32"), ("fp32", "fp32"),
)
"""elem and acc"""
SIDE, QUERIES, KEYS = 128, 256, (1024, 4096)
PIECES, RECIPROCALS = (4, 8, 16, 32), ("newton", "division")
CASE_COLUMNS = ("elem", "acc", "pieces", "1/x", "data", "keys")
COLUMNS = (*CASE_COLUMNS, "MAE", "MaxErr", "RelErr", "RMS", "MAE in all", "poor", "lost")


@dataclass(frozen=True)
class Case:
    """One row: a machine, and what it computes."""

    elem: str
    acc: str
    pieces: int
    reciprocal: str
    data: str
    keys: int

    @property
    def config(self) -> Config:
        """The machine."""
        return Config(rows=SIDE, elem=self.elem, acc=self.acc, exp2_pieces=self.pieces, reciprocal=self.reciprocal)

    @property
    def cells(self) -> tuple[str, ...]:
        """What the row begins with."""
        return self.elem, self.acc, str(self.pieces), self.reciprocal, self.data, str(self.keys)


def by_formats(data: str) -> list[Case]:
    """All formats and both reciprocals with 8 pieces."""
    return [Case(*pair, 8, reciprocal, data, keys) for pair in PAIRS for reciprocal in RECIPROCALS for keys in KEYS]


def by_pieces(data: str) -> list[Case]:
    """All formats and all numbers of pieces with division; an exponent of 5 bits numbers 16."""
    return [Case(*pair, pieces, "division", data, KEYS[0]) for pair in PAIRS for pieces in PIECES
            if pieces <= 1 << (Config(elem=pair[0], acc=pair[1], exp2_pieces=4).acc.exponent_bits - 1)]


@lru_cache(maxsize=8)
def _work(elem: str, data: str, keys: int) -> tuple[Workload, np.ndarray]:
    """The tensors, and attention on them in float64."""
    config = Config(rows=SIDE, elem=elem)
    work = generate(config, QUERIES, keys, 0, data)
    return work, float64_attention(work, config.elem)


def row(case: Case) -> str:
    """The case's line of the table, computed."""
    work, reference = _work(case.elem, case.data, case.keys)
    # the same numbers before they were rounded to elem, or as good as
    _, unrounded = _work("fp32", case.data, case.keys)
    found = golden.evaluate(work.q, work.k, work.v, case.config, workers=None)
    result = to_float32(found.output, case.config.acc)
    # a row without an ordinary number would make every mean one
    kept = np.isfinite(result).all(axis=1)
    result, reference, unrounded = result[kept], reference[kept], unrounded[kept]
    errors = error_metrics(result, reference)
    relative = np.sqrt(np.mean((result - reference) ** 2) / np.mean(reference**2))
    in_all = np.mean(np.abs(result - unrounded))
    shown = [f"{value:.2e}" for value in (errors["MAE"], errors["MaxErr"], errors["RelErr"], relative, in_all)]
    return _line((*case.cells, *shown, str(found.poor_reciprocals), str(QUERIES - len(result))))


def tables(data: str) -> dict[str, list[Case]]:
    """The tables of a distribution by their titles."""
    return {
        f"{data}: formats and reciprocals": by_formats(data),
        f"{data}: pieces of the exponential": by_pieces(data),
    }


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def document_rows(text: str) -> list[str]:
    """The rows of a document's tables."""
    tables_text = text.partition(BEGIN)[2].partition(END)[0]
    return [line for line in tables_text.splitlines() if line.startswith("| ") and line != _line(COLUMNS)]


def _check(document: Path) -> None:
    """Exits with 1 unless the document's rows are those of all cases, in order."""
    wanted = [case.cells for data in DISTRIBUTIONS for cases in tables(data).values() for case in cases]
    found = [tuple(line.strip("| ").split(" | ")) for line in document_rows(document.read_text())]
    cases = [cells[: len(CASE_COLUMNS)] for cells in found]
    missing = [" ".join(cells) for cells in wanted if cells not in cases]
    if cases != wanted or any(len(cells) != len(COLUMNS) for cells in found):
        which = f", the first of them {missing[0]}" if missing else ""
        raise SystemExit(f"{document}: {len(found)} rows of {len(wanted)}, {len(missing)} missing{which}")


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.option("--check", is_flag=True, help="Compute nothing; exit with 1 unless the document has every row.")
@click.option("--document", type=click.Path(dir_okay=False, path_type=Path), default=DOCUMENT, metavar="FILE.md",
              help="The document that the tables are written to.")
def main(check: bool, document: Path) -> None:
    """Writes the tables, or checks them."""
    if check:
        _check(document)
        return
    lines = []
    for data in DISTRIBUTIONS:
        for title, cases in tables(data).items():
            lines += ["", f"### {title}", "", _line(COLUMNS), "|" + "---|" * len(COLUMNS)]
            # one after the other with the same tensors
            done = {case: row(case) for case in sorted(cases, key=lambda case: (case.elem, case.keys))}
            lines += [done[case] for case in cases]
            print(*lines[-len(cases):], sep="\n", flush=True)
    before, begin, rest = document.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{document}: must hold the lines {BEGIN} and {END}")
    document.write_text("\n".join([before + BEGIN, *lines, "", END + after]))


if __name__ == "__main__":
    main()

"""Area and longest path of the machine's modules and arrays, by yosys, and the useful work a cycle that they buy.

Run from the repository: ``python benchmarks/synthesis.py [--quick] [--size N]... [--machine FIELD=VALUE,...]...
[--only PART]...``. Prints one line per figure, a table, and one line per requirement; exits with 1 where one is missed.

The parts are the arrays of the dataflows in gates (``arrays``); modules at N=4 on an FPGA and in standard cells, which
``apt-get install qflow-tech-osu018`` brings (``blocks``); and the arrays over a plain weight-stationary one in these
cells (``plain``). ``area/`` has what each of them measures.

Every distinct module is synthesised once and counts as often as it is instantiated, so nothing is optimised across
modules: an output that the last row or column leaves open counts. ABC ends some 2 % elsewhere when it starts from the
same gates in another order: no figure is closer than that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from area import blocks, dataflows, osu018, over_plain, yosys
from area.requirement import Requirement

SIZES = (4, 8, 16)
PARTS = ("arrays", "blocks", "plain")


def report(parts: Sequence[str], sizes: Sequence[int], machines: Sequence[str]) -> Iterator[str | Requirement]:
    """The lines of the parts asked for."""
    if "arrays" in parts:
        yield from dataflows.report(sizes, machines)
    if "blocks" in parts:
        yield from blocks.report()
    if "plain" in parts:
        yield from over_plain.report(sizes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest array only")
    parser.add_argument("--size", type=int, action="append", metavar="N", help="only this array size; repeatable")
    parser.add_argument("--machine", action="append", default=[], metavar="FIELD=VALUE,...",
                        help="one more machine in arrays, by fields of Config; repeatable")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART",
                        help=f"only this part, of {', '.join(PARTS)}; repeatable")
    arguments = parser.parse_args()
    parts = arguments.only or PARTS
    yosys.require()
    if set(parts) & {"blocks", "plain"}:
        osu018.require()
    missed = False
    for line in report(parts, arguments.size or (SIZES[:1] if arguments.quick else SIZES), arguments.machine):
        print(line, flush=True)
        missed |= isinstance(line, Requirement) and not line.holds
    sys.exit(missed)


if __name__ == "__main__":
    main()

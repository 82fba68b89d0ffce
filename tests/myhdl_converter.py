"""MyHDL's own converter, plainly used, to hold the text of ours against: a second opinion on what a block means.

What it converts otherwise than MyHDL simulates is left out by rule, not by name:

- every int local becomes a 32-bit ``integer``, which cuts what does not fit without a word: a block with a local of
  more than ``MOST_BITS``, by the inferred intervals, or with a port of more than 32 bits, which a local may stand for,
  is not compared;
- the registers of ports get no start value: bits that are still unknown are not compared;
- a combinational process waits for a change of what it reads: the first ``SETTLED`` cycles are not compared,
  nor is a block whose registers remember what such a process said wrongly: a matrix_controller's ``ready``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from myhdl import ConversionError

from myhdl_fsa.convert.regression import Case, Dut, Stimuli, case_ports, simulate

__all__ = ["MOST_BITS", "SETTLED", "case", "widest_local"]

MOST_BITS = 31
"""of a local that a signed integer of Verilog holds, without its sign"""
SETTLED = 100


def widest_local(dut: Dut) -> int:
    """Bits of the widest local of any process, by the inferred intervals, a sign bit not counted."""
    return max((interval.width - interval.signed
                for module in dut.design().convert().values() for scope in module.ranges.scopes.values()
                for interval in scope.locals.values()), default=0)


def case(make: Callable[[], Dut], stimuli: Stimuli, folder: Path) -> Case | None:
    """A block in MyHDL's own Verilog with its answers to ``stimuli`` from cycle ``SETTLED`` on.

    None where MyHDL cannot convert it rightly.

    That is where it raises ConversionError, or where a local takes more than ``MOST_BITS``.
    """
    dut = make()
    if widest_local(dut) > MOST_BITS or any(len(port) > MOST_BITS + 1 for port in (dut.inputs | dut.outputs).values()):
        return None
    simulated, converted = make(), make()
    seen = simulate(simulated, stimuli)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an input that a configuration does not use
        try:
            converted.instance.convert(hdl="Verilog", path=str(folder), name=converted.name, testbench=False,
                                       initial_values=True)
        except ConversionError:
            return None
    text = (folder / f"{converted.name}.v").read_text()
    return Case(converted.name, text, *case_ports(make(), stimuli, seen),
                "clock" if converted.clock is not None else None, settled=SETTLED, lenient=True)

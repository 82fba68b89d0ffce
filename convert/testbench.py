"""A self-checking Verilog testbench of what was converted, for plain Icarus and Verilator, without Python.

The accelerator's and the core's run FlashAttention on seeded data and compare with the golden model. A smaller block's
replays seeded stimuli and compares with what the MyHDL simulation of that very block answered.
"""

from __future__ import annotations

from myhdl_fsa.config import Config
from myhdl_fsa.convert.accelerator_testbench import accelerator_testbench
from myhdl_fsa.convert.block_testbench import block_testbench
from myhdl_fsa.convert.core_testbench import core_testbench
from myhdl_fsa.convert.hierarchy import Design

__all__ = ["testbench"]


def testbench(config: Config, design: Design) -> dict[str, str]:
    """The testbench of a converted ``design`` as texts by file name: ``tb_<module>.v``, and what it reads.

    It prints a line that starts with PASS; or lines that start with FAIL, and ends by $stop. Raises TestbenchError.
    """
    if design.name == "accelerator":
        return accelerator_testbench(config, design.prefix)
    return core_testbench(config, design.prefix) if design.name == "core" else block_testbench(config, design)


testbench.__test__ = False  # type: ignore[attr-defined]

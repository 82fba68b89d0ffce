"""The drawings of docs/dataflows.md show what the simulated hardware does."""

from functools import partial

import pytest
from myhdl import always, block
from test_core import operands

from myhdl_fsa.config import Config
from myhdl_fsa.core import core_block
from myhdl_fsa.dataflows import iteration_cycles
from myhdl_fsa.dataflows.fsa.control import PE_BIT
from myhdl_fsa.dataflows.stream.control import Operation
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.core_bench import attention_run, core_bench
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.workbench.dataflow_activity import pe_row, steady_state


def published(bits):
    """The letter of a PE's control word in the published dataflow; the row sum's is V, for it is the same operation."""
    on = {name for name, bit in PE_BIT.items() if bits & bit}
    if "load_reg_li" in on:
        return "Q"
    if "exp2" in on:
        return "e"
    if "update_reg" in on:
        return "-" if "acc_ui" in on else "*"
    if "mac" in on:
        return "V" if "acc_ui" in on else "K"
    return "."


def stream(bits):
    """Likewise in stream."""
    letters = {Operation.QK: "K", Operation.SUB: "-", Operation.SCALE: "*", Operation.EXP: "e", Operation.PV: "V"}
    return letters.get(bits & ((1 << Operation.WIDTH) - 1), ".")


@block
def watched(clock, ports, config, seen):
    """The core; ``seen`` gets the control words of column 0's PEs, a list a cycle."""
    probe = {}
    inside = core_block(config)(
        clock, ports.reset, ports.instruction, ports.release, ports.busy, ports.scratchpad_write,
        ports.accumulator_read, ports.scale, config, probe)
    controls = probe["pe_control"][::config.cols]

    @always(clock.posedge)
    def sample():
        seen.append([int(control) for control in controls])

    return inside, sample


def simulated(config, kv_tiles):
    """A line a PE of column 0: its letter in each cycle of a run."""
    seen = []
    run = attention_run(*operands(config, 1, kv_tiles, "uniform"), config)
    CycleSimulator(core_bench(run, unsigned(1), partial(watched, config=config, seen=seen))).run()
    letter = published if config.dataflow == "fsa" else stream
    return ["".join(letter(bits[row]) for bits in seen) for row in range(config.rows)]


@pytest.mark.parametrize("dataflow", ["fsa", "stream"])
@pytest.mark.parametrize("n", [2, 4, 5])
def test_every_row_is_drawn_as_it_works(dataflow, n):
    # room for all tiles, so that memory is not in the way
    config = Config(rows=n, dataflow=dataflow, exp2_pieces=4 if n == 5 else 8, scratchpad_rows=2 * n + 2 * n * 4)
    lines = simulated(config, 4)
    period = iteration_cycles(config)
    drawn = {(item.unit, item.cycle): item.work.value for item in steady_state(config, 0, 2 * period)}
    # two iterations at the same place in all rows, so that they stand to each other as drawn, too
    expected = ["".join(drawn.get((pe_row(row), cycle), ".") for cycle in range(2 * period)).replace("+", "V")
                for row in range(n)]
    places = [{start for start in range(len(line)) if line.startswith(wanted, start)}
              for line, wanted in zip(lines, expected, strict=True)]
    assert set.intersection(*places), (lines, expected)

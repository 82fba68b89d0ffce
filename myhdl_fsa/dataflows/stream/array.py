"""The array of the stream dataflow: a top register a column, N rows of PEs, a comparator with buffer a column."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import Capture, Compare, lane_width, pe_control_width, word_width
from myhdl_fsa.dataflows.stream.edge import column_top, comparator
from myhdl_fsa.dataflows.stream.pe import pe_row
from myhdl_fsa.elaboration import always_comb, block
from myhdl_fsa.instruction import hidden_width
from myhdl_fsa.signals import Lanes, unsigned

__all__ = ["TOP_WIDTH", "systolic"]

TOP_WIDTH = Capture.WIDTH + 1


@block
def systolic(
    clock: Any, reset: Any, pe_control: Any, top: Any, command: Any, hidden: Any, lane: Any, left: Any, queries: Any,
    bottom: Any, config: Config, slots: int = 1, probe: dict[str, Any] | None = None,
) -> Any:
    """Tops, PE rows and comparators.

    Ports
        pe_control       in   control for row 0, column 0 (``pe``); one row down in ``adder_stages`` cycles, one column
                              right each cycle
        top              in   control of the first column's top (``column_top``); one column right each cycle
        command, hidden, lane
                         in   control of the first column's comparator; one column right each cycle
        left             in   rows x elem: what enters each row, row 0 in the low bits
        queries          in   cols x elem: what the lane takes from the Q scratchpad, column 0 in the low bits
        bottom           out  cols x acc: what leaves the comparators downwards, column 0 in the low bits

    ``probe``, when given, receives the internal signals that a test bench watches.
    """
    rows, cols, elem, acc = config.rows, config.cols, config.elem, config.acc
    chain = [pe_control] + [unsigned(pe_control_width(config)) for _ in range(rows)]
    tops = [top] + [unsigned(TOP_WIDTH) for _ in range(cols)]
    commands = [command] + [unsigned(Compare.WIDTH) for _ in range(cols)]
    hiddens = [hidden] + [unsigned(hidden_width(config)) for _ in range(cols)]
    lanes = [lane] + [unsigned(lane_width(config, slots)) for _ in range(cols)]
    lefts = [unsigned(elem.width) for _ in range(rows)]
    words = [unsigned(elem.width) for _ in range(cols)]
    bottoms = [unsigned(acc.width) for _ in range(cols)]
    # path r enters row r from above, and leaves it upwards; the last one is below the last row
    down_paths = [Lanes(cols, acc.width) for _ in range(rows + 1)]
    up_paths = [Lanes(cols, word_width(config)) for _ in range(rows + 1)]

    column_tops = [
        column_top(clock, reset, tops[c], up_paths[0][c], tops[c + 1], down_paths[0][c], config) for c in range(cols)
    ]
    pe_rows = [
        pe_row(clock, reset, chain[r], chain[r + 1], lefts[r], down_paths[r], up_paths[r + 1], down_paths[r + 1],
               up_paths[r], config, probe)
        for r in range(rows)
    ]
    comparators = [
        comparator(clock, reset, commands[c], hiddens[c], lanes[c], down_paths[rows][c], words[c], commands[c + 1],
                   hiddens[c + 1], lanes[c + 1], up_paths[rows][c], bottoms[c], config, slots, probe)
        for c in range(cols)
    ]
    elem_width, elem_mask, acc_width = elem.width, (1 << elem.width) - 1, acc.width

    @always_comb
    def enter() -> None:
        word = int(left)
        for r in range(rows):
            lefts[r].next = (word >> (r * elem_width)) & elem_mask

    @always_comb
    def enter_queries() -> None:
        word = int(queries)
        for c in range(cols):
            words[c].next = (word >> (c * elem_width)) & elem_mask

    @always_comb
    def leave() -> None:
        word = 0
        for c in range(cols):
            word = word | (int(bottoms[c]) << (c * acc_width))
        bottom.next = word

    if probe is not None:
        probe.update(commands=commands, hiddens=hiddens, lanes=lanes, scores=down_paths[rows], tops=tops,
                     lift=up_paths[rows], bottoms=bottoms)
    return column_tops, pe_rows, comparators, enter, enter_queries, leave

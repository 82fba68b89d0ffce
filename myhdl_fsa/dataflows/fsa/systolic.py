"""The systolic array: a comparator per column above N rows of PEs, each row a block of its own."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.comparator import comparator
from myhdl_fsa.dataflows.fsa.control import PE_CONTROL_WIDTH, Comparator
from myhdl_fsa.dataflows.fsa.pe import pe
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import Lanes, constant, unsigned

__all__ = ["pe_row", "systolic"]


@block
def pe_row(
    clock: Any,
    reset: Any,
    parallel: Any,
    down_in: Any,
    up_in: Any,
    down_out: Any,
    up_out: Any,
    left: Any,
    above: Lanes,
    below: Lanes,
    down: Lanes,
    up: Lanes,
    config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """One row of PEs and the row's stage of the two control chains.

    Ports
        parallel          in   9 bits    control for this row now, sent to every row alike
        down_in, down_out in, out 9 bits control that moves one row down each cycle
        up_in, up_out     in, out 9 bits control that moves one row up each cycle
        left              in   elem      what enters the row from the left
        above, down       in, out cols x acc, the paths to and from the neighbours above and below
        below, up         in, out cols x acc

    The row's control is the OR of the three; within the row it moves one column right each cycle. Source: spec
    section 3 (execution plans, directions).
    """
    cols = config.cols
    controls = [unsigned(PE_CONTROL_WIDTH) for _ in range(cols + 1)]
    lefts = [left] + [unsigned(config.elem.width) for _ in range(cols)]
    enter = controls[0]

    @always_comb
    def merge() -> None:
        enter.next = parallel | down_in | up_in

    @always(clock.posedge)
    def chains() -> None:
        if reset:
            down_out.next = 0
            up_out.next = 0
        else:
            down_out.next = down_in
            up_out.next = up_in

    pes = [
        pe(clock, reset, controls[c], lefts[c], above[c], below[c], controls[c + 1], lefts[c + 1], down[c], up[c],
           config, probe)
        for c in range(cols)
    ]
    return merge, chains, pes


@block
def systolic(
    clock: Any,
    reset: Any,
    command: Any,
    hidden: Any,
    pe_control: Any,
    left: Any,
    bottom: Any,
    config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """Comparators and PE rows.

    Ports
        command, hidden       in   comparator command and countdown for column 0; one column right each cycle
        pe_control            in   27 bits: PE control for all rows now, for row 0 on its way down, and for row N-1
                                   on its way up, from bit 0 up
        left                  in   rows x elem: what enters each row, row 0 in the low bits
        bottom                out  cols x acc: what leaves row N-1, column 0 in the low bits

    Row r, column c acts on control r + c cycles (down) or N-1-r + c cycles (up) after it enters. ``probe``,
    when given, receives the internal signals that a test bench watches. Source: docs/specification.md section 3.
    """
    rows, cols, elem, acc = config.rows, config.cols, config.elem, config.acc
    # down_paths[r] enters row r from above; up_paths[r] leaves row r upwards; +0 enters at the bottom
    down_paths = [Lanes(cols, acc.width) for _ in range(rows + 1)]
    up_paths = [*(Lanes(cols, acc.width) for _ in range(rows)), Lanes(cols, acc.width, constant)]
    parallel, down, up = (unsigned(PE_CONTROL_WIDTH) for _ in range(3))
    lefts = [unsigned(elem.width) for _ in range(rows)]
    down_chain = [down] + [unsigned(PE_CONTROL_WIDTH) for _ in range(rows)]
    up_chain = [unsigned(PE_CONTROL_WIDTH) for _ in range(rows)] + [up]
    commands = [command] + [unsigned(Comparator.WIDTH) for _ in range(cols)]
    hiddens = [hidden] + [unsigned(len(hidden)) for _ in range(cols)]

    comparators = [
        comparator(clock, reset, commands[c], hiddens[c], up_paths[0][c], commands[c + 1], hiddens[c + 1],
                   down_paths[0][c], config, probe)
        for c in range(cols)
    ]
    pe_rows = [
        pe_row(clock, reset, parallel, down_chain[r], up_chain[r + 1], down_chain[r + 1], up_chain[r],
               lefts[r], down_paths[r], up_paths[r + 1], down_paths[r + 1], up_paths[r], config, probe)
        for r in range(rows)
    ]
    bottoms = list(down_paths[rows])
    acc_width, elem_width, elem_mask = acc.width, elem.width, (1 << elem.width) - 1
    control_width, control_mask = PE_CONTROL_WIDTH, (1 << PE_CONTROL_WIDTH) - 1

    @always_comb
    def split_control() -> None:
        word = int(pe_control)
        parallel.next = word & control_mask
        down.next = (word >> control_width) & control_mask
        up.next = (word >> (2 * control_width)) & control_mask

    @always_comb
    def enter() -> None:
        word = int(left)
        for r in range(rows):
            lefts[r].next = (word >> (r * elem_width)) & elem_mask

    @always_comb
    def leave() -> None:
        word = 0
        for c in range(cols):
            word = word | (int(bottoms[c]) << (c * acc_width))
        bottom.next = word

    if probe is not None:
        probe.update(commands=commands, hiddens=hiddens, scores=up_paths[0], comparator_out=down_paths[0],
                     down_chain=down_chain, up_chain=up_chain, parallel=parallel)
    return comparators, pe_rows, split_control, enter, leave

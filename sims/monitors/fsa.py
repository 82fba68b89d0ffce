"""Watchers of a running core of the published dataflow."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import PE_BIT, PE_CONTROL_WIDTH, PE_SIGNALS, Accumulator, Comparator
from myhdl_fsa.dataflows.fsa.sequencer import EDGE_BIT
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.sims.monitors import CollisionError, Intermediates

__all__ = ["capture", "rules", "work"]


_EXCLUSIVE = {
    "scratchpad port": 1 << EDGE_BIT["read"] | 1 << EDGE_BIT["use_constant"],
    "comparator": ((1 << Comparator.WIDTH) - 1) << EDGE_BIT["compare"],
    "accumulator RAM": 1 << EDGE_BIT["accumulator_read"],
    "accumulator": ((1 << Accumulator.WIDTH) - 1) << EDGE_BIT["accumulate"],
    "semaphore release": 1 << EDGE_BIT["release"],
}
"""edge control that at most one sequencer may use in a cycle"""


def _names(bits: int) -> str:
    return ", ".join(name for index, name in enumerate(PE_SIGNALS) if bits >> index & 1)


@block
def rules(clock: Any, probe: dict[str, Any], config: Config) -> Any:
    """Raises CollisionError when control bits of two instructions meet in a row, or two use one port.

    Not convertible: it watches a simulation. Source: docs/specification.md section 3.
    """
    first, second = probe["sides"]
    busy_first, busy_second = probe["busies"]
    parallel, down_chain, up_chain = probe["parallel"], probe["down_chain"], probe["up_chain"]
    rows = config.rows
    cycle = [0]

    def check_edges() -> None:
        one, two = int(first.edges), int(second.edges)
        for name, mask in _EXCLUSIVE.items():
            if one & mask and two & mask:
                raise CollisionError(f"cycle {cycle[0]}: both sequencers use the {name}")
        both = int(first.pe) & int(second.pe)
        if both:
            names = _names(both | both >> PE_CONTROL_WIDTH | both >> 2 * PE_CONTROL_WIDTH)
            raise CollisionError(f"cycle {cycle[0]}: both sequencers send {names} the same way")

    @always(clock.posedge)
    def watch() -> None:
        cycle[0] += 1
        if busy_first and busy_second:
            check_edges()
        everywhere = int(parallel)
        for row in range(rows):
            down = int(down_chain[row])
            up = int(up_chain[row + 1])
            if down & up or everywhere & (down | up):
                both = (down & up) | (everywhere & (down | up))
                raise CollisionError(f"cycle {cycle[0]}: row {row} is sent {_names(both)} twice")

    return watch


@block
def capture(clock: Any, probe: dict[str, Any], into: Intermediates) -> Any:
    """Fills ``into``.

    Not convertible: it watches a simulation.
    """
    config, trace, visited = into.config, into.trace, into.visits
    n, elem, acc = config.rows, config.elem, config.acc

    commands, scores, sent, new_max = probe["commands"], probe["scores"], probe["comparator_out"], probe["new_max"]
    accumulate, results, registers_a = probe["accumulate"], probe["accumulator_results"], probe["accumulator_a"]
    from_array, pe_control, pe_register = probe["from_array"], probe["pe_control"], probe["pe_register"]
    elem_mask, acc_mask = (1 << elem.width) - 1, (1 << acc.width) - 1
    update_reg, acc_ui, exp2 = PE_BIT["update_reg"], PE_BIT["acc_ui"], PE_BIT["exp2"]

    keys_seen = [0] * n
    sent_next: list[tuple[str, tuple[int, ...]] | None] = [None] * n
    scored = [[-1] * n for _ in range(n)]
    register_next: list[list[str | None]] = [[None] * n for _ in range(n)]
    rows_done = [0, 0, 0]
    """EXP_S1, ACC_SA and ACC commands so far"""

    def visit_of(index: int, column: int) -> tuple[int, int]:
        query_tile, key_tile = visited[index]
        return query_tile * n + column, key_tile

    def watch_comparator(c: int) -> None:
        if sent_next[c] is not None:
            name, where = sent_next[c] or ("", ())
            trace[name][where] = int(sent[c]) & (elem_mask if name == "S_elem" else acc_mask)
            sent_next[c] = None
        command = int(commands[c])
        if command == Comparator.UPDATE:
            query, key_tile = visit_of(keys_seen[c] // n, c)
            key = key_tile * n + keys_seen[c] % n
            trace["S"][query, key] = int(scores[c])
            sent_next[c] = ("S_elem", (query, key))
            keys_seen[c] += 1
        elif command in (Comparator.PROP_MAX, Comparator.PROP_MAX_DIFF):
            where = visit_of(keys_seen[c] // n - 1, c)
            if command == Comparator.PROP_MAX:
                trace["running_max"][where] = int(new_max[c])
            else:
                sent_next[c] = ("delta", where)

    def watch_pe(r: int, c: int) -> None:
        # a column's key 0 lies in the last row
        if register_next[r][c] is not None:
            query, key_tile = visit_of(scored[r][c], c)
            trace[register_next[r][c] or ""][query, key_tile * n + n - 1 - r] = int(pe_register[r * n + c])
            register_next[r][c] = None
        control = int(pe_control[r * n + c])
        if control & update_reg:
            if control & acc_ui:
                scored[r][c] += 1
            register_next[r][c] = "X1" if control & acc_ui else "X2"
        elif control & exp2:
            register_next[r][c] = "P"

    def watch_accumulators() -> None:
        command = int(accumulate)
        if command == Accumulator.EXP_S1:
            rows_done[0] += 1
        if command in (Accumulator.EXP_S1, Accumulator.EXP_S2):
            name = "scaled_delta" if command == Accumulator.EXP_S1 else "rescale"
            for c in range(n):
                trace[name][visit_of(rows_done[0] - 1, c)] = int(results[c])
        elif command == Accumulator.ACC_SA:
            visit, row = divmod(rows_done[1], n + 1)
            rows_done[1] += 1
            word = int(from_array)
            for c in range(n):
                query, tile = visit_of(visit, c)
                inflow = word >> (c * acc.width) & acc_mask
                # the row sum comes first, then the rows of O^T
                if row == 0:
                    trace["row_sum"][query, tile], trace["L"][query, tile] = inflow, int(results[c])
                else:
                    trace["O_partial"][query, tile, row - 1] = inflow
                    trace["O"][query, tile, row - 1] = int(results[c])
        elif command == Accumulator.ACC:
            if rows_done[2] % n == 0:
                for c in range(n):
                    trace["reciprocal"][rows_done[2] // n * n + c] = int(registers_a[c])
            rows_done[2] += 1

    @always(clock.posedge)
    def watch() -> None:
        for c in range(n):
            watch_comparator(c)
            for r in range(n):
                watch_pe(r, c)
        watch_accumulators()

    return watch


def work(probe: dict[str, Any], config: Config) -> Callable[[], str | None]:
    """Called in each cycle: the use (``engine.cycle_use``) of the multiply-adder of row 0, column 0, if it has one."""
    control = probe["pe_control"][0]
    mac, acc_ui, steps = PE_BIT["mac"], PE_BIT["acc_ui"], PE_BIT["update_reg"] | PE_BIT["exp2"]
    downward = count()

    def use() -> str | None:
        bits = int(control)
        if bits & steps:
            return "softmax"
        if not bits & mac:
            return None
        # of the waves that run down the first of a tile is the row sum, then come the rows of V^T
        return "softmax" if bits & acc_ui and next(downward) % (config.rows + 1) == 0 else "products"

    return use

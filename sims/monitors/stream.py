"""Watchers of a running stream core: its rules as assertions, and the capture of every intermediate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import (
    LATCH_P,
    LATCH_Q,
    Accumulate,
    Compare,
    Lane,
    Left,
    Operation,
    addend_at,
    result_at,
)
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.dataflows.stream.timetable import attention_score, attention_value, load_stationary
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.sims.monitors import CollisionError, Intermediates

__all__ = ["TO_SLOT", "capture", "rules", "work"]

TO_SLOT = 2
"""cycles from the decision that an instruction starts to its slot 0 at the array"""
_LANE_MASK = (1 << Lane.WIDTH) - 1
_OPERATION_MASK = (1 << Operation.WIDTH) - 1
_UPDATES = (Compare.UPDATE, Compare.UPDATE_FIRST)
_DIFFS = (Compare.DIFF, Compare.DIFF_FIRST)


@block
def rules(clock: Any, probe: dict[str, Any], config: Config) -> Any:
    """Raises CollisionError where the core breaks a rule of its timetable; the message names the cycle and the rule.

    What each slot must hold follows from the starts of the instructions and their timetables alone: no two waves in a
    slot; every word on the lane met by its latch; P and Q not overwritten before their last wave has read them; an edge
    buffer that neither overflows nor is read empty; one user of the accumulators, and so of their RAM's ports, a cycle.

    Not convertible: it watches a simulation.
    """
    times = Times.of(config)
    n, capacity = config.rows, config.rows * times.slots
    control, commands, lanes = probe["control"], probe["commands"], probe["lanes"]
    starts = ((probe["start_load"], load_stationary(times)), (probe["start_score"], attention_score(times)),
              (probe["start_value"], attention_value(times)))
    value_only = {Operation.SUB, Operation.SCALE, Operation.EXP, Operation.PV}
    cycle = [0]
    operations: dict[int, int] = {}
    """by cycle, what the slot must be; likewise"""
    latches: dict[int, int] = {}
    accumulates: dict[int, int] = {}
    sent: dict[int, tuple[int, int]] = {}
    """by cycle, the kind of word that column 0 must send, and its number"""
    last_read = {LATCH_P: -1, LATCH_Q: -1}
    """the last slot in which a wave reads what is in the register"""
    held = [[False] * capacity for _ in range(n)]
    """whether a word of a column's edge buffer holds a score that has not been sent"""
    updated, returned = [0] * n, [0] * n
    """scores that came to a column; maxima that it has sent"""
    values = [0]
    """ATTN_VALUEs that have started"""
    again = [(at(config), delay) for at, delay in
             ((addend_at, times.mac_stages), (result_at, times.latency - 1)) if delay]
    """where in a PE's control an operation comes again, and how many cycles later"""
    earlier = [0] * times.latency
    """the operations of the last slots, the newest first"""
    shown = Operation.SUB, Operation.PASS

    def broken(what: str) -> None:
        raise CollisionError(f"cycle {cycle[0]}: {what}")

    def reserve(table: dict[int, int], at: int, what: int, name: str) -> None:
        if at in table:
            broken(f"{name} in a slot that is taken")
        table[at] = what

    def start(table: Any, now: int) -> None:
        for wave in table.waves:
            slot = now + wave.start
            for latch, wanted in ((LATCH_P, wave.latch_p), (LATCH_Q, wave.latch_q)):
                if wanted:
                    if last_read[latch] > slot:
                        broken(f"{'PQ'[latch == LATCH_Q]} is overwritten before its last wave")
                    latches[slot] = latches.get(slot, 0) | latch
            for _ in range(wave.repeat if wave.operation else 0):
                while wave.operation == Operation.QK and slot in operations:
                    slot += 1
                reserve(operations, slot, wave.operation, table.name)
                if wave.accumulate:
                    reserve(accumulates, slot, wave.accumulate, table.name)
                last_read[LATCH_P if wave.operation in value_only else LATCH_Q] = slot
                slot += 1
        tile = values[0] % times.slots
        for words in table.lane:
            for k in range(words.repeat):
                at = now + words.start + k * times.ring
                if at in sent:
                    broken(f"{table.name} sends a word on a lane that is taken")
                place = {Lane.SCORE: tile * n + k, Lane.QUERY: k}.get(words.word, 0)
                sent[at] = words.word, place
            values[0] += words.word == Lane.SCORE

    def meet(slot: int, latch: int) -> None:
        # row r latches H r cycles after the slot what left column 0 N - r cycles before that
        kind = Lane.SCORE if latch == LATCH_P else Lane.QUERY
        for row in range(n):
            word = sent.get(slot + times.hop * row - n + row)
            if word is None or (word[0], word[1] % n) != (kind, row):
                broken(f"row {row} latches {word} in place of word {row} of {kind}")

    @always(clock.posedge)
    def watch() -> None:
        now = cycle[0]
        for signal, table in starts:
            if signal:
                start(table, now)
        slot = now - TO_SLOT
        bits = int(control.pe)
        if bits & _OPERATION_MASK != operations.pop(slot, 0):
            broken(f"operation {bits & _OPERATION_MASK} in a slot that is another's")
        earlier.insert(0, bits & _OPERATION_MASK)
        for place, delay in again:
            if bits >> place & _OPERATION_MASK != earlier[delay]:
                broken(f"operation {bits >> place & _OPERATION_MASK} {delay} cycles after operation {earlier[delay]}")
        if bool(control.show) != (earlier[times.mac_stages] in shown):
            broken("-max is at the top for another wave than SUB, or not for it")
        earlier.pop()
        expected = latches.pop(slot, 0)
        if bits & (LATCH_P | LATCH_Q) != expected:
            broken("a latch that no instruction asked for, or one that is missing")
        for latch in (LATCH_P, LATCH_Q):
            if expected & latch:
                meet(slot, latch)
        kind, place = sent.get(slot, (0, 0))
        if int(control.lane) != kind | (place << Lane.WIDTH if kind == Lane.SCORE else 0):
            broken("a word on the lane that no instruction asked for, or one that is missing")
        sent.pop(slot - 4 * n, None)
        # one cycle ahead of the slot
        accumulate = int(control.accumulate)
        wanted = accumulates.pop(slot + 1, 0)
        if accumulate != wanted and (wanted or accumulate != Accumulate.NORM):
            broken(f"accumulator command {accumulate} in a slot of command {wanted}")
        for column in range(n):
            command, word = int(commands[column]), int(lanes[column])
            if word == Lane.MAX_LOW:
                returned[column] += 1
                if updated[column] + (command in _UPDATES) < n * returned[column]:
                    broken(f"column {column} sends a maximum before its last score")
            elif word & _LANE_MASK == Lane.SCORE:
                if not held[column][word >> Lane.WIDTH]:
                    broken(f"column {column} sends a score that is not there yet")
                held[column][word >> Lane.WIDTH] = False
            if command in _UPDATES:
                place = updated[column] % capacity
                updated[column] += 1
                if held[column][place]:
                    broken(f"the edge buffer of column {column} overflows")
                held[column][place] = True
        cycle[0] += 1

    return watch


@block
def capture(clock: Any, probe: dict[str, Any], into: Intermediates) -> Any:
    """Fills ``into``.

    Not convertible: it watches a simulation.
    """
    config, trace, visited = into.config, into.trace, into.visits
    n, acc = config.rows, config.acc
    commands, scores, running = probe["commands"], probe["scores"], probe["running_max"]
    buffers, write_at, differences = probe["edge_buffer"], probe["write_at"], probe["difference"]
    accumulate, results, reciprocal = probe["accumulate"], probe["accumulator_results"], probe["reciprocal"]
    from_array, pe_control, pe_weight = probe["from_array"], probe["pe_control"], probe["pe_weight"]
    operation_at, acc_mask = result_at(config), (1 << acc.width) - 1
    latency = config.mac_stages + config.adder_stages
    commanded: deque[tuple[int, int]] = deque([(0, 0)] * latency, latency)
    """the accumulators' commands whose results are not there yet, and what came with them"""
    results_of = {Operation.SUB: "X1", Operation.SCALE: "X2", Operation.EXP: "P"}

    seen, compared = [0] * n, [0] * n
    """scores, and tiles whose difference was taken, a column"""
    subtracted = [[-1] * n for _ in range(n)]
    after: deque[list[Callable[[], None]]] = deque([] for _ in range(config.adder_stages))
    """what can be read in the next cycle only, and in those after it"""
    done = dict.fromkeys((Accumulate.EXP_S1, Accumulate.ACC_SUM, Accumulate.ACC_SA, Accumulate.NORM), 0)

    def visit_of(index: int, column: int) -> tuple[int, int]:
        query_tile, key_tile = visited[index]
        return query_tile * n + column, key_tile

    def later(name: str, where: tuple[int, ...], signal: Any, cycles: int = 1) -> None:
        def take() -> None:
            trace[name][where] = int(signal)

        after[cycles - 1].append(take)

    def watch_comparator(c: int) -> None:
        command = int(commands[c])
        if command in _UPDATES:
            query, key_tile = visit_of(seen[c] // n, c)
            wave = seen[c] % n
            key = key_tile * n + n - 1 - wave
            trace["S"][query, key] = int(scores[c])
            later("S_elem", (query, key), buffers[c][int(write_at[c])])
            if wave == n - 1:
                later("running_max", (query, key_tile), running[c])
            seen[c] += 1
        elif command in _DIFFS:
            later("delta", visit_of(compared[c], c), differences[c], config.adder_stages)
            compared[c] += 1

    def watch_pe(r: int, c: int) -> None:
        # a column's key 0 lies in the last row
        operation = int(pe_control[r * n + c]) >> operation_at & _OPERATION_MASK
        if operation in results_of:
            subtracted[r][c] += operation == Operation.SUB
            query, key_tile = visit_of(subtracted[r][c], c)
            later(results_of[operation], (query, key_tile * n + n - 1 - r), pe_weight[r * n + c])

    def watch_accumulators() -> None:
        commanded.append((int(accumulate), int(from_array)))
        command, word = commanded[0]
        for c in range(n if command else 0):
            inflow, result = word >> (c * acc.width) & acc_mask, int(results[c])
            if command == Accumulate.EXP_S1:
                trace["scaled_delta"][visit_of(done[command], c)] = result
            elif command == Accumulate.EXP_S2:
                trace["rescale"][visit_of(done[Accumulate.EXP_S1] - 1, c)] = result
            elif command == Accumulate.ACC_SUM:
                query, tile = visit_of(done[command], c)
                trace["row_sum"][query, tile], trace["L"][query, tile] = inflow, result
            elif command == Accumulate.ACC_SA:
                visit, row = divmod(done[command], n)
                query, tile = visit_of(visit, c)
                trace["O_partial"][query, tile, row], trace["O"][query, tile, row] = inflow, result
            elif done[command] % n == 0:
                trace["reciprocal"][done[command] // n * n + c] = int(reciprocal[c])
        if command in done:
            done[command] += 1

    @always(clock.posedge)
    def watch() -> None:
        for take in after.popleft():
            take()
        after.append([])
        for c in range(n):
            watch_comparator(c)
            for r in range(n):
                watch_pe(r, c)
        watch_accumulators()

    return watch


def work(probe: dict[str, Any], config: Config) -> Callable[[], str | None]:
    """Called in each cycle: the use (``engine.cycle_use``) of the multiply-adder of row 0, column 0, if it has one."""
    control = probe["control"]

    def use() -> str | None:
        operation = int(control.pe) & _OPERATION_MASK
        if operation == Operation.QK or (operation == Operation.PV and control.left != Left.ONE):
            return "products"
        return "softmax" if operation else None

    return use

"""What each part of the array does in each cycle of the steady state, read off the plans of a dataflow.

The published dataflow's come from its execution plans and the rule by which they overlap, stream's from its timetable;
nothing is written down twice. All is about column 0: column c does the same c cycles later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import iteration_cycles
from myhdl_fsa.dataflows.fsa import plan as fsa
from myhdl_fsa.dataflows.fsa.control import Accumulator, Comparator
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.dataflows.stream import timetable as stream
from myhdl_fsa.dataflows.stream.control import Accumulate, Compare, Lane, Left, Operation
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.isa import Function

__all__ = [
    "ACCUMULATORS",
    "Activity",
    "COMPARATORS",
    "DOWN",
    "LANE",
    "LEFT_EDGE",
    "Slots",
    "UP",
    "Work",
    "pe_row",
    "slots",
    "steady_state",
    "waits",
]

LEFT_EDGE = "left edge"
"""what is asked for in this cycle and enters row 0, or row N-1 where waves rise, in the next"""
COMPARATORS = "comparator"
ACCUMULATORS = "accumulator"
LANE = "return lane"
"""where stream's scores set out on their way up"""
UP = "row 0, up"
DOWN = "row 0, down"


class Work(Enum):
    """What is done: a wave through the array, by the letter that drawings have for it, or a move that computes nothing.

    ``multiplies`` is about what a wave does in the PEs.
    """

    QUERY = "Q"
    SCORE = "K"
    SUBTRACT = "-"
    SCALE = "*"
    EXP2 = "e"
    SUM = "+"
    VALUE = "V"
    RETURN = "s"
    MAXIMUM = "m"
    ZERO = "0"

    @property
    def multiplies(self) -> bool:
        """Whether it takes a multiply-adder."""
        return self.value in "K-*e+V"


@dataclass(frozen=True)
class Activity:
    """One thing in one cycle."""

    unit: str
    """``pe_row(r)``, or one of the names above"""
    cycle: int
    work: Work
    tile: int
    """the K/V tile that it is for"""


@dataclass(frozen=True)
class Slots:
    """What becomes of the cycles of one multiply-adder in an iteration; they sum up to ``cycles``."""

    cycles: int
    products: int
    """with rows of K and V"""
    softmax: int
    """steps of it with a result"""
    dropped: int
    """exponential pieces computed and dropped, for they are not the value's own"""
    idle: int


def pe_row(row: int) -> str:
    """The name of a row's unit."""
    return f"PE row {row}"


def steady_state(config: Config, first: int, last: int, rows: Sequence[int] | None = None) -> list[Activity]:
    """All that goes on from cycle ``first`` to before ``last``, by cycle, on a machine that has been at it for ever.

    Cycle 0 is that of tile 0's first activity. Of the rows of PEs only ``rows`` are looked at, None for all.
    """
    period = iteration_cycles(config)
    # a tile is under way for some iterations
    around = range(first // period - 4, last // period + 5)
    looked_at = range(config.rows) if rows is None else rows
    every = (_published if config.dataflow == "fsa" else _stream)(config, around, looked_at)
    start = min(item.cycle for item in every if item.tile == 0)
    shifted = (Activity(item.unit, item.cycle - start, item.work, item.tile) for item in every)
    return sorted((item for item in shifted if first <= item.cycle < last), key=lambda item: item.cycle)


def slots(config: Config, row: int = 0) -> Slots:
    """Of the PE of a row."""
    period = iteration_cycles(config)
    works = [item.work for item in steady_state(config, 0, period, [row])
             if item.unit == pe_row(row) and item.work.multiplies]
    products = works.count(Work.SCORE) + works.count(Work.VALUE)
    dropped = works.count(Work.EXP2) - 1
    return Slots(period, products, len(works) - products - dropped, dropped, period - len(works))


def waits(config: Config) -> dict[str, int]:
    """Row 0's idle cycles in the published dataflow, by what is waited for.

    Keys: ``turn``, the maximum after the last score; ``drain``, the end of the row sum and of P V below; ``query``, Q
    shifting in; ``rise``, the first wave of scores on its way to row 0.
    """
    period = iteration_cycles(config)
    found = dict.fromkeys(("turn", "drain", "query", "rise"), 0)
    busy = {item.cycle: item.work for item in steady_state(config, -period, period, [0]) if item.unit == pe_row(0)}
    for cycle in range(period):
        if cycle not in busy:
            before = next(busy[past] for past in range(cycle, -period, -1) if past in busy)
            found[{Work.SCORE: "turn", Work.VALUE: "drain", Work.QUERY: "rise"}[before]] += 1
        elif busy[cycle] is Work.QUERY:
            found["query"] += 1
    return found


_SEQUENCE = (Function.LOAD_STATIONARY, Function.ATTN_SCORE, Function.ATTN_VALUE)
_COMPARE = {Comparator.UPDATE: Work.SCORE, Comparator.PROP_MAX: Work.SUBTRACT, Comparator.PROP_MAX_DIFF: Work.SCALE,
            Comparator.PROP_EXP2_INTERCEPTS: Work.EXP2, Comparator.PROP_ZERO: Work.SUM}


def _published(config: Config, tiles: range, rows: Sequence[int]) -> list[Activity]:
    by_function = {plan.function: plan for plan in plans(config)}
    sequence = [by_function[function] for _ in tiles for function in _SEQUENCE]
    found: list[Activity] = []
    for index, (plan, accepted) in enumerate(zip(sequence, _accepted(sequence), strict=True)):
        for unit, cycle, work in _of_plan(plan, rows):
            found.append(Activity(unit, accepted + 1 + cycle, work, tiles[index // len(_SEQUENCE)]))
    return found


def _accepted(sequence: Sequence[fsa.ExecutionPlan]) -> list[int]:
    """When each is accepted (docs/specification.md section 3): two sequencers in turn, the later one held back."""
    accepted: list[int] = []
    for index in range(len(sequence)):
        free = accepted[index - 2] + sequence[index - 2].busy_cycles + 1 if index > 1 else 0
        allowed = accepted[index - 1] + sequence[index - 1].next_may_start + 1 if index else 0
        accepted.append(max(free, allowed))
    return accepted


def _of_plan(plan: fsa.ExecutionPlan, rows: Sequence[int]) -> Iterator[tuple[str, int, Work]]:
    """Units, cycles and works of one instruction."""
    last_row = plan.rows - 1
    flows = [entry for entry in plan.entries if isinstance(entry, fsa.Flow)]
    # what enters on the left meets its flow one cycle later
    entering = {flow.start: work for flow in flows if (work := _wave(flow, plan)) is not None}
    final = Work.SUM if plan.function == Function.ATTN_SCORE else Work.VALUE
    for entry in plan.entries:
        for cycle in range(entry.start, entry.start + entry.repeat):
            match entry:
                case fsa.Flow():
                    work, signals = _wave(entry, plan), entry.signals.split()
                    if work is not None:
                        for row in rows:
                            later = {fsa.Direction.DOWN: row, fsa.Direction.UP: last_row - row}.get(entry.direction, 0)
                            yield pe_row(row), cycle + later, work
                    at_top = cycle + (last_row if entry.direction is fsa.Direction.UP else 0)
                    if "flow_du" in signals or ("mac" in signals and "acc_ui" not in signals):
                        yield UP, at_top, work or Work.ZERO
                    if "flow_ud" in signals or ("mac" in signals and "acc_ui" in signals):
                        yield DOWN, at_top, work or Work.RETURN
                case fsa.ScratchpadRead():
                    yield LEFT_EDGE, cycle, entering[entry.start + 1]
                case fsa.Compare():
                    yield COMPARATORS, cycle, _COMPARE[entry.command]
                case fsa.Accumulate():
                    works = {Accumulator.EXP_S1: Work.SCALE, Accumulator.EXP_S2: Work.EXP2}
                    yield ACCUMULATORS, cycle, works.get(entry.command, final)


def _wave(flow: fsa.Flow, plan: fsa.ExecutionPlan) -> Work | None:
    """What the flow is to the PEs' registers; None for one that only passes something on, or keeps it."""
    signals = flow.signals.split()
    if "load_reg_li" in signals:
        return Work.QUERY
    if "exp2" in signals:
        return Work.EXP2
    if "update_reg" in signals:
        return Work.SUBTRACT if "acc_ui" in signals else Work.SCALE
    if "mac" not in signals:
        return None
    if "acc_ui" not in signals:
        return Work.SCORE
    return Work.SUM if plan.function == Function.ATTN_SCORE else Work.VALUE


def _stream(config: Config, tiles: range, rows: Sequence[int]) -> list[Activity]:
    times = Times.of(config)
    score, value = stream.attention_score(times), stream.attention_value(times)
    taken = {slot % times.period for wave in value.waves if wave.operation
             for slot in range(wave.start, wave.start + wave.repeat)}
    found: list[Activity] = []
    for tile in tiles:
        # an ATTN_VALUE starts with the ATTN_SCORE of the tile that is ``slots`` further on beside it
        start = (tile + times.slots) * times.period - times.lambda_
        in_array = [(start + slot, wave) for wave in value.waves if wave.operation
                    for slot in range(wave.start, wave.start + wave.repeat)]
        (scores,) = score.waves
        # its waves go into slots that no ATTN_VALUE uses
        free = (slot for slot in range(tile * times.period, (tile + 2) * times.period)
                if (slot + times.lambda_) % times.period not in taken)
        in_array += [(next(free), scores) for _ in range(scores.repeat)]
        for slot, wave in in_array:
            found += (Activity(unit, cycle, work, tile) for unit, cycle, work in _of_wave(slot, wave, times, rows))
        for words in value.lane:
            work = Work.RETURN if words.word == Lane.SCORE else Work.MAXIMUM
            for word in range(words.repeat):
                cycle = start + words.start + word * times.ring
                found += [Activity(LANE, cycle, work, tile), Activity(UP, cycle + times.rows, work, tile)]
    return found


def _of_wave(
    slot: int, wave: stream.Wave, times: Times, rows: Sequence[int]
) -> Iterator[tuple[str, int, Work]]:
    """Units, cycles and works of the wave of a slot."""
    works = {Operation.QK: Work.SCORE, Operation.PASS: Work.SUBTRACT, Operation.SUB: Work.SUBTRACT,
             Operation.SCALE: Work.SCALE, Operation.EXP: Work.EXP2,
             Operation.PV: Work.SUM if wave.left == Left.ONE else Work.VALUE}
    work = works[wave.operation]
    if wave.left != Left.NONE:
        yield LEFT_EDGE, slot - 1, work
    for row in rows:
        yield pe_row(row), slot + times.hop * row, work
    if wave.operation in (Operation.QK, Operation.PASS, Operation.SUB, Operation.PV):
        yield DOWN, slot, work
    if wave.compare in (Compare.UPDATE, Compare.DIFF, Compare.SEND):
        yield COMPARATORS, slot + times.to_comparator, work
    if wave.accumulate in (Accumulate.EXP_S1, Accumulate.EXP_S2, Accumulate.ACC_SUM, Accumulate.ACC_SA):
        yield ACCUMULATORS, slot + times.to_accumulator, work

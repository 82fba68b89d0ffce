"""The accumulators' queue: ACC_RECIPROCAL and ATTN_LSE_NORM, beside what the waves of ATTN_VALUEs do there."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import Accumulate
from myhdl_fsa.dataflows.stream.controller.words import QUEUE_DEPTH, RELEASE, TAG_WIDTH, accumulator_word, counter
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.isa import Function
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["AccumulatorState", "accumulator_queue"]


class AccumulatorState:
    """What the others know of the accumulators' queue."""

    def __init__(self) -> None:
        self.tailed = unsigned(QUEUE_DEPTH.bit_length())
        """words in the queue"""
        self.late = unsigned(1)
        """the reciprocal still needs the accumulators when an ATTN_VALUE that starts now comes there"""
        self.under_way = unsigned(1)
        """combinational"""


@block
def accumulator_queue(
    clock: Any, reset: Any, instruction: Any, accepted: Any, start_value: Any, value_state: Any, wave: Any, head: Any,
    state: Any, control: Any, ended_norm: Any, ended_reciprocal: Any, config: Config, times: Times,
) -> Any:
    """Holds ``QUEUE_DEPTH`` instructions in order; a division is one cycle, NORM takes the cycles that are left.

    Ports
        instruction       in     ``MatrixInstruction``, accepted when ``valid`` and ``ready``
        accepted          in     ``TAG_WIDTH``, ATTN_VALUEs accepted
        start_value       in  1  an ATTN_VALUE starts
        value_state       in     ``ValueState``
        wave              in     ``ValueWave``
        head              out    ``Word`` of ``accumulator_word``, the oldest
        state             out    ``AccumulatorState``
        control           out    ``SlotControl``: its ``accumulate``, ``accumulator_row``, ``zero`` and ``divide``
        ended_norm        out    ``Ended``
        ended_reciprocal  out    ``Ended``

    ``control`` is a register behind the slot of ``wave``. Source: docs/stream.md.
    """
    layout = accumulator_word(config)
    low, mask = layout.low, layout.mask
    norm_at, row_at, stride_at, releases_at = low["norm"], low["row"], low["stride"], low["releases"]
    tag_mask, row_mask, releases_mask = mask["tag"], mask["row"], mask["releases"]
    tag_half = 1 << (TAG_WIDTH - 1)
    semaphore_at, semaphore_value_at = RELEASE.low["semaphore"], RELEASE.low["value"]
    reciprocal, norm, normalise = Function.ACC_RECIPROCAL, Function.ATTN_LSE_NORM, Accumulate.NORM
    newton = int(config.reciprocal == "newton")
    latency, last_row = times.reciprocal, times.rows - 1
    last_start = times.lead + times.latency
    # a store that starts at the release reads no row before it is written: all have started, one a cycle at least
    release_cycles = times.to_comparator + times.latency
    settles = times.settles
    queue0, queue1, queue2, queue3 = (unsigned(layout.width) for _ in range(4))
    dividing, rows_done = counter(latency), counter(times.rows)
    norm_row = unsigned(address_width(config.accumulator_rows))
    norm_wait, norm_releases = counter(release_cycles), unsigned(RELEASE.width)
    divides, normalises = unsigned(1), unsigned(1)

    @always_comb
    def show() -> None:
        word = int(queue0)
        head.tag.next = word & tag_mask
        head.norm.next = (word >> norm_at) & 1
        head.row.next = (word >> row_at) & row_mask
        head.stride.next = (word >> stride_at) & row_mask
        head.releases.next = (word >> releases_at) & releases_mask

    @always_comb
    def choose() -> None:
        begins = 0
        takes = 0
        if state.tailed != 0:
            after_rows = (int(value_state.valued) - int(head.tag)) & tag_mask
            after_sums = (int(value_state.summed) - int(head.tag)) & tag_mask
            if head.norm:
                if after_rows < tag_half and dividing == 0 and wave.accumulate == 0:
                    takes = 1
                    if settles:
                        # nor right behind another NORM, of the same rows perhaps
                        if norm_wait == release_cycles:
                            takes = 0
            elif newton:
                if after_rows < tag_half and not value_state.leading and not start_value:
                    begins = 1
            else:
                if after_sums < tag_half and dividing == 0:
                    begins = 1
        divides.next = begins
        normalises.next = takes
        state.under_way.next = begins != 0 or takes != 0 or dividing != 0

    @always(clock.posedge)
    def move() -> None:
        count = int(state.tailed)
        divisions = int(dividing)
        releasing = int(norm_wait)
        accumulates = int(wave.accumulate)
        row = int(wave.accumulator_row)
        old_zero = int(wave.zero)
        takes = int(divides)
        ended_norm.due.next = releasing == 1
        if releasing == 1:
            ended_norm.releases.next = norm_releases
        if releasing != 0:
            releasing = releasing - 1
        if divisions != 0:
            divisions = divisions - 1
        if divides:
            divisions = latency
            ended_reciprocal.releases.next = head.releases
        if normalises:
            accumulates = normalise
            old_zero = 0
            row = int(norm_row)
            if rows_done == 0:
                row = int(head.row)
            norm_row.next = (row + int(head.stride)) & row_mask
            if rows_done == last_row:
                rows_done.next = 0
                takes = 1
                releasing = release_cycles
                norm_releases.next = head.releases
            else:
                rows_done.next = rows_done + 1
        ended_reciprocal.due.next = divides
        norm_wait.next = releasing
        dividing.next = divisions
        state.late.next = divisions > last_start
        control.accumulate.next = accumulates
        control.accumulator_row.next = row
        control.zero.next = old_zero != 0
        control.divide.next = divides
        if takes != 0:
            queue0.next = queue1
            queue1.next = queue2
            queue2.next = queue3
            count = count - 1
        code = int(instruction.function)
        if instruction.valid and instruction.ready and (code == reciprocal or code == norm):
            releases = (
                int(instruction.release) | (int(instruction.semaphore) << semaphore_at)
                | (int(instruction.release_value) << semaphore_value_at)
            )
            word = (
                int(accepted) | (int(instruction.accumulator_row) << row_at)
                | (int(instruction.accumulator_stride) << stride_at) | (releases << releases_at)
            )
            if code == norm:
                word = word | (1 << norm_at)
            if count == 0:
                queue0.next = word
            elif count == 1:
                queue1.next = word
            elif count == 2:
                queue2.next = word
            else:
                queue3.next = word
            count = count + 1
        state.tailed.next = count
        if reset:
            state.tailed.next = 0
            state.late.next = 0
            dividing.next = 0
            rows_done.next = 0
            norm_wait.next = 0
            ended_norm.due.next = 0
            ended_reciprocal.due.next = 0
            control.accumulate.next = 0
            control.divide.next = 0

    return show, choose, move

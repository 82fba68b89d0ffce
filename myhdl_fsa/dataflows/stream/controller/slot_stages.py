"""What the controller sends, and the registers that a slot's word passes before."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import (
    LATCH_P,
    LATCH_Q,
    Accumulate,
    Compare,
    Left,
    Operation,
    addend_at,
    lane_width,
    pe_control_width,
    result_at,
)
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.instruction import hidden_width
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["Slot", "SlotControl", "slot_stages"]


class SlotControl:
    """What the controller sends. All registers; idle is all zero but for rows, which mean nothing then."""

    def __init__(self, config: Config) -> None:
        scratchpad, accumulator = address_width(config.scratchpad_rows), address_width(config.accumulator_rows)
        self.pe = unsigned(pe_control_width(config))
        """for row 0, column 0"""
        self.left = unsigned(Left.WIDTH)
        """what enters row 0 from the left"""
        self.show = unsigned(1)
        """the wave that takes its addend in row 0, column 0, takes -max"""
        self.compare = unsigned(Compare.WIDTH)
        """of the wave of this slot, for column 0"""
        self.hidden = unsigned(hidden_width(config))
        self.lane = unsigned(lane_width(config, Times.of(config).slots))
        """what column 0 sends, and for a score the number of its word in the edge buffer"""
        # one cycle before the slot
        self.row_read = unsigned(1)
        self.row = unsigned(scratchpad)
        self.query_read = unsigned(1)
        self.query_row = unsigned(scratchpad)
        self.accumulate = unsigned(Accumulate.WIDTH)
        self.accumulator_row = unsigned(accumulator)
        self.zero = unsigned(1)
        """the old value of the row is +0"""
        self.divide = unsigned(1)


class Slot:
    """What is sent in the next cycle, beside the rows that are read now. Registers."""

    def __init__(self, config: Config, times: Times) -> None:
        self.operation = unsigned(Operation.WIDTH)
        self.latch_p = unsigned(1)
        self.latch_q = unsigned(1)
        self.left = unsigned(Left.WIDTH)
        self.compare = unsigned(Compare.WIDTH)
        self.hidden = unsigned(hidden_width(config))
        self.lane = unsigned(lane_width(config, times.slots))


@block
def slot_stages(clock: Any, reset: Any, slot: Any, control: Any, config: Config, times: Times) -> Any:
    """A wave's operation again where its addend is taken, and where its result is written.

    Ports
        slot     in   ``Slot``
        control  out  ``SlotControl``: its ``pe``, ``left``, ``show``, ``compare``, ``hidden`` and ``lane``

    One cycle; an operation that comes again is ``mac_stages`` and ``Times.latency`` - 1 cycles later.
    """
    sub, pass_wave = Operation.SUB, Operation.PASS
    latch_p_at, latch_q_at = LATCH_P.bit_length() - 1, LATCH_Q.bit_length() - 1
    stage_count = times.latency - 1
    stages = [unsigned(Operation.WIDTH) for _ in range(max(1, stage_count))]
    last_stage = max(1, stage_count) - 1
    takes_addend, writes_result = times.mac_stages, int(times.hop > 1)
    addend_stage, to_addend, to_result = max(1, takes_addend) - 1, addend_at(config), result_at(config)

    @always(clock.posedge)
    def present() -> None:
        control.pe.next = int(slot.operation) | (int(slot.latch_p) << latch_p_at) | (int(slot.latch_q) << latch_q_at)
        control.show.next = slot.operation == sub
        control.left.next = slot.left
        control.compare.next = slot.compare
        control.hidden.next = slot.hidden
        control.lane.next = slot.lane
        if reset:
            control.pe.next = 0
            control.show.next = 0
            control.compare.next = 0
            control.lane.next = 0

    @always(clock.posedge)
    def present_again() -> None:
        for stage in range(last_stage):
            stages[stage + 1].next = stages[stage]
        stages[0].next = slot.operation
        op = int(slot.operation)
        bits = op | (int(slot.latch_p) << latch_p_at) | (int(slot.latch_q) << latch_q_at)
        if takes_addend:
            op = int(stages[addend_stage])
            bits = bits | (op << to_addend)
        if writes_result:
            bits = bits | (int(stages[last_stage]) << to_result)
        control.pe.next = bits
        control.show.next = op == sub or op == pass_wave
        control.left.next = slot.left
        control.compare.next = slot.compare
        control.hidden.next = slot.hidden
        control.lane.next = slot.lane
        if reset:
            for stage in range(stage_count):
                stages[stage].next = 0
            control.pe.next = 0
            control.show.next = 0
            control.compare.next = 0
            control.lane.next = 0

    return present_again if stage_count else present

"""The core of the stream dataflow: controller, scratchpads, skews, array, accumulators and accumulator RAM.

    instruction -> matrix_controller -> a slot word a cycle for everything below
    K/V scratchpad -> diagonal -> systolic -> output_skew -> accumulator <-> accumulator RAM
      Q scratchpad -> diagonal -> the bottom of the return lane
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.accumulator import accumulator
from myhdl_fsa.dataflows.stream.array import TOP_WIDTH, systolic
from myhdl_fsa.dataflows.stream.control import Accumulate, Capture, Compare, Lane, Left, lane_width
from myhdl_fsa.dataflows.stream.controller import SlotControl, matrix_controller
from myhdl_fsa.dataflows.stream.delay import delay_line, diagonal
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.instruction import hidden_width
from myhdl_fsa.ram import ram
from myhdl_fsa.signals import address_width, unsigned
from myhdl_fsa.skew import output_skew

__all__ = ["QUEUES", "core"]

QUEUES = True
"""an instruction that is accepted waits until it can start"""


@block
def core(
    clock: Any, reset: Any, instruction: Any, release: Any, busy: Any, scratchpad_write: Any, accumulator_read: Any,
    scale: Any, config: Config, probe: dict[str, Any] | None = None,
) -> Any:
    """The machine without its front end and DMA; the ports are those of ``dataflows.fsa.core.core``.

    Ports
        instruction       in   ``MatrixInstruction``, valid/ready
        release           out  ``SemaphoreRelease``
        busy              out  1
        scratchpad_write  in   ``ScratchpadWrite``; the first 2*cols rows are the Q scratchpad, the rest is K's and V's
        accumulator_read  in   ``AccumulatorReadPort``; ready whenever the core does not read itself
        scale             in   ``ScalePort``

    The skew is fixed: rows of K and V enter reversed and delayed, whatever an instruction's flags say. ``probe``, when
    given, receives the internal signals that a test bench watches.
    """
    times = Times.of(config)
    rows, cols, elem, acc = config.rows, config.cols, config.elem, config.acc
    query_rows = 2 * cols
    key_rows = config.scratchpad_rows - query_rows
    accumulator_address = address_width(config.accumulator_rows)
    control = SlotControl(config)

    row_data, query_data = unsigned(rows * elem.width), unsigned(cols * elem.width)
    key_row, key_write_row = unsigned(address_width(key_rows)), unsigned(address_width(key_rows))
    query_row, query_write_row = unsigned(address_width(query_rows)), unsigned(address_width(query_rows))
    key_write, query_write = unsigned(1), unsigned(1)
    left, queries = unsigned(rows * elem.width), unsigned(cols * elem.width)
    entering = unsigned(rows * elem.width)
    bottom, from_array = unsigned(cols * acc.width), unsigned(cols * acc.width)

    hidden_bits = hidden_width(config)
    compared, compare_now = unsigned(Compare.WIDTH + hidden_bits), unsigned(Compare.WIDTH + hidden_bits)
    command, hidden = unsigned(Compare.WIDTH), unsigned(hidden_bits)
    lane_bits = lane_width(config, times.slots)
    captured, top = unsigned(lane_bits), unsigned(TOP_WIDTH)
    accumulate_width = Accumulate.WIDTH + 2 + accumulator_address
    accumulate_word, accumulate_now = unsigned(accumulate_width), unsigned(accumulate_width)
    accumulate, divide, zero = unsigned(Accumulate.WIDTH), unsigned(1), unsigned(1)
    ram_read, ram_write = unsigned(1), unsigned(1)
    written, written_later = unsigned(1 + accumulator_address), unsigned(1 + accumulator_address)
    ram_read_row, ram_write_row = unsigned(accumulator_address), unsigned(accumulator_address)
    ram_data = accumulator_read.data
    old_row, new_row = unsigned(cols * acc.width), unsigned(cols * acc.width)

    controller = matrix_controller(clock, reset, instruction, control, release, busy, config, probe)
    write_data = scratchpad_write.data
    scratchpad = ram(clock, control.row_read, key_row, row_data, key_write, key_write_row, write_data, key_rows)
    query_scratchpad = ram(
        clock, control.query_read, query_row, query_data, query_write, query_write_row, write_data, query_rows
    )
    enter = diagonal(clock, entering, left, rows, elem.width, times.hop)
    enter_queries = diagonal(clock, query_data, queries, cols, elem.width)
    array = systolic(
        clock, reset, control.pe, top, command, hidden, control.lane, left, queries, bottom, config, times.slots,
        probe,
    )
    leave = output_skew(clock, bottom, from_array, cols, acc.width)
    accumulators = accumulator(clock, reset, accumulate, divide, from_array, old_row, scale.acc, new_row, config, probe)
    accumulator_ram = ram(
        clock, ram_read, ram_read_row, ram_data, ram_write, ram_write_row, new_row, config.accumulator_rows
    )
    to_comparator = delay_line(clock, reset, compared, compare_now, times.to_comparator)
    to_top = delay_line(clock, reset, control.lane, captured, times.rows + 1)
    to_accumulator = delay_line(clock, reset, accumulate_word, accumulate_now, times.to_accumulator)

    if times.latency > 1:
        to_write = [delay_line(clock, reset, written, written_later, times.latency - 1)]
    else:
        to_write, written_later = [], written

    one, factor = elem.one, scale.elem
    left_one, left_scale = Left.ONE, Left.SCALE
    elem_width, elem_mask, last_row = elem.width, (1 << elem.width) - 1, rows - 1
    max_low, max_high, low, high, show_at = Lane.MAX_LOW, Lane.MAX_HIGH, Capture.LOW, Capture.HIGH, Capture.WIDTH
    hidden_at, compare_mask = Compare.WIDTH, (1 << Compare.WIDTH) - 1
    zero_at, divide_at, row_at = Accumulate.WIDTH, Accumulate.WIDTH + 1, Accumulate.WIDTH + 2
    kind_mask, accumulate_mask = (1 << Lane.WIDTH) - 1, (1 << Accumulate.WIDTH) - 1
    acc_sum, query_mask = Accumulate.ACC_SUM, (1 << len(query_row)) - 1

    @always_comb
    def addresses() -> None:
        key_row.next = 0
        if control.row_read:
            key_row.next = int(control.row) - query_rows
        query_row.next = int(control.query_row) & query_mask

    @always_comb
    def write() -> None:
        key_write.next = 0
        query_write.next = 0
        key_write_row.next = 0
        query_write_row.next = 0
        if scratchpad_write.valid:
            if scratchpad_write.row < query_rows:
                query_write.next = 1
                query_write_row.next = scratchpad_write.row
            else:
                key_write.next = 1
                key_write_row.next = int(scratchpad_write.row) - query_rows

    @always_comb
    def reverse() -> None:
        word = 0
        if control.left == left_one:
            for r in range(rows):
                word = word | (one << (r * elem_width))
        elif control.left == left_scale:
            for r in range(rows):
                word = word | (int(factor) << (r * elem_width))
        else:
            for r in range(rows):
                word = word | (((row_data >> (r * elem_width)) & elem_mask) << ((last_row - r) * elem_width))
        entering.next = word

    @always_comb
    def compose() -> None:
        compared.next = int(control.compare) | (int(control.hidden) << hidden_at)
        accumulate_word.next = (
            int(control.accumulate) | (int(control.zero) << zero_at) | (int(control.divide) << divide_at)
            | (int(control.accumulator_row) << row_at)
        )

    @always_comb
    def compare() -> None:
        command.next = int(compare_now) & compare_mask
        hidden.next = int(compare_now) >> hidden_at

    @always_comb
    def top_control() -> None:
        bits = 0
        kind = int(captured) & kind_mask
        if kind == max_low:
            bits = low
        if kind == max_high:
            bits = high
        top.next = bits | (int(control.show) << show_at)

    @always_comb
    def share_read_port() -> None:
        word = int(accumulate_now)
        # EXP_S1 and EXP_S2 have no row; a row whose old value is zero is only written
        if (word & accumulate_mask) >= acc_sum and ((word >> zero_at) & 1) == 0:
            ram_read.next = 1
            ram_read_row.next = word >> row_at
        else:
            ram_read.next = accumulator_read.valid
            ram_read_row.next = accumulator_read.row

    # apart from what depends on the request, so that the answer does not seem to
    @always_comb
    def answer() -> None:
        word = int(accumulate_now)
        accumulator_read.ready.next = (word & accumulate_mask) < acc_sum or ((word >> zero_at) & 1) != 0

    @always(clock.posedge)
    def write_back() -> None:
        word = int(accumulate_now)
        zero.next = (word >> zero_at) & 1
        if reset:
            accumulate.next = 0
            divide.next = 0
            written.next = 0
        else:
            accumulate.next = word & accumulate_mask
            divide.next = (word >> divide_at) & 1
            written.next = ((word >> row_at) << 1) | int((word & accumulate_mask) >= acc_sum)

    @always_comb
    def write_result() -> None:
        ram_write.next = written_later[0]
        ram_write_row.next = written_later[:1]

    @always_comb
    def old_value() -> None:
        if zero:
            old_row.next = 0
        else:
            old_row.next = ram_data

    if probe is not None:
        probe.update(from_array=from_array, accumulate=accumulate, old_row=old_row, new_row=new_row,
                     accumulate_now=accumulate_now, ram_read=ram_read, captured=captured, times=times)
    return (controller, scratchpad, query_scratchpad, enter, enter_queries, array, leave, accumulators, accumulator_ram,
            to_comparator, to_top, to_accumulator, to_write, addresses, write, reverse, compose, compare, top_control,
            share_read_port, answer, write_back, write_result, old_value)

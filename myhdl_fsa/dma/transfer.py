"""The DMA requests of one direction: takes a request's semaphore, hands its rows out to the ports, and releases.

Both directions are this block: it knows neither bursts nor beats.
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.fifo import Stream
from myhdl_fsa.frontend.decoder import NUMBER_WIDTH, Fault
from myhdl_fsa.frontend.semaphores import SemaphoreAcquire
from myhdl_fsa.instruction import SEMAPHORE_VALUE_WIDTH, SEMAPHORE_WIDTH, SemaphoreRelease
from myhdl_fsa.isa import MEMORY_ADDRESS_WIDTH, WORD_WIDTH, Dma
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["COUNT_WIDTH", "ROW_WIDTH", "Row", "RowDone", "tag_width", "transfer"]

ROW_WIDTH = Dma.LAYOUT["row"].width
"""bits of a row of either RAM in an instruction; ``Row`` has as many as the RAM needs"""
COUNT_WIDTH = Dma.LAYOUT["rows"].width


def tag_width(inflight: int) -> int:
    """Bits of the number of a request under way."""
    return address_width(inflight)


class Row:
    """A row to be moved: byte address in memory, row of the RAM, and the request it belongs to."""

    def __init__(self, inflight: int, row_width: int = ROW_WIDTH) -> None:
        self.valid = unsigned(1)
        self.ready = unsigned(1)
        self.address = unsigned(MEMORY_ADDRESS_WIDTH)
        self.row = unsigned(row_width)
        self.tag = unsigned(tag_width(inflight))


class RowDone:
    """A row that has arrived, or a response that is not OKAY, and the request it belongs to."""

    def __init__(self, inflight: int) -> None:
        self.valid = unsigned(1)
        self.failed = unsigned(1)
        """stays 1 until the device is reset"""
        self.tag = unsigned(tag_width(inflight))
        self.failed_tag = unsigned(tag_width(inflight))


@block
def transfer(
    clock: Any, reset: Any, stopped: Any, requests: Stream, acquire: SemaphoreAcquire, release: SemaphoreRelease,
    rows: Row, done: RowDone, fault: Fault, active: Any, config: Config, inflight: int, error_code: int,
) -> Any:
    """At most ``inflight`` requests past their semaphores; a row a cycle; released in order, each when it is complete.

    Ports
        stopped   in   1   take no further request
        requests  in   Stream of 160: a checked DMA instruction and its number
        acquire   out  SemaphoreAcquire
        release   out  SemaphoreRelease, from registers
        rows      out  Row, from registers
        done      in   RowDone
        fault     out  Fault: ``error_code``, about the instruction whose row failed
        active    out  1   a request past its semaphore is under way

    The first row comes the cycle after the semaphore was taken. Source: docs/specification.md section 4.
    """
    layout = Dma.LAYOUT
    # of each request under way: rows that have not arrived, what it releases, its number
    remaining = [unsigned(COUNT_WIDTH) for _ in range(inflight)]
    releases = [unsigned(1 + SEMAPHORE_WIDTH + SEMAPHORE_VALUE_WIDTH) for _ in range(inflight)]
    numbers = [unsigned(NUMBER_WIDTH) for _ in range(inflight)]
    head, tail = unsigned(tag_width(inflight)), unsigned(tag_width(inflight))
    flying = unsigned(max(2, inflight.bit_length()))
    left, stride = unsigned(COUNT_WIDTH), unsigned(len(rows.row))
    memory_stride = unsigned(layout["memory_stride"].total_width)
    start, complete = unsigned(1), unsigned(1)

    acquire_low, acquire_value_low = layout["acquire"].low, layout["acquire_value"].low
    semaphore_low, semaphore_mask = layout["semaphore"].low, (1 << SEMAPHORE_WIDTH) - 1
    release_low, release_value_low = layout["release"].low, layout["release_value"].low
    value_mask = (1 << SEMAPHORE_VALUE_WIDTH) - 1
    rows_low, rows_mask = layout["rows"].low, (1 << layout["rows"].width) - 1
    row_low, row_mask = layout["row"].low, (1 << len(rows.row)) - 1
    stride_low, stride_bits = layout["stride"].low, layout["stride"].width
    stride_mask, stride_sign, stride_size = (1 << stride_bits) - 1, 1 << (stride_bits - 1), 1 << stride_bits
    address_low, address_mask = layout["address"].low, (1 << MEMORY_ADDRESS_WIDTH) - 1
    low_part, low_width = layout["memory_stride"].low, layout["memory_stride"].width
    low_mask = (1 << low_width) - 1
    high_part, high_width = layout["memory_stride"].high_part or (0, 0)
    high_mask = (1 << high_width) - 1
    memory_sign, memory_size = 1 << (len(memory_stride) - 1), 1 << len(memory_stride)
    number_low, number_mask = WORD_WIDTH * Dma.WORDS, (1 << NUMBER_WIDTH) - 1
    valid_bit, semaphore_bit = SEMAPHORE_WIDTH + SEMAPHORE_VALUE_WIDTH, SEMAPHORE_VALUE_WIDTH
    last_place = inflight - 1

    @always_comb
    def ask() -> None:
        word = int(requests.data)
        free = not rows.valid and flying < inflight and not stopped
        acquire.valid.next = bool(requests.valid) and free and ((word >> acquire_low) & 1) != 0
        acquire.semaphore.next = (word >> semaphore_low) & semaphore_mask
        acquire.value.next = (word >> acquire_value_low) & value_mask

    @always_comb
    def launch() -> None:
        free = not rows.valid and flying < inflight and not stopped
        needs = ((requests.data >> acquire_low) & 1) != 0
        start.next = bool(requests.valid) and free and (not needs or bool(acquire.ready))

    @always_comb
    def outputs() -> None:
        requests.ready.next = start
        active.next = flying != 0

    @always_comb
    def finish() -> None:
        complete.next = flying != 0 and remaining[int(head)] == 0

    @always(clock.posedge)
    def walk() -> None:
        release.valid.next = 0
        if reset:
            rows.valid.next = 0
            head.next = 0
            tail.next = 0
            flying.next = 0
            fault.valid.next = 0
        else:
            if start:
                word = int(requests.data)
                row_step = (word >> stride_low) & stride_mask
                count = (word >> rows_low) & rows_mask
                if row_step >= stride_sign:
                    row_step = row_step - stride_size
                rows.valid.next = count != 0
                rows.address.next = (word >> address_low) & address_mask
                rows.row.next = (word >> row_low) & row_mask
                rows.tag.next = tail
                left.next = count
                stride.next = row_step & row_mask
                memory_stride.next = (
                    ((word >> low_part) & low_mask) | (((word >> high_part) & high_mask) << low_width)
                )
                remaining[int(tail)].next = count
                numbers[int(tail)].next = (word >> number_low) & number_mask
                releases[int(tail)].next = (
                    (((word >> release_low) & 1) << valid_bit)
                    | (((word >> semaphore_low) & semaphore_mask) << semaphore_bit)
                    | ((word >> release_value_low) & value_mask)
                )
                if tail == last_place:
                    tail.next = 0
                else:
                    tail.next = tail + 1
            elif rows.valid and rows.ready:
                if left == 1:
                    rows.valid.next = 0
                left.next = int(left) - 1
                byte_step = int(memory_stride)
                if byte_step >= memory_sign:
                    byte_step = byte_step - memory_size
                rows.address.next = (int(rows.address) + byte_step) & address_mask
                rows.row.next = (int(rows.row) + int(stride)) & row_mask
            if done.valid:
                remaining[int(done.tag)].next = int(remaining[int(done.tag)]) - 1
            if complete:
                what = int(releases[int(head)])
                release.valid.next = what >> valid_bit
                release.semaphore.next = (what >> semaphore_bit) & semaphore_mask
                release.value.next = what & value_mask
                if head == last_place:
                    head.next = 0
                else:
                    head.next = head + 1
            if start and not complete:
                flying.next = flying + 1
            elif complete and not start:
                flying.next = flying - 1
            if done.failed and not fault.valid:
                fault.valid.next = 1
                fault.code.next = error_code
                fault.number.next = numbers[int(done.failed_tag)]

    return ask, launch, outputs, finish, walk

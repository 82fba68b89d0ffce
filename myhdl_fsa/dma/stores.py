"""Stores: from the accumulator RAM to memory."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.axi import Channels
from myhdl_fsa.config import Config
from myhdl_fsa.core import AccumulatorReadPort
from myhdl_fsa.dma.elements import resize
from myhdl_fsa.dma.share import collect, hand_out, port_bits
from myhdl_fsa.dma.store_port import store_port
from myhdl_fsa.dma.transfer import Row, RowDone, tag_width, transfer
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.fifo import Stream
from myhdl_fsa.frontend.decoder import Fault
from myhdl_fsa.frontend.semaphores import SemaphoreAcquire
from myhdl_fsa.instruction import SemaphoreRelease
from myhdl_fsa.isa import MEMORY_ADDRESS_WIDTH
from myhdl_fsa.program import ErrorCode
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["stores"]


@block
def stores(
    clock: Any, reset: Any, stopped: Any, requests: Stream, acquire: SemaphoreAcquire, release: SemaphoreRelease,
    ports: Channels, read: AccumulatorReadPort, done: RowDone, fault: Fault, active: Any, config: Config,
) -> Any:
    """The store direction of the DMA: the core's reads of the accumulator RAM come first, and no row is lost.

    Ports
        stopped           in   1   take no further request
        requests          in   Stream of 160: checked store instructions and their numbers
        acquire, release  out  SemaphoreAcquire, SemaphoreRelease: released when all is in memory
        ports             out  Channels of AxiWrite
        read              out  AccumulatorReadPort
        done              out  RowDone: a row is in memory
        fault             out  Fault
        active            out  1   a request is past its semaphore

    Source: docs/specification.md section 4.
    """
    count, inflight = config.memory_ports, config.store_inflight
    rows = Row(inflight, len(read.row))
    hold, some, which = unsigned(1), unsigned(1), unsigned(address_width(count))
    free_bits, chosen, finished_bits, picked = (port_bits(count) for _ in range(4))
    free, offers, finished, taken, failed = ([unsigned(1) for _ in range(count)] for _ in range(5))
    tags, failed_tags = ([unsigned(tag_width(inflight)) for _ in range(count)] for _ in range(2))
    address, tag = unsigned(MEMORY_ADDRESS_WIDTH), unsigned(tag_width(inflight))
    width, in_memory = config.acc.width, 8 * config.acc.memory_bytes
    data = read.data if width == in_memory else unsigned(8 * config.accumulator_row_bytes)

    walker = transfer(clock, reset, stopped, requests, acquire, release, rows, done, fault, active, config, inflight,
                      int(ErrorCode.WRITE_RESPONSE))
    spread = hand_out(clock, reset, rows, free_bits, chosen, hold, count)
    writers = [
        store_port(clock, reset, address, tag, data, offers[p], free[p], ports[p], finished[p], tags[p], taken[p],
                   failed[p], failed_tags[p], config)
        for p in range(count)
    ]
    fillers = [resize(read.data, data, config.cols, width, in_memory)] if data is not read.data else []
    picker = collect(clock, reset, finished_bits, picked, some, which, count)

    @always_comb
    def gather_bits() -> None:
        room = 0
        answered = 0
        for p in range(count):
            if free[p]:
                room = room | (1 << p)
            if finished[p]:
                answered = answered | (1 << p)
        free_bits.next = room
        finished_bits.next = answered

    @always_comb
    def spread_bits() -> None:
        for p in range(count):
            taken[p].next = (int(picked) >> p) & 1

    @always_comb
    def ask() -> None:
        hold.next = not read.ready
        read.valid.next = chosen != 0
        read.row.next = rows.row

    # the row that was asked for is there in the next cycle, and so is the port's offer
    @always(clock.posedge)
    def follow() -> None:
        for p in range(count):
            offers[p].next = ((int(chosen) >> p) & 1) != 0 and not reset
        address.next = rows.address
        tag.next = rows.tag

    @always(clock.posedge)
    def note() -> None:
        done.valid.next = some and not reset
        done.tag.next = tags[int(which)]
        if reset:
            done.failed.next = 0
        else:
            for p in range(count):
                if failed[p]:
                    done.failed.next = 1
                    done.failed_tag.next = failed_tags[p]

    return walker, spread, writers, fillers, picker, gather_bits, spread_bits, ask, follow, note

"""Loads: from memory into the scratchpad."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.axi import Channels
from myhdl_fsa.config import Config
from myhdl_fsa.core import ScratchpadWrite
from myhdl_fsa.dma.elements import resize
from myhdl_fsa.dma.load_port import load_port
from myhdl_fsa.dma.share import collect, hand_out, port_bits
from myhdl_fsa.dma.transfer import Row, RowDone, tag_width, transfer
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.fifo import Stream
from myhdl_fsa.frontend.decoder import Fault
from myhdl_fsa.frontend.semaphores import SemaphoreAcquire
from myhdl_fsa.instruction import SemaphoreRelease
from myhdl_fsa.program import ErrorCode
from myhdl_fsa.signals import address_width, constant, unsigned

__all__ = ["loads"]


@block
def loads(
    clock: Any, reset: Any, stopped: Any, requests: Stream, acquire: SemaphoreAcquire, release: SemaphoreRelease,
    ports: Channels, write: ScratchpadWrite, done: RowDone, fault: Fault, active: Any, config: Config,
) -> Any:
    """The load direction of the DMA: a row a cycle into the scratchpad, from all memory ports together.

    Ports
        stopped           in   1   take no further request
        requests          in   Stream of 160: checked load instructions and their numbers
        acquire, release  out  SemaphoreAcquire, SemaphoreRelease
        ports             out  Channels of AxiRead
        write             out  ScratchpadWrite
        done              out  RowDone: a row is in the scratchpad
        fault             out  Fault
        active            out  1   a request is past its semaphore

    Source: docs/specification.md section 4.
    """
    count, inflight = config.memory_ports, config.load_inflight
    rows = Row(inflight, len(write.row))
    hold, some, which = constant(1), unsigned(1), unsigned(address_width(count))
    free_bits, chosen, full_bits, picked = (port_bits(count) for _ in range(4))
    free, offers, full, taken, failed = ([unsigned(1) for _ in range(count)] for _ in range(5))
    row_bits = 8 * config.scratchpad_row_bytes
    places, data = ([unsigned(width) for _ in range(count)] for width in (len(write.row), row_bits))
    tags, failed_tags = ([unsigned(tag_width(inflight)) for _ in range(count)] for _ in range(2))
    width, in_memory = config.elem.width, 8 * config.elem.memory_bytes
    elements = data if width == in_memory else [unsigned(len(write.data)) for _ in range(count)]

    walker = transfer(clock, reset, stopped, requests, acquire, release, rows, done, fault, active, config, inflight,
                      int(ErrorCode.READ_RESPONSE))
    spread = hand_out(clock, reset, rows, free_bits, chosen, hold, count)
    readers = [
        load_port(clock, reset, rows, offers[p], free[p], ports[p], places[p], tags[p], data[p], full[p], taken[p],
                  failed[p], failed_tags[p], config)
        for p in range(count)
    ]
    cutters = [resize(data[p], elements[p], config.rows, in_memory, width)
               for p in range(count) if elements is not data]
    picker = collect(clock, reset, full_bits, picked, some, which, count)

    @always_comb
    def gather_bits() -> None:
        room = 0
        complete = 0
        for p in range(count):
            if free[p]:
                room = room | (1 << p)
            if full[p]:
                complete = complete | (1 << p)
        free_bits.next = room
        full_bits.next = complete

    @always_comb
    def spread_bits() -> None:
        for p in range(count):
            offers[p].next = (int(chosen) >> p) & 1
            taken[p].next = (int(picked) >> p) & 1

    # the row is said to be done in the cycle in which the scratchpad takes it
    @always(clock.posedge)
    def arrive() -> None:
        write.valid.next = some and not reset
        done.valid.next = some and not reset
        if some:
            write.row.next = places[int(which)]
            write.data.next = elements[int(which)]
            done.tag.next = tags[int(which)]
        if reset:
            done.failed.next = 0
        else:
            for p in range(count):
                if failed[p]:
                    done.failed.next = 1
                    done.failed_tag.next = failed_tags[p]

    return walker, spread, readers, cutters, picker, gather_bits, spread_bits, arrive

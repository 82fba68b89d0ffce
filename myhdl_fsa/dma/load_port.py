"""One memory port's reads: bursts for the rows it is handed, and their beats gathered into rows."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.axi import BOUNDARY, BOUNDARY_BITS, AxiRead
from myhdl_fsa.config import Config
from myhdl_fsa.dma.transfer import Row
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.isa import MEMORY_ADDRESS_WIDTH
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["load_port"]


@block
def load_port(
    clock: Any, reset: Any, rows: Row, offer: Any, free: Any, bus: AxiRead, place: Any, tag: Any, data: Any,
    full: Any, taken: Any, failed: Any, failed_tag: Any, config: Config,
) -> Any:
    """``config.port_inflight`` rows under way; a row is one INCR burst, or two where it crosses 4 KB.

    Ports
        rows, offer  in   Row and 1: the row is for this port (``rows``' valid and ready are not used)
        free         out  1   there is room for a row
        bus          out  AxiRead
        place, tag, data
                     out  scratchpad row, request, and data with the first beat in the low bits, while ``full``
        full, taken  out, in 1   a row is complete; it is taken in this cycle
        failed, failed_tag
                     out  1 and tag: a response was not OKAY, until reset

    Beats follow each other without a pause while rows are taken. Source: docs/specification.md section 4 (DMA words).
    """
    depth, beats = config.port_inflight, config.scratchpad_row_bytes // config.beat_bytes
    addresses = [unsigned(MEMORY_ADDRESS_WIDTH) for _ in range(depth)]
    places = [unsigned(len(rows.row)) for _ in range(depth)]
    tags = [unsigned(len(rows.tag)) for _ in range(depth)]
    # rows enter at ``last``, are asked for at ``ask`` and gathered at ``first``
    first, ask, last = (unsigned(address_width(depth)) for _ in range(3))
    held, unasked = unsigned(max(2, depth.bit_length())), unsigned(max(2, depth.bit_length()))
    beat = unsigned(max(2, beats.bit_length()))
    # the second burst of a row that crosses 4 KB: its beats, and the multiple of 4 KB at which it begins
    rest, rest_page = unsigned(max(2, beats.bit_length())), unsigned(MEMORY_ADDRESS_WIDTH - BOUNDARY_BITS)
    last_place, last_beat = depth - 1, beats - 1
    beat_width, beat_log, page_bits = 8 * config.beat_bytes, config.beat_bytes.bit_length() - 1, BOUNDARY_BITS
    beats_a_page, high_shift = BOUNDARY // config.beat_bytes, 8 * config.scratchpad_row_bytes - 8 * config.beat_bytes
    beat_mask, page_mask = beats_a_page - 1, (1 << len(rest_page)) - 1
    incrementing = 1

    @always_comb
    def room() -> None:
        free.next = held < depth

    @always_comb
    def accept() -> None:
        bus.rready.next = not full or bool(taken)
        # the same for every burst
        bus.arid.next = 0
        bus.arsize.next = beat_log
        bus.arburst.next = incrementing

    @always(clock.posedge)
    def enter() -> None:
        if reset:
            last.next = 0
        elif offer:
            addresses[int(last)].next = rows.address
            places[int(last)].next = rows.row
            tags[int(last)].next = rows.tag
            if last == last_place:
                last.next = 0
            else:
                last.next = last + 1

    @always(clock.posedge)
    def request() -> None:
        waiting = int(unasked)
        if reset:
            bus.arvalid.next = 0
            ask.next = 0
            unasked.next = 0
            rest.next = 0
        else:
            if bus.arready or not bus.arvalid:
                bus.arvalid.next = 0
                if rest != 0:
                    bus.arvalid.next = 1
                    bus.araddr.next = int(rest_page) << page_bits
                    bus.arlen.next = int(rest) - 1
                    rest.next = 0
                elif waiting != 0:
                    address = int(addresses[int(ask)])
                    fitting = beats_a_page - ((address >> beat_log) & beat_mask)
                    bus.arvalid.next = 1
                    bus.araddr.next = address
                    if fitting < beats:
                        bus.arlen.next = fitting - 1
                        rest.next = beats - fitting
                        rest_page.next = ((address >> page_bits) + 1) & page_mask
                    else:
                        bus.arlen.next = last_beat
                    waiting = waiting - 1
                    if ask == last_place:
                        ask.next = 0
                    else:
                        ask.next = ask + 1
            if offer:
                waiting = waiting + 1
            unasked.next = waiting

    @always(clock.posedge)
    def gather() -> None:
        if bus.rvalid and bus.rready:
            data.next = (int(data) >> beat_width) | (int(bus.rdata) << high_shift)

    # apart from the gathering, whose locals would be as wide as a row
    @always(clock.posedge)
    def count() -> None:
        under_way = int(held)
        if reset:
            beat.next = 0
            full.next = 0
            first.next = 0
            held.next = 0
            failed.next = 0
        else:
            if taken:
                full.next = 0
            if bus.rvalid and bus.rready:
                if beat == last_beat:
                    beat.next = 0
                    full.next = 1
                    place.next = places[int(first)]
                    tag.next = tags[int(first)]
                    under_way = under_way - 1
                    if first == last_place:
                        first.next = 0
                    else:
                        first.next = first + 1
                else:
                    beat.next = beat + 1
                if bus.rresp != 0 and not failed:
                    failed.next = 1
                    failed_tag.next = tags[int(first)]
            if offer:
                under_way = under_way + 1
            held.next = under_way

    return room, accept, enter, request, gather, count

"""One memory port's writes: bursts and beats for the accumulator rows it is handed, and their responses."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.axi import BOUNDARY, BOUNDARY_BITS, AxiWrite
from myhdl_fsa.config import Config
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.isa import MEMORY_ADDRESS_WIDTH
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["store_port"]


@block
def store_port(
    clock: Any, reset: Any, address: Any, tag: Any, data: Any, offer: Any, free: Any, bus: AxiWrite, done: Any,
    done_tag: Any, taken: Any, failed: Any, failed_tag: Any, config: Config,
) -> Any:
    """One row's beats at a time, ``config.port_inflight`` rows waiting for their responses.

    Ports
        address, tag, data, offer
                        in   39, tag, a row of memory and 1: for this port, the first beat in the low bits
        free            out  1   there is room for a row
        bus             out  AxiWrite
        done, done_tag  out  1 and tag: a row's last response has come
        taken           in   1   that is noted in this cycle
        failed, failed_tag
                        out  1 and tag: a response was not OKAY, until reset

    A row is one INCR burst, or two where it crosses 4 KB. Beats do not wait for the address to be accepted.
    Source: docs/specification.md section 4.
    """
    depth, beats = config.port_inflight, config.accumulator_row_bytes // config.beat_bytes
    # rows that wait for their responses: the request, and whether two bursts carry the row
    tags = [unsigned(len(tag)) for _ in range(depth)]
    doubles = [unsigned(1) for _ in range(depth)]
    first, last = unsigned(address_width(depth)), unsigned(address_width(depth))
    held, answered = unsigned(max(2, depth.bit_length())), unsigned(1)
    count_width = max(2, beats.bit_length())
    row_data, left, until_last = unsigned(len(data)), unsigned(count_width), unsigned(count_width)
    # the second burst of a row that crosses 4 KB: its beats, and the multiple of 4 KB at which it begins
    rest, rest_page = unsigned(count_width), unsigned(MEMORY_ADDRESS_WIDTH - BOUNDARY_BITS)
    # beats that fit before the next multiple of 4 KB
    fitting = unsigned((BOUNDARY // config.beat_bytes).bit_length())
    last_place, last_beat = depth - 1, beats - 1
    beat_width, beat_log, page_bits = 8 * config.beat_bytes, config.beat_bytes.bit_length() - 1, BOUNDARY_BITS
    beats_a_page, page_mask = BOUNDARY // config.beat_bytes, (1 << len(rest_page)) - 1
    place_mask, incrementing = beats_a_page - 1, 1
    beat_mask, all_bytes = (1 << (8 * config.beat_bytes)) - 1, (1 << config.beat_bytes) - 1

    @always_comb
    def room() -> None:
        free.next = left == 0 and not bus.awvalid and rest == 0 and held < depth and not offer

    @always_comb
    def beats_out() -> None:
        bus.wvalid.next = left != 0
        bus.wdata.next = int(row_data) & beat_mask
        # until_last counts the beats to the end of the burst
        bus.wlast.next = left == 1 or until_last == 1
        bus.bready.next = not done or bool(taken)
        # the same for every burst
        bus.awid.next = 0
        bus.awsize.next = beat_log
        bus.awburst.next = incrementing
        bus.wstrb.next = all_bytes

    @always_comb
    def measure() -> None:
        fitting.next = beats_a_page - ((int(address) >> beat_log) & place_mask)

    @always(clock.posedge)
    def send() -> None:
        if reset:
            bus.awvalid.next = 0
            rest.next = 0
            left.next = 0
            until_last.next = 0
        elif offer:
            bus.awvalid.next = 1
            bus.awaddr.next = address
            if fitting < beats:
                bus.awlen.next = int(fitting) - 1
                rest.next = beats - int(fitting)
                rest_page.next = ((int(address) >> page_bits) + 1) & page_mask
                until_last.next = fitting
            else:
                bus.awlen.next = last_beat
                until_last.next = 0
            row_data.next = data
            left.next = beats
        else:
            if bus.awvalid and bus.awready:
                bus.awvalid.next = 0
                if rest != 0:
                    bus.awvalid.next = 1
                    bus.awaddr.next = int(rest_page) << page_bits
                    bus.awlen.next = int(rest) - 1
                    rest.next = 0
            if bus.wvalid and bus.wready:
                row_data.next = int(row_data) >> beat_width
                left.next = int(left) - 1
                if until_last != 0:
                    until_last.next = int(until_last) - 1

    @always(clock.posedge)
    def answer() -> None:
        under_way = int(held)
        if reset:
            first.next = 0
            last.next = 0
            held.next = 0
            answered.next = 0
            done.next = 0
            failed.next = 0
        else:
            if taken:
                done.next = 0
            if offer:
                tags[int(last)].next = tag
                doubles[int(last)].next = fitting < beats
                under_way = under_way + 1
                if last == last_place:
                    last.next = 0
                else:
                    last.next = last + 1
            if bus.bvalid and bus.bready:
                if doubles[int(first)] and not answered:
                    answered.next = 1
                else:
                    answered.next = 0
                    done.next = 1
                    done_tag.next = tags[int(first)]
                    under_way = under_way - 1
                    if first == last_place:
                        first.next = 0
                    else:
                        first.next = first + 1
                if bus.bresp != 0 and not failed:
                    failed.next = 1
                    failed_tag.next = tags[int(first)]
            held.next = under_way

    return room, beats_out, measure, send, answer

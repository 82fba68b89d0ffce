"""The published performance counters."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.elaboration import always, block
from myhdl_fsa.signals import unsigned

__all__ = ["COUNTER_WIDTH", "Events", "PerformanceCounters", "performance_counters"]

COUNTER_WIDTH = 32


class PerformanceCounters:
    """32 bits each, in the order of the registers; they wrap."""

    def __init__(self) -> None:
        self.execution_time = unsigned(COUNTER_WIDTH)
        self.matrix_bubble = unsigned(COUNTER_WIDTH)
        self.matrix_active = unsigned(COUNTER_WIDTH)
        self.dma_active = unsigned(COUNTER_WIDTH)
        self.raw = unsigned(COUNTER_WIDTH)
        self.matrix = unsigned(COUNTER_WIDTH)
        self.dma = unsigned(COUNTER_WIDTH)
        self.fence = unsigned(COUNTER_WIDTH)
        self.enqueued = unsigned(COUNTER_WIDTH)
        self.dequeued = unsigned(COUNTER_WIDTH)


class Events:
    """What happens in this cycle, 1 bit each."""

    def __init__(self) -> None:
        self.matrix_free = unsigned(1)
        """the matrix unit could take an instruction and none is ready"""
        self.matrix_busy = unsigned(1)
        """a sequencer is busy"""
        self.dma_busy = unsigned(1)
        """a DMA request past its semaphore is under way"""
        self.matrix = unsigned(1)
        """a matrix instruction starts"""
        self.dma = unsigned(1)
        """a DMA instruction goes to its queue"""
        self.fence = unsigned(1)
        """a fence passes"""
        self.enqueue = unsigned(1)
        self.dequeue = unsigned(1)
        """a word enters, or leaves, the instruction queue"""


@block
def performance_counters(
    clock: Any, reset: Any, restart: Any, active: Any, events: Events, counters: PerformanceCounters
) -> Any:
    """Counts while ``active``; words enqueued and dequeued always.

    Ports
        restart   in   1   set active again: all but enqueued and dequeued begin at 0
        active    in   1   the device is in state 1
        events    in   Events
        counters  out  PerformanceCounters

    The bubble counts from the first matrix instruction of the run on.
    Source: docs/specification.md section 4 (counter meanings).
    """
    started = unsigned(1)
    mask = (1 << COUNTER_WIDTH) - 1

    @always(clock.posedge)
    def count() -> None:
        if reset or restart:
            started.next = 0
            counters.execution_time.next = 0
            counters.matrix_bubble.next = 0
            counters.matrix_active.next = 0
            counters.dma_active.next = 0
            counters.raw.next = 0
            counters.matrix.next = 0
            counters.dma.next = 0
            counters.fence.next = 0
        elif active:
            counters.execution_time.next = (int(counters.execution_time) + 1) & mask
            if started and events.matrix_free:
                counters.matrix_bubble.next = (int(counters.matrix_bubble) + 1) & mask
            if events.matrix_busy:
                counters.matrix_active.next = (int(counters.matrix_active) + 1) & mask
            if events.dma_busy:
                counters.dma_active.next = (int(counters.dma_active) + 1) & mask
            if events.dequeue:
                counters.raw.next = (int(counters.raw) + 1) & mask
            if events.matrix:
                counters.matrix.next = (int(counters.matrix) + 1) & mask
                started.next = 1
            if events.dma:
                counters.dma.next = (int(counters.dma) + 1) & mask
            if events.fence:
                counters.fence.next = (int(counters.fence) + 1) & mask

    @always(clock.posedge)
    def count_words() -> None:
        if reset:
            counters.enqueued.next = 0
            counters.dequeued.next = 0
        else:
            if events.enqueue:
                counters.enqueued.next = (int(counters.enqueued) + 1) & mask
            if events.dequeue:
                counters.dequeued.next = (int(counters.dequeued) + 1) & mask

    return count, count_words

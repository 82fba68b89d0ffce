"""The 32 semaphores: each a 3-bit value and a busy bit."""

from __future__ import annotations

from typing import Any

from myhdl import always, always_comb, block

from myhdl_fsa.instruction import SEMAPHORE_VALUE_WIDTH, SEMAPHORE_WIDTH, SemaphoreRelease
from myhdl_fsa.isa import SEMAPHORES
from myhdl_fsa.signals import unsigned

__all__ = ["SemaphoreAcquire", "semaphores"]


class SemaphoreAcquire:
    """Asks for a semaphore at a value; taken in the cycle in which ``valid`` and ``ready`` are both 1."""

    def __init__(self) -> None:
        self.valid = unsigned(1)
        self.ready = unsigned(1)
        self.semaphore = unsigned(SEMAPHORE_WIDTH)
        self.value = unsigned(SEMAPHORE_VALUE_WIDTH)


@block
def semaphores(
    clock: Any, reset: Any, acquire_matrix: SemaphoreAcquire, acquire_load: SemaphoreAcquire,
    acquire_store: SemaphoreAcquire, release_matrix: SemaphoreRelease, release_load: SemaphoreRelease,
    release_store: SemaphoreRelease,
) -> Any:
    """Acquire waits for not busy and value equal, then sets busy; release writes the value and clears busy.

    Ports
        acquire_*  in   SemaphoreAcquire; ``ready`` is combinational
        release_*  in   SemaphoreRelease

    Of two that want the same semaphore in the same cycle the first in the order matrix, load, store gets it. Each
    starts at value 0, not busy. Source: docs/specification.md section 4.
    """
    values = unsigned(SEMAPHORES * SEMAPHORE_VALUE_WIDTH)
    busy = unsigned(SEMAPHORES)
    width, mask = SEMAPHORE_VALUE_WIDTH, (1 << SEMAPHORE_VALUE_WIDTH) - 1
    all_values = (1 << (SEMAPHORES * SEMAPHORE_VALUE_WIDTH)) - 1
    all_busy = (1 << SEMAPHORES) - 1

    @always_comb
    def grant() -> None:
        first = int(acquire_matrix.semaphore)
        second = int(acquire_load.semaphore)
        third = int(acquire_store.semaphore)
        matrix = ((busy >> first) & 1) == 0 and ((values >> (width * first)) & mask) == acquire_matrix.value
        load = ((busy >> second) & 1) == 0 and ((values >> (width * second)) & mask) == acquire_load.value
        store = ((busy >> third) & 1) == 0 and ((values >> (width * third)) & mask) == acquire_store.value
        matrix_takes = matrix and bool(acquire_matrix.valid)
        load_takes = load and bool(acquire_load.valid) and not (matrix_takes and first == second)
        acquire_matrix.ready.next = matrix
        acquire_load.ready.next = load and not (matrix_takes and first == second)
        acquire_store.ready.next = (
            store and not (matrix_takes and first == third) and not (load_takes and second == third)
        )

    @always(clock.posedge)
    def note_busy() -> None:
        taken = int(busy)
        if reset:
            busy.next = 0
        else:
            if acquire_matrix.valid and acquire_matrix.ready:
                taken = taken | (1 << int(acquire_matrix.semaphore))
            if acquire_load.valid and acquire_load.ready:
                taken = taken | (1 << int(acquire_load.semaphore))
            if acquire_store.valid and acquire_store.ready:
                taken = taken | (1 << int(acquire_store.semaphore))
            if release_matrix.valid:
                taken = taken & (all_busy ^ (1 << int(release_matrix.semaphore)))
            if release_load.valid:
                taken = taken & (all_busy ^ (1 << int(release_load.semaphore)))
            if release_store.valid:
                taken = taken & (all_busy ^ (1 << int(release_store.semaphore)))
            busy.next = taken

    @always(clock.posedge)
    def note_values() -> None:
        if reset:
            values.next = 0
        elif release_matrix.valid or release_load.valid or release_store.valid:
            now = int(values)
            at = 0
            if release_matrix.valid:
                at = width * int(release_matrix.semaphore)
                now = (now & (all_values ^ (mask << at))) | (int(release_matrix.value) << at)
            if release_load.valid:
                at = width * int(release_load.semaphore)
                now = (now & (all_values ^ (mask << at))) | (int(release_load.value) << at)
            if release_store.valid:
                at = width * int(release_store.semaphore)
                now = (now & (all_values ^ (mask << at))) | (int(release_store.value) << at)
            values.next = now

    return grant, note_busy, note_values

"""The 32 semaphores: each a 3-bit value and a busy bit."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.elaboration import always, always_comb, block
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
    count = SEMAPHORES
    # of each its value while it is free, or ``busy``; nobody looks at the value of one that is busy
    states = [unsigned(1 + SEMAPHORE_VALUE_WIDTH) for _ in range(SEMAPHORES)]
    busy = 1 << SEMAPHORE_VALUE_WIDTH
    # a bit a semaphore: released in this cycle, by whom, and released or acquired
    released, released_by_load, released_by_store, written = (unsigned(SEMAPHORES) for _ in range(4))

    @always_comb
    def grant() -> None:
        first = int(acquire_matrix.semaphore)
        second = int(acquire_load.semaphore)
        third = int(acquire_store.semaphore)
        matrix = states[first] == acquire_matrix.value
        load = states[second] == acquire_load.value
        store = states[third] == acquire_store.value
        matrix_takes = matrix and bool(acquire_matrix.valid)
        load_takes = load and bool(acquire_load.valid) and not (matrix_takes and first == second)
        acquire_matrix.ready.next = matrix
        acquire_load.ready.next = load and not (matrix_takes and first == second)
        acquire_store.ready.next = (
            store and not (matrix_takes and first == third) and not (load_takes and second == third)
        )

    @always_comb
    def decode() -> None:
        taken = 0
        by_matrix = 0
        by_load = 0
        by_store = 0
        if acquire_matrix.valid and acquire_matrix.ready:
            taken = taken | (1 << int(acquire_matrix.semaphore))
        if acquire_load.valid and acquire_load.ready:
            taken = taken | (1 << int(acquire_load.semaphore))
        if acquire_store.valid and acquire_store.ready:
            taken = taken | (1 << int(acquire_store.semaphore))
        if release_matrix.valid:
            by_matrix = 1 << int(release_matrix.semaphore)
        if release_load.valid:
            by_load = 1 << int(release_load.semaphore)
        if release_store.valid:
            by_store = 1 << int(release_store.semaphore)
        released_by_load.next = by_load
        released_by_store.next = by_store
        released.next = by_matrix | by_load | by_store
        written.next = taken | by_matrix | by_load | by_store

    @always(clock.posedge)
    def write() -> None:
        if reset:
            for i in range(count):
                states[i].next = 0
        elif written != 0:
            for i in range(count):
                if ((written >> i) & 1) != 0:
                    if ((released_by_store >> i) & 1) != 0:
                        states[i].next = release_store.value
                    elif ((released_by_load >> i) & 1) != 0:
                        states[i].next = release_load.value
                    elif ((released >> i) & 1) != 0:
                        states[i].next = release_matrix.value
                    else:
                        states[i].next = busy

    return grant, decode, write

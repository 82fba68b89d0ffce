"""The DMA: loads and stores side by side, each with its own queue and semaphore port."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.axi import MemoryPorts
from myhdl_fsa.config import Config
from myhdl_fsa.core import AccumulatorReadPort, ScratchpadWrite
from myhdl_fsa.dma.loads import loads
from myhdl_fsa.dma.stores import stores
from myhdl_fsa.dma.transfer import RowDone
from myhdl_fsa.elaboration import always_comb, block
from myhdl_fsa.fifo import Stream, fifo
from myhdl_fsa.frontend.decoder import DMA_WIDTH, Fault
from myhdl_fsa.frontend.semaphores import SemaphoreAcquire
from myhdl_fsa.instruction import SemaphoreRelease
from myhdl_fsa.isa import Dma, Transfer
from myhdl_fsa.signals import unsigned

__all__ = ["DmaStatus", "dma_engine"]


class DmaStatus:
    """How the DMA stands."""

    def __init__(self) -> None:
        self.idle = unsigned(1)
        """nothing queued and nothing under way"""
        self.active = unsigned(1)
        """a request past its semaphore is under way, on the bus that is"""
        self.moved = unsigned(1)
        """a row has come to its end in this cycle"""


@block
def dma_engine(
    clock: Any, reset: Any, stopped: Any, requests: Stream, acquire_load: SemaphoreAcquire,
    acquire_store: SemaphoreAcquire, release_load: SemaphoreRelease, release_store: SemaphoreRelease,
    memory: MemoryPorts, write: ScratchpadWrite, read: AccumulatorReadPort, load_fault: Fault, store_fault: Fault,
    status: DmaStatus, config: Config,
) -> Any:
    """Sorts checked requests into the two queues (``load_inflight`` and ``store_inflight`` deep).

    Ports
        stopped       in   1   take no further request
        requests      in   Stream of 160: checked DMA instructions and their numbers
        acquire_*     out  SemaphoreAcquire
        release_*     out  SemaphoreRelease
        memory        out  MemoryPorts
        write, read   out  ScratchpadWrite, AccumulatorReadPort: the core's
        *_fault       out  Fault
        status        out  DmaStatus

    Source: docs/specification.md section 4.
    """
    load_in, load_out, store_in, store_out = (Stream(DMA_WIDTH) for _ in range(4))
    loads_empty, stores_empty, load_active, store_active = (unsigned(1) for _ in range(4))
    load_done, store_done = RowDone(config.load_inflight), RowDone(config.store_inflight)
    function = Dma.LAYOUT["function"]
    function_low, function_mask, load = function.low, (1 << function.width) - 1, int(Transfer.LOAD)

    load_queue = fifo(clock, reset, load_in, load_out, loads_empty, config.load_inflight)
    store_queue = fifo(clock, reset, store_in, store_out, stores_empty, config.store_inflight)
    loading = loads(clock, reset, stopped, load_out, acquire_load, release_load, memory.reads, write, load_done,
                    load_fault, load_active, config)
    storing = stores(clock, reset, stopped, store_out, acquire_store, release_store, memory.writes, read, store_done,
                     store_fault, store_active, config)

    @always_comb
    def sort() -> None:
        is_load = ((requests.data >> function_low) & function_mask) == load
        load_in.valid.next = bool(requests.valid) and is_load
        load_in.data.next = requests.data
        store_in.valid.next = bool(requests.valid) and not is_load
        store_in.data.next = requests.data

    @always_comb
    def accept() -> None:
        is_load = ((requests.data >> function_low) & function_mask) == load
        requests.ready.next = (is_load and bool(load_in.ready)) or (not is_load and bool(store_in.ready))

    @always_comb
    def stand() -> None:
        status.active.next = load_active or store_active
        # a release that is on its way counts, so that a fence sees the semaphores as they will be
        status.idle.next = not (
            load_active or store_active or not loads_empty or not stores_empty or release_load.valid
            or release_store.valid
        )
        status.moved.next = load_done.valid or store_done.valid

    return load_queue, store_queue, loading, storing, sort, accept, stand

"""The whole device: AXI4-Lite registers, front end, DMA and AXI4 memory ports around the core.

    control -> registers -> instruction queue -> decoder -> matrix queue -> matrix_issue -> core
                                                         -> dma_engine <-> memory ports
    semaphores order the core, the loads and the stores
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from myhdl_fsa.axi import AxiLite, MemoryPorts
from myhdl_fsa.config import Config
from myhdl_fsa.core import AccumulatorReadPort, ScalePort, ScratchpadWrite, core_block
from myhdl_fsa.dataflows import part
from myhdl_fsa.dma.engine import DmaStatus, dma_engine
from myhdl_fsa.elaboration import always_comb, block
from myhdl_fsa.fifo import Stream, fifo
from myhdl_fsa.frontend.counters import Events, PerformanceCounters, performance_counters
from myhdl_fsa.frontend.decoder import DMA_WIDTH, MATRIX_WIDTH, NUMBER_WIDTH, Fault, decoder
from myhdl_fsa.frontend.device_state import device_state
from myhdl_fsa.frontend.matrix_issue import matrix_issue
from myhdl_fsa.frontend.registers import DeviceControl, registers
from myhdl_fsa.frontend.semaphores import SemaphoreAcquire, semaphores
from myhdl_fsa.instruction import MatrixInstruction, SemaphoreRelease
from myhdl_fsa.isa import WORD_WIDTH
from myhdl_fsa.signals import unsigned

__all__ = ["accelerator"]


@block
def accelerator(
    clock: Any, reset: Any, control: AxiLite, memory: MemoryPorts, interrupt: Any, config: Config,
    probe: dict[str, Any] | None = None, core: Callable[..., Any] | None = None,
) -> Any:
    """The device.

    Ports
        control    in   AxiLite: the registers (``frontend.registers.Register``)
        memory     out  MemoryPorts: ``config.memory_ports`` AXI4 managers of ``config.beat_bytes`` bytes a beat
        interrupt  out  1   done or error, until acknowledged, set active again or reset

    ``probe``, when given, receives the internal signals, the core's too, that a test bench watches; ``core`` is built
    in instead of the configuration's own. Raises ConfigError for a configuration that only the bare core can be.
    Source: docs/specification.md section 4.
    """
    config.check_accelerator()
    registered, counters, events = DeviceControl(), PerformanceCounters(), Events()
    active, restart, stopped, clear, clean = (unsigned(1) for _ in range(5))
    pushed, words = Stream(WORD_WIDTH), Stream(WORD_WIDTH)
    decoded_matrix, queued_matrix, decoded_dma = Stream(MATRIX_WIDTH), Stream(MATRIX_WIDTH), Stream(DMA_WIDTH)
    decode_fault, load_fault, store_fault = Fault(), Fault(), Fault()
    acquire_matrix, acquire_load, acquire_store = (SemaphoreAcquire() for _ in range(3))
    release_matrix, release_load, release_store = (SemaphoreRelease() for _ in range(3))
    instruction, write, read = MatrixInstruction(config), ScratchpadWrite(config), AccumulatorReadPort(config)
    status, scale = DmaStatus(), ScalePort(config)
    words_empty, matrix_empty, busy, matrix_idle = (unsigned(1) for _ in range(4))
    fence, stop, progress = (unsigned(1) for _ in range(3))
    number = unsigned(NUMBER_WIDTH)

    front = registers(clock, reset, control, pushed, registered, scale, counters, config)
    state = device_state(clock, reset, registered, stop, decode_fault, load_fault, store_fault, progress, status.active,
                         number, active, restart, stopped, clear, interrupt)
    counting = performance_counters(clock, clean, restart, active, events, counters)
    word_queue = fifo(clock, clean, pushed, words, words_empty, config.instruction_queue)
    decode = decoder(clock, clean, active, restart, words, decoded_matrix, decoded_dma, matrix_idle, status.idle,
                     decode_fault, fence, stop, number, config)
    matrix_queue = fifo(clock, clean, decoded_matrix, queued_matrix, matrix_empty, config.matrix_queue)
    issue = matrix_issue(clock, clean, stopped, queued_matrix, acquire_matrix, instruction, config)
    semaphore_file = semaphores(clock, clean, acquire_matrix, acquire_load, acquire_store, release_matrix,
                                release_load, release_store)
    dma = dma_engine(clock, clean, stopped, decoded_dma, acquire_load, acquire_store, release_load, release_store,
                     memory, write, read, load_fault, store_fault, status, config)
    build = core or core_block(config)
    machine = build(clock, clean, instruction, release_matrix, busy, write, read, scale, config, probe)

    @always_comb
    def resets() -> None:
        clean.next = bool(reset) or bool(clear)

    @always_comb
    def idle() -> None:
        matrix_idle.next = bool(matrix_empty) and not busy

    # a controller that queues instructions takes them long before it could start them
    queues = part(config, "core").QUEUES
    free, moving = (instruction.starved, instruction.moving) if queues else (instruction.ready, busy)

    @always_comb
    def observe() -> None:
        events.matrix_free.next = bool(free) and not instruction.valid
        events.matrix_busy.next = moving
        events.dma_busy.next = status.active
        events.matrix.next = bool(instruction.ready) and bool(instruction.valid)
        events.dma.next = bool(decoded_dma.ready) and bool(decoded_dma.valid)
        events.fence.next = fence
        events.enqueue.next = bool(pushed.ready) and bool(pushed.valid)
        events.dequeue.next = bool(words.ready) and bool(words.valid)
        progress.next = (
            bool(moving) or bool(status.moved) or (bool(words.ready) and bool(words.valid))
            or (bool(instruction.ready) and bool(instruction.valid))
        )

    if probe is not None:
        probe.update(active=active, words=words, queued_matrix=queued_matrix, events=events, acquire_load=acquire_load,
                     release_load=release_load, release_store=release_store)
    return (front, state, counting, word_queue, decode, matrix_queue, issue, semaphore_file, dma, machine, resets,
            idle, observe)

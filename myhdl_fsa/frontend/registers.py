"""The AXI4-Lite registers: the published map, and after it ours for errors, the interrupt and the watchdog."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from myhdl_fsa.axi import AxiLite, Response
from myhdl_fsa.config import Config
from myhdl_fsa.core import ScalePort
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.fifo import Stream
from myhdl_fsa.frontend.counters import PerformanceCounters
from myhdl_fsa.scale import Scale
from myhdl_fsa.signals import unsigned

__all__ = ["DeviceControl", "Register", "WATCHDOG_CYCLES", "registers"]

WATCHDOG_CYCLES = 1 << 16
"""the watchdog register after a reset"""


class Register(IntEnum):
    """Byte offsets. The first thirteen are the published ones."""

    QUEUE = 0x00
    """write: an instruction word; the write waits while the queue is full and the device active"""
    SET_ACTIVE = 0x04
    """write with bit 0: start taking words from the queue"""
    STATE = 0x08
    """read: 0 idle, 1 active, 2 done, 3 error"""
    EXECUTION_TIME = 0x0C
    """read: cycles in which the device was active"""
    MATRIX_BUBBLE = 0x10
    """read: cycles after the first matrix instruction in which the matrix unit could take another and none was ready"""
    MATRIX_ACTIVE = 0x14
    """read: cycles in which the matrix unit was at work"""
    DMA_ACTIVE = 0x18
    """read: cycles in which a transfer past its semaphore was under way"""
    RAW = 0x1C
    """read: words taken by the decoder"""
    MATRIX = 0x20
    """read: matrix instructions started"""
    DMA = 0x24
    """read: DMA instructions passed to their queue"""
    FENCE = 0x28
    """read: fences passed"""
    ENQUEUED = 0x2C
    """read: words into the instruction queue, since the reset"""
    DEQUEUED = 0x30
    """read: words out of the instruction queue, since the reset"""
    ERROR = 0x34
    """read: ``program.ErrorCode``; write of anything: reset, to state 0; state 3 until the bus is quiet"""
    ERROR_INSTRUCTION = 0x38
    """read: number of the instruction that the error is about, from 0 since the device was set active"""
    INTERRUPT = 0x3C
    """bit 0 done, bit 1 error; writing 1 clears a bit, as setting active and resetting do"""
    WATCHDOG = 0x40
    """cycles without progress after which an active device stops with an error; 65536 after a reset, 0: never"""
    SCALE_ELEM = 0x44
    """what the processing elements multiply a score less its maximum by, a pattern of elem; to be written while the
    device is not active, and left by a reset by software"""
    SCALE_ACC = 0x48
    """the same in the accumulators, a pattern of acc; a reset by the signal sets both to log2(e) / sqrt(N)"""


class DeviceControl:
    """What the registers tell the device to do, each for one cycle, and how it stands."""

    def __init__(self) -> None:
        self.activate = unsigned(1)
        self.clear = unsigned(1)
        """reset by software"""
        self.acknowledge = unsigned(2)
        """interrupt bits to clear"""
        self.watchdog = unsigned(32)
        self.state = unsigned(2)
        self.error = unsigned(4)
        self.error_instruction = unsigned(32)
        self.interrupt = unsigned(2)


@block
def registers(
    clock: Any, reset: Any, bus: AxiLite, push: Stream, control: DeviceControl, scale: ScalePort,
    counters: PerformanceCounters, config: Config,
) -> Any:
    """An AXI4-Lite subordinate: a write and a read a cycle, one cycle to the answer.

    Ports
        bus       in   AxiLite
        push      out  Stream of 32: instruction words
        control   both DeviceControl: activate, clear, acknowledge and watchdog are driven here
        scale     out  ScalePort
        counters  in   PerformanceCounters

    A write to an unknown or read-only register, with a partial strobe, or of a word into a full queue of a device
    that is not active, is answered SLVERR and does nothing; so is a read of an unknown or write-only register (0).
    A word for a device in state 3 is dropped. Source: docs/specification.md section 4 (registers).
    """
    (at_queue, at_active, at_error, at_interrupt, at_watchdog) = (
        int(r) for r in (Register.QUEUE, Register.SET_ACTIVE, Register.ERROR, Register.INTERRUPT, Register.WATCHDOG)
    )
    okay, refused = int(Response.OKAY), int(Response.SLVERR)
    at_state, at_error_instruction = int(Register.STATE), int(Register.ERROR_INSTRUCTION)
    at_execution_time, at_bubble, at_matrix_active = (
        int(Register.EXECUTION_TIME), int(Register.MATRIX_BUBBLE), int(Register.MATRIX_ACTIVE)
    )
    at_dma_active, at_raw, at_matrix = int(Register.DMA_ACTIVE), int(Register.RAW), int(Register.MATRIX)
    at_dma, at_fence = int(Register.DMA), int(Register.FENCE)
    at_enqueued, at_dequeued = int(Register.ENQUEUED), int(Register.DEQUEUED)
    at_scale_elem, at_scale_acc = int(Register.SCALE_ELEM), int(Register.SCALE_ACC)
    elem_mask, acc_mask = (1 << len(scale.elem)) - 1, (1 << len(scale.acc)) - 1
    initial = Scale.of(config)
    initial_elem, initial_acc = initial.elem, initial.acc
    word_mask, watchdog_cycles = 0xFC, WATCHDOG_CYCLES
    active, failed = 1, 3
    write_now, is_push = unsigned(1), unsigned(1)

    @always_comb
    def accept() -> None:
        room = not bus.bvalid or bool(bus.bready)
        both = bool(bus.awvalid) and bool(bus.wvalid) and room
        pushes = (bus.awaddr & word_mask) == at_queue and bus.wstrb == 15
        waits = pushes and control.state == active and not push.ready
        write_now.next = both and not waits
        is_push.next = pushes
        bus.awready.next = both and not waits
        bus.wready.next = both and not waits
        push.valid.next = both and pushes and control.state != failed
        bus.arready.next = not bus.rvalid or bool(bus.rready)

    @always_comb
    def pass_word() -> None:
        push.data.next = bus.wdata

    @always(clock.posedge)
    def write() -> None:
        at = int(bus.awaddr) & word_mask
        control.activate.next = 0
        control.clear.next = 0
        control.acknowledge.next = 0
        if reset:
            bus.bvalid.next = 0
            control.watchdog.next = watchdog_cycles
            scale.elem.next = initial_elem
            scale.acc.next = initial_acc
        elif write_now:
            bus.bvalid.next = 1
            bus.bresp.next = okay
            if is_push:
                if not push.ready and control.state != failed:
                    bus.bresp.next = refused
            elif bus.wstrb != 15:
                bus.bresp.next = refused
            elif at == at_active:
                control.activate.next = int(bus.wdata) & 1
            elif at == at_error:
                control.clear.next = 1
            elif at == at_interrupt:
                control.acknowledge.next = int(bus.wdata) & 3
            elif at == at_watchdog:
                control.watchdog.next = bus.wdata
            elif at == at_scale_elem:
                scale.elem.next = int(bus.wdata) & elem_mask
            elif at == at_scale_acc:
                scale.acc.next = int(bus.wdata) & acc_mask
            else:
                bus.bresp.next = refused
        elif bus.bready:
            bus.bvalid.next = 0

    @always(clock.posedge)
    def read() -> None:
        at = int(bus.araddr) & word_mask
        if reset:
            bus.rvalid.next = 0
        elif bus.arvalid and bus.arready:
            bus.rvalid.next = 1
            bus.rresp.next = okay
            if at == at_state:
                bus.rdata.next = control.state
            elif at == at_execution_time:
                bus.rdata.next = counters.execution_time
            elif at == at_bubble:
                bus.rdata.next = counters.matrix_bubble
            elif at == at_matrix_active:
                bus.rdata.next = counters.matrix_active
            elif at == at_dma_active:
                bus.rdata.next = counters.dma_active
            elif at == at_raw:
                bus.rdata.next = counters.raw
            elif at == at_matrix:
                bus.rdata.next = counters.matrix
            elif at == at_dma:
                bus.rdata.next = counters.dma
            elif at == at_fence:
                bus.rdata.next = counters.fence
            elif at == at_enqueued:
                bus.rdata.next = counters.enqueued
            elif at == at_dequeued:
                bus.rdata.next = counters.dequeued
            elif at == at_error:
                bus.rdata.next = control.error
            elif at == at_error_instruction:
                bus.rdata.next = control.error_instruction
            elif at == at_interrupt:
                bus.rdata.next = control.interrupt
            elif at == at_watchdog:
                bus.rdata.next = control.watchdog
            elif at == at_scale_elem:
                bus.rdata.next = scale.elem
            elif at == at_scale_acc:
                bus.rdata.next = scale.acc
            else:
                bus.rdata.next = 0
                bus.rresp.next = refused
        elif bus.rready:
            bus.rvalid.next = 0

    return accept, pass_word, write, read

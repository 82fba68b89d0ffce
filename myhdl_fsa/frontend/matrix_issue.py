"""From the matrix queue to the core: takes an instruction's semaphore, then offers the instruction."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.fifo import Stream
from myhdl_fsa.frontend.semaphores import SemaphoreAcquire
from myhdl_fsa.instruction import FUNCTION_WIDTH, SEMAPHORE_VALUE_WIDTH, SEMAPHORE_WIDTH, MatrixInstruction
from myhdl_fsa.isa import Matrix
from myhdl_fsa.signals import unsigned

__all__ = ["matrix_issue"]


@block
def matrix_issue(
    clock: Any, reset: Any, stopped: Any, words: Stream, acquire: SemaphoreAcquire, instruction: MatrixInstruction,
    config: Config,
) -> Any:
    """Unpacks the instruction at the head of the matrix queue.

    Ports
        stopped      in   1   start nothing any more
        words        in   Stream of 96
        acquire      out  SemaphoreAcquire
        instruction  out  MatrixInstruction; valid once its semaphore is taken, or when it needs none

    Combinational but for the note that the semaphore has been taken. Source: docs/specification.md section 4.
    """
    layout = Matrix.LAYOUT
    taken = unsigned(1)
    function_low, function_mask = layout["function"].low, (1 << FUNCTION_WIDTH) - 1
    wait_low, acquire_low = layout["wait_idle"].low, layout["acquire"].low
    acquire_value_low = layout["acquire_value"].low
    semaphore_low, semaphore_mask = layout["semaphore"].low, (1 << SEMAPHORE_WIDTH) - 1
    release_low, release_value_low = layout["release"].low, layout["release_value"].low
    value_mask = (1 << SEMAPHORE_VALUE_WIDTH) - 1
    scratchpad_low, scratchpad_mask = layout["scratchpad_row"].low, (1 << len(instruction.scratchpad_row)) - 1
    accumulator_low, accumulator_mask = layout["accumulator_row"].low, (1 << len(instruction.accumulator_row)) - 1
    scratchpad_stride_low, accumulator_stride_low = layout["scratchpad_stride"].low, layout["accumulator_stride"].low
    stride_bits = layout["scratchpad_stride"].width
    stride_mask, stride_sign, stride_size = (1 << stride_bits) - 1, 1 << (stride_bits - 1), 1 << stride_bits
    reverse_in_low, reverse_out_low = layout["reverse_in"].low, layout["reverse_out"].low
    delay_low = layout["delay"].low
    zero_low, causal_low = layout["zero"].low, layout["causal"].low
    # 256 columns count with a bit more than the field has
    hidden_bits = min(layout["hidden"].width, len(instruction.hidden))
    hidden_low, hidden_mask = layout["hidden"].low, (1 << hidden_bits) - 1

    @always_comb
    def unpack() -> None:
        word = int(words.data)
        stride = (word >> scratchpad_stride_low) & stride_mask
        instruction.function.next = (word >> function_low) & function_mask
        instruction.wait_idle.next = bool(words.valid) and ((word >> wait_low) & 1) != 0
        instruction.semaphore.next = (word >> semaphore_low) & semaphore_mask
        instruction.release.next = (word >> release_low) & 1
        instruction.release_value.next = (word >> release_value_low) & value_mask
        instruction.scratchpad_row.next = (word >> scratchpad_low) & scratchpad_mask
        if stride >= stride_sign:
            stride = stride - stride_size
        instruction.scratchpad_stride.next = stride & scratchpad_mask
        instruction.reverse_in.next = (word >> reverse_in_low) & 1
        instruction.reverse_out.next = (word >> reverse_out_low) & 1
        instruction.delay.next = (word >> delay_low) & 1
        instruction.accumulator_row.next = (word >> accumulator_low) & accumulator_mask
        stride = (word >> accumulator_stride_low) & stride_mask
        if stride >= stride_sign:
            stride = stride - stride_size
        instruction.accumulator_stride.next = stride & accumulator_mask
        instruction.zero.next = (word >> zero_low) & 1
        instruction.causal.next = (word >> causal_low) & 1
        instruction.hidden.next = (word >> hidden_low) & hidden_mask
        acquire.semaphore.next = (word >> semaphore_low) & semaphore_mask
        acquire.value.next = (word >> acquire_value_low) & value_mask
        acquire.valid.next = bool(words.valid) and ((word >> acquire_low) & 1) != 0 and not taken and not stopped

    @always_comb
    def offer() -> None:
        free = ((words.data >> acquire_low) & 1) == 0 or bool(taken) or bool(acquire.ready)
        instruction.valid.next = bool(words.valid) and free and not stopped

    @always_comb
    def take() -> None:
        words.ready.next = bool(instruction.valid) and bool(instruction.ready)

    @always(clock.posedge)
    def note() -> None:
        if reset or (instruction.valid and instruction.ready):
            taken.next = 0
        elif acquire.valid and acquire.ready:
            taken.next = 1

    return unpack, offer, take, note

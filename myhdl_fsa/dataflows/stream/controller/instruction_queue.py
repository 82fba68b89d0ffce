"""The array's queue, and when an instruction is accepted into its queue."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.controller.words import QUEUE_DEPTH, RELEASE, TAG_WIDTH, array_word
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.isa import Function
from myhdl_fsa.signals import unsigned

__all__ = ["instruction_queue"]


@block
def instruction_queue(
    clock: Any, reset: Any, instruction: Any, starts: Any, tailed: Any, busy: Any, head: Any, following: Any,
    queued: Any, accepted: Any, config: Config,
) -> Any:
    """Holds the instructions for the array in order, ``QUEUE_DEPTH`` of them; one that starts leaves it.

    Ports
        instruction  in     ``MatrixInstruction``; drives its ``ready``: its queue has room, and one for the array that
                            waits for idle finds the machine idle
        starts       in     ``Starts``
        tailed       in  3  words in the accumulators' queue
        busy         in  1
        head         out    ``Word`` of ``array_word``, the oldest
        following    out 3  the function of the one behind it
        queued       out 3  words in the queue
        accepted     out    ``TAG_WIDTH``, ATTN_VALUEs accepted

    An accepted instruction is at the head in the next cycle if the queue is empty. Source: docs/stream.md.
    """
    layout = array_word(config)
    low, mask = layout.low, layout.mask
    function_mask, row_mask, accumulator_mask = mask["function"], mask["row"], mask["accumulator_row"]
    row_at, stride_at, zero_at, causal_at = low["row"], low["stride"], low["zero"], low["causal"]
    accumulator_row_at, accumulator_stride_at = low["accumulator_row"], low["accumulator_stride"]
    hidden_at, hidden_mask = low["hidden"], mask["hidden"]
    releases_at, releases_mask = low["releases"], mask["releases"]
    semaphore_at, semaphore_value_at = RELEASE.low["semaphore"], RELEASE.low["value"]
    value, reciprocal, norm = Function.ATTN_VALUE, Function.ACC_RECIPROCAL, Function.ATTN_LSE_NORM
    depth, tag_mask = QUEUE_DEPTH, (1 << TAG_WIDTH) - 1
    queue0, queue1, queue2, queue3 = (unsigned(layout.width) for _ in range(4))

    @always_comb
    def accept() -> None:
        code = int(instruction.function)
        room = tailed != depth
        if code != reciprocal and code != norm:
            room = queued != depth and not (instruction.wait_idle and busy)
        instruction.ready.next = room

    @always(clock.posedge)
    def move() -> None:
        count = int(queued)
        code = int(instruction.function)
        if starts.load or starts.score or starts.value:
            queue0.next = queue1
            queue1.next = queue2
            queue2.next = queue3
            count = count - 1
        if instruction.valid and instruction.ready and code <= value:
            releases = (
                int(instruction.release) | (int(instruction.semaphore) << semaphore_at)
                | (int(instruction.release_value) << semaphore_value_at)
            )
            word = (
                code | (int(instruction.scratchpad_row) << row_at) | (int(instruction.scratchpad_stride) << stride_at)
                | (int(instruction.accumulator_row) << accumulator_row_at)
                | (int(instruction.accumulator_stride) << accumulator_stride_at)
                | (int(instruction.zero) << zero_at) | (int(instruction.causal) << causal_at)
                | (int(instruction.hidden) << hidden_at) | (releases << releases_at)
            )
            if count == 0:
                queue0.next = word
            elif count == 1:
                queue1.next = word
            elif count == 2:
                queue2.next = word
            else:
                queue3.next = word
            count = count + 1
            if code == value:
                accepted.next = (int(accepted) + 1) & tag_mask
        queued.next = count
        if reset:
            queued.next = 0
            accepted.next = 0

    @always_comb
    def show() -> None:
        word = int(queue0)
        head.function.next = word & function_mask
        head.row.next = (word >> row_at) & row_mask
        head.stride.next = (word >> stride_at) & row_mask
        head.accumulator_row.next = (word >> accumulator_row_at) & accumulator_mask
        head.accumulator_stride.next = (word >> accumulator_stride_at) & accumulator_mask
        head.zero.next = (word >> zero_at) & 1
        head.causal.next = (word >> causal_at) & 1
        head.hidden.next = (word >> hidden_at) & hidden_mask
        head.releases.next = (word >> releases_at) & releases_mask

    @always_comb
    def show_following() -> None:
        following.next = int(queue1) & function_mask

    return accept, move, show, show_following

"""What would mend each thing that the checker finds, in the words of a kernel's writer.

``ctx`` is the Context; who writes words or text sets the field that its method sets.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Remedy"]


class Remedy(Enum):
    """One for each kind of finding; braces hold what ``fill`` is given."""

    # words that are no instruction, and fields that the decoder refuses
    TYPE = "make the type, bits 31 to 29, one of these or leave the word out"
    MISSING_WORDS = "append the missing words or leave the instruction out"
    FUNCTION = "set the function to one of these"
    LOAD_TARGET = "clear the accumulator bit and name rows of the scratchpad"
    STORE_SOURCE = "set the accumulator bit and name rows of the accumulator RAM"
    ROW_SIZE = "give the tensor rows of {size} bytes, as wide as the tile's"
    ADDRESS = "place the tensor, or the part of it, at a multiple of {beat} bytes"
    MEMORY_STRIDE = "space the tensor's rows by a multiple of {beat} bytes"
    SCRATCHPAD_ROWS = "keep the tile within the scratchpad, as ctx.alloc_scratchpad does"
    ACCUMULATOR_ROWS = "keep the tile within the accumulator RAM, as ctx.alloc_accumulator does"
    HIDDEN = "leave the tile out where no key of it counts"
    # what an instruction must be for its execution plan, alone and after the one before
    SKEW = "set {flags}, as ctx.{method} does"
    ACCUMULATOR_STRIDE = "give the tile a stride of 1 or -1"
    ORDER = "order the instructions as kernel.flash_attention does"
    NORM_ZERO = "leave zero out, as ctx.attn_lse_norm does"
    SUM_ROW = "give the sums a row of their own"
    LAST_SUMS = "name the row that the last ctx.attn_score has"
    OVERLAP = "set wait_idle or put ctx.fence(matrix=True) before it"
    MEMORY = "keep the tensor within the memory, as ctx.alloc_memory does"
    # the end of a program
    EMPTY = "write instructions, and ctx.fence(matrix=True, dma=True, stop=True) at the end"
    NO_STOP = "add ctx.fence(matrix=True, dma=True, stop=True) at the end"
    AFTER_STOP = "move the stop to the end or leave out what comes after it"
    STOP_WAITS = "make it ctx.fence({waits}, stop=True)"
    # what never happens
    TAKEN = "let instruction {taker} release semaphore {semaphore} at {value}"
    OPERAND_NEVER_LOADED = (
        "load the tile with the same semaphore first, to release it at {value}, or acquire it at {now}"
    )
    OTHER_NEVER_RELEASED = (
        "let what it waits for release semaphore {semaphore} at {value} first, or acquire it at {now}"
    )
    FENCE_NEVER_PASSES = "mend first what never starts, {heads}"
    QUEUE_STAYS_FULL = "write what instruction {head} waits for before the {queue} queue is full"
    # what nothing orders
    RACE = "let it acquire a semaphore that instruction {earlier} releases, or put ctx.fence({unit}=True) between them"
    RACE_AFTER_RELEASE = (
        "put ctx.fence(matrix=True) between them, since instruction {earlier} releases before it has written"
    )
    STORE_ORDER = "store the rows in the order in which ctx.attn_lse_norm has them"
    SAME_ACQUIRE = (
        "acquire it at another value, which instruction {earlier} releases, or put ctx.fence({unit}=True) between them"
    )
    LOST_RELEASE = "let instruction {index} acquire the semaphore too, or put ctx.fence({unit}=True) between them"
    # what is used before it is there
    LOAD_FIRST = "load the tile first, with ctx.load_tile"
    START_FROM_ZERO = "begin with accumulate=False (zero), or with what writes the tile"
    SUM_FIRST = "sum up the weights in it first, with ctx.attn_score"
    VALUE_FIRST = "compute the tile first, with ctx.attn_value"
    STORE_AFTER = "compute the tile before it is stored, with ctx.attn_value"

    def fill(self, **details: object) -> str:
        """The remedy for one case."""
        return self.value.format(**details)

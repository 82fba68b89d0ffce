"""From words to instructions: collects them, checks them, and hands them to the matrix queue and the DMA."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part, rows_read
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.fifo import Stream
from myhdl_fsa.instruction import FUNCTION_WIDTH
from myhdl_fsa.isa import KIND, WORD_WIDTH, Dma, Fence, Function, Kind, Matrix, Transfer
from myhdl_fsa.program import ErrorCode
from myhdl_fsa.signals import address_width, constant, unsigned

__all__ = [
    "DMA_WIDTH",
    "ERROR_WIDTH",
    "Fault",
    "MATRIX_WIDTH",
    "MOST_ROWS",
    "NO_ROW",
    "NUMBER_WIDTH",
    "ONE_ROW",
    "decoder",
    "dma_check",
    "matrix_check",
    "range_check",
]

MATRIX_WIDTH = WORD_WIDTH * Matrix.WORDS
NUMBER_WIDTH = 32
DMA_WIDTH = WORD_WIDTH * Dma.WORDS + NUMBER_WIDTH
"""a DMA instruction and its number in the program above it"""
ERROR_WIDTH = 4
NO_ROW, ONE_ROW, MOST_ROWS = range(3)
"""how many rows of a RAM a matrix instruction goes through"""


class Fault:
    """Why the device has to stop, and the number of the instruction that it is about."""

    def __init__(self) -> None:
        self.valid = unsigned(1)
        self.code = unsigned(ERROR_WIDTH)
        self.number = unsigned(NUMBER_WIDTH)


@block
def range_check(row: Any, stride: Any, row_use: Any, outside: Any, rows: int, most: int) -> Any:
    """Whether a matrix instruction goes to a row that a RAM does not have; combinational.

    Ports
        row, stride  in   20 and 5 (two's complement)  its first row, and what is added for each of the next
        row_use      in   2   how many rows: ``NO_ROW``, ``ONE_ROW`` or ``MOST_ROWS``, of which there are ``most``
        outside      out  1   the first or the last of them is none of the RAM's ``rows``

    The last row is row + stride * (most - 1). As ``most`` is a constant, a table has the first rows that go too far for
    each stride, which takes a comparison and no multiplier.
    """
    one_row, most_rows = ONE_ROW, MOST_ROWS
    sign = 1 << (len(stride) - 1)
    size_mask = sign - 1
    # up to a stride of ``sign`` - 1, where the first row that is too high lies; from -``sign``, the first high enough
    too_high = tuple(max(0, rows - step * (most - 1)) for step in range(sign))
    high_enough = tuple((sign - step) * (most - 1) for step in range(sign))

    @always_comb
    def compare() -> None:
        first = int(row)
        leaves = first >= rows
        if row_use == most_rows:
            if stride >= sign:
                least = high_enough[int(stride) & size_mask]
                leaves = first >= rows or first < least
            else:
                limit = too_high[int(stride) & size_mask]
                leaves = first >= limit
        outside.next = leaves and row_use >= one_row

    return compare


@block
def matrix_check(bits: Any, valid: Any, bad: Any, code: Any, config: Config) -> Any:
    """Whether a matrix instruction can run; combinational.

    Ports
        bits, valid  in   96 and 1  the instruction, if there is one
        bad, code    out  1 and 4   it must not run, and why (``ErrorCode``)
    """
    layout = Matrix.LAYOUT
    function_low, function_mask = layout["function"].low, (1 << FUNCTION_WIDTH) - 1
    row_width, stride_width = layout["scratchpad_row"].width, layout["scratchpad_stride"].width
    row_mask, stride_mask = (1 << row_width) - 1, (1 << stride_width) - 1
    scratchpad_low, scratchpad_stride_low = layout["scratchpad_row"].low, layout["scratchpad_stride"].low
    accumulator_low, accumulator_stride_low = layout["accumulator_row"].low, layout["accumulator_stride"].low
    by_function = rows_read(config)
    functions, most = len(by_function), config.rows
    use_of = {0: NO_ROW, 1: ONE_ROW, most: MOST_ROWS}
    scratchpad_uses = tuple(use_of[by_function[function][0]] for function in range(functions))
    accumulator_uses = tuple(use_of[by_function[function][1]] for function in range(functions))
    illegal, outside_scratchpad = int(ErrorCode.ILLEGAL_FUNCTION), int(ErrorCode.SCRATCHPAD_ROW)
    outside_accumulator, nothing_seen = int(ErrorCode.ACCUMULATOR_ROW), int(ErrorCode.HIDDEN_KEYS)
    attn_score, keys = int(Function.ATTN_SCORE), config.rows
    hidden_low, hidden_mask = layout["hidden"].low, (1 << layout["hidden"].width) - 1
    scratchpad_row, accumulator_row = unsigned(row_width), unsigned(row_width)
    scratchpad_stride, accumulator_stride = unsigned(stride_width), unsigned(stride_width)
    scratchpad_use, accumulator_use = unsigned(2), unsigned(2)
    leaves_scratchpad, leaves_accumulator = unsigned(1), unsigned(1)

    scratchpad_check = range_check(
        scratchpad_row, scratchpad_stride, scratchpad_use, leaves_scratchpad, config.scratchpad_rows, most
    )
    accumulator_check = range_check(
        accumulator_row, accumulator_stride, accumulator_use, leaves_accumulator, config.accumulator_rows, most
    )

    @always_comb
    def split() -> None:
        word = int(bits)
        what = (word >> function_low) & function_mask
        scratchpad_row.next = (word >> scratchpad_low) & row_mask
        scratchpad_stride.next = (word >> scratchpad_stride_low) & stride_mask
        accumulator_row.next = (word >> accumulator_low) & row_mask
        accumulator_stride.next = (word >> accumulator_stride_low) & stride_mask
        scratchpad_use.next = 0
        accumulator_use.next = 0
        if what < functions:
            scratchpad_use.next = scratchpad_uses[what]
            accumulator_use.next = accumulator_uses[what]

    @always_comb
    def judge() -> None:
        word = int(bits)
        what = (word >> function_low) & function_mask
        why = 0
        if what >= functions:
            why = illegal
        elif leaves_scratchpad:
            why = outside_scratchpad
        elif leaves_accumulator:
            why = outside_accumulator
        elif what == attn_score and ((word >> hidden_low) & hidden_mask) >= keys:
            why = nothing_seen
        bad.next = bool(valid) and why != 0
        code.next = why

    return scratchpad_check, accumulator_check, split, judge


@block
def dma_check(bits: Any, valid: Any, bad: Any, code: Any, config: Config) -> Any:
    """Whether a DMA instruction can run; combinational.

    Ports
        bits, valid  in   128 and 1  the instruction, if there is one
        bad, code    out  1 and 4    it must not run, and why (``ErrorCode``)
    """
    layout = Dma.LAYOUT
    function_low, function_mask = layout["function"].low, (1 << layout["function"].width) - 1
    rows_low, rows_mask = layout["rows"].low, (1 << layout["rows"].width) - 1
    row_low, row_mask = layout["row"].low, (1 << layout["row"].width) - 1
    stride_low = layout["stride"].low
    accumulator_low = layout["accumulator"].low
    address_low, memory_stride_low, size_low = layout["address"].low, layout["memory_stride"].low, layout["size"].low
    size_mask, beat_mask = (1 << layout["size"].width) - 1, config.beat_bytes - 1
    load, store = int(Transfer.LOAD), int(Transfer.STORE)
    scratchpad_bytes, accumulator_bytes = config.scratchpad_row_bytes, config.accumulator_row_bytes
    scratchpad_rows, accumulator_rows = config.scratchpad_rows, config.accumulator_rows
    # of a row that the RAM has
    near_mask = (1 << address_width(max(scratchpad_rows, accumulator_rows))) - 1
    illegal, bad_size, misaligned = (
        int(ErrorCode.ILLEGAL_FUNCTION), int(ErrorCode.ROW_SIZE), int(ErrorCode.MISALIGNED)
    )
    outside_scratchpad, outside_accumulator = int(ErrorCode.SCRATCHPAD_ROW), int(ErrorCode.ACCUMULATOR_ROW)
    outside = unsigned(1)

    @always_comb
    def check_rows() -> None:
        word = int(bits)
        count = (word >> rows_low) & rows_mask
        row = (word >> row_low) & row_mask
        stride = word >> stride_low
        row_count = scratchpad_rows
        leaves = False
        if ((word >> accumulator_low) & 1) != 0:
            row_count = accumulator_rows
        if count != 0:
            # the last row is row + stride * steps: a term for each bit of the stride, that of the sign subtracted
            steps = count - 1
            once = 0
            twice = 0
            four_times = 0
            eight_times = 0
            back = 0
            if (stride & 1) != 0:
                once = steps
            if (stride & 2) != 0:
                twice = steps << 1
            if (stride & 4) != 0:
                four_times = steps << 2
            if (stride & 8) != 0:
                eight_times = steps << 3
            if (stride & 16) != 0:
                back = steps << 4
            last = (row & near_mask) + once + twice + four_times + eight_times - back
            leaves = row >= row_count or last < 0 or last >= row_count
        outside.next = leaves

    @always_comb
    def judge() -> None:
        word = int(bits)
        what = (word >> function_low) & function_mask
        size = (word >> size_low) & size_mask
        to_accumulator = (word >> accumulator_low) & 1
        why = 0
        row_bytes = scratchpad_bytes
        out_of_range = outside_scratchpad
        if to_accumulator == 1:
            row_bytes = accumulator_bytes
            out_of_range = outside_accumulator
        if (what != load or to_accumulator == 1) and (what != store or to_accumulator == 0):
            why = illegal
        elif size != row_bytes:
            why = bad_size
        elif (((word >> address_low) | (word >> memory_stride_low)) & beat_mask) != 0:
            why = misaligned
        elif outside:
            why = out_of_range
        bad.next = bool(valid) and why != 0
        code.next = why

    return check_rows, judge


@block
def decoder(
    clock: Any, reset: Any, active: Any, restart: Any, words: Stream, matrix: Stream, dma: Stream,
    matrix_idle: Any, dma_idle: Any, fault: Fault, fence: Any, stop: Any, number: Any, config: Config,
) -> Any:
    """One word a cycle; a fence waits at the head until what it names is idle.

    Ports
        active                 in   1    take words
        restart                in   1    count instructions from 0
        words                  in   Stream of 32
        matrix, dma            out  Stream of 96 and of 160 (instruction and number), each checked
        matrix_idle, dma_idle  in   1    nothing left in the matrix queue and unit, in the DMA and its queues
        fault                  out  Fault, combinational: the instruction does not go on
        fence, stop            out  1    a fence passes in this cycle; it is one with stop
        number                 out  32   instructions decoded since ``restart``

    Latency 1 cycle from an instruction's last word to its output. A matrix instruction that waits for room does not
    hold back the words of a DMA instruction behind it, nor the other way round.
    Source: docs/specification.md section 4.
    """
    matrix_bits, dma_bits = unsigned(MATRIX_WIDTH), unsigned(WORD_WIDTH * Dma.WORDS)
    matrix_words, dma_words = unsigned(2), unsigned(3)
    matrix_number, dma_number = unsigned(NUMBER_WIDTH), unsigned(NUMBER_WIDTH)
    take_matrix, take_dma, take_fence, illegal, begin_matrix, begin_dma = (unsigned(1) for _ in range(6))
    matrix_full, dma_full, matrix_bad, dma_bad = (unsigned(1) for _ in range(4))
    matrix_code, dma_code = unsigned(ERROR_WIDTH), unsigned(ERROR_WIDTH)
    whole_matrix, whole_dma = Matrix.WORDS, Dma.WORDS
    # where an instruction's words lie
    second, third, fourth, behind = (WORD_WIDTH * word for word in range(1, 5))
    kind_mask = (1 << KIND.width) - 1
    kind_low, is_fence, is_matrix, is_dma = KIND.low, int(Kind.FENCE), int(Kind.MATRIX), int(Kind.DMA)
    wait_matrix, wait_dma = Fence.LAYOUT["matrix"].low, Fence.LAYOUT["dma"].low
    stop_bit, number_low = Fence.LAYOUT["stop"].low, WORD_WIDTH * Dma.WORDS
    illegal_type, misplaced = int(ErrorCode.ILLEGAL_TYPE), int(ErrorCode.ORDER)
    number_mask = (1 << NUMBER_WIDTH) - 1

    # a dataflow whose instructions may come in any order has no check of it, and no announcement
    order = part(config, "rules").ORDER_CHECK
    announced = constant(1) if order is None else unsigned(1)
    field_bad, order_bad, taken = (unsigned(1) for _ in range(3))
    field_code, order_code = unsigned(ERROR_WIDTH), unsigned(ERROR_WIDTH)
    checks = [dma_check(dma_bits, dma_full, dma_bad, dma_code, config)]
    if order is None:
        checks.append(matrix_check(matrix_bits, matrix_full, matrix_bad, matrix_code, config))
    else:
        checks += [
            matrix_check(matrix_bits, matrix_full, field_bad, field_code, config),
            order(clock, reset, matrix_bits, matrix_full, taken, order_bad, order_code, announced, config),
        ]

    @always_comb
    def judge_order() -> None:
        taken.next = bool(matrix.valid) and bool(matrix.ready)
        matrix_bad.next = field_bad or order_bad
        matrix_code.next = order_code
        if field_bad:
            matrix_code.next = field_code

    @always_comb
    def complete() -> None:
        matrix_full.next = matrix_words == whole_matrix
        dma_full.next = dma_words == whole_dma

    @always_comb
    def hand_on() -> None:
        matrix.valid.next = matrix_words == whole_matrix and not matrix_bad
        matrix.data.next = matrix_bits
        dma.valid.next = dma_words == whole_dma and not dma_bad
        dma.data.next = int(dma_bits) | (int(dma_number) << number_low)

    @always_comb
    def choose() -> None:
        kind = (int(words.data) >> kind_low) & kind_mask
        in_matrix = matrix_words != 0 and matrix_words != whole_matrix
        in_dma = dma_words != 0 and dma_words != whole_dma
        first = bool(words.valid) and bool(active) and not in_matrix and not in_dma
        going_on = bool(words.valid) and bool(active)
        matrix_free = matrix_words == 0 or (bool(matrix.ready) and not matrix_bad)
        dma_free = dma_words == 0 or (bool(dma.ready) and not dma_bad)
        quiet_matrix = bool(matrix_idle) and matrix_words == 0
        quiet_dma = bool(dma_idle) and dma_words == 0
        passes = (
            (quiet_matrix or ((words.data >> wait_matrix) & 1) == 0)
            and (quiet_dma or ((words.data >> wait_dma) & 1) == 0)
        )
        takes_matrix = (going_on and in_matrix) or (first and kind == is_matrix and matrix_free)
        takes_dma = (going_on and in_dma) or (first and kind == is_dma and dma_free)
        takes_fence = first and kind == is_fence and passes and not announced
        take_matrix.next = takes_matrix
        take_dma.next = takes_dma
        take_fence.next = takes_fence
        words.ready.next = takes_matrix or takes_dma or takes_fence
        illegal.next = first and kind != is_matrix and kind != is_dma and (kind != is_fence or bool(announced))

    @always_comb
    def report() -> None:
        fence.next = take_fence
        stop.next = take_fence and ((words.data >> stop_bit) & 1) != 0
        fault.valid.next = matrix_bad or dma_bad or illegal
        # at most one of the two is new, and an illegal word comes after both
        if matrix_bad:
            fault.code.next = matrix_code
            fault.number.next = matrix_number
        elif dma_bad:
            fault.code.next = dma_code
            fault.number.next = dma_number
        else:
            fault.code.next = illegal_type
            if ((int(words.data) >> kind_low) & kind_mask) == is_fence:
                fault.code.next = misplaced
            fault.number.next = number

    @always_comb
    def first_words() -> None:
        begin_matrix.next = matrix_words == 0 or (bool(matrix.valid) and bool(matrix.ready))
        begin_dma.next = dma_words == 0 or (bool(dma.valid) and bool(dma.ready))

    # each word goes to its place; what an instruction before left in the others means nothing until they are there too
    @always(clock.posedge)
    def collect_matrix() -> None:
        if take_matrix:
            if begin_matrix:
                matrix_bits.next[second:] = words.data
            elif matrix_words == 1:
                matrix_bits.next[third:second] = words.data
            else:
                matrix_bits.next[fourth:third] = words.data

    @always(clock.posedge)
    def collect_dma() -> None:
        if take_dma:
            if begin_dma:
                dma_bits.next[second:] = words.data
            elif dma_words == 1:
                dma_bits.next[third:second] = words.data
            elif dma_words == 2:
                dma_bits.next[fourth:third] = words.data
            else:
                dma_bits.next[behind:fourth] = words.data

    # apart from the collecting, whose locals would be as wide as the instructions
    @always(clock.posedge)
    def count() -> None:
        held_matrix = int(matrix_words)
        held_dma = int(dma_words)
        if reset:
            matrix_words.next = 0
            dma_words.next = 0
            number.next = 0
        elif restart:
            number.next = 0
        else:
            if begin_matrix:
                held_matrix = 0
            if begin_dma:
                held_dma = 0
            if take_matrix:
                if begin_matrix:
                    matrix_number.next = number
                held_matrix = held_matrix + 1
            if take_dma:
                if begin_dma:
                    dma_number.next = number
                held_dma = held_dma + 1
            if take_fence or (take_matrix and begin_matrix) or (take_dma and begin_dma):
                number.next = (int(number) + 1) & number_mask
            matrix_words.next = held_matrix
            dma_words.next = held_dma

    parts = (checks, complete, hand_on, choose, report, first_words, collect_matrix, collect_dma, count)
    return parts if order is None else (parts, judge_order)

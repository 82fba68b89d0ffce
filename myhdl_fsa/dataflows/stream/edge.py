"""The two ends of a column of the stream dataflow: the top register, and the comparator with edge buffer and lift."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.scalar import adder, narrower, sum_rounder
from myhdl_fsa.arithmetic.steps import operand_adder, operand_sum_width, sum_normaliser
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import Capture, Compare, Lane, word_width
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["column_top", "comparator"]


@block
def column_top(
    clock: Any, reset: Any, control: Any, lane: Any, control_out: Any, above: Any, config: Config
) -> Any:
    """Where the maximum waits above its column until the SUB wave takes it with it.

    Ports
        control      in   3 bits: ``control.Capture``, and in bit 2 whether the wave that now takes its addend in row 0
                          takes -max; moves on to ``control_out``, to the next column
        lane         in   word   what leaves row 0 upwards (``word_width``): the maximum comes in two, the low one first
        above        out  acc    -max, or +0; combinational
    """
    acc, lane_word = config.acc, word_width(config)
    half, maximum = unsigned(lane_word), unsigned(acc.width)
    low, high = Capture.LOW, Capture.HIGH
    capture_mask, show_bit = (1 << Capture.WIDTH) - 1, Capture.WIDTH
    acc_mask, sign_mask = (1 << acc.width) - 1, acc.sign_mask

    @always(clock.posedge)
    def registers() -> None:
        bits = int(control)
        control_out.next = bits
        if reset:
            control_out.next = 0
        if bits != 0:
            capture = bits & capture_mask
            if capture == low:
                half.next = lane
            if capture == high:
                maximum.next = ((int(lane) << lane_word) | int(half)) & acc_mask

    @always_comb
    def addend() -> None:
        if control[show_bit]:
            above.next = int(maximum) ^ sign_mask
        else:
            above.next = 0

    return registers, addend


@block
def comparator(
    clock: Any, reset: Any, command: Any, hidden: Any, lane: Any, score: Any, query: Any, command_out: Any,
    hidden_out: Any, lane_out: Any, lift: Any, bottom: Any, config: Config, slots: int = 1,
    probe: dict[str, Any] | None = None,
) -> Any:
    """One column's comparator, the buffer of its scores, and the bottom of its return lane.

    Ports
        command      in   3 bits   ``control.Compare``; moves on to ``command_out``
        hidden       in   log2(N)+1 bits: countdown; where it is not 0 the score is taken as -Inf, and the
                          next column sees one less on ``hidden_out``
        lane         in   3 bits and log2 of the buffer: ``control.Lane``, and with a score the number of its word
                          in the buffer; moves on to ``lane_out``
        score        in   acc      what leaves the column's last PE downwards
        query        in   elem     the column's word of the Q scratchpad
        lift         out  word     the bottom of the return lane (``word_width``), a register
        bottom       out  acc      what goes on to the accumulator: ``score``, or the difference of the maxima;
                                   combinational

    The buffer is written in turn, and holds ``slots`` tiles of scores; finished maxima are a queue of as many (for one
    tile the running maximum itself). A maximum that is finished in a cycle can leave in the same one. The difference is
    there ``adder_stages`` cycles after its command. Source: docs/specification.md section 1 (MAX) and docs/stream.md.
    """
    elem, acc = config.elem, config.acc
    n = config.rows
    minus_infinity, sign_mask, sign_bit = acc.minus_infinity, acc.sign_mask, acc.width - 1
    running, in_use = unsigned(acc.width, minus_infinity), unsigned(acc.width, minus_infinity)
    difference, later_difference = unsigned(acc.width), unsigned(acc.width)
    words = n * slots
    last_word, last_wave, last_slot = words - 1, n - 1, slots - 1
    scores = [unsigned(elem.width) for _ in range(words)]
    maxima = [unsigned(acc.width) for _ in range(slots)]
    place_width = max(2, last_word.bit_length())
    write_at = unsigned(place_width)
    wave = unsigned(max(2, last_wave.bit_length()))
    write_slot, read_slot = unsigned(2), unsigned(2)
    several = int(slots > 1)

    add, round_sum, to_elem = adder(acc), sum_rounder(acc), narrower(acc, elem)
    update, update_first = Compare.UPDATE, Compare.UPDATE_FIRST
    diff, diff_first, send = Compare.DIFF, Compare.DIFF_FIRST, Compare.SEND
    max_low, max_high, score_word = Lane.MAX_LOW, Lane.MAX_HIGH, Lane.SCORE
    kind_mask, word_at = (1 << Lane.WIDTH) - 1, Lane.WIDTH
    # the subtraction needs no multiplier, so stages for one neither
    add_operands, normalise_sum = operand_adder(acc), sum_normaliser(acc)
    undivided, held_total, subtracted = int(config.adder_stages == 1), unsigned(operand_sum_width(acc)), unsigned(1)
    lane_word, word_mask = word_width(config), (1 << word_width(config)) - 1
    infinity, magnitude_mask = acc.infinity, acc.sign_mask - 1

    @always(clock.posedge)
    def registers() -> None:
        op = int(command)
        word = int(lane)
        count = int(hidden)
        command_out.next = op
        hidden_out.next = 0
        if count != 0:
            hidden_out.next = count - 1
        lane_out.next = word
        if reset:
            command_out.next = 0
            hidden_out.next = 0
            lane_out.next = 0
            write_at.next = 0
            write_slot.next = 0
            read_slot.next = 0
            wave.next = 0
        else:
            best = int(running)
            finished = 0
            if op == update or op == update_first:
                x = int(score)
                if count != 0:
                    x = minus_infinity
                if op == update_first:
                    best = minus_infinity
                # MAX as the sign of x - best tells it: a NaN on either side gives x
                keep = 0
                if (x & magnitude_mask) <= infinity and (best & magnitude_mask) <= infinity:
                    if (best >> sign_bit) == 0:
                        if (x >> sign_bit) != 0 or x < best:
                            keep = 1
                    elif (x >> sign_bit) != 0 and x > best:
                        keep = 1
                if keep == 0:
                    best = x
                running.next = best
                scores[int(write_at)].next = to_elem(x)
                if write_at == last_word:
                    write_at.next = 0
                else:
                    write_at.next = write_at + 1
                if several:
                    if wave == last_wave:
                        finished = 1
                        wave.next = 0
                        maxima[int(write_slot)].next = best
                        if write_slot == last_slot:
                            write_slot.next = 0
                        else:
                            write_slot.next = write_slot + 1
                    else:
                        wave.next = wave + 1
            elif op == diff or op == diff_first:
                x = int(in_use)
                if op == diff_first:
                    x = minus_infinity
                if undivided:
                    raw = add(x, int(score))
                    difference.next = round_sum(raw)
                in_use.next = int(score) ^ sign_mask
            kind = word & kind_mask
            if kind != 0:
                if kind == max_low or kind == max_high:
                    if several:
                        # one that is finished in this very cycle is not in the queue yet
                        if finished == 0 or read_slot != write_slot:
                            best = int(maxima[int(read_slot)])
                    if kind == max_low:
                        lift.next = best & word_mask
                    else:
                        lift.next = best >> lane_word
                        if several:
                            if read_slot == last_slot:
                                read_slot.next = 0
                            else:
                                read_slot.next = read_slot + 1
                elif kind == score_word:
                    lift.next = scores[word >> word_at]
                else:
                    lift.next = query

    @always(clock.posedge)
    def subtraction() -> None:
        op = int(command)
        subtracted.next = op == diff or op == diff_first
        if op == diff or op == diff_first:
            x = int(in_use)
            if op == diff_first:
                x = minus_infinity
            held_total.next = add_operands(x, int(score))
        if subtracted:
            raw = normalise_sum(int(held_total))
            later_difference.next = round_sum(raw)
        if reset:
            subtracted.next = 0

    @always_comb
    def leave() -> None:
        if command == send:
            if undivided:
                bottom.next = difference
            else:
                bottom.next = later_difference
        else:
            bottom.next = score

    if probe is not None:
        probe.setdefault("running_max", []).append(running)
        probe.setdefault("difference", []).append(difference if undivided else later_difference)
        probe.setdefault("edge_buffer", []).append(scores)
        probe.setdefault("write_at", []).append(write_at)
    return (registers, leave) if undivided else (registers, subtraction, leave)

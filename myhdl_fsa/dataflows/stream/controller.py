"""The matrix controller of the stream dataflow: when an instruction may start, and the players of the timetable.

Two queues, each in order: the array's (LOAD_STATIONARY, ATTN_SCORE, ATTN_VALUE) and the accumulators' (ACC_RECIPROCAL,
ATTN_LSE_NORM; each remembers which ATTN_VALUE it follows). The machine waits only before an instruction starts; one
that has started never waits. An ATTN_VALUE with an ATTN_SCORE behind it starts only when both can, the score
``Times.lambda_`` cycles later. Source: docs/stream.md.
"""

from __future__ import annotations

from typing import Any

from myhdl import always, always_comb, block, concat

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.stream.control import (
    LATCH_P,
    LATCH_Q,
    Accumulate,
    Compare,
    Lane,
    Left,
    Operation,
    addend_at,
    lane_width,
    pe_control_width,
    result_at,
)
from myhdl_fsa.dataflows.stream.times import Times
from myhdl_fsa.dataflows.stream.timetable import WAVE_BIT, before_waves, wave_memory
from myhdl_fsa.instruction import SEMAPHORE_VALUE_WIDTH, SEMAPHORE_WIDTH, hidden_width
from myhdl_fsa.isa import Function
from myhdl_fsa.signals import address_width, unsigned

__all__ = ["QUEUE_DEPTH", "SlotControl", "TAG_WIDTH", "matrix_controller"]

QUEUE_DEPTH = 4
TAG_WIDTH = 4
"""bits of a count of ATTN_VALUEs; two counts that are compared never lie half of it apart"""
_RELEASE_WIDTH = 1 + SEMAPHORE_WIDTH + SEMAPHORE_VALUE_WIDTH


class SlotControl:
    """What the controller sends. All registers; idle is all zero but for rows, which mean nothing then."""

    def __init__(self, config: Config) -> None:
        scratchpad, accumulator = address_width(config.scratchpad_rows), address_width(config.accumulator_rows)
        self.pe = unsigned(pe_control_width(config))
        """for row 0, column 0"""
        self.left = unsigned(Left.WIDTH)
        """what enters row 0 from the left"""
        self.show = unsigned(1)
        """the wave that takes its addend in row 0, column 0, takes -max"""
        self.compare = unsigned(Compare.WIDTH)
        """of the wave of this slot, for column 0"""
        self.hidden = unsigned(hidden_width(config))
        self.lane = unsigned(lane_width(config, Times.of(config).slots))
        """what column 0 sends, and for a score the number of its word in the edge buffer"""
        # one cycle before the slot
        self.row_read = unsigned(1)
        self.row = unsigned(scratchpad)
        self.query_read = unsigned(1)
        self.query_row = unsigned(scratchpad)
        self.accumulate = unsigned(Accumulate.WIDTH)
        self.accumulator_row = unsigned(accumulator)
        self.zero = unsigned(1)
        """the old value of the row is +0"""
        self.divide = unsigned(1)


@block
def matrix_controller(
    clock: Any, reset: Any, instruction: Any, control: Any, release: Any, busy: Any, config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """Accepts instructions, starts them by the rules, and writes one slot word a cycle.

    Ports
        instruction  in    ``MatrixInstruction``; its ``ready`` says whether its queue has room (an instruction for the
                           array that waits for idle must find the machine idle), ``starved`` whether the array could
                           start one and has none, ``moving`` whether anything is under way
        control      out   ``SlotControl``
        release      out   ``SemaphoreRelease``
        busy         out   1

    The causal flag of an ATTN_VALUE, which has no use of its own, says that an ATTN_SCORE follows and is its partner:
    it then waits for it even if it has not come yet. Two cycles from acceptance to the first scratchpad read.
    """
    times = Times.of(config)
    n, lead, sigma, partner, period = times.rows, times.lead, times.sigma, times.lambda_, times.period
    # a LOAD_STATIONARY is issued a cycle after its ATTN_SCORE at the earliest, on the same phase a turn after it
    ring, last_phase = times.ring, times.ring - 1
    slots, load_after, latency = times.slots, times.load_after or times.ring, times.reciprocal
    wave_rom, pass_on = wave_memory(times), before_waves(times).operation
    passes = times.pass_waves
    # waves of an ATTN_SCORE under way that still fit before its follower starts, with an ATTN_VALUE's among them
    most_left = min(n - 1, max(0, partner - 3 - passes))
    load, score, value = Function.LOAD_STATIONARY, Function.ATTN_SCORE, Function.ATTN_VALUE
    recip, norm = Function.ACC_RECIPROCAL, Function.ATTN_LSE_NORM
    newton = int(config.reciprocal == "newton")
    newton_start = times.lead + times.latency
    depth = QUEUE_DEPTH

    # a queue's word, from bit 0 up: function, rows and strides, flags, release
    pad, ram = address_width(config.scratchpad_rows), address_width(config.accumulator_rows)
    pad_mask, ram_mask, release_mask = (1 << pad) - 1, (1 << ram) - 1, (1 << _RELEASE_WIDTH) - 1
    pad_row_at = 3
    pad_stride_at = pad_row_at + pad
    ram_row_at = pad_stride_at + pad
    ram_stride_at = ram_row_at + ram
    zero_at = ram_stride_at + ram
    causal_at = zero_at + 1
    release_at = causal_at + 1
    word_width = release_at + _RELEASE_WIDTH
    # the accumulators': tag, whether it is a NORM, row and stride, release
    tag_mask, tag_half = (1 << TAG_WIDTH) - 1, 1 << (TAG_WIDTH - 1)
    is_norm_at = TAG_WIDTH
    norm_row_at = is_norm_at + 1
    norm_stride_at = norm_row_at + ram
    norm_release_at = norm_stride_at + ram
    norm_width = norm_release_at + _RELEASE_WIDTH
    sem_at = 1
    sem_value_at = sem_at + SEMAPHORE_WIDTH
    sem_mask, sem_value_mask = (1 << SEMAPHORE_WIDTH) - 1, (1 << SEMAPHORE_VALUE_WIDTH) - 1

    queue0, queue1, queue2, queue3 = (unsigned(word_width) for _ in range(4))
    tail0, tail1, tail2, tail3 = (unsigned(norm_width) for _ in range(4))
    queued, tailed = unsigned(3), unsigned(3)
    accepted, started, summed, valued = (unsigned(TAG_WIDTH) for _ in range(4))
    start_load, start_score, start_value, working = (unsigned(1) for _ in range(4))

    def counter(most: int) -> Any:
        return unsigned(max(2, most.bit_length()))

    # the return lane's ring, from the stream that sends in this cycle on: 1 an ATTN_VALUE's, 2 a LOAD_STATIONARY's,
    # words left, and where they are: rows of the Q scratchpad, or the tile in the edge buffers
    streams, words_left = [unsigned(2) for _ in range(ring)], [counter(n + 2) for _ in range(ring)]
    query_rows, query_strides = ([unsigned(pad) for _ in range(ring)] for _ in range(2))
    load_releases = [unsigned(_RELEASE_WIDTH) for _ in range(ring)]
    tiles_sent, next_tile, last_tile = [unsigned(2) for _ in range(ring)], unsigned(2), slots - 1
    latch_wait = counter(max(n, partner + 1))
    # ATTN_SCORE
    score_left, score_row, score_stride = counter(n), unsigned(pad), unsigned(pad)
    score_first, score_causal = unsigned(1), unsigned(1)
    tiles, waiting, full = unsigned(2), unsigned(2), unsigned(2)
    age = counter(max(2, load_after))
    phase, seen, start_phase = unsigned(2), unsigned(1), (1 - load_after) % ring
    filled = unsigned(times.to_comparator)
    fill_top = times.to_comparator - 1
    # of the tiles that no ATTN_VALUE has taken, the oldest first: whether it is its query's first, and its L row
    firsts, sums = [unsigned(1) for _ in range(slots)], [unsigned(ram) for _ in range(slots)]
    # ATTN_VALUE: until its waves begin, and its waves
    since_value, lead_left = unsigned(max(2, period.bit_length()), period), counter(lead)
    lead_word, lead_first, lead_sums = unsigned(word_width), unsigned(1), unsigned(ram)
    waving, wave = unsigned(1), counter(len(wave_rom))
    value_row, value_stride, out_row, out_stride = unsigned(pad), unsigned(pad), unsigned(ram), unsigned(ram)
    value_zero, value_first, value_sums = unsigned(1), unsigned(1), unsigned(ram)
    # the accumulators
    dividing, norm_done, norm_row = counter(latency), counter(n), unsigned(ram)
    # a store that starts at the release reads no row before it is written: all have started, one a cycle at least
    norm_release_cycles = times.to_comparator + times.latency
    norm_wait, norm_release = counter(norm_release_cycles), unsigned(_RELEASE_WIDTH)
    # releases: a bit a class, the lowest is sent first, and what each sends
    due = unsigned(5)
    score_release, value_release = unsigned(_RELEASE_WIDTH), unsigned(_RELEASE_WIDTH)
    due_score, due_value, due_load, due_norm, due_recip = (unsigned(_RELEASE_WIDTH) for _ in range(5))
    drain_cycles = times.to_accumulator + times.latency + 1
    drain = counter(drain_cycles)
    ahead_operation, ahead_latches, ahead_left = unsigned(Operation.WIDTH), unsigned(2), unsigned(Left.WIDTH)
    ahead_compare, ahead_hidden = unsigned(Compare.WIDTH), unsigned(len(control.hidden))
    ahead_lane = unsigned(len(control.lane))

    operation_mask, left_mask = (1 << Operation.WIDTH) - 1, (1 << Left.WIDTH) - 1
    compare_mask, accumulate_mask = (1 << Compare.WIDTH) - 1, (1 << Accumulate.WIDTH) - 1
    left_at, compare_at = WAVE_BIT["left"], WAVE_BIT["compare"]
    accumulate_at, summed_at, valued_at = WAVE_BIT["accumulate"], WAVE_BIT["summed"], WAVE_BIT["valued"]
    value_release_at, last_at = WAVE_BIT["release"], WAVE_BIT["last"]
    qk, sub, pass_wave, from_row = Operation.QK, Operation.SUB, Operation.PASS, Left.ROW
    update, update_first, diff, diff_first = Compare.UPDATE, Compare.UPDATE_FIRST, Compare.DIFF, Compare.DIFF_FIRST
    max_low, max_high, score_word, query_word = Lane.MAX_LOW, Lane.MAX_HIGH, Lane.SCORE, Lane.QUERY
    word_at = Lane.WIDTH
    acc_sum, acc_sa, normalise = Accumulate.ACC_SUM, Accumulate.ACC_SA, Accumulate.NORM
    latch_p, latch_q, latches_at = LATCH_P >> Operation.WIDTH, LATCH_Q >> Operation.WIDTH, Operation.WIDTH
    value_words, last_row = n + 2, n - 1
    frees_in_lead = int(sigma > 0)

    @always_comb
    def accept() -> None:
        code = int(instruction.function)
        room = tailed != depth
        if code != recip and code != norm:
            room = queued != depth and not (instruction.wait_idle and working)
        instruction.ready.next = room

    @always_comb
    def work() -> None:
        busy_now = queued != 0 or tailed != 0 or drain != 0 or due != 0
        working.next = busy_now
        busy.next = busy_now
        instruction.moving.next = drain != 0 or due != 0

    @always_comb
    def starve() -> None:
        # an ATTN_VALUE without the partner that it announces is none to start yet
        alone = queued == 1 and (int(queue0) & 7) == value and ((int(queue0) >> causal_at) & 1) != 0
        instruction.starved.next = (queued == 0 or alone) and since_value == period and score_left == 0

    @always_comb
    def choose() -> None:
        begin_load = 0
        begin_score = 0
        begin_value = 0
        head_free = streams[0] == 0
        if queued != 0:
            code = int(queue0) & 7
            following = int(queue1) & 7
            held = int(tiles)
            if frees_in_lead:
                if lead_left == sigma:
                    held = held - 1
            else:
                if waving and wave == 0:
                    held = held - 1
            if code == load:
                # behind the waves of the score before it, on the phase that no ATTN_VALUE will want
                if head_free and latch_wait == 0:
                    if not seen or (age >= load_after and phase == 0):
                        begin_load = 1
            if code == score:
                # its Q latched, a place in the edge buffers, and slots before the SUM of an ATTN_VALUE under way
                if score_left == 0 and latch_wait == 0 and held < slots:
                    if (lead_left == 0 or lead_left >= sigma) and (not waving or (not frees_in_lead and wave == 0)):
                        begin_score = 1
            if code == value:
                ready = 0
                if (full != 0 or filled[fill_top]) and head_free and since_value >= period:
                    ready = 1
                # the partner, that many cycles later
                if queued > 1 and following == score:
                    if score_left > most_left or latch_wait > partner:
                        ready = 0
                elif queued < 2 and (int(queue0) >> causal_at) & 1 != 0:
                    ready = 0
                if tailed != 0:
                    behind = (int(started) - int(tail0)) & tag_mask
                    # one row sum register, one reciprocal: those of two query tiles ago must be through
                    if firsts[0] and behind != 0 and behind < tag_half:
                        ready = 0
                    if newton:
                        # the reciprocal has the accumulators for itself
                        if behind == 0 and (int(tail0) >> is_norm_at) & 1 == 0:
                            ready = 0
                if newton:
                    if dividing > newton_start:
                        ready = 0
                begin_value = ready
        start_load.next = begin_load
        start_score.next = begin_score
        start_value.next = begin_value

    @always(clock.posedge)
    def queues() -> None:
        count = int(queued)
        code = int(instruction.function)
        if start_load or start_score or start_value:
            queue0.next = queue1
            queue1.next = queue2
            queue2.next = queue3
            count = count - 1
        if instruction.valid and instruction.ready:
            flags = int(instruction.zero) | (int(instruction.causal) << 1)
            releases = (
                int(instruction.release) | (int(instruction.semaphore) << sem_at)
                | (int(instruction.release_value) << sem_value_at)
            )
            word = (
                code | (int(instruction.scratchpad_row) << pad_row_at)
                | (int(instruction.scratchpad_stride) << pad_stride_at)
                | (int(instruction.accumulator_row) << ram_row_at)
                | (int(instruction.accumulator_stride) << ram_stride_at)
                | (flags << zero_at) | (releases << release_at)
            )
            if code <= value:
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

    @always(clock.posedge)
    def play() -> None:
        head = int(queue0)
        # the lane
        stream = int(streams[0])
        words = int(words_left[0])
        word = 0
        query = int(query_rows[0])
        stride = int(query_strides[0])
        load_release = int(load_releases[0])
        tile = int(tiles_sent[0])
        events = 0
        if start_load:
            stream = 2
            words = n
            query = (head >> pad_row_at) & pad_mask
            stride = (head >> pad_stride_at) & pad_mask
            load_release = (head >> release_at) & release_mask
        elif start_value:
            stream = 1
            words = value_words
            tile = int(next_tile)
            if next_tile == last_tile:
                next_tile.next = 0
            else:
                next_tile.next = next_tile + 1
        if stream == 1:
            if words == value_words:
                word = max_low
            elif words > n:
                word = max_high
            else:
                word = score_word | ((tile * n + n - words) << word_at)
        if stream == 2:
            word = query_word
            control.query_row.next = query
            query = (query + stride) & pad_mask
            if words == 1:
                events = events | 4
                due_load.next = load_release
        control.query_read.next = stream == 2
        ahead_lane.next = word
        if stream != 0:
            words = words - 1
            if words == 0:
                stream = 0
        for place in range(last_phase):
            streams[place].next = streams[place + 1]
            words_left[place].next = words_left[place + 1]
            query_rows[place].next = query_rows[place + 1]
            query_strides[place].next = query_strides[place + 1]
            load_releases[place].next = load_releases[place + 1]
            tiles_sent[place].next = tiles_sent[place + 1]
        streams[last_phase].next = stream
        words_left[last_phase].next = words
        query_rows[last_phase].next = query
        query_strides[last_phase].next = stride
        load_releases[last_phase].next = load_release
        tiles_sent[last_phase].next = tile

        # ATTN_VALUE: the cycles until its waves begin, then a word a slot
        remaining = int(lead_left)
        playing = int(waving)
        index = int(wave)
        row = int(value_row)
        out = int(out_row)
        slot = 0
        if playing != 0:
            slot = wave_rom[index]
            index = index + 1
            if ((slot >> last_at) & 1) != 0:
                playing = 0
            if ((slot >> summed_at) & 1) != 0:
                summed.next = (int(summed) + 1) & tag_mask
            if ((slot >> valued_at) & 1) != 0:
                valued.next = (int(valued) + 1) & tag_mask
            if ((slot >> value_release_at) & 1) != 0:
                events = events | 2
                due_value.next = value_release
        operation = slot & operation_mask
        latches = 0
        if remaining == 1:
            latches = latch_p
            if passes:
                operation = pass_on
        enters = (slot >> left_at) & left_mask
        compare = (slot >> compare_at) & compare_mask
        accumulates = (slot >> accumulate_at) & accumulate_mask
        hides = 0
        reads = row
        old_zero = int(value_zero)
        old_row = out
        if compare == diff and value_first:
            compare = diff_first
        if accumulates == acc_sum:
            old_zero = int(value_first)
            old_row = int(value_sums)
        if accumulates == acc_sa:
            out = (out + int(out_stride)) & ram_mask
        if enters == from_row:
            row = (row + int(value_stride)) & pad_mask
        if remaining == 1:
            # the last wave of the one before may be in this very slot
            playing = 1
            index = 0
            later = int(lead_word)
            row = (later >> pad_row_at) & pad_mask
            value_stride.next = (later >> pad_stride_at) & pad_mask
            out = (later >> ram_row_at) & ram_mask
            out_stride.next = (later >> ram_stride_at) & ram_mask
            value_zero.next = (later >> zero_at) & 1
            value_release.next = (later >> release_at) & release_mask
            value_first.next = lead_first
            value_sums.next = lead_sums
        value_row.next = row
        out_row.next = out
        waving.next = playing != 0
        wave.next = index
        since = int(since_value)
        if since != period:
            since = since + 1
        if remaining != 0:
            remaining = remaining - 1
        if start_value:
            remaining = lead - 1
            since = 1
            lead_word.next = head
            lead_first.next = firsts[0]
            lead_sums.next = sums[0]
            started.next = (int(started) + 1) & tag_mask
        lead_left.next = remaining
        since_value.next = since

        # ATTN_SCORE: its waves take the slots that are left
        waves = int(score_left)
        key_row = int(score_row)
        key_stride = int(score_stride)
        first = int(score_first)
        causal = int(score_causal)
        since_score = int(age)
        if since_score < load_after:
            since_score = since_score + 1
        if phase == last_phase:
            phase.next = 0
        else:
            phase.next = phase + 1
        if start_score:
            waves = n
            key_row = (head >> pad_row_at) & pad_mask
            key_stride = (head >> pad_stride_at) & pad_mask
            first = (head >> zero_at) & 1
            causal = (head >> causal_at) & 1
            score_stride.next = key_stride
            score_causal.next = causal
            score_first.next = first
            score_release.next = (head >> release_at) & release_mask
            since_score = 1
            phase.next = start_phase
            seen.next = 1
        age.next = since_score
        finishes = 0
        if waves != 0 and operation == 0:
            operation = qk
            enters = from_row
            reads = key_row
            compare = update
            if first != 0 and waves == n:
                compare = update_first
            if causal != 0:
                hides = waves - 1
            key_row = (key_row + key_stride) & pad_mask
            waves = waves - 1
            if waves == 0:
                finishes = 1
                events = events | 1
                due_score.next = score_release
        score_left.next = waves
        score_row.next = key_row
        filled.next = concat(filled[fill_top:], finishes != 0)

        # tiles in the edge buffers, and which of them an ATTN_VALUE can take
        held = int(tiles)
        if frees_in_lead:
            if lead_left == sigma:
                held = held - 1
        else:
            if waving and wave == 0:
                held = held - 1
        pending = int(waiting)
        complete = int(full)
        if filled[fill_top]:
            complete = complete + 1
        if start_value:
            for place in range(last_tile):
                firsts[place].next = firsts[place + 1]
                sums[place].next = sums[place + 1]
            pending = pending - 1
            complete = complete - 1
        if start_score:
            held = held + 1
            firsts[pending].next = (head >> zero_at) & 1
            sums[pending].next = (head >> ram_row_at) & ram_mask
            pending = pending + 1
        tiles.next = held
        waiting.next = pending
        full.next = complete

        latching = int(latch_wait)
        if latching != 0:
            if latching == 1:
                latches = latches | latch_q
            latching = latching - 1
        if start_load:
            latching = n
        latch_wait.next = latching

        # the accumulators' queue
        count = int(tailed)
        entry = int(tail0)
        divisions = int(dividing)
        divides = 0
        takes = 0
        releasing = int(norm_wait)
        if releasing != 0:
            if releasing == 1:
                events = events | 8
                due_norm.next = norm_release
            releasing = releasing - 1
        after_sums = (int(summed) - entry) & tag_mask
        after_rows = (int(valued) - entry) & tag_mask
        if count != 0:
            if ((entry >> is_norm_at) & 1) == 0:
                if newton:
                    if after_rows < tag_half and lead_left == 0 and not start_value:
                        divides = 1
                else:
                    if after_sums < tag_half and divisions == 0:
                        divides = 1
                if divides != 0:
                    takes = 1
                    events = events | 16
                    due_recip.next = (entry >> norm_release_at) & release_mask
            elif after_rows < tag_half and divisions == 0 and accumulates == 0:
                accumulates = normalise
                old_zero = 0
                old_row = int(norm_row)
                if norm_done == 0:
                    old_row = (entry >> norm_row_at) & ram_mask
                norm_row.next = (old_row + ((entry >> norm_stride_at) & ram_mask)) & ram_mask
                if norm_done == last_row:
                    norm_done.next = 0
                    takes = 1
                    releasing = norm_release_cycles
                    norm_release.next = (entry >> norm_release_at) & release_mask
                else:
                    norm_done.next = norm_done + 1
        norm_wait.next = releasing
        if divides != 0:
            dividing.next = latency
        elif divisions != 0:
            dividing.next = divisions - 1
        if takes != 0:
            tail0.next = tail1
            tail1.next = tail2
            tail2.next = tail3
            count = count - 1
        code = int(instruction.function)
        if instruction.valid and instruction.ready and (code == recip or code == norm):
            releases = (
                int(instruction.release) | (int(instruction.semaphore) << sem_at)
                | (int(instruction.release_value) << sem_value_at)
            )
            entry = (
                int(accepted) | (int(instruction.accumulator_row) << norm_row_at)
                | (int(instruction.accumulator_stride) << norm_stride_at) | (releases << norm_release_at)
            )
            if code == norm:
                entry = entry | (1 << is_norm_at)
            if count == 0:
                tail0.next = entry
            elif count == 1:
                tail1.next = entry
            elif count == 2:
                tail2.next = entry
            else:
                tail3.next = entry
            count = count + 1
        tailed.next = count

        # what the slot is
        ahead_operation.next = operation
        ahead_latches.next = latches
        ahead_left.next = enters
        ahead_compare.next = compare
        ahead_hidden.next = hides
        control.row_read.next = enters == from_row
        control.row.next = reads
        control.accumulate.next = accumulates
        control.accumulator_row.next = old_row
        control.zero.next = old_zero
        control.divide.next = divides != 0
        unsent = int(due)
        if unsent != 0:
            unsent = unsent & (unsent - 1)
        due.next = unsent | events
        lasting = int(drain)
        if lasting != 0:
            lasting = lasting - 1
        under_way = operation | latches | accumulates | divides | divisions | remaining | playing | latching | word
        if (under_way | waves) != 0:
            lasting = drain_cycles
        drain.next = lasting
        if reset:
            for place in range(ring):
                streams[place].next = 0
            next_tile.next = 0
            phase.next = 0
            lead_left.next = 0
            waving.next = 0
            since_value.next = period
            score_left.next = 0
            seen.next = 0
            filled.next = 0
            tiles.next = 0
            waiting.next = 0
            full.next = 0
            latch_wait.next = 0
            tailed.next = 0
            dividing.next = 0
            norm_done.next = 0
            norm_wait.next = 0
            started.next = 0
            summed.next = 0
            valued.next = 0
            due.next = 0
            drain.next = 0
            ahead_operation.next = 0
            ahead_latches.next = 0
            ahead_compare.next = 0
            ahead_lane.next = 0
            control.row_read.next = 0
            control.query_read.next = 0
            control.accumulate.next = 0
            control.divide.next = 0

    # a wave's operation again where its addend is taken, and where its result is written
    stage_count = times.latency - 1
    stages = [unsigned(Operation.WIDTH) for _ in range(max(1, stage_count))]
    last_stage = max(1, stage_count) - 1
    takes_addend, writes_result = times.mac_stages, int(times.hop > 1)
    addend_stage, to_addend, to_result = max(1, takes_addend) - 1, addend_at(config), result_at(config)

    @always(clock.posedge)
    def present() -> None:
        control.pe.next = int(ahead_operation) | (int(ahead_latches) << latches_at)
        control.show.next = ahead_operation == sub
        control.left.next = ahead_left
        control.compare.next = ahead_compare
        control.hidden.next = ahead_hidden
        control.lane.next = ahead_lane
        if reset:
            control.pe.next = 0
            control.compare.next = 0
            control.lane.next = 0

    @always(clock.posedge)
    def present_again() -> None:
        for stage in range(last_stage):
            stages[stage + 1].next = stages[stage]
        stages[0].next = ahead_operation
        op = int(ahead_operation)
        bits = op | (int(ahead_latches) << latches_at)
        if takes_addend:
            op = int(stages[addend_stage])
            bits = bits | (op << to_addend)
        if writes_result:
            bits = bits | (int(stages[last_stage]) << to_result)
        control.pe.next = bits
        control.show.next = op == sub or op == pass_wave
        control.left.next = ahead_left
        control.compare.next = ahead_compare
        control.hidden.next = ahead_hidden
        control.lane.next = ahead_lane
        if reset:
            for stage in range(stage_count):
                stages[stage].next = 0
            control.pe.next = 0
            control.compare.next = 0
            control.lane.next = 0

    @always_comb
    def send() -> None:
        word = 0
        if due[0]:
            word = int(due_score)
        elif due[1]:
            word = int(due_value)
        elif due[2]:
            word = int(due_load)
        elif due[3]:
            word = int(due_norm)
        elif due[4]:
            word = int(due_recip)
        release.valid.next = (word & 1) != 0
        release.semaphore.next = (word >> sem_at) & sem_mask
        release.value.next = (word >> sem_value_at) & sem_value_mask

    if probe is not None:
        probe.update(control=control, start_load=start_load, start_score=start_score, start_value=start_value,
                     queued=queued, tailed=tailed, tiles=tiles, waiting=waiting)
    return accept, work, starve, choose, queues, play, present_again if stage_count else present, send

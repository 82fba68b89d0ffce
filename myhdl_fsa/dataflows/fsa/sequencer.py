"""The matrix controller: two sequencers that step through execution plans and overlap.

The plans become one control ROM with a read port for each sequencer; a sequencer is a counter into it, a word a cycle.
Nothing here knows a particular instruction. Source: docs/specification.md section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.control import PE_CONTROL_WIDTH, Accumulator, Comparator, Constant
from myhdl_fsa.dataflows.fsa.plan import ExecutionPlan, PlanWord
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.instruction import FUNCTION_WIDTH, SemaphoreRelease, hidden_width
from myhdl_fsa.signals import address_width, unsigned

__all__ = [
    "ControlMemory",
    "EDGE_BIT",
    "EDGE_FIELDS",
    "EDGE_WIDTH",
    "MatrixControl",
    "control_rom",
    "matrix_controller",
    "merge",
    "sequencer",
]

# The edge control word, from bit 0 up: everything of a PlanWord that is not PE control.
EDGE_FIELDS = (
    ("read", 1), ("use_constant", 1), ("constant", Constant.WIDTH), ("compare", Comparator.WIDTH),
    ("accumulator_read", 1), ("write_back", 1), ("accumulate", Accumulator.WIDTH), ("release", 1),
    ("may_start", 1), ("last", 1),
)
EDGE_WIDTH = sum(width for _, width in EDGE_FIELDS)
EDGE_BIT = {name: sum(width for _, width in EDGE_FIELDS[:i]) for i, (name, _) in enumerate(EDGE_FIELDS)}
"""the lowest bit of each field"""


class MatrixControl:
    """What a sequencer, or the controller, sends to the array and its memories in one cycle. Idle is all zero."""

    def __init__(self, config: Config) -> None:
        self.pe = unsigned(3 * PE_CONTROL_WIDTH)
        """PE control for all rows now, for row 0 on its way down, and for row N-1 on its way up, from bit 0 up"""
        self.edges = unsigned(EDGE_WIDTH)
        """fields of ``EDGE_BIT``"""
        self.hidden = unsigned(hidden_width(config))
        """the comparators' countdown for column 0"""
        self.scratchpad_row = unsigned(address_width(config.scratchpad_rows))
        self.skew = unsigned(3)
        """reverse_in, delay, reverse_out from bit 0 up, for the word read now"""
        self.accumulator_row = unsigned(address_width(config.accumulator_rows))
        self.zero = unsigned(1)
        """the row read now is +0"""


@dataclass(frozen=True)
class ControlMemory:
    """The plans laid out one after the other: per word PE control (parallel, down, up) and edge control."""

    pe: tuple[int, ...]
    edges: tuple[int, ...]
    base: tuple[int, ...]
    """the first word of each function; a function without a plan has one idle word"""

    @property
    def nothing(self) -> int:
        """The address of the word behind the plans, which is 0: what an idle sequencer sends."""
        return len(self.pe)

    @property
    def address_width(self) -> int:
        """Bits of an address."""
        return max(2, self.nothing.bit_length())

    @classmethod
    def of(cls, plans: Sequence[ExecutionPlan]) -> ControlMemory:
        """Lays out ``plans``."""
        idle = PlanWord(may_start=1, last=1)
        words = [idle]
        base = [0] * (1 << FUNCTION_WIDTH)
        for plan in plans:
            base[plan.function] = len(words)
            words += plan.words
        w = PE_CONTROL_WIDTH
        return cls(
            pe=tuple(word.parallel | word.down << w | word.up << 2 * w for word in words),
            edges=tuple(sum(getattr(word, name) << bit for name, bit in EDGE_BIT.items()) for word in words),
            base=tuple(base),
        )


@block
def control_rom(
    clock: Any, first_address: Any, second_address: Any, first_pe: Any, first_edges: Any, second_pe: Any,
    second_edges: Any, plans: Sequence[ExecutionPlan],
) -> Any:
    """The plans' words, with a synchronous read port for each sequencer.

    Ports
        first_address, second_address
                       in   ``ControlMemory.address_width`` bits
        *_pe, *_edges  out  of ``MatrixControl``, from the next cycle on

    A table this small is logic on most targets; with its addresses from before the edge it can be a block RAM as well.
    """
    memory = ControlMemory.of(plans)
    pe_words, edge_words = (*memory.pe, 0), (*memory.edges, 0)

    @always(clock.posedge)
    def read() -> None:
        word = int(first_address)
        first_pe.next = pe_words[word]
        first_edges.next = edge_words[word]
        word = int(second_address)
        second_pe.next = pe_words[word]
        second_edges.next = edge_words[word]

    return read


@block
def sequencer(
    clock: Any, reset: Any, accept: Any, instruction: Any, address: Any, control: Any, release: Any, busy: Any,
    config: Config, plans: Sequence[ExecutionPlan],
) -> Any:
    """Runs one instruction at a time; all outputs but ``address`` are registers, and ``hidden`` is zero when idle.

    Ports
        accept       in   1   take ``instruction`` now; its plan's cycle 0 is the next cycle
        instruction  in       ``MatrixInstruction`` (valid and ready are not used)
        address      out      of the next cycle's word in the control ROM; combinational
        control      both     ``MatrixControl``: ``pe`` and ``edges`` are the ROM's, the others are driven here
        release      out      ``SemaphoreRelease``: what to release in the cycle whose edge control says so
        busy         out  1

    An unknown function is busy for one cycle and does nothing.
    """
    memory = ControlMemory.of(plans)
    first_words, nothing = memory.base, memory.nothing
    word = unsigned(memory.address_width)
    scratchpad_stride = unsigned(len(instruction.scratchpad_stride))
    accumulator_stride = unsigned(len(instruction.accumulator_stride))
    causal, hidden_keys, key = unsigned(1), unsigned(len(instruction.hidden)), unsigned(len(instruction.hidden))
    keys = config.rows

    read_bit, accumulator_read_bit = 1 << EDGE_BIT["read"], 1 << EDGE_BIT["accumulator_read"]
    last_bit = 1 << EDGE_BIT["last"]
    compare_low, compare_mask, update = EDGE_BIT["compare"], (1 << Comparator.WIDTH) - 1, Comparator.UPDATE
    scratchpad_mask = (1 << len(control.scratchpad_row)) - 1
    accumulator_mask = (1 << len(control.accumulator_row)) - 1
    key_mask = (1 << len(key)) - 1
    edges, hidden = control.edges, control.hidden
    scratchpad_row, accumulator_row = control.scratchpad_row, control.accumulator_row

    @always_comb
    def choose_word() -> None:
        if reset:
            address.next = nothing
        elif accept:
            address.next = first_words[int(instruction.function)]
        elif busy and (edges & last_bit) == 0:
            address.next = word + 1
        else:
            address.next = nothing

    @always(clock.posedge)
    def step() -> None:
        now = int(edges)
        word.next = address
        if reset:
            busy.next = 0
            hidden.next = 0
        elif accept:
            busy.next = 1
            hidden.next = 0
            key.next = 0
            hidden_keys.next = instruction.hidden
            scratchpad_row.next = instruction.scratchpad_row
            scratchpad_stride.next = instruction.scratchpad_stride
            accumulator_row.next = instruction.accumulator_row
            accumulator_stride.next = instruction.accumulator_stride
            control.skew.next = (
                int(instruction.reverse_in) | (int(instruction.delay) << 1) | (int(instruction.reverse_out) << 2)
            )
            control.zero.next = instruction.zero
            causal.next = instruction.causal
            release.valid.next = instruction.release
            release.semaphore.next = instruction.semaphore
            release.value.next = instruction.release_value
        elif busy:
            if (now & last_bit) != 0:
                busy.next = 0
            if (now & read_bit) != 0:
                scratchpad_row.next = (int(scratchpad_row) + int(scratchpad_stride)) & scratchpad_mask
            if (now & accumulator_read_bit) != 0:
                accumulator_row.next = (int(accumulator_row) + int(accumulator_stride)) & accumulator_mask
            if ((now >> compare_low) & compare_mask) == update:
                following = int(key) + 1
                key.next = following & key_mask
                # a countdown from the number of columns hides the key from all of them
                if following + int(hidden_keys) >= keys:
                    hidden.next = keys
                elif causal:
                    hidden.next = following
            else:
                hidden.next = 0

    return choose_word, step


@block
def merge(first: Any, second: Any, merged: Any) -> Any:
    """Two sequencers' control as one; combinational.

    Ports
        first, second  in   ``MatrixControl``
        merged         out  ``MatrixControl``

    The plans never collide, which the simulation asserts (``sims.monitors.fsa``), so an OR is enough; rows and flags
    come from whichever side uses them. A constant enters with delay and without reversal.
    """
    uses_skew = 1 << EDGE_BIT["read"]
    uses_constant, constant_skew = 1 << EDGE_BIT["use_constant"], 2
    uses_accumulator = 1 << EDGE_BIT["accumulator_read"]
    compares = ((1 << Comparator.WIDTH) - 1) << EDGE_BIT["compare"]

    @always_comb
    def merge_control() -> None:
        one = int(first.edges)
        two = int(second.edges)
        merged.pe.next = first.pe | second.pe
        merged.edges.next = one | two
        if (one & compares) != 0:
            merged.hidden.next = first.hidden
        else:
            merged.hidden.next = second.hidden
        if (one & uses_skew) != 0:
            merged.scratchpad_row.next = first.scratchpad_row
        else:
            merged.scratchpad_row.next = second.scratchpad_row
        if ((one | two) & uses_constant) != 0:
            merged.skew.next = constant_skew
        elif (one & uses_skew) != 0:
            merged.skew.next = first.skew
        else:
            merged.skew.next = second.skew
        if (one & uses_accumulator) != 0:
            merged.accumulator_row.next = first.accumulator_row
            merged.zero.next = first.zero
        else:
            merged.accumulator_row.next = second.accumulator_row
            merged.zero.next = second.zero

    return merge_control


@block
def matrix_controller(
    clock: Any, reset: Any, instruction: Any, control: Any, release: Any, busy: Any, config: Config,
    plans: Sequence[ExecutionPlan], probe: dict[str, Any] | None = None,
) -> Any:
    """Accepts instructions in order and lets one's tail overlap the next one's head.

    Ports
        instruction  in    ``MatrixInstruction``; its ``ready`` is driven here and depends on ``wait_idle``
        control      out   ``MatrixControl``
        release      out   ``SemaphoreRelease``
        busy         out   1

    The two sequencers take instructions in turn. The one whose turn it is must be idle, and the other idle or past
    its plan's next-may-start cycle; with ``wait_idle`` both must be idle. ``probe``, when given, receives the internal
    signals that a test bench watches.
    """
    turn = unsigned(1)
    accept = [unsigned(1) for _ in range(2)]
    sides = [MatrixControl(config) for _ in range(2)]
    releases = [SemaphoreRelease() for _ in range(2)]
    busies = [unsigned(1) for _ in range(2)]
    addresses = [unsigned(ControlMemory.of(plans).address_width) for _ in range(2)]
    may_overlap = unsigned(1)
    may_start, release_bit = 1 << EDGE_BIT["may_start"], 1 << EDGE_BIT["release"]

    accept_first, accept_second = accept
    busy_first, busy_second = busies
    edges_first, edges_second = sides[0].edges, sides[1].edges
    release_first, release_second = releases

    sequencers = [
        sequencer(clock, reset, accept[i], instruction, addresses[i], sides[i], releases[i], busies[i], config, plans)
        for i in range(2)
    ]
    rom = control_rom(
        clock, addresses[0], addresses[1], sides[0].pe, sides[0].edges, sides[1].pe, sides[1].edges, plans
    )
    merged = merge(sides[0], sides[1], control)

    @always_comb
    def overlap() -> None:
        if turn:
            may_overlap.next = not busy_second and (not busy_first or (edges_first & may_start) != 0)
        else:
            may_overlap.next = not busy_first and (not busy_second or (edges_second & may_start) != 0)

    @always_comb
    def issue() -> None:
        free = bool(may_overlap)
        if instruction.wait_idle:
            free = not busy_first and not busy_second
        instruction.ready.next = free
        accept_first.next = free and instruction.valid and not turn
        accept_second.next = free and instruction.valid and turn

    @always(clock.posedge)
    def take_turns() -> None:
        if reset:
            turn.next = 0
        elif accept_first or accept_second:
            turn.next = not turn

    @always_comb
    def outputs() -> None:
        busy.next = busy_first or busy_second
        release.valid.next = 0
        release.semaphore.next = release_second.semaphore
        release.value.next = release_second.value
        if (edges_first & release_bit) != 0:
            release.valid.next = release_first.valid
            release.semaphore.next = release_first.semaphore
            release.value.next = release_first.value
        elif (edges_second & release_bit) != 0:
            release.valid.next = release_second.valid

    if probe is not None:
        probe.update(may_overlap=may_overlap, sides=sides, busies=busies, accept=accept, control=control)
    return sequencers, rom, merged, overlap, issue, take_turns, outputs

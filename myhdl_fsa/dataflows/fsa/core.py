"""The core: matrix controller, scratchpad, skews, systolic array, accumulators and accumulator RAM.

    instruction -> matrix_controller -> control for everything below
    scratchpad -> input_skew -> systolic (comparators over PE rows) -> output_skew -> accumulator <-> accumulator RAM
"""

from __future__ import annotations

from typing import Any

from myhdl_fsa.arithmetic.exp2 import Exp2
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows.fsa.accumulator import accumulator
from myhdl_fsa.dataflows.fsa.control import Accumulator, Comparator, Constant
from myhdl_fsa.dataflows.fsa.plans import plans
from myhdl_fsa.dataflows.fsa.sequencer import EDGE_BIT, MatrixControl, matrix_controller
from myhdl_fsa.dataflows.fsa.systolic import systolic
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.ram import ram
from myhdl_fsa.signals import address_width, unsigned
from myhdl_fsa.skew import input_skew, output_skew

__all__ = ["QUEUES", "core", "left_edge"]

QUEUES = False
"""an instruction that is accepted starts"""


@block
def left_edge(
    clock: Any, reset: Any, edges: Any, skew: Any, scale: Any, use_constant: Any, constant: Any, reverse_in: Any,
    delay: Any, reverse_out: Any, config: Config,
) -> Any:
    """Delays the skew's controls by the scratchpad's read cycle and picks the constant; latency 1 cycle.

    Ports
        edges, skew   in   edge control and skew flags as the controller sends them
        scale         in   elem   log2(e)/sqrt(d), or another factor of the scores
        use_constant  out  1
        constant      out  elem   1.0, ``scale``, or the next exp2 slope
        reverse_in, delay, reverse_out
                      out  1      held until the next word enters, so that the last one drains as it came

    What follows ``edges`` needs no reset of its own: the controller's reset has cleared them a cycle later.
    Source: docs/specification.md section 3.
    """
    elem = config.elem
    slopes = Exp2(elem, config.acc, config.exp2_pieces).slopes
    one = elem.one
    last_piece = config.exp2_pieces - 1
    piece = unsigned(max(2, last_piece.bit_length()))
    read_bit, use_bit, constant_bit = 1 << EDGE_BIT["read"], 1 << EDGE_BIT["use_constant"], EDGE_BIT["constant"]
    constant_mask, one_index, scale_index = (1 << Constant.WIDTH) - 1, Constant.ONE, Constant.SCALE

    @always(clock.posedge)
    def registers() -> None:
        now = int(edges)
        use_constant.next = (now & use_bit) != 0
        if (now & (read_bit | use_bit)) != 0:
            flags = int(skew)
            reverse_in.next = flags & 1
            delay.next = (flags >> 1) & 1
            reverse_out.next = (flags >> 2) & 1
        if reset:
            piece.next = 0
        elif (now & use_bit) != 0:
            which = (now >> constant_bit) & constant_mask
            if which == one_index:
                constant.next = one
            elif which == scale_index:
                constant.next = scale
            else:
                constant.next = slopes[int(piece)]
                if piece == last_piece:
                    piece.next = 0
                else:
                    piece.next = piece + 1

    return registers


@block
def core(
    clock: Any,
    reset: Any,
    instruction: Any,
    release: Any,
    busy: Any,
    scratchpad_write: Any,
    accumulator_read: Any,
    scale: Any,
    config: Config,
    probe: dict[str, Any] | None = None,
) -> Any:
    """The machine without its front end and DMA.

    Ports
        instruction       in   ``MatrixInstruction``, valid/ready
        release           out  ``SemaphoreRelease``
        busy              out  1
        scratchpad_write  in   ``ScratchpadWrite``
        accumulator_read  in   ``AccumulatorReadPort``; ready whenever the core does not read itself
        scale             in   ``ScalePort``

    ``probe``, when given, receives the internal signals that a test bench watches.
    Source: docs/specification.md section 3.
    """
    rows, cols, elem, acc = config.rows, config.cols, config.elem, config.acc
    control = MatrixControl(config)
    edges = control.edges

    scratchpad_data = unsigned(rows * elem.width)
    use_constant, reverse_in, delay, reverse_out = (unsigned(1) for _ in range(4))
    constant = unsigned(elem.width)
    left = unsigned(rows * elem.width)
    bottom = unsigned(cols * acc.width)
    from_array = unsigned(cols * acc.width)

    command = unsigned(Comparator.WIDTH)
    accumulate = unsigned(Accumulator.WIDTH)
    scratchpad_read = unsigned(1)
    ram_read, ram_write, zero = unsigned(1), unsigned(1), unsigned(1)
    ram_read_row = unsigned(address_width(config.accumulator_rows))
    ram_write_row = unsigned(address_width(config.accumulator_rows))
    ram_data = accumulator_read.data
    old_row = unsigned(cols * acc.width)
    new_row = unsigned(cols * acc.width)

    controller = matrix_controller(
        clock, reset, instruction, control, release, busy, config, plans(config), probe
    )
    scratchpad = ram(
        clock, scratchpad_read, control.scratchpad_row, scratchpad_data, scratchpad_write.valid, scratchpad_write.row,
        scratchpad_write.data, config.scratchpad_rows,
    )
    edge_registers = left_edge(
        clock, reset, edges, control.skew, scale.elem, use_constant, constant, reverse_in, delay, reverse_out, config
    )
    enter = input_skew(
        clock, scratchpad_data, constant, use_constant, reverse_in, delay, reverse_out, left, rows, elem.width
    )
    array = systolic(
        clock, reset, command, control.hidden, control.pe, left, bottom, config, probe
    )
    leave = output_skew(clock, bottom, from_array, cols, acc.width)
    accumulators = accumulator(clock, reset, accumulate, from_array, old_row, scale.acc, new_row, config, probe)
    accumulator_ram = ram(
        clock, ram_read, ram_read_row, ram_data, ram_write, ram_write_row, new_row, config.accumulator_rows
    )

    read_bit, accumulator_bit = 1 << EDGE_BIT["read"], 1 << EDGE_BIT["accumulator_read"]
    write_bit = 1 << EDGE_BIT["write_back"]
    compare_at, compare_mask = EDGE_BIT["compare"], (1 << Comparator.WIDTH) - 1
    accumulate_at, accumulate_mask = EDGE_BIT["accumulate"], (1 << Accumulator.WIDTH) - 1

    @always_comb
    def decode() -> None:
        now = int(edges)
        command.next = (now >> compare_at) & compare_mask
        accumulate.next = (now >> accumulate_at) & accumulate_mask
        scratchpad_read.next = (now & read_bit) != 0

    @always_comb
    def share_read_port() -> None:
        if (edges & accumulator_bit) != 0:
            accumulator_read.ready.next = 0
            ram_read.next = 1
            ram_read_row.next = control.accumulator_row
        else:
            accumulator_read.ready.next = 1
            ram_read.next = accumulator_read.valid
            ram_read_row.next = accumulator_read.row

    @always(clock.posedge)
    def write_back() -> None:
        now = int(edges)
        ram_write.next = (now & write_bit) != 0
        if (now & accumulator_bit) != 0:
            ram_write_row.next = control.accumulator_row
            zero.next = control.zero

    @always_comb
    def old_value() -> None:
        if zero:
            old_row.next = 0
        else:
            old_row.next = ram_data

    if probe is not None:
        probe.update(from_array=from_array, accumulate=accumulate, old_row=old_row, new_row=new_row)
    return (controller, scratchpad, edge_registers, enter, array, leave, accumulators, accumulator_ram,
            decode, share_read_port, write_back, old_value)

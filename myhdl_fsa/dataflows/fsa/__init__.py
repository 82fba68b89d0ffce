"""The published dataflow: S rises to the comparators, comes back down, and becomes P; 5N+13 cycles an iteration.

Column c holds query c while S = Q K^T leaves upwards, passes the comparators above the array and returns; the array
turns its direction twice an iteration. Everything that belongs to this dataflow alone stands in this folder.

    times       how long it takes
    plan, plans the execution plans: tables from which control is generated
    control     the control words
    pe, comparator, systolic
                the array
    accumulator what stands under a column
    sequencer   when an instruction may start, and the players of the plans
    core        the machine without front end and DMA
    rules       what it asks of a program
    kernel      FlashAttention as a program
    golden      the array without a clock
"""

__all__ = []

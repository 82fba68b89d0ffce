"""The "stream" dataflow: every wave that multiplies runs down, an inner iteration takes 2N+4 cycles.

Column c holds query c. S falls, waits as elem words in a buffer under its column, returns on a lane that runs up,
becomes P in place, and P V runs down again. Everything that belongs to this dataflow alone stands in this folder.

    times       the constants of the timetable
    timetable   what each instruction does, and when: the tables from which control is generated
    control     the control words
    pe, edge    the array: processing elements; top register, comparator and buffer of a column
    array       both together
    delay       skews and delay lines
    accumulator what stands under a column
    controller  when an instruction may start, and the players of the timetable
    core        the machine without front end and DMA
    order       in which order instructions may come, in Python and in hardware
    rules       what else it asks of a program
    kernel      FlashAttention as a program
    golden      the array without a clock
"""

__all__ = []

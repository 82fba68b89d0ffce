"""What the machine holds and does in each cycle: the trace's contents, the names of values, and its file."""

from __future__ import annotations

from myhdl_fsa.trace.contents import CycleTrace, Frame, Instruction, Kind, Unit, Value
from myhdl_fsa.trace.file import TraceError, read_trace, write_trace

__all__ = [
    "CycleTrace", "Frame", "Instruction", "Kind", "TraceError", "Unit", "Value", "read_trace", "write_trace",
]

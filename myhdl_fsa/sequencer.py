"""The published controller: see ``dataflows.fsa.sequencer``."""

from __future__ import annotations

from myhdl_fsa.dataflows.fsa.sequencer import (
    EDGE_BIT,
    EDGE_FIELDS,
    EDGE_WIDTH,
    ControlMemory,
    MatrixControl,
    control_rom,
    matrix_controller,
    merge,
    sequencer,
)

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

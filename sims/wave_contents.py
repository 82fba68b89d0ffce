"""What the signals of a waveform hold, declared by block and signal: numbers of a format, codes, or control bits.

What is not here is plain: an address in memory, a handshake, or a word whose meaning changes, like the return lane's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.sims.wave_fields import is_streamed

__all__ = ["ACC", "DECIMAL", "ELEM", "SIGNED", "content", "contents", "kind"]

ELEM = "elem"
"""a number of the input format, or a row of them"""
ACC = "acc"
"""a number of the accumulator format, or a row of them"""
DECIMAL = "decimal"
"""a whole number of 0 or more"""
SIGNED = "signed"
"""a whole number"""

_Table = Mapping[str, Mapping[str, str]]
"""by the block's function and the signal's name: one of the above, or a kind of ``wave_values``"""

_ALL: _Table = {
    "core": {
        "instruction_function": "function", "scratchpad_write_data": ELEM, "accumulator_read_data": ACC,
        "scale_elem": ELEM, "scale_acc": ACC, "old_row": ACC,
    },
    "accumulator": {"from_array": ACC, "ram_row": ACC, "scale": ACC, "result_row": ACC},
    "accumulator_unit": {"from_array": ACC, "ram_word": ACC, "scale": ACC, "result": ACC},
    "newton": dict.fromkeys(("x", "result", "a", "b", "c", "correction", "guess"), ACC),
    "output_skew": {"row": ACC, "out": ACC},
    "matrix_controller": {"instruction_function": "function"},
    "matrix_issue": {"instruction_function": "function"},
    "registers": {"scale_elem": ELEM, "scale_acc": ACC, "control_state": "state", "control_error": "error"},
    "device_state": {
        "control_state": "state", "control_error": "error", "decode_fault_code": "error", "read_fault_code": "error",
        "write_fault_code": "error",
    },
    "decoder": {"fault_code": "error"},
    "dma_engine": {
        "write_data": ELEM, "read_data": ACC, "load_fault_code": "error", "store_fault_code": "error",
    },
    "loads": {"write_data": ELEM, "fault_code": "error"},
    "stores": {"read_data": ACC, "fault_code": "error"},
}
_FSA: _Table = {
    "core": {"command": "fsa.comparator", "accumulate": "fsa.accumulator"},
    "matrix_controller": {
        "control_edges_constant": "fsa.constant", "control_edges_compare": "fsa.comparator",
        "control_edges_accumulate": "fsa.accumulator",
    },
    "sequencer": {
        "instruction_function": "function", "control_edges_constant": "fsa.constant",
        "control_edges_compare": "fsa.comparator", "control_edges_accumulate": "fsa.accumulator",
    },
    "input_skew": {"row": ELEM, "constant": ELEM, "out": ELEM, "entered": ELEM},
    "left_edge": {"scale": ELEM, "constant": ELEM},
    "systolic": {
        "command": "fsa.comparator", "left": ELEM, "bottom": ACC, "down": "fsa.pe", "parallel": "fsa.pe",
        "up": "fsa.pe",
    },
    "pe_row": {"left": ELEM, **dict.fromkeys(("parallel", "down_in", "up_in", "down_out", "up_out"), "fsa.pe")},
    "pe": {
        "control": "fsa.pe", "control_out": "fsa.pe", "left": ELEM, "right": ELEM, "above": ACC, "below": ACC,
        "down": ACC, "up": ACC, "register": ELEM,
    },
    "comparator": {
        "command": "fsa.comparator", "command_out": "fsa.comparator", "score": ACC, "down": ACC, "new_max": ACC,
        "old_max": ACC,
    },
    "accumulator": {"command": "fsa.accumulator"},
    "accumulator_unit": {"command": "fsa.accumulator", "a": ACC},
}
_STREAM: _Table = {
    "core": {"command": "stream.compare", "accumulate": "stream.accumulate", "entering": ELEM},
    "matrix_controller": {
        "control_left": "stream.left", "control_compare": "stream.compare", "control_accumulate": "stream.accumulate",
    },
    "systolic": {"command": "stream.compare", "left": ELEM, "queries": ELEM, "bottom": ACC},
    "pe_row": {"left": ELEM},
    "pe": {
        "operation": "stream.operation", "left": ELEM, "right": ELEM, "above": ACC, "down": ACC, "query": ELEM,
        "weight": ELEM,
    },
    "column_top": {"above": ACC, "maximum": ACC},
    "comparator": {
        "command": "stream.compare", "command_out": "stream.compare", "score": ACC, "query": ELEM, "bottom": ACC,
        "difference": ACC, "in_use": ACC, "running": ACC,
    },
    "accumulator": {"command": "stream.accumulate"},
    "accumulator_unit": {"command": "stream.accumulate", "reciprocal": ACC, "rescale": ACC, "row_sum": ACC},
}
_RAMS = {"scratchpad": ELEM, "query_scratchpad": ELEM, "accumulator_ram": ACC}
"""what the rows of a RAM hold, by the name of its scope"""
_ENDINGS = {
    "stride": SIGNED,
    **dict.fromkeys(("row", "count", "hidden", "semaphore", "value", "number", "queued", "len"), DECIMAL),
}
"""what signals whose names end so hold in every block, where the block's own table does not say"""


def contents(block: Any, name: str) -> Mapping[str, str]:
    """What the signals of a block hold, by their names; ``name`` is the block's scope's."""
    function = block.func.__name__
    if function == "ram":
        held = _RAMS.get(name)
        return {} if held is None else {"read_data": held, "write_data": held}
    own = _STREAM if is_streamed(block) else _FSA
    return {**_ALL.get(function, {}), **own.get(function, {})}


def content(block: Any, name: str, signal: str, width: int) -> str | None:
    """What a signal of a block holds; None for plain bits."""
    held = contents(block, name).get(signal)
    if held is None and width > 1:
        held = next((end for ending, end in _ENDINGS.items() if signal.endswith(ending)), None)
    return held


def kind(held: str, config: Config) -> str:
    """The kind, of ``wave_values``, of what is declared so: the name of a format, for a number."""
    return {ELEM: config.elem.name, ACC: config.acc.name}.get(held, held)

"""What fsa-sim prints and writes about a run: lines of text, and the JSON document."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits, FloatFormat
from myhdl_fsa.config import Config
from myhdl_fsa.engine import Progress, Transfer
from myhdl_fsa.program import Counters, Execution
from myhdl_fsa.tiling import AttentionShape
from myhdl_fsa.workbench.metrics import Errors, to_float32

__all__ = [
    "COUNTER_FORMS",
    "Comparison",
    "ELEM_TRACE",
    "compare",
    "comparison_line",
    "counter_lines",
    "counter_title",
    "cycle_lines",
    "error_line",
    "json_document",
    "matrix_lines",
    "problem",
    "program_document",
    "progress_bar",
    "to_json",
    "say",
    "transfer_lines",
]

if TYPE_CHECKING:
    from myhdl_fsa.workbench.record import RunRecord
    from myhdl_fsa.workbench.stored_memory import MemoryComparison

ELEM_TRACE = ("S_elem", "X1", "X2", "P")
"""intermediates in the elem format; every other one is in the acc format"""


@dataclass(frozen=True)
class Comparison:
    """Two arrays of patterns, bit for bit."""

    count: int
    """values compared"""
    differing: int
    first: tuple[int, ...] | None
    """index of the first value that differs, row by row"""


def compare(ours: Bits, golden: Bits) -> Comparison:
    """Compares two arrays of patterns of one shape. Raises ValueError when the shapes differ."""
    if ours.shape != golden.shape:
        raise ValueError(f"FSA has shape {list(ours.shape)}, the golden model {list(golden.shape)}")
    differs = ours != golden
    differing = int(np.count_nonzero(differs))
    first = tuple(int(i) for i in np.unravel_index(int(np.argmax(differs)), differs.shape)) if differing else None
    return Comparison(differs.size, differing, first)


def error_line(name: str, errors: Errors, reference: str = "torch") -> str:
    """The published line, with each value as numpy prints a float32."""
    values = ", ".join(f"'{key}': {value!s}" for key, value in errors.items())
    return f"Error of {name} vs {reference}: {{{values}}}"


def cycle_lines(cycles: int, inner_iteration_cycles: float | None, utilisation: float) -> list[str]:
    """Cycles, cycles per inner iteration where known, and matmul utilisation (0 to 1) in percent."""
    lines = [f"Cycles: {cycles}"]
    if inner_iteration_cycles is not None:
        lines.append(f"Cycles per inner iteration: {inner_iteration_cycles:.1f}")
    return [*lines, f"Matmul utilisation: {100 * utilisation:.1f} %"]


COUNTER_FORMS = {
    "execution_time": "Execution time: {} cycles", "matrix_bubble": "Max bubble cycles: {} cycles",
    "matrix_active": "Max active cycles: {} cycles", "dma_active": "DMA active cycles: {} cycles",
    "raw": "Raw instructions: {}", "matrix": "Max instructions: {}", "dma": "DMA instructions: {}",
    "fence": "Fence instructions: {}", "enqueued": "Enqueue instructions: {}", "dequeued": "Dequeue instructions: {}",
}
"""counter -> the published driver's line, with {} for the value"""


def counter_lines(counters: Counters | None) -> list[str]:
    """The lines that the published driver prints ("Max" is its word for the matrix unit); none without a clock."""
    if counters is None:
        return []
    values = counters.to_dict()
    return ["Performance counters:", *(form.format(values[name]) for name, form in COUNTER_FORMS.items())]


_TRANSFERS = {"memory": "To the board", "program": "Program, until it was done", "result": "From the board"}


def transfer_lines(transfers: Sequence[Transfer]) -> list[str]:
    """What was carried to a board and back, and how long that took; none where no board ran."""
    return [f"{_TRANSFERS[one.name]}: {one.size} bytes, {one.seconds:.1f} s" for one in transfers]


def counter_title(name: str) -> str:
    """What ``counter_lines`` calls a counter."""
    return COUNTER_FORMS[name].partition(":")[0]


def comparison_line(
    comparison: Comparison, ours: Bits, golden: Bits, fmt: FloatFormat, name: str = "FSA", reference: str = "golden"
) -> str:
    """That ``name`` equals ``reference``, or where it first does not, with both patterns."""
    other = "the golden model" if reference == "golden" else reference
    if comparison.first is None:
        return f"{name} equals {other} bit for bit ({comparison.count} values)"
    return (
        f"{name} differs from {other} in {comparison.differing} of {comparison.count} values, "
        f"{_difference(comparison.first, ours, golden, fmt, name, reference)}"
    )


def matrix_lines(
    name: str, golden: Bits, config: Config, captured: Mapping[str, Bits] | None = None
) -> Iterator[str]:
    """One intermediate, each value in hex and float, a row of the last dimension a line.

    ``captured`` holds what the hardware had by name, None when no hardware ran; the first value in which it differs is
    marked with ``*``.
    """
    fmt = config.elem if name in ELEM_TRACE else config.acc
    ours = None if captured is None else captured.get(name)
    verdict = "" if captured is None else ", not captured from the hardware"
    first: tuple[int, ...] | None = None
    if ours is not None and ours.shape != golden.shape:
        verdict = f", FSA has another shape, {list(ours.shape)}"
    elif ours is not None:
        comparison = compare(ours, golden)
        first = comparison.first
        differs = f", FSA differs in {comparison.differing} of {comparison.count} values"
        verdict = ", FSA equal" if first is None else differs
    yield f"{name}: {fmt} {list(golden.shape)}{verdict}"
    values = to_float32(golden, fmt)
    for row in np.ndindex(golden.shape[:-1]):
        mark = first[-1] if first is not None and first[:-1] == row else None
        cells = (
            f"{_hex(bits, fmt)}{'*' if column == mark else ' '}{value!s:<14}"
            for column, (bits, value) in enumerate(zip(golden[row], values[row], strict=True))
        )
        yield f"  {list(row)} {' '.join(cells)}".rstrip()
    if first is not None and ours is not None:
        yield f"  * {_difference(first, ours, golden, fmt)}"


def json_document(
    *,
    config: Config,
    engine: str,
    shape: AttentionShape,
    scale: float | None,
    cycles: int | None,
    inner_iteration_cycles: float | None,
    utilisation: float | None,
    bit_exact: bool | None,
    poor_reciprocals: int | None,
    errors: Mapping[str, Errors],
    errors_float64: Mapping[str, Errors],
    run: RunRecord,
    lockstep: Mapping[str, Any] | None = None,
    counters: Mapping[str, int] | None = None,
    transfers: Sequence[Transfer] = (),
) -> bytes:
    """The JSON of a run, UTF-8. Errors carry the digits that are printed; one that is not finite is null.

    ``scale`` None is that of the head dimension. ``lockstep``, what a lockstep run found equal, is there when one was
    made; ``counters``, when the device ran; ``transfers``, when a board did.
    """
    document: dict[str, Any] = {
        "config": config.to_dict(),
        "engine": engine,
        **problem(shape, scale),
        "reciprocal": config.reciprocal,
        "dataflow": config.dataflow,
        "cycles": cycles,
        "inner_iteration_cycles": inner_iteration_cycles,
        "utilisation": utilisation,
        "bit_exact": bit_exact,
        "poor_reciprocals": poor_reciprocals,
        "errors": _numbers(errors),
    }
    if counters is not None:
        document["counters"] = dict(counters)
    if transfers:
        document["transfers"] = {one.name: {"bytes": one.size, "seconds": round(one.seconds, 6)} for one in transfers}
    if lockstep is not None:
        document["lockstep"] = dict(lockstep)
    return to_json({**document, "errors_float64": _numbers(errors_float64), "run": run.to_dict()})


def problem(shape: AttentionShape, scale: float | None) -> dict[str, Any]:
    """An attention problem's sizes and the factor of its scores, for JSON."""
    return {
        "seq_q": shape.seq_q,
        "seq_kv": shape.seq_kv,
        "batch": shape.batch,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "head_dim": shape.head_dim,
        "value_dim": shape.value_dim,
        "scale": 1 / math.sqrt(shape.head_dim) if scale is None else scale,
        "causal": shape.causal,
    }


def _numbers(errors: Mapping[str, Errors]) -> dict[str, dict[str, float | None]]:
    def number(value: np.float32) -> float | None:
        return float(str(value)) if math.isfinite(value) else None

    return {name: {key: number(value) for key, value in values.items()} for name, values in errors.items()}


def program_document(
    *,
    config: Config,
    engine: str,
    execution: Execution,
    comparison: MemoryComparison | None,
    run: RunRecord,
    lockstep: Mapping[str, Any] | None = None,
) -> bytes:
    """The JSON of a program's run, UTF-8: how it ended, and its counters where there is a clock.

    ``comparison`` is that with the golden model, None when none was made.
    """
    document: dict[str, Any] = {
        "config": config.to_dict(),
        "engine": engine,
        "state": execution.state.name.lower(),
        "error": execution.error.name.lower(),
        "error_instruction": execution.error_instruction,
        "counters": None if execution.counters is None else execution.counters.to_dict(),
    }
    if lockstep is not None:
        document["lockstep"] = dict(lockstep)
    document["bit_exact"] = None if comparison is None else comparison.equal
    document["compared_bytes"] = None if comparison is None else comparison.count
    return to_json({**document, "run": run.to_dict()})


def to_json(document: Mapping[str, Any]) -> bytes:
    """A document as text, UTF-8. Raises ValueError for a number that is not finite."""
    return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def say(text: str) -> None:
    """Prints a line about the run on standard error."""
    print(f"fsa-sim: {text}", file=sys.stderr, flush=True)


@contextmanager
def progress_bar(wanted: bool, unit: str = "cycles") -> Iterator[Progress | None]:
    """A bar with cycles, or another unit, and time left on standard error, from the first cycle on.

    Yields None where that is not a terminal or not ``wanted``.
    """
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(), TextColumn(f"{{task.fields[cycles]}} {unit}"), TimeRemainingColumn())
    bar = Bar(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=None, cycles="")
    due = 0.0

    def advance(cycle: int, expected: int | None) -> None:
        # Engines may report every cycle; drawing that often would cost more than simulating.
        nonlocal due
        now = time.monotonic()
        if now >= due or cycle == expected:
            due = now + 0.1
            count = str(cycle) if expected is None else f"{cycle}/{expected}"
            bar.update(task, completed=cycle, total=expected, cycles=count)
            # not before there is a cycle: what comes first, such as a build, has none to show
            bar.start()

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()


def _difference(
    index: tuple[int, ...], ours: Bits, golden: Bits, fmt: FloatFormat, name: str = "FSA", reference: str = "golden"
) -> str:
    def both(bits: Bits) -> str:
        return f"{_hex(bits[index], fmt)} ({to_float32(bits[index].reshape(1), fmt)[0]!s})"

    return f"first at {list(index)}: {name} {both(ours)}, {reference} {both(golden)}"


def _hex(bits: int | np.unsignedinteger[Any], fmt: FloatFormat) -> str:
    return f"{int(bits):0{(fmt.width + 3) // 4}x}"

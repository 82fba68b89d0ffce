"""The file of a trace: JSON lines, first the header, then a line a cycle. docs/trace.md describes it for readers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields
from functools import partial
from typing import Any

from myhdl_fsa.engine.cycle_use import Wait
from myhdl_fsa.trace.contents import WORKS, CycleTrace, Frame, Instruction, Kind, Unit

__all__ = ["FORMAT", "TraceError", "VERSION", "header", "read_trace", "write_trace"]

FORMAT, VERSION = "myhdl-fsa trace", 1


class TraceError(ValueError):
    """What is read is no trace; says where and why."""


def header(trace: CycleTrace) -> dict[str, Any]:
    """The first line: all but the frames."""
    found: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for name in (item.name for item in fields(trace) if item.name != "frames"):
        value = getattr(trace, name)
        if isinstance(value, tuple) and name != "order":
            value = [asdict(item) for item in value]
        elif name == "kinds":
            value = {kind: asdict(item) for kind, item in value.items()}
        found[name] = value
    return {**found, "works": dict(WORKS), "frames": len(trace.frames)}


def write_trace(trace: CycleTrace) -> Iterator[str]:
    """The lines of the file, without their ends."""
    yield json.dumps(header(trace), separators=(",", ":"))
    for frame in trace.frames:
        yield json.dumps(asdict(frame), separators=(",", ":"))


def read_trace(lines: Iterable[str]) -> CycleTrace:
    """The trace whose lines these are. Raises TraceError for lines that are none."""
    every = iter(lines)
    first = _line(1, lambda: json.loads(next(every, "null")))
    if not isinstance(first, dict) or first.get("format") != FORMAT:
        raise TraceError(f"line 1: no {FORMAT}")
    if first.get("version") != VERSION:
        raise TraceError(f"line 1: version {first.get('version')}: must be {VERSION}")
    frames = tuple(_line(number, partial(_frame, line)) for number, line in enumerate(every, 2))
    if len(frames) != first.get("frames"):
        raise TraceError(f"line {len(frames) + 1}: the last one of {first.get('frames')} cycles: the file is cut")
    return CycleTrace(**_line(1, lambda: _parts(first)), frames=frames)


def _line(number: int, read: Callable[[], Any]) -> Any:
    """What ``read`` gives. Raises TraceError with the line's number where it is not as it should be."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TraceError(f"line {number}: {error}") from None


def _frame(line: str) -> Frame:
    one = json.loads(line)
    units = {name: {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}
             for name, changes in one["units"].items()}
    return Frame(one["cycle"], one["multiplies"], units)


def _parts(first: dict[str, Any]) -> dict[str, Any]:
    """All of a trace but its frames."""
    parts: dict[str, Any] = {item.name: first[item.name] for item in fields(CycleTrace) if item.name != "frames"}
    parts["kinds"] = {name: Kind(**kind) for name, kind in parts["kinds"].items()}
    parts["order"] = tuple(parts["order"])
    parts["formats"] = {name: tuple(size) if isinstance(size, list) else size
                        for name, size in parts["formats"].items()}
    for name, kind in (("units", Unit), ("instructions", Instruction), ("waits", Wait)):
        parts[name] = tuple(kind(**item) for item in parts[name])
    return parts

"""Records a run of attention as a trace: the state that every clock edge samples, taken from the MyHDL simulation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.convert.blocks import HierarchyError, arguments, find
from myhdl_fsa.engine.cycle_use import Wait
from myhdl_fsa.engine.request import RunError
from myhdl_fsa.kernel.context import Kernel
from myhdl_fsa.sims.trace.follower import Follower, Seen
from myhdl_fsa.sims.trace.names import Names, Speaker
from myhdl_fsa.sims.trace.spans import Spans
from myhdl_fsa.trace.contents import CycleTrace, Frame, Instruction, Unit

__all__ = ["MAX_STATES", "Recorder", "Recording", "follower_of", "recorder"]

MAX_STATES = 600_000
"""cycles of a unit in a trace, at most"""


@dataclass
class Recording:
    """What a run is asked to record, and what is there after it."""

    kernel: Kernel
    """of ``attention_kernel``"""
    first: int = 0
    """the first cycle to record, if the run has begun by then, and the last one; None: to the end"""
    last: int | None = None
    frames: list[Frame] = field(default_factory=list)
    units: tuple[Unit, ...] = ()
    instructions: tuple[Instruction, ...] = ()
    start: int | None = None
    """the cycle from which the run's cycles are counted"""
    follower: type[Follower] | None = None

    def trace(self, cycles: int, waits: tuple[Wait, ...]) -> CycleTrace:
        """Of a run that took so many cycles, and waited so."""
        config, follower = self.kernel.config, self.follower
        assert follower is not None and self.start is not None
        end = max((self.start + cycles - 1, *(item.last for item in self.instructions)))
        if not self.frames:
            raise RunError(f"nothing to record: the run ended in cycle {end}, before cycle {self.first}")
        formats: dict[str, tuple[int, int] | int] = {
            name: (fmt.exponent_bits, fmt.mantissa_bits) for name, fmt in (("elem", config.elem), ("acc", config.acc))}
        frames = tuple(frame for frame in self.frames if frame.cycle <= end)
        return CycleTrace(
            config.dataflow, json.loads(config.to_json()), config.rows, config.cols,
            {**formats, **follower.formats(config)}, follower.kinds, follower.order, self.units, self.start, cycles,
            self.instructions, waits, frames,
        )


class Recorder:
    """Follows a simulated design that has a ``core`` in it; ``sample`` is called before every clock edge."""

    def __init__(self, design: Any, into: Recording) -> None:
        kernel, config = into.kernel, into.kernel.config
        assert kernel.attention is not None
        self._into, self._names = into, Names()
        self._speak = Speaker(kernel.attention, config.rows)
        self._spans = Spans(kernel, self._speak)
        core = find(design, "core")
        into.follower = follower_of(config)
        self._follower = into.follower(core, config, self._names, self._spans)
        into.units = self._follower.units
        ports = arguments(core)
        self._instruction, self._write = ports["instruction"], ports["scratchpad_write"]
        self._read = ports["accumulator_read"]
        self._active = _active(design)
        self._shown: dict[str, dict[str, Any]] = {unit.name: {} for unit in into.units}
        bits = {"elem": config.elem.width, "acc": config.acc.width, **self._follower.formats(config)}
        self._formats = {
            unit.name: {name: -(-bits[fmt] // 4) for values in (kind.holds, kind.takes) for name, fmt in values.items()}
            for unit in into.units for kind in [self._follower.kinds[unit.kind]]}
        """hexadecimal digits of a unit's values"""
        self._multiplies = 0

    def sample(self, cycle: int) -> None:
        """Follows and records one cycle. Raises RunError for one more than a trace holds."""
        self._spans.cycle = cycle
        if self._into.start is None and self._begins():
            self._into.start = cycle
        write, read, follower = self._write, self._read, self._follower
        if write.valid:
            self._names.now(write.data, self._spans.written(int(write.row)))
        if read.valid and read.ready:
            self._spans.read(int(read.row))
        follower.combine()
        begun = self._into.start is not None or self._spans.begun
        kept = begun and cycle >= self._into.first and (self._into.last is None or cycle <= self._into.last)
        changes = {}
        for seen in follower.observe():
            self._multiplies += seen.work in ("score", "value") and seen.unit.startswith("pe_")
            if kept and (changed := self._changes(seen)):
                changes[seen.unit] = changed
        if kept:
            frames = self._into.frames
            frames.append(Frame(cycle, self._multiplies, changes))
            if len(frames) * len(self._into.units) > MAX_STATES:
                raise RunError(f"{len(frames)} cycles of {len(self._into.units)} units are more than a trace holds "
                               f"({MAX_STATES}): record {len(frames) - 1} at most, "
                               f"as from {frames[0].cycle} to {cycle - 1}")
        follower.edge()
        self._names.edge()

    def close(self) -> None:
        """After the last cycle."""
        self._into.instructions = self._spans.instructions()

    def _begins(self) -> bool:
        """Whether the run's cycles are counted from this one on."""
        if self._active is not None:
            return bool(self._active)
        return bool(self._instruction.valid and self._instruction.ready)

    def _changes(self, seen: Seen) -> dict[str, Any]:
        """What is not as the frames so far have it."""
        shown, formats = self._shown[seen.unit], self._formats[seen.unit]
        said: dict[str, Any] = {"work": seen.work, "control": seen.control}
        for name, sight in seen.values.items():
            said[name] = None if sight is None else (f"{sight[0]:0{formats[name]}x}", self._speak(sight[1]))
        changed = {name: value for name, value in said.items() if name not in shown or shown[name] != value}
        shown.update(changed)
        return changed


@contextmanager
def recorder(design: Any, into: Recording | None) -> Iterator[list[Callable[[int], None]]]:
    """What to call before every clock edge of an elaborated design: nothing where nothing is to be recorded."""
    if into is None:
        yield []
        return
    found = Recorder(design, into)
    yield [found.sample]
    found.close()


def follower_of(config: Config) -> type[Follower]:
    """That of the configuration's dataflow."""
    found: type[Follower] = import_module(f"{__package__}.{config.dataflow}.core").Follower
    return found


def _active(design: Any) -> Any:
    """The signal that says whether the device is active; None for a bare core."""
    try:
        return arguments(find(design, "performance_counters"))["active"]
    except HierarchyError:
        return None

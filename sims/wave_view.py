"""What a waveform's save files show of one machine: the groups of ``wave_groups``, each signal found in its scope."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import Formatter

from myhdl_fsa.config import Config
from myhdl_fsa.convert.design import design
from myhdl_fsa.isa import SEMAPHORES
from myhdl_fsa.sims.wave_contents import content, kind
from myhdl_fsa.sims.wave_groups import CORE, DEVICE, FEW, FEW_LINES, FEW_ROWS, Group
from myhdl_fsa.sims.wave_scopes import Scope, scope_of

__all__ = ["Section", "Signal", "sections"]


@dataclass(frozen=True)
class Signal:
    """A signal by its name in the waveform, ``core.systolic.pe_row_0.left``."""

    path: str
    width: int
    kind: str | None
    """what it holds: a kind of ``wave_values``, DECIMAL or SIGNED; None for plain bits"""


@dataclass(frozen=True)
class Section:
    """A group as it is shown."""

    title: str
    signals: tuple[Signal, ...]
    sections: tuple[Section, ...]
    open: bool


def sections(config: Config, top: str) -> tuple[Section, ...]:
    """The groups for a waveform of ``top``, ``core`` or ``accelerator``, of a machine.

    Raises ConfigError for a device that cannot be, and LookupError for a declared signal that the machine lacks.
    """
    whole, core = scope_of(design(config, top).top), CORE[config.dataflow]
    if top == "core":
        return tuple(_sections(core, _Finder(config, whole, top)))
    inside = _Finder(config, dict(whole.children)["core"], f"{top}.core")
    # the device's clock is the core's
    return (*_sections(DEVICE, _Finder(config, whole, top)), *_sections(core[1:], inside))


class _Finder:
    def __init__(self, config: Config, scope: Scope, path: str) -> None:
        self._config, self._scope, self._path = config, scope, path

    def count(self, name: str, numbers: Mapping[str, int]) -> int:
        """How many rows, columns or ports there are to show, in the row, say, that ``numbers`` tell."""
        config = self._config
        if name == "column" and "row" in numbers and max(config.rows, config.cols) > FEW:
            return 1
        return {"row": config.rows, "column": config.cols, "port": config.memory_ports,
                "semaphore": SEMAPHORES}[name]

    def __call__(self, path: str) -> Signal:
        scope, inside = self._scope, f"{self._path}.{path}".split(".")
        below = inside[self._path.count(".") + 1:-1]
        try:
            for name in below:
                scope = dict(scope.children)[name]
            widths = {**{p.name: p.width for p in scope.probes}, **{f.name: f.width for f in scope.fields}}
            width = widths[inside[-1]]
        except KeyError as error:
            raise LookupError(f"no signal {'.'.join(inside)}: no {error.args[0]}") from None
        held = content(scope.block, inside[-2], inside[-1], width)
        return Signal(".".join(inside), width, None if held is None else kind(held, self._config))


def _sections(groups: tuple[Group, ...], find: _Finder, **numbers: int) -> Iterator[Section]:
    for group in groups:
        several = list(_each(group.title, find, numbers))
        for inner in several:
            signals = tuple(
                find(path.format(**each)) for path in group.signals for each in _each(path, find, inner))
            parts = tuple(_sections(group.groups, find, **inner))
            few = len(several) <= FEW_ROWS and max(len(signals), len(parts)) <= FEW_LINES
            yield Section(group.title.format(**inner), signals, parts, group.open and few)


def _each(text: str, find: _Finder, numbers: dict[str, int]) -> Iterator[dict[str, int]]:
    """``numbers``, and those of the field in a text that is not among them, one after the other."""
    free = {name for _, name, _, _ in Formatter().parse(text) if name is not None} - numbers.keys()
    if not free:
        yield numbers
        return
    (name,) = free
    for number in range(find.count(name, numbers)):
        yield {**numbers, name: number}

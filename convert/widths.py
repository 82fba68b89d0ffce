"""Watches a MyHDL simulation for int locals that leave the interval that their Verilog module's widths come from.

In Python an int has no width; in Verilog a local that is too narrow is cut, silently. ``watch`` follows every process
of a design and the scalar functions they call, line by line, and keeps the least and the greatest value of every local.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from myhdl import intbv

from myhdl_fsa.convert import tree
from myhdl_fsa.convert.blocks import processes
from myhdl_fsa.convert.hierarchy import Design, HierarchyError, Module, children
from myhdl_fsa.convert.infer import Scope as Inferred
from myhdl_fsa.convert.inline import names_inside
from myhdl_fsa.convert.interval import Interval
from myhdl_fsa.convert.read import read_process

__all__ = ["Local", "Scope", "WidthError", "Widths", "watch"]


class WidthError(HierarchyError):
    """A local held a value that its module does not expect; the message is one line naming
    module, process, local and value.
    """


@dataclass
class Local:
    """An int local of a process: what it can be by inference, and the least and the greatest value that it took."""

    interval: Interval
    least: int | None = None
    most: int | None = None

    def hold(self, value: int) -> None:
        """Notes a value."""
        if self.least is None or self.most is None:
            self.least = self.most = value
        elif value < self.least:
            self.least = value
        elif value > self.most:
            self.most = value

    @property
    def outside(self) -> int | None:
        """A value that it took and that inference rules out."""
        for value in (self.least, self.most):
            if value is not None and not self.interval.low <= value <= self.interval.high:
                return value
        return None


Scope = dict[str, Local]
"""a process's locals, and those of the functions it calls, by their names in Verilog"""


@dataclass
class Widths:
    """The locals of the modules that were watched: module -> process -> local."""

    modules: dict[str, dict[str, Scope]] = field(default_factory=dict)

    def check(self) -> None:
        """Raises WidthError for the first local that left its interval."""
        for module, scopes in self.modules.items():
            for scope, found in scopes.items():
                for name, local in found.items():
                    if local.outside is not None:
                        raise WidthError(f"{module}: {name} of {scope} held {local.outside}, which is not between "
                                         f"{local.interval.low} and {local.interval.high}")


@contextmanager
def watch(block: Any, modules: dict[str, Module], name: str) -> Iterator[Widths]:
    """Watches simulations, made and run inside, of an elaborated block that converts to ``modules`` with top ``name``.

    Gives what the locals held, complete on leaving, when it raises WidthError for one that left its interval. The block
    must not be the one that was converted, but one elaborated alike.
    """
    widths = Widths()
    design = Design(block, block, name)
    design.name_modules()
    replaced: list[tuple[Any, Callable[[], None]]] = []

    def replace(inside: Any) -> None:
        module = design.name_of(inside)
        scopes = widths.modules.setdefault(module, {})
        for process in processes(inside):
            called = process.func.__name__
            inferred = modules[module].ranges.scopes.get(called, Inferred())
            scope = scopes.setdefault(called, {local: Local(held) for local, held in inferred.locals.items()})
            replaced.append((process, process.func))
            process.func = _traced(process.func, scope)
        for child in children(inside):
            replace(child)

    replace(block)
    try:
        yield widths
    finally:
        for process, function in replaced:
            process.func = function
    widths.check()


def _traced(process: Any, scope: Scope) -> Callable[[], None]:
    """``process`` with every local of it, and of the functions it calls, noted in ``scope``."""
    own: CodeType = process.__code__
    functions: dict[CodeType, list[tuple[tree.Function, dict[str, Local]]]] = {}
    for function, names in names_inside(read_process(process, {})):
        held = {local: scope[renamed] for local, renamed in names.items() if renamed in scope}
        functions.setdefault(function.function.__code__, []).append((function, held))  # type: ignore[union-attr]

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        return _follow(scope) if frame.f_code is own else _follow_called(frame, functions.get(frame.f_code, ()))

    def run() -> None:
        sys.settrace(enter)
        try:
            process()
        finally:
            sys.settrace(None)

    return run


def _follow_called(frame: FrameType, candidates: Any) -> Any:
    """As ``_follow``, of the function whose closure is the frame's: those made by one factory share their code."""
    for function, held in candidates:
        names = function.function.__code__.co_freevars
        if all(frame.f_locals.get(name) is cell.cell_contents
               for name, cell in zip(names, function.function.__closure__ or (), strict=True)):
            return _follow(held)
    return None


def _follow(scope: Scope) -> Any:
    def step(frame: FrameType, event: str, argument: Any) -> Any:
        values = frame.f_locals
        for name, local in scope.items():
            value = values.get(name)
            if isinstance(value, int | intbv):
                local.hold(int(value))
        return step

    return step

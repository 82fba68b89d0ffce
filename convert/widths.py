"""Watches a MyHDL simulation for int locals that outgrow what their Verilog module declares.

In Python an int has no width; in Verilog a local that is too narrow is cut, silently. ``watch`` follows every process
of a design and the scalar functions they call, line by line, and keeps the least and the greatest value of every local.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CodeType, FrameType, FunctionType
from typing import Any

from myhdl import intbv
from myhdl._instance import _Instantiator

from myhdl_fsa.convert.hierarchy import Design, HierarchyError, Module, children

__all__ = [
    "Local",
    "RESULT",
    "Scope",
    "WidthError",
    "Widths",
    "declared",
    "watch",
]

_SCOPE = re.compile(
    r"^(?:function (?P<result>[^;]*?)(?P<function>\w+);|always [^\n]*begin: (?P<process>\w+))\n(?P<body>.*?)^end",
    re.MULTILINE | re.DOTALL,
)
_LOCAL = re.compile(
    r"^ +(?:input )?(?P<kind>integer|reg)?(?P<signed> ?signed)?(?: ?\[(?P<high>\d+):0\])? ?(?P<name>\w+);$",
    re.MULTILINE,
)
RESULT = "result"
"""the name under which a function's result is kept"""


class WidthError(HierarchyError):
    """A local holds a value that its module cuts; the message is one line naming module, process, local and value."""


@dataclass
class Local:
    """An int local of a process or function: what its module declares, and the values it took."""

    width: int
    """bits"""
    signed: bool
    least: int = 0
    most: int = 0

    def hold(self, value: int) -> None:
        """Notes a value."""
        if value < self.least:
            self.least = value
        elif value > self.most:
            self.most = value

    @property
    def needed(self) -> int:
        """Bits that hold every value it took, with a sign bit if it is declared signed."""
        if self.signed:
            return max(self.most.bit_length(), (~self.least).bit_length() if self.least < 0 else 0) + 1
        return self.most.bit_length()

    @property
    def fits(self) -> bool:
        """Whether the declaration holds every value."""
        return self.needed <= self.width and (self.signed or self.least >= 0)


Scope = dict[str, Local]


def declared(text: str) -> dict[str, Scope]:
    """The locals of each process and function of a module's text, by the name of the scope."""
    scopes: dict[str, Scope] = {}
    for match in _SCOPE.finditer(text):
        scope = scopes.setdefault(match["process"] or match["function"], {})
        if match["function"]:
            kind, bits = match["result"], re.search(r"\[(\d+):0\]", match["result"])
            width = 32 if "integer" in kind else int(bits[1]) + 1 if bits else 1
            scope[RESULT] = Local(width, "integer" in kind or "signed" in kind)
        for local in _LOCAL.finditer(match["body"]):
            if local["kind"] == "integer":
                scope[local["name"]] = Local(32, True)
            elif local["kind"] or local["signed"] or local["high"]:
                scope[local["name"]] = Local(int(local["high"] or 0) + 1, bool(local["signed"]))
    return scopes


@dataclass
class Widths:
    """The locals of the modules that were watched: module -> process or function -> local."""

    modules: dict[str, dict[str, Scope]] = field(default_factory=dict)

    def check(self) -> None:
        """Raises WidthError for the first local that its module's declaration does not hold."""
        for module, scopes in self.modules.items():
            for scope, found in scopes.items():
                for name, local in found.items():
                    if not local.fits:
                        value = local.most if local.most.bit_length() > local.width - local.signed else local.least
                        kind = "signed" if local.signed else "unsigned"
                        raise WidthError(f"{module}: {name} of {scope} held {value}, "
                                         f"which {local.width} {kind} bits do not hold")


@contextmanager
def watch(block: Any, modules: dict[str, Module], name: str) -> Iterator[Widths]:
    """Watches simulations, made and run inside, of an elaborated block that converts to ``modules`` with top ``name``.

    Gives what the locals held, complete on leaving, when it raises WidthError for one that does not fit. The block
    must not be the one that was converted, but one elaborated alike.
    """
    widths = Widths()
    design = Design(block, block, name)
    design.name_modules()
    replaced: list[tuple[Any, Callable[[], None]]] = []

    def replace(inside: Any) -> None:
        module = design.name_of(inside)
        if module not in widths.modules:
            widths.modules[module] = declared(modules[module].text)
        for sub in inside.subs:
            if isinstance(sub, _Instantiator):
                replaced.append((sub, sub.func))
                sub.func = _traced(sub.func, widths.modules[module])
        for child in children(inside):
            replace(child)

    replace(block)
    try:
        yield widths
    finally:
        for process, function in replaced:
            process.func = function
    widths.check()


def _traced(process: Any, scopes: dict[str, Scope]) -> Callable[[], None]:
    """``process`` with every local of it, and of the functions it calls, noted in ``scopes``."""
    functions: dict[CodeType, list[FunctionType]] = {}
    _collect(process, functions)
    own: CodeType = process.__code__

    def enter(frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code is own:
            scope = scopes.get(process.__name__, {})
        else:
            called = _function(frame, functions.get(frame.f_code, ()))
            if called is None:
                return None
            scope = scopes.get(called.__name__, {})
        return _follow(scope)

    def run() -> None:
        sys.settrace(enter)
        try:
            process()
        finally:
            sys.settrace(None)

    return run


def _collect(function: Any, functions: dict[CodeType, list[FunctionType]]) -> None:
    """The functions that a function can call by its closure, by their code."""
    for cell in function.__closure__ or ():
        value = cell.cell_contents
        if isinstance(value, FunctionType) and value not in functions.get(value.__code__, ()):
            functions.setdefault(value.__code__, []).append(value)
            _collect(value, functions)


def _function(frame: FrameType, candidates: Any) -> FunctionType | None:
    """The one whose closure is the frame's: functions made by one factory share their code."""
    for function in candidates:
        names = function.__code__.co_freevars
        if all(frame.f_locals.get(name) is cell.cell_contents for name, cell in zip(names, function.__closure__ or (),
                                                                                   strict=True)):
            return function
    return None


def _follow(scope: Scope) -> Any:
    def step(frame: FrameType, event: str, argument: Any) -> Any:
        values = frame.f_locals
        for name, local in scope.items():
            value = values.get(name)
            if isinstance(value, int | intbv):
                local.hold(int(value))
        if event == "return" and RESULT in scope and argument is not None:
            scope[RESULT].hold(int(argument))
        return step

    return step

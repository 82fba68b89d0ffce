"""``block``, ``always`` and ``always_comb``: MyHDL's, which elaborate many instances of a block in little time.

For every process of every instance MyHDL reads its source file, tokenises it, compiles and walks the syntax tree, and
lists the whole call stack with source lines: about 9 ms an instance, 38 s for an array of 64 x 64. Here callers are
looked up directly and a function's source is found without tokenising it; within ``shared_analysis`` a process's source
is analysed once per code object (and per kind of what its names refer to) and nobody looks for garbage where hardly
anything is; within ``elaborated_once`` blocks that are alike are elaborated once. What is elaborated are MyHDL's blocks
and processes, and the same as MyHDL's own decorators give, which may stand beside these.
"""

from __future__ import annotations

import ast
import functools
import gc
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from types import CodeType, FrameType, FunctionType
from typing import Any

from myhdl import AlwaysCombError, AlwaysError
from myhdl._always import _Always, _get_sigdict
from myhdl._always_comb import _AlwaysComb
from myhdl._block import _Block, _CallInfo, block_decorator
from myhdl._extractHierarchy import _flatten
from myhdl._instance import _Instantiator
from myhdl._Signal import _isListOfSigs, _Signal, _WaiterList
from myhdl._simulator import _blocks
from myhdl._util import _isGenFunc

__all__ = ["always", "always_comb", "block", "elaborated_once", "shared_analysis", "source_lines"]

_analyses: ContextVar[dict[Any, tuple[Any, ...]] | None] = ContextVar("analyses", default=None)
"""what is known of processes by their code, within ``shared_analysis``"""
_Once = tuple[Callable[[Any], Hashable], dict[Hashable, Any]]
_once: ContextVar[_Once | None] = ContextVar("once", default=None)
"""what makes blocks alike, and the first of each, within ``elaborated_once``"""


# -- the decorators ----------------------------------------------------------------------------------------------------
def block(function: Callable[..., Any]) -> Any:
    """A function that gives processes and blocks, as a block: ``myhdl.block``."""
    return _BlockFunction(function)


def always(*sensitive: Any) -> Callable[[Callable[[], None]], Any]:
    """A process that runs at an edge: ``myhdl.always``."""
    called = _call_information(sys._getframe(1))
    signals = []
    for one in sensitive:
        signal = one.sig if isinstance(one, _WaiterList) else one
        if isinstance(signal, _Signal):
            signal._read = signal._used = True
            signals.append(signal)

    def decorate(function: Callable[[], None]) -> Any:
        _check(function, AlwaysError)
        make: Any = _Process
        return make(function, sensitive, callinfo=called, sigdict=_get_sigdict(signals, called.symdict))

    return decorate


def always_comb(function: Callable[[], None]) -> Any:
    """A process that runs whenever something that it reads changes: ``myhdl.always_comb``."""
    _check(function, AlwaysCombError)
    return _CombinationalProcess(function, callinfo=_call_information(sys._getframe(1)))


def _check(function: Any, error: type[Exception]) -> None:
    if not isinstance(function, FunctionType) or _isGenFunc(function) or function.__code__.co_argcount:
        raise error("a process is a function without arguments that does not yield")


# -- contexts ----------------------------------------------------------------------------------------------------------
@contextmanager
def shared_analysis() -> Iterator[None]:
    """Blocks instantiated inside are elaborated with one analysis per process definition."""
    token = _analyses.set({})
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _analyses.reset(token)
        if collects:
            gc.enable()


@contextmanager
def elaborated_once(identity: Callable[[Any], Hashable]) -> Iterator[None]:
    """Of the blocks instantiated inside whose ``identity`` is the same only the first is elaborated.

    The others have their function, their arguments, nothing inside, and the first as their ``twin``. ``identity`` is
    asked before a block is elaborated.
    """
    token = _once.set((identity, {}))
    try:
        yield
    finally:
        _once.reset(token)


# -- blocks ------------------------------------------------------------------------------------------------------------
class _BlockFunction(block_decorator):
    """MyHDL's, which gives blocks of ours; its ``__init__`` would tokenise the source."""

    def __init__(self, func: Callable[..., Any]) -> None:
        self.func = func
        functools.update_wrapper(self, func)
        self.srcfile, self.srcline = func.__code__.co_filename, source_lines(func)[0]
        self.calls = 0
        self.name = func.__name__
        _blocks.append(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        name = f"{self.func.__name__}{self.calls}"
        self.calls += 1
        return _OurBlock(self, name, _call_information(sys._getframe(1)), args, kwargs)


class _OurBlock(_Block):
    """A block; MyHDL's ``__init__`` would list the stack with source lines."""

    def __init__(self, made_by: _BlockFunction, name: str, called: Any, args: Any, kwargs: Any) -> None:
        self.func, self.args, self.kwargs = made_by.func, args, kwargs
        self.__doc__ = self.func.__doc__
        self.callinfo, self.modctxt, self.callername = called, called.modctxt, called.name
        self.symdict: Any = None
        self.sigdict: dict[str, Any] = {}
        self.memdict: dict[str, Any] = {}
        self.skipname = False
        self.name = self.__name__ = name
        once = _once.get()
        first = self if once is None else once[1].setdefault(once[0](self), self)
        if first is self:
            # its frame is what the processes and blocks inside know that they are in a block by
            self.subs = _flatten(self.func(*args, **kwargs))
        else:
            self.subs, self.twin = [], first
        self._verifySubs()
        self._updateNamespaces()
        self.verilog_code = self.vhdl_code = self.sim = None
        self._config_sim = {"trace": False}


# -- processes ---------------------------------------------------------------------------------------------------------
class _Analysed(_Instantiator):
    """What MyHDL knows of a process from its source: once for all of one definition, within ``shared_analysis``."""

    inputs: Any
    outputs: Any
    inouts: Any
    embedded_func: Any
    sigdict: dict[str, Any]
    losdict: dict[str, Any]

    def __init__(self, genfunc: Any, callinfo: Any) -> None:
        known = _analyses.get()
        if known is None:
            super().__init__(genfunc, callinfo)
            return
        code, symbols = self.funcobj.__code__, callinfo.symdict
        key = (code, tuple(_kind(symbols.get(name)) for name in code.co_freevars))
        if key not in known:
            super().__init__(genfunc, callinfo)
            if not self.objlist:  # a process that names attributes gets new symbols of its own: not shared
                known[key] = (self.inputs, self.outputs, self.inouts, self.embedded_func,
                              tuple(self.sigdict), tuple(self.losdict))
            return
        self.callinfo, self.callername, self.modctxt = callinfo, callinfo.name, callinfo.modctxt
        self.genfunc, self.gen = genfunc, genfunc()
        own = code.co_varnames
        self.symdict = {name: value for name, value in symbols.items() if name not in own}
        self.objlist: list[Any] = []
        self.inputs, self.outputs, self.inouts, self.embedded_func, signals, lists = known[key]
        self.sigdict = {name: symbols[name] for name in signals}
        self.losdict = {name: symbols[name] for name in lists}

    @property
    def ast(self) -> ast.Module:
        """The syntax tree, which MyHDL looks for by tokenising."""
        lines, first = source_lines(self.funcobj)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        tree.sourcefile = self.funcobj.__code__.co_filename  # type: ignore[attr-defined]
        tree.lineoffset = first - 1  # type: ignore[attr-defined]
        return tree


class _Process(_Always, _Analysed):
    """MyHDL's ``always``: its ``__init__`` goes on to that of ``_Analysed``."""


class _CombinationalProcess(_AlwaysComb, _Analysed):
    """MyHDL's ``always_comb``, likewise."""


def _kind(value: Any) -> int:
    if isinstance(value, _Signal):
        return 1
    return 2 if isinstance(value, list) and _isListOfSigs(value) else 0


# -- callers and sources -----------------------------------------------------------------------------------------------
def _call_information(frame: FrameType) -> Any:
    """Name, symbols, and whether a block called it, of the function that makes something in ``frame``."""
    while frame.f_code.co_name == "<listcomp>" and frame.f_back is not None:
        frame = frame.f_back
    above = frame.f_back
    in_block = above is not None and isinstance(above.f_locals.get("self"), _Block)
    return _CallInfo(frame.f_code.co_name, in_block, {**frame.f_globals, **frame.f_locals})


@cache
def _last_lines(file: str) -> dict[int, int]:
    """The last line of every function of a file, by its first, which may be a decorator's."""
    functions = (node for node in ast.walk(ast.parse("".join(linecache.getlines(file))))
                 if isinstance(node, ast.FunctionDef))
    return {min([node.lineno, *(part.lineno for part in node.decorator_list)]): node.end_lineno or 0
            for node in functions}


def source_lines(thing: Any) -> tuple[list[str], int]:
    """``inspect.getsourcelines``, which finds the end of a function by tokenising it in Python."""
    code = getattr(thing, "__code__", thing)
    if isinstance(code, CodeType):
        first = code.co_firstlineno
        last = _last_lines(code.co_filename).get(first)
        if last is not None:
            return linecache.getlines(code.co_filename)[first - 1:last], first
    return inspect.getsourcelines(thing)

"""Faster elaboration of designs with many instances of a block.

For every process of every instance MyHDL reads its source file, tokenises it, compiles and walks the syntax tree, and
lists the whole call stack with source lines: about 9 ms an instance, 38 s for an array of 64 x 64. Within
``shared_analysis`` a process's source is analysed once per code object (and per kind of what its names refer to),
callers are looked up directly, a function's source is found without tokenising it, and nobody looks for garbage where
hardly anything is. What is elaborated is the same.
"""

from __future__ import annotations

import ast
import copy
import gc
import inspect
import linecache
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType, FrameType
from typing import Any
from unittest.mock import patch

from myhdl import _always, _always_comb, _block, _instance, intbv
from myhdl import _Signal as signal_module
from myhdl._Signal import _isListOfSigs, _Signal

__all__ = ["shared_analysis", "source_lines"]


def _caller(frame: FrameType) -> tuple[str, dict[str, Any], bool]:
    """Name, symbols, and whether a block called it, of a function that defines instances."""
    above = frame.f_back
    in_block = above is not None and isinstance(above.f_locals.get("self"), _block._Block)
    return frame.f_code.co_name, {**frame.f_globals, **frame.f_locals}, in_block


_CONSTRUCTORS = ("myhdl._block", "myhdl_fsa.convert.distinct")


def _process_caller() -> Any:
    # 0: this function, 1: the decorator, 2: the block function
    name, symbols, in_block = _caller(sys._getframe(2))
    return _instance._CallInfo(name, in_block, symbols)


def _block_caller() -> Any:
    # above this function: the block instance's constructors and decorator, then the function that instantiates
    frame = sys._getframe(1)
    while frame.f_back is not None and (
        frame.f_globals["__name__"] in _CONSTRUCTORS or frame.f_code.co_name == "<listcomp>"
    ):
        frame = frame.f_back
    name, symbols, in_block = _caller(frame)
    return _block._CallInfo(name, in_block, symbols)


def _kind(value: Any) -> int:
    if isinstance(value, _Signal):
        return 1
    return 2 if isinstance(value, list) and _isListOfSigs(value) else 0


_read_lines = inspect.getsourcelines


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
    return _read_lines(thing)


def _copied(value: Any) -> Any:
    """A signal's initial value, for one of its three places."""
    if type(value) is bool:
        return value
    return value.__deepcopy__(None) if type(value) is intbv else copy.deepcopy(value)


@contextmanager
def _without_collection() -> Iterator[None]:
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@contextmanager
def shared_analysis() -> Iterator[None]:
    """Blocks instantiated inside are elaborated with one analysis per process definition."""
    analyse = _instance._Instantiator.__init__
    known: dict[Any, tuple[Any, ...]] = {}

    def construct(self: Any, genfunc: Any, callinfo: Any) -> None:
        func = self.func if hasattr(self, "func") else genfunc
        symbols = callinfo.symdict
        key = (func.__code__, tuple(_kind(symbols.get(name)) for name in func.__code__.co_freevars))
        if key not in known:
            analyse(self, genfunc, callinfo)
            if not self.objlist:  # a process that names attributes gets new symbols of its own: not shared
                known[key] = (self.inputs, self.outputs, self.inouts, self.embedded_func,
                              tuple(self.sigdict), tuple(self.losdict))
            return
        self.callinfo, self.callername, self.modctxt = callinfo, callinfo.name, callinfo.modctxt
        self.genfunc, self.gen = genfunc, genfunc()
        local = func.__code__.co_varnames
        self.symdict = {name: value for name, value in symbols.items() if name not in local}
        self.objlist = []
        self.inputs, self.outputs, self.inouts, self.embedded_func, signals, lists = known[key]
        self.sigdict = {name: symbols[name] for name in signals}
        self.losdict = {name: symbols[name] for name in lists}

    with (
        _without_collection(),
        patch.object(inspect, "getsourcelines", source_lines),
        patch.object(signal_module, "deepcopy", _copied),
        patch.object(_instance._Instantiator, "__init__", construct),
        patch.object(_instance, "_getCallInfo", _process_caller),
        patch.object(_always, "_getCallInfo", _process_caller),
        patch.object(_always_comb, "_getCallInfo", _process_caller),
        patch.object(_block, "_getCallInfo", _block_caller),
    ):
        yield

"""Signals by width, and bundles of signals that blocks take as one port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from myhdl import intbv
from myhdl._Signal import (  # the simulator's list of signals to update
    _NegedgeWaiterList,
    _PosedgeWaiterList,
    _siglist,
    _Signal,
    _signals,
    _WaiterList,
)

__all__ = ["BitSignal", "Lanes", "UnsignedSignal", "address_width", "constant", "unsigned"]

_NO_LISTENERS: dict[Callable[[], None], None] = {}


def _begin(signal: Any, start: Any, value: Any, after: Any) -> None:
    """What MyHDL gives every signal; its own ``__init__`` spends its time in ``copy.deepcopy``."""
    signal._init, signal._val, signal._next = start, value, after
    if isinstance(start, intbv):
        signal._type, signal._min, signal._max, signal._nrbits = intbv, start._min, start._max, start._nrbits
        signal._setNextVal = signal._setNextIntbv
        signal._printVcd = signal._printVcdVec if start._nrbits else signal._printVcdHex
    else:
        signal._type, signal._min, signal._max, signal._nrbits = bool, None, None, 1
        signal._setNextVal, signal._printVcd = signal._setNextBool, signal._printVcdBit
    signal._name = signal._driven = None
    signal._read = signal._used = signal._inList = False
    signal._numeric = True
    signal._eventWaiters = _WaiterList()
    signal._posedgeWaiters, signal._negedgeWaiters = _PosedgeWaiterList(signal), _NegedgeWaiterList(signal)
    signal._code = ""
    signal._slicesigs = []
    signal._tracing = 0
    _signals.append(signal)


class BitSignal(_Signal):
    """A MyHDL bool signal with a direct setter and update; see ``UnsignedSignal``."""

    __slots__ = ("listeners", "constant")
    if TYPE_CHECKING:
        _next: bool
        _val: bool

    def __init__(self, value: bool) -> None:
        _begin(self, value, value, value)
        self.listeners = _NO_LISTENERS
        self.constant = False

    def commit(self) -> bool:
        """Takes the next value; True if that is a change. For ``sims.cycle_simulator``."""
        if self._next is self._val:
            return False
        self._val = self._next  # type: ignore[misc]  # a slot of the base
        return True

    @property
    def next(self) -> Any:
        """The value after the current delta cycle."""
        _siglist.append(self)
        return self._next

    @next.setter
    def next(self, value: Any) -> None:
        if isinstance(value, _Signal):
            value = value._val
        if value not in (0, 1):
            raise ValueError(f"{value} does not fit a signal of 1 bit")
        value = bool(value)
        if value is not self._next:
            self._next = value  # type: ignore[misc]
            _siglist.append(self)

    def _update(self) -> Any:
        after = self._next
        if after is self._val:
            return ()
        waiters = self._eventWaiters[:]
        del self._eventWaiters[:]
        edge = self._posedgeWaiters if after else self._negedgeWaiters
        if edge:
            waiters.extend(edge)
            del edge[:]
        self._val = after  # type: ignore[misc]
        if self._tracing:
            self._printVcd()
        return waiters


class UnsignedSignal(_Signal):
    """A MyHDL signal of a fixed number of bits, with the operations a simulation spends its time in made direct.

    MyHDL's own setter dispatches on the value's type and compares intbv objects; here both sides are known to be
    intbv, and a value that changes nothing is not scheduled. The bounds check stays: a value that does not fit raises
    ValueError. Converts like any signal.
    """

    __slots__ = ("listeners", "constant")

    def __init__(self, value: intbv) -> None:
        _begin(self, value.__deepcopy__(None), value.__deepcopy__(None), value.__deepcopy__(None))
        self.listeners = _NO_LISTENERS
        self.constant = False

    def commit(self) -> bool:
        """Takes the next value; True if that is a change. For ``sims.cycle_simulator``."""
        after, value = self._next._val, self._val
        if after == value._val:
            return False
        value._val = after
        return True

    def __int__(self) -> int:
        return self._val._val

    @property
    def next(self) -> Any:
        """The value after the current delta cycle."""
        _siglist.append(self)
        return self._next

    @next.setter
    def next(self, value: Any) -> None:
        if value.__class__ is UnsignedSignal:
            value = value._val._val
        elif value.__class__ is not int:
            if isinstance(value, _Signal):
                value = value._val
            value = int(value)
        if not 0 <= value < self._max:
            raise ValueError(f"{value} does not fit a signal of {self._nrbits} bits")
        following = self._next
        if following._val != value:
            following._val = value
            _siglist.append(self)

    def _update(self) -> Any:
        after = self._next._val
        value = self._val
        if after == value._val:
            return ()
        waiters = self._eventWaiters[:]
        del self._eventWaiters[:]
        if self._posedgeWaiters or self._negedgeWaiters:
            raise TypeError("an edge of a signal of several bits")
        value._val = after
        if self._tracing:
            self._printVcd()
        return waiters


def unsigned(width: int, value: int = 0) -> Any:
    """A signal of ``width`` bits (a bool signal for one bit) that starts at ``value``."""
    return BitSignal(bool(value)) if width == 1 else UnsignedSignal(intbv(value)[width:])


def constant(width: int, value: int = 0) -> Any:
    """A signal like ``unsigned``'s that nobody drives: it keeps ``value``. Conversion refuses other undriven nets."""
    signal = unsigned(width, value)
    signal.constant = True
    return signal


def address_width(rows: int) -> int:
    """Bits that address ``rows`` rows, at least 2 (a one-bit signal would be a bool)."""
    return max(2, (rows - 1).bit_length())


class Lanes:
    """``count`` signals of ``width`` bits side by side: one port of a block, ``lane0`` ... in its Verilog.

    ``make`` gives each signal: ``unsigned``, or ``constant`` for lanes that nobody drives.
    """

    def __init__(self, count: int, width: int, make: Callable[[int], Any] = unsigned) -> None:
        self.count = count
        for index in range(count):
            setattr(self, f"lane{index}", make(width))

    def __getitem__(self, index: int) -> Any:
        return getattr(self, f"lane{range(self.count)[index]}")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(self.count))

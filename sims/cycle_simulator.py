"""A simulator for MyHDL designs with a single clock: the same processes and signals, without an event queue.

Every cycle it runs all processes of the clock's rising edge, then commits signals and runs the combinational processes
that are sensitive to one that changed, until nothing changes. MyHDL's own simulator does the same through generators
and waiters, at about half the speed; the tests hold the two against each other.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from myhdl import StopSimulation
from myhdl._always import _Always
from myhdl._always_comb import _AlwaysComb
from myhdl._block import _Block
from myhdl._Signal import _PosedgeWaiterList, _siglist

from myhdl_fsa.signals import BitSignal, UnsignedSignal
from myhdl_fsa.sims.direct import direct

__all__ = ["CycleSimulator", "Process", "processes"]

Process = Callable[[], None]


def processes(block: Any) -> Iterator[Any]:
    """Every process of a block and of the blocks inside it."""
    for sub in block.subs:
        if isinstance(sub, _Block):
            yield from processes(sub)
        else:
            yield sub


_MANY = 4
"""instances of a block from which on its processes are worth compiling"""


def _run(process: Any, instances: Counter[Any]) -> Process:
    """What to call for a process."""
    function: Process = process.func
    return direct(function) if instances[getattr(function, "__code__", None)] >= _MANY else function


class CycleSimulator:
    """Simulates an elaborated block whose processes are ``always(clock.posedge)`` or ``always_comb``.

    Raises TypeError for any other process, for a second clock, and for a signal that is not from
    ``myhdl_fsa.signals``. The clock itself never moves: no process reads it.
    """

    def __init__(self, block: Any) -> None:
        clock: Any = None
        every = list(processes(block))
        instances = Counter(getattr(process.func, "__code__", None) for process in every if hasattr(process, "func"))
        self._clocked: list[Process] = []
        self._combinational: list[Process] = []
        for process in every:
            if isinstance(process, _AlwaysComb):
                run = _run(process, instances)
                self._combinational.append(run)
                for signal in process.senslist:
                    if not isinstance(signal, BitSignal | UnsignedSignal):
                        raise TypeError(f"{process.name} reads a signal that is not from myhdl_fsa.signals")
                    # a dict keeps the order and runs a process once for many changes
                    signal.listeners = {**signal.listeners, run: None}
            elif isinstance(process, _Always) and isinstance(process.senslist[0], _PosedgeWaiterList):
                clock = process.senslist[0].sig if clock is None else clock
                if len(process.senslist) > 1 or process.senslist[0].sig is not clock:
                    raise TypeError(f"{process.name} is not clocked by the one clock of the block")
                self._clocked.append(_run(process, instances))
            else:
                raise TypeError(f"{getattr(process, 'name', process)} is neither clocked nor combinational")

    def run(self, *observers: Callable[[int], None]) -> None:
        """Runs until a process raises StopSimulation; any other exception goes to the caller.

        Each of ``observers`` is called with the number of each clock edge, from 0, just before it.
        """
        try:
            self.start()
            for number in itertools.count():
                for observe in observers:
                    observe(number)
                self.edge()
        except StopSimulation:
            pass
        finally:
            _siglist.clear()

    def start(self) -> None:
        """Runs every combinational process once, from the signals' initial values."""
        for process in self._combinational:
            process()
        self.settle()

    def edge(self) -> None:
        """One rising edge of the clock and what follows from it."""
        for process in self._clocked:
            process()
        self.settle()

    @staticmethod
    def settle() -> None:
        """Commits what was assigned, and runs combinational processes until nothing changes."""
        while _siglist:
            pending: dict[Process, None] = {}
            for signal in _siglist:
                # commit, without the call for most signals: as many times as there are PEs, several times a cycle
                if signal.__class__ is UnsignedSignal:
                    value, after = signal._val, signal._next._val
                    if value._val != after:
                        value._val = after
                        if signal.listeners:
                            pending.update(signal.listeners)
                elif signal.commit() and signal.listeners:
                    pending.update(signal.listeners)
            _siglist.clear()
            for process in pending:
                process()

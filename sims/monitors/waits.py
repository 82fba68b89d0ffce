"""Watchers of what the cycles of a run of attention are used for; ``engine.cycle_use`` has the definitions.

On the device a wait is a cycle of its bubble counter: after the first matrix instruction, the matrix unit could take
one (``stream``: start one) and none is ready. Its cause is looked for from the matrix unit backwards, the first that
holds: the semaphore of the instruction at the head of the matrix queue; what holds the decoder up, a fence or a queue
of transfers that is full; the host. Around the bare core, which takes no time to decode and has no host, it is the
semaphore or the fence.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.elaboration import always, block
from myhdl_fsa.isa import Dma, Fence, Instruction, Transfer
from myhdl_fsa.sims.ideal_device import FrontEnd, SemaphoreFile
from myhdl_fsa.sims.monitors.cycle_log import CycleLog

__all__ = ["CoreWaits", "device_waits", "row_work"]


@block
def row_work(clock: Any, probe: dict[str, Any], config: Config, log: CycleLog) -> Any:
    """Tells ``log`` what the multiply-adder of row 0, column 0 does.

    Not convertible: it watches a simulation.
    """
    work_of = import_module(f"myhdl_fsa.sims.monitors.{config.dataflow}").work(probe, config)
    cycle = [0]

    @always(clock.posedge)
    def watch() -> None:
        use = work_of()
        if use is not None:
            log.worked(cycle[0], use)
        cycle[0] += 1

    return watch


@block
def device_waits(clock: Any, probe: dict[str, Any], log: CycleLog) -> Any:
    """Tells ``log`` of the device's cycles and of what its matrix unit waits for.

    Not convertible: it watches a simulation.
    """
    causes = log.causes
    active, words, queued, events = probe["active"], probe["words"], probe["queued_matrix"], probe["events"]
    loaded, stored, acquire_load = probe["release_load"], probe["release_store"], probe["acquire_load"]
    seen = dict.fromkeys(("cycle", "issued", "words"), 0)
    done = dict.fromkeys(Transfer, 0)

    def held_by(number: int, held: Instruction) -> str:
        """What holds up an instruction that the decoder cannot take."""
        match held:
            case Fence():
                return "array" if held.matrix and events.matrix_busy else causes.unfinished(number, done)
            case Dma():
                # a load that waits for its tile to be free waits for the array
                waits = held.function == Transfer.LOAD and acquire_load.valid and not acquire_load.ready
                return "array" if waits else causes.unfinished(number, done, [Transfer(held.function)])
        return "host"

    def cause() -> str:
        if queued.valid:
            return causes.semaphore(seen["issued"])
        if words.valid:
            number, instruction = causes.of_word(seen["words"])
            if not words.ready or isinstance(instruction, Fence):
                return held_by(number, instruction)
        return "host"

    @always(clock.posedge)
    def watch() -> None:
        if active:
            log.ran(seen["cycle"])
            if seen["issued"] and events.matrix_free:
                log.waited(seen["cycle"], seen["issued"], cause())
            seen["issued"] += int(events.matrix)
        seen["cycle"] += 1
        seen["words"] += int(events.dequeue)
        done[Transfer.LOAD] += int(loaded.valid)
        done[Transfer.STORE] += int(stored.valid)

    return watch


class CoreWaits:
    """The same around the bare core. ``before`` and ``after`` are called in each cycle, around what the bench does."""

    def __init__(self, log: CycleLog, instruction: Any, busy: Any, config: Config) -> None:
        self._log, self._instruction, self._busy = log, instruction, busy
        self._free = instruction.starved if part(config, "core").QUEUES else instruction.ready
        self._cause: str | None = None
        """why there is no instruction in the cycle that begins; None: there is one, or nothing but the array is late"""
        self._wait_idle = False

    def before(self, cycle: int, issued: int) -> None:
        """A cycle from the first issue on; ``issued`` instructions were taken before it."""
        self._log.ran(cycle)
        free = self._free and not (self._wait_idle and self._busy)
        if issued and self._cause is not None and free and not self._instruction.valid:
            self._log.waited(cycle, issued, self._cause)

    def after(self, front: FrontEnd, semaphores: SemaphoreFile, offered: bool, issued: int) -> None:
        """What the bench has done in the cycle decides why there may be no instruction in the next one."""
        self._cause, self._wait_idle = None, False
        if offered:
            return
        if front.matrix:
            self._wait_idle = bool(front.matrix[0].wait_idle)
            if not semaphores.free(front.matrix[0]):
                self._cause = self._log.causes.semaphore(issued)
        elif front.fence is not None and front.fence.dma and not (front.fence.matrix and self._busy):
            late = next(iter((*front.stores, *front.loads)), None)
            self._cause = "array" if late is None else self._log.causes.transfer(late)
        else:
            self._cause = "array"

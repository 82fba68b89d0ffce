"""The releases: one a cycle, of all that the players' instructions leave behind."""

from __future__ import annotations

from typing import Any

from myhdl_fsa.dataflows.stream.controller.words import RELEASE
from myhdl_fsa.elaboration import always, always_comb, block
from myhdl_fsa.signals import unsigned

__all__ = ["releases"]


@block
def releases(
    clock: Any, reset: Any, score: Any, value: Any, load: Any, norm: Any, reciprocal: Any, release: Any, sending: Any,
) -> Any:
    """Sends what is due in this cycle, the lowest of the kinds below first; the others stay due.

    Ports
        score, value, load, norm, reciprocal  in     ``Ended``
        release                               out    ``SemaphoreRelease``
        sending                               out 1  something is due

    Sent in the cycle in which it is due, if nothing before it is. Source: docs/stream.md.
    """
    semaphore_at, value_at = RELEASE.low["semaphore"], RELEASE.low["value"]
    semaphore_mask, value_mask = RELEASE.mask["semaphore"], RELEASE.mask["value"]
    due, unsent = unsigned(5), unsigned(5)

    @always_comb
    def gather() -> None:
        due.next = (
            int(unsent) | int(score.due) | (int(value.due) << 1) | (int(load.due) << 2) | (int(norm.due) << 3)
            | (int(reciprocal.due) << 4)
        )

    @always(clock.posedge)
    def keep() -> None:
        waiting = int(due)
        if waiting != 0:
            waiting = waiting & (waiting - 1)
        unsent.next = waiting
        if reset:
            unsent.next = 0

    @always_comb
    def send() -> None:
        word = 0
        if due[0]:
            word = int(score.releases)
        elif due[1]:
            word = int(value.releases)
        elif due[2]:
            word = int(load.releases)
        elif due[3]:
            word = int(norm.releases)
        elif due[4]:
            word = int(reciprocal.releases)
        release.valid.next = (word & 1) != 0
        release.semaphore.next = (word >> semaphore_at) & semaphore_mask
        release.value.next = (word >> value_at) & value_mask
        sending.next = due != 0

    return gather, keep, send

"""About how long a simulator takes to build, for who waits for it: measured on two cores, and by proportion between."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["SECONDS", "announcement", "estimate"]

SECONDS: dict[tuple[str, str], dict[int, float]] = {
    ("verilator", "core"): {4: 3, 16: 4, 64: 12, 128: 16},
    ("verilator", "accelerator"): {4: 5, 16: 7, 64: 13, 128: 20},
    ("icarus", "core"): {4: 1, 16: 1, 64: 9, 128: 87},
    # at 128 as the core: the arrays are the same, and were the same within a second at 64
    ("icarus", "accelerator"): {4: 1, 16: 2, 64: 9, 128: 87},
}
"""per simulator and top, seconds by rows of the array; at 4, and Icarus's, from the processor time they take"""


def estimate(simulator: str, top: str, rows: int) -> int | None:
    """Seconds, rounded to what they are worth; None for what was never measured."""
    measured = SECONDS.get((simulator, top))
    if measured is None:
        return None
    sizes = sorted(measured)
    # beyond what was measured the last two go on as they do
    after = min(max(1, bisect_left(sizes, rows)), len(sizes) - 1)
    low, high = sizes[after - 1], sizes[after]
    seconds = measured[low] + (measured[high] - measured[low]) * (max(rows, sizes[0]) - low) / (high - low)
    return max(1, round(seconds)) if seconds < 10 else 5 * round(seconds / 5)


def announcement(simulator: str, top: str, rows: int) -> str:
    """The line about a build that begins."""
    seconds = estimate(simulator, top, rows)
    return "building the simulator once" + ("" if seconds is None else f", about {seconds} s")

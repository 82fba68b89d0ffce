"""The engine that simulates the bare core in MyHDL, cycle by cycle."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.engine import EngineResult, RunError
from myhdl_fsa.signals import unsigned
from myhdl_fsa.sims.core_bench import CoreRun, core_bench, watched_core
from myhdl_fsa.sims.cycle_simulator import CycleSimulator
from myhdl_fsa.sims.elaboration import shared_analysis
from myhdl_fsa.sims.event_driven import clocked, event_driven
from myhdl_fsa.sims.schedule import expected_cycles, flash_attention, limit_message


class MyHDLEngine:
    """Runs attention on the MyHDL model of the core."""

    name = "myhdl"

    def attention(
        self, q: Bits, k: Bits, v: Bits, config: Config, *, causal: bool = False, trace: bool = False,
        vcd: Path | None = None, max_cycles: int | None = None, progress: Callable[[int, int], None] | None = None,
    ) -> EngineResult:
        """Simulates the kernel on q [seq_q, d] and k, v [seq_kv, d] (elem bit patterns, whole tiles).

        ``progress`` is called with (cycles since the first issue, expected cycles). Raises RunError at the cycle
        limit, saying where the run stood.
        """
        tiles_q, tiles_kv = len(q) // config.cols, len(k) // config.rows
        steps = flash_attention(config, tiles_q, tiles_kv, causal)
        latency = Reciprocal(config.acc, config.reciprocal).latency
        expected = expected_cycles(config, tiles_q, tiles_kv, causal, latency)
        report = None if progress is None else lambda cycle: progress(min(cycle, expected), expected)
        run = CoreRun(config, steps, q, k, v, max_cycles=max_cycles, progress=report)
        simulate(run, trace=trace, vcd=vcd)
        return EngineResult(
            output=output_matrix(run), cycles=run.cycles, inner_iteration_cycles=run.inner_iteration_cycles(),
            trace=run.trace,
        )


def simulate(run: CoreRun, *, trace: bool = False, vcd: Path | None = None) -> None:
    """Simulates ``run`` to its end; with ``vcd`` in MyHDL's own simulator. Raises RunError at its cycle limit."""
    clock = unsigned(1)
    with shared_analysis():
        make_core = partial(watched_core, run=run, trace=trace)
        bench = (core_bench(run, clock, make_core) if vcd is None
                 else clocked(core_bench, clock, run, clock, make_core))
    if vcd is None:
        CycleSimulator(bench).run()
    else:
        event_driven(bench, vcd)
    if run.limit_reached:
        raise RunError(limit_message(run.steps, len(run.issued), run.max_cycles))


def output_matrix(run: CoreRun) -> Bits:
    """The packed O^T rows as acc bits [seq_q, d]."""
    config = run.config
    width, mask = config.acc.width, (1 << config.acc.width) - 1
    tiles = [
        [[row >> (c * width) & mask for row in rows] for c in range(config.cols)]
        for rows in run.output
    ]
    return np.array(tiles, dtype=config.acc.dtype).reshape(-1, config.rows)

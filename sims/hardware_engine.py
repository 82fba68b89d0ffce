"""What the engines that simulate the hardware share: the bare core for ``attention``, the device for ``execute``."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.config import Config
from myhdl_fsa.engine import EngineResult, Progress, RunError
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output
from myhdl_fsa.program import Execution, Program, State, Timing, error_message
from myhdl_fsa.sims.accelerator_bench import DeviceRun
from myhdl_fsa.sims.core_bench import CoreRun
from myhdl_fsa.sims.schedule import expected_cycles, flash_attention


class HardwareEngine(ABC):
    """An engine with a clock. A subclass says how a run of the core and one of the device are simulated."""

    name = ""

    @abstractmethod
    def simulate_core(self, run: CoreRun, *, trace: bool = False, vcd: Path | None = None) -> None:
        """Simulates ``run`` to its end or its limit, which is noted in it. Raises RunError when that is impossible."""

    @abstractmethod
    def simulate_device(self, run: DeviceRun, *, vcd: Path | None = None) -> None:
        """Likewise."""

    def attention(
        self, q: Bits, k: Bits, v: Bits, config: Config, *, causal: bool = False, trace: bool = False,
        vcd: Path | None = None, max_cycles: int | None = None, progress: Progress | None = None,
    ) -> EngineResult:
        """Runs the kernel on the bare core: q [seq_q, d] and k, v [seq_kv, d], elem bit patterns, whole tiles.

        ``trace`` adds the intermediates where the engine sees inside. ``progress`` is called with (cycles since the
        first issue, expected cycles). Raises RunError at the cycle limit, saying where the run stood.
        """
        run = _core_run(q, k, v, config, causal)
        run.max_cycles, run.progress = max_cycles, _towards_expected(progress, q, k, config, causal)
        self.simulate_core(run, trace=trace, vcd=vcd)
        run.check_limit()
        return EngineResult(
            output=output_matrix(run), cycles=run.cycles, inner_iteration_cycles=run.inner_iteration_cycles(),
            trace=run.trace,
        )

    def device_attention(
        self, q: Bits, k: Bits, v: Bits, config: Config, *, causal: bool = False, timing: Timing | None = None,
        trace: bool = False, vcd: Path | None = None, max_cycles: int | None = None,
        progress: Progress | None = None,
    ) -> EngineResult:
        """Runs the kernel's instructions on the whole device; arguments as for ``attention`` and ``execute_all``.

        ``cycles`` is the execution time. Raises RunError too when the device stops with an error.
        """
        kernel = attention_kernel(q, k, v, config, causal)
        watched = _core_run(q, k, v, config, causal) if trace else None
        run = DeviceRun(
            config, [kernel.program(checked=False)], timing or Timing(), max_cycles=max_cycles, watched=watched,
            careful=True, progress=_towards_expected(progress, q, k, config, causal),
        )
        (execution,) = self._executions(run, vcd)
        if execution.state is not State.DONE:
            raise RunError(error_message(execution))
        return EngineResult(
            output=attention_output(kernel, execution),
            cycles=None if execution.counters is None else execution.counters.execution_time,
            inner_iteration_cycles=None, trace={} if watched is None else watched.trace, counters=execution.counters,
        )

    def execute(
        self, program: Program, config: Config, *, timing: Timing | None = None, vcd: Path | None = None,
        max_cycles: int | None = None, progress: Callable[[int], None] | None = None,
    ) -> Execution:
        """Runs one program on the whole device. As ``execute_all``."""
        return self.execute_all(
            [program], config, timing=timing, vcd=vcd, max_cycles=max_cycles, progress=progress
        )[0]

    def execute_all(
        self, programs: Sequence[Program], config: Config, *, timing: Timing | None = None, vcd: Path | None = None,
        max_cycles: int | None = None, progress: Callable[[int], None] | None = None,
    ) -> list[Execution]:
        """Runs programs one after the other on one device, reset by software in between.

        ``timing`` says how host and memory behave (None: at full speed). ``progress`` is called with the cycle. Raises
        RunError at the cycle limit, saying where the run stood.
        """
        run = DeviceRun(config, programs, timing or Timing(), max_cycles=max_cycles, progress=progress)
        return self._executions(run, vcd)

    def _executions(self, run: DeviceRun, vcd: Path | None) -> list[Execution]:
        self.simulate_device(run, vcd=vcd)
        run.check_limit()
        return run.executions()


def _core_run(q: Bits, k: Bits, v: Bits, config: Config, causal: bool) -> CoreRun:
    return CoreRun(config, flash_attention(config, *_tiles(q, k, config), causal), q, k, v)


def _tiles(q: Bits, k: Bits, config: Config) -> tuple[int, int]:
    return len(q) // config.cols, len(k) // config.rows


def _towards_expected(
    progress: Progress | None, q: Bits, k: Bits, config: Config, causal: bool
) -> Callable[[int], None] | None:
    """``progress`` for a run that knows its cycle, and not how many there will be."""
    if progress is None:
        return None
    latency = Reciprocal(config.acc, config.reciprocal).latency
    expected = expected_cycles(config, *_tiles(q, k, config), causal, latency)
    return lambda cycle: progress(min(cycle, expected), expected)


def output_matrix(run: CoreRun) -> Bits:
    """The packed O^T rows as acc bits [seq_q, d]."""
    config = run.config
    width, mask = config.acc.width, (1 << config.acc.width) - 1
    tiles = [
        [[row >> (c * width) & mask for row in rows] for c in range(config.cols)]
        for rows in run.output
    ]
    return np.array(tiles, dtype=config.acc.dtype).reshape(-1, config.rows)

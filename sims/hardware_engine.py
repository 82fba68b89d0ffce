"""What the engines that simulate the hardware share: a request becomes a run of the bare core or of the device."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits
from myhdl_fsa.arithmetic.reciprocal import Reciprocal
from myhdl_fsa.engine.base import Engine
from myhdl_fsa.engine.request import AttentionRequest, EngineResult, ProgramRequest, RunError, Watch
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output
from myhdl_fsa.program import Execution, State, error_message
from myhdl_fsa.sims.accelerator_bench import DeviceRun
from myhdl_fsa.sims.core_bench import CoreRun
from myhdl_fsa.sims.schedule import expected_cycles, flash_attention


class HardwareEngine(Engine):
    """An engine with a clock. A subclass says how a run of the core and one of the device are simulated."""

    @abstractmethod
    def simulate_core(self, run: CoreRun) -> None:
        """Simulates ``run`` to its end or its limit, which is noted in it. Raises RunError when that is impossible."""

    @abstractmethod
    def simulate_device(self, run: DeviceRun) -> None:
        """Likewise."""

    def run_attention(self, request: AttentionRequest, watch: Watch) -> EngineResult:
        """As Engine; ``watch.progress`` of the bare core is called with the cycles since the first issue."""
        return self._core_attention(request, watch) if request.top == "core" else self._attention(request, watch)

    def run_programs(self, request: ProgramRequest, watch: Watch) -> list[Execution]:
        """As Engine."""
        return self._executions(DeviceRun(request.config, request.programs, request.timing, watch=watch))

    def _core_attention(self, request: AttentionRequest, watch: Watch) -> EngineResult:
        run = _core_run(request, watch)
        self.simulate_core(run)
        run.check_limit()
        return EngineResult(
            output=output_matrix(run), cycles=run.cycles, inner_iteration_cycles=run.inner_iteration_cycles(),
            trace=run.trace,
        )

    def _attention(self, request: AttentionRequest, watch: Watch) -> EngineResult:
        kernel = attention_kernel(request.q, request.k, request.v, request.config, request.causal)
        run = DeviceRun(
            request.config, [kernel.program(checked=False)], request.timing, watch=watch,
            expected=_expected(request), watched=_core_run(request, watch) if watch.trace else None, careful=True,
        )
        (execution,) = self._executions(run)
        if execution.state is not State.DONE:
            raise RunError(error_message(execution))
        return EngineResult(
            output=attention_output(kernel, execution),
            cycles=None if execution.counters is None else execution.counters.execution_time,
            inner_iteration_cycles=None, trace={} if run.watched is None else run.watched.trace,
            counters=execution.counters,
        )

    def _executions(self, run: DeviceRun) -> list[Execution]:
        self.simulate_device(run)
        run.check_limit()
        return run.executions()


def _core_run(request: AttentionRequest, watch: Watch) -> CoreRun:
    steps = flash_attention(request.config, *_tiles(request), request.causal)
    return CoreRun(request.config, steps, request.q, request.k, request.v, watch, _expected(request))


def _tiles(request: AttentionRequest) -> tuple[int, int]:
    return len(request.q) // request.config.cols, len(request.k) // request.config.rows


def _expected(request: AttentionRequest) -> int:
    """Cycles of the run with memory never in the way."""
    config = request.config
    latency = Reciprocal(config.acc, config.reciprocal).latency
    return expected_cycles(config, *_tiles(request), request.causal, latency)


def output_matrix(run: CoreRun) -> Bits:
    """The packed O^T rows as acc bits [seq_q, d]."""
    config = run.config
    width, mask = config.acc.width, (1 << config.acc.width) - 1
    tiles = [
        [[row >> (c * width) & mask for row in rows] for c in range(config.cols)]
        for rows in run.output
    ]
    return np.array(tiles, dtype=config.acc.dtype).reshape(-1, config.rows)

"""What the engines that simulate the hardware share: a request becomes a run of the bare core or of the device."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from myhdl_fsa.dataflows import expected_cycles
from myhdl_fsa.engine.base import Engine
from myhdl_fsa.engine.request import AttentionRequest, EngineResult, ProgramRequest, RunError, Watch
from myhdl_fsa.kernel.context import Kernel
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output
from myhdl_fsa.program import Execution, State, error_message
from myhdl_fsa.sims.accelerator_bench import DeviceRun
from myhdl_fsa.sims.core_bench import CoreRun, attention_run
from myhdl_fsa.sims.monitors import Intermediates
from myhdl_fsa.sims.monitors.cycle_log import CycleLog
from myhdl_fsa.sims.trace.recorder import Recording

__all__ = ["HardwareEngine"]


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
        self.check_recording(request, watch)
        return self._core_attention(request, watch) if request.top == "core" else self._attention(request, watch)

    def run_programs(self, request: ProgramRequest, watch: Watch) -> list[Execution]:
        """As Engine."""
        return self._executions(DeviceRun(request.config, request.programs, request.timing, watch=watch))

    def _core_attention(self, request: AttentionRequest, watch: Watch) -> EngineResult:
        run = attention_run(request.q, request.k, request.v, request.config, request.causal, watch, request.scale)
        run.recording = _recording(run.kernel, watch)
        self.simulate_core(run)
        run.check_limit()
        return EngineResult(
            output=run.result(), cycles=run.cycles, inner_iteration_cycles=run.inner_iteration_cycles(),
            **_seen_inside(run, run.cycles),
        )

    def _attention(self, request: AttentionRequest, watch: Watch) -> EngineResult:
        kernel = attention_kernel(request.q, request.k, request.v, request.config, request.causal, request.scale)
        shape = kernel.attention
        assert shape is not None
        run = DeviceRun(
            request.config, [kernel.program(checked=False)], request.timing, watch=watch,
            expected=expected_cycles(request.config, shape), careful=True,
            captured=Intermediates(request.config, shape) if watch.trace else None,
            log=CycleLog(kernel) if watch.waits or watch.record else None, recording=_recording(kernel, watch),
        )
        (execution,) = self._executions(run)
        if execution.state is not State.DONE:
            raise RunError(error_message(execution))
        assert execution.counters is not None
        cycles = execution.counters.execution_time
        return EngineResult(
            output=attention_output(kernel, execution), cycles=cycles, inner_iteration_cycles=None,
            counters=execution.counters, **_seen_inside(run, cycles),
        )

    def _executions(self, run: DeviceRun) -> list[Execution]:
        self.simulate_device(run)
        run.check_limit()
        return run.executions()


def _recording(kernel: Kernel, watch: Watch) -> Recording | None:
    return Recording(kernel, watch.wave_from, watch.wave_to) if watch.record else None


def _seen_inside(run: CoreRun | DeviceRun, cycles: int) -> dict[str, Any]:
    """Fields of the EngineResult of a run that took so many cycles; what an engine cannot see is left out."""
    found: dict[str, Any] = {} if run.captured is None else {"trace": run.captured.cut()}
    # an engine that sees nothing inside leaves the log empty
    if run.log is not None and run.log.first is not None:
        found |= {"waits": run.log.waits(), "stretches": run.log.stretches()}
        if run.recording is not None:
            found["recorded"] = run.recording.trace(cycles, found["waits"])
    return found

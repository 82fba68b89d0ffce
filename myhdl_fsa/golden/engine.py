"""The golden model as an engine: the hardware's bits without its clock."""

from __future__ import annotations

from myhdl_fsa import golden
from myhdl_fsa.engine.base import Engine
from myhdl_fsa.engine.request import AttentionRequest, EngineResult, ProgramRequest, Watch
from myhdl_fsa.golden import device
from myhdl_fsa.program import Execution

__all__ = ["GoldenEngine"]


class GoldenEngine(Engine):
    """Runs on numpy; gives no cycles, counters, waveform or progress."""

    name = "golden"

    def run_attention(self, request: AttentionRequest, watch: Watch) -> EngineResult:
        """As Engine; core and device give the same without a clock."""
        self.check_recording(request, watch)
        found = golden.evaluate(request.q, request.k, request.v, request.config, request.causal, watch.trace,
                                scale=request.scale, workers=None)
        return EngineResult(found.output, None, None, found.trace, poor_reciprocals=found.poor_reciprocals)

    def run_programs(self, request: ProgramRequest, watch: Watch) -> list[Execution]:
        """Interprets each program from reset, as ``golden.device.execute``."""
        return [device.execute(program, request.config) for program in request.programs]

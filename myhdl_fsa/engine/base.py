"""What every engine offers. A subclass says how a request is run; the shorter ways to ask are here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import AttentionRequest, EngineResult, ProgramRequest, Watch
from myhdl_fsa.program import Execution, Program, Timing


class Engine(ABC):
    """Something that computes attention, on the bare core or on the whole device, and runs programs."""

    name = ""

    @abstractmethod
    def run_attention(self, request: AttentionRequest, watch: Watch) -> EngineResult:
        """Attention over elem-format patterns. Raises RunError, also when the device stops with an error."""

    @abstractmethod
    def run_programs(self, request: ProgramRequest, watch: Watch) -> list[Execution]:
        """What each program left.

        Raises RunError for a run that does not end; a program that ends in an error state is an Execution that says
        so.
        """

    # ``watch`` below are the fields of Watch.

    def attention(self, q: Any, k: Any, v: Any, config: Config, *, causal: bool = False, **watch: Any) -> EngineResult:
        """``run_attention`` on the bare core."""
        return self.run_attention(AttentionRequest(q, k, v, config, causal, "core"), Watch(**watch))

    def device_attention(
        self, q: Any, k: Any, v: Any, config: Config, *, causal: bool = False, timing: Timing | None = None,
        **watch: Any,
    ) -> EngineResult:
        """``run_attention`` on the whole device; ``timing`` says how host and memory behave (None: at full speed)."""
        request = AttentionRequest(q, k, v, config, causal, timing=timing or Timing())
        return self.run_attention(request, Watch(**watch))

    def execute(self, program: Program, config: Config, *, timing: Timing | None = None, **watch: Any) -> Execution:
        """``run_programs`` with one program."""
        return self.execute_all([program], config, timing=timing, **watch)[0]

    def execute_all(
        self, programs: Sequence[Program], config: Config, *, timing: Timing | None = None, **watch: Any
    ) -> list[Execution]:
        """``run_programs``, one after the other on one device."""
        return self.run_programs(ProgramRequest(programs, config, timing or Timing()), Watch(**watch))

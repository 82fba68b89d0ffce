"""What every engine offers. A subclass says how a request is run; the shorter ways to ask are here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import AttentionRequest, EngineResult, ProgramRequest, RunError, Watch
from myhdl_fsa.program import Execution, Program, Timing

__all__ = ["Engine", "MAX_RECORDED", "RECORDING_ENGINES"]

MAX_RECORDED = 16
"""N up to which a run is recorded cycle by cycle"""
RECORDING_ENGINES = ("myhdl",)
"""engines that see what the machine holds in each cycle"""

if TYPE_CHECKING:
    from myhdl_fsa.kernel.context import Kernel


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

    def check_recording(self, request: AttentionRequest, watch: Watch) -> None:
        """Raises RunError where ``watch`` asks for a record that there cannot be."""
        if watch.record and self.name not in RECORDING_ENGINES:
            raise RunError(f"engine {self.name} does not show what the machine holds: "
                           f"only {' and '.join(RECORDING_ENGINES)} does")
        if watch.record and request.config.rows > MAX_RECORDED:
            raise RunError(f"N = {request.config.rows}: a machine that is recorded has at most {MAX_RECORDED}")

    # ``watch`` below are the fields of Watch.

    def attention(
        self, q: Any, k: Any, v: Any, config: Config, *, causal: bool = False, scale: float | None = None, **watch: Any
    ) -> EngineResult:
        """``run_attention`` on the bare core."""
        return self.run_attention(AttentionRequest(q, k, v, config, causal, "core", scale=scale), Watch(**watch))

    def device_attention(
        self, q: Any, k: Any, v: Any, config: Config, *, causal: bool = False, scale: float | None = None,
        timing: Timing | None = None, **watch: Any,
    ) -> EngineResult:
        """``run_attention`` on the whole device; ``timing`` says how host and memory behave (None: at full speed)."""
        request = AttentionRequest(q, k, v, config, causal, timing=timing or Timing(), scale=scale)
        return self.run_attention(request, Watch(**watch))

    # A Kernel is examined for ``config`` as ``Kernel.program`` does; anything but the two raises TypeError.

    def execute(
        self, program: Program | Kernel, config: Config, *, timing: Timing | None = None, **watch: Any
    ) -> Execution:
        """``run_programs`` with one program, or a Kernel's. Raises KernelError for a Kernel with an error in it."""
        return self.execute_all([program], config, timing=timing, **watch)[0]

    def execute_all(
        self, programs: Sequence[Program | Kernel], config: Config, *, timing: Timing | None = None, **watch: Any
    ) -> list[Execution]:
        """``run_programs``, one after the other on one device; ``programs`` as ``execute`` takes them."""
        if isinstance(programs, Program) or not isinstance(programs, Sequence):
            raise TypeError(f"programs: {type(programs).__name__}: must be a list of Kernels or Programs")
        request = ProgramRequest([_program(program, config) for program in programs], config, timing or Timing())
        return self.run_programs(request, Watch(**watch))


def _program(given: Any, config: Config) -> Program:
    """What an engine runs, from what ``execute`` was given."""
    if isinstance(given, Program):
        return given
    from myhdl_fsa.kernel.checker import ensure  # with the numpy behind it, for who has written a kernel only
    from myhdl_fsa.kernel.context import Kernel

    if not isinstance(given, Kernel):
        raise TypeError(f"program: {type(given).__name__}: must be a Kernel or a Program, as in Program(tuple(words))")
    ensure(given, config)
    return given.program(checked=False)

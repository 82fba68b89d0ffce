"""The board as an engine: what a simulator runs, on the device itself."""

from __future__ import annotations

from myhdl_fsa.config import Config
from myhdl_fsa.engine.base import Engine
from myhdl_fsa.engine.request import AttentionRequest, EngineResult, ProgramRequest, RunError, Watch
from myhdl_fsa.fpga.host.bus import Bus
from myhdl_fsa.fpga.host.driver import LIMIT, Driver
from myhdl_fsa.fpga.host.soc import Soc, SocError
from myhdl_fsa.kernel.flash_attention import attention_kernel, attention_output
from myhdl_fsa.program import Execution, State, error_message

__all__ = ["BoardEngine"]


class BoardEngine(Engine):
    """A device at the other end of a bus. Requests' timing is not heeded: memory and host are what they are.

    ``watch.progress`` is called with bytes. There is no bare core, no waveform and no cycle limit: ``limit`` is the
    seconds without progress after which a run raises RunError.
    """

    name = "board"

    def __init__(self, bus: Bus, soc: Soc, limit: float = LIMIT) -> None:
        self._bus, self._soc, self._limit = bus, soc, limit
        self._identified: Config | None = None

    def place(self, config: Config) -> Config:
        """``config`` with the board's memory, as kernels for ``execute`` need it. Raises RunError if it is another."""
        try:
            return self._soc.place(config)
        except SocError as error:
            raise RunError(f"{self._bus.name}: {error}") from None

    def run_attention(self, request: AttentionRequest, watch: Watch) -> EngineResult:
        """As Engine."""
        self.check_recording(request, watch)
        if request.top == "core":
            raise RunError("a board has no bare core: only the whole device")
        config = self.place(request.config)
        driver = self._driver(config, watch)
        kernel = attention_kernel(request.q, request.k, request.v, config, request.causal, request.scale)
        execution, transfers = driver.run(kernel.program(checked=False), watch)
        if execution.state is not State.DONE:
            raise RunError(f"{self._bus.name}: {error_message(execution)}")
        assert execution.counters is not None
        return EngineResult(
            output=attention_output(kernel, execution), cycles=execution.counters.execution_time,
            inner_iteration_cycles=None, counters=execution.counters, transfers=transfers,
        )

    def run_programs(self, request: ProgramRequest, watch: Watch) -> list[Execution]:
        """As Engine. Addresses are the SoC's; memory that a program does not fill is as it was, but for its outputs."""
        driver = self._driver(self.place(request.config), watch)
        return [driver.run(program, watch)[0] for program in request.programs]

    def _driver(self, config: Config, watch: Watch) -> Driver:
        if watch.vcd is not None or watch.max_cycles is not None:
            raise RunError("a board has no waveform and no cycle limit")
        driver = Driver(self._bus, self._soc, config, self._limit)
        if self._identified != config:
            driver.identify()
            self._identified = config
        return driver

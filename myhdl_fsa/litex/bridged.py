"""A SoC without a processor for Verilator, whose bus a host on the PC has through a UARTBone: what a board is to it."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from litex.build.io import CRG
from litex.build.sim.config import SimConfig
from litex.soc.cores.uart import RS232PHYModel, UARTBone
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc_core import SoCCore

from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import RunError
from myhdl_fsa.litex.fsa import FSA
from myhdl_fsa.litex.simulation import linked, within_litex
from myhdl_fsa.litex.simulator import PROGRAM, Toolchain
from myhdl_fsa.litex.soc import CLOCK_HZ, Simulation, simulation_platform
from myhdl_fsa.workbench import tools

__all__ = ["RAM_BYTES", "BridgedSoC", "build", "is_free", "serve"]

RAM_BYTES = 1 << 20
_ENDLESS = (1 << 64) - 1
"""cycles"""


class BridgedSoC(SoCCore):
    """The SoC of ``config``, with ``RAM_BYTES`` of main RAM; the bytes of its UARTBone come and go at a TCP port."""

    def __init__(self, config: Config, port: int) -> None:
        platform = simulation_platform()
        self.crg = CRG(platform.request("sys_clk"))
        super().__init__(platform, CLOCK_HZ, cpu_type=None, with_uart=False, with_timer=False, ident="",
                         integrated_sram_size=0, integrated_main_ram_size=RAM_BYTES)
        self.fsa = FSA(platform, config)
        self.fsa.connect(self)
        self.bridge = UARTBone(RS232PHYModel(platform.request("serial")), CLOCK_HZ,
                               address_width=self.bus.address_width)
        self.bus.add_master(name="bridge", master=self.bridge.wishbone)
        self.simulation = Simulation(platform.request("simulation"), self.fsa)
        self.comb += platform.trace.eq(0)
        self.sim_config = SimConfig()
        self.sim_config.add_clocker("sys_clk", freq_hz=CLOCK_HZ)
        self.sim_config.add_module("serial2tcp", "serial", args={"port": port})


def is_free(port: int) -> bool:
    """Whether a TCP port can be listened at."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", port))
        except OSError:
            return False
    return True


def build(
    config: Config, port: int, folder: Path, build_dir: Path | None = None, say: Callable[[str], None] | None = None
) -> Path:
    """Builds the SoC in ``folder``, and gives the folder in which its simulation is to run.

    csr.json and config.json are in ``folder``. The simulator is kept in the cache below ``build_dir``; another port
    needs no other one. ``say`` is told what is under way. Raises RunError for what does not build.
    """
    say = say or (lambda text: None)
    say("the SoC with a bridge")
    with within_litex():
        soc = BridgedSoC(config, port)
        soc.platform.toolchain = Toolchain()
        Builder(soc, output_dir=str(folder), csr_json=str(folder / "csr.json"), compile_software=False).build(
            sim_config=soc.sim_config)
    (folder / "config.json").write_text(soc.fsa.config.to_json())
    return linked(soc, folder, build_dir, say)


def serve(gateware: Path, port: int, ready: Callable[[], None]) -> None:
    """Runs what ``build`` built, until this process is told to end; ``ready`` is called once the port is listened at.

    Raises RunError where the simulation ends.
    """
    complaints = gateware / "simulation.log"
    with complaints.open("w") as errors, tools.started(
        [str(gateware / PROGRAM), str(_ENDLESS)], gateware, stdout=subprocess.DEVNULL, stderr=errors,
    ) as process:
        while process.poll() is None and is_free(port):
            time.sleep(0.05)
        if process.poll() is None:
            ready()
        process.wait()
    said = re.findall(r"\S.*", complaints.read_text(errors="replace"))
    raise RunError(f"the SoC's simulation ended: {said[-1] if said else f'exit status {process.returncode}'}")

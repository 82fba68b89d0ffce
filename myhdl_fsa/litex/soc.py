"""A SoC with the accelerator for Verilator: CPU, ROM, RAM, UART, and an end that the program calls."""

from __future__ import annotations

from typing import Any

from litex.build.generic_platform import Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.build.sim.config import SimConfig
from litex.gen import LiteXModule
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect.csr import CSRStorage
from migen import Cat, ClockDomain, If, Signal

from myhdl_fsa.config import Config
from myhdl_fsa.litex.fsa import FSA
from myhdl_fsa.litex.rocket import use_packaged_rocket

__all__ = ["CLOCK_HZ", "CPUS", "SimulatedSoC", "Simulation", "simulation_platform"]

CPUS = {"vexriscv": "standard", "rocket": "small"}
"""CPU -> its variant in the SoC"""
CLOCK_HZ = 1_000_000
"""which LiteX's simulations have; time in them means nothing"""
_LEAST_ROM, _LEAST_SRAM = 1 << 17, 1 << 15
"""bytes"""
_LEAST_RAM = {"vexriscv": 1 << 16, "rocket": 1 << 26}
"""bytes; LiteX takes a smaller main RAM of Rocket's for an I/O region"""
_RESET_CYCLES = 16
_SERIAL = (("source_valid", 1), ("source_ready", 1), ("source_data", 8),
           ("sink_valid", 1), ("sink_ready", 1), ("sink_data", 8))
_SIMULATION = (("exit", 1), ("status", 8), ("control_waits", 1), ("memory_waits", 1), ("interrupt", 1))


def _memory(least: int, size: int) -> int:
    """Bytes of a memory that holds ``size`` bytes: a power of two."""
    return max(least, 1 << (size - 1).bit_length())


def simulation_platform() -> SimPlatform:
    """LiteX's platform of a simulated SoC: two clocks, the bytes of a serial line, and what ``Simulation`` has."""
    return SimPlatform("SIM", [
        ("sys_clk", 0, Pins(1)), ("fsa_clk", 0, Pins(1)),
        ("serial", 0, *(Subsignal(name, Pins(width)) for name, width in _SERIAL)),
        ("simulation", 0, *(Subsignal(name, Pins(width)) for name, width in _SIMULATION)),
    ])


class _Clocks(LiteXModule):
    """The clocks as the simulation drives them, and a reset of some cycles."""

    def __init__(self, platform: Any, own_clock: bool) -> None:
        domains = {"sys": "sys_clk", **({"fsa": "fsa_clk"} if own_clock else {})}
        for domain, pin in domains.items():
            made = ClockDomain(domain)
            power_on = ClockDomain(f"{domain}_por", reset_less=True)
            setattr(self, f"cd_{domain}", made)
            setattr(self, f"cd_{domain}_por", power_on)
            left = Signal(max=_RESET_CYCLES, reset=_RESET_CYCLES - 1)
            clock = platform.request(pin)
            self.comb += [made.clk.eq(clock), power_on.clk.eq(clock), made.rst.eq(left != 0)]
            getattr(self.sync, f"{domain}_por").__iadd__(If(left != 0, left.eq(left - 1)))


class Simulation(LiteXModule):
    """The register whose writing ends the simulation with a status, and what is told where it stood otherwise."""

    def __init__(self, pads: Any, fsa: FSA) -> None:
        self.exit = CSRStorage(8, description="ends the simulation with this status")

        def waits(*channels: Any) -> Any:
            return Cat(*(channel.valid & ~channel.ready for channel in channels)) != 0

        control = fsa.control
        self.comb += [
            pads.exit.eq(self.exit.re),
            pads.status.eq(self.exit.storage),
            pads.control_waits.eq(waits(control.aw, control.w, control.ar)),
            pads.memory_waits.eq(waits(*(channel for port in fsa.memory for channel in (port.aw, port.w, port.ar)))),
            pads.interrupt.eq(fsa.interrupt),
        ]


class SimulatedSoC(SoCCore):
    """The SoC of ``config`` with one of ``CPUS``, and main RAM, which the two share.

    ``ram_bytes``, ``rom_bytes`` and ``sram_bytes`` are what the memories must hold at least. With ``own_clock`` the
    device has a clock of its own, ``fsa_clk``, beside the CPU's ``sys_clk``. The program comes into the ROM
    (``init_rom``); LiteX's BIOS is not used.
    """

    def __init__(self, config: Config, cpu: str = "vexriscv", ram_bytes: int = 1, rom_bytes: int = 1,
                 sram_bytes: int = 1, own_clock: bool = False) -> None:
        platform = simulation_platform()
        use_packaged_rocket()
        self.crg = _Clocks(platform, own_clock)
        super().__init__(
            platform, CLOCK_HZ, cpu_type=cpu, cpu_variant=CPUS[cpu], uart_name="sim", ident="",
            integrated_rom_size=_memory(_LEAST_ROM, rom_bytes), integrated_sram_size=_memory(_LEAST_SRAM, sram_bytes),
            integrated_main_ram_size=_memory(_LEAST_RAM[cpu], ram_bytes))
        # the demo is the ROM's contents
        self.integrated_rom_initialized = True
        # LiteX connects a CPU's own memory bus to a LiteDRAM only
        for number, bus in enumerate(self.cpu.memory_buses):
            self.bus.add_master(name=f"cpu_memory_{number}", master=bus)
        self.fsa = FSA(platform, config, clock_domain="fsa" if own_clock else "sys")
        self.fsa.connect(self)
        self.simulation = Simulation(platform.request("simulation"), self.fsa)
        self.comb += platform.trace.eq(0)
        self.sim_config = SimConfig()
        self.sim_config.add_clocker("sys_clk", freq_hz=CLOCK_HZ)
        if own_clock:
            self.sim_config.add_clocker("fsa_clk", freq_hz=2 * CLOCK_HZ)
        self.sim_config.add_module("serial2console", "serial")

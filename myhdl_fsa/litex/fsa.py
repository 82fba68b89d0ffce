"""``FSA``: the accelerator as a LiteX module."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCCSRRegion, SoCRegion
from litex.soc.interconnect import axi
from migen import ClockSignal, Instance, ResetSignal, Signal
from migen.genlib.cdc import MultiReg

from myhdl_fsa.axi import REGISTER_ADDRESS_WIDTH
from myhdl_fsa.config import Config, as_config
from myhdl_fsa.convert.module import Port
from myhdl_fsa.fpga.host.soc import HARDWARE
from myhdl_fsa.litex.crossing import AXIClockDomainCrossing
from myhdl_fsa.litex.device import converted
from myhdl_fsa.litex.registers import WORD_BYTES, csrs

__all__ = ["FSA", "Interrupt"]

_PORT = re.compile(r"(control|memory_m(?P<port>\d+))_(?P<channel>aw|ar|w|b|r)(?P<signal>\w+)")
_ADDRESS_BITS = 32
"""of LiteX's buses"""
_LONGEST_BURST = 256
"""beats"""


class Interrupt(LiteXModule):
    """What LiteX takes for an event manager: the device has registers of its own for what is pending."""

    def __init__(self, line: Any) -> None:
        self.ev = SimpleNamespace(irq=line)


class FSA(LiteXModule):
    """The accelerator of a configuration, converted to Verilog and instantiated.

    ``control`` is its AXI4-Lite port, ``memory`` the list of its AXI4 ports, ``interrupt`` its interrupt: all in the
    clock domain ``sys``. The device itself runs in ``clock_domain``; where that is another, its ports go through clock
    domain crossings. ``connect`` adds it to a SoC.

    ``config`` is a Config or a known configuration's name. ``name`` is that of the module in the SoC, and what the
    names of Verilog modules, registers and bus ports begin with; two devices in one SoC need two. Raises ConfigError
    for a configuration that only the bare core can be.
    """

    def __init__(self, platform: Any, config: Config | str, name: str = "fsa", clock_domain: str = "sys") -> None:
        self.config = as_config(config)
        self.device = converted(self.config, f"{name}_")
        self.instance_name, self.clock_domain = name, clock_domain
        beat = 8 * self.config.beat_bytes
        self.control = axi.AXILiteInterface(data_width=8 * WORD_BYTES, address_width=_ADDRESS_BITS)
        self.memory = [axi.AXIInterface(data_width=beat, address_width=_ADDRESS_BITS, id_width=1)
                       for _ in range(self.config.memory_ports)]
        self.interrupt = Signal()
        for source in self.device.sources:
            platform.add_source(str(source), "verilog", copy=True)
        self._inner_control, self._inner_memory, interrupt = self._inside()
        single = {"clock": ClockSignal(clock_domain), "reset": ResetSignal(clock_domain), "interrupt": interrupt}
        self.specials += Instance(self.device.top, **{
            f"{port.direction[0]}_{port.name}": single[port.name] if port.name in single else self._wire(port)
            for port in self.device.ports})

    def _inside(self) -> tuple[Any, list[Any], Any]:
        """The ports and the interrupt in the device's own clock domain."""
        if self.clock_domain == "sys":
            return self.control, self.memory, self.interrupt
        control = axi.AXILiteInterface(data_width=8 * WORD_BYTES, address_width=_ADDRESS_BITS)
        self.control_crossing = axi.AXILiteClockDomainCrossing(self.control, control, "sys", self.clock_domain)
        inner = []
        for number, port in enumerate(self.memory):
            inner.append(axi.AXIInterface(data_width=port.data_width, address_width=_ADDRESS_BITS, id_width=1))
            self.add_module(name=f"memory_{number}_crossing",
                            module=AXIClockDomainCrossing(inner[-1], port, self.clock_domain, "sys"))
        interrupt = Signal()
        self.specials += MultiReg(interrupt, self.interrupt, "sys")
        return control, inner, interrupt

    def _wire(self, port: Port) -> Any:
        """A signal as wide as a port of the buses, connected to LiteX's signal of that name."""
        found = _PORT.fullmatch(port.name)
        if found is None:
            raise ValueError(f"port {port.name} of {self.device.top}: must be one of a bus")
        bus = self._inner_control if found["port"] is None else self._inner_memory[int(found["port"])]
        theirs = getattr(getattr(bus, found["channel"]), found["signal"])
        ours = Signal(port.width, name=port.name)
        # addresses are the only ones of another width: LiteX's have 32 bits
        if len(theirs) != port.width and found["signal"] != "addr":
            raise ValueError(f"port {port.name} of {self.device.top} has {port.width} bits: must have {len(theirs)}")
        width = min(len(theirs), port.width)
        self.comb += ours.eq(theirs[:width]) if port.direction == "input" else theirs.eq(ours[:width])
        return ours

    def connect(self, soc: Any, origin: int | None = None) -> None:
        """Adds the device to a SoC: its registers, its memory ports and its interrupt.

        The registers are a region of the SoC's bus at ``origin`` (None: after the SoC's CSRs) under the module's name,
        and have their names there in csr.json and csr.h. The memory ports become masters of the SoC's bus, or of the
        CPU's own DMA bus where it has one, which keeps its caches coherent. ``config`` gets the memory of the SoC's
        main RAM; so that has to be there. Raises ValueError where it is not, or does not suit the device.
        """
        name, bus = self.instance_name, getattr(soc, "dma_bus", soc.bus)
        if "main_ram" not in soc.bus.regions:
            raise ValueError("the SoC has no main_ram: must have it before the device is connected")
        ram = soc.bus.regions["main_ram"]
        self.config = self.config.replace(memory_base=ram.origin, memory_size=ram.size)
        self._check_burst(bus.data_width)
        if origin is None:
            origin = soc.mem_map["csr"] + (1 << (soc.csr.address_width + 2))
        region = SoCRegion(origin=origin, size=1 << REGISTER_ADDRESS_WIDTH, cached=False)
        soc.bus.add_slave(name=name, slave=self.control, region=region)
        soc.csr.add_region(name, SoCCSRRegion(origin=origin, busword=8 * WORD_BYTES, obj=csrs()))
        for number, port in enumerate(self.memory):
            bus.add_master(name=f"{name}_memory_{number}", master=port)
        for field in HARDWARE:
            value = getattr(self.config, field)
            soc.add_constant(f"{name}_config_{field}", value if isinstance(value, int) else str(value))
        if soc.irq.enabled:
            # LiteX makes a function of the number's name, which is not to be that of the register of that name
            soc.add_module(name=f"{name}_irq", module=Interrupt(self.interrupt))
            soc.irq.add(f"{name}_irq", use_loc_if_exists=True)

    def _check_burst(self, bus_bits: int) -> None:
        """LiteX's width converters do not split bursts, and join beats only of bursts that fill whole words."""
        row = max(self.config.scratchpad_row_bytes, self.config.accumulator_row_bytes)
        if row * 8 // bus_bits > _LONGEST_BURST:
            raise ValueError(f"a row of {row} bytes is more than {_LONGEST_BURST} beats of a bus of {bus_bits} bits: "
                             "must be at most that")
        if self.config.beat_bytes * 8 < bus_bits:
            raise ValueError(f"beat_bytes = {self.config.beat_bytes}: must be at least {bus_bits // 8}, the width of "
                             "the bus")

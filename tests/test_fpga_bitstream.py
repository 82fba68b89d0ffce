"""A board's system to its end: a bitstream, the machine and its demo in it, and its software in simulation."""

from __future__ import annotations

import json
import os
import sys

import litedram.modules
import pytest
from litedram.phy.model import SDRAMPHYModel
from litex.soc.integration.soc_core import SoCCore

from myhdl_fsa.config import preset
from myhdl_fsa.fpga.bitstream import implement, pack, synthesize_system
from myhdl_fsa.fpga.boards import BOARDS
from myhdl_fsa.fpga.system.request import Request, generate
from myhdl_fsa.fpga.system.soc import DEMO, demo_of
from myhdl_fsa.fpga.system.software import BoardBuilder
from myhdl_fsa.litex.fsa import FSA
from myhdl_fsa.litex.simulation import run
from myhdl_fsa.litex.simulator import PROGRAM, Toolchain, simulator
from myhdl_fsa.litex.soc import SimulatedSoC

NAME = "FSA4X4Fp16Config"


@pytest.mark.slow
def test_a_bitstream_for_the_boards_part(tmp_path):
    board = BOARDS["ulx3s"]
    generated = generate(Request("ulx3s", board.system, 12, None))
    found = synthesize_system(generated, board.device.family, lambda *said: None)
    assert found.area.over(board.device.capacity) == {} and found.area.total.lut > 3000
    stages = []
    placed = implement(found, board, generated.constraints, 1, stages.append)
    assert stages[0] == "packing" and stages[-1] == "routing"
    system = {clock.domain: clock for clock in placed.clocks}["sys"]
    assert {clock.domain for clock in placed.clocks} <= set(generated.domains)
    assert system.wanted == pytest.approx(board.system, rel=0.01) and system.met and system.path
    bit, svf = pack(placed.configuration)
    assert b"Part: LFE5U-85F-6CABGA381" in bit[:64]
    # the command that compares the part's own code with this one
    assert bytes([0xE2, 0, 0, 0, *board.idcode.to_bytes(4, "big")]) in bit[:64]
    assert f"{board.idcode:08X}".encode() in svf[:2000].upper()
    registers = json.loads(generated.files["csr.json"])
    assert {"line", "uart", "sdram"} <= registers["csr_bases"].keys()
    assert registers["memories"]["main_ram"]["size"] == 32 << 20


@pytest.mark.slow
def test_the_system_has_the_machine_and_its_demo():
    generated = generate(Request("ecpix5", 50, 20, preset(NAME).to_dict()))
    registers = json.loads(generated.files["csr.json"])
    ram = registers["memories"]["main_ram"]
    assert registers["csr_bases"]["fsa"] > registers["csr_bases"]["line"] and ram["size"] == 512 << 20
    machine = json.loads(generated.files["config.json"])
    assert (machine["mem_base"], machine["mem_size"]) == (ram["base"], ram["size"]) == (
        generated.config["mem_base"], generated.config["mem_size"])
    assert registers["constants"]["rom_boot_address"] == registers["memories"]["demo"]["base"]
    assert set(generated.domains) >= {"sys", "fsa"}
    assert len(generated.memories["top_demo.init"].split()) > 4000  # words of the program
    assert generated.accelerator.source("accelerator").top == "fsa_accelerator"


@pytest.mark.slow
def test_the_boards_software_runs_on_its_memory_in_simulation(tmp_path, monkeypatch):
    """BIOS, memory controller and demo as on ULX3S, the machine at its own clock; a model is the SDRAM and its pins."""
    connect, core = FSA.connect, SoCCore.__init__

    def with_sdram(self, soc):
        chip = getattr(litedram.modules, BOARDS["ulx3s"].memory)(40e6, "1:1")
        soc.sdrphy = SDRAMPHYModel(module=chip, data_width=16, clk_freq=40e6)
        soc.add_sdram("sdram", phy=soc.sdrphy, module=chip, l2_cache_size=0)
        for constant in ("MEMTEST_DATA_SIZE", "MEMTEST_ADDR_SIZE"):
            soc.add_constant(constant, 8192)
        connect(self, soc)

    monkeypatch.setattr(FSA, "connect", with_sdram)
    monkeypatch.setattr(SoCCore, "__init__", lambda self, *args, **options: core(
        self, *args, **{**options, "integrated_main_ram_size": 0}))
    monkeypatch.setenv("PATH", f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}")
    config = preset(NAME).replace(rows=2)
    soc = SimulatedSoC(config, rom_bytes=1 << 16, sram_bytes=demo_of(config).sram_bytes, own_clock=True)
    soc.integrated_rom_initialized = False
    soc.add_rom(DEMO, 1 << 22, 1 << 17)
    soc.add_constant("ROM_BOOT_ADDRESS", 1 << 22)
    soc.platform.toolchain = Toolchain()
    BoardBuilder(soc, tmp_path).build(sim_config=soc.sim_config)
    gateware = tmp_path / "gateware"
    built = simulator(gateware, [gateware / name for name, *_ in soc.platform.sources])
    for name in (PROGRAM, "modules"):
        (gateware / name).symlink_to(built / name)
    ended = run(gateware, 20_000_000, lambda line: None)
    assert ended.status == 0
    order = [next(index for index, line in enumerate(ended.console) if begin in line) for begin in (
        "Initializing SDRAM", "Memtest OK", "Booting from serial", "Executing booted program at 0x00400000",
        "FSA equals the golden model bit for bit")]
    assert order == sorted(order)

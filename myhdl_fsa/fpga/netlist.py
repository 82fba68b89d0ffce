"""The netlist of a whole design, put together from those of its modules, with a clock and two pins around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from myhdl_fsa.fpga import yosys
from myhdl_fsa.fpga.hierarchy import Hierarchy, Port, Source
from myhdl_fsa.fpga.resources import Family
from myhdl_fsa.fpga.synthesis import mapped

__all__ = ["CLOCK", "DESIGN", "HARNESS", "harness", "linked", "netlist"]

HARNESS = "fsa_fpga_harness"
CLOCK = "clock"
"""the clock of every module, and of the harness"""
DESIGN = "design"
"""the instance in the harness"""


def netlist(hierarchy: Hierarchy, top: str, family: Family) -> str:
    """``top`` in the harness, flat, as JSON for nextpnr; a cell's name begins with where it stands.

    Raises YosysError, MissingTool and OSError.
    """
    text = harness(hierarchy.source(top).top, hierarchy.ports(top))
    outer = Source(HARNESS, (text,), (hierarchy.part(top).texts[0],))
    return linked(mapped(outer, family).netlist, HARNESS, hierarchy, top, family)[0]


def linked(
    outer: str, name: str, hierarchy: Hierarchy | None, top: str, family: Family, further: Sequence[str] = (),
    *results: str,
) -> tuple[str, ...]:
    """The module ``name`` of ``outer``, mapped RTLIL, with the instances of ``top`` in it, flat, as JSON for nextpnr.

    Without a hierarchy it has none. ``further`` are commands of yosys on the result, and ``results`` the files that
    these write, whose texts follow. Raises YosysError, MissingTool and OSError.
    """
    names = [] if hierarchy is None else list(hierarchy.parts(top))
    files = {"outer.il": outer}
    script = [f"read_verilog -lib {file}" for file in family.library] + ["read_rtlil outer.il"]
    if hierarchy is not None:
        files |= {f"{part}.il": mapped(hierarchy.part(part), family).netlist for part in names}
        for part in names:
            script += [f"read_rtlil {part}.il", f"rename {hierarchy.source(part).top} {part}"]
        for part in names:
            script += _instances(hierarchy.source(part), part)
    script += [f"hierarchy -check -top {name}", "flatten", "opt_clean", *further, f"select {name}",
               "write_json -selected netlist.json"]
    return yosys.run(files, script, "netlist.json", *results)[:-1]


def _instances(source: Source, name: str) -> Iterator[str]:
    """The commands that make instances of a module, with the parameters it was synthesised with, those of ``name``."""
    chosen = f"t:{source.top}" + "".join(f" r:{parameter}={value} %i" for parameter, value in source.parameters)
    yield f"chtype -set {name} {chosen}"
    if source.parameters:
        yield "setparam" + "".join(f" -unset {parameter}" for parameter, _ in source.parameters) + f" t:{name}"


def harness(module: str, ports: tuple[Port, ...]) -> str:
    """Verilog that shifts all inputs of a module in by one pin, and all outputs out by another.

    A part has fewer pins than the machine has ports, and so every path begins and ends in a register.
    """
    inputs = [port for port in ports if port.direction == "input" and port.name != CLOCK]
    outputs = [port for port in ports if port.direction == "output"]
    given, taken = (sum(port.width for port in group) for group in (inputs, outputs))
    connected = [f".{port.name}({port.name})" for port in ports if port.name == CLOCK]
    connected += _slices(inputs, "given") + _slices(outputs, "taken")
    return f"""\
module {HARNESS} (input wire {CLOCK}, input wire enter, output wire leave);
    reg [{given}:0] given;
    wire [{taken}:0] taken;
    reg [{taken}:0] held;
    assign taken[{taken}] = given[{given}];
    assign leave = held[0];
    always @(posedge {CLOCK}) begin
        given <= {{given, enter}};
        held <= enter ? taken : held >> 1;
    end
    {module} {DESIGN} ({", ".join(connected)});
endmodule
"""


def _slices(ports: list[Port], word: str) -> list[str]:
    found, low = [], 0
    for port in ports:
        found.append(f".{port.name}({word}[{low} +: {port.width}])")
        low += port.width
    return found

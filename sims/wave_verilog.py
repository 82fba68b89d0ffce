"""The scopes of a waveform as Verilog modules of their own beside the converted design, which stays as it is.

Each scope is a module without ports, whose wires follow the design's nets by their hierarchical names. A simulator that
dumps these and nothing else writes the same scopes and names whatever it made of the design itself.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

from myhdl_fsa.convert.hierarchy import Design
from myhdl_fsa.sims.wave_scopes import Probe, Scope, scope_of

__all__ = ["Loop", "MACHINE", "WAVES", "wave_sources"]

MACHINE = "machine"
"""the design's top module, where the waveform's top scope has its name"""
WAVES = "waves"
"""the file of the scopes"""
_LANE = re.compile(r"(\w+)_lane(\d+)")
_TIMESCALE = "`timescale 1ns/1ns"

Loop = tuple[str, Sequence[Mapping[str, str]]]
"""the module whose instances became a loop in their parent; per instance, what its parent calls its nets"""


def wave_sources(design: Design, sources: dict[str, str], path: str, loop: Loop | None = None) -> dict[str, str]:
    """Files by name: a converted ``design`` with its top called MACHINE, and WAVES, whose top is the design's name.

    ``sources`` are the design's files as they will be simulated, ``path`` the hierarchical name of the instance of
    MACHINE.
    """
    top = sources[design.name]
    renamed = {name: text for name, text in sources.items() if name != design.name}
    renamed[MACHINE] = re.sub(rf"^module {design.name}\b", f"module {MACHINE}", top, flags=re.MULTILINE)
    # delta cycles aside nothing here takes less than a nanosecond
    files = {name: re.sub(r"^`timescale .*$", _TIMESCALE, text, flags=re.MULTILINE) for name, text in renamed.items()}
    return {**files, WAVES: _Waves(design, loop).text(path)}


class _Waves:
    def __init__(self, design: Design, loop: Loop | None) -> None:
        self._design, self._loop = design, loop
        self._modules: list[str] = []
        self._numbers = itertools.count()

    def text(self, path: str) -> str:
        """All modules, the top scope's last."""
        self._top(scope_of(self._design.top), path)
        return "\n".join([_TIMESCALE, *self._modules])

    def _top(self, scope: Scope, path: str) -> None:
        nets = {probe.name: f"{path}.{self._net(scope, probe)}" for probe in scope.probes}
        self._write(self._design.name, scope, nets, path)

    def _net(self, scope: Scope, probe: Probe) -> str:
        """What the scope's module calls a signal."""
        if probe.driven is None:
            return probe.name
        name, index = probe.driven
        net = self._design.module_of(scope.block).driven[name]
        return net if index is None else f"{net}[{index}]"

    def _write(self, name: str, scope: Scope, nets: dict[str, str], path: str) -> None:
        lines = [f"module {name};"]
        lines += [_wire(probe.name, probe.width, nets[probe.name]) for probe in scope.probes]
        lines += [_wire(field.name, field.width, field.verilog()) for field in scope.fields]
        module = self._design.module_of(scope.block)
        looped = 0
        for instance, (child_name, child) in zip(module.instances, scope.children, strict=True):
            child_module = self._design.name_of(child.block)
            if self._loop is not None and child_module == self._loop[0]:
                inside = path
                given = self._loop[1][looped]
                child_nets = {probe.name: f"{path}.{given[probe.name]}" for probe in child.probes}
                looped += 1
            else:
                inside = f"{path}.{instance}"
                child_nets = {probe.name: f"{inside}.{self._net(child, probe)}" for probe in child.probes}
                if self._loop is not None:
                    child_nets = self._packed(child, child_nets)
            scope_module = f"waves_{next(self._numbers)}"
            self._write(scope_module, child, child_nets, inside)
            lines.append(f"  {scope_module} {child_name} ();")
        self._modules.append("\n".join([*lines, "endmodule"]))

    def _packed(self, scope: Scope, nets: dict[str, str]) -> dict[str, str]:
        """A module with a loop has one vector in place of the lanes of a port."""
        if all(self._design.name_of(child.block) != self._loop[0] for _, child in scope.children if self._loop):
            return nets
        widths = {probe.name: probe.width for probe in scope.probes}

        def select(name: str, net: str) -> str:
            lane = _LANE.fullmatch(net.rpartition(".")[2])
            if lane is None:
                return net
            return f"{net.rpartition('.')[0]}.{lane[1]}[{int(lane[2]) * widths[name]} +: {widths[name]}]"

        return {name: select(name, net) for name, net in nets.items()}


def _wire(name: str, width: int, value: str) -> str:
    vector = f"[{width - 1}:0] " if width > 1 else ""
    return f"  wire {vector}{name} = {value};"

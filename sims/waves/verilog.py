"""The scopes of a waveform as Verilog modules of their own beside the converted design, which stays as it is.

Each scope is a module without ports, whose wires follow the design's nets by their hierarchical names. A simulator that
dumps these and nothing else writes the same scopes and names whatever it made of the design itself.
"""

from __future__ import annotations

import itertools

from myhdl_fsa.convert.hierarchy import Design, Module
from myhdl_fsa.sims.verilog_names import net_names
from myhdl_fsa.sims.waves.scopes import Probe, Scope, scope_of

__all__ = ["WAVES", "waves"]

WAVES = "waves"
"""the file of the scopes"""


def waves(design: Design, path: str) -> str:
    """The scopes of a converted ``design``, the last one, which holds the others, called as the design.

    ``path`` is the hierarchical name of the design's top module or its instance. The modules of the design have a
    prefix, so that none is called as a scope's.
    """
    scopes = _Scopes(design)
    scopes.write(design.name, scope_of(design.top), path, None)
    return "\n".join(scopes.modules) + "\n"


class _Scopes:
    def __init__(self, design: Design) -> None:
        self.modules: list[str] = []
        self._design = design
        self._numbers = itertools.count()

    def write(self, name: str, scope: Scope, path: str, lane: int | None) -> None:
        """The scope of the block that is ``lane`` of the instance ``path``, after those inside."""
        module = self._design.module_of(scope.block)
        lines = [f"module {name};"]
        lines += [_wire(probe.name, probe.width, _value(module, probe, path, lane)) for probe in scope.probes]
        lines += [_wire(field.name, field.width, field.verilog()) for field in scope.fields]
        for (instance, inner), (child_name, child) in zip(module.instances, scope.children, strict=True):
            scope_module = f"{WAVES}_{next(self._numbers)}"
            self.write(scope_module, child, f"{path}.{instance}", inner)
            lines.append(f"  {scope_module} {child_name} ();")
        self.modules.append("\n".join([*lines, "endmodule"]))


def _value(module: Module, probe: Probe, path: str, lane: int | None) -> str:
    if probe.driven is None:
        return f"{path}.{module.located[probe.name].text(lane)}"
    return net_names(module, *probe.driven, path, lane)[probe.index]


def _wire(name: str, width: int, value: str) -> str:
    vector = f"[{width - 1}:0] " if width > 1 else ""
    return f"  wire {vector}{name} = {value};"

"""A FuseSoC core file of what was converted: CAPI2, in YAML whose strings are all quoted, as FuseSoC's guide asks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from myhdl_fsa.convert.check import LINTS

__all__ = ["core_file", "core_name"]

_VERILOG = "verilogSource-2005"


def core_name(library: str, top: str, version: str) -> str:
    """Vendor, library, name and version; a character that FuseSoC does not take is ``_``."""
    return f"myhdl-fsa:{re.sub(r'[^A-Za-z0-9_.-]', '_', library)}:{top}:{version}"


def core_file(name: str, sources: Sequence[str], bench: Sequence[str] = ()) -> str:
    """The core file of modules whose files lie beside it, ``<module>.v``, children first.

    ``name`` is as ``core_name`` gives it. ``bench`` is a testbench: its module's file, then those that it reads. The
    targets are ``default``, ``lint`` by Verilator and, with a testbench, ``sim`` by Icarus or Verilator.
    """
    top = Path(sources[-1]).stem
    core: dict[str, Any] = {
        "name": name, "description": f"FlashAttention inside one systolic array: {top}",
        "filesets": {"rtl": {"file_type": _VERILOG, "files": list(sources)}},
        "targets": {
            "default": {"filesets": ["rtl"], "toplevel": top},
            "lint": {
                "description": "Verilator's lint; no warning is waived", "flow": "lint",
                "flow_options": {"tool": "verilator", "verilator_options": _options("verilator", "--lint-only")},
                "filesets": ["rtl"], "toplevel": top,
            },
        },
    }
    if bench:
        module, *data = bench
        core["filesets"]["tb"] = {
            "file_type": _VERILOG,
            # the simulation runs elsewhere, and looks for them where it runs
            "files": [module, *({file: {"file_type": "user", "copyto": file}} for file in data)],
        }
        core["targets"]["sim"] = {
            "description": "The self-checking testbench, in Icarus; in Verilator with --tool verilator", "flow": "sim",
            "flow_options": {
                "tool": "icarus",
                "iverilog_options": _options("icarus", "-Wall"),
                "vvp_options": ["-N"],  # a status that is not 0 where it fails
                "mode": "binary",
                "verilator_options": ["--timing"],
            },
            "filesets": ["rtl", "tb"], "toplevel": Path(module).stem,
        }
    return "CAPI=2:\n" + "".join(f"{line}\n" for line in _yaml(core))


def _options(tool: str, own: str) -> list[str]:
    """Those that ``fsa-convert --check`` calls the tool with, but ``own``, which does not belong to a flow's."""
    return [option for option in LINTS[tool] if option != own]


def _yaml(value: dict[str, Any]) -> Iterator[str]:
    """The lines of a mapping; what is in a list takes one line, as in JSON, which is YAML too."""
    for key, inside in value.items():
        if isinstance(inside, dict):
            yield f"{key}:"
            yield from (f"  {line}" for line in _yaml(inside))
        elif isinstance(inside, list):
            yield f"{key}:"
            yield from (f"  - {json.dumps(item)}" for item in inside)
        else:
            yield f"{key}: {json.dumps(inside)}"

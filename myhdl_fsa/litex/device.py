"""The device as a SoC's builder needs it: Verilog files in a folder, the ports of the top module, and the C header.

It is converted once for a configuration and kept in the build cache.
"""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import myhdl

from myhdl_fsa.config import Config
from myhdl_fsa.convert.module import Port
from myhdl_fsa.sims.build_cache import BuildCache, digest, package_digest

__all__ = ["Device", "converted"]

_PORTS = "ports.json"
_TOP = "accelerator"


@dataclass(frozen=True)
class Device:
    """A converted device."""

    folder: Path
    """where its files are"""
    top: str
    """the name of its top module"""
    sources: tuple[Path, ...]
    """the modules' files, children first"""
    ports: tuple[Port, ...]
    """of the top module, as the conversion knows them"""


def converted(config: Config, prefix: str = "fsa_", build_dir: Path | None = None) -> Device:
    """The device of ``config``, its modules' names beginning with ``prefix``; from the cache below ``build_dir``.

    None is the user's cache folder. Raises ConfigError for a configuration that only the bare core can be, ValueError
    for one that cannot be converted, and RunError where the cache cannot be used.
    """
    # where memory is, is the software's affair, and the name nobody's: the Verilog is the same
    config = config.replace(name="", memory_base=Config().memory_base, memory_size=Config().memory_size)
    cache = BuildCache("litex", build_dir)
    entry = digest([config.to_json(), prefix, package_digest(), myhdl.__version__, platform.python_version()])
    folder = cache.get(entry, lambda place: _convert(config, prefix, place))
    described = json.loads((folder / _PORTS).read_text())
    sources = tuple(folder / name for name in described["sources"])
    return Device(folder, sources[-1].stem, sources, tuple(Port(**port) for port in described["ports"]))


def _convert(config: Config, prefix: str, folder: Path) -> None:
    from myhdl_fsa.convert.design import design, header

    modules = design(config, _TOP, prefix).convert()
    for module in modules.values():
        (folder / f"{module.name}.v").write_text(header(config) + module.text)
    (folder / _PORTS).write_text(json.dumps({
        "sources": [f"{module.name}.v" for module in modules.values()],
        "ports": [asdict(port) for port in modules[_TOP].ports.values()],
    }, indent=1))

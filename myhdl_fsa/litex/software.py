"""The demo compiled for a SoC, with LiteX's makefiles and libraries."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from litex.soc.integration.builder import Builder
from litex.soc.integration.common import get_mem_data

from myhdl_fsa.convert.design import installed_version
from myhdl_fsa.litex.demo_data import Demo
from myhdl_fsa.sims.build_cache import BuildCache, digest, run_tool
from myhdl_fsa.workbench import tools
from myhdl_fsa.workbench.c_header.text import header_name, header_text

__all__ = ["DemoBuilder", "SOURCES", "build_demo"]

SOURCES = Path(__file__).with_name("software")
"""the driver and the demo, and their makefile"""
_SLOW = {"libc": ("libc.a", "picolibc.h"), "libcompiler_rt": ("libcompiler_rt.a",)}
"""libraries that are the same for every SoC with a CPU, and what is used of them"""
_PACKAGES = ("litex", "pythondata-software-picolibc", "pythondata-software-compiler-rt")
_PREFIX = "fsa_"


def build_demo(software: Path, demo: Demo, memory: str = "rom") -> Path:
    """Compiles the demo in ``software``, LiteX's software folder with its libraries made, and gives its binary.

    ``memory`` is the region that the program stands in: ``rom``, or ``main_ram`` for one that LiteX's BIOS loads; the
    tensors of ``demo`` must then lie beyond it. Raises RunError where it does not compile, WorkloadError and
    KernelError.
    """
    folder = software / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "demo_data.h").write_text(demo.header())
    (folder / header_name(_PREFIX)).write_text(header_text(demo.config, _PREFIX, installed_version()))
    (folder / "memory.ld").write_text(f'REGION_ALIAS("program", {memory})\n')
    run_tool(_make(SOURCES / "Makefile", f"DEMO_SOURCES={SOURCES}"), folder)
    return folder / "demo.bin"


class DemoBuilder(Builder):
    """LiteX's builder with the demo in the ROM instead of LiteX's BIOS.

    ``say`` is told of what takes a while; libraries that take long are kept in the cache below ``build_dir``.
    """

    def __init__(self, soc: Any, demo: Demo, folder: Path, build_dir: Path | None = None,
                 say: Callable[[str], None] | None = None) -> None:
        super().__init__(soc, output_dir=str(folder), compile_gateware=False)
        self._demo, self._say = demo, say or (lambda text: None)
        self._cache = BuildCache("litex", build_dir, say)
        needed = {*_SLOW, "libbase"}
        self.software_packages = [
            package for package in self.software_packages if package[0] in needed]  # type: ignore[has-type]
        self.software_libraries = sorted(needed)

    def _generate_rom_software(self, compile_bios: bool = True) -> None:
        # named by LiteX, which calls it when its headers are written and before the SoC's Verilog is
        software = Path(self.software_dir)
        sources = {name: Path(folder) / "Makefile" for name, folder in self.software_packages}
        kept = self._cache.get(self._libraries_key(), lambda place: self._libraries(sources, place),
                               about="compiling the C library once")
        for name, files in _SLOW.items():
            for file in files:
                shutil.copy(kept / file, software / name / file)
        self._say("compiling the demo")
        run_tool(_make(sources["libbase"]), software / "libbase")
        binary = build_demo(software, self._demo)
        self.soc.init_rom("rom", get_mem_data(str(binary), data_width=self.soc.bus.data_width,
                                              endianness=self.soc.cpu.endianness), auto_size=False)

    def _libraries(self, sources: dict[str, Path], place: Path) -> None:
        for name, files in _SLOW.items():
            folder = Path(self.software_dir) / name
            # ninja, which makes the C library, takes no orders from this make and starts jobs of its own
            run_tool(_make(sources[name], jobs=1), folder)
            for file in files:
                shutil.copy(folder / file, place / file)

    def _libraries_key(self) -> str:
        flags = [line for line in self._get_variables_contents().splitlines()
                 if line.startswith(("TRIPLE=", "CPU", "PICOLIBC_FORMAT="))
                 and not line.startswith("CPU_DIRECTORY=")]
        triple = next(line.partition("=")[2] for line in flags if line.startswith("TRIPLE="))
        compiler = tools.run([f"{triple}-gcc", "--version"]).stdout.splitlines()[:1]
        return digest([*flags, *compiler, *(version(package) for package in _PACKAGES)])


def _make(makefile: Path, *variables: str, jobs: int | None = None) -> Sequence[str]:
    """A command; meson and ninja are beside the interpreter, whether or not its environment is on the path."""
    path = os.pathsep.join((f"{sys.prefix}/bin", os.environ.get("PATH", "")))
    return ["make", f"-j{jobs or len(os.sched_getaffinity(0))}", "-f", str(makefile), f"PATH={path}", *variables]

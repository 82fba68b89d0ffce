"""What the SoC needs beside this package, and the commands that install it."""

from __future__ import annotations

import importlib.util
import shutil

from myhdl_fsa.engine.request import RunError
from myhdl_fsa.sims.build_cache import require
from myhdl_fsa.workbench import tools

__all__ = ["COMPILERS", "INSTALL", "check_installed"]

INSTALL = "pip install 'myhdl-fsa[soc]'"
"""what installs all that comes from PyPI"""
COMPILERS = ("riscv64-unknown-elf", "riscv32-unknown-elf", "riscv-none-elf")
"""prefixes of a C compiler for both CPUs, of those that LiteX finds"""
_MODULES = {"litex": "litex", "migen": "migen", "meson": "mesonbuild", "ninja": "ninja",
            "pythondata-software-picolibc": "pythondata_software_picolibc",
            "pythondata-software-compiler-rt": "pythondata_software_compiler_rt"}
_HEADERS = {"libevent-dev": "event2/event.h", "libjson-c-dev": "json-c/json.h"}


def check_installed(cpu: str) -> None:
    """Raises RunError, with the command that installs it, for the first thing that is missing to simulate the SoC."""
    for package, module in {**_MODULES, f"pythondata-cpu-{cpu}": f"pythondata_cpu_{cpu}"}.items():
        if importlib.util.find_spec(module) is None:
            raise RunError(f"{package} is not installed: run `{INSTALL}`")
    if not any(shutil.which(f"{prefix}-gcc") for prefix in COMPILERS):
        raise RunError(f"{COMPILERS[0]}-gcc is not installed: run `apt-get install gcc-riscv64-unknown-elf`")
    for tool in ("verilator", "make", "g++", "gcc"):
        require(tool, f"apt-get install {tool}")
    for package, header in _HEADERS.items():
        if tools.run(["gcc", "-E", "-x", "c", "-include", header, "/dev/null"]).returncode:
            raise RunError(f"{header} is missing: run `apt-get install {package}`")

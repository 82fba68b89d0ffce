"""Builds the SoC with its demo for Verilator, and runs it."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from litex.soc.integration.soc import SoCError

from myhdl_fsa.config import Config
from myhdl_fsa.engine.request import RunError
from myhdl_fsa.litex.demo_data import Demo
from myhdl_fsa.litex.simulator import MODULES, PROGRAM, Toolchain, simulator
from myhdl_fsa.litex.soc import SimulatedSoC
from myhdl_fsa.litex.software import DemoBuilder
from myhdl_fsa.workbench import tools

__all__ = ["Ended", "build", "linked", "run", "within_litex"]

_MOST_BYTES = 1 << 24
"""between the regions of a CPU's ROM and RAM"""
_NOISE = re.compile(rf"\[({'|'.join(MODULES)})\] ")
"""what the simulation core says of itself"""
_STYLE = re.compile("\x1b\\[[0-9;]*m")


@dataclass(frozen=True)
class Ended:
    """How the program on the CPU ended."""

    status: int
    """what it wrote to the exit register: 0 where all bits are right"""
    cycles: int
    """of the CPU's clock, from the reset on"""
    console: tuple[str, ...]
    """the lines that it printed"""


def build(
    config: Config, cpu: str, queries: int, keys: int, seed: int, folder: Path, build_dir: Path | None = None,
    say: Callable[[str], None] | None = None, own_clock: bool = False,
) -> Path:
    """Builds everything in ``folder`` and gives the folder in which the simulation is to run.

    LiteX's output is there: csr.json, software/ and gateware/. ``say`` is told what is under way; ``own_clock`` is
    SimulatedSoC's; simulators and libraries are kept in the cache below ``build_dir``. Raises RunError for what does
    not build or fit, WorkloadError and KernelError.
    """
    say = say or (lambda text: None)
    sizes = Demo(config, queries, keys, seed)
    for what, size in (("the program", sizes.rom_bytes), ("its variables", sizes.sram_bytes)):
        if size > _MOST_BYTES:
            raise RunError(f"{queries} queries and {keys} keys: {what} of {size} bytes: must be at most {_MOST_BYTES}")
    say(f"the SoC with {cpu}")
    with within_litex():
        soc = SimulatedSoC(config, cpu, sizes.ram_bytes, sizes.rom_bytes, sizes.sram_bytes, own_clock)
        soc.platform.toolchain = Toolchain()
        demo = Demo(soc.fsa.config, queries, keys, seed)
        DemoBuilder(soc, demo, folder, build_dir, say).build(sim_config=soc.sim_config)
    return linked(soc, folder, build_dir, say)


def linked(soc: Any, folder: Path, build_dir: Path | None, say: Callable[[str], None]) -> Path:
    """The folder of a SoC's Verilog, which LiteX wrote below ``folder``, with links to its simulator from the cache.

    Raises RunError for what does not build.
    """
    gateware = folder / "gateware"
    sources = [gateware / name for name, *_ in soc.platform.sources]  # an absolute one stays
    built = simulator(gateware, sources, build_dir, say)
    for name in (PROGRAM, "modules"):
        (gateware / name).unlink(missing_ok=True)
        (gateware / name).symlink_to(built / name)
    return gateware


def run(gateware: Path, max_cycles: int, show: Callable[[str], None]) -> Ended:
    """Runs what ``build`` built; ``show`` is given each line of the CPU's console.

    Raises RunError where the simulation fails, or reaches ``max_cycles``, with where it stood.
    """
    lines: list[str] = []
    complaints = gateware / "simulation.log"
    with complaints.open("w") as errors, tools.started(
        [str(gateware / PROGRAM), str(max_cycles)], gateware, stdout=subprocess.PIPE, stderr=errors,
    ) as process:
        for line in process.stdout or ():
            # LiteX ends a line in a way that makes another, empty one here
            if line.strip() and not _NOISE.match(line):
                lines.append(line.rstrip())
                show(lines[-1])
    said = (complaints.read_text(errors="replace").split("\n") or [""])
    last = next((line for line in reversed(said) if line.strip()), "")
    ended = re.fullmatch(r"exit (\d+) (\d+)", last)
    if ended is not None:
        return Ended(int(ended[1]), int(ended[2]), tuple(lines))
    stopped = re.fullmatch(r"limit (\d+)(.*)", last)
    if stopped is None:
        raise RunError(f"the SoC's simulation failed: {last or f'exit status {process.returncode}'}")
    printed = lines[-1] if lines else None
    where = "the CPU has printed nothing" if printed is None else f"the CPU's last line is {printed!r}"
    raise RunError(f"cycle limit {stopped[1]} reached: {where}{stopped[2].replace(', ', '; of the device ', 1)}")


@contextmanager
def within_litex() -> Iterator[None]:
    """LiteX says nothing; what it would have logged as an error becomes a RunError of one line."""
    errors: list[str] = []
    handler, stream = logging.Handler(logging.ERROR), sys.stderr
    handler.emit = lambda record: errors.append(_STYLE.sub("", record.getMessage()))  # type: ignore[method-assign]
    logging.root.addHandler(handler)
    try:
        yield
    except SoCError:
        why = " ".join(errors[0].split()) if errors else "it does not say why"
        raise RunError(f"LiteX cannot build the SoC: {why}") from None
    finally:
        # LiteX takes standard error away with its errors
        sys.stderr = stream
        logging.root.removeHandler(handler)

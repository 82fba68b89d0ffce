"""The process that LiteX runs in: reads a request in the working folder and writes what LiteX made there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from litex.soc.integration.builder import Builder
from migen import ClockDomain

from myhdl_fsa.config import Config, ConfigError
from myhdl_fsa.engine.request import RunError
from myhdl_fsa.fpga.system.request import ANSWER, ERROR, REQUEST, TOP, Request
from myhdl_fsa.fpga.system.soc import BoardSoC
from myhdl_fsa.fpga.system.software import BoardBuilder
from myhdl_fsa.kernel.errors import KernelError

__all__ = ["main"]


def main() -> int:
    """The exit status: 1 where the request cannot be met, with the reason in a file."""
    # LiteX's makefiles call python3, meson and ninja, which stand beside this interpreter
    os.environ["PATH"] = f"{sys.prefix}/bin{os.pathsep}{os.environ.get('PATH', '')}"
    folder = Path.cwd()
    request = Request(**json.loads((folder / REQUEST).read_text()))
    try:
        config = None if request.config is None else Config.from_dict(dict(request.config))
        soc = BoardSoC(request.board, request.system, request.accelerator, config)
        builder = BoardBuilder(soc, folder) if config else Builder(soc, output_dir=str(folder), compile_gateware=False)
        builder.build(build_name=TOP)
    except (ConfigError, ValueError, RunError, KernelError) as error:
        (folder / ERROR).write_text(str(error))
        return 1
    files = [folder / "csr.json", Path(builder.generated_dir) / "csr.h"]
    if soc.fsa is not None:
        files.append(folder / "config.json")
        files[-1].write_text(soc.fsa.config.to_json())
    accelerator = [] if soc.fsa is None else [source.name for source in soc.fsa.device.sources]
    gateware = Path(builder.gateware_dir)
    sources = [gateware / source[0] for source in soc.platform.sources]
    (folder / ANSWER).write_text(json.dumps({
        "verilog": [str(path) for path in sources if path.name not in accelerator],
        "memories": [str(path) for path in sorted(gateware.glob("*.init"))],
        "accelerator": [str(gateware / name) for name in accelerator],
        "constraints": str(gateware / f"{TOP}.lpf"),
        "domains": [item.name for item in vars(soc.crg).values() if isinstance(item, ClockDomain)],
        "config": None if soc.fsa is None else soc.fsa.config.to_dict(),
        "files": [str(path) for path in files],
    }))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The converted accelerator on somebody else's buses: cocotb and cocotbext-axi drive it in Icarus.

Our own host and memory model could share a misreading of AXI with the hardware; these models cannot. What is checked
is in cocotb_accelerator.py; here are the configurations and cases, and the runs.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

import cocotb.config
import find_libpython
import pytest

from myhdl_fsa.arithmetic.formats import BF16
from myhdl_fsa.config import Config, preset
from myhdl_fsa.convert.design import verilog_modules
from myhdl_fsa.convert.regression import MissingTool, require

TESTS = Path(__file__).parent
TOP = "fsa_accelerator"
BOUNDARY = 0x8000_1000
"""an address at which 4 KB end"""

CONFIGS: dict[str, Config] = {
    "fp16-4x4": preset("FSA4X4Fp16Config"),
    "bf16-8x8": preset("FSA8X8Bf16Config"),
    # rows of 2 beats in and 4 beats out, which may lie across 4 KB
    "two-ports": preset("FSA4X4Fp16Config").replace(memory_ports=2, beat_bytes=4, memory_align=4),
    # one of everything, so that the queues are full all the time, and rows of 8 and 16 beats
    "narrow": Config(rows=4, cols=4, elem=BF16, memory_ports=1, beat_bytes=1, instruction_queue=4, matrix_queue=1,
                     load_inflight=1, store_inflight=1, port_inflight=1),
}
JOBS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "errors": ("fp16-4x4", [
        {"name": "one_tile", "runs": 2},
        {"name": "registers", "kind": "registers"},
        {"name": "registers_pauses", "kind": "registers", "pauses": 1},
        {"name": "errors", "kind": "errors", "runs": 6},
        {"name": "errors_pauses", "kind": "errors", "tiles_kv": 2, "pauses": 2},
        {"name": "aborts", "kind": "aborts", "tiles_q": 2},
    ]),
    "pauses": ("fp16-4x4", [
        *({"name": f"pauses_{seed}", "tiles_q": 3, "tiles_kv": 2, "seed": seed, "pauses": seed} for seed in range(4)),
        {"name": "causal", "tiles_q": 3, "tiles_kv": 3, "causal": True, "runs": 2, "seed": 100, "pauses": 5},
    ]),
    "two-ports": ("two-ports", [
        {"name": "plain", "tiles_q": 3, "tiles_kv": 2, "runs": 2},
        {"name": "pauses", "tiles_q": 3, "tiles_kv": 2, "causal": True, "pauses": 6},
        # Q comes first in memory, its second row 4 bytes before the boundary
        {"name": "loads_cross_4k", "tiles_q": 3, "tiles_kv": 2, "pauses": 7, "memory_base": BOUNDARY - 12,
         "crossing": "loads"},
        # 224 bytes of Q, K and V^T lie before O^T, whose first row begins 8 bytes before the boundary
        {"name": "stores_cross_4k", "tiles_q": 3, "tiles_kv": 2, "pauses": 8, "memory_base": BOUNDARY - 224 - 8,
         "crossing": "stores"},
        {"name": "stores_cross_4k_plain", "tiles_q": 3, "tiles_kv": 2, "memory_base": BOUNDARY - 224 - 8,
         "crossing": "stores"},
    ]),
    "bf16-8x8": ("bf16-8x8", [
        {"name": "plain", "tiles_q": 2, "tiles_kv": 2},
        {"name": "pauses", "tiles_q": 2, "tiles_kv": 2, "causal": True, "hidden": 3, "scale": 0.5, "pauses": 9},
    ]),
    "narrow": ("narrow", [
        {"name": "plain", "tiles_q": 2, "tiles_kv": 2, "runs": 2},
        {"name": "pauses", "tiles_q": 2, "tiles_kv": 2, "causal": True, "pauses": 10},
    ]),
}


def libpython() -> str:
    """The library that cocotb loads into the simulator. Raises MissingTool: Debian's python3 comes without it."""
    path = find_libpython.find_libpython()
    if path is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise MissingTool(f"libpython{version}.so is not installed: run `apt-get install libpython{version}`")
    return path


def build(modules: dict[str, str], folder: Path) -> Path:
    """The converted accelerator, compiled by Icarus. Raises MissingTool."""
    iverilog = require("icarus")
    names = [f"{name}.v" for name in modules]
    for name, text in zip(names, modules.values(), strict=True):
        (folder / name).write_text(text)
    program = folder / "accelerator.vvp"
    done = subprocess.run([iverilog, "-g2005", "-s", TOP, "-o", program, *names], cwd=folder, capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return program


def simulate(program: Path, config: Config, cases: list[dict[str, Any]], folder: Path) -> str:
    """Runs the cases in one simulation; returns what it printed. Fails unless each of them passed."""
    jobs, results = folder / "cases.json", folder / "results.xml"
    jobs.write_text(json.dumps({"config": config.to_dict(), "cases": cases}))
    environment = {
        # without what somebody has set for cocotb runs of their own
        **{name: value for name, value in os.environ.items()
           if not name.startswith(("COCOTB_", "COVERAGE", "TESTCASE"))},
        "MODULE": "cocotb_accelerator", "TOPLEVEL": TOP, "TOPLEVEL_LANG": "verilog", "FSA_CASES": str(jobs),
        "COCOTB_RESULTS_FILE": str(results), "LIBPYTHON_LOC": libpython(),
        "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)]),
        "RANDOM_SEED": "1", "OMP_NUM_THREADS": "1",
    }
    if sys.prefix != sys.base_prefix:
        environment["VIRTUAL_ENV"] = sys.prefix  # what the embedded interpreter goes by, activated or not
    command = ["vvp", "-N", "-M", cocotb.config.libs_dir, "-m", cocotb.config.lib_name("vpi", "icarus"), program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300,
                          check=False)
    said = done.stdout + done.stderr
    # the exit status says nothing: vvp ends with 0 when a test fails, and when the module cannot be imported
    assert results.exists(), f"cocotb wrote no results:\n{said}"
    found = {case.get("name"): case for case in ET.parse(results).iter("testcase")}
    assert sorted(found) == sorted(case["name"] for case in cases), said
    bad = [name for name, case in found.items() if any(case.find(tag) is not None for tag in
                                                       ("failure", "error", "skipped"))]
    assert not bad, f"{', '.join(bad)} failed:\n{said}"
    return said


@pytest.mark.parametrize("job", JOBS)
def test_accelerator_on_cocotbext_axi(job: str, tmp_path: Path) -> None:
    name, cases = JOBS[job]
    said = simulate(build(verilog_modules(CONFIGS[name]), tmp_path), CONFIGS[name], cases, tmp_path)
    stalled: Counter[str] = Counter()
    for line in re.findall(r": stalled ({.*})", said):
        stalled.update(json.loads(line))
    # no pauses, no test: everything that the accelerator sends has had to wait somewhere
    assert len(stalled) == 5 and all(stalled.values()), stalled


@pytest.mark.parametrize(("module", "right", "wrong", "complaint"), [
    ("fsa_load_port", "if (bus_arready || !bus_arvalid)", "if (1)", "before ready"),
    ("fsa_store_port", "assign bus_wlast = (left == 5'd1)", "assign bus_wlast = (left == 5'd2)", "assert last =="),
], ids=["address-drops", "early-last"])
def test_a_broken_bus_is_found(module: str, right: str, wrong: str, complaint: str, tmp_path: Path) -> None:
    config = CONFIGS["narrow"]
    modules = verilog_modules(config)
    assert modules[module].count(right) == 1
    modules[module] = modules[module].replace(right, wrong)
    program = build(modules, tmp_path)
    with pytest.raises(AssertionError, match=f"(?s)^broken failed:.*{complaint}"):
        simulate(program, config, [{"name": "broken", "tiles_q": 2, "pauses": 1}], tmp_path)


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingTool, match="iverilog is not installed: run `apt-get install iverilog`"):
        build({}, tmp_path)
    monkeypatch.setattr(find_libpython, "find_libpython", lambda: None)
    with pytest.raises(MissingTool, match=r"libpython3\.\d+\.so is not installed: run `apt-get install libpython3"):
        libpython()

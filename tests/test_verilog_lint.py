"""What fsa-convert writes, as four tools see it: none has anything to say."""

import json
import subprocess
import sys

import pytest

from myhdl_fsa.convert import lint

MACHINES = {
    "fsa": {},
    "stream": {"dataflow": "stream", "reciprocal": "division"},
}
OTHERS = {
    "division": {"reciprocal": "division"},
    "bf16": {"e_type": "bf16", "reciprocal": "division", "memory_ports": 1, "beat_bytes": 2},
    "fp32": {"e_type": "fp32", "reciprocal": "division", "memory_ports": 1, "beat_bytes": 1},
    "fp8": {"e_type": "e4m3", "a_type": "e6m9", "exp2_pieces": 4, "memory_ports": 8},
    "smallest": {"sa_rows": 2, "sa_cols": 2, "exp2_pieces": 2, "inst_queue_size": 1, "matrix_queue": 1,
                 "load_inflight": 1, "store_inflight": 1, "port_inflight": 1, "memory_ports": 1},
    "N=8": {"sa_rows": 8, "sa_cols": 8},
    "stream bf16": {**MACHINES["stream"], "e_type": "bf16"},
    "stream pipelined": {**MACHINES["stream"], "mac_stages": 1, "adder_stages": 2},
    "stream N=8": {**MACHINES["stream"], "sa_rows": 8, "sa_cols": 8},
}


def complaints(folder, top, fields):
    (folder / "machine.json").write_text(json.dumps(fields))
    subprocess.run([sys.executable, "-m", "myhdl_fsa.cli.convert", "--config", folder / "machine.json", "--top", top,
                    "--out", folder / "out", "--quiet"], check=True)
    (sources,) = (folder / "out").glob("*.f")
    return lint.lint([sources.parent / name for name in sources.read_text().split()])


@pytest.mark.parametrize("top", ["core", "accelerator"])
@pytest.mark.parametrize("machine", MACHINES)
def test_no_tool_complains(tmp_path, machine, top):
    assert complaints(tmp_path, top, MACHINES[machine]) == []


@pytest.mark.slow
@pytest.mark.parametrize("machine", OTHERS)
def test_no_tool_complains_of_other_machines(tmp_path, machine):
    assert complaints(tmp_path, "accelerator", OTHERS[machine]) == []

"""The examples, run as their users run them; those that docs/examples.md shows, test_document_blocks.py runs."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from document_blocks import chains

EXAMPLES = Path(__file__).parent.parent / "examples"
WITHOUT = """
import importlib.util, runpy, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == {name!r} else found(name, package)
sys.argv = {argv!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*command, status=0):
    # one thread each: tests run side by side
    done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True, check=False,
                          timeout=300, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == status, done.stderr
    return done


def without(package, script, *options):
    argv = [str(EXAMPLES / script), *map(str, options)]
    return run("-c", WITHOUT.format(name=package, argv=argv), status=1).stderr


def test_a_gpt_is_trained_and_compared(tmp_path):
    picture = [] if find_spec("matplotlib") is None else ["--plot", tmp_path / "gpt.png"]
    printed = run(EXAMPLES / "gpt.py", "--quick", *picture).stdout
    rows = re.findall(r"^(.+?)  +(\d\.\d{5})  +([+-]\d\.\d{5})  +(\S+)  +(\d+\.\d\d) %$", printed, re.M)
    assert len(rows) == 12
    losses = {name: float(loss) for name, loss, *_ in rows}
    apart = {name: float(divergence) for name, _, _, divergence, _ in rows}
    assert rows[0][0] == "torch, float32" and rows[0][2:] == ("+0.00000", "0.0e+00", "0.00")
    assert all(abs(loss - losses["torch, float32"]) < 0.05 for loss in losses.values())
    assert 0 < apart["fp16"] < apart["bf16"] < apart["e4m3"] < apart["e5m2"]
    assert not picture or (tmp_path / "gpt.png").stat().st_size > 10_000


def test_what_an_example_lacks_it_names(tmp_path):
    assert without("matplotlib", "gpt.py", "--quick", "--plot", tmp_path / "gpt.png") == (
        "Error: --plot needs matplotlib: pip install matplotlib, or -e '.[bench]'\n")
    assert without("transformers", "transformers_model.py") == (
        "Error: this needs the transformers library: pip install transformers, or -e '.[examples]'\n")


def test_every_other_example_is_on_its_page_with_what_it_prints():
    page = EXAMPLES.parent / "docs" / "examples.md"
    shown = {line.partition(" ")[2] for chain in chains(page) for block in chain if not block.marks & {"slow", "clone"}
             for line in block.text.splitlines() if line.startswith("$ ")}
    wanted = {f"python examples/{path.name}" for path in EXAMPLES.glob("*.py")}
    wanted -= {f"python examples/{name}" for name in ("gpt.py", "transformers_model.py")}
    assert shown == wanted | {"make -s -C examples/verilator_testbench BUILD=$PWD/build"}
    text = page.read_text()
    assert all(f"](../examples/{path.relative_to(EXAMPLES)})" in text for path in EXAMPLES.rglob("*.[pc][yp]*")
               if "__pycache__" not in path.parts)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is in the extra examples, not in test")
def test_models_of_transformers_run_on_the_machine():
    for options in ([], ["--preset", "STREAM32X32Bf16Config", "--seq", "33"]):
        lines = run(EXAMPLES / "transformers_model.py", *options).stdout.splitlines()
        assert [line.split(":")[0] for line in lines] == ["Llama", "GPT2"]
        for line in lines:
            count, apart, same = re.search(r": (\d+) attentions .* at most (\S+), .* in (\S+) % of", line).groups()
            assert int(count) == 4
            assert float(apart) < 0.02
            assert float(same) > 95

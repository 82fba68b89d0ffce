"""The program of docs/converter.md, run as it stands, and the files that the document names."""

import re
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "converter.md"
TEXT = DOCUMENT.read_text()


def test_the_program_prints_what_it_promises(tmp_path):
    program, = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)
    run = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=tmp_path,
                         check=False, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == re.findall(r"^# prints: (.*)$", program, re.M)


def test_every_file_of_the_converter_has_its_place():
    folder = DOCUMENT.parent.parent / "convert"
    named = {name.rpartition("/")[2] for name in re.findall(r"`((?:convert/)?\w+\.py)`", TEXT)}
    files = {path.name for path in folder.glob("*.py")}
    assert {name for name in named if not name.startswith("test_") and name != "generated.py"} <= files
    benches = {"__init__.py", "distinct.py", "keywords.py", "output.py", "testbench_data.py", "core_testbench.py",
               "accelerator_testbench.py", "block_testbench.py"}
    assert files <= named | benches

"""The programs of docs/torch.md, run as they stand, and its links and figures."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parent.parent / "docs" / "torch.md"
TEXT = DOCUMENT.read_text()
PROGRAMS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)


@pytest.mark.parametrize("index", range(len(PROGRAMS)))
def test_a_program_prints_what_its_last_lines_promise(index, tmp_path):
    run = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAMS[index]], capture_output=True, text=True,
                         cwd=tmp_path, check=False, timeout=300)
    assert run.returncode == 0, run.stderr
    promised = re.findall(r"^# prints: (.*)$", PROGRAMS[index], re.M)
    assert promised
    assert run.stdout.splitlines() == promised


def test_what_it_names_is_there():
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (DOCUMENT.parent / link).exists(), link
    for path in re.findall(r"`(examples/\w+\.py)`", TEXT):
        assert (DOCUMENT.parent.parent / path).exists(), path

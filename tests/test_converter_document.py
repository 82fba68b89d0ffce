"""The files that docs/converter.md names; test_document_blocks.py runs its program."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "converter.md"
TEXT = DOCUMENT.read_text()


def test_every_file_of_the_converter_has_its_place():
    folder = DOCUMENT.parent.parent / "convert"
    named = {name.rpartition("/")[2] for name in re.findall(r"`((?:convert/)?\w+\.py)`", TEXT)}
    files = {path.name for path in folder.glob("*.py")}
    assert {name for name in named if not name.startswith("test_") and name != "generated.py"} <= files
    benches = {"__init__.py", "distinct.py", "keywords.py", "output.py", "testbench_data.py", "core_testbench.py",
               "accelerator_testbench.py", "block_testbench.py"}
    assert files <= named | benches

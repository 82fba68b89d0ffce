"""The links and files that docs/torch.md names; test_document_blocks.py runs its programs."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).parent.parent / "docs" / "torch.md"
TEXT = DOCUMENT.read_text()


def test_what_it_names_is_there():
    for link in re.findall(r"\]\(([^)#]+)\)", TEXT):
        assert (DOCUMENT.parent / link).exists(), link
    for path in re.findall(r"`(examples/\w+\.py)`", TEXT):
        assert (DOCUMENT.parent.parent / path).exists(), path

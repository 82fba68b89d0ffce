"""Every command and program of README.md and docs/*.md, run as it stands: document_blocks.py has the rules."""

import subprocess
from pathlib import Path

import pytest
from document_blocks import PAGES, ROOT, blocks, chains, run

CHAINS = [chain for path in PAGES for chain in chains(path)]


def marked(*marks):
    return [pytest.param(chain, id=str(chain[0])) for chain in CHAINS
            if any(mark in block.marks for block in chain for mark in marks) == bool(marks)
            and (marks or not any(block.marks & {"slow", "clone"} for block in chain))]


def without(chain):
    return not any(block.marks & {"slow", "clone"} for block in chain)


QUICK = [pytest.param(chain, id=str(chain[0])) for chain in CHAINS if without(chain)]
SLOW = [pytest.param(chain, id=str(chain[0])) for chain in CHAINS if any("slow" in block.marks for block in chain)]
CLONES = [pytest.param(chain, id=str(chain[0])) for chain in CHAINS if any("clone" in block.marks for block in chain)]


@pytest.mark.parametrize("chain", QUICK)
def test_blocks_do_what_they_show(chain, tmp_path):
    run(chain, tmp_path)

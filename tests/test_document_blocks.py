"""Every command and program of README.md and docs/*.md, run as it stands: document_blocks.py has the rules."""

import subprocess

import pytest
from document_blocks import PAGES, ROOT, blocks, chains, run

CHAINS = [chain for path in PAGES for chain in chains(path)]


def of(wanted):
    """Those chains whose marks, all together, are so."""
    return [pytest.param(chain, id=str(chain[0])) for chain in CHAINS
            if wanted({mark for block in chain for mark in block.marks})]


@pytest.mark.parametrize("chain", of(lambda marks: not marks & {"slow", "clone"}))
def test_blocks_do_what_they_show(chain, tmp_path):
    run(chain, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("chain", of(lambda marks: "slow" in marks))
def test_slow_blocks_do_what_they_show(chain, tmp_path):
    run(chain, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("chain", of(lambda marks: "clone" in marks))
def test_blocks_in_a_clone_need_no_more_than_what_running_needs(chain, tmp_path):
    subprocess.run(["git", "clone", "--quiet", ROOT, tmp_path / "clone"], check=True)
    run(chain, tmp_path / "clone")
    there = {path.name for path in (tmp_path / "clone/.venv/lib").glob("python3*/site-packages/*")}
    assert "myhdl" in there
    assert not {"pytest", "cocotb", "hypothesis", "ruff", "mypy", "pyosys", "pyslang", "sphinx"} & there


def test_every_page_has_only_blocks_with_a_rule():
    found = {path.name: blocks(path) for path in PAGES}
    assert sum(map(len, found.values())) > 40
    assert {block.language for block in found["README.md"]} == {"", "python"}


@pytest.mark.parametrize(("text", "complaint"), [
    ("```rust\nfn main() {}\n```\n", "page.md:1: 'rust': a fence of this language has no rule"),
    ("\n```text\n$ fsa-sim\n```\n", "page.md:2: a command that nobody runs"),
    ("<!-- fast -->\n```\n$ true\n```\n", "page.md:2: ['fast']: known are follows, slow, clone"),
    ("<!-- follows -->\n```\n$ true\n```\n", "page.md:2: follows nothing"),
    ("```\n$ true\n", "page.md: a fence without an end"),
    ("<!-- slow -->\n\n```\n$ true\n```\n", "page.md: a mark that no fence follows"),
], ids=["language", "command", "mark", "first", "end", "apart"])
def test_what_is_wrong_with_a_page(text, complaint):
    with pytest.raises(AssertionError) as error:
        blocks(ROOT / "page.md", text)
    assert str(error.value).splitlines()[0] == complaint


@pytest.mark.parametrize(("text", "wrong"), [
    ("```\n$ echo 1.2 s; echo two; echo three\n0.4 s\n...\nthree\n```\n", None),
    ("```\n$ echo one\ntwo\n```\n", "one"),
    ("```\n$ false\n```\n", "false"),
    ("```\nno command\n```\n", "a session begins with $"),
    ("```sh\nfalse\n```\n", "false"),
    ("```sh\necho 1; echo 2; echo 3\n# prints: 1\n# prints: 3\n```\n", None),
    ("```sh\necho 1; echo 3\n# prints: 3\n# prints: 1\n```\n", "the script does not print\n1"),
    ("```python\nprint(1)\n```\n", "a program ends with what it prints"),
    ("```python\nprint(1)\n# prints: 2\n```\n", "the program prints\n1"),
    ("```python\nraise SystemExit('no')\n# prints: 1\n```\n", "no"),
    ("```python\nx = 1\n```\n<!-- follows -->\n```python\nprint(x)\n# prints: 1\n```\n", None),
    ("```sh\necho 1 > file\n```\n<!-- follows -->\n```\n$ cat file\n1\n```\n", None),
    ('```json\n{"sa_rows": 1}\n```\n', "sa_rows"),
    ('```json\n{"sa_rows": 8}\n```\n', None),
    ("```verilog\nmodule block(input wire a, output wire b); assign b = a; endmodule\n```\n", None),
    ("```verilog\nmodule block(input wire a, output wire [1:0] b); assign b = a; endmodule\n```\n", "WIDTH"),
], ids=lambda value: "" if value is None else value.split("\n")[0])
def test_a_block_fails_where_it_does_not_do_what_it_shows(text, wrong, tmp_path):
    chain, = chains(ROOT / "page.md", text)
    if wrong is None:
        run(chain, tmp_path)
    else:
        with pytest.raises((AssertionError, ValueError), match=wrong.replace("$", r"\$")):
            run(chain, tmp_path)

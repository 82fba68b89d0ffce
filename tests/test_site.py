"""The site of docs/: it builds without a warning, no link in it is dead, and its tables are those of the code."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from sphinx.cmd.build import main as sphinx

from myhdl_fsa.cli import convert, sim

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs"


class Page(HTMLParser):
    """The anchors of a page, and what it links to."""

    def __init__(self, path):
        super().__init__()
        self.anchors, self.links = {""}, []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.anchors.add(value)
            elif (name == "href" and tag in ("a", "link")) or name == "src":
                self.links.append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site")
    # in a process of its own: what Sphinx imports and sets stays there
    run = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-n", "-W", "--keep-going", "-b", "html",
                          "-d", out / "trees", PAGES, out / "html"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return out / "html"


def test_the_site_builds_and_its_links_lead_somewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    assert {path.stem for path in pages} >= {path.stem for path in PAGES.glob("*.md")}
    checked = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert parts.scheme in ("http", "https", "mailto", "data"), (path.name, link)
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), (path.name, link)
            if target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, (path.name, link)
            checked += 1
    assert checked > 1000


# MyST 5.2 asks for what Sphinx 11 will not have
@pytest.mark.filterwarnings("ignore:'myst_parser")
def test_a_dead_link_stops_the_build(tmp_path):
    (tmp_path / "conf.py").write_text((PAGES / "conf.py").read_text().replace('html_static_path = ["_static"]', ""))
    for text, status in (("[there](index.md#page)", 0), ("[gone](index.md#gone)", 1), ("[gone](gone.md)", 1)):
        (tmp_path / "index.md").write_text(f"# Page\n\n{text}\n")
        arguments = ["-Q", "-n", "-W", "-b", "dummy", str(tmp_path), str(tmp_path / "out")]
        assert sphinx(arguments) == status, text


def test_tables_are_those_of_the_code():
    run = subprocess.run([sys.executable, PAGES / "tables.py", "--check"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    marked = "".join(path.read_text() for path in PAGES.glob("*.md"))
    assert marked.count("<!-- table: ") == marked.count("<!-- end of table -->") > 10


def test_a_stale_table_is_found_and_written(tmp_path):
    for script in PAGES.glob("*.py"):
        (tmp_path / script.name).write_text(script.read_text())
    page = tmp_path / "page.md"
    page.write_text("before\n\n<!-- table: errors -->\nold\n<!-- end of table -->\nafter\n")
    command = [sys.executable, tmp_path / "tables.py"]
    refused = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr == "error: tables that are not up to date in page.md: make docs-tables writes them\n"
    subprocess.run(command, check=True, capture_output=True)
    assert page.read_text().startswith("before\n\n<!-- table: errors -->\n\n| code | error | meaning |\n")
    assert page.read_text().endswith("<!-- end of table -->\nafter\n")
    subprocess.run([*command, "--check"], check=True)


def options(command):
    assert isinstance(command, click.Command)
    return {name for parameter in command.params for name in parameter.opts if name.startswith("--")}


@pytest.mark.parametrize(("title", "command"), [("fsa-sim", sim.main), ("fsa-convert", convert.main)])
def test_every_option_has_its_row_and_every_row_its_option(title, command):
    text = (PAGES / "command_line.md").read_text()
    table = text[text.index(f"<!-- table: options of {title} -->"):]
    rows = re.findall(r"^\| `(--[a-z-]+)", table[:table.index("<!-- end of table -->")], re.M)
    assert len(rows) == len(set(rows))
    assert set(rows) == options(command) - {"--version", "--help"}

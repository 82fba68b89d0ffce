"""The browser of the tests: what goes wrong in a page is seen."""

import shutil

import pytest
from browser import chromium, pages

from myhdl_fsa.convert.regression import MissingTool

PAGE = "<!doctype html><title>A page</title><p>It says something.</p>{}"
FAULTS = {
    "console": ("<script>console.error('bad news')</script>", "error on the console: bad news"),
    "exception": ("<script>missing()</script>", "exception: .*missing is not defined"),
    "network": ("<img src='https://example.invalid/x.png'>", "asks for https://example.invalid/x.png"),
}


def test_a_page_is_opened_and_read(open_page, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(PAGE.format(""))
    page = open_page(path)
    assert (page.title(), page.inner_text("p")) == ("A page", "It says something.")
    assert open_page(path, dark=True).evaluate("matchMedia('(prefers-color-scheme: dark)').matches")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_page_is_told(fault, browser, tmp_path):
    markup, told = FAULTS[fault]
    path = tmp_path / "page.html"
    path.write_text(PAGE.format(markup))
    with pytest.raises(AssertionError, match=told), pages(browser) as opened:
        opened(path)


def test_a_missing_browser_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MissingTool, match="chromium is not installed: run `apt-get install chromium`"):
        chromium()

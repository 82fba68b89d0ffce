"""Headless Chromium for the tests of HTML pages: Debian's, driven by playwright, without a network.

``open_page`` is the fixture that tests use; a page that says anything on its console, raises an error or asks for
anything beside its own file fails the test that opened it.
"""

import shutil
from contextlib import contextmanager

import pytest

from myhdl_fsa.convert.regression import MissingTool

__all__ = ["browser_of_the_session", "chromium", "launched", "open_page", "pages"]

_LOCAL = ("file:", "data:", "blob:", "about:")


def chromium():
    """The path of Debian's Chromium. Raises MissingTool with the command that installs it."""
    path = shutil.which("chromium")
    if path is None:
        raise MissingTool("chromium is not installed: run `apt-get install chromium`")
    return path


@contextmanager
def launched():
    """A Chromium of playwright's."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # a container often has a /dev/shm that is too small, and no namespaces for the sandbox
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--disable-dev-shm-usage", "--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session", name="browser")
def browser_of_the_session():
    """One Chromium for all tests of a process."""
    with launched() as browser:
        yield browser


@contextmanager
def pages(browser):
    """Gives ``opened(path, width=1280, height=800, dark=False, **context)``, which opens an HTML file.

    It returns playwright's Page; ``context`` are playwright's options of a new context. At the end whatever went wrong
    in a page raises AssertionError: errors and warnings on the console, exceptions, requests for anything but a file.
    """
    contexts, wrong = [], []

    def guard(route):
        url = route.request.url
        if url.startswith(_LOCAL):
            route.continue_()
        else:
            wrong.append(f"asks for {url}")
            route.abort()

    def hear(message):
        if message.type in ("error", "warning"):
            wrong.append(f"{message.type} on the console: {message.text}")

    def opened(path, width=1280, height=800, dark=False, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, offline=True,
                                      color_scheme="dark" if dark else "light", **options)
        contexts.append(context)
        context.route("**/*", guard)
        page = context.new_page()
        page.on("console", hear)
        page.on("pageerror", lambda error: wrong.append(f"exception: {error}"))
        page.goto(path.resolve().as_uri())
        return page

    try:
        yield opened
    finally:
        for context in contexts:
            context.close()
    assert not wrong, "\n".join(wrong)


@pytest.fixture
def open_page(browser):
    """``opened`` of ``pages``; what goes wrong in a page fails the test."""
    with pages(browser) as opened:
        yield opened

"""What holds for every test."""

import os
import signal

import pytest
from browser import browser_of_the_session, open_page

__all__ = ["browser_of_the_session", "build_dir", "open_page"]

# the background jobs of a shell ignore SIGINT, and so would the commands that tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def build_dir(tmp_path_factory):
    """Where Verilog is built: one folder for all workers of a session, so that each configuration is built once."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "builds"
    shared.mkdir(exist_ok=True)
    return shared

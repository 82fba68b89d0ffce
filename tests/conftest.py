"""What holds for every test."""

import signal

from browser import browser, open_page

__all__ = ["browser", "open_page"]

# the background jobs of a shell ignore SIGINT, and so would the commands that tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

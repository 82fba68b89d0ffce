"""What holds for every test."""

import signal

from browser import browser_of_the_session, open_page

__all__ = ["browser_of_the_session", "open_page"]

# the background jobs of a shell ignore SIGINT, and so would the commands that tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)

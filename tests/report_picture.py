"""Draws docs/report.png, a part of a report's page: `.venv/bin/python tests/report_picture.py`."""

import subprocess
import sys
import tempfile
from pathlib import Path

from browser import launched, pages

DOCS = Path(__file__).parent.parent / "docs"
COMMAND = ("--config", "STREAM16X16Fp16Config", "--seq-q", "32", "--seq-kv", "128", "--compare", "fsa,stream",
           "--mem-latency", "60", "--mem-bandwidth", "1/8")
"""as docs/report.md has it"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, launched() as browser, pages(browser) as opened:
        path = Path(folder) / "report.html"
        subprocess.run([sys.executable, "-m", "myhdl_fsa", *COMMAND, "--quiet", "--report", path], check=True)
        page = opened(path, width=860)
        top, bottom = (page.locator(selector).bounding_box()["y"] for selector in ("#split", "#split ~ h3"))
        page.screenshot(path=DOCS / "report.png", full_page=True,
                        clip={"x": 0, "y": top - 12, "width": 860, "height": bottom - top})

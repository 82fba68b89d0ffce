"""Makes the pictures of the pages that show a run, and the film of the README, with Chromium: make docs-pictures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

DOCS = Path(__file__).parent
FILM = ("--config", "STREAM4X4Fp16Config", "--seq-q", "4", "--seq-kv", "8", "--top", "core", "--compare", "fsa,stream")
"""what docs/innerloop.gif shows"""
STEPS, STEPS_OF = (4, 9, 12, 14, 15, 20, 28, 33), ("--top", "core")
"""the cycles that docs/attention.md shows, and of what run"""
PAGES = {
    "fsa": ("--seq-q", "4", "--seq-kv", "8", "--top", "core"),
    "both": FILM,
    "large": ("--config", "STREAM16X16Fp16Config", "--seq-q", "16", "--seq-kv", "32", "--top", "core"),
}
REPORT = ("--config", "STREAM16X16Fp16Config", "--seq-q", "32", "--seq-kv", "128", "--compare", "fsa,stream",
          "--mem-latency", "60", "--mem-bandwidth", "1/8")
"""as docs/report.md has it"""
SCREENSHOTS = (
    ("desktop", "fsa", 30, "pe_1_1", 1280, 800, False),
    ("dark", "fsa", 50, "pe_1_1", 1280, 800, True),
    ("two-dataflows", "both", 40, "pe_1_2", 1440, 900, False),
    ("phone", "both", 27, "pe_1_1", 390, 844, False),
    ("large", "large", 79, "pe_5_5", 1440, 900, False),
)
"""name, page, cycle, the unit that is chosen, width, height, dark"""


def animate(options: tuple[str, ...], path: Path) -> None:
    """Writes an animation, as a reader would."""
    subprocess.run([sys.executable, "-m", "myhdl_fsa", *options, "--quiet", "--animate", path], check=True)


def screenshot(browser: Browser, page_path: Path, shot: tuple[str, str, int, str, int, int, bool]) -> None:
    """Writes a picture of a page to docs/frames."""
    name, _, cycle, unit, width, height, dark = shot
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    page.goto(f"{page_path.as_uri()}#cycle={cycle}")
    page.wait_for_selector("body.ready")
    page.locator(f'.array:visible [data-unit="{unit}"]').first.click()
    page.mouse.move(0, 0)
    path = DOCS / "frames" / f"{name}.png"
    page.screenshot(path=path, animations="disabled")
    page.close()
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def steps() -> None:
    """The cycles of docs/attention.md, a picture each."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.jsonl"
        subprocess.run([sys.executable, "-m", "myhdl_fsa", *STEPS_OF, "--quiet", "--trace", trace], check=True)
        with trace.open() as file:
            start = json.loads(file.readline())["start"]
    for step in STEPS:
        bounds = ("--wave-from", str(start + step), "--wave-to", str(start + step))
        animate((*STEPS_OF, *bounds), DOCS / "frames" / f"step-{step}.png")


def report(browser: Browser) -> None:
    """The part of a report that says where the cycles went."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        subprocess.run([sys.executable, "-m", "myhdl_fsa", *REPORT, "--quiet", "--report", path], check=True)
        page = browser.new_page(viewport={"width": 860, "height": 900})
        page.goto(path.as_uri())
        boxes = [page.locator(selector).bounding_box() for selector in ("#split", "#split ~ h3")]
        top, bottom = (box["y"] for box in boxes if box is not None)
        page.screenshot(path=DOCS / "report.png", full_page=True,
                        clip={"x": 0, "y": top - 12, "width": 860, "height": bottom - top})
        page.close()


def main() -> None:
    """Everything anew."""
    (DOCS / "frames").mkdir(exist_ok=True)
    animate(FILM, DOCS / "innerloop.gif")
    animate(PAGES["fsa"], DOCS / "frames" / "one-cycle.png")
    steps()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        pages = {name: Path(folder) / f"{name}.html" for name in PAGES}
        for name, path in pages.items():
            animate(PAGES[name], path)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"),
                                             args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        for shot in SCREENSHOTS:
            screenshot(browser, pages[shot[1]], shot)
        report(browser)
        browser.close()


if __name__ == "__main__":
    main()

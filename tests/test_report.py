"""fsa-sim --report: the page says what the run's JSON says, in a browser, and bad input is one line."""

from __future__ import annotations

import io
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import myhdl_fsa.engine
from myhdl_fsa import easyfloat
from myhdl_fsa.cli.sim import main
from myhdl_fsa.config import preset
from myhdl_fsa.isa import Dma, Transfer
from myhdl_fsa.kernel.flash_attention import attention_kernel
from myhdl_fsa.program import Timing
from myhdl_fsa.sims.core_engine import MyHDLEngine
from myhdl_fsa.workbench.metrics import float64_attention, to_float32
from myhdl_fsa.workbench.run_report.contents import histogram
from myhdl_fsa.workbench.run_report.cycle_split import cycle_split
from myhdl_fsa.workbench.run_report.intermediates import MEANINGS, intermediate_errors
from myhdl_fsa.workbench.run_report.roofline import roofline
from myhdl_fsa.workbench.workload import generate

CONFIG = preset("FSA4X4Fp16Config")
SIZES = ("--seq-q", "8", "--seq-kv", "12")
COMMANDS = {
    "device": (*SIZES, "--mem-latency", "40", "--diff"),
    "compared": (*SIZES, "--compare", "stream,fsa", "--mem-bandwidth", "1/4"),
    "core": (*SIZES, "--top", "core", "--dataflow", "stream", "--heads", "2"),
    "golden": ("--seq-q", "9", "--seq-kv", "11", "--engine", "golden", "--causal"),
    "counters": (*SIZES, "--engine", "verilator"),
}


class Blind(MyHDLEngine):
    """An engine that sees nothing inside, as those of the Verilog."""

    def run_attention(self, request, watch):
        return super().run_attention(request, replace(watch, waits=False))


def fsa_sim(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """The page's path and the JSON of a command of ``COMMANDS``, run once."""
    folder, done = tmp_path_factory.mktemp("reports"), {}
    patched = pytest.MonkeyPatch()
    patched.setitem(myhdl_fsa.engine.ENGINES, "verilator", lambda build_dir=None: Blind())

    def run(name):
        if name not in done:
            page, figures = folder / f"{name}.html", folder / f"{name}.json"
            result = fsa_sim(*COMMANDS[name], "--report", page, "--json", figures, "--quiet")
            assert (result.exit_code, result.output) == (0, "")
            done[name] = page, json.loads(figures.read_text())
        return done[name]

    yield run
    patched.undo()


def rows(page, selector):
    """The rows of a table: the first cell, and the others without the space between digits."""
    cells = page.eval_on_selector_all(f"{selector} tr", "rows => rows.map(r => [...r.cells].map(c => c.innerText))")
    return [[re.sub("(?<=\\d)\u202f", "", cell.strip()) for cell in row] for row in cells]


def runs_of(figures):
    """The figures of each dataflow."""
    return figures.get("dataflows") or {figures["dataflow"]: figures}


def check_tables(page, name, figures):
    """They show what the JSON has."""
    runs = runs_of(figures)
    shown = {row[0]: row[1:] for row in rows(page, "#cycles table:first-of-type")}
    if name == "golden":
        assert shown == {}
        assert "has no clock" in page.inner_text("#cycles")
    else:
        assert shown["Cycles"] == [str(run["cycles"]) for run in runs.values()]
        assert shown["Matmul utilisation"] == [f"{100 * run['utilisation']:.1f} %" for run in runs.values()]
        for title, key in (("Execution time", "execution_time"), ("Max bubble cycles", "matrix_bubble"),
                           ("Dequeue instructions", "dequeued")):
            assert shown.get(title, []) == [str(run["counters"][key]) for run in runs.values() if "counters" in run]
    if name != "compared":
        result = next(iter(figures["errors"]))
        assert [[float(cell) for cell in row[2:]] for row in rows(page, "#errors table:first-of-type")[1:3]] == [
            [one[result][key] for key in ("MAE", "MSE", "MaxErr", "RelErr")]
            for one in (figures["errors"], figures["errors_float64"])]


def check_split(page, name, figures):
    """The parts of a bar sum up to the cycles, and waits to the bubble."""
    table = rows(page, "table.split")[1:]
    for column, run in enumerate(runs_of(figures).values()):
        parts = {row[0]: int(row[1 + 2 * column]) for row in table}
        assert parts.pop("all") == sum(parts.values()) == run["cycles"]
        # whole tiles: the products are what the utilisation counts
        assert parts["products"] == pytest.approx(run["utilisation"] * run["cycles"])
        assert ("softmax" in parts) == (name != "counters")
    said = page.inner_text("#cycles")
    assert ("shows nothing inside" in said) == (name == "counters")
    waits = [found for found in page.query_selector_all("#cycles table") if "waiting for" in found.inner_text()]
    assert len(waits) == ("The longest waits" in said) == (name != "counters")
    if name in ("device", "compared"):
        assert [int(cell.inner_text()) for cell in waits[0].query_selector_all("tfoot td")] == [
            run["counters"]["matrix_bubble"] for run in runs_of(figures).values()]


def check_alone(page, text):
    """The page needs nothing beside itself, and each figure has words."""
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", text)
    assert not re.findall(r"url\((?!#)|@import", text)
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    figures = page.query_selector_all("svg")
    assert len(figures) > 1 and len(text) < 400_000
    for figure in figures:
        assert figure.get_attribute("role") == "img"
        assert len(page.inner_text(f"#{figure.get_attribute('aria-labelledby')}")) > 40
    # what is drawn is drawn in the page's colours
    assert not re.findall(r"#fe[0-9a-f]{2}0[12]", text)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_shows_what_the_json_has_and_needs_nothing_else(name, reports, open_page):
    path, figures = reports(name)
    page = open_page(path)
    check_tables(page, name, figures)
    if name != "golden":
        check_split(page, name, figures)
    check_alone(page, path.read_text())
    assert ("has no memory" in page.inner_text("#roofline")) == (name == "core")
    assert page.inner_text("#run pre") == shlex.join(
        ["fsa-sim", *COMMANDS[name], "--json", str(path.with_suffix(".json")), "--quiet"])


@pytest.mark.parametrize("source", ["watched", "counters", "program"])
def test_the_split_of_every_kind_of_run(source):
    work = generate(CONFIG, 8, 12, 0, "uniform")
    instructions = attention_kernel(work.q, work.k, work.v, CONFIG).instructions
    run = MyHDLEngine().attention if source == "program" else MyHDLEngine().device_attention
    result = run(work.q, work.k, work.v, CONFIG, waits=source == "watched")
    split = cycle_split(CONFIG, instructions, result)
    assert split.source == source
    assert sum(part.cycles for part in split.parts) == result.cycles
    parts = {part.key: part.cycles for part in split.parts}
    assert parts["products"] == 2 * 3 * 8
    if source == "counters":
        assert parts["idle"] == result.cycles - result.counters.matrix_active


def background(page):
    pixel = Image.open(io.BytesIO(page.screenshot())).convert("RGB").getpixel((2, 2))
    return sum(pixel)


def test_light_and_dark(reports, open_page):
    path, _ = reports("compared")
    light, dark = open_page(path), open_page(path, dark=True)
    assert background(light) > 700 and background(dark) < 120
    colour = "getComputedStyle(document.querySelector('#cycles svg text')).fill"
    assert light.evaluate(colour) != dark.evaluate(colour)
    for page, sign in ((light, 1), (dark, -1)):
        before = background(page)
        page.click("#theme")
        assert (before - background(page)) * sign > 500


def test_nothing_scrolls_sideways_on_a_phone(reports, open_page):
    page = open_page(reports("compared")[0], width=390, height=844)
    page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
    wide = page.evaluate("""[...document.querySelectorAll('html, body, main, section, div, table, pre, figure')]
        .filter(one => one.scrollWidth > one.clientWidth + 1 || one.getBoundingClientRect().right > 391)
        .map(one => one.outerHTML.slice(0, 80))""")
    assert wide == []


def test_the_same_run_gives_the_same_page(tmp_path, reports):
    again = tmp_path / "again.html"
    command = COMMANDS["golden"]
    figures = reports("golden")[0].with_suffix(".json")
    assert fsa_sim(*command, "--report", again, "--json", figures, "--quiet").exit_code == 0
    one, two = (re.sub(rb'<span id="time">[\d.e-]+</span>', b"", path.read_bytes())
                for path in (reports("golden")[0], again))
    assert one == two and b'id="time"' not in one


def test_markup_in_a_name_is_text(tmp_path, open_page):
    name = tmp_path / "<b>mine & co.json"
    name.write_text(CONFIG.to_json())
    assert fsa_sim("--config", name, "--diff-only", "--report", tmp_path / "r.html", "--quiet").exit_code == 0
    assert open_page(tmp_path / "r.html").inner_text("h1") == f"Attention on {name}"


def test_tensors_that_are_not_finite_have_a_page_too(tmp_path, open_page):
    for name, value in (("nan", np.nan), ("zero", 0.0)):
        np.save(tmp_path / f"{name}.npy", np.full((4, 4), value))
    result = fsa_sim("--q", tmp_path / "nan.npy", "--k", tmp_path / "zero.npy", "--v", tmp_path / "zero.npy",
                     "--engine", "golden", "--report", tmp_path / "r.html", "--quiet")
    assert (result.exit_code, result.output) == (0, "")
    assert "not finite: 16 and 16" in open_page(tmp_path / "r.html").inner_text("#about-histogram-0")


def test_intermediates_against_numbers_from_the_definition():
    work = generate(CONFIG, 8, 10, 3, "uniform")
    found = intermediate_errors(work, CONFIG, True, None)
    assert [step.name for step in found.steps] == list(MEANINGS)
    assert found.whole and found.queries == 8
    steps = {step.name: step for step in found.steps}
    # query i sees i + 1 keys; 4 queries meet one tile and 4 meet two
    assert steps["S"].values == steps["P"].values == 36
    assert steps["running_max"].values == steps["L"].values == 12
    assert (steps["delta"].values, steps["delta"].left_out) == (4, 8)
    q, k = (easyfloat.to_float(bits, CONFIG.elem) for bits in (work.q, work.k))
    exact = q @ k.T
    kept = np.tri(8, 10, dtype=bool)
    # S is in fp32, and then in fp16
    assert 0 < steps["S"].max_absolute < 8 * 2**-24 * exact.max()
    rounding = np.abs(exact.astype(np.float16) - exact)[kept].max()
    assert steps["S_elem"].max_absolute == pytest.approx(rounding, rel=0.01)
    output = to_float32(found.output, CONFIG.acc)
    error = np.abs(output - float64_attention(work, CONFIG.elem, True))
    assert steps["output"].max_absolute == pytest.approx(error.max(), rel=1e-6)
    assert steps["output"].mean_absolute == pytest.approx(error.mean(), rel=1e-6)


def test_of_a_large_problem_the_first_queries_are_looked_at():
    work = generate(CONFIG, 64, 16, 0, "uniform", heads=2)
    found = intermediate_errors(work, CONFIG, False, None, most_scores=100)
    assert (found.queries, found.whole) == (6, False)
    assert {step.name: step.values for step in found.steps}["S"] == 6 * 16


def test_histogram():
    result = np.array([1.0, 1.001, 1.02, 1.02, np.nan, 2.0], np.float32)
    found = histogram(result, np.array([1.0, 1.0, 1.0, 1.0, 1.0, np.inf]))
    assert (found.zero, found.not_finite, sum(found.counts)) == (1, 2, 3)
    assert (found.edges[0], found.edges[-1]) == pytest.approx((1e-3, 1e-1))
    assert found.counts[0] == 1 and found.counts[5] == 2


@pytest.mark.parametrize("timing", [Timing(), Timing(read_bandwidth="1/16", write_bandwidth="1/2"),
                                    Timing(write_bandwidth="1/100")])
def test_roofline(timing):
    work = generate(CONFIG, 8, 12, 0, "uniform")
    instructions = attention_kernel(work.q, work.k, work.v, CONFIG).instructions
    result = MyHDLEngine().device_attention(work.q, work.k, work.v, CONFIG, timing=timing)
    products = 8 * 12 * (4 + 4)
    found = roofline(CONFIG, instructions, timing, products / (16 * result.cycles), result.cycles)
    assert (found.operations, found.peak, found.steady) == (2 * products, 32, 32 * 8 / 33)
    # two tiles of Q, and for each all three of K and V: 4 rows of 8 bytes; O in fp32
    assert (found.bytes_read, found.bytes_written) == (14 * 32, 2 * 64)
    assert found.bytes_read == sum(item.rows * item.size for item in instructions
                                   if isinstance(item, Dma) and item.function == Transfer.LOAD)
    ports = CONFIG.beat_bytes * CONFIG.memory_ports
    slow = timing.write_bandwidth < 1 / 50
    assert found.direction == ("writes" if slow else "reads")
    assert found.bandwidth == ports * (timing.write_bandwidth if slow else timing.read_bandwidth)
    assert found.intensity == 2 * products / (2 * 64 if slow else 14 * 32)
    # no run does more than its roof
    assert found.achieved == pytest.approx(2 * products / result.cycles) and found.achieved < found.roof
    assert found.bound == ("array" if timing == Timing() else "memory")


GOLDEN = ("--engine", "golden", "--quiet")


@pytest.mark.parametrize(("args", "status", "says"), [
    (("missing/r.html", *GOLDEN), 2, "--report missing/r.html: cannot write: .*missing is not an existing directory"),
    ((".", *GOLDEN), 2, r"--report \.: cannot write: is a directory"),
    (("/dev/full", *GOLDEN), 1, "--report /dev/full: cannot write: No space left on device"),
    (("-", *GOLDEN, "--json", "-"), 2, "--report -: --json goes to standard output already: must be a file"),
    (("r.html", *GOLDEN, "--json", "r.html"), 2, "--report r.html: is the file of --json too: must be another"),
    (("r.html", "--program", "p.s"), 2, "--report r.html: is about attention: cannot go with --program p.s"),
    ((), 2, "--report: must be followed by a value"),
    (("r.html", "--max-cycles", "9"), 1, "cycle limit 9 reached .*"),
])
def test_bad_input_is_one_line_and_leaves_nothing(args, status, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = fsa_sim("--report", *args)
    assert (result.exit_code, result.stdout) == (status, "")
    assert re.fullmatch(f"fsa-sim: error: {says}\n", result.stderr), result.stderr
    assert list(Path().iterdir()) == []


def test_standard_output_holds_the_page_alone():
    result = fsa_sim("--engine", "golden", "--report", "-")
    assert result.exit_code == 0
    assert result.stdout.startswith("<!doctype html>") and result.stdout.endswith("</html>\n")

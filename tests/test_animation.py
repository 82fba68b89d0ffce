"""The animation: the page says what the trace says, its controls do what they say, and so do GIF and PNG."""

import copy
import dataclasses
import io
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageChops

from myhdl_fsa import Config, engine
from myhdl_fsa.arithmetic.formats import BF16, E5M2, FP16, FP32
from myhdl_fsa.config import preset
from myhdl_fsa.easyfloat import from_float, to_float
from myhdl_fsa.engine import AttentionRequest, Watch
from myhdl_fsa.engine.cycle_use import Wait
from myhdl_fsa.trace import CycleTrace, Frame, Instruction, Kind, Unit
from myhdl_fsa.trace.contents import WORKS
from myhdl_fsa.workbench import animation
from myhdl_fsa.workbench.animation.images import CYCLE_MS, LAST_MS
from myhdl_fsa.workbench.animation.layout import COMPACT, FULL, layout
from myhdl_fsa.workbench.animation.palette import SIGNS, THEMES, tint
from myhdl_fsa.workbench.animation.timeline import Span, span, surroundings, time_line
from myhdl_fsa.workbench.animation.values import decode, short, shorten
from myhdl_fsa.workbench.animation.view import at_work, view
from myhdl_fsa.workbench.workload import generate

DOCS = Path(__file__).parents[1] / "docs"


def recorded(config, seq_kv=4):
    work = generate(config, config.rows, seq_kv, 0, "uniform")
    request = AttentionRequest(work.q, work.k, work.v, config, top="core")
    return engine("myhdl").run_attention(request, Watch(record=True)).recorded


@pytest.fixture(scope="module")
def fsa():
    return recorded(Config(rows=4))


@pytest.fixture(scope="module")
def stream():
    return recorded(Config(rows=4, dataflow="stream"))


@pytest.fixture
def opened(open_page, tmp_path):
    """Gives ``show(traces, address="", **options)``, which opens their page and waits until it has its data."""
    def show(traces, address="", **options):
        path = tmp_path / "animation.html"
        path.write_text(animation.html(traces))
        page = open_page(path, **options)
        if address:
            page.goto(path.resolve().as_uri() + address)
            page.reload()
        page.wait_for_selector("body.ready")
        return page
    return show


EVERY_CELL = """style => {
  const slider = document.querySelector("#cycle"), found = [];
  for (let cycle = Number(slider.min); cycle <= Number(slider.max); cycle++) {
    slider.value = cycle;
    slider.dispatchEvent(new Event("input"));
    found.push([...document.querySelectorAll(`.array.${style}`)].map(
      svg => [...svg.querySelectorAll(".unit")].map(unit => {
      const texts = name => [...unit.querySelectorAll(`:scope > .${name}`)].map(text => text.textContent);
      const paths = [...unit.querySelectorAll(".path")].map(
        path => path.classList.contains("on") ? path.querySelector("text").textContent : null);
      return [unit.dataset.unit, unit.dataset.work, texts("sign")[0], texts("name"), texts("number"), paths];
    })));
  }
  return found;
}"""


CARDS = """cards => cards.map(card => [card.dataset.value,
  ...["label", "hex", "bits", "float", "format"].map(name => card.querySelector("." + name)?.textContent)])"""


def drawn(traces, sizes):
    """What ``EVERY_CELL`` gives, from the traces."""
    machines = []
    for trace in traces:
        picture = layout(trace, sizes)
        cycles = {frame.cycle - trace.start: [
            [box.unit.name, shown.work, shown.sign, [name for name, _ in shown.lines],
             [number for _, number in shown.lines] if sizes.numbers else [], list(shown.labels)]
            for box, shown in zip(picture.boxes, view(trace, state, picture), strict=True)]
            for frame, state in trace.states()}
        # where a trace has ended, its last cycle stays
        machines.append([cycles[min(cycle, max(cycles))] for cycle in span(traces).numbers()])
    return [list(cycle) for cycle in zip(*machines, strict=True)]


def at(page):
    return int(page.locator("#shown").inner_text())


def stop_clock(page):
    """From now on the page's time passes by ``page.clock.run_for`` alone."""
    page.clock.install(time=0)
    page.clock.pause_at(3_600_000)


def state_of(trace, cycle):
    return next((frame, state) for frame, state in trace.states() if frame.cycle - trace.start == cycle)


# The page shows the trace.

@pytest.mark.parametrize(("style", "sizes", "width"), [("wide", FULL, 1500), ("narrow", COMPACT, 390)])
def test_every_cell_in_every_cycle(opened, fsa, stream, style, sizes, width):
    page = opened([fsa, stream], width=width)
    shown, expected = page.evaluate(EVERY_CELL, style), drawn([fsa, stream], sizes)
    assert len(shown) == len(expected) == span([fsa, stream]).cycles
    for cycle, (one, other) in enumerate(zip(shown, expected, strict=True)):
        assert one == other, cycle


@pytest.mark.parametrize("fmt", [FP16, BF16, E5M2, FP32])
def test_numbers_are_those_of_the_bits(fmt):
    rng = np.random.default_rng(1)
    bits = np.unique(rng.integers(0, 1 << fmt.width, 3000, dtype=np.uint64)).astype(fmt.dtype)
    size = fmt.exponent_bits, fmt.mantissa_bits
    for pattern, value in zip(bits.tolist(), to_float(bits, fmt).tolist(), strict=True):
        found, text = decode(pattern, fmt), short(f"{pattern:x}", size)
        assert found == value or math.isnan(found) and math.isnan(value)
        assert math.isclose(float(text), value, rel_tol=0.005) or math.isnan(value) and text == "NaN"
        assert len(text) <= 10


def test_names_are_cut_visibly():
    assert [shorten("intercept 3", most) for most in (11, 6, 4, 3)] == ["intercept 3", "int 3", "int3", "in\u2026"]


def test_the_panel_has_bits_and_numbers_of_all_that_a_unit_holds_and_takes(opened, fsa, stream):
    page = opened([fsa, stream], width=1500)
    for index, (trace, cycle) in enumerate(((fsa, 20), (stream, 20))):
        page.evaluate("cycle => { location.hash = `#cycle=${cycle}` }", cycle)
        page.wait_for_function("cycle => document.querySelector('#shown').textContent == cycle", arg=cycle)
        _, state = state_of(trace, cycle)
        svg = page.locator(".array.wide").nth(index)
        for unit in trace.units:
            kind = trace.kinds[unit.kind]
            svg.locator(f"[data-unit={unit.name}]").dispatch_event("click")
            cards = page.eval_on_selector_all("#panel li", CARDS)
            there = {name: state[unit.name][name] for name in {**kind.holds, **kind.takes}
                     if state[unit.name][name] is not None}
            assert page.locator("#panel .control").text_content().removeprefix("control: ") == (
                state[unit.name]["control"])
            assert {card[0] for card in cards} == set(there)
            for value, label, digits, bits, number, name in cards:
                pattern = there[value][0]
                assert (digits, label) == (f"0x{pattern}", there[value][1])
                assert int(bits.replace(" ", ""), 2) == int(pattern, 16)
                size = trace.formats[{**kind.holds, **kind.takes}[value]]
                if isinstance(size, int):
                    assert (number, name) == (None, f"{size} bits")
                    continue
                fmt = {"fp16": FP16, "fp32": FP32}[name]
                assert size == (fmt.exponent_bits, fmt.mantissa_bits)
                read_as = number.removesuffix(" (subnormal, read as 0)")
                assert float(to_float(from_float(float(read_as), fmt), fmt)) == decode(int(pattern, 16), fmt)


def test_hovering_shows_a_unit_and_leaving_goes_back_to_the_chosen_one(opened, fsa):
    page = opened([fsa], "#cycle=14")
    title, hint = page.locator("#panel .title"), page.locator("#panel .title").inner_text()
    page.locator(".wide [data-unit=pe_1_1]").hover()
    assert "PE in row 1, column 1" in title.inner_text()
    page.mouse.move(0, 0)
    assert title.inner_text() == hint
    page.locator(".wide [data-unit=pe_2_0]").click()
    page.locator(".wide [data-unit=pe_1_1]").hover()
    page.mouse.move(0, 0)
    assert "PE in row 2, column 0" in title.inner_text()


def test_what_a_multiply_adder_does_is_said_as_a_formula(opened, fsa):
    page = opened([fsa])
    for cycle in span([fsa]).numbers():
        _, state = state_of(fsa, cycle)
        busy = [name for name, unit in state.items() if unit["work"] == "score" and name.startswith("pe")]
        if busy:
            break
    page.evaluate("cycle => { location.hash = `#cycle=${cycle}` }", cycle)
    page.locator(f".wide [data-unit={busy[0]}]").click()
    unit = state[busy[0]]
    names = {value: unit[value][1] for value in ("register", "left", "below")}
    text = page.locator("#panel .formula").inner_text()
    assert text.startswith(f"up <- {names['below']} + {names['register']} * {names['left']} ")


def test_the_cycle_in_words(opened, fsa, stream):
    page = opened([fsa, stream])
    page.locator("#text summary").click()
    for cycle in (10, 25, 40):
        page.evaluate("cycle => { location.hash = `#cycle=${cycle}` }", cycle)
        page.wait_for_function("cycle => document.querySelector('#lines').textContent.includes(`cycle ${cycle} of`)",
                               arg=cycle)
        text = page.locator("#lines").inner_text()
        assert str(cycle) in page.locator("#live").text_content()
        for trace in (fsa, stream):
            _, state = state_of(trace, cycle)
            for item in trace.instructions:
                if item.first <= cycle + trace.start <= item.last:
                    assert f"{item.name} {item.what}" in text
            for unit in trace.units:
                if state[unit.name]["work"] in ("idle", "pass"):
                    continue
                where = unit.kind.replace("pe", "PE").replace("edge", "left edge")
                place = ", ".join(f"{name} {number}" for name, number in (("row", unit.row), ("column", unit.column))
                                  if number is not None)
                lines = [line for line in text.splitlines() if line.startswith(f"{where} in {place}: ")]
                assert any(WORKS[state[unit.name]["work"]] in line for line in lines)
                if unit.kind == "pe" and state[unit.name]["left"]:
                    assert any(state[unit.name]["left"][1] in line for line in lines)


def test_the_heading_says_cycle_utilisation_and_end(opened, fsa):
    page = opened([fsa], "#cycle=30")
    frame, _ = state_of(fsa, 30)
    assert page.locator(".now .cycle").inner_text() == f"cycle 30 of {fsa.cycles}"
    assert page.locator(".now .edge").inner_text() == f"clock edge {frame.cycle}"
    assert page.locator(".utilisation span").inner_text() == f"{100 * fsa.utilisation(frame):.1f} %"
    assert page.locator("meter").evaluate("meter => meter.value") == pytest.approx(fsa.utilisation(frame))
    page.locator("#end").click()
    assert page.locator(".now .cycle").inner_text() == f"done after {fsa.cycles} cycles"


# The controls.

def test_steps_ends_slider_and_address(opened, fsa):
    page = opened([fsa])
    last = span([fsa]).last
    assert at(page) == 0
    for button, cycle in (("forward", 1), ("forward", 2), ("back", 1), ("end", last), ("forward", last), ("start", 0),
                          ("back", 0)):
        page.locator(f"#{button}").click()
        assert at(page) == cycle, button
    page.locator("#cycle").fill("33")
    assert at(page) == 33
    page.wait_for_function("() => location.hash === '#cycle=33'")
    page.reload()
    page.wait_for_selector("body.ready")
    assert at(page) == 33
    page.evaluate("location.hash = '#cycle=17'")
    page.wait_for_function("() => document.querySelector('#shown').textContent === '17'")
    assert page.locator("#cycle").input_value() == "17"


def test_play_advances_and_pause_stops(opened, fsa):
    page = opened([fsa])
    stop_clock(page)
    page.locator("#speed").select_option("4")
    page.locator("#play").click()
    assert page.locator("#play").get_attribute("aria-label") == "pause"
    page.clock.run_for(2000)
    assert at(page) == 8
    page.locator("#speed").select_option("32")
    # the step that is under way keeps its time
    page.clock.run_for(250 + 1000)
    assert at(page) == 8 + 1 + 32
    page.locator("#play").click()
    stopped = at(page)
    assert page.locator("#play").get_attribute("aria-label") == "play"
    page.clock.run_for(3000)
    assert at(page) == stopped
    # at the end it stops by itself, and begins anew
    page.locator("#play").click()
    page.clock.run_for(20000)
    assert at(page) == span([fsa]).last
    assert page.locator("#play").get_attribute("aria-label") == "play"
    page.locator("#play").click()
    assert at(page) == 0


def test_it_does_not_play_by_itself(opened, fsa):
    page = opened([fsa], reduced_motion="reduce")
    assert page.locator("#play").get_attribute("aria-label") == "play"
    assert page.locator("#speed").input_value() == "0.5"


def test_keys(opened, fsa):
    page = opened([fsa])
    stop_clock(page)
    last = span([fsa]).last
    for key, cycle in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", last), ("Home", 0)):
        page.keyboard.press(key)
        assert at(page) == cycle, key
    speeds = [page.locator("#speed").input_value()]
    for key in ("+", "+", "-", "-", "-"):
        page.keyboard.press(key)
        speeds.append(page.locator("#speed").input_value())
    assert speeds == ["2", "4", "8", "4", "2", "1"]
    page.keyboard.press(" ")
    page.clock.run_for(3000)
    assert at(page) == 3
    page.keyboard.press(" ")
    page.clock.run_for(3000)
    assert at(page) == 3
    # the slider moves by its own keys, once a key
    page.locator("#cycle").focus()
    page.keyboard.press("ArrowRight")
    assert at(page) == 4
    # a button is pressed by the space bar, once
    page.locator("#forward").focus()
    page.keyboard.press(" ")
    assert at(page) == 5
    assert page.locator("#play").get_attribute("aria-label") == "play"


def test_units_by_keyboard(opened, fsa):
    page = opened([fsa], "#cycle=14")
    page.locator(".wide [data-unit=edge_0]").focus()
    names = []
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "ArrowUp"):
        page.keyboard.press(f"Shift+{key}")
        names.append(page.evaluate("document.activeElement.dataset.unit"))
    assert names == ["pe_0_0", "pe_0_1", "pe_1_1", "pe_1_0", "pe_0_0", "comparator_0"]
    assert at(page) == 14
    assert "comparator in column 0" in page.locator("#panel .title").inner_text()
    page.keyboard.press("ArrowRight")
    assert at(page) == 15


def test_the_time_line(opened, fsa):
    page = opened([fsa])
    svg = page.locator(".time.wide")
    for item in fsa.instructions:
        first, last = item.first - fsa.start, item.last - fsa.start
        if last < 0:
            continue
        bar = svg.locator(f'[data-label="{item.name} {item.what}"][data-last="{last}"]')
        assert bar.get_attribute("data-first") == str(max(first, 0))
        for cycle in {max(first, 0), last} & set(span([fsa]).numbers()):
            page.locator("#cycle").fill(str(cycle))
            assert "now" in bar.get_attribute("class")
        if last < span([fsa]).last:
            page.locator("#cycle").fill(str(last + 1))
            assert "now" not in bar.get_attribute("class")
    score = next(item for item in fsa.instructions if item.name == "ATTN_SCORE")
    svg.locator(f'[data-label="{score.name} {score.what}"]').click()
    assert score.first <= at(page) + fsa.start <= score.last


def test_every_control_has_a_name_and_room_for_a_finger(opened, fsa):
    page = opened([fsa], width=390, height=844, has_touch=True)
    for control in page.locator("button, select, input").all():
        assert control.evaluate("item => item.getAttribute('aria-label') || item.closest('label').textContent")
        box = control.bounding_box()
        assert box["height"] >= 44 and box["width"] >= 44
    page.locator(".narrow [data-unit=pe_1_1]").tap()
    assert "PE in row 1, column 1" in page.locator("#panel .title").inner_text()


def test_a_long_time_line_follows_the_cycle(opened):
    trace = third(frames=600)
    page = opened([trace])
    for cycle in (0, 300, 599, 20):
        page.locator("#cycle").fill(str(cycle))
        box, cursor = page.locator(".clock").bounding_box(), page.locator(".time.wide .cursor").bounding_box()
        assert box["x"] <= cursor["x"] <= box["x"] + box["width"]


@pytest.mark.parametrize("rows", [4, 16])
def test_on_a_phone_only_the_array_scrolls_sideways(opened, rows, fsa, stream):
    page = opened([fsa, stream] if rows == 4 else [third(rows)], width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    scrolls = page.locator(".scroll").first.evaluate("box => box.scrollWidth > box.clientWidth")
    assert scrolls == (rows > 4)


def test_two_dataflows_on_one_clock(opened, fsa, stream):
    page = opened([fsa, stream], width=1440)
    left, right = page.locator(".machine").all()
    assert left.bounding_box()["y"] == right.bounding_box()["y"]
    assert left.bounding_box()["x"] < right.bounding_box()["x"]
    summary = page.locator("#summary").inner_text()
    assert f"{fsa.cycles / stream.cycles:.2f} times as fast" in summary
    assert f"after {stream.cycles} cycles" in summary and f"after {fsa.cycles}" in summary
    ends = sorted((fsa.cycles, stream.cycles))
    page.locator("#cycle").fill(str(ends[0]))
    texts = [machine.locator(".now .cycle").inner_text() for machine in (left, right)]
    done = [trace.cycles <= ends[0] for trace in (fsa, stream)]
    assert [text.startswith("done after") for text in texts] == done and sorted(done) == [False, True]
    page.set_viewport_size({"width": 390, "height": 844})
    assert left.bounding_box()["y"] < right.bounding_box()["y"]
    assert left.bounding_box()["x"] == right.bounding_box()["x"]


# Colours.

def channels(colour):
    return [int(colour[index:index + 2], 16) / 255 for index in (1, 3, 5)]


def linear(colour):
    return np.array([part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels(colour)])


def contrast(one, other):
    low, high = sorted(float(linear(colour) @ [0.2126, 0.7152, 0.0722]) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def lab(light):
    """CIELAB of linear RGB."""
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]]) @ np.clip(light, 0, 1) / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Machado, Oliveira and Fernandes 2009, on linear RGB"""


@pytest.mark.parametrize("name", THEMES)
def test_text_can_be_read_on_its_colour(name):
    theme = THEMES[name]
    for work in WORKS:
        assert contrast(*tint(work, theme)) >= 4.5, work
    for ground, ink in itertools.product((theme.ground, theme.panel), (theme.ink, theme.muted, theme.accent)):
        assert contrast(ground, ink) >= 4.5


@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_of_attention_are_told_apart(kind):
    works = ["idle", "load", "score", "maximum", "subtract", "scale", "exp2", "sum", "value"]
    seen = {work: lab(np.array(BLINDNESS[kind]) @ linear(tint(work, THEMES["light"])[0])) for work in works}
    for one, other in itertools.combinations(works, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 9, (one, other)


def test_every_work_has_a_sign_of_its_own():
    assert set(SIGNS) == set(WORKS)
    assert len(set(SIGNS.values())) == len(SIGNS)
    assert all(sign.isascii() for sign in SIGNS.values())


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark(opened, fsa, dark):
    page = opened([fsa], dark=dark)
    ground = "getComputedStyle(document.body).backgroundColor"
    shades = {name: "rgb({}, {}, {})".format(*(round(255 * part) for part in channels(theme.ground)))
              for name, theme in THEMES.items()}
    assert page.evaluate(ground) == shades["dark" if dark else "light"]
    for theme in ("light", "dark"):
        page.locator("#theme").select_option(theme)
        assert page.evaluate(ground) == shades[theme]
    page.reload()
    page.wait_for_selector("body.ready")
    assert page.evaluate(ground) == shades["dark"]
    page.locator("#theme").select_option("auto")
    assert page.evaluate(ground) == shades["dark" if dark else "light"]


# The file.

def test_one_file_that_asks_for_nothing(fsa):
    page = animation.html([fsa])
    assert len(page.encode()) < 500_000
    assert not re.search(r"(?:src|href)=[\"'](?!data:|#)", page)
    assert "default-src 'none'" in page
    assert "{{" not in page.split("<script", 1)[0]


def third(rows=3, frames=3):
    """A dataflow that nobody has built: other kinds, values, works and formats."""
    units = [Unit("gate_0", "gate", 0), *(Unit(f"cap_{c}", "cap", None, c) for c in range(rows)),
             *(Unit(f"pe_{r}_{c}", "pe", r, c) for r in range(rows) for c in range(rows))]
    kinds = {"gate": Kind({}, {"token": "lane"}), "cap": Kind({"bound": "acc"}, {"score": "acc", "probe": "acc"}),
             "pe": Kind({"a": "elem"}, {"left": "elem", "above": "acc", "news": "elem"})}
    every = []
    for cycle in range(frames):
        state = {}
        for index, unit in enumerate(units):
            kind = kinds[unit.kind]
            values = {name: ("1f" if size == "lane" else f"{(index * 77 + cycle) % 256:02x}", f"a <b> {index}")
                      for name, size in {**kind.holds, **kind.takes}.items()}
            state[unit.name] = {"work": list(WORKS)[(index + cycle) % len(WORKS)], **values}
        every.append(Frame(cycle + 5, cycle, state))
    return CycleTrace("third </script>", {}, rows, rows, {"elem": (4, 3), "acc": (5, 2), "lane": 7}, kinds,
                      ("pe", "cap"), tuple(units), 5, frames,
                      (Instruction(0, "DO", "array", "", 5, 6), Instruction(1, "LOAD", "load", "Q tile 0", 2, 5)),
                      (Wait(1, 7, 7, "K"),), tuple(every))


def test_a_third_dataflow_is_drawn_as_it_is(opened):
    trace = third()
    page = opened([trace], width=1500)
    assert page.evaluate(EVERY_CELL, "wide") == drawn([trace], FULL)
    assert page.locator("h2").inner_text() == "third </script>, 3 x 3, e4m3/e5m2"
    page.locator(".wide [data-unit=gate_0]").click()
    assert "0x1f" in page.locator("#panel").inner_text()
    assert page.locator(".time.wide [data-kind=wait]").get_attribute("data-label") == "waits: K"
    assert Image.open(io.BytesIO(animation.gif([trace]))).n_frames == 3


# Pictures.

def frames_of(data):
    picture = Image.open(io.BytesIO(data))
    found, durations = [], []
    for index in range(picture.n_frames):
        picture.seek(index)
        found.append(picture.convert("RGB"))
        durations.append(picture.info["duration"])
    return found, durations, picture.info.get("loop")


def machine_part(picture, box, left=0):
    """A box of an array in a picture; the heading above it is 46 pixels high."""
    return picture.crop((round(left + box.x), round(46 + box.y), round(left + box.x + box.width),
                         round(46 + box.y + box.height)))


@pytest.fixture(scope="module")
def film(fsa):
    return animation.gif([fsa])


def test_gif(fsa, film):
    frames, durations, loop = frames_of(film)
    shown = span([fsa])
    assert len(frames) == shown.cycles == len(durations)
    assert durations == [CYCLE_MS] * (shown.cycles - 1) + [LAST_MS] and loop == 0
    assert len(film) < 3 << 20
    assert frames[0].width <= 800
    # a box of the picture changes where what it shows does, and there alone; its colour is that of its work
    picture = layout(fsa, FULL)
    views = [[(item.work, item.sign, item.lines, item.labels) for item in view(fsa, state, picture)]
             for frame, state in fsa.states() if frame.cycle >= fsa.start]
    for (before, now), (old, new) in zip(itertools.pairwise(views), itertools.pairwise(frames), strict=True):
        for box, one, other in zip(picture.boxes, before, now, strict=True):
            changed = ImageChops.difference(machine_part(old, box), machine_part(new, box)).getbbox() is not None
            assert changed == (one[:3] != other[:3]), box.unit.name
            fill = machine_part(new, box).getpixel((6, 4))
            assert fill == tuple(round(255 * part) for part in channels(tint(other[0], THEMES["light"])[0]))


def test_the_film_of_the_readme():
    """It is what ``docs/pictures.py`` makes, and shows both dataflows."""
    config = preset("STREAM4X4Fp16Config")
    fsa, stream = (recorded(config.replace(dataflow=name), 8) for name in ("fsa", "stream"))
    data = (DOCS / "innerloop.gif").read_bytes()
    assert data == animation.gif([fsa, stream])
    frames, _, _ = frames_of(data)
    assert len(frames) == span([fsa, stream]).cycles
    assert frames[0].width <= 800 and len(data) < 3 << 20
    for trace, left in ((fsa, 0), (stream, layout(fsa, COMPACT).width + 12)):
        picture = layout(trace, COMPACT)
        for cycle in (20, 40):
            _, state = state_of(trace, cycle)
            for box in picture.boxes:
                fill = tint(state[box.unit.name]["work"], THEMES["light"])[0]
                pixel = machine_part(frames[cycle], box, left).getpixel((5, 3))
                assert pixel == tuple(round(255 * part) for part in channels(fill)), box.unit.name


def test_png_is_the_first_cycle_with_most_at_work(fsa, film):
    data = animation.png([fsa])
    shown = Image.open(io.BytesIO(data))
    assert shown.format == "PNG"
    busy = [at_work(state) for frame, state in fsa.states() if frame.cycle >= fsa.start]
    frames, _, _ = frames_of(film)
    expected = frames[busy.index(max(busy))]
    assert ImageChops.difference(shown.convert("RGB"), expected).getbbox() is None


def test_the_time_line_of_a_single_cycle_shows_what_is_around_it(fsa):
    frame, state = state_of(fsa, 30)
    one = dataclasses.replace(fsa, frames=(Frame(frame.cycle, frame.multiplies, copy.deepcopy(state)),))
    assert span([one]) == Span(30, 30)
    assert surroundings([one]) == Span(1, 60)
    assert surroundings([fsa]) == span([fsa])
    bars = [bar for lane in time_line(one, surroundings([one])).lanes for bar in lane.bars]
    assert {"ATTN_SCORE K tile 0", "ATTN_VALUE V tile 0"} <= {bar.labels[0] for bar in bars}
    assert Image.open(io.BytesIO(animation.png([one]))).width <= 800


def test_the_time_line_has_every_instruction_once(fsa, stream):
    for trace in (fsa, stream):
        shown = span([trace])
        bars = [bar for lane in time_line(trace, shown).lanes for bar in lane.bars]
        assert len(bars) == sum(item.last >= trace.start for item in trace.instructions) + len(trace.waits)
        for lane in time_line(trace, shown).lanes:
            assert all(one.last < other.first for one, other in itertools.pairwise(lane.bars))

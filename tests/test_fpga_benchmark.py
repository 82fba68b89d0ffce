"""benchmarks/fpga.py: its tables, and what it says of arrays that nobody synthesised, against one that was."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import fpga

from myhdl_fsa.config import Config
from myhdl_fsa.fpga.devices import DEVICES
from myhdl_fsa.fpga.extrapolation import extrapolated
from myhdl_fsa.fpga.resources import XCUP, Resources
from myhdl_fsa.fpga.synthesis import Area, Part, synthesize

CARD = DEVICES["xcu55c"]


def array(side, **memory):
    """Made up: PEs that are alike, columns, a skew of their square, and a RAM."""
    return Area((Part("pe", side * side, Resources(700, 100, 1)), Part("column", side, Resources(1000, 50, 2)),
                 Part("skew", 1, Resources(0, 8 * side * side)), Part("row", side, Resources(10 * side)),
                 Part("ram", 1, Resources(**memory))))


def test_what_grows_by_a_rule_is_found_exactly():
    counts = {part.name: part.times for part in array(64).parts}
    for doublings, side in ((1, 32), (2, 64)):
        counts = {part.name: part.times for part in array(side).parts}
        found = extrapolated(array(8, lut=30), array(16, bram=4), doublings, counts, {"ram": Resources(bram=29)})
        assert found == array(side, bram=29)


def test_limits_of_growing():
    alone = Area((Part("a", 1, Resources(lut=100, ff=8, dsp=1)),))
    below = Area((Part("a", 1, Resources(lut=10, ff=9)),))
    found = extrapolated(below, alone, 1, {"a": 2, "b": 1}, {"b": Resources(lut=1)})
    # no faster than fourfold, never less, and nothing is known of what was not there before
    assert found.parts == (Part("a", 2, Resources(lut=400, ff=8, dsp=1)), Part("b", 1, Resources(lut=1)))
    assert extrapolated(Area(()), alone, 5, {"a": 1}, {}) == alone
    with pytest.raises(ValueError, match="the smaller array has no new"):
        extrapolated(below, alone, 1, {"a": 1, "new": 1}, {})


@pytest.mark.slow
@pytest.mark.parametrize("fields", [{}, fpga.STREAM], ids=["fsa", "stream"])
def test_an_array_that_was_synthesised(fields):
    """Minutes: N = 16 from 4 and 8, within a few per cent."""
    sizes = {size: synthesize(fpga._hierarchy(Config(rows=size, **fields)), "core", XCUP, lambda *_: None)
             for size in (4, 8, 16)}
    guessed = fpga.larger_area(Config(rows=16, **fields), "core", CARD, {size: sizes[size] for size in (4, 8)})
    measured, found = sizes[16].total.to_dict(), guessed.total.to_dict()
    assert found["dsp"] == measured["dsp"] == 16 * 16 + 2 * 16
    for name in ("lut", "ff", "bram"):
        assert found[name] == pytest.approx(measured[name], rel=0.02), name


@pytest.mark.slow
def test_the_clock_of_a_small_module():
    assert fpga.clock(Config(), "input_skew", DEVICES["ecp5-25k"], 12.0) > 50


def test_machines():
    assert list(fpga.MACHINES) == ["fsa", "stream", "stream M=1", "stream M=2", "stream H=2", "stream M=1 H=2",
                                   "stream M=2 H=2"]
    for fields in fpga.MACHINES.values():
        assert Config(rows=8, **fields).fits_accelerator
    assert fpga.machines(["dataflow=stream,exp2_pieces=16"])["dataflow=stream,exp2_pieces=16"] == {
        "dataflow": "stream", "exp2_pieces": 16}


def run(monkeypatch, capsys, *args):
    """The script's output, with every module of a device a made-up one."""
    monkeypatch.setattr(sys, "argv", ["fpga", *args])
    monkeypatch.setattr(fpga, "area", lambda config, top, device: array(config.rows))
    monkeypatch.setattr(fpga, "larger_area", lambda config, top, device, smaller: array(config.rows))
    monkeypatch.setattr(fpga, "clock", lambda config, top, device, aim: 2 * aim)
    fpga.main()
    return capsys.readouterr().out


def test_the_table_and_what_fits(monkeypatch, capsys):
    text = run(monkeypatch, capsys, "--only", "fsa", "--top", "core", "--extrapolate", "64")
    assert text.splitlines() == [
        "| core on XCU55C | N | LUT | FF | DSP48E2 | BRAM36 | URAM | of the part |",
        "|---|---|---|---|---|---|---|---|",
        "| fsa | 4 | 15360 | 1928 | 24 | 0 | 0 | 1.2% |", "| fsa | 8 | 53440 | 7312 | 80 | 0 | 0 | 4.1% |",
        "| fsa | 16 | 197760 | 28448 | 288 | 0 | 0 | 15.2% |",
        "| fsa | 64, extrapolated | 2972160 | 445568 | 4224 | 0 | 0 | 228.0% |", "",
        "fsa: core of N=40 is the largest that fits, with 90% of the LUT", ""]


def test_a_clock_where_a_router_exists(monkeypatch, capsys):
    text = run(monkeypatch, capsys, "--quick", "--device", "ecp5-85k", "--route", "20", "--only", "stream M=1")
    assert "| stream M=1 | 4 | 15360 | 1928 | 24 | 0 | 18.4% | 40.0 MHz |" in text.splitlines()
    assert "accelerator on LFE5U-85F" in text and "core on LFE5U-85F" in text
    # what is too big is not placed
    text = run(monkeypatch, capsys, "--size", "16", "--device", "ecp5-25k", "--route", "--only", "fsa", "--top", "core")
    assert "MHz" not in text and "| fsa | 16 |" in text


@pytest.mark.parametrize(("args", "message"), [
    (["--route"], "--route: XCU55C has no open router"),
    (["--extrapolate", "64", "--size", "4"], "--extrapolate: the two largest sizes must be one twice the other"),
    (["--only", "x"], "--only x: must be of fsa, stream"),
])
def test_bad_usage(monkeypatch, capsys, args, message):
    monkeypatch.setattr(sys, "argv", ["fpga", *args])
    with pytest.raises(SystemExit) as ended:
        fpga.main()
    assert ended.value.code == 2 and message in capsys.readouterr().err


def test_a_machine_that_cannot_be_is_named(monkeypatch, capsys):
    assert "left out: " in run(monkeypatch, capsys, "--quick", "--only", "mac_stages=1", "--machine", "mac_stages=1",
                               "--top", "core")

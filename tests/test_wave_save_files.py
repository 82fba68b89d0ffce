"""The save files beside a waveform: what they name is in it, in the groups declared, and floats read as floats."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import pywellen
from click.testing import CliRunner

from myhdl_fsa.arithmetic.formats import BF16, E4M3, E5M2, FP16, FP32, TF32, as_format
from myhdl_fsa.cli import save_files
from myhdl_fsa.cli.sim import main
from myhdl_fsa.config import Config
from myhdl_fsa.convert.design import design
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.isa import Function
from myhdl_fsa.sims import gtkwave_save, surfer_commands, wave_contents
from myhdl_fsa.sims.wave_contents import contents, kind
from myhdl_fsa.sims.wave_groups import FEW
from myhdl_fsa.sims.wave_scopes import scope_of
from myhdl_fsa.sims.wave_values import CODES, FLAGS, MOST, float_text, reader, translate
from myhdl_fsa.sims.wave_view import Section, Signal, sections

FOUR = Config(rows=4, cols=4)
BOTH = [(dataflow, top) for dataflow in ("fsa", "stream") for top in ("core", "accelerator")]


# ---- the filter

@pytest.mark.parametrize("fmt", [FP16, BF16, FP32, TF32, E4M3, E5M2, as_format("e3m2"), as_format("e6m9")], ids=str)
def test_floats_are_the_shortest_text_of_their_bits(fmt):
    if fmt.width <= 10:
        patterns = range(1 << fmt.width)
    else:
        edges = [fmt.one - 1, fmt.one, fmt.one + 1, 1 << fmt.mantissa_bits, fmt.infinity - 1]
        patterns = [*edges, *np.random.default_rng(1).integers(0, 1 << fmt.width, 400)]
    for bits in map(int, patterns):
        text, exponent = float_text(fmt, bits), bits >> fmt.mantissa_bits & fmt.exponent_max
        if exponent == fmt.exponent_max:
            assert text == {0: "inf"}.get(bits & fmt.mantissa_mask, "nan") or text == "-inf" and bits >> fmt.width - 1
        elif exponent == 0:
            assert text == ("-0" if bits & fmt.sign_mask else "0")
        else:
            assert int(from_float(np.array(float(text)), fmt)) == bits, text
    assert float_text(fmt, fmt.one) == "1"
    assert float_text(fmt, fmt.minus_infinity) == "-inf"


def test_floats_as_numpy_prints_them():
    some = np.random.default_rng(2).normal(size=300).astype(np.float32)
    for dtype, unsigned, fmt in ((np.float16, np.uint16, FP16), (np.float32, np.uint32, FP32)):
        numbers = some.astype(dtype)
        for number, bits in zip(numbers, numbers.view(unsigned), strict=True):
            digits = len(str(number).replace("-", "").replace(".", "").lstrip("0"))
            text = float_text(fmt, int(bits))
            assert dtype(text) == number
            assert len(text.replace("-", "").replace(".", "").lstrip("0")) <= digits


def said(kind_, *values):
    out = io.StringIO()
    translate(kind_, values, out)
    return out.getvalue().splitlines()


def test_rows_codes_and_bits():
    assert said("fp16", "3C00\n", "C40042004000BC00", "xx00", "zzzz\n", "7E00", "") == [
        "1", "-1 2 3 -4", "xx00", "zzzz", "nan", ""]
    assert said("tf32", f"{0x1FC00 | 0x20000 << 19:010X}"[-10:])[0].split()[0] == "1"
    assert said("function", *(f"{f.value:02X}" for f in Function), "1F") == [*(f.name.lower() for f in Function), "31"]
    assert said("fsa.pe", "000", "003", "100") == ["-", "mac acc_ui", "flow_du"]
    assert said("state", "0", "3") == ["idle", "error"]
    (row,) = said("fp32", "3EAAAAAB" * 256)
    assert len(row) == MOST
    assert row.endswith(" ...")
    with pytest.raises(ValueError, match="must be one of fp16"):
        said("fp99")


def test_the_filter_answers_each_line_at_once():
    """As GTKWave uses it, which waits for an answer before it asks again."""
    command = Path(sys.executable).with_name(gtkwave_save.FILTER)
    with subprocess.Popen([command, "e5m10"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          bufsize=1) as process:
        for digits, text in (("3C00", "1"), ("xxxx", "xxxx"), ("B555", "-0.3333")):
            process.stdin.write(f"{digits}\n")
            assert process.stdout.readline() == f"{text}\n"
        process.stdin.close()
        assert process.wait(10) == 0
    done = subprocess.run([command, "double"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert done.stderr.startswith("fsa-wave-value: error: KIND float format 'double': must be one of fp16")


# ---- what signals hold

def scopes_of(config, top, scope=None, name=None):
    if scope is None:
        scope, name = scope_of(design(config, top).top), top
    yield name, scope
    for child_name, child in scope.children:
        yield from scopes_of(config, top, child, child_name)


def test_what_is_declared_is_there_and_has_the_width_of_its_format():
    tables = [wave_contents._ALL, wave_contents._FSA, wave_contents._STREAM]
    met = {}
    for dataflow in ("fsa", "stream"):
        config = FOUR.replace(dataflow=dataflow, elem=as_format("e5m6"), acc=as_format("e8m14"), reciprocal="newton")
        for name, scope in scopes_of(config, "accelerator"):
            widths = {p.name: p.width for p in scope.probes} | {f.name: f.width for f in scope.fields}
            for signal, content in contents(scope.block, name).items():
                said_kind = kind(content, config)
                where = f"{dataflow} {name}.{signal}"
                assert signal in widths, where
                if content in (wave_contents.ELEM, wave_contents.ACC):
                    assert widths[signal] in (n * as_format(said_kind).width for n in (1, config.cols)), where
                elif content in FLAGS:
                    assert widths[signal] == len(FLAGS[content]), where
                else:
                    assert max(CODES[content]) < 1 << widths[signal], where
            met.setdefault(scope.block.func.__name__, set()).add(dataflow)
    assert {block for table in tables for block in table} <= met.keys()
    for kind_ in (*CODES, *FLAGS):
        assert reader(kind_)(8, 1)


# ---- the groups

def lines(section):
    """How many lines a viewer shows of a group at first."""
    return 1 + (len(section.signals) + sum(map(lines, section.sections)) if section.open else 0)


def flat(section):
    return [*section.signals, *(signal for inner in section.sections for signal in flat(inner))]


@pytest.mark.parametrize(("dataflow", "top"), BOTH)
@pytest.mark.parametrize("size", [2, 4, 16, 64])
def test_groups_stay_few_lines(dataflow, top, size):
    config = Config(rows=size, cols=size, dataflow=dataflow)
    shown = sections(config, top)
    assert sum(map(lines, shown)) <= 120
    named = [signal.path for section in shown for signal in flat(section)]
    for row in (0, size - 1):
        for column in range(size if size <= FEW else 1):
            inside = "core.systolic" if top == "core" else "accelerator.core.systolic"
            register = "register" if dataflow == "fsa" else "weight"
            assert f"{inside}.pe_row_{row}.pe_{column}.{register}" in named
    assert len(named) < 2000


def test_numbers_are_known():
    found = {signal.path: signal for section in sections(FOUR, "core") for signal in flat(section)}
    assert found["core.systolic.pe_row_3.pe_2.register"] == Signal("core.systolic.pe_row_3.pe_2.register", 16, "fp16")
    assert found["core.systolic.comparator_1.new_max"].kind == "fp32"
    assert found["core.scratchpad.read_data"] == Signal("core.scratchpad.read_data", 64, "fp16")
    assert found["core.scratchpad.read_row"].kind == "decimal"
    assert found["core.matrix_controller.instruction_accumulator_stride"].kind == "signed"
    assert found["core.scratchpad.read"].kind is None
    assert found["core.matrix_controller.instruction_function"].kind == "function"


def test_a_signal_that_is_not_there_is_an_error(monkeypatch):
    from myhdl_fsa.sims import wave_groups, wave_view
    group = wave_groups.Group("wrong", ("systolic.nothing",))
    monkeypatch.setitem(wave_view.CORE, "fsa", (group,))
    with pytest.raises(LookupError, match="^no signal core.systolic.nothing: no nothing$"):
        sections(FOUR, "core")


# ---- GTKWave's file

def parsed(text):
    """The groups of a GTKWave save file, with its signals' names, widths and kinds."""
    stack, flags, kinds = [("", True, [], [])], 0, {}
    filter_ = None
    for line in text.splitlines():
        if line.startswith("@"):
            flags = int(line[1:], 16)
        elif line.startswith("^>"):
            number, filter_ = line[2:].split(" ", 1)
            assert kinds.setdefault(number, filter_) == filter_
        elif line.startswith("-"):
            if flags & 0x800000:
                stack.append((line[1:], not flags & 0x400000, [], []))
            else:
                assert flags & 0x1000000
                title, shown, signals, inside = stack.pop()
                assert title == line[1:]
                stack[-1][3].append(Section(title, tuple(signals), tuple(inside), shown))
        elif line.startswith("+{"):
            path, _, high = line.split("} ")[1].partition("[")
            width = int(high.split(":")[0]) + 1 if high else 1
            command, _, kind_ = (filter_ or "").partition(" ") if flags & 0x4000 else ("", "", None)
            assert command == ("fsa-wave-value" if kind_ else "")
            if not kind_:
                kind_ = "decimal" if flags & 4 else "signed" if flags & 0x400 else None
            stack[-1][2].append(Signal(path, width, kind_))
        else:
            assert line.startswith(("[", "*")), line
    (_, _, outside, found), = stack
    assert outside == []
    return tuple(found)


@pytest.mark.parametrize(("dataflow", "top"), BOTH)
def test_gtkwave_has_the_groups(dataflow, top):
    shown = sections(FOUR.replace(dataflow=dataflow), top)
    text = gtkwave_save.text(shown, "run.vcd", "run.gtkw", top, 7)
    assert parsed(text) == shown
    assert text.splitlines()[:3] == [gtkwave_save.MARK, '[dumpfile] "run.vcd"', '[savefile] "run.gtkw"']
    assert "[timestart] 70" in text.splitlines()
    assert "/" not in text.replace(gtkwave_save.MARK, "")


# ---- Surfer's file

class Surfer:
    """What Surfer's commands do to its list of items, which is a tree written as levels; after its own source."""

    def __init__(self):
        self.items = []  # [level, unfolded, text, format or None for a group]
        self.focus = None  # among those that are visible

    def visible(self):
        shown, hidden_from = [], None
        for index, (level, unfolded, _, _) in enumerate(self.items):
            if hidden_from is not None and level > hidden_from:
                continue
            shown.append(index)
            hidden_from = None if unfolded else level
        return shown

    def position(self):
        if self.focus is None:
            return len(self.items), 0
        shown = self.visible()
        index = shown[self.focus]
        level, unfolded, _, format_ = self.items[index]
        if format_ is None and unfolded:
            return index + 1, level + 1
        if format_ is None:
            return (shown[self.focus + 1] if self.focus + 1 < len(shown) else len(self.items)), level
        return index + 1, level

    def insert(self, text, format_):
        index, level = self.position()
        self.items.insert(index, [level, True, text, format_])
        if self.focus is not None:
            self.focus = self.visible().index(index)
        return index

    def run(self, text):
        for line in text.splitlines():
            command, _, argument = line.split("#")[0].partition(" ")
            if command:
                getattr(self, command)(argument)

    def variable_add(self, path):
        self.insert(path, "")

    def item_focus(self, letters):
        self.focus = int("".join(f"{'abcdefghijklmnop'.index(letter):x}" for letter in letters), 16)
        assert self.focus < len(self.visible())

    def item_unfocus(self, _):
        self.focus = None

    def item_set_format(self, name):
        self.items[self.visible()[self.focus]][3] = name

    def group_marked(self, title):
        assert re.fullmatch(r"\w+", title)  # Surfer takes one word
        own = self.visible()[self.focus]
        level = self.items[own][0]
        self.items[own][0] += 1
        self.items.insert(own, [level, True, title, None])
        self.focus = self.visible().index(own)

    def group_fold_recursive(self, _):
        first = self.visible()[self.focus]
        assert self.items[first][3] is None
        level = self.items[first][0]
        for item in self.items[first:]:
            if item is not self.items[first] and item[0] <= level:
                break
            item[1] = False
        self.focus = None

    def tree(self, at=0, level=0):
        """(title, open, signals, groups) of each group at a level, and where it ends."""
        found = []
        while at < len(self.items) and self.items[at][0] >= level:
            depth, unfolded, text, format_ = self.items[at]
            assert (depth, format_) == (level, None), text
            at, signals = at + 1, []
            while at < len(self.items) and self.items[at][0] == level + 1 and self.items[at][3] is not None:
                signals.append((self.items[at][2], self.items[at][3]))
                at += 1
            inside, at = self.tree(at, level + 1)
            found.append((text, unfolded, signals, inside))
        return found, at


FORMATS = {"fp16": ("FP: 16-bit IEEE 754", 16), "bf16": ("FP: bfloat16", 16), "fp32": ("FP: 32-bit IEEE 754", 32),
           "e5m2": ("FP: 8-bit (E5M2)", 8)}


def as_surfer_has_it(section, depth=0):
    def shown(signal):
        if signal.kind in FLAGS:
            return "Binary"
        if signal.kind in CODES or signal.kind in ("decimal", "signed"):
            return "Signed" if signal.kind == "signed" else "Unsigned"
        name, width = FORMATS.get(signal.kind, ("", 0))
        return name if width == signal.width else ""

    inside = [as_surfer_has_it(inner, depth + 1) for inner in section.sections]
    return (section.title, section.open and depth == 0, [(s.path, shown(s)) for s in section.signals], inside)


@pytest.mark.parametrize(("dataflow", "top"), BOTH)
@pytest.mark.parametrize("size", [4, 17])
def test_surfer_has_the_groups(dataflow, top, size):
    config = Config(rows=size, cols=size, dataflow=dataflow, elem=BF16 if size == 4 else E5M2)
    shown = sections(config, top)
    surfer = Surfer()
    text = surfer_commands.text(shown)
    surfer.run(text)
    tree, end = surfer.tree()
    assert end == len(surfer.items)
    assert tree == [as_surfer_has_it(section) for section in shown]
    assert any(format_ == FORMATS[config.elem.name][0] for *_, format_ in surfer.items)
    assert text.startswith(f"{surfer_commands.MARK}\n")


def test_surfer_shows_no_format_that_it_reads_otherwise():
    config = FOUR.replace(elem=E4M3)
    assert "FP: 8-bit" not in surfer_commands.text(sections(config, "core"))


# ---- with a run

def run(*arguments, status=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == status, done.output
    return done


ENGINES = [
    *(("myhdl", "vcd", *one) for one in BOTH), ("icarus", "fst", "fsa", "core"),
    *(pytest.param("icarus", "fst", *one, marks=pytest.mark.slow) for one in BOTH[1:]),
    *(pytest.param("verilator", "vcd", *one, marks=pytest.mark.slow) for one in BOTH),
]


@pytest.mark.parametrize(("name", "suffix", "dataflow", "top"), ENGINES)
def test_every_signal_named_is_in_the_waveform(tmp_path, name, suffix, dataflow, top):
    built = [] if name == "myhdl" else ["--build-dir", tmp_path / "built"]
    run("--engine", name, "--dataflow", dataflow, "--top", top, "--vcd", tmp_path / f"run.{suffix}", "--wave-to", 5,
        "--quiet", *built)
    widths = {v.full_name: v.bitwidth for v in pywellen.Waveform(str(tmp_path / f"run.{suffix}")).all_vars()}
    gtkwave = [s for section in parsed((tmp_path / "run.gtkw").read_text()) for s in flat(section)]
    assert len(gtkwave) > 100
    assert [widths.get(signal.path) for signal in gtkwave] == [signal.width for signal in gtkwave]
    surfer = re.findall(r"^variable_add (.*)$", (tmp_path / "run.sucl").read_text(), re.MULTILINE)
    assert surfer == [signal.path for signal in gtkwave]
    assert f'[dumpfile] "run.{suffix}"' in (tmp_path / "run.gtkw").read_text()


@pytest.fixture
def small(tmp_path):
    """A run with few cycles in its waveform."""
    def go(*arguments, status=0):
        return run("--top", "core", "--vcd", tmp_path / "w.vcd", "--wave-to", 2, *arguments, status=status)

    return go


def test_a_file_of_somebody_elses_stays(tmp_path, small):
    small("--quiet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.gtkw", "w.sucl", "w.vcd"]
    ours = (tmp_path / "w.gtkw").read_text()
    # a later run's replaces it, but not what GTKWave saved, or what lost its first line
    (tmp_path / "w.gtkw").write_text("[*]\n[*] GTKWave Analyzer v3.3.118\n")
    (tmp_path / "w.sucl").write_text(f"{surfer_commands.MARK}\nzoom_fit\n")
    # a run that fails says so too, and sooner: it compares nothing
    said_ = small("--max-cycles", 30, status=1).stderr.splitlines()
    assert said_[:-1] == [f"fsa-sim: warning: --vcd {tmp_path}/w.vcd: {tmp_path}/w.gtkw is not of fsa-sim's writing "
                          "and stays as it is: remove it to have a new one"]
    assert (tmp_path / "w.gtkw").read_text().startswith("[*]\n")
    assert "zoom_fit" not in (tmp_path / "w.sucl").read_text()
    (tmp_path / "w.gtkw").unlink()
    (tmp_path / "w.gtkw").mkdir()
    assert small("--quiet").stderr == ""
    (tmp_path / "w.gtkw").rmdir()
    (tmp_path / "w.gtkw").symlink_to("elsewhere")
    small("--quiet")
    assert (tmp_path / "elsewhere").read_text() == ours
    assert (tmp_path / "w.gtkw").is_symlink()


def test_a_run_that_fails(tmp_path, small):
    assert "cycle limit" in small("--max-cycles", 30, status=1).stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["w.gtkw", "w.sucl", "w.vcd"]
    for path in tmp_path.iterdir():
        path.unlink()
    run("--vcd", tmp_path / "w.vcd", "--top", "core", "--wave-from", 5000, status=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("full", [".gtkw", ".sucl"])
def test_a_full_disk(tmp_path, small, monkeypatch, full):
    whole = save_files.atomic_path

    @contextmanager
    def on_a_full_disk(path):
        with whole(path) as beside:
            yield Path("/dev/full") if path.suffix == full else beside

    monkeypatch.setattr(save_files, "atomic_path", on_a_full_disk)
    assert small(status=1).stderr.splitlines()[-1] == (
        f"fsa-sim: error: --vcd {tmp_path}/w.vcd: cannot write its save file {tmp_path}/w{full}: "
        "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_names_that_clash(tmp_path):
    def refused(*arguments):
        return run(*arguments, status=2).stderr

    assert "--vcd run.gtkw: is the name of a save file" in refused("--vcd", "run.gtkw")
    assert "must be another, as run.vcd" in refused("--vcd", "run.sucl")
    clash = refused("--vcd", tmp_path / "a.vcd", "--json", tmp_path / "a.sucl")
    assert f"--vcd {tmp_path}/a.vcd: its save file {tmp_path}/a.sucl is the file of --json too" in clash
    long = tmp_path / f"{'x' * 251}.vcd"
    assert "cannot write its save file" in refused("--vcd", long)
    assert list(tmp_path.iterdir()) == []

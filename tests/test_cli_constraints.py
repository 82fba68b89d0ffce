"""The options of fsa-sim by twos: what the table of constraints refuses is refused in its words, and in every pair that
it accepts each of the two options changes what the command does."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import combinations

import click
import numpy as np
import pytest
from click.testing import CliRunner
from programs import Attention

import myhdl_fsa.engine
import myhdl_fsa.sims.build_cache
import myhdl_fsa.sims.lockstep
from myhdl_fsa.cli.command import GroupedCommand, option
from myhdl_fsa.cli.constraints import Alone, Excludes, Lacks, Needs, Together, listed, uses
from myhdl_fsa.cli.sim import main
from myhdl_fsa.cli.sim_options import CONSTRAINTS, GROUPS
from myhdl_fsa.config import Config, preset
from myhdl_fsa.engine import EngineResult, Watch, engine
from myhdl_fsa.engine.base import Engine
from myhdl_fsa.golden.engine import GoldenEngine
from myhdl_fsa.isa import encode_all
from myhdl_fsa.program import Counters, Timing
from myhdl_fsa.sims.lockstep import LockstepReport
from myhdl_fsa.workbench import metrics
from myhdl_fsa.workbench.run_report import figures

CONFIG = preset("FSA4X4Fp16Config")
BASE = CONFIG.memory_base
OPTIONS = [item for group in GROUPS.values() for item in group]

# Every option with values other than its default; None for a flag. A new option needs a line here.
CASES = {
    "--seq-q": ["8"], "--seq-kv": ["11"], "--batch": ["3"], "--heads": ["2"], "--kv-heads": ["1"],
    "--head-dim": ["2"], "--scale": ["0.3"], "--seed": ["3"], "--distribution": ["fa3"], "--q": ["in/q.npy"],
    "--k": ["in/k.npy"], "--v": ["in/v.npy"], "--causal": [None], "--out": ["o.npy"], "--program": ["in/p.bin"],
    "--load": [f"{BASE}=in/load.npy"], "--dump": [f"{BASE}:8=dumped"], "--config": ["in/c.json"],
    "--reciprocal": ["division"], "--dataflow": ["stream"], "--compare": ["fsa,stream"], "--top": ["core"],
    "--engine": ["golden", "verilator", "icarus"],
    "--build-dir": ["builds"], "--max-cycles": ["100000"], "--mem-latency": ["5"], "--mem-bandwidth": ["1/2"],
    "--mem-stall": ["5"], "--push-interval": ["7"], "--diff": [None], "--diff-verbose": [None], "--diff-only": [None],
    "--lockstep": ["icarus"], "--json": ["run.json"], "--report": ["r.html"], "--dump-asm": ["p.s"],
    "--vcd": ["w.vcd", "w.fst"], "--trace": ["t.jsonl"],
    "--animate": ["a.html", "a.gif", "a.png"], "--wave-from": ["2"], "--wave-to": ["30"], "--quiet": [None],
    "--clear-cache": [None],
}
TRACE = engine("myhdl").attention(*(np.zeros((2, 2), np.uint16),) * 3, Config(rows=2), record=True,
                                   wave_from=20, wave_to=21).recorded
OWN = {"--q", "--k", "--v"}
# Accepted, though one of the two changes nothing: it asks for what the other does anyway, or is only checked.
WITHOUT_EFFECT = {
    ("--diff", "--diff-verbose"), ("--diff-only", "--engine golden"), ("--diff", "--compare fsa,stream"),
    *((length, own) for length in ("--seq-q", "--seq-kv", "--head-dim") for own in OWN),
    ("--batch", "--kv-heads"),  # which are one head then anyway
}


class Recording(Engine):
    """An engine with the golden model's results and a clock that notes what it was asked."""

    def __init__(self, name, calls, build_dir=None):
        self.name, self.calls, self.build_dir = name, calls, build_dir

    def note(self, request, watch, tensors=()):
        """Only what an engine of this name heeds."""
        if self.name == "golden":
            top = {"top": "accelerator"} if tensors else {}
            request, watch = replace(request, timing=Timing(), **top), Watch(trace=watch.trace)
        self.calls.append((self.name, str(self.build_dir), repr(replace(request, **dict.fromkeys(tensors))),
                           [(getattr(request, name).shape, getattr(request, name).tobytes()) for name in tensors],
                           watch.trace, watch.waits, watch.max_cycles, watch.vcd and watch.vcd.suffix,
                           watch.wave_from, watch.wave_to, watch.record))
        if watch.vcd is not None:
            watch.vcd.write_text("wave")
        return TRACE if watch.record else None

    def run_attention(self, request, watch):
        recorded = self.note(request, watch, "qkv")
        result = GoldenEngine().run_attention(request, replace(watch, record=False))
        if self.name == "golden":
            return result
        return EngineResult(result.output, 50, None, {}, Counters(*range(10)) if request.top != "core" else None,
                            recorded=recorded)

    def run_programs(self, request, watch):
        self.note(request, watch)
        executions = GoldenEngine().run_programs(request, watch)
        return [replace(one, counters=None if self.name == "golden" else Counters(*range(10))) for one in executions]


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """Runs a command line, and gives all that it did: what it printed, wrote and asked of the engines."""
    calls = []
    for name in myhdl_fsa.engine.ENGINES:
        monkeypatch.setitem(myhdl_fsa.engine.ENGINES, name,
                            lambda build_dir=None, name=name: Recording(name, calls, build_dir))

    def lockstep(*args, **kwargs):
        calls.append(("lockstep", repr(args), repr(kwargs)))
        return LockstepReport("icarus", 1, 1, 1)

    monkeypatch.setattr(myhdl_fsa.sims.lockstep, "lockstep", lockstep)
    monkeypatch.setattr(myhdl_fsa.sims.lockstep, "device_lockstep", lockstep)
    monkeypatch.setattr(myhdl_fsa.sims.build_cache, "default_root", lambda: tmp_path / "cache")  # not the user's
    monkeypatch.setattr(metrics, "torch_attention",
                        lambda work, *_: np.ones((*work.q.shape[:-1], work.v.shape[-1]), np.float16))
    monkeypatch.setattr(figures, "draw", lambda *_: "<svg></svg>")  # tests/test_report.py looks at them
    monkeypatch.chdir(tmp_path)
    inputs = tmp_path / "in"
    inputs.mkdir()
    for seed, name in enumerate("qkv"):
        shape = {"q": (8, 2), "k": (11, 2), "v": (11, 4)}[name]
        np.save(inputs / f"{name}.npy", np.random.default_rng(seed).random(shape))
    # Q goes into the array and the device stops: what any dataflow takes
    instructions = Attention(CONFIG, seed=1).kernel.instructions
    words = encode_all([instructions[0], instructions[1], instructions[-1]])
    (inputs / "p.bin").write_bytes(np.array(words, "<u4").tobytes())
    np.save(inputs / "load.npy", np.arange(8, dtype=np.uint16))
    (inputs / "c.json").write_text(CONFIG.replace(exp2_pieces=4).to_json())

    def run(args):
        calls.clear()
        result = CliRunner().invoke(main, args)
        assert isinstance(result.exception, SystemExit | None), (args, result.exception)
        written = {path.name: path for path in tmp_path.iterdir() if path.is_file()}
        contents = {name: path.read_bytes() for name, path in written.items()}
        for path in written.values():
            path.unlink()
        if "run.json" in contents:
            document = json.loads(contents["run.json"])
            del document["run"]  # which repeats the options, whatever they do
            contents["run.json"] = json.dumps(document)
        if "r.html" in contents:
            contents["r.html"] = re.sub(rb'<section id="run">.*?</section>', b"", contents["r.html"], flags=re.S)
        return result.exit_code, result.stdout, result.stderr, contents, list(calls)

    return run


def words(case):
    name, value = case
    return (name,) if value is None else (name, value)


def text(case):
    return " ".join(words(case))


def completed(pair):
    """A pair with what either needs, so that nothing is refused for the lack of that alone."""
    cases = dict(pair)
    for row in CONSTRAINTS:
        needed = []
        if isinstance(row, Needs) and any(use.option in cases for use in uses(row.options)):
            needed = [] if any(use.option in cases for use in uses(row.others)) else [uses(row.others)[0].option]
        elif isinstance(row, Together) and any(use.option in cases for use in uses(row.options)):
            needed = [use.option for use in uses(row.options)]
        for name in needed:
            cases.setdefault(name, CASES[name][0])
    if "--build-dir" in cases and not {"--engine", "--lockstep"} & set(cases):
        cases["--engine"] = "icarus"
    if cases.get("--vcd") == "w.fst":
        cases.setdefault("--engine", "verilator")
    return cases


def test_in_every_pair_both_options_are_obeyed_or_one_is_refused(recorded):
    assert set(CASES) == {item.opts[0] for item in OPTIONS}
    known = {}

    def run(cases):
        args = tuple(word for case in cases for word in words(case))
        if args not in known:
            known[args] = recorded(args)
        return known[args]

    wrong, refused = [], 0
    every = [(name, value) for name, values in CASES.items() for value in values]
    for one, other in combinations(every, 2):
        if one[0] == other[0]:
            continue
        cases = completed((one, other))
        status, out, err, files, calls = found = run(cases.items())
        if status:
            refused += 1
            lines = err.splitlines()
            whole = status == 2 and (out, files, calls) == ("", {}, []) and len(lines) == 1
            if not whole or not any(f"error: {text(case)}: " in err for case in cases.items()):
                wrong.append(f"{text(one)} with {text(other)}: not one line of an error: {status} {out} {err}")
            continue
        for case in (one, other):
            # what remains must not end as the pair did
            rest = [item for item in cases.items() if item != case]
            if run(rest) == found and not {(text(one), text(other)), (text(other), text(one)), (one[0], other[0])} \
                    & WITHOUT_EFFECT:
                wrong.append(f"{text(case)} changes nothing in: {cases}")
    assert not wrong, "\n".join(wrong)
    assert 50 < refused < 200  # some are, and by far not all


def example(use):
    """A use as it is written on a command line, with underscores."""
    values = use.patterns or CASES[use.option][:1]
    value = values[0]
    spelling = f"--{use.option[2:].replace('-', '_')}"
    return (spelling,) if value is None else (spelling, value.replace("*", "w"))


def rows(kind):
    return [row for row in CONSTRAINTS if isinstance(row, kind)]


def refused(args):
    result = CliRunner().invoke(main, args)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    return result.stderr


@pytest.mark.parametrize("row", rows(Lacks | Excludes), ids=lambda row: row.options)
def test_what_a_row_refuses_is_said_as_it_was_written(recorded, row):
    places = row.where if isinstance(row, Lacks) else row.others
    for use in uses(row.options):
        for place in uses(places):
            written, beside = example(use), example(place)
            message = refused([*written, *beside])
            assert message.startswith(f"fsa-sim: error: {' '.join(written)}: "), message
            assert " ".join(beside) in message
            if isinstance(row, Excludes):
                assert f"is about {row.about}" in message


@pytest.mark.parametrize("row", rows(Needs | Together), ids=lambda row: row.options)
def test_what_an_option_needs_is_said(recorded, row):
    for use in uses(row.options):
        message = refused(example(use))
        needed = listed(row.others.split(", ")) if isinstance(row, Needs) else " and ".join(
            other.option for other in uses(row.options) if other != use)
        assert message.startswith(f"fsa-sim: error: {' '.join(example(use))}: needs {needed}"), message


@pytest.mark.parametrize(("args", "says"), [
    ("--max_cycles 9 --engine golden", "--max_cycles 9: --engine golden has no clock: "
                                       "needs --engine myhdl, verilator or icarus, or --lockstep"),
    ("--max-cycles=9 --diff_only", "--max-cycles 9: --diff_only has no clock: leave one of them out, "
                                   "or add --lockstep"),
    ("--top core --engine golden", "--top core: --engine golden simulates no hardware: "
                                   "needs --engine myhdl, verilator or icarus, or --lockstep"),
    ("--diff-only --engine verilator", "--engine verilator: --diff-only runs the golden model alone: "
                                       "leave one of them out"),
    ("--seed 0 --q q --k k --v v", "--seed 0: is about generated tensors: cannot go with --q q"),
    ("--build_dir x", "--build_dir x: --engine myhdl builds nothing: needs --engine verilator or icarus, "
                      "or --lockstep, or --clear-cache"),
    ("--vcd a.fst --engine myhdl", "--vcd a.fst: --engine myhdl writes no FST: needs --engine verilator or icarus, "
                                   "or a name that ends in .vcd"),
    ("--wave-from 9 --wave-to 8 --vcd a.vcd", "--wave-to 8: must not be less than --wave-from 9"),
    ("--wave-from 9", "--wave-from 9: needs --vcd, --trace or --animate"),
    ("--animate a.html --engine verilator", "--animate a.html: --engine verilator does not show what the machine "
                                            "holds: needs --engine myhdl"),
    ("--trace t --diff-only", "--trace t: --diff-only does not show what the machine holds: leave one of them out"),
    ("--trace t --compare fsa,stream", "--trace t: is about one dataflow: cannot go with --compare fsa,stream"),
    ("--animate a.gif --program p.s", "--animate a.gif: is about attention: cannot go with --program p.s"),
    ("--animate a.avi", "--animate a.avi: must be a name that ends in .html, .gif or .png"),
    ("--animate -", "--animate -: must be a name that ends in .html, .gif or .png"),
    ("--trace t --config FSA32X32Fp16Config", "--trace t: the array is 32 x 32: must be at most 16 x 16"),
    ("--animate a.png --config STREAM32X32Fp16Config", "--animate a.png: the array is 32 x 32: must be at most 16 x "
                                                       "16"),
    ("--mem_stall 3 --top core", "--mem_stall 3: --top core has no instructions and no memory: "
                                 "needs --top accelerator"),
    ("--report a.html --program p.s", "--report a.html: is about attention: cannot go with --program p.s"),
    ("--compare fsa,stream --vcd a.vcd", "--vcd a.vcd: is about one dataflow: cannot go with --compare fsa,stream"),
    ("--compare stream,fsa --dataflow stream", "--dataflow stream: is about one dataflow: cannot go with "
                                               "--compare stream,fsa"),
    ("--compare fsa,stream --engine golden", "--compare fsa,stream: --engine golden simulates no hardware: "
                                             "needs --engine myhdl, verilator or icarus"),
    ("--dataflow stream --diff-only", "--dataflow stream: --diff-only runs no dataflow: leave one of them out, "
                                      "or add --lockstep, or add --dump-asm, or add --program"),
    *((f"--compare {value}", f"--compare {value}: must be two or more of 'fsa', 'stream', each once, with commas "
       "between them") for value in ("fsa", "fsa,fsa", "fsa,waves", "fsa,", "fsa,stream,fsa")),
    ("--dataflow waves", "--dataflow waves: must be one of 'fsa', 'stream'"),
    ("--seed 1e3", "--seed 1e3: must be an integer from 0 to 4294967295"),
    ("--seq_q four", "--seq_q four: must be an integer from 1 to 1048576"),
    ("--max_cycles=-1", "--max_cycles -1: must be an integer from 1"),
    ("--push_interval 1_0", "--push_interval 1_0: must be an integer from 1 to 1000000"),
    ("--seq_kv 0", "--seq_kv 0: must be an integer from 1 to 1048576"),
    ("--head_dim 5", "--head_dim 5: must be from 1 to 4, the size of the array"),
    ("--kv_heads 2", "--kv_heads 2: must divide the number of heads, 1"),
    ("--scale -1", "--scale -1: must be a positive number"),
    ("--heads 2 --program p.s", "--heads 2: is about attention: cannot go with --program p.s"),
    ("--mem_latency 0", "--mem_latency 0: must be cycles from 1 to 1000000, or two of that with a comma: reads, "
                        "writes"),
    ("--engine vcs", "--engine vcs: must be one of 'myhdl', 'golden', 'verilator', 'icarus'"),
    ("--seq_q", "--seq_q: must be followed by a value"),
    ("--json --dump_asm p.s", "--json: must be followed by a value, not by --dump_asm: write --json=--dump_asm "
                              "if that is its value"),
    ("--diff_only=yes", "--diff_only: is a flag: must have no value"),
    ("--load 0123 --program p", "--load 0123: must be ADDR=FILE.npy, the address in bytes, as 0x80000000=q.npy"),
    ("--seq_z 4", "No such option '--seq_z'. (Did you mean one of: '--seed', '--seq-kv', '--seq-q'?)"),
])
def test_errors_in_full(args, says):
    assert refused(args.split()) == f"fsa-sim: error: {says}\n"


def test_an_endless_value_is_cut_and_an_empty_one_is_seen():
    assert refused(["--seed", "x" * 5000]) == f"fsa-sim: error: --seed {'x' * 200}...: must be an integer from 0 to " \
                                              "4294967295\n"
    assert refused(["--seed", "9" * 5000]).count("9") < 300
    assert refused(["--seed="]) == "fsa-sim: error: --seed '': must be an integer from 0 to 4294967295\n"


def test_a_value_may_look_like_an_option_where_it_is_meant(recorded):
    status, _, _, files, _ = recorded(["--dump-asm=--json", "--diff-only"])
    assert (status, list(files)) == (0, ["--json"])


def test_the_last_of_an_option_counts_in_its_checks():
    assert "--engine golden has no clock" in refused(["--engine", "icarus", "--engine", "golden", "--max-cycles", "5"])


def test_a_command_of_another_table():
    """What a new option costs: its line in a group, its line in the table."""
    ran = []
    command = GroupedCommand(
        "fsa-wave", callback=lambda **given: ran.append(given),
        groups={"Waveform": [option("--vcd"), option("--wave-from", type=int), option("--wave-to", type=int)],
                "Cache": [option("--clear-cache", is_flag=True), option("--quiet", is_flag=True)]},
        constraints=[Alone("--clear-cache", "--quiet"), Needs("--wave-from, --wave-to", "--vcd")],
    )
    result = CliRunner().invoke(command, ["--wave-to", "5"])
    assert (result.exit_code, result.stderr) == (2, "fsa-wave: error: --wave-to 5: needs --vcd\n")
    result = CliRunner().invoke(command, ["--vcd", "x", "--clear-cache"])
    assert result.stderr == "fsa-wave: error: --clear-cache: does nothing else: cannot go with --vcd x\n"
    assert CliRunner().invoke(command, ["--wave-to", "5", "--vcd", "x"]).exit_code == 0
    assert CliRunner().invoke(command, ["--quiet", "--clear-cache"]).exit_code == 0
    assert ran == [{"vcd": "x", "wave_from": None, "wave_to": 5, "clear_cache": False, "quiet": False},
                   {"vcd": None, "wave_from": None, "wave_to": None, "clear_cache": True, "quiet": True}]


def test_help_has_every_option_once_in_its_group():
    shown = CliRunner().invoke(main, ["--help"]).stdout
    sections = {part.split(":\n")[0]: part for part in shown.split("\n\n") if ":\n  --" in part}
    assert list(sections) == [*GROUPS, "Help"]
    for title, group in GROUPS.items():
        for item in group:
            assert isinstance(item, click.Option) and item.help
            assert f"\n  {item.opts[0]} " in sections[title]
            assert sum(f"\n  {item.opts[0]} " in section for section in sections.values()) == 1


def test_completion_of_the_shell(monkeypatch):
    def complete(words_, at):
        environment = {"_FSA_SIM_COMPLETE": "bash_complete", "COMP_WORDS": words_, "COMP_CWORD": str(at)}
        return CliRunner().invoke(main, [], env=environment).stdout.split()

    assert "plain,--seq-q" in complete("fsa-sim --se", 1)
    assert complete("fsa-sim --engine ve", 2) == ["plain,verilator"]
    assert complete("fsa-sim --config FSA16", 2) == ["plain,FSA16X16Fp16Config", "plain,FSA16X16Bf16Config"]

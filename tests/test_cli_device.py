"""fsa-sim's options of the whole device: memory, host, and programs of one's own."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from programs import Attention

from myhdl_fsa.cli.sim import main
from myhdl_fsa.config import preset
from myhdl_fsa.engine import ENGINES
from myhdl_fsa.engine.base import Engine
from myhdl_fsa.golden import device
from myhdl_fsa.isa import Dma, Fence, Function, Matrix, encode_all
from myhdl_fsa.kernel import assemble, disassemble
from myhdl_fsa.program import Counters, ErrorCode, Region, State
from myhdl_fsa.sims.build_time import announcement
from myhdl_fsa.workbench.stored_memory import stored_regions, union

CONFIG = preset("FSA4X4Fp16Config")
BASE = CONFIG.memory_base


def fsa_sim(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def refused(*args, status=2):
    """The one line on standard error of a command that is refused."""
    result = fsa_sim(*args)
    assert result.exit_code == status, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not line.startswith("fsa-sim: warning: ")]
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("fsa-sim: error: ")
    return lines[0]


def binary(path, words):
    path.write_bytes(np.array(words, "<u4").tobytes())
    return path


@pytest.fixture
def attention():
    return Attention(CONFIG, seed=3, tiles_q=1, tiles_kv=2)


@pytest.fixture
def files(tmp_path, attention):
    """A program's options: its words, what it reads, and where its output goes."""
    options = ["--program", binary(tmp_path / "p.bin", attention.program.words)]
    for number, (address, data) in enumerate(attention.program.memory):
        np.save(tmp_path / f"{number}.npy", np.frombuffer(data, np.uint16))
        options += ["--load", f"{address:#x}={tmp_path / f'{number}.npy'}"]
    (region,) = attention.program.outputs
    return [*options, "--dump", f"{region.address}:{region.size}={tmp_path / 'o.bin'}"]


def output(path, attention):
    o_t = np.frombuffer(path.read_bytes(), np.uint32).reshape(CONFIG.rows, -1)
    np.testing.assert_array_equal(o_t.T, attention.expected)


DONE = "Program done: 49 instruction words\n"


@pytest.mark.parametrize("engine", ["myhdl", "golden", "icarus"])
def test_a_program_from_files(files, tmp_path, attention, engine):
    own_cache = ["--build-dir", tmp_path / "builds"] if engine == "icarus" else []
    result = fsa_sim(*files, "--engine", engine, "--json", tmp_path / "run.json", *own_cache)
    said = f"fsa-sim: {announcement('icarus', 'accelerator', CONFIG.rows)}\n" if engine == "icarus" else ""
    assert (result.exit_code, result.stderr) == (0, said)
    assert result.stdout.endswith(DONE)
    output(tmp_path / "o.bin", attention)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["state"], run["error"]) == ("done", "none")
    assert run["bit_exact"] is run["compared_bytes"] is None
    assert list(run["run"]["tools"]) == (["iverilog"] if engine == "icarus" else [])
    assert run["run"]["program"]["words"] == len(attention.program.words)
    assert [one["option"] for one in run["run"]["inputs"]] == ["--program", "--load", "--load", "--load"]
    if engine == "golden":
        assert run["counters"] is None
        assert result.stdout == DONE
    else:
        assert run["counters"]["raw"] == len(attention.program.words)
        assert result.stdout.startswith("Performance counters:\nExecution time: ")


def test_a_program_as_text_and_back(files, tmp_path, attention):
    result = fsa_sim(*files, "--engine", "golden", "--dump-asm", tmp_path / "p.s")
    assert result.exit_code == 0
    assert assemble((tmp_path / "p.s").read_text()) == list(attention.program.words)


def test_a_program_from_text(files, tmp_path, attention):
    (tmp_path / "p.s").write_text(disassemble(attention.program.words))
    result = fsa_sim(*files, "--engine", "golden", "--program", tmp_path / "p.s")
    assert (result.exit_code, result.stderr) == (0, "")
    output(tmp_path / "o.bin", attention)


@pytest.mark.parametrize("engine", ["myhdl", "golden"])
def test_a_program_at_another_scale(files, tmp_path, engine):
    """The program that --scale dumps says what to run it with, and gives with it what attention does."""
    shapes = "--seq-q", 4, "--seq-kv", 8, "--head-dim", 4
    dumped = fsa_sim(*shapes, "--scale", 0.125, "--engine", "golden", "--dump-asm", tmp_path / "p.s")
    assert (dumped.exit_code, dumped.stderr) == (0, "")
    assert (tmp_path / "p.s").read_text().startswith("# runs with --scale 0.125\nload ")
    results = []
    for scale in ((), ("--scale", 0.125)):
        run = fsa_sim(*files, "--program", tmp_path / "p.s", *scale, "--engine", engine, "--quiet")
        assert (run.exit_code, run.stderr) == (0, "")
        results.append((tmp_path / "o.bin").read_bytes())
    expected = Attention(CONFIG, seed=3, tiles_q=1, tiles_kv=2, scale=0.125).expected
    assert results[1] == np.ascontiguousarray(expected.T).astype("<u4").tobytes()
    assert results[0] != results[1]


@pytest.mark.parametrize("text", ["", "fence stop\nmatrix dance\n", "fence stop\n\xff"])
def test_text_that_is_no_program(tmp_path, text):
    (tmp_path / "p.s").write_bytes(text.encode("latin-1"))
    assert f"--program {tmp_path / 'p.s'}: " in refused("--program", tmp_path / "p.s")


def test_text_that_is_not_utf8_is_told_where_and_what_to_do(tmp_path):
    (tmp_path / "p.s").write_bytes(b"fence stop\n# caf\xe9\n")
    assert refused("--program", tmp_path / "p.s").endswith(
        "p.s: line 2: byte 0xe9 is not UTF-8: a name that ends in .s must hold a program as text; "
        "binary words need another name, as p.bin")


def test_text_under_a_large_s_and_under_another_name(files, tmp_path, attention):
    text = disassemble(attention.program.words)
    (tmp_path / "p.S").write_text(text)
    result = fsa_sim(*files, "--engine", "golden", "--program", tmp_path / "p.S")
    assert (result.exit_code, result.stderr, result.stdout) == (0, "", DONE)
    (tmp_path / "p.txt").write_text(text)
    assert refused("--program", tmp_path / "p.txt").endswith(
        "p.txt: holds text: a program as text must have a name that ends in .s")


# Compared with the golden model


def test_a_program_compared_with_the_golden_model(files, tmp_path, attention):
    result = fsa_sim(*files, "--diff", "--json", tmp_path / "run.json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("FSA equals the golden model bit for bit (64 bytes of memory, all that the program "
                                  f"stores or --dump names)\n{DONE}")
    output(tmp_path / "o.bin", attention)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["bit_exact"], run["compared_bytes"]) == (True, 64)


class Wrong(Engine):
    """The golden model with a bit of memory wrong, or another end."""

    def __init__(self, at=None, error=None):
        self.at, self.error = at, error

    def run_attention(self, request, watch):
        raise AssertionError

    def run_programs(self, request, watch):
        assert watch.trace is False
        (program,) = request.programs
        execution = device.execute(program, request.config)
        outputs = [bytearray(data) for data in execution.outputs]
        for region, data in zip(program.outputs, outputs, strict=True):
            if self.at is not None and region.address <= self.at < region.address + region.size:
                data[self.at - region.address] ^= 4
        execution = replace(execution, outputs=tuple(map(bytes, outputs)), counters=Counters())
        return [execution if self.error is None else replace(execution, state=State.ERROR, error=self.error)]


def test_a_program_that_stores_something_else(files, tmp_path, attention, monkeypatch):
    region, = attention.program.outputs
    at = region.address + 17
    monkeypatch.setitem(ENGINES, "myhdl", lambda: Wrong(at))
    # what is compared is what the program stores, dumped or not
    for args in (files, [arg for arg in files if arg != "--dump" and not str(arg).endswith("o.bin")]):
        result = fsa_sim(*args, "--diff", "--json", tmp_path / "run.json")
        assert (result.exit_code, result.stderr) == (1, "")
        line, = re.findall("^FSA .*$", result.stdout, re.M)
        found = re.fullmatch("FSA differs from the golden model in 1 of 64 bytes of memory, all that the program "
                             f"stores or --dump names, first at {at:#x}: FSA (..), golden (..)", line)
        assert int(found[1], 16) ^ int(found[2], 16) == 4
        assert json.loads((tmp_path / "run.json").read_text())["bit_exact"] is False
        assert line in refused(*args, "--diff", "--quiet", status=1)


def test_a_dump_beyond_what_the_program_stores_is_compared_too(files, tmp_path, attention, monkeypatch):
    address = attention.program.memory[0][0]
    monkeypatch.setitem(ENGINES, "myhdl", lambda: Wrong(address + 3))
    assert fsa_sim(*files, "--diff").exit_code == 0
    result = fsa_sim(*files, "--diff", "--dump", f"{address}:8={tmp_path / 'q.bin'}")
    assert result.exit_code == 1
    assert "in 1 of 72 bytes" in result.stdout
    assert len((tmp_path / "q.bin").read_bytes()) == 8


def test_a_program_that_ends_otherwise(files, monkeypatch):
    monkeypatch.setitem(ENGINES, "myhdl", lambda: Wrong(error=ErrorCode.READ_RESPONSE))
    result = fsa_sim(*files, "--diff")
    assert result.exit_code == 1
    assert ("FSA differs from the golden model: FSA: the device stopped with error 7 (read response) at instruction 0; "
            "golden: done\n") in result.stdout
    assert result.stderr == "fsa-sim: error: the device stopped with error 7 (read response) at instruction 0\n"


def test_a_program_without_a_result_of_its_own_is_not_compared(tmp_path):
    words = encode_all([Matrix(function=Function.ATTN_SCORE), Matrix(function=Function.ATTN_SCORE), Fence(1, 1, 1)])
    said = refused("--program", binary(tmp_path / "p.bin", words), "--diff", status=1)
    assert "--diff: the golden model cannot run this program: instruction " in said


def test_the_memory_that_a_program_stores_to():
    store = Dma(1, rows=3, row=0, stride=1, accumulator=1, memory_stride=32, address=BASE, size=16)
    behind = replace(store, rows=2, memory_stride=16, address=BASE + 16)
    outside = replace(store, address=0)
    words = encode_all([store, Dma(0, rows=4, stride=1, memory_stride=8, address=BASE + 512, size=8), behind, outside,
                        Fence(1, 1, 1), replace(store, address=BASE + 1024)])
    regions = stored_regions(words, CONFIG)
    assert sum(region.size for region in regions) == 5 * 16
    # rows that touch or overlap are one stretch, and nothing is counted twice
    assert union(regions) == [Region(BASE, 48), Region(BASE + 64, 16)]
    assert union([]) == []


def test_two_dumps_and_standard_output(files, tmp_path, attention):
    region, = attention.program.outputs
    files = [*files[:-1], f"{region.address}:{region.size}=-"]
    result = fsa_sim(*files, "--engine", "golden")
    assert (result.exit_code, result.stderr) == (0, "")
    (tmp_path / "o.bin").write_bytes(result.stdout_bytes)
    output(tmp_path / "o.bin", attention)
    assert "--dump -: --json goes to standard output already: must be a file" in refused(*files, "--json", "-")
    assert "--dump -: --dump goes to standard output already" in refused(*files, "--dump", f"{BASE}:4=-")


def test_a_program_is_repeated_from_its_json(files, tmp_path):
    args = [*files, "--mem-latency", 6, "--diff", "--json"]
    assert fsa_sim(*args, tmp_path / "first.json").exit_code == 0
    first = json.loads((tmp_path / "first.json").read_text())
    again = ["--json", tmp_path / "second.json"]
    for name, value in first["run"]["options"].items():
        for one in value if isinstance(value, list) else [value]:
            again += [] if name == "--json" else [name] if one is True else [name, one]
    assert fsa_sim(*again).exit_code == 0
    second = json.loads((tmp_path / "second.json").read_text())
    del first["run"], second["run"]
    assert first == second
    assert first["counters"]["execution_time"] > 0


def test_attention_as_text(tmp_path):
    assert fsa_sim("--engine", "golden", "--dump-asm", tmp_path / "p.s").exit_code == 0
    assert len(assemble((tmp_path / "p.s").read_text())) == 32


def test_the_device_at_any_pace_gives_the_same(tmp_path):
    fast = fsa_sim("--diff", "--seq-q", 8, "--seq-kv", 8, "--json", tmp_path / "fast.json")
    slow = fsa_sim("--diff", "--seq-q", 8, "--seq-kv", 8, "--json", tmp_path / "slow.json", "--mem-latency", "50,7",
                   "--mem-bandwidth", "1/9,0.5", "--mem-stall", 5, "--push-interval", 3)
    assert fast.exit_code == slow.exit_code == 0
    assert "FSA equals the golden model bit for bit" in slow.stdout
    times = [json.loads((tmp_path / f"{name}.json").read_text())["counters"]["execution_time"]
             for name in ("fast", "slow")]
    assert times[1] > 1.5 * times[0]


def test_counters_of_the_published_run():
    result = fsa_sim("--config", "FSA16X16Fp16Config", "--push-interval", 290)
    lines = result.stdout.splitlines()
    # the published FPGA run printed the same errors and these counters
    assert lines[0] == ("Error of FSA vs torch: {'MAE': 9.4124e-05, 'MSE': 1.3156206e-08, 'MaxErr': 0.00031119585, "
                        "'RelErr': 0.00018823991}")
    for line in ("Max active cycles: 179 cycles", "Raw instructions: 32", "Max instructions: 5", "DMA instructions: 4",
                 "Fence instructions: 1", "Enqueue instructions: 32", "Dequeue instructions: 32"):
        assert line in lines


def test_a_program_that_fails(tmp_path):
    program = binary(tmp_path / "p.bin", encode_all([Dma(0, rows=4, row=22, stride=1, memory_stride=8, address=BASE,
                                                        size=8), Fence(1, 1, 1)]))
    result = fsa_sim("--program", program, "--json", tmp_path / "run.json")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        "fsa-sim: error: the device stopped with error 3 (scratchpad row) at instruction 0"
    )
    assert result.stderr.splitlines()[0] == (
        "fsa-sim: warning: instruction 0: scratchpad rows 22 to 25: must be from 0 to 23; keep the tile within the "
        "scratchpad, as ctx.alloc_scratchpad does"
    )
    assert json.loads((tmp_path / "run.json").read_text())["error"] == "scratchpad_row"


def test_a_run_that_reaches_its_limit(files, tmp_path):
    said = refused(*files, "--max-cycles", 60, status=1)
    assert re.search(r"cycle limit 60 reached with \d+ of \d+ instruction words pushed, (pushing|waiting)", said)
    assert not (tmp_path / "o.bin").exists()


@pytest.mark.parametrize("options", [
    ("--mem-latency", "0"), ("--mem-latency", "1,2,3"), ("--mem-latency", "x"), ("--mem-latency", "1000001"),
    ("--mem-bandwidth", "0"), ("--mem-bandwidth", "1.5"), ("--mem-bandwidth", "1/0"), ("--mem-bandwidth", "nan"),
    ("--mem-bandwidth", "0.5,"), ("--mem-stall", "-1"), ("--mem-stall", "4294967296"), ("--push-interval", "0"),
    ("--top", "tpu"), ("--top", "core", "--mem-latency", "5"), ("--top", "core", "--push-interval", "5"),
    ("--top", "core", "--dump-asm", "p.s"), ("--engine", "golden", "--mem-stall", "5"),
    ("--diff-only", "--mem-bandwidth", "1"), ("--load", f"{BASE}=x.npy"), ("--dump", f"{BASE}:8=x.bin"),
    ("--load", "x.npy"), ("--load", "0xzz=x.npy"), ("--dump", "0x80000000=x.bin"), ("--dump", "0x80000000:0=x.bin"),
    ("--program", "missing.bin"),
])
def test_bad_options(options, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = refused(*options)
    assert any(option in said for option in options if option.startswith("--"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", [
    ("--seq-q", 4), ("--seq-kv", 4), ("--causal",), ("--diff-only",), ("--diff-verbose",),
    ("--out", "o.npy"), ("--q", "q.npy"), ("--seed", 0), ("--distribution", "uniform"),
])
def test_attention_options_with_a_program(option, files):
    written = " ".join(map(str, option))
    assert f"error: {written}: is about attention: cannot go with --program {files[1]}" in refused(*files, *option)


@pytest.mark.parametrize("size", [0, 3, 6])
def test_program_files_of_a_wrong_size(size, tmp_path):
    (tmp_path / "p.bin").write_bytes(b"x" * size)
    assert f"{size} bytes: must be" in refused("--program", tmp_path / "p.bin")


def test_memory_outside(files, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros(4, np.uint16))
    end = BASE + CONFIG.memory_size
    for address in (0, BASE - 2, end - 6, end):
        for option, value in (("--load", f"{address}={tmp_path / 'x.npy'}"), ("--dump", f"0{address}:8=y.bin")):
            assert f"error: {option} {value}: 8 bytes: memory is from 0x80000000 to 0x8fffffff" in refused(
                *files, option, value)


def test_files_to_load_that_are_none(files, tmp_path):
    (tmp_path / "bad.npy").write_bytes(b"no numpy")
    assert "is not a .npy file" in refused(*files, "--load", f"{BASE}={tmp_path / 'bad.npy'}")
    np.save(tmp_path / "text.npy", np.array(["a"]))
    assert "must hold integers" in refused(*files, "--load", f"{BASE}={tmp_path / 'text.npy'}")
    assert "cannot read" in refused(*files, "--load", f"{BASE}={tmp_path / 'missing.npy'}")


def test_one_file_for_two_things(files, tmp_path):
    assert "is the file of --dump too" in refused(*files, "--dump", f"{BASE}:8={tmp_path / 'o.bin'}")
    assert "is the file of --program too" in refused(*files, "--dump-asm", tmp_path / "p.bin")
    assert "is the file of --load too" in refused(*files, "--json", tmp_path / "0.npy")


def test_a_configuration_that_only_the_core_can_be(tmp_path):
    (tmp_path / "c.json").write_text('{"mem_align": 4}')
    said = refused("--config", tmp_path / "c.json")
    assert "mem_align = 4: the accelerator needs a multiple of beat_bytes" in said
    assert fsa_sim("--config", tmp_path / "c.json", "--top", "core").exit_code == 0

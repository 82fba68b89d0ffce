"""The trace of a run: every value that it names is the golden model's, bit for bit."""

from collections import Counter

import numpy as np
import pytest

from myhdl_fsa import Config, engine
from myhdl_fsa.easyfloat import from_float
from myhdl_fsa.engine import AttentionRequest, RunError, Watch
from myhdl_fsa.program import Timing
from myhdl_fsa.sims.trace import recorder
from myhdl_fsa.sims.trace.names import Name, Speaker
from myhdl_fsa.tiling import tiles
from myhdl_fsa.trace import TraceError, read_trace, write_trace
from myhdl_fsa.trace.contents import WORKS
from myhdl_fsa.workbench import metrics


class Exactly(Speaker):
    """Says all that is known of a value."""

    def __call__(self, name):
        return "" if name is None else repr(name)


def tensors(config, seq_q, seq_kv, heads=(), d=None):
    rng = np.random.default_rng(7)
    d = d or config.rows
    kv_heads = (heads[0], heads[1] // 2) if heads else ()
    shapes = (*heads, seq_q, d), (*kv_heads, seq_kv, d), (*kv_heads, seq_kv, d)
    return [from_float(rng.standard_normal(shape), config.elem) for shape in shapes]


def recorded(config, q, k, v, *, top="core", causal=False, timing=None, **watch):
    request = AttentionRequest(q, k, v, config, causal, top, timing or Timing())
    return engine("myhdl").run_attention(request, Watch(record=True, **watch))


def expected(config, q, k, v, causal):
    """By kind of name, a function of its indices to the golden model's bits."""
    model = engine("golden").attention(q, k, v, config, causal=causal, trace=True)
    found = model.trace
    n, elem = config.rows, config.elem
    seq_q, seq_kv = q.shape[-2], k.shape[-2]
    padded_q, padded_kv = tiles(seq_q, n) * n, tiles(seq_kv, n) * n
    group = q.shape[-3] // k.shape[-3] if q.ndim > 2 else 1

    def flat(array, dims):
        return array.reshape(-1, *array.shape[array.ndim - dims:])

    def query(name, dims):
        array = flat(found[name] if isinstance(name, str) else name, dims)

        def of(row, *rest):
            head, row = divmod(row, padded_q)
            at = (head, row, *rest)
            return int(array[at]) if all(i < size for i, size in zip(at, array.shape, strict=True)) else None
        return of

    def score(name):
        inner = query(name, 2)
        return lambda row, key: inner(row, key % padded_kv)

    def operand(array):
        inner = flat(array, 2)

        def of(row, d):
            head, row = divmod(row, padded_q if array is q else padded_kv)
            return int(inner[head, row, d]) if row < inner.shape[1] and d < inner.shape[2] else 0
        return of

    assert group in (1, 2)
    tiled = {"m": "running_max", "d": "delta", "e": "scaled_delta", "b": "rescale", "l": "row_sum", "L": "L"}
    return {
        "Q": operand(q), "K": operand(k), "V": operand(v), "1": lambda: elem.one, "0": lambda: 0,
        **{kind: score(name) for kind, name in (("S", "S"), ("s", "S_elem"), ("X", "X1"), ("z", "X2"), ("P", "P"))},
        **{kind: (lambda of: lambda row, tile: of(row, tile % tiles(seq_kv, n)))(query(name, 2))
           for kind, name in tiled.items()},
        **{kind: (lambda of: lambda row, d, tile: of(row, tile % tiles(seq_kv, n), d))(query(name, 3))
           for kind, name in (("o", "O_partial"), ("O", "O"))},
        "1/L": query("reciprocal", 1), "O/L": query(model.output, 2),
    }


CASES = {
    "one tile": ({}, 4, 4, {}),
    "three tiles": ({}, 4, 12, {}),
    "division, several of both": ({"reciprocal": "division"}, 8, 8, {}),
    "causal, partly filled": ({"elem": "bf16"}, 6, 7, {"causal": True}),
    "heads": ({}, 3, 6, {"heads": (1, 4), "d": 3}),
    "the device": ({}, 8, 8, {"top": "accelerator"}),
    "the device, slow memory": ({}, 4, 8, {"top": "accelerator", "timing": Timing(40, 30, stall_seed=3)}),
    "N = 6": ({"rows": 6, "exp2_pieces": 4}, 6, 12, {}),
    "three tiles of 6": ({"rows": 6}, 6, 18, {}),
}
PIPELINED = [
    {"dataflow": "stream", "reciprocal": "division", "mac_stages": mac, "adder_stages": adder}
    for mac, adder in ((1, 1), (2, 1), (0, 2), (2, 2))
]
MACHINES = [(case, {"dataflow": dataflow}) for case in CASES for dataflow in ("fsa", "stream")]
MACHINES += [("three tiles of 6" if machine["mac_stages"] == 2 else "three tiles", machine) for machine in PIPELINED]


@pytest.mark.parametrize(("case", "dataflow"), MACHINES)
def test_what_has_a_name_has_the_golden_models_bits(case, dataflow, monkeypatch):
    machine, seq_q, seq_kv, options = CASES[case]
    config = Config(**{"rows": 4, **dataflow, **machine})
    monkeypatch.setattr(recorder, "Speaker", Exactly)
    causal = options.get("causal", False)
    q, k, v = tensors(config, seq_q, seq_kv, options.get("heads", ()), options.get("d"))
    run = {name: options[name] for name in ("top", "timing") if name in options}
    trace = recorded(config, q, k, v, causal=causal, **run).recorded
    bits = expected(config, q, k, v, causal)
    checked = Counter()
    for frame, state in trace.states():
        for unit, values in state.items():
            assert values["work"] in WORKS
            for field, value in values.items():
                if field in ("work", "control") or value is None:
                    continue
                if not value[1]:
                    # what nothing has been written to yet
                    assert int(value[0], 16) in (0, config.acc.minus_infinity), (frame.cycle, unit, field, value)
                    continue
                name = eval(value[1], {"Name": Name})  # what the recorder wrote
                if name.terms is None and name.kind in bits:
                    wanted = bits[name.kind](*name.at)
                    if wanted is not None:
                        assert int(value[0], 16) == wanted, (frame.cycle, unit, field, name)
                        checked[name.kind] += 1
    assert not {*bits} - {*checked}


@pytest.mark.parametrize("top", ["core", "accelerator"])
@pytest.mark.parametrize("dataflow", ["fsa", "stream"])
def test_multiplies_and_cycles_are_those_of_the_run(dataflow, top):
    config = Config(rows=4, dataflow=dataflow)
    q, k, v = tensors(config, 8, 8)
    result = recorded(config, q, k, v, top=top)
    trace = result.recorded
    last = trace.frames[-1]
    assert last.multiplies == 2 * 4 * 4 * 4 * 4
    shape = AttentionRequest(q, k, v, config).shape
    frame = next(frame for frame in trace.frames if frame.cycle == trace.start + result.cycles - 1)
    assert trace.utilisation(frame) == pytest.approx(metrics.utilisation(config, shape, result.cycles))
    assert trace.cycles == result.cycles


@pytest.mark.parametrize("dataflow", ["fsa", "stream"])
def test_instructions_are_at_work_when_the_array_is(dataflow):
    config = Config(rows=4, dataflow=dataflow)
    trace = recorded(config, *tensors(config, 8, 8), top="accelerator").recorded
    names = Counter((item.name, item.what) for item in trace.instructions)
    assert names == Counter({
        **{("LOAD", f"Q tile {tile}"): 1 for tile in range(2)}, **{("STORE", f"O tile {tile}"): 1 for tile in range(2)},
        **{("LOAD_STATIONARY", f"Q tile {tile}"): 2 if dataflow == "fsa" else 1 for tile in range(2)},
        **{(name, f"query tile {tile}"): 1 for tile in range(2) for name in ("ACC_RECIPROCAL", "ATTN_LSE_NORM")},
        **{("ATTN_SCORE", f"K tile {tile}"): 2 for tile in range(2)},
        **{("ATTN_VALUE", f"V tile {tile}"): 2 for tile in range(2)},
        **{("LOAD", f"{name} tile {tile}"): names["LOAD", f"{name} tile {tile}"] for tile in range(2) for name in "KV"},
    })
    assert all(item.first <= item.last for item in trace.instructions)
    numbers = [item.number for item in trace.instructions]
    assert numbers == sorted(numbers)
    # row 0 begins with a tile's scores while its ATTN_SCORE is at work, and with P V while its ATTN_VALUE is
    for frame, state in trace.states():
        for work, name in (("score", "ATTN_SCORE"), ("value", "ATTN_VALUE")):
            if state["pe_0_0"]["work"] == work:
                at_work = [item for item in trace.instructions if item.name == name
                           and item.first <= frame.cycle <= item.last + 2]
                assert at_work, (frame.cycle, work)


@pytest.mark.parametrize(("dataflow", "said"), [
    ("fsa", {"score": "mac", "subtract": "update_reg", "exp2": "exp2", "load": "load_reg_li", "return": "load_reg_ui"}),
    ("stream", {"score": "QK", "subtract": "SUB", "exp2": "EXP", "value": "PV", "load": "latch_q"}),
])
def test_what_a_pe_does_is_what_its_control_says(dataflow, said):
    config = Config(rows=4, dataflow=dataflow)
    met = Counter()
    for _, state in recorded(config, *tensors(config, 4, 8)).recorded.states():
        for unit, values in state.items():
            if unit.startswith("pe_") and values["work"] in said:
                assert said[values["work"]] in values["control"].split(), (unit, values)
                met[values["work"]] += 1
            assert values["control"] == "" or values["work"] != "idle" or not unit.startswith("pe_")
    assert met.keys() == said.keys()


def test_the_file_holds_all_and_is_read_again():
    config = Config(rows=4, dataflow="stream")
    trace = recorded(config, *tensors(config, 4, 4)).recorded
    lines = list(write_trace(trace))
    assert read_trace(lines) == trace
    assert len(lines) == 1 + len(trace.frames)


@pytest.mark.parametrize(("change", "said"), [
    (lambda lines: [], "line 1: no myhdl-fsa trace"),
    (lambda lines: ["{}"], "line 1: no myhdl-fsa trace"),
    (lambda lines: ["nonsense"], "line 1: Expecting value"),
    (lambda lines: [lines[0].replace('"version":1', '"version":2')], "line 1: version 2: must be 1"),
    (lambda lines: lines[:9], "the file is cut"),
    (lambda lines: [*lines[:5], "[]"], "line 6: "),
    (lambda lines: [*lines[:5], lines[5][:40]], "line 6: "),
])
def test_what_is_no_trace_is_refused_with_a_line(change, said):
    config = Config(rows=2)
    trace = recorded(config, *tensors(config, 2, 2)).recorded
    with pytest.raises(TraceError) as error:
        read_trace(change(list(write_trace(trace))))
    assert said in str(error.value)


def test_a_window_begins_with_everything_and_names_what_came_before():
    config = Config(rows=4)
    given = tensors(config, 4, 8)
    whole = recorded(config, *given).recorded
    part = recorded(config, *given, wave_from=40, wave_to=60).recorded
    states = {frame.cycle: {unit: dict(values) for unit, values in state.items()} for frame, state in whole.states()}
    seen = 0
    for frame, state in part.states():
        assert state == states[frame.cycle]
        seen += 1
    assert seen == 21
    assert (part.start, part.cycles, part.instructions) == (whole.start, whole.cycles, whole.instructions)


def test_more_than_a_trace_holds_ends_with_a_line(monkeypatch):
    monkeypatch.setattr(recorder, "MAX_STATES", 1000)
    config = Config(rows=4)
    with pytest.raises(RunError) as error:
        recorded(config, *tensors(config, 4, 4))
    assert str(error.value) == ("36 cycles of 28 units are more than a trace holds (1000): record 35 at most, "
                                "as from 4 to 38")


@pytest.mark.parametrize("name", ["golden", "icarus", "verilator"])
def test_an_engine_that_has_no_trace_says_so(name):
    config = Config(rows=4)
    with pytest.raises(RunError, match=f"engine {name} does not show what the machine holds: only myhdl does"):
        engine(name).attention(*tensors(config, 4, 4), config, record=True)


def test_an_array_that_is_too_large_is_refused():
    config = Config(rows=17)
    with pytest.raises(RunError, match="N = 17: a machine that is recorded has at most 16"):
        recorded(config, *tensors(config, 4, 4))

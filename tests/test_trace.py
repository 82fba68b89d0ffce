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
    tiled = {"d": "delta", "e": "scaled_delta", "b": "rescale", "l": "row_sum", "L": "L"}
    return {
        "Q": operand(q), "K": operand(k), "V": operand(v), "1": lambda: elem.one, "0": lambda: 0,
        **{kind: score(name) for kind, name in (("S", "S"), ("s", "S_elem"), ("X", "X1"), ("z", "X2"), ("P", "P"))},
        **{kind: (lambda of: lambda row, tile: of(row, tile % tiles(seq_kv, n)))(query(name, 2))
           for kind, name in tiled.items()},
        "m": lambda row, key: query("running_max", 2)(row, key % padded_kv // n) if key % n == n - 1 else None,
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
}


@pytest.mark.parametrize("dataflow", ["fsa"])
@pytest.mark.parametrize("case", CASES)
def test_what_has_a_name_has_the_golden_models_bits(case, dataflow, monkeypatch):
    machine, seq_q, seq_kv, options = CASES[case]
    config = Config(**{"rows": 4, "dataflow": dataflow, **machine})
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
                if field == "work" or value is None or not value[1]:
                    continue
                name = eval(value[1], {"Name": Name})  # noqa: S307 (what the recorder wrote)
                if name.terms is None and name.kind in bits:
                    wanted = bits[name.kind](*name.index)
                    if wanted is not None:
                        assert int(value[0], 16) == wanted, (frame.cycle, unit, field, name)
                        checked[name.kind] += 1
    missing = {*bits} - {*checked}
    assert not missing

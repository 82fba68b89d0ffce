"""The stream dataflow on the bare core: golden's bits, the design's cycles, and its rules as assertions."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import numpy as np
import pytest
from test_core import SHAPES, operands, operands_of

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.formats import BF16, E4M3, FP16, FP32, TF32, FloatFormat
from myhdl_fsa.config import Config, ConfigError
from myhdl_fsa.dataflows import attention_cycles
from myhdl_fsa.dataflows.stream import timetable
from myhdl_fsa.dataflows.stream.control import Left, Operation
from myhdl_fsa.dataflows.stream.controller import controller, value_player
from myhdl_fsa.dataflows.stream.times import QUEUE_CYCLES, Times
from myhdl_fsa.dataflows.stream.timetable import Timetable, Wave, wave_memory
from myhdl_fsa.engine import engine
from myhdl_fsa.engine.request import Watch
from myhdl_fsa.isa import Dma, Function, Matrix
from myhdl_fsa.sims import core_bench
from myhdl_fsa.sims.core_bench import CoreRun, attention_run
from myhdl_fsa.sims.core_engine import simulate
from myhdl_fsa.sims.lockstep import lockstep
from myhdl_fsa.sims.monitors import CollisionError
from myhdl_fsa.tiling import AttentionShape, visits


def machine(n: int, kv_tiles: int = 2, o_tiles: int = 3, **fields) -> Config:
    """A stream machine whose scratchpad holds so many tiles of K and V, and whose accumulator RAM so many of O."""
    fields.setdefault("reciprocal", "division")
    return Config(rows=n, cols=n, dataflow="stream", scratchpad_rows=2 * n + 2 * n * kv_tiles,
                  accumulator_rows=o_tiles * n + 1, **fields)


def attend(config: Config, tiles_q: int, tiles_kv: int, kind: str = "fa3", causal: bool = False,
           trace: bool = False) -> CoreRun:
    """A run, every bit of whose output equals golden's; and with ``trace`` every intermediate."""
    q, k, v = operands(config, tiles_q, tiles_kv, kind)
    watch = Watch(max_cycles=20_000, trace=trace)
    run = attention_run(q, k, v, config, causal, watch)
    simulate(run)
    expected, intermediates = golden.attention(q, k, v, config, causal=causal, trace=True)
    np.testing.assert_array_equal(run.result(), expected)
    if run.captured is not None:
        for name, bits in run.captured.trace.items():
            # keys come in descending order here: what the maximum is beside a NaN differs, and all that follows from it
            if kind != "special" or name in ("S", "S_elem"):
                np.testing.assert_array_equal(bits, intermediates[name], err_msg=name)
    return run


def attend_shape(config: Config, shape: AttentionShape, scale: float | None, kind: str = "fa3") -> None:
    """As ``attend`` with ``trace``, of any shape."""
    q, k, v = operands_of(shape, config, kind)
    result = engine("myhdl").attention(q, k, v, config, causal=shape.causal, scale=scale, trace=True, max_cycles=20_000)
    expected, intermediates = golden.attention(q, k, v, config, causal=shape.causal, scale=scale, trace=True)
    np.testing.assert_array_equal(result.output, expected)
    for name, bits in result.trace.items():
        if kind != "special" or name in ("S", "S_elem"):
            np.testing.assert_array_equal(bits, intermediates[name], err_msg=name)


@pytest.mark.parametrize(("shape", "scale"), SHAPES)
def test_equals_golden_of_any_shape(shape, scale):
    # tiles that stay, and such that do not
    for kv_tiles in (1, 3):
        attend_shape(machine(4, kv_tiles), shape, scale)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uniform", "fa3", "large", "special"])
@pytest.mark.parametrize("fields", [
    {}, {"elem": BF16, "reciprocal": "newton"}, {"mac_stages": 1}, {"adder_stages": 2},
    {"mac_stages": 2, "adder_stages": 2},
], ids=str)
@pytest.mark.parametrize("n", [5, 8])
def test_equals_golden_of_many_shapes(n, fields, kind):
    # with room for one tile of K and V the second K waits for the first: the bench must not wait for it
    for shape, scale in SHAPES:
        for kv_tiles in (1, 2, 3, 5):
            attend_shape(machine(n, kv_tiles, **fields), shape, scale, kind)


@pytest.mark.parametrize("kind", ["uniform", "fa3", "large", "special"])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("reciprocal", ["newton", "division"])
@pytest.mark.parametrize("elem", [FP16, BF16], ids=str)
@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_equals_golden(n, elem, reciprocal, causal, kind):
    attend(machine(n, elem=elem, reciprocal=reciprocal), 2, 2, kind, causal, trace=n == 4)


@pytest.mark.parametrize(("elem", "reciprocal", "causal", "kind"), [
    (FP16, "newton", True, "fa3"), (BF16, "division", False, "special"), (FP16, "division", True, "large"),
], ids=str)
def test_equals_golden_8(elem, reciprocal, causal, kind):
    attend(machine(8, elem=elem, reciprocal=reciprocal), 2, 3, kind, causal, trace=True)


def test_equals_golden_16():
    attend(machine(16), 2, 2, "fa3", causal=True)


@pytest.mark.parametrize(("elem", "acc"), [
    (FP32, FP32), (FP16, FP16), (E4M3, FP32), (TF32, FP32), (E4M3, FloatFormat(6, 9)),
], ids=str)
def test_equals_golden_in_other_formats(elem, acc):
    attend(machine(4, elem=elem, acc=acc), 2, 2, trace=True)


@pytest.mark.parametrize("pieces", [2, 4, 16])
def test_equals_golden_with_other_exp2_pieces(pieces):
    attend(machine(4, exp2_pieces=pieces), 1, 2)


def test_the_published_sizes_of_the_memories_suffice():
    config = Config(rows=4, cols=4, dataflow="stream", reciprocal="division")
    attend(config, 3, 3)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("kv_tiles", "o_tiles"), [(1, 1), (1, 3), (2, 1), (3, 1), (3, 2)])
def test_small_memories_cost_cycles_and_no_bits(kv_tiles, o_tiles, causal):
    attend(machine(4, kv_tiles, o_tiles), 3, 3, causal=causal)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 16, 32, 64, 128, 256])
def test_an_iteration_is_2n_plus_4(n):
    for mac_stages in (0, 1, 2):
        times = Times(n, mac_stages)
        # P is held longer than that in the smallest arrays with multiplier stages
        assert times.period == max(2 * n + 4, n + 3 * times.latency + 1)
        assert times.slots == (1 if mac_stages == 0 else 2)


def test_times_of_slower_rows():
    # the design's table of T - 2N, and of the least delay of a new Q
    table = {(0, 2): ([6, 5, 6, 5, 6], [5, 8, 23, 56, 119]), (1, 2): ([6, 5, 6, 5, 6], [5, 5, 20, 53, 116]),
             (0, 3): ([5, 6, 6, 6, 6], [5, 3, 3, 3, 3]), (2, 2): ([6, 5, 6, 5, 6], [3, 5, 17, 50, 113]),
             (0, 4): ([6, 5, 5, 5, 5], [3, 7, 13, 45, 109])}
    for (mac_stages, hop), (periods, delays) in table.items():
        times = [Times(n, mac_stages, hop) for n in (8, 16, 32, 64, 128)]
        assert [t.period - 2 * t.rows for t in times] == periods
        assert [t.load_after for t in times] == delays


@pytest.mark.parametrize(("n", "tiles_q", "tiles_kv"), [
    (2, 1, 3), (3, 1, 4), (4, 1, 1), (4, 2, 3), (5, 2, 3), (8, 1, 5), (8, 2, 3), (16, 1, 3),
])
def test_total_cycles(n, tiles_q, tiles_kv):
    run = attend(machine(n, tiles_kv), tiles_q, tiles_kv)
    assert run.cycles == tiles_q * tiles_kv * (2 * n + 4) + 6 * n + 5 + max(0, 16 - n) + QUEUE_CYCLES
    assert run.cycles == attention_cycles(run.config, tiles_q, tiles_kv)
    assert run.inner_iteration_cycles() == 2 * n + 4


@pytest.mark.parametrize(("n", "tiles_q", "tiles_kv"), [(4, 1, 2), (8, 2, 3), (8, 3, 2), (16, 2, 2)])
def test_total_cycles_with_newton(n, tiles_q, tiles_kv):
    # it borrows the accumulators: the next query tile starts behind it, and reaches them when its 19 steps are over
    run = attend(machine(n, tiles_kv, reciprocal="newton"), tiles_q, tiles_kv)
    change = n + 4 + max(19, n + 6) - (2 * n + 4)
    assert run.cycles == (
        tiles_q * tiles_kv * (2 * n + 4) + 6 * n + 5 + 20 + (tiles_q - 1) * change + QUEUE_CYCLES
    )
    assert run.cycles == attention_cycles(run.config, tiles_q, tiles_kv)


@pytest.mark.parametrize(("tiles_q", "tiles_kv", "o_tiles"), [(5, 1, 3), (3, 2, 2)])
def test_a_change_of_query_tile_is_free_at_16(tiles_q, tiles_kv, o_tiles):
    run = attend(machine(16, tiles_kv, o_tiles), tiles_q, tiles_kv)
    assert run.cycles == tiles_q * tiles_kv * 36 + 6 * 16 + 5 + QUEUE_CYCLES


@pytest.mark.parametrize(("n", "tiles_q", "tiles_kv"), [(8, 2, 9), (16, 1, 8)])
def test_two_tiles_of_k_and_v_loaded_in_turn_keep_up(n, tiles_q, tiles_kv):
    run = attend(machine(n), tiles_q, tiles_kv)
    assert run.cycles == attention_cycles(run.config, tiles_q, tiles_kv)
    assert run.inner_iteration_cycles() == 2 * n + 4


STAGES = [(0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]
"""pipelines of the multiply-adder: stages before the addend, and from there"""
SIZES = [(stages, n) for stages in STAGES for n in (4, 5, 8) if n >= sum(stages)]


def staged(n: int, stages: tuple[int, int], kv_tiles: int = 2, **fields) -> Config:
    return machine(n, kv_tiles, mac_stages=stages[0], adder_stages=stages[1], **fields)


@pytest.mark.parametrize(("n", "fields"), [
    (2, {}), (3, {}), (4, {}), (4, {"mac_stages": 1}), (4, {"mac_stages": 2, "adder_stages": 2}),
    (5, {"adder_stages": 2}), (5, {"elem": BF16}), (8, {}),
])
def test_late_tiles_cost_at_most_their_lateness(n, fields):
    rng = random.Random(n)
    for tiles_q, tiles_kv, kv_tiles, o_tiles in ((1, 5, 2, 1), (3, 2, 2, 3)):
        config = machine(n, kv_tiles, o_tiles, **fields)
        q, k, v = operands(config, tiles_q, tiles_kv, "fa3")
        run = attention_run(q, k, v, config)
        simulate(run)
        transfers = [item for item in run.kernel.instructions if isinstance(item, Dma)]
        for chance in (0.2, 1):
            late = {transfer: rng.randrange(1, 70) for transfer in transfers if rng.random() < chance}
            again = replace(attention_run(q, k, v, config), late=late)
            simulate(again)
            np.testing.assert_array_equal(again.result(), run.result())
            # the first matrix instruction waits for the first tiles; with two adder stages a lane phase may be missed
            missed = 2 * len(transfers) if config.adder_stages > 1 else 0
            assert again.cycles <= run.cycles + sum(late.get(transfer, 0) for transfer in transfers) + missed


@pytest.mark.parametrize(("stages", "n"), SIZES)
def test_a_pipelined_multiply_adder_with_causal_and_special_data(stages, n):
    config = staged(n, stages, elem=BF16 if n == 5 else FP16)
    run = attend(config, 3, 3, "special", causal=True, trace=True)
    # two tiles of K and V loaded in turn, and a change of Q tile among the first scores: once up to two waits for one
    assert 0 <= run.cycles - attention_cycles(config, 3, 3, causal=True) <= 8 * n


@pytest.mark.parametrize("stages", STAGES)
def test_a_change_of_query_tile_is_free_with_a_pipelined_multiply_adder(stages, monkeypatch):
    # memory is not in the way: two tiles of K are there, and one of V
    monkeypatch.setattr(core_bench, "PRIMING_LOADS", 4)
    run = attend(staged(8, stages, 3), 2, 3)
    assert run.cycles == attention_cycles(run.config, 2, 3)


@pytest.mark.parametrize("stages", [(0, 1), (1, 1), (1, 2)])
def test_room_for_one_tile_of_k_and_v(stages):
    # ATTN_VALUE may come two tiles later, and the second K waits for the first
    run = attend(staged(4, stages, 1), 2, 4)
    assert run.finished is not None


@pytest.mark.parametrize("stages", [(1, 1), (2, 1), (0, 2), (1, 2)])
def test_one_tile_of_k_and_v_to_a_query_tile(stages):
    # a new Q every iteration: with two adder stages its words on the lane lie between those of the tile before
    attend(staged(8, stages, 1, elem=BF16), 4, 1, trace=True)


@pytest.mark.parametrize("mac_stages", [0, 1, 2])
@pytest.mark.parametrize(("n", "tiles"), [(6, 5), (9, 3), (16, 3)])
def test_stages_before_the_addend_keep_the_iteration(n, tiles, mac_stages):
    run = attend(staged(n, (mac_stages, 1), tiles), 1, tiles)
    # 2N + 4 a tile pair; a stage costs six cycles at the end of a run
    drain = 6 * n + 5 + 6 * mac_stages + max(0, 16 + mac_stages - n)
    assert run.cycles == tiles * (2 * n + 4) + drain + QUEUE_CYCLES


@pytest.mark.slow
@pytest.mark.parametrize("stages", [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("n", [32, 64, 128])
def test_large_arrays_with_a_pipelined_multiply_adder(n, stages, build_dir):
    config = staged(n, stages, 3)
    q, k, v = operands(config, 1, 3, "fa3")
    result = engine("verilator", build_dir).attention(q, k, v, config)
    np.testing.assert_array_equal(result.output, golden.attention(q, k, v, config))
    assert result.cycles == Times.of(config).total(3) + QUEUE_CYCLES
    if stages[1] == 1:
        assert Times.of(config).period == 2 * n + 4


def test_one_instruction_at_a_time():
    config = machine(4)
    q, k, v = operands(config, 2, 2, "fa3")
    run = replace(attention_run(q, k, v, config), serial=True)
    # an ATTN_VALUE that waits for its partner waits for ever where the partner waits for idle
    run.__dict__["kernel"] = replace(run.kernel, instructions=tuple(
        replace(item, causal=0) if isinstance(item, Matrix) and item.function == Function.ATTN_VALUE else item
        for item in run.kernel.instructions))
    simulate(run)
    np.testing.assert_array_equal(run.result(), golden.attention(q, k, v, config))


# the assertions see what they are for


def test_two_waves_in_a_slot_are_seen(monkeypatch):
    table = timetable.attention_value(Times(4))
    with pytest.raises(ValueError, match="ATTN_VALUE: two waves in slot 9"):
        Timetable("ATTN_VALUE", 2, (*table.entries, Wave(9, Operation.QK, left=Left.ROW)))


def broken(monkeypatch, **changes):
    """Runs a machine whose controller has other times than its monitors."""
    class Hasty(Times):
        pass

    for name, value in changes.items():
        setattr(Hasty, name, value)
    monkeypatch.setattr(controller, "Times", Hasty)
    with pytest.raises(CollisionError, match=r"^cycle \d+: ") as error:
        attend(machine(4, 3), 2, 3)
    return str(error.value)


def test_an_early_value_is_seen(monkeypatch):
    # its scores return before the buffer that they leave is wanted by the next, or its waves meet those before
    assert "overflows" in broken(monkeypatch, period=Times(4).waves - 1)


def test_waves_in_another_order_are_seen(monkeypatch):
    def hasty(times):
        words = list(wave_memory(times))
        words[2], words[3] = words[3], words[2]
        return tuple(words)

    monkeypatch.setattr(value_player, "wave_memory", hasty)
    with pytest.raises(CollisionError, match="accumulator command 3 in a slot of command 2"):
        attend(machine(4), 1, 1)


def test_what_cannot_be_built_is_said():
    with pytest.raises(ConfigError, match=r"^configuration: scratchpad_rows = 12: the stream .* needs at least 16"):
        Times.of(Config(rows=4, cols=4, dataflow="stream", scratchpad_rows=12))
    for fields, said in (
        ({"mac_stages": 3}, "mac_stages = 3: must be an integer from 0 to 2"),
        ({"adder_stages": 0}, "adder_stages = 0: must be an integer from 1 to 2"),
        ({"adder_stages": 3}, "adder_stages = 3: must be an integer from 1 to 2"),
        ({"rows": 3, "cols": 3, "mac_stages": 2, "adder_stages": 2},
         "rows = 3: must be at least 4 with mac_stages = 2 and adder_stages = 2"),
        ({"mac_stages": 1, "reciprocal": "newton"}, "reciprocal = 'newton': must be division with mac_stages = 1"),
        ({"adder_stages": 2, "reciprocal": "newton"}, "reciprocal = 'newton': must be division with mac_stages = 0"),
    ):
        with pytest.raises(ConfigError, match=f"^configuration: {said}"):
            machine(4).replace(**fields)
    for field, value in (("mac_stages", 1), ("adder_stages", 2)):
        with pytest.raises(ConfigError, match=f"^configuration: {field} = {value}: must be {value - 1} with dataflow"):
            Config(reciprocal="division", **{field: value})


def test_iterations_are_the_visits():
    config = machine(4)
    # the last tile of queries, and that of keys, partly empty
    found = visits(AttentionShape(seq_q=11, seq_kv=10, head_dim=4, value_dim=4, causal=True), 4)
    assert [(visit.query_tile, visit.key_tile) for visit in found] == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
    assert attention_cycles(config, 3, 3, causal=True) == Times.of(config).total(len(found)) + QUEUE_CYCLES


@pytest.mark.parametrize("name", ["icarus", "verilator"])
def test_the_converted_core_is_the_same_bit_for_bit_and_cycle_for_cycle(name, build_dir):
    config = machine(4)
    q, k, v = operands(config, 2, 3, "fa3")
    for causal in (False, True):
        ours = engine("myhdl").attention(q, k, v, config, causal=causal)
        theirs = engine(name, build_dir).attention(q, k, v, config, causal=causal)
        np.testing.assert_array_equal(theirs.output, ours.output)
        np.testing.assert_array_equal(ours.output, golden.attention(q, k, v, config, causal=causal))
        assert (theirs.cycles, theirs.inner_iteration_cycles) == (ours.cycles, ours.inner_iteration_cycles)


@pytest.mark.parametrize("name", ["icarus", "verilator"])
def test_the_converted_core_with_a_pipelined_multiply_adder(name, build_dir):
    config = Config.from_json(staged(5, (1, 2), 3).to_json())
    assert (config.mac_stages, config.adder_stages) == (1, 2)
    q, k, v = operands(config, 2, 3, "fa3")
    ours = engine("myhdl").attention(q, k, v, config)
    theirs = engine(name, build_dir).attention(q, k, v, config)
    np.testing.assert_array_equal(theirs.output, golden.attention(q, k, v, config))
    assert theirs.cycles == ours.cycles


def test_every_register_is_the_same_in_icarus_with_a_pipelined_multiply_adder(tmp_path):
    config = staged(5, (2, 2))
    report = lockstep("icarus", *operands(config, 1, 2, "uniform"), config, build_dir=tmp_path)
    assert report.cycles > 100
    assert report.signals > 400


def test_every_register_is_the_same_in_icarus_in_every_cycle(tmp_path):
    config = machine(4)
    report = lockstep("icarus", *operands(config, 1, 2, "uniform"), config, build_dir=tmp_path)
    assert report.cycles > 60
    assert report.signals > 200


def test_the_waveform_has_its_control_by_name(tmp_path):
    config = machine(4)
    engine("myhdl").attention(*operands(config, 1, 1, "uniform"), config, vcd=tmp_path / "w.vcd")
    names = set(re.findall(r"^\$var \S+ \d+ \S+ (\S+)", (tmp_path / "w.vcd").read_text(), re.M))
    assert {"operation", "latch_p", "latch_q", "command_diff", "command_norm"} <= names

"""The configuration: presets, validation, and JSON there and back."""

import json

import pytest

from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, FloatFormat
from myhdl_fsa.config import MEMORY_PORTS, PRESETS, Config, ConfigError, parse_format, preset

PUBLISHED_FIELDS = (
    "sa_rows", "sa_cols", "inst_queue_size", "e_type", "a_type", "mem_base", "mem_size", "mem_align",
    "spad_base", "spad_size", "acc_base", "acc_size",
)  # fmt: skip


def test_presets_are_the_published_names():
    names = {
        f"{prefix}FSA{n}X{n}{elem}Config"
        for prefix in ("", "AXI4")
        for n in (4, 8, 16, 32, 64, 128)
        for elem in ("Fp16", "Bf16")
    }
    assert set(PRESETS) == names


@pytest.mark.parametrize("name", PRESETS)
def test_preset_fields_follow_the_name(name):
    config = preset(name)
    n = int(name.split("FSA")[1].split("X")[0])
    assert (config.rows, config.cols, config.acc, config.name) == (n, n, FP32, name)
    assert config.elem == (BF16 if "Bf16" in name else FP16)
    assert config.memory_ports == MEMORY_PORTS[n]
    assert (config.scratchpad_rows, config.accumulator_rows) == (6 * n, 2 * n + 1)
    assert (config.reciprocal, config.exp2_pieces, config.dataflow) == ("newton", 8, "fsa")


def test_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError) as error:
        preset("FSA5X5Fp16Config")
    assert "FSA5X5Fp16Config" in str(error.value)
    assert all(name in str(error.value) for name in PRESETS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name):
    config = preset(name).replace(reciprocal="division", scratchpad_rows=900, memory_base=0x1_0000_0000)
    assert Config.from_json(config.to_json()) == config


def test_json_carries_the_published_fields():
    fields = preset("FSA16X16Fp16Config").to_dict()
    assert set(PUBLISHED_FIELDS) <= set(fields)
    assert (fields["sa_rows"], fields["sa_cols"], fields["inst_queue_size"]) == (16, 16, 256)
    assert (fields["e_type"], fields["a_type"]) == ("fp16", "fp32")
    assert (fields["spad_size"], fields["acc_size"]) == (96 * 16 * 2, 33 * 16 * 4)


def test_a_published_file_is_read():
    fields = preset("FSA16X16Fp16Config").to_dict()
    config = Config.from_dict({name: fields[name] for name in PUBLISHED_FIELDS})
    assert config == preset("FSA16X16Fp16Config").replace(name="")


def test_published_sizes_follow_the_array():
    config = Config().replace(rows=8, cols=8)
    assert (config.scratchpad_rows, config.accumulator_rows) == (48, 17)
    kept = Config(scratchpad_rows=100).replace(rows=8, cols=8)
    assert (kept.scratchpad_rows, kept.accumulator_rows) == (100, 17)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"rows": 0, "cols": 0}, "rows"),
        ({"rows": 1, "cols": 1}, "rows"),
        ({"rows": 257, "cols": 257}, "rows"),
        ({"rows": 8.0}, "rows"),
        ({"rows": True}, "rows"),
        ({"rows": "8"}, "rows"),
        ({"cols": 8}, "cols"),
        ({"elem": FP32, "acc": FP16}, "elem"),
        ({"elem": FloatFormat(5, 10), "acc": FloatFormat(8, 7)}, "elem"),
        ({"elem": "fp16"}, "elem"),
        ({"exp2_pieces": 0}, "exp2_pieces"),
        ({"exp2_pieces": 1}, "exp2_pieces"),
        ({"exp2_pieces": 6}, "exp2_pieces"),
        ({"exp2_pieces": 256}, "exp2_pieces"),
        ({"reciprocal": "table"}, "reciprocal"),
        ({"dataflow": "ws"}, "dataflow"),
        ({"instruction_queue": 0}, "instruction_queue"),
        ({"matrix_queue": -1}, "matrix_queue"),
        ({"load_inflight": 0}, "load_inflight"),
        ({"store_inflight": 0}, "store_inflight"),
        ({"memory_ports": 0}, "memory_ports"),
        ({"memory_size": 0}, "memory_size"),
        ({"memory_align": 0}, "memory_align"),
        ({"memory_base": -1}, "memory_base"),
        ({"scratchpad_base": -1}, "scratchpad_base"),
        ({"accumulator_base": -1}, "accumulator_base"),
        ({"scratchpad_rows": 11}, "scratchpad_rows"),
        ({"scratchpad_rows": (1 << 20) + 1}, "scratchpad_rows"),
        ({"accumulator_rows": 4}, "accumulator_rows"),
        ({"name": None}, "name"),
    ],
)
def test_a_field_out_of_range_is_named_with_its_value(changes, field):
    with pytest.raises(ConfigError) as error:
        Config(**changes)
    assert str(error.value).startswith(f"configuration: {field} = ")
    assert "must" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"sa_rows": ' + "9" * 5000 + "}", "not JSON"),
        ("[4, 4]", "one JSON object"),
        ('{"sa_row": 4}', "unknown field 'sa_row'"),
        ('{"sa_rows": "4"}', "sa_rows = '4': must be an integer"),
        ('{"sa_rows": 4.0}', "sa_rows = 4.0: must be an integer"),
        ('{"sa_rows": true}', "sa_rows = True: must be an integer"),
        ('{"sa_rows": null}', "sa_rows = None: must be an integer"),
        ('{"sa_rows": 8}', "cols = 4: must equal rows (8)"),
        ('{"e_type": 16}', "e_type = 16: must be text"),
        ('{"e_type": "half"}', "float format 'half'"),
        ('{"e_type": "e9m10"}', "E must be 3 to 8"),
        ('{"spad_size": 100}', "spad_size = 100"),
        ('{"spad_size": 0}', "spad_size = 0"),
        ('{"acc_size": 15}', "acc_size = 15"),
        ('{"sa_rows": 0, "sa_cols": 0, "spad_size": 64}', "spad_size = 64"),
        ('{"reciprocal": "table"}', "reciprocal = table"),
    ],
)
def test_a_file_that_cannot_be_used(text, says):
    with pytest.raises(ConfigError) as error:
        Config.from_json(text)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "fmt"),
    [("fp16", FP16), ("bf16", BF16), ("fp32", FP32), ("e5m10", FP16), ("e4m3", FloatFormat(4, 3))],
)
def test_formats_by_name(name, fmt):
    assert parse_format(name) == fmt
    assert parse_format(fmt.name) == fmt


@pytest.mark.parametrize("name", ["", "fp8", "FP16", "e5", "e5m", "m10", "e-5m10", "e5m10x", "e2m3", "e8m24", "e999m1"])
def test_unknown_formats(name):
    with pytest.raises(ConfigError):
        parse_format(name)


def test_other_formats_survive_json():
    config = Config(elem=FloatFormat(4, 3), acc=FloatFormat(6, 12), exp2_pieces=4)
    assert json.loads(config.to_json())["e_type"] == "e4m3"
    assert Config.from_json(config.to_json()) == config

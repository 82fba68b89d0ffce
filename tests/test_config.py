"""The configuration: presets, validation, and JSON there and back."""

import copy
import dataclasses
import json
import pickle
import re
from pathlib import Path

import pytest

from myhdl_fsa.arithmetic.formats import BF16, FORMATS, FP16, FP32, FloatFormat
from myhdl_fsa.config import MEMORY_PORTS, PRESETS, Config, ConfigError, as_config, parse_format, preset, read_config
from myhdl_fsa.config_schema import schema, schema_text, table
from myhdl_fsa.convert.design import header, modules

ROOT = Path(__file__).parent.parent

PUBLISHED_FIELDS = (
    "sa_rows", "sa_cols", "inst_queue_size", "e_type", "a_type", "mem_base", "mem_size", "mem_align",
    "spad_base", "spad_size", "acc_base", "acc_size",
)  # fmt: skip


def test_presets_are_the_published_names_and_those_of_stream():
    names = {
        f"{prefix}{n}X{n}{elem}Config"
        for prefix in ("FSA", "AXI4FSA", "STREAM")
        for n in (4, 8, 16, 32, 64, 128)
        for elem in ("Fp16", "Bf16")
    }
    assert set(PRESETS) == names


@pytest.mark.parametrize("name", PRESETS)
def test_preset_fields_follow_the_name(name):
    config = preset(name)
    stream = name.startswith("STREAM")
    n = int(re.findall(r"\d+", name.removeprefix("AXI4"))[0])
    assert (config.rows, config.cols, config.acc, config.name) == (n, n, FP32, name)
    assert config.elem == (BF16 if "Bf16" in name else FP16)
    assert config.memory_ports == MEMORY_PORTS[n]
    assert (config.scratchpad_rows, config.accumulator_rows) == ((8 * n, 3 * n + 1) if stream else (6 * n, 2 * n + 1))
    assert (config.reciprocal, config.exp2_pieces, config.dataflow) == (
        ("division", 8, "stream") if stream else ("newton", 8, "fsa"))


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
    fields = preset("FSA16X16Fp16Config").to_dict(complete=True)
    assert set(PUBLISHED_FIELDS) <= set(fields)
    assert (fields["sa_rows"], fields["sa_cols"], fields["inst_queue_size"]) == (16, 16, 256)
    assert (fields["e_type"], fields["a_type"]) == ("fp16", "fp32")
    assert (fields["spad_size"], fields["acc_size"]) == (96 * 16 * 2, 33 * 16 * 4)


def test_a_published_file_is_read():
    fields = preset("FSA16X16Fp16Config").to_dict(complete=True)
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
        ({"elem": "half"}, "elem"),
        ({"elem": 16}, "elem"),
        ({"elem": (5, 10)}, "elem"),
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
        ({"scratchpad_rows": 65537}, "scratchpad_rows"),
        ({"accumulator_rows": 65537}, "accumulator_rows"),
        ({"instruction_queue": 10**9}, "instruction_queue"),
        ({"instruction_queue": 65537}, "instruction_queue"),
        ({"matrix_queue": 4097}, "matrix_queue"),
        ({"load_inflight": 10**5}, "load_inflight"),
        ({"load_inflight": 1025}, "load_inflight"),
        ({"store_inflight": 1025}, "store_inflight"),
        ({"port_inflight": 10**6}, "port_inflight"),
        ({"port_inflight": 257}, "port_inflight"),
        ({"memory_ports": 33}, "memory_ports"),
        ({"beat_bytes": 129}, "beat_bytes"),
        ({"memory_base": 1 << 39}, "memory_base"),
        ({"memory_size": (1 << 39) + 1}, "memory_size"),
        ({"memory_align": (1 << 20) + 1}, "memory_align"),
        ({"scratchpad_base": 1 << 39}, "scratchpad_base"),
        ({"accumulator_base": 1 << 39}, "accumulator_base"),
        ({"rows": 10**5000}, "rows"),
        ({"memory_ports": None}, "memory_ports"),
        ({"beat_bytes": False}, "beat_bytes"),
        ({"reciprocal": 3}, "reciprocal"),
        ({"name": "x" * 201}, "name"),
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
        ('{"sa_rows": ' + "9" * 5000 + "}", "..: must be an integer from 2 to 256"),
        ("[4, 4]", "one JSON object, {...}, and holds an array"),
        ("null", "one JSON object, {...}, and holds null"),
        (" \n", "not JSON: the file is empty"),
        ('{"sa_row": 4}', "unknown field 'sa_row': did you mean 'sa_rows'?"),
        ('{"Reciprocl": "newton"}', "unknown field 'Reciprocl': did you mean 'reciprocal'?"),
        ('{"rows": 4}', "unknown field 'rows': did you mean 'sa_rows'?"),
        ('{"instruction_queue": 4}', "unknown field 'instruction_queue': did you mean 'inst_queue_size'?"),
        ('{"zzz": 4}', "unknown field 'zzz': known are a_type, acc_base, "),
        ('{"config": {"sa_rows": 4}}', "unknown field 'config': known are "),
        ('{"sa_rows": 4, "sa_cols": 4, "sa_rows": 8}', '"sa_rows" is there twice: must be there once'),
        ('{"sa_rows": "4"}', 'sa_rows = "4": must be an integer'),
        ('{"sa_rows": 4.0}', "sa_rows = 4.0: must be an integer"),
        ('{"sa_rows": true}', "sa_rows = true: must be an integer"),
        ('{"sa_rows": null}', "sa_rows = null: must be an integer"),
        ('{"sa_rows": NaN}', "sa_rows = NaN: must be an integer"),
        ('{"sa_rows": {"n": [4]}}', 'sa_rows = {"n": [4]}: must be an integer'),
        ('{"sa_rows": "\\u001b[2J\\u2028"}', "sa_rows = "),
        ('{"sa_cols": 8}', "sa_cols = 8: must equal sa_rows (4)"),
        ('{"sa_rows": 8, "sa_cols": 4}', "sa_cols = 4: must equal sa_rows (8)"),
        ('{"inst_queue_size": 1000000000}', "inst_queue_size = 1000000000: must be an integer from 1 to 65536"),
        ('{"port_inflight": 1000000}', "port_inflight = 1000000: must be an integer from 1 to 256"),
        ('{"load_inflight": 100000}', "load_inflight = 100000: must be an integer from 1 to 1024"),
        ('{"e_type": 16}', "e_type = 16: must be one of fp16, bf16, fp32, tf32, e4m3, e5m2 or e<E>m<M>"),
        ('{"e_type": "half"}', 'e_type = "half": must be one of fp16, bf16, fp32, tf32, e4m3, e5m2 or e<E>m<M>'),
        ('{"e_type": "e9m10"}', "E must be 3 to 8"),
        ('{"e_type": "fp32", "a_type": "bf16"}', "e_type = fp32: must not exceed a_type (bf16)"),
        ('{"spad_size": 100}', "spad_size = 100"),
        ('{"spad_size": 0}', "spad_size = 0"),
        ('{"spad_size": 8000000}', "8000000: must be a positive multiple of one row (8 bytes), up to 524288"),
        ('{"spad_size": 64}', "spad_size = 64: must be at least 96: one Q, one K and one V tile"),
        ('{"spad_size": 3.5}', "spad_size = 3.5: must be an integer"),
        ('{"acc_size": 15}', "acc_size = 15"),
        ('{"acc_size": 64}', "acc_size = 64: must be at least 80: one O tile and the L row"),
        ('{"sa_rows": 0, "sa_cols": 0, "spad_size": 64}', "sa_rows = 0"),
        ('{"reciprocal": "table"}', 'reciprocal = "table": must be one of newton, division'),
    ],
)
def test_a_file_that_cannot_be_used(text, says):
    with pytest.raises(ConfigError) as error:
        Config.from_json(text)
    assert str(error.value).startswith("configuration file: ")
    assert says in str(error.value)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400


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


@pytest.mark.parametrize("name", FORMATS)
def test_every_name_of_a_format_survives_json(name):
    config = Config(elem=name, exp2_pieces=4)
    again = Config.from_json(config.to_json())
    assert again == config == Config.from_json(f'{{"e_type": "{name}", "exp2_pieces": 4}}')
    assert again.to_dict()["e_type"] == config.elem.name
    # an editor that follows the schema takes it too
    assert re.fullmatch(schema()["properties"]["e_type"]["pattern"], name)


def test_what_follows_from_the_rows_follows():
    eight = Config(rows=8)
    assert eight == Config(rows=8, cols=8) == Config().replace(rows=8)
    assert (eight.cols, eight.scratchpad_rows, eight.accumulator_rows, eight.beat_bytes) == (8, 48, 17, 16)
    for size, ports in MEMORY_PORTS.items():
        assert Config(rows=size) == preset(f"FSA{size}X{size}Fp16Config").replace(name="")
        assert Config(rows=size).memory_ports == ports
    assert [Config(rows=rows).memory_ports for rows in (2, 12, 24, 127, 256)] == [4, 4, 8, 8, 16]


def test_a_format_may_be_given_by_name():
    assert Config(elem="bf16") == Config(elem=BF16)
    assert Config(elem="e4m3", acc="bf16") == Config(elem=FloatFormat(4, 3), acc=BF16)
    assert isinstance(Config(elem="bf16").elem, FloatFormat)


def test_a_file_without_what_follows_may_be_changed():
    fields = json.loads(preset("FSA4X4Fp16Config").to_json())
    assert not {"sa_cols", "spad_size", "acc_size", "memory_ports", "beat_bytes"} & set(fields)
    fields.update(sa_rows=16, sa_cols=16)
    assert Config.from_dict(fields) == preset("FSA16X16Fp16Config").replace(name="FSA4X4Fp16Config")


def test_what_was_set_by_hand_stays():
    by_hand = Config(accumulator_rows=30, memory_ports=2, beat_bytes=4)
    fields = by_hand.to_dict()
    assert (fields["acc_size"], fields["memory_ports"], fields["beat_bytes"]) == (480, 2, 4)
    assert "spad_size" not in fields
    assert Config.from_dict(fields) == by_hand == Config.from_dict(by_hand.to_dict(complete=True))
    large = by_hand.replace(rows=8)
    assert (large.accumulator_rows, large.memory_ports, large.beat_bytes, large.scratchpad_rows) == (30, 2, 4, 48)


def test_what_was_set_by_hand_to_what_follows_makes_no_other_machine():
    plain = Config(rows=8)
    by_hand = Config(rows=8, cols=8, memory_ports=4, beat_bytes=16, scratchpad_rows=48, accumulator_rows=17)
    read = Config.from_dict(plain.to_dict(complete=True))
    zero = Config(rows=8, beat_bytes=0, scratchpad_rows=0, accumulator_rows=0)
    for other in (by_hand, read, zero, pickle.loads(pickle.dumps(read)), copy.deepcopy(read),
                  dataclasses.replace(plain, rows=8)):
        assert (other, hash(other), repr(other), other.to_json()) == (plain, hash(plain), repr(plain), plain.to_json())
        assert header(other) == header(plain)


def test_a_configuration_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().rows = 8


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"row": 8}, "configuration: unknown field 'row': did you mean 'rows'?"),
        ({"sa_rows": 8}, "configuration: unknown field 'sa_rows': did you mean 'rows'?"),
        ({"spad_size": 96}, "configuration: unknown field 'spad_size': did you mean 'scratchpad_rows'?"),
        ({"rows": 8, "scratchpad_rows": 20}, "configuration: scratchpad_rows = 20: must be at least 24: one Q, one K "
                                             "and one V tile"),
        ({"elem": FP32, "acc": FP16}, "configuration: elem = fp32: must not exceed acc (fp16) in exponent or mantissa "
                                      "bits"),
    ],
)
def test_python_errors_use_the_names_of_python(changes, says):
    for make in (Config, Config().replace):
        with pytest.raises(ConfigError) as error:
            make(**changes)
        assert str(error.value) == says


def test_fields_by_position():
    assert Config(8) == Config(rows=8)
    for make in (lambda: Config(8, rows=8), lambda: Config(*[4] * 30), lambda: Config(4, 4, "half")):
        with pytest.raises(ConfigError) as error:
            make()
        assert "\n" not in str(error.value)


def test_accelerator_errors_use_the_names_of_where_the_configuration_came_from(tmp_path):
    with pytest.raises(ConfigError, match=r"^configuration: memory_align = 4: the accelerator needs a multiple"):
        Config(memory_align=4).check_accelerator()
    read = Config.from_json('{"mem_align": 4}')
    for config in (read, read.replace(reciprocal="division"), pickle.loads(pickle.dumps(read))):
        with pytest.raises(ConfigError, match=r"^configuration file: mem_align = 4: the accelerator needs a multiple"):
            config.check_accelerator()


def test_a_configuration_that_was_read_is_built():
    """What a Config has beside its fields must not be mistaken for signals."""
    assert "pe" in modules(Config.from_dict({"sa_rows": 2}), "pe")


@pytest.mark.parametrize("changes", [
    {"instruction_queue": 1 << 16}, {"scratchpad_rows": 1 << 16},
    {"matrix_queue": 4096, "load_inflight": 1024, "store_inflight": 1024, "port_inflight": 256, "memory_ports": 32,
     "memory_align": 1 << 20},
], ids=["words", "rows", "others"])
@pytest.mark.slow
def test_the_largest_machine_is_built(changes):
    assert "accelerator" in modules(Config(**changes))


@pytest.mark.parametrize(("name", "meant"), [
    ("fsa4x4fp16config", "FSA4X4Fp16Config"), ("FSA16x16Fp16", "FSA16X16Fp16Config"),
    ("AXI4FSA8X8BF16CONFIG", "AXI4FSA8X8Bf16Config"),
])
def test_an_unknown_preset_suggests_the_nearest(name, meant):
    with pytest.raises(ConfigError) as error:
        preset(name)
    assert f"{name!r} is unknown: did you mean {meant!r}?" in str(error.value)


def test_a_configuration_by_whatever_names_it(tmp_path):
    config = Config(rows=8, reciprocal="division")
    path = tmp_path / "own.json"
    path.write_text(config.to_json())
    assert as_config(config) is config
    assert as_config("FSA8X8Fp16Config") is PRESETS["FSA8X8Fp16Config"]
    assert as_config(str(path)) == as_config(path) == config
    path.write_bytes(b"\xef\xbb\xbf" + config.to_json().encode())
    assert as_config(path) == config


@pytest.mark.parametrize(("value", "says"), [
    (None, "type NoneType: must be a Config, the name of a preset, or the path of a .json file"),
    (4, "configuration of type int: must be"),
    ({"rows": 4}, "configuration of type dict: must be"),
    (b"x.json", "configuration of type bytes: must be"),
    ("nowhere.json", "configuration file nowhere.json: cannot read: No such file or directory"),
    (Path("FSA4X4Fp16Config"), "configuration file 'FSA4X4Fp16Config': must be named .json"),
    ("nul\0.json", "cannot read: embedded null byte"),
    ("no\nwhere.json", "configuration file no?where.json: cannot read: "), ("fsa\n4x4", "'fsa\\n4x4' is unknown: "),
    ("fsa4x4", "did you mean"),
])
def test_what_names_no_configuration(value, says):
    with pytest.raises(ConfigError) as error:
        as_config(value)
    assert says in str(error.value)
    assert str(error.value).isprintable()


@pytest.mark.parametrize(("data", "says"), [
    (b"", "not JSON: the file is empty"), (b"\xff\xfe{\0}\0", "cannot read: not UTF-8 text"),
    (b" " * (1 << 20) + b"{}", "larger than 1048576 bytes: not a configuration"),
    (b'{"sa_rows": 300}', "sa_rows = 300: must be an integer from 2 to 256"),
])
def test_a_file_says_what_is_wrong_with_it(tmp_path, data, says):
    path = tmp_path / "odd.json"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as error:
        read_config(path)
    assert str(error.value) == f"configuration file {path}: {says}"


def test_the_schema_says_what_a_file_may_hold():
    made = schema()
    assert json.loads(schema_text()) == made
    fields = made["properties"]
    assert set(fields) == {"$schema", *Config().to_dict(complete=True)}
    assert made["additionalProperties"] is False
    assert (fields["sa_rows"]["minimum"], fields["sa_rows"]["maximum"], fields["sa_rows"]["default"]) == (2, 256, 4)
    assert fields["reciprocal"]["enum"] == ["newton", "division"]
    assert fields["spad_size"]["type"] == "integer"
    assert fields["spad_size"]["maximum"] == Config(rows=256, elem=FP32, scratchpad_rows=65536).to_dict()["spad_size"]
    assert all(field["description"] for field in fields.values())
    assert "default" not in fields["sa_cols"]


@pytest.mark.parametrize("end", ["minimum", "maximum"])
def test_the_schema_has_the_bounds_that_are_held(end):
    for name, field in schema()["properties"].items():
        if name not in ("spad_size", "acc_size") and field["type"] == "integer":
            beyond = field[end] + (1 if end == "maximum" else -1)
            with pytest.raises(ConfigError, match=f"{name} = {beyond}: must be an integer from "):
                Config.from_dict({name: beyond})


def test_a_file_may_name_its_schema():
    assert Config.from_dict({"$schema": "fsa.schema.json", "sa_rows": 8}) == Config(rows=8)


def test_the_documented_fields_are_the_declared_ones():
    assert table() in (ROOT / "docs" / "configuration.md").read_text()

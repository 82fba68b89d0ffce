"""The configuration of one machine: a frozen dataclass, validated once and passed down.

The published names (``FSA4X4Fp16Config`` ... ``AXI4FSA128X128Bf16Config``) are presets, and so are those of our own
dataflow (``STREAM4X4Fp16Config`` ... ``STREAM128X128Bf16Config``); JSON carries the published
field names (sa_rows, sa_cols, ...) and, beside them, the choices the published file does not record. A field's
declaration in ``Config`` is where its name in the file, its bounds, unit and description come from, here, in JSON, in
the schema and in the documentation. Source: docs/specification.md sections 4 (sizes) and 5 (names).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import ConfigDict, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.dataclasses import dataclass
from pydantic.fields import FieldInfo

from myhdl_fsa.arithmetic.formats import BF16, FP16, FP32, FloatFormat, as_format, shown_names
from myhdl_fsa.config_fields import (
    ConfigError,
    InBytes,
    Machine,
    Names,
    NumberFormat,
    choice,
    explain,
    in_bytes,
    integer,
    number_format,
    one_line_errors,
    printable,
    read_object,
    suggestion,
    text,
)

__all__ = [
    "ADDRESSES",
    "Config",
    "ConfigError",
    "DATAFLOWS",
    "Dataflow",
    "MEMORY_PORTS",
    "MOST_BYTES",
    "MOST_ROWS",
    "MOST_SIDE",
    "PRESETS",
    "RECIPROCALS",
    "ReciprocalMethod",
    "SIZES",
    "as_config",
    "parse_format",
    "preset",
    "read_config",
]

ReciprocalMethod = Literal["newton", "division"]
Dataflow = Literal["fsa", "stream"]
RECIPROCALS: tuple[str, ...] = get_args(ReciprocalMethod)
DATAFLOWS: tuple[str, ...] = get_args(Dataflow)
SIZES = (4, 8, 16, 32, 64, 128)
MEMORY_PORTS = {4: 4, 8: 4, 16: 8, 32: 8, 64: 8, 128: 16}

ADDRESSES = 1 << 39
"""bytes that a memory address reaches"""
MOST_ROWS = 1 << 16
"""rows of a RAM: MyHDL elaborates and converts so many in seconds; the 20 bits of a row address reach 16 times as far,
which takes a minute and 2 GB"""
MOST_BYTES = 1 << 20
"""bytes of a configuration file"""
MOST_SIDE = 256
"""rows and columns of the array"""
_RAM_BYTES = {"minimum": 1, "maximum": MOST_ROWS * MOST_SIDE * 4}
"""of the file's sizes; which of them are right is a matter of other fields"""


def _scratchpad_row_bytes(machine: Machine) -> int:
    return machine["rows"] * machine["elem"].memory_bytes


def _accumulator_row_bytes(machine: Machine) -> int:
    return machine["cols"] * machine["acc"].memory_bytes


def _memory_ports(machine: Machine) -> int:
    # between the published sizes those of the next smaller one
    return MEMORY_PORTS[max((size for size in SIZES if size <= machine["rows"]), default=SIZES[0])]


def _beat_bytes(machine: Machine) -> int:
    return math.gcd(32, _scratchpad_row_bytes(machine), _accumulator_row_bytes(machine))


def _scratchpad_rows(machine: Machine) -> int:
    pairs = 3 if machine["dataflow"] == "stream" else 2
    return 2 * machine["cols"] + 2 * pairs * machine["rows"]


def _accumulator_rows(machine: Machine) -> int:
    tiles = 3 if machine["dataflow"] == "stream" else 2
    return tiles * machine["rows"] + 1


@one_line_errors
@dataclass(frozen=True, config=ConfigDict(extra="forbid", validate_by_name=True, validate_by_alias=False))
class Config:
    """One machine. Raises ConfigError for a field out of its range, and for fields that do not fit together.

    Fields whose default is a function follow others as long as they are not given: ``Config(rows=8)`` has 8 columns
    and memories to suit. A format may be given by its name. ``beat_bytes``, ``scratchpad_rows`` and
    ``accumulator_rows`` follow when they are 0, too.
    """

    rows: int = integer(4, 2, MOST_SIDE, "rows of the array: the tile and the largest head dimension",
                        published="sa_rows")
    cols: int = integer(lambda machine: machine["rows"], 2, MOST_SIDE,
                        "columns of the array: queries in a tile; left out: as sa_rows, which they must equal",
                        published="sa_cols")
    elem: NumberFormat = number_format(FP16, f"input format: {shown_names()}, or e<E>m<M>", "e_type")
    acc: NumberFormat = number_format(FP32, "accumulation format, at least as wide as e_type in exponent and mantissa",
                                      "a_type")
    exp2_pieces: int = integer(8, 2, 128, "linear pieces of 2^x over (-1, 0], a power of two")
    reciprocal: ReciprocalMethod = choice(
        "newton", "1/x: newton on the accumulator's multiply-adder, or a correctly rounded division unit")
    dataflow: Dataflow = choice(
        "fsa", "the schedule of the array: fsa, the published one, or stream, of 2N+4 cycles an iteration")
    mac_stages: int = integer(
        0, 0, 2, "dataflow stream: pipeline stages of a multiply-adder before it takes its addend", unit="cycles")
    adder_stages: int = integer(
        1, 1, 2, "dataflow stream: pipeline stages of a multiply-adder from its addend to its result, and so from row "
        "to row", unit="cycles")
    instruction_queue: int = integer(256, 1, 1 << 16, "instruction queue", unit="words", published="inst_queue_size")
    matrix_queue: int = integer(8, 1, 4096, "queue of the matrix unit", unit="instructions")
    load_inflight: int = integer(16, 1, 1024, "DMA loads under way at once")
    store_inflight: int = integer(8, 1, 1024, "DMA stores under way at once")
    port_inflight: int = integer(16, 1, 256, "rows under way at once on a memory port, in each direction")
    memory_ports: int = integer(
        _memory_ports, 1, 32,
        "AXI4 memory ports, a power of two; left out: by sa_rows, as published, " + ", ".join(
            f"{ports} from {min(size for size in SIZES if MEMORY_PORTS[size] == ports)} rows"
            for ports in sorted(set(MEMORY_PORTS.values()))))
    beat_bytes: int = integer(
        _beat_bytes, 0, 128,
        "AXI4 data beat, a power of two; 0 or left out: the largest that divides a row of both RAMs, up to 32",
        unit="bytes")
    memory_base: int = integer(0x8000_0000, 0, ADDRESSES - 1, "first address of the memory, a multiple of beat_bytes",
                               unit="bytes", published="mem_base")
    memory_size: int = integer(0x1000_0000, 1, ADDRESSES, "size of the memory, which ends within 39 address bits",
                               unit="bytes", published="mem_size")
    memory_align: int = integer(32, 1, 1 << 20, "alignment of tensors in memory, a multiple of beat_bytes",
                                unit="bytes", published="mem_align")
    scratchpad_base: int = integer(0, 0, ADDRESSES - 1, "published address of the scratchpad; changes nothing here",
                                   unit="bytes", published="spad_base")
    scratchpad_rows: Annotated[int, InBytes(_scratchpad_row_bytes)] = integer(
        _scratchpad_rows, 0, MOST_ROWS,
        "scratchpad, whole rows of sa_rows values of e_type; left out: two Q, two K and two V tiles, with stream three "
        "of K and V", unit="bytes", published="spad_size", schema=_RAM_BYTES)
    accumulator_base: int = integer(
        0, 0, ADDRESSES - 1, "published address of the accumulator RAM; changes nothing here", unit="bytes",
        published="acc_base")
    accumulator_rows: Annotated[int, InBytes(_accumulator_row_bytes)] = integer(
        _accumulator_rows, 0, MOST_ROWS,
        "accumulator RAM, whole rows of sa_cols values of a_type; left out: two O tiles and the L row, "
        "with stream three (the published one has one O tile: the next query tile overwrites it while it is stored)",
        unit="bytes", published="acc_size", schema=_RAM_BYTES)
    name: str = text("", 200, "what the machine is called; changes nothing")

    _from_file: ClassVar[bool] = False
    """whether later errors use the file's names; an instance that was read from a file says so in its own dictionary.
    No Names, whose attributes MyHDL would look for signals in"""

    @field_validator("beat_bytes", "scratchpad_rows", "accumulator_rows", mode="before")
    @classmethod
    def _given(cls, value: Any, info: ValidationInfo) -> Any:
        """What a file gives in bytes, in rows; what follows, where 0 is given."""
        field = _fields()[info.field_name or ""]
        unit = in_bytes(field)
        if type(value) is not int or not {"rows", "cols", "elem", "acc"} <= info.data.keys():
            return value
        if unit is not None and info.context is Names.FILE:
            return unit.rows(value, info.data, MOST_ROWS)
        return value or field.default_factory(info.data)  # type: ignore[misc,call-arg]

    @model_validator(mode="after")
    def _fit_together(self, info: ValidationInfo) -> Self:
        names = Names.PYTHON if info.context is None else info.context
        object.__setattr__(self, "_from_file", names is Names.FILE)
        self._refuse(self._misfits(names))
        return self

    def _misfits(self, names: Names) -> Iterator[tuple[str, bool, str]]:
        """What the fields of any machine must be to each other: field, whether it is, and in words."""
        rows, acc = (names.name_of(field, _fields()) for field in ("rows", "acc"))
        yield "cols", self.rows == self.cols, f"must equal {rows} ({self.rows}): the array is square"
        fits = self.elem.exponent_bits <= self.acc.exponent_bits and self.elem.mantissa_bits <= self.acc.mantissa_bits
        yield "elem", fits, f"must not exceed {acc} ({self.acc}) in exponent or mantissa bits"
        pieces, most = self.exp2_pieces, 1 << (self.acc.exponent_bits - 1)
        yield "exp2_pieces", pieces & (pieces - 1) == 0, "must be a power of two"
        yield "exp2_pieces", pieces <= most, f"must be at most {most} for {acc} = {self.acc}"
        for field, least, why in (("scratchpad_rows", self.cols + 2 * self.rows, "one Q, one K and one V tile"),
                                  ("accumulator_rows", self.rows + 1, "one O tile and the L row")):
            enough = getattr(self, field) >= least
            yield field, enough, f"must be at least {self._in_unit(field, least, names)}: {why}"
        if self.dataflow == "stream":
            least = 2 * self.cols + 2 * self.rows
            yield "scratchpad_rows", self.scratchpad_rows >= least, (
                f"the stream dataflow needs at least {self._in_unit('scratchpad_rows', least, names)}: "
                "two Q tiles, one K and one V tile")
        yield from self._mac_misfits(names)

    def _mac_misfits(self, names: Names) -> Iterator[tuple[str, bool, str]]:
        """What a pipelined multiply-adder needs."""
        latency = self.mac_stages + self.adder_stages
        shown = f"mac_stages = {self.mac_stages} and adder_stages = {self.adder_stages}"
        for field, least in (("mac_stages", 0), ("adder_stages", 1)):
            yield field, self.dataflow == "stream" or getattr(self, field) == least, (
                f"must be {least} with dataflow = {self.dataflow}: only stream has a pipelined multiply-adder")
        # a row of O^T is written a latency after its wave, and normalised a cycle more than N waves after it at most
        yield "rows", latency == 1 or self.rows >= latency, f"must be at least {latency} with {shown}"
        yield "reciprocal", latency == 1 or self.reciprocal == "division", (
            f"must be division with {shown}: a Newton step takes one cycle")

    def _accelerator_misfits(self, names: Names) -> Iterator[tuple[str, bool, str]]:
        """What the accelerator needs beside."""
        yield "memory_ports", self.memory_ports & (self.memory_ports - 1) == 0, "a power of two, at most 32"
        yield "rows", self.accumulator_row_bytes < 1024, "accumulator rows of at most 1023 bytes, as in DMA words"
        beat = self.beat_bytes
        yield "beat_bytes", beat & (beat - 1) == 0, "a power of two from 1 to 128"
        for row in (self.scratchpad_row_bytes, self.accumulator_row_bytes):
            whole = row % beat == 0 and row // beat <= 256
            yield "beat_bytes", whole, f"1 to 256 whole beats in a row of {row} bytes"
        for field in ("memory_align", "memory_base"):
            yield field, getattr(self, field) % beat == 0, f"a multiple of beat_bytes ({beat})"
        end = self.memory_base + self.memory_size
        yield "memory_base", end <= ADDRESSES, "memory that ends within 39 address bits"

    def _refuse(self, misfits: Iterator[tuple[str, bool, str]], frame: str = "{}") -> None:
        """Raises ConfigError for the first that does not hold."""
        for field, holds, allowed in misfits:
            if not holds:
                names = self._names
                value = self._in_unit(field, getattr(self, field), names)
                raise ConfigError(f"{names.value}: {names.name_of(field, _fields())} = {names.show(value)}: "
                                  + frame.format(allowed))

    def _in_unit(self, field: str, value: Any, names: Names) -> Any:
        """A value of the field as the file, or Python, has it."""
        unit = in_bytes(_fields()[field])
        return value if unit is None or names is Names.PYTHON else value * unit.row_bytes(vars(self))

    @property
    def _names(self) -> Names:
        return Names.FILE if self._from_file else Names.PYTHON

    @property
    def scratchpad_row_bytes(self) -> int:
        """Bytes of a scratchpad row in memory."""
        return _scratchpad_row_bytes(vars(self))

    @property
    def accumulator_row_bytes(self) -> int:
        """Bytes of an accumulator RAM row in memory."""
        return _accumulator_row_bytes(vars(self))

    def check_accelerator(self) -> None:
        """Raises ConfigError for what the core can be and the accelerator around it cannot."""
        self._refuse(self._accelerator_misfits(self._names),
                     "the accelerator needs {}: the bare core takes it (top core)")

    @property
    def fits_accelerator(self) -> bool:
        """Whether ``check_accelerator`` passes."""
        return all(holds for _, holds, _ in self._accelerator_misfits(self._names))

    def _follows(self, name: str, field: FieldInfo) -> bool:
        """Whether the field has the value that follows from others."""
        follow: Any = field.default_factory
        return follow is not None and getattr(self, name) == follow(vars(self))

    def replace(self, **changes: Any) -> Config:
        """A copy with some fields changed, validated again. What follows from other fields goes on following them."""
        kept = {name: getattr(self, name) for name, field in _fields().items() if not self._follows(name, field)}
        copy = Config(**{**kept, **changes})
        object.__setattr__(copy, "_from_file", self._from_file)
        return copy

    def to_dict(self, complete: bool = False) -> dict[str, Any]:
        """The fields as the file has them: the published ones, then ours.

        What has the value that follows from other fields is left out, so that it follows them when the file is changed;
        ``complete`` puts it in.
        """
        fields = {}
        for name, field in sorted(_fields().items(), key=lambda item: item[1].alias is None):
            if complete or not self._follows(name, field):
                value = self._in_unit(name, getattr(self, name), Names.FILE)
                fields[field.alias or name] = value.name if isinstance(value, FloatFormat) else value
        return fields

    def to_json(self, complete: bool = False) -> str:
        """The configuration as JSON text, with the fields of ``to_dict``."""
        return json.dumps(self.to_dict(complete), indent=2) + "\n"

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Config:
        """Builds from published (and our) field names. Raises ConfigError for an unknown or unusable field.

        ``$schema``, by which editors find the schema, is passed over.
        """
        if not isinstance(fields, dict):
            raise ConfigError(f"{Names.FILE.value}: must be a dict of fields, and is {type(fields).__name__}")
        given = {name: value for name, value in fields.items() if name != "$schema"}
        try:
            return _ADAPTER.validate_python(given, by_alias=True, by_name=False, context=Names.FILE)
        except ValidationError as error:
            raise ConfigError(explain(error, _fields(), Names.FILE, given)) from None

    @classmethod
    def from_json(cls, source: str) -> Config:
        """Reads what ``to_json`` or the published flow wrote. Raises ConfigError."""
        return cls.from_dict(read_object(source))


def _fields() -> dict[str, FieldInfo]:
    """The declarations, by Python name."""
    return Config.__pydantic_fields__  # type: ignore[attr-defined]


_ADAPTER = TypeAdapter(Config)


def parse_format(name: str) -> FloatFormat:
    """As ``as_format``, of a name. Raises ConfigError."""
    try:
        return as_format(name)
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from None


def _presets() -> dict[str, Config]:
    presets = {}
    # with newton a new query tile of stream would wait for the accumulators
    machines: tuple[tuple[str, dict[str, Any]], ...] = (
        ("FSA", {}), ("AXI4FSA", {}), ("STREAM", {"dataflow": "stream", "reciprocal": "division"}))
    for prefix, fields in machines:
        for size in SIZES:
            for label, elem in (("Fp16", FP16), ("Bf16", BF16)):
                name = f"{prefix}{size}X{size}{label}Config"
                presets[name] = Config(rows=size, elem=elem, name=name, **fields)
    return presets


PRESETS: dict[str, Config] = _presets()


def preset(name: str) -> Config:
    """The configuration of that name. Raises ConfigError that suggests the nearest and lists all."""
    if name not in PRESETS:
        near = suggestion(name, PRESETS, near=0.5)
        raise ConfigError(f"configuration {Names.PYTHON.show(name)} is unknown: "
                          f"{f'{near} Known' if near else 'known'} are {', '.join(PRESETS)}")
    return PRESETS[name]


def read_config(path: str | os.PathLike[str]) -> Config:
    """The configuration in a JSON file. Raises ConfigError, for a file that cannot be read too."""
    said = f"{Names.FILE.value} {printable(os.fsdecode(path))}"
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise ConfigError(f"{said}: cannot read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{said}: larger than {MOST_BYTES} bytes: not a configuration")
    try:
        return Config.from_json(data.decode("utf-8-sig"))  # editors elsewhere begin a file with a byte order mark
    except UnicodeDecodeError:
        raise ConfigError(f"{said}: cannot read: not UTF-8 text") from None
    except ConfigError as error:
        raise ConfigError(f"{said}: {str(error).removeprefix(f'{Names.FILE.value}: ')}") from None


def as_config(value: Config | str | os.PathLike[str]) -> Config:
    """A Config itself, the preset of a name, or the one in the file of a path that ends in ``.json``.

    Raises ConfigError for anything else, and for what is wrong with the file.
    """
    if isinstance(value, Config):
        return value
    if isinstance(value, (str, os.PathLike)):
        path = os.fspath(value)
        if isinstance(path, str) and path.endswith(".json"):
            return read_config(path)
        if isinstance(value, str):
            return preset(value)
        raise ConfigError(f"configuration file {path!r}: must be named .json")
    raise ConfigError(f"configuration of type {type(value).__name__}: "
                      "must be a Config, the name of a preset, or the path of a .json file")

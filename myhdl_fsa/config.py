"""The configuration of one machine: a frozen dataclass, validated once and passed down.

The published names (``FSA4X4Fp16Config`` ... ``AXI4FSA128X128Bf16Config``) are presets; JSON carries the published
field names (sa_rows, sa_cols, ...) and, beside them, the choices the published file does not record. Source: spec
sections 4 (sizes) and 5 (names).
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from dataclasses import dataclass
from typing import Any

from myhdl_fsa.arithmetic.formats import BF16, FORMATS, FP16, FP32, FloatFormat

RECIPROCALS = ("newton", "division")
DATAFLOWS = ("fsa", "stream")
SIZES = (4, 8, 16, 32, 64, 128)
MEMORY_PORTS = {4: 4, 8: 4, 16: 8, 32: 8, 64: 8, 128: 16}


class ConfigError(ValueError):
    """A configuration that cannot be built; the message is one line naming the field, its value and what is allowed."""


@dataclass(frozen=True)
class Config:
    """One machine. Raises ConfigError when a field is out of its range.

    ``scratchpad_rows`` of 0 means the published size: two Q, two K and two V tiles (2*cols + 4*rows rows of ``rows``
    elements). ``accumulator_rows`` of 0 means two O tiles plus the L row (2*rows + 1 rows of ``cols`` elements): the
    published size has one O tile, which the next query tile overwrites while it is stored. ``beat_bytes`` of 0 means
    the largest power of two, at most 32, that divides a row of both memories.
    """

    rows: int = 4
    """PE rows = tile size = head dimension the array holds"""
    cols: int = 4
    """PE columns = queries in a tile"""
    elem: FloatFormat = FP16
    """multiplicand format"""
    acc: FloatFormat = FP32
    """accumulation format"""
    exp2_pieces: int = 8
    """pieces of the linear interpolation of 2**x over (-1, 0]"""
    reciprocal: str = "newton"
    dataflow: str = "fsa"
    instruction_queue: int = 256
    """words"""
    matrix_queue: int = 8
    """instructions"""
    load_inflight: int = 16
    """DMA loads under way at once"""
    store_inflight: int = 8
    """DMA stores under way at once"""
    port_inflight: int = 16
    """rows under way at once on a memory port, in each direction"""
    memory_ports: int = 4
    """AXI4 ports"""
    beat_bytes: int = 0
    """bytes of an AXI4 data beat; 0 means the largest that fits, up to 32"""
    memory_base: int = 0x8000_0000
    """bytes"""
    memory_size: int = 0x1000_0000
    """bytes"""
    memory_align: int = 32
    """bytes"""
    scratchpad_base: int = 0
    """bytes"""
    scratchpad_rows: int = 0
    """rows of ``rows`` elem values; 0 means the published size"""
    accumulator_base: int = 0
    """bytes"""
    accumulator_rows: int = 0
    """rows of ``cols`` acc values; 0 means two O tiles and the L row"""
    name: str = ""

    def __post_init__(self) -> None:
        self._check_types()
        if self.scratchpad_rows == 0:
            object.__setattr__(self, "scratchpad_rows", _scratchpad_rows(self.rows, self.cols))
        if self.accumulator_rows == 0:
            object.__setattr__(self, "accumulator_rows", _accumulator_rows(self.rows))
        if self.beat_bytes == 0:
            object.__setattr__(self, "beat_bytes", _beat_bytes(self))
        self._check()

    def _check_types(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # The annotations are text: int, str or FloatFormat.
            kind = {"int": int, "str": str}.get(str(field.type), FloatFormat)
            if not isinstance(value, kind) or isinstance(value, bool):
                allowed = {int: "an integer", str: "text"}.get(kind, "a FloatFormat")
                raise ConfigError(f"configuration: {field.name} = {value!r}: must be {allowed}")

    def _check(self) -> None:
        def need(ok: bool, field: str, allowed: str) -> None:
            if not ok:
                raise ConfigError(f"configuration: {field} = {getattr(self, field)}: {allowed}")

        for field in ("rows", "cols"):
            value = getattr(self, field)
            need(2 <= value <= 256, field, "must be an integer from 2 to 256")
        need(self.rows == self.cols, "cols", f"must equal rows ({self.rows}): the array is square")
        need(
            self.elem.exponent_bits <= self.acc.exponent_bits and self.elem.mantissa_bits <= self.acc.mantissa_bits,
            "elem",
            f"must not exceed acc ({self.acc}) in exponent or mantissa bits",
        )
        pieces = self.exp2_pieces
        need(pieces >= 2 and pieces & (pieces - 1) == 0, "exp2_pieces", "must be a power of two, at least 2")
        most = 1 << min(self.elem.mantissa_bits, self.acc.exponent_bits - 1)
        need(pieces <= most, "exp2_pieces", f"must be at most {most} for {self.elem}/{self.acc}")
        need(self.reciprocal in RECIPROCALS, "reciprocal", f"must be one of {', '.join(RECIPROCALS)}")
        need(self.dataflow in DATAFLOWS, "dataflow", f"must be one of {', '.join(DATAFLOWS)}")
        for field in ("instruction_queue", "matrix_queue", "load_inflight", "store_inflight", "port_inflight",
                      "memory_ports", "beat_bytes", "memory_size", "memory_align"):
            need(getattr(self, field) >= 1, field, "must be at least 1")
        for field in ("memory_base", "scratchpad_base", "accumulator_base"):
            need(getattr(self, field) >= 0, field, "must not be negative")
        need(self.scratchpad_rows >= self.cols + 2 * self.rows, "scratchpad_rows",
             f"must be at least {self.cols + 2 * self.rows}: one Q, one K and one V tile")
        need(self.accumulator_rows >= self.rows + 1, "accumulator_rows",
             f"must be at least {self.rows + 1}: one O tile and the L row")
        for field in ("scratchpad_rows", "accumulator_rows"):
            need(getattr(self, field) <= 1 << 20, field, "must be at most 1048576: addresses are 20 bits")

    @property
    def scratchpad_row_bytes(self) -> int:
        """Bytes of a scratchpad row in memory."""
        return self.rows * _bytes(self.elem)

    @property
    def accumulator_row_bytes(self) -> int:
        """Bytes of an accumulator RAM row in memory."""
        return self.cols * _bytes(self.acc)

    def check_accelerator(self) -> None:
        """Raises ConfigError for what the core can be and the accelerator around it cannot."""
        def need(ok: bool, field: str, allowed: str) -> None:
            if not ok:
                raise ConfigError(f"configuration: {field} = {getattr(self, field)}: the accelerator needs {allowed}: "
                                  "the bare core takes it (top core)")

        for field in ("elem", "acc"):
            need(getattr(self, field).width % 8 == 0, field, "a format of whole bytes")
        ports = self.memory_ports
        need(ports & (ports - 1) == 0 and ports <= 32, "memory_ports", "a power of two, at most 32")
        need(self.accumulator_row_bytes < 1024, "cols", "accumulator rows of at most 1023 bytes, as in DMA words")
        beat = self.beat_bytes
        need(beat & (beat - 1) == 0 and beat <= 128, "beat_bytes", "a power of two from 1 to 128")
        for row in (self.scratchpad_row_bytes, self.accumulator_row_bytes):
            need(row % beat == 0 and row // beat <= 256, "beat_bytes", f"1 to 256 whole beats in a row of {row} bytes")
        need(self.memory_align % beat == 0, "memory_align", f"a multiple of beat_bytes ({beat})")
        need(self.memory_base % beat == 0, "memory_base", f"a multiple of beat_bytes ({beat})")
        need(self.memory_base + self.memory_size <= 1 << 39, "memory_base", "memory that ends within 39 address bits")

    @property
    def fits_accelerator(self) -> bool:
        """Whether ``check_accelerator`` passes."""
        try:
            self.check_accelerator()
        except ConfigError:
            return False
        return True

    @property
    def attention_scale(self) -> float:
        """``log2(e) / sqrt(d)`` in float64; rounded to elem or acc where it is used (spec section 2)."""
        return math.log2(math.e) / math.sqrt(self.rows)

    def replace(self, **changes: Any) -> Config:
        """A copy with some fields changed, validated again. Sizes that follow from others go on following them."""
        if self.beat_bytes == _beat_bytes(self):
            changes.setdefault("beat_bytes", 0)
        if self.scratchpad_rows == _scratchpad_rows(self.rows, self.cols):
            changes.setdefault("scratchpad_rows", 0)
        if self.accumulator_rows == _accumulator_rows(self.rows):
            changes.setdefault("accumulator_rows", 0)
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The published JSON fields, then ours."""
        return {
            "sa_rows": self.rows,
            "sa_cols": self.cols,
            "inst_queue_size": self.instruction_queue,
            "e_type": self.elem.name,
            "a_type": self.acc.name,
            "mem_base": self.memory_base,
            "mem_size": self.memory_size,
            "mem_align": self.memory_align,
            "spad_base": self.scratchpad_base,
            "spad_size": self.scratchpad_rows * self.scratchpad_row_bytes,
            "acc_base": self.accumulator_base,
            "acc_size": self.accumulator_rows * self.accumulator_row_bytes,
            **{ours: getattr(self, ours) for ours in _OUR_FIELDS},
        }

    def to_json(self) -> str:
        """The configuration as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Config:
        """Builds from published (and our) field names. Raises ConfigError for an unknown or unusable field."""
        known = {"sa_rows", "sa_cols", *_PUBLISHED_PLAIN, "e_type", "a_type", "spad_size", "acc_size", *_OUR_FIELDS}
        unknown = sorted(set(fields) - known)
        if unknown:
            raise ConfigError(f"configuration file: unknown field {unknown[0]!r}: known are {', '.join(sorted(known))}")
        for field, value in fields.items():
            texts = ("e_type", "a_type", "reciprocal", "dataflow", "name")
            if not isinstance(value, str if field in texts else int) or isinstance(value, bool):
                kind = "text" if field in texts else "an integer"
                raise ConfigError(f"configuration file: {field} = {value!r}: must be {kind}")
        rows, cols = fields.get("sa_rows", cls.rows), fields.get("sa_cols", cls.cols)
        elem, acc = parse_format(fields.get("e_type", "fp16")), parse_format(fields.get("a_type", "fp32"))
        args: dict[str, Any] = {"rows": rows, "cols": cols, "elem": elem, "acc": acc}
        # The published file does not record the ports: they follow the size.
        args["memory_ports"] = MEMORY_PORTS.get(rows, cls.memory_ports)
        args.update({ours: fields[theirs] for theirs, ours in _PUBLISHED_PLAIN.items() if theirs in fields})
        args.update({ours: fields[ours] for ours in _OUR_FIELDS if ours in fields})
        for size, ours, row_bytes in (
            ("spad_size", "scratchpad_rows", rows * _bytes(elem)),
            ("acc_size", "accumulator_rows", cols * _bytes(acc)),
        ):
            if size in fields:
                if row_bytes <= 0 or fields[size] <= 0 or fields[size] % row_bytes:
                    raise ConfigError(f"configuration file: {size} = {fields[size]}: "
                                      f"must be a positive multiple of one row ({row_bytes} bytes)")
                args[ours] = fields[size] // row_bytes
        return cls(**args)

    @classmethod
    def from_json(cls, text: str) -> Config:
        """Reads what ``to_json`` or the published flow wrote. Raises ConfigError."""
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError) as error:  # integers of thousands of digits, and nesting as deep, included
            raise ConfigError(f"configuration file: not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise ConfigError("configuration file: must hold one JSON object")
        return cls.from_dict(fields)


_PUBLISHED_PLAIN = {
    "inst_queue_size": "instruction_queue",
    "mem_base": "memory_base",
    "mem_size": "memory_size",
    "mem_align": "memory_align",
    "spad_base": "scratchpad_base",
    "acc_base": "accumulator_base",
}
_OUR_FIELDS = ("exp2_pieces", "reciprocal", "dataflow", "matrix_queue", "load_inflight", "store_inflight",
               "port_inflight", "memory_ports", "beat_bytes", "name")


def _scratchpad_rows(rows: int, cols: int) -> int:
    return 2 * cols + 4 * rows


def _accumulator_rows(rows: int) -> int:
    return 2 * rows + 1


def _beat_bytes(config: Config) -> int:
    return math.gcd(32, config.scratchpad_row_bytes, config.accumulator_row_bytes)


def _bytes(fmt: FloatFormat) -> int:
    return (fmt.width + 7) // 8


def parse_format(name: str) -> FloatFormat:
    """``fp16``, ``bf16``, ``fp32`` or ``e<E>m<M>``. Raises ConfigError."""
    if name in FORMATS:
        return FORMATS[name]
    match = re.fullmatch(r"e([0-9]{1,3})m([0-9]{1,3})", name)
    if match is None:
        raise ConfigError(f"float format {name!r}: must be one of {', '.join(FORMATS)} or e<E>m<M>, as in e4m3")
    try:
        return FloatFormat(int(match[1]), int(match[2]))
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _presets() -> dict[str, Config]:
    presets = {}
    for prefix in ("FSA", "AXI4FSA"):
        for size in SIZES:
            for label, elem in (("Fp16", FP16), ("Bf16", BF16)):
                name = f"{prefix}{size}X{size}{label}Config"
                presets[name] = Config(
                    rows=size, cols=size, elem=elem, acc=FP32, memory_ports=MEMORY_PORTS[size], name=name
                )
    return presets


PRESETS: dict[str, Config] = _presets()


def preset(name: str) -> Config:
    """The published configuration of that name. Raises ConfigError that lists the known ones."""
    if name not in PRESETS:
        raise ConfigError(f"configuration {name!r} is unknown: known are {', '.join(PRESETS)}")
    return PRESETS[name]


def as_config(value: Config | str) -> Config:
    """A Config as it is, or the published configuration of that name. Raises ConfigError."""
    if isinstance(value, Config):
        return value
    if not isinstance(value, str):
        raise ConfigError(f"configuration {value!r}: must be a Config or a published name")
    return preset(value)

"""The tensors a run works on: generated from a seed, or the user's own from .npy files."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.formats import Bits, FloatFormat
from myhdl_fsa.arithmetic.tensors import to_elem
from myhdl_fsa.config import Config

__all__ = [
    "DISTRIBUTIONS",
    "MAX_SEQ",
    "NotFinite",
    "Workload",
    "WorkloadError",
    "default_seq",
    "generate",
    "load",
]

DISTRIBUTIONS = ("uniform", "fa3")
MAX_SEQ = 1 << 20
"""rows of the longest tensor accepted"""


class WorkloadError(ValueError):
    """Tensors that cannot be used; ``option`` names the option at fault, the message is one line."""

    def __init__(self, option: str, message: str) -> None:
        super().__init__(message)
        self.option = option


@dataclass(frozen=True)
class NotFinite:
    """How many input values are not finite in the elem format, and why."""

    overflowed: int = 0
    """finite before, Inf in the format"""
    infinite: int = 0
    nan: int = 0
    values: int = 0
    """all of them, finite ones too"""

    @property
    def count(self) -> int:
        """Those that are not finite."""
        return self.overflowed + self.infinite + self.nan

    def __add__(self, other: NotFinite) -> NotFinite:
        pairs = zip(astuple(self), astuple(other), strict=True)
        return NotFinite(*(one + two for one, two in pairs))

    def warning(self, fmt: FloatFormat) -> str:
        """One line."""
        parts = {"overflow to Inf": self.overflowed, "Inf": self.infinite, "NaN": self.nan}
        why = ", ".join(f"{count} {name}" for name, count in parts.items() if count)
        return f"{self.count} of {self.values} input values are not finite in {fmt}: {why}"


@dataclass(frozen=True)
class Workload:
    """One attention problem, as bit patterns of the configuration's elem format: q [seq_q, d], k and v [seq_kv, d]."""

    q: Bits
    k: Bits
    v: Bits
    not_finite: NotFinite = NotFinite()
    """of the values that the patterns were made from"""

    @property
    def seq_q(self) -> int:
        """Queries."""
        return int(self.q.shape[0])

    @property
    def seq_kv(self) -> int:
        """Keys."""
        return int(self.k.shape[0])


def default_seq(config: Config) -> int:
    """The length used when none is given: 4, or one tile where 4 is not a multiple of the tile."""
    return 4 if 4 % config.rows == 0 else config.rows


def generate(config: Config, seq_q: int, seq_kv: int, seed: int, distribution: str = "uniform") -> Workload:
    """Random Q, K and V, drawn in that order after seeding numpy's legacy generator once.

    ``uniform`` is ``rand(seq, d)``; ``fa3`` is N(0,1) + N(0,10)*Bernoulli(0.001), standard deviations, with base, mask
    and noise drawn in that order for each tensor. Raises WorkloadError for a length that is not a positive multiple of
    the tile, ValueError for an unknown distribution.
    """
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"distribution {distribution!r}: must be one of {', '.join(DISTRIBUTIONS)}")
    _check_seq("--seq-q", seq_q, config)
    _check_seq("--seq-kv", seq_kv, config)
    # The same stream as numpy.random.seed(seed), without touching the global state.
    random = np.random.RandomState(seed)

    def draw(seq: int) -> npt.NDArray[np.float64]:
        shape = (seq, config.rows)
        if distribution == "uniform":
            return random.random_sample(shape)
        base = random.normal(0.0, 1.0, shape)
        mask = random.random_sample(shape) < 0.001
        noise = random.normal(0.0, 10.0, shape)
        return base + noise * mask

    q = draw(seq_q)
    k = draw(seq_kv)
    v = draw(seq_kv)
    return _workload(config, q, k, v)


def load(config: Config, q: Path, k: Path, v: Path) -> Workload:
    """Reads Q, K and V from .npy files of float16, float32 or float64 and rounds them to elem.

    Raises WorkloadError for a file that is not such an array, or when a shape does not fit the tile or the others.
    """
    arrays = {option: _read(option, path) for option, path in (("--q", q), ("--k", k), ("--v", v))}
    for (option, array), path in zip(arrays.items(), (q, k, v), strict=True):
        if array.ndim != 2 or array.shape[1] != config.rows:
            raise WorkloadError(
                option, f"{path} has shape {list(array.shape)}: must be [seq, {config.rows}] for this configuration"
            )
        _check_seq(option, array.shape[0], config, f"{path} has {array.shape[0]} rows")
    keys, values = arrays["--k"].shape[0], arrays["--v"].shape[0]
    if keys != values:
        raise WorkloadError("--v", f"{v} has {values} rows and --k {k} has {keys}: K and V must be of one length")
    return _workload(config, *arrays.values())


def _workload(config: Config, *arrays: npt.NDArray[np.floating[Any]]) -> Workload:
    q, k, v = patterns = [to_elem(array, config.elem) for array in arrays]
    counts = (_not_finite(array, bits, config.elem) for array, bits in zip(arrays, patterns, strict=True))
    return Workload(q, k, v, sum(counts, NotFinite()))


def _not_finite(values: npt.NDArray[np.floating[Any]], bits: Bits, fmt: FloatFormat) -> NotFinite:
    magnitude = bits & bits.dtype.type((1 << (fmt.width - 1)) - 1)
    nan = int(np.count_nonzero(magnitude > fmt.infinity))
    infinite = int(np.count_nonzero(np.isinf(values)))
    return NotFinite(int(np.count_nonzero(magnitude == fmt.infinity)) - infinite, infinite, nan, bits.size)


def _check_seq(option: str, seq: int, config: Config, subject: str | None = None) -> None:
    if not 1 <= seq <= MAX_SEQ or seq % config.rows:
        raise WorkloadError(
            option, f"{subject or seq}: must be a positive multiple of the tile, {config.rows}, up to {MAX_SEQ}"
        )


def _read(option: str, path: Path) -> npt.NDArray[np.floating[Any]]:
    magic = b"\x93NUMPY"
    try:
        with path.open("rb") as file:
            if file.read(len(magic)) != magic:
                raise WorkloadError(option, f"{path} is not a .npy file")
        # Mapped, so that an array of the wrong type or shape is refused before it is read.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except WorkloadError:
        raise
    except OSError as error:
        raise WorkloadError(option, f"{path}: cannot read: {error.strerror or error}") from None
    except Exception as error:  # numpy's header parser raises whatever a damaged header makes it raise
        if "object" in str(error).lower():
            raise WorkloadError(option, f"{path} holds pickled objects: must hold floating-point numbers") from None
        raise WorkloadError(option, f"{path} is a damaged .npy file: {error}") from None
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise WorkloadError(option, f"{path} holds {array.dtype}: must hold float16, float32 or float64")
    return array

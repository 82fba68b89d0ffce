"""The tensors a run works on: generated from a seed, or the user's own from .npy files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myhdl_fsa.arithmetic.formats import Bits, FloatFormat
from myhdl_fsa.arithmetic.tensors import to_elem
from myhdl_fsa.config import Config
from myhdl_fsa.tiling import AttentionShape

__all__ = [
    "DISTRIBUTIONS",
    "MAX_PRINTED",
    "MAX_SEQ",
    "MAX_TILE_PAIRS",
    "NotFinite",
    "Workload",
    "WorkloadError",
    "default_seq",
    "generate",
    "load",
]

DISTRIBUTIONS = ("uniform", "fa3")
MAX_SEQ = 1 << 20
"""rows of the longest tensor accepted, all its heads together"""
MAX_PRINTED = 1 << 24
"""scores whose intermediates are kept and printed"""
MAX_TILE_PAIRS = 1 << 20
"""inner iterations of the longest program: some 2 KiB and 0.1 ms each to write"""


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
    """One attention problem, as bit patterns of the configuration's elem format.

    q is [seq_q, d], k [seq_kv, d] and v [seq_kv, dv], or each has [batch, heads] before it; K/V heads divide those of
    q.
    """

    q: Bits
    k: Bits
    v: Bits
    not_finite: NotFinite = NotFinite()
    """of the values that the patterns were made from"""

    def shape(self, causal: bool = False) -> AttentionShape:
        """Of the problem. Raises ValueError for tensors that do not go together."""
        shapes = [array.shape for array in (self.q, self.k, self.v)]
        return AttentionShape.of(shapes, max(shape[-1] for shape in shapes), causal)


def default_seq(config: Config) -> int:
    """The length used when none is given: 4, or one tile where 4 is not a multiple of the tile."""
    return 4 if 4 % config.rows == 0 else config.rows


def generate(
    config: Config, seq_q: int, seq_kv: int, seed: int, distribution: str = "uniform", *, batch: int | None = None,
    heads: int | None = None, kv_heads: int | None = None, head_dim: int | None = None,
) -> Workload:
    """Random Q, K and V, drawn in that order after seeding numpy's legacy generator once, each as one array.

    They are [seq, head_dim], or with any of ``batch``, ``heads`` and ``kv_heads`` [batch, heads, seq, head_dim], where
    what is not given is 1, and ``kv_heads`` as ``heads``. ``head_dim`` is ``config.rows`` unless given. ``uniform`` is
    ``rand(...)``; ``fa3`` is N(0,1) + N(0,10)*Bernoulli(0.001), standard deviations, with base, mask and noise drawn in
    that order for each tensor. Raises WorkloadError for a size that is not allowed, ValueError for an unknown
    distribution.
    """
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"distribution {distribution!r}: must be one of {', '.join(DISTRIBUTIONS)}")
    for option, size, most in (
        ("--seq-q", seq_q, MAX_SEQ), ("--seq-kv", seq_kv, MAX_SEQ), ("--head-dim", head_dim, config.rows),
        ("--batch", batch, MAX_SEQ), ("--heads", heads, MAX_SEQ), ("--kv-heads", kv_heads, MAX_SEQ),
    ):
        if size is not None and not 1 <= size <= most:
            of = ", the size of the array" if option == "--head-dim" else ""
            raise WorkloadError(option, f"{size}: must be from 1 to {most}{of}")
    stacked = any(size is not None for size in (batch, heads, kv_heads))
    batch, heads = batch or 1, heads or 1
    kv_heads = kv_heads or heads
    if heads % kv_heads:
        raise WorkloadError("--kv-heads", f"{kv_heads}: must divide the number of heads, {heads}")
    for option, count, seq in (("--seq-q", heads, seq_q), ("--seq-kv", kv_heads, seq_kv)):
        _check_rows(option, str(seq), (batch, count, seq))
    # The same stream as numpy.random.seed(seed), without touching the global state.
    random = np.random.RandomState(seed)

    def draw(count: int, seq: int) -> npt.NDArray[np.float64]:
        shape = (*((batch, count) if stacked else ()), seq, head_dim or config.rows)
        if distribution == "uniform":
            return random.random_sample(shape)
        base = random.normal(0.0, 1.0, shape)
        mask = random.random_sample(shape) < 0.001
        noise = random.normal(0.0, 10.0, shape)
        return base + noise * mask

    # each becomes patterns before the next is drawn, to hold one in float64 at a time
    return _workload(config, (draw(*size) for size in ((heads, seq_q), (kv_heads, seq_kv), (kv_heads, seq_kv))))


def load(config: Config, q: Path, k: Path, v: Path) -> Workload:
    """Reads Q, K and V from .npy files of float16, float32 or float64 and rounds them to elem.

    They are as in Workload. Raises WorkloadError for a file that is not such an array, or when a shape does not fit the
    array or the others.
    """
    paths = {"--q": q, "--k": k, "--v": v}
    arrays = {option: _read(option, path) for option, path in paths.items()}
    dimensions = arrays["--q"].ndim
    for (option, array), path in zip(arrays.items(), paths.values(), strict=True):
        shape = array.shape
        sizes = {2: f"[seq, d] with d from 1 to {config.rows}", 4: f"[batch, heads, seq, d] with d from 1 to "
                 f"{config.rows}"}
        if len(shape) not in sizes or 0 in shape or shape[-1] > config.rows:
            allowed = sizes.get(len(shape), f"{sizes[2]}, or [batch, heads, seq, d]")
            raise WorkloadError(option, f"{path} has shape {list(shape)}: must be {allowed} for this configuration")
        if len(shape) != dimensions:
            raise WorkloadError(option, f"{path} has {len(shape)} dimensions and --q {q} has {dimensions}: "
                                        "must be as many")
        _check_rows(option, f"{path} has shape {list(shape)}", shape[:-1])
    _check_together(paths, {option: array.shape for option, array in arrays.items()})
    return _workload(config, arrays.values())


def _check_rows(option: str, said: str, sizes: tuple[int, ...]) -> None:
    rows = prod(sizes)
    if rows > MAX_SEQ:
        of = f": {' x '.join(map(str, sizes))} rows are {rows}" if len(sizes) > 1 else ""
        raise WorkloadError(option, f"{said}{of}: must be at most {MAX_SEQ} rows in all")


def _check_together(paths: dict[str, Path], shapes: dict[str, tuple[int, ...]]) -> None:
    """Raises WorkloadError for tensors that are no attention problem."""
    q, k, v = shapes.values()
    key, value = (f"{paths[option]} has shape {list(shapes[option])}" for option in ("--k", "--v"))
    if k[-1] != q[-1]:
        raise WorkloadError("--k", f"{key}, a head dimension of {k[-1]}, and --q {paths['--q']} has {q[-1]}: "
                                   "Q and K must have the same")
    if len(q) == 4 and (k[0] != q[0] or q[1] % k[1]):
        raise WorkloadError("--k", f"{key} and --q {paths['--q']} has {list(q)}: must have its batch, and heads that "
                                   "divide its heads")
    if len(k) == 2 and k[0] != v[0]:
        raise WorkloadError("--v", f"{paths['--v']} has {v[0]} rows and --k {paths['--k']} has {k[0]}: "
                                   "K and V must be of one length")
    if k[:-1] != v[:-1]:
        raise WorkloadError("--v", f"{value} and --k {paths['--k']} has {list(k)}: must be the same but for the last")


def _workload(config: Config, arrays: Iterable[npt.NDArray[np.floating[Any]]]) -> Workload:
    patterns, counts = [], NotFinite()
    for array in arrays:
        patterns.append(to_elem(array, config.elem))
        counts += _not_finite(array, patterns[-1], config.elem)
    q, k, v = patterns
    return Workload(q, k, v, counts)


def _not_finite(values: npt.NDArray[np.floating[Any]], bits: Bits, fmt: FloatFormat) -> NotFinite:
    magnitude = bits & bits.dtype.type((1 << (fmt.width - 1)) - 1)
    nan = int(np.count_nonzero(magnitude > fmt.infinity))
    infinite = int(np.count_nonzero(np.isinf(values)))
    return NotFinite(int(np.count_nonzero(magnitude == fmt.infinity)) - infinite, infinite, nan, bits.size)


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

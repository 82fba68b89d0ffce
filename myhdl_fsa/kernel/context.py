"""The kernel writer's interface: allocates memories and semaphores, and emits instructions.

Source: docs/specification.md section 4.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import lcm
from types import CodeType
from typing import Any, Protocol

import numpy as np

from myhdl_fsa.arithmetic.formats import Bits, FloatFormat
from myhdl_fsa.config import Config
from myhdl_fsa.dataflows import part
from myhdl_fsa.isa import (
    SEMAPHORES,
    Dma,
    Fence,
    Function,
    Instruction,
    InstructionError,
    Matrix,
    Transfer,
    encode,
    encode_all,
)
from myhdl_fsa.kernel.allocator import Allocator
from myhdl_fsa.kernel.checker import ensure
from myhdl_fsa.kernel.errors import KernelError
from myhdl_fsa.kernel.finding import Origin
from myhdl_fsa.kernel.semaphore import Semaphore
from myhdl_fsa.kernel.tensor import (
    AccumulatorTile,
    MemoryTensor,
    ScratchpadTile,
    check_format,
    check_shape,
    element_bytes,
    pack,
    patterns,
)
from myhdl_fsa.program import Execution, Program, Region
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import AttentionShape

__all__ = ["Context", "Kernel", "KernelFunction", "RamTile", "kernel"]

RamTile = ScratchpadTile | AccumulatorTile


@dataclass(frozen=True)
class Kernel:
    """A kernel written out: its instructions, what memory holds before, and which tensors it computes."""

    config: Config
    instructions: tuple[Instruction, ...]
    inputs: tuple[tuple[MemoryTensor, bytes], ...]
    """tensors and their bytes; contiguous"""
    outputs: tuple[MemoryTensor, ...]
    origins: tuple[Origin | None, ...] = field(default=(), repr=False, compare=False)
    """where each instruction was written; empty when nobody knows"""
    definition: Origin | None = field(default=None, repr=False, compare=False)
    """where the kernel's function is"""
    scale: Scale | None = None
    """what it wants in the scale registers; None: what they have after a reset"""
    attention: AttentionShape | None = field(default=None, compare=False)
    """of attention over tensors that are cut into its tiles, how ``flash_attention.attention_output`` joins them"""

    @property
    def words(self) -> tuple[int, ...]:
        """The instruction words."""
        return tuple(encode_all(self.instructions))

    @property
    def regions(self) -> tuple[Region, ...]:
        """Where the outputs lie in memory."""
        return tuple(Region(low, high - low) for low, high in (tensor.extent for tensor in self.outputs))

    def program(self, watchdog: int | None = None, *, checked: bool = True) -> Program:
        """What an engine executes; ``watchdog`` is ``Program.watchdog``.

        Raises KernelError for what ``checker.check`` calls an error, unless not ``checked``; an empty kernel is one.
        """
        if checked:
            ensure(self)
        return Program(
            words=self.words,
            memory=tuple((tensor.address, data) for tensor, data in self.inputs),
            outputs=self.regions,
            watchdog=watchdog,
            scale=self.scale,
        )

    def tensors(self, execution: Execution) -> tuple[Bits, ...]:
        """The patterns of each output, in its shape. Raises KernelError when they are not this kernel's outputs."""
        if len(execution.outputs) != len(self.outputs):
            raise KernelError(f"execution with {len(execution.outputs)} outputs: must have {len(self.outputs)}")
        return tuple(
            tensor.read(data, tensor.extent[0])
            for tensor, data in zip(self.outputs, execution.outputs, strict=True)
        )


class Context:
    """What a kernel is written into. Every method raises KernelError for what the machine cannot do.

    The instructions come out in the order of the calls. ``acquire`` and ``release`` say whether an instruction waits
    for its semaphore and whether it hands it on; without a semaphore both are off.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.instructions: list[Instruction] = []
        self.inputs: list[tuple[MemoryTensor, bytes]] = []
        # The code and the offset in it that wrote each instruction: which line that is, only ``origins`` works out.
        self._codes: list[CodeType] = []
        self._offsets: list[int] = []
        self._memory = Allocator("memory", config.memory_base, config.memory_size, "bytes",
                                 lcm(config.memory_align, config.beat_bytes))
        self._scratchpad = Allocator("scratchpad", 0, config.scratchpad_rows, "rows")
        self._accumulator = Allocator("accumulator RAM", 0, config.accumulator_rows, "rows")
        self._semaphores: set[int] = set()
        # what only the bare core can be has no instruction words: its rows may be too long for them
        self._has_words = config.fits_accelerator
        # how the dataflow wants a scratchpad row to enter
        self._skew: dict[Function, tuple[int, int, int]] = part(config, "rules").SKEW

    def alloc_memory(
        self, shape: tuple[int, ...], fmt: FloatFormat | str | None = None, name: str = ""
    ) -> MemoryTensor:
        """A contiguous tensor of free memory; ``fmt`` is the configuration's acc unless given."""
        fmt = check_format(self.config.acc if fmt is None else fmt, f"memory tensor {name}".strip())
        sizes = check_shape(shape, f"memory tensor {name}".strip())
        size = int(np.prod(sizes, dtype=object)) * element_bytes(fmt)
        return MemoryTensor(sizes, fmt, self._memory.allocate(size, name))

    def alloc_scratchpad(self, rows: int, name: str = "") -> ScratchpadTile:
        """``rows`` free rows of the scratchpad, [rows, config.rows] of elem."""
        (rows,) = check_shape(rows, f"scratchpad tile {name}".strip())
        row = self._scratchpad.allocate(rows, name)
        return ScratchpadTile((rows, self.config.rows), self.config.elem, row)

    def alloc_accumulator(self, rows: int, name: str = "") -> AccumulatorTile:
        """``rows`` free rows of the accumulator RAM, [rows, config.cols] of acc."""
        (rows,) = check_shape(rows, f"accumulator tile {name}".strip())
        row = self._accumulator.allocate(rows, name)
        return AccumulatorTile((rows, self.config.cols), self.config.acc, row)

    def semaphore(self, values: int = 2, number: int | None = None) -> Semaphore:
        """A semaphore that this kernel does not use yet: the first free one, or the one of that number."""
        free = [candidate for candidate in range(SEMAPHORES) if candidate not in self._semaphores]
        if number is None and not free:
            raise KernelError(f"semaphore: all {SEMAPHORES} are in use")
        semaphore = Semaphore(free[0] if number is None else number, values)
        if semaphore.number in self._semaphores:
            raise KernelError(f"semaphore {semaphore.number}: is in use")
        self._semaphores.add(semaphore.number)
        return semaphore

    def tensor(self, array: Any, fmt: FloatFormat | str | None = None, name: str = "") -> MemoryTensor:
        """An array in memory before the kernel runs: floats rounded to ``fmt`` (elem unless given), or its patterns.

        Raises KernelError for an array that is neither, or that holds a pattern wider than the format.
        """
        what = f"tensor {name}".strip()
        fmt = check_format(self.config.elem if fmt is None else fmt, what)
        array = np.asarray(array)
        bits = patterns(array, fmt, what)
        tensor = self.alloc_memory(array.shape, fmt, name)
        self.inputs.append((tensor, pack(bits, fmt)))
        return tensor

    def reserve(self, tensor: MemoryTensor) -> None:
        """Keeps the memory of a tensor that lies there already from being allocated."""
        low, high = tensor.extent
        self._memory.reserve(low, high - low)

    @property
    def origins(self) -> tuple[Origin, ...]:
        """The line that called the method, for each of ``instructions``; none at all when others changed that list.

        Of a library's kernel that is its own line, not the one that asked for the kernel.
        """
        if len(self._codes) != len(self.instructions):
            return ()
        lines = {number: _Lines(code) for number, code in {id(code): code for code in self._codes}.items()}
        return tuple([lines[id(code)][at] for code, at in zip(self._codes, self._offsets, strict=True)])

    def load_tile(self, memory: MemoryTensor, tile: ScratchpadTile, semaphore: Semaphore | None = None,
                  acquire: bool = True, release: bool = True) -> None:
        """Loads a [rows, config.rows] elem tensor into a scratchpad tile of its shape."""
        self._dma(Transfer.LOAD, memory, tile, semaphore, acquire, release)

    def store_tile(self, tile: AccumulatorTile, memory: MemoryTensor, semaphore: Semaphore | None = None,
                   acquire: bool = True, release: bool = True) -> None:
        """Stores an accumulator tile to a [rows, config.cols] acc tensor of its shape."""
        self._dma(Transfer.STORE, memory, tile, semaphore, acquire, release)

    def load_stationary(self, q: ScratchpadTile, semaphore: Semaphore | None = None,
                        acquire: bool = True, release: bool = True) -> None:
        """Row 0 of ``q``, [config.cols, config.rows], goes to the last column: give the queries in reverse."""
        self._check_tile("load_stationary", q, ScratchpadTile, self.config.cols)
        self._matrix(Function.LOAD_STATIONARY, q, None, semaphore, acquire, release)

    def attn_score(self, k: ScratchpadTile, l: AccumulatorTile, accumulate: bool, semaphore: Semaphore | None = None,
                   causal: bool = False, acquire: bool = True, release: bool = True, hidden: int = 0) -> None:
        """Scores and weights of the keys ``k``, [config.rows, config.rows]; their sums go to ``l``, [1, config.cols].

        Without ``accumulate`` the old ``l`` counts as zero. ``causal`` hides the keys after each query of the tile,
        ``hidden`` so many at its end: their weights are zero, but the rows of ``v_t`` must hold numbers all the same.
        """
        if not isinstance(hidden, int) or not 0 <= hidden < self.config.rows:
            raise KernelError(f"attn_score: hidden = {hidden!r}: must be from 0 to {self.config.rows - 1}, "
                              "one key of the tile counts")
        self._check_tile("attn_score", k, ScratchpadTile, self.config.rows)
        self._check_tile("attn_score", l, AccumulatorTile, 1)
        self._matrix(Function.ATTN_SCORE, k, l, semaphore, acquire, release, zero=int(not accumulate),
                     causal=int(causal), hidden=hidden)

    def attn_value(self, v_t: ScratchpadTile, o_t: AccumulatorTile, accumulate: bool,
                   semaphore: Semaphore | None = None, acquire: bool = True, release: bool = True,
                   paired: bool = False) -> None:
        """Adds the weighted values: ``v_t`` is V^T and ``o_t`` is O^T, [config.rows, config.rows or cols].

        Without ``accumulate`` the old ``o_t`` counts as zero. ``paired``, of the stream dataflow: an attn_score follows
        that starts together with this instruction, which waits for it.
        """
        self._check_tile("attn_value", v_t, ScratchpadTile, self.config.rows)
        self._check_tile("attn_value", o_t, AccumulatorTile, self.config.rows)
        self._matrix(Function.ATTN_VALUE, v_t, o_t, semaphore, acquire, release, zero=int(not accumulate),
                     causal=int(paired))

    def reciprocal(self, l: AccumulatorTile, semaphore: Semaphore | None = None,
                   acquire: bool = True, release: bool = True) -> None:
        """Each column's factor becomes 1 / ``l``, [1, config.cols], which stays as it is."""
        self._check_tile("reciprocal", l, AccumulatorTile, 1)
        self._matrix(Function.ACC_RECIPROCAL, None, l, semaphore, acquire, release, wait_idle=1)

    def attn_lse_norm(self, o_t: AccumulatorTile, semaphore: Semaphore | None = None,
                      acquire: bool = True, release: bool = True) -> None:
        """Multiplies ``o_t``, [config.rows, config.cols], by the columns' factors; the running maxima start afresh."""
        self._check_tile("attn_lse_norm", o_t, AccumulatorTile, self.config.rows)
        self._matrix(Function.ATTN_LSE_NORM, None, o_t, semaphore, acquire, release, wait_idle=1)

    def fence(self, matrix: bool = False, dma: bool = False, stop: bool = False) -> None:
        """Nothing after it starts until the matrix unit, or the DMA, has nothing left; ``stop`` ends the program."""
        self._push(Fence(int(matrix), int(dma), int(stop)), 2)

    def _matrix(self, function: Function, scratchpad: ScratchpadTile | None, accumulator: AccumulatorTile | None,
                semaphore: Semaphore | None, acquire: bool, release: bool, **flags: int) -> None:
        rows: dict[str, int] = {}
        if scratchpad is not None:
            rows.update(scratchpad_row=scratchpad.row, scratchpad_stride=scratchpad.stride)
            rows.update(zip(("reverse_in", "delay", "reverse_out"), self._skew[function], strict=True))
        if accumulator is not None:
            rows.update(accumulator_row=accumulator.row, accumulator_stride=accumulator.stride)
        self._push_with(semaphore, acquire, release, Matrix, function=int(function), **rows, **flags)

    def _dma(self, transfer: Transfer, memory: MemoryTensor, tile: RamTile, semaphore: Semaphore | None,
             acquire: bool, release: bool) -> None:
        what = f"{transfer.name.lower()}_tile"
        self._check_tile(what, tile, ScratchpadTile if transfer is Transfer.LOAD else AccumulatorTile, None)
        if not isinstance(memory, MemoryTensor):
            raise KernelError(f"{what}: {type(memory).__name__}: must be a MemoryTensor")
        if memory.shape != tile.shape or memory.format != tile.format:
            raise KernelError(f"{what}: memory has {list(memory.shape)} of {memory.format} and the tile "
                              f"{list(tile.shape)} of {tile.format}: must be equal")
        size = element_bytes(memory.format)
        if memory.strides[1] != size:
            raise KernelError(f"{what}: memory stride {memory.strides[1]} within a row: "
                              f"must be {size}, the elements of a row side by side")
        self._push_with(
            semaphore, acquire, release, Dma, function=int(transfer), rows=tile.shape[0], row=tile.row,
            stride=tile.stride, accumulator=int(isinstance(tile, AccumulatorTile)), memory_stride=memory.strides[0],
            address=memory.address, size=tile.shape[1] * size,
        )

    def _check_tile(self, what: str, tile: Any, kind: type[RamTile], rows: int | None) -> None:
        if not isinstance(tile, kind):
            raise KernelError(f"{what}: {type(tile).__name__}: must be {_a(kind.__name__)}")
        scratchpad = kind is ScratchpadTile
        width = self.config.rows if scratchpad else self.config.cols
        fmt = self.config.elem if scratchpad else self.config.acc
        limit = self.config.scratchpad_rows if scratchpad else self.config.accumulator_rows
        shape = (tile.shape[0] if rows is None else rows, width)
        if tile.shape != shape or tile.format != fmt:
            wanted = "rows" if rows is None else rows
            raise KernelError(f"{what}: {kind.NAME} of {list(tile.shape)} {tile.format}: "
                              f"must be [{wanted}, {width}] {fmt}")
        last = max(tile.row, tile.row + (tile.shape[0] - 1) * tile.stride)
        if last >= limit:
            raise KernelError(f"{what}: {kind.NAME} reaches row {last}: must stay below {limit}")

    def _push_with(self, semaphore: Semaphore | None, acquire: bool, release: bool, kind: type[Matrix] | type[Dma],
                   **fields: int) -> None:
        if semaphore is not None:
            fields["semaphore"] = semaphore.number
            if acquire:
                fields.update(acquire=1, acquire_value=semaphore.value)
            if release:
                fields.update(release=1, release_value=semaphore.advance())
        self._push(kind(**fields), 4)

    def _push(self, instruction: Instruction, callers: int) -> None:
        """Adds an instruction; so many calls up from here is who wrote it."""
        if self._has_words:
            try:
                encode(instruction)
            except InstructionError as error:
                raise KernelError(str(error)) from None
        self.instructions.append(instruction)
        frame = sys._getframe(callers)
        self._codes.append(frame.f_code)
        self._offsets.append(frame.f_lasti)


class _Lines(dict[int, Origin]):
    """The line of each offset in a function's code, found when it is asked for."""

    def __init__(self, code: CodeType) -> None:
        super().__init__()
        self._code = code

    def __missing__(self, at: int) -> Origin:
        code = self._code
        line = next((line for start, stop, line in code.co_lines() if start <= at < stop), None)
        self[at] = Origin(line or code.co_firstlineno, code.co_filename, code.co_name)
        return self[at]


def _a(name: str) -> str:
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


class KernelFunction(Protocol):
    """What ``kernel`` makes of a function."""

    def __call__(self, config: Config, *args: Any, **kwargs: Any) -> Kernel:
        """Writes the kernel out for one machine; arrays among the arguments become tensors in memory."""
        ...


def kernel(function: Callable[..., Any]) -> KernelFunction:
    """Turns ``function(context, ...)``, which returns its output MemoryTensor, several or None, into a KernelFunction.

    Called as ``function(config, ...)``: numpy arrays among the arguments become input tensors (elem format), and
    MemoryTensors are where they say. Raises KernelError for what the function cannot do or wrongly returns.
    """
    @functools.wraps(function)
    def write(config: Config, *args: Any, **kwargs: Any) -> Kernel:
        if not isinstance(config, Config):
            raise KernelError(f"{function.__name__}: first argument {type(config).__name__}: must be a Config")
        context = Context(config)
        given = [*args, *kwargs.values()]
        for value in given:
            if isinstance(value, MemoryTensor):
                context.reserve(value)
        place = functools.partial(_place, context)
        returned = function(context, *(place(value) for value in args),
                            **{name: place(value, name) for name, value in kwargs.items()})
        if returned is None or isinstance(returned, MemoryTensor):
            returned = () if returned is None else (returned,)
        if not isinstance(returned, (tuple, list)) or not all(isinstance(x, MemoryTensor) for x in returned):
            raise KernelError(f"{function.__name__}: must return a MemoryTensor, several in a tuple, or None")
        code = getattr(function, "__code__", None)
        definition = None if code is None else Origin(code.co_firstlineno, code.co_filename, code.co_name)
        return Kernel(config, tuple(context.instructions), tuple(context.inputs), tuple(returned), context.origins,
                      definition)

    return write


def _place(context: Context, value: Any, name: str = "") -> Any:
    return context.tensor(value, name=name) if isinstance(value, np.ndarray) else value

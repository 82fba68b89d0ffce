"""The kernel API: places, allocation, semaphores, the instructions it emits, and FlashAttention in it."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from programs import tensor_shapes

from myhdl_fsa import golden
from myhdl_fsa.config import Config
from myhdl_fsa.easyfloat import BF16, FP16, FP32, FloatFormat, from_float
from myhdl_fsa.engine import engine
from myhdl_fsa.isa import Dma, Fence, Function, Matrix
from myhdl_fsa.kernel import (
    AccumulatorTile,
    Allocator,
    Context,
    KernelError,
    MemoryTensor,
    ScratchpadTile,
    Semaphore,
    attention_kernel,
    attention_output,
    check,
    flash_attention,
    kernel,
)
from myhdl_fsa.kernel.tensor import pack, unpack
from myhdl_fsa.program import ErrorCode, Execution, Region, State
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import AttentionShape

CONFIG = Config(rows=4, cols=4)
BASE = CONFIG.memory_base


def refuses(message, call, *args, **kwargs):
    with pytest.raises(KernelError) as error:
        call(*args, **kwargs)
    assert str(error.value) == message


def here(function, offset):
    """The line ``offset`` lines into a kernel's source, its decorator being line 0, as findings show it."""
    code = inspect.unwrap(function).__code__
    return f"{__file__}:{code.co_firstlineno + offset} in {code.co_name}"


def patterns(*shape, fmt=FP16):
    return np.arange(np.prod(shape), dtype=fmt.dtype).reshape(shape)


# Tensors in memory: a place is right when reading through it gives what numpy gives.

@pytest.mark.parametrize("fmt", [FP16, FP32, FloatFormat(4, 3), FloatFormat(6, 12)])
def test_places_in_memory_mean_what_numpy_means(fmt):
    array = patterns(6, 8, fmt=fmt)
    data = pack(array, fmt)
    tensor = MemoryTensor((6, 8), fmt, 1000)
    assert tensor.extent == (1000, 1000 + len(data))

    def read(place):
        return place.read(data, 1000)

    assert np.array_equal(read(tensor), array)
    for dim, parts in ((0, 2), (1, 4), (-1, 2), (-2, 3)):
        places = tensor.split(array.shape[dim] // parts, dim)
        for place, expected in zip(places, np.split(array, parts, axis=dim), strict=True):
            assert place.shape == expected.shape
            assert np.array_equal(read(place), expected)
            assert np.array_equal(read(place.reverse(dim)), np.flip(expected, dim))
            assert np.array_equal(read(place.reverse(dim).reverse(dim)), expected)
            assert np.array_equal(read(place.transpose()), expected.T)
            # a part of a reversed part
            turned = place.reverse(0).split(expected.shape[1] // 2, 1)[1]
            assert np.array_equal(read(turned), np.split(expected[::-1], 2, axis=1)[1])


def test_memory_is_little_endian():
    assert pack(np.array([[0x1234, 0x5678]], np.uint16), FP16) == bytes([0x34, 0x12, 0x78, 0x56])
    assert pack(np.array([0x3F12], np.uint16), FP32) == bytes([0x12, 0x3F, 0, 0])
    # three whole bytes for 19 bits, and what is above them is no part of the pattern
    wide = FloatFormat(6, 12)
    assert pack(np.array([0x71234], np.uint32), wide) == bytes([0x34, 0x12, 0x07])
    assert unpack(np.array([0x34, 0x12, 0xFF], np.uint8), wide) == 0x71234


def test_what_cannot_be_done_with_a_tensor():
    tensor = MemoryTensor((6, 8), FP16, BASE)
    what = "memory tensor of shape [6, 8]"
    refuses(f"{what}: split size 4: must divide 6", tensor.split, 4, 0)
    refuses(f"{what}: split size 0: must divide 6", tensor.split, 0, 0)
    refuses(f"{what}: split size -2: must divide 8", tensor.split, -2, 1)
    refuses("memory tensor: split size = 2.0: must be an integer", tensor.split, 2.0, 1)
    refuses(f"{what}: dimension 2: must be from -2 to 1", tensor.split, 2, 2)
    refuses(f"{what}: dimension -3: must be from -2 to 1", tensor.reverse, -3)
    refuses("memory tensor: shape (4, 0): must be integers of at least 1", MemoryTensor, (4, 0), FP16, 0)
    refuses("memory tensor: shape (4, -1): must be integers of at least 1", MemoryTensor, (4, -1), FP16, 0)
    refuses("memory tensor: shape (): must be integers of at least 1", MemoryTensor, (), FP16, 0)
    allowed = "must be one of fp16, bf16, fp32, tf32, e4m3, e5m2 or e<E>m<M>, as in e6m9"
    refuses(f"memory tensor: float format 'fp8': {allowed}", MemoryTensor, (4, 4), "fp8", 0)
    refuses(f"memory tensor: float format of type int: {allowed}, or a FloatFormat", MemoryTensor, (4, 4), 16, 0)
    refuses("memory tensor: address = -1: must not be negative", MemoryTensor, (4, 4), FP16, -1)
    refuses("memory tensor: 1 strides for 2 dimensions: must be as many", MemoryTensor, (4, 4), FP16, 0, (2,))
    refuses("memory tensor from 0x80000000 to 0x80000060: must lie in the data, 0x80000000 to 0x80000004",
            tensor.read, bytes(4), BASE)


# Tiles of the RAMs.

@pytest.mark.parametrize("kind", [ScratchpadTile, AccumulatorTile])
def test_tiles_are_whole_rows(kind):
    tile = kind((8, 4), FP16, 10)
    first, second = tile.split(4)
    assert (first.row, second.row, second.shape, second.stride) == (10, 14, (4, 4), 1)
    turned = tile.reverse(0)
    assert (turned.row, turned.stride) == (17, -1)
    assert [part.row for part in turned.split(2, 0)] == [17, 15, 13, 11]
    assert turned.reverse(-2) == tile
    name = kind.NAME
    refuses(f"{name}: cannot split dimension 1: must be 0, a row is whole", tile.split, 2, 1)
    refuses(f"{name}: cannot reverse dimension -1: must be 0, a row is whole", tile.reverse, -1)
    refuses(f"{name} of shape [8, 4]: split size 3: must divide 8", tile.split, 3)
    refuses(f"{name} of shape [8, 4]: dimension 2: must be from -2 to 1", tile.reverse, 2)
    refuses(f"{name}: shape [8]: must be [rows, width]", kind, (8,), FP16, 0)
    refuses(f"{name}: row 2, stride -1, 4 rows: must not reach below row 0", kind, (4, 4), FP16, 2, -1)
    refuses(f"{name}: row = 0.5: must be an integer", kind, (4, 4), FP16, 0.5)


# The allocator.

def test_allocation_is_first_fit_and_aligned():
    space = Allocator("memory", 100, 200, "bytes", alignment=32)
    first, second, third = (space.allocate(size) for size in (10, 40, 32))
    assert (first, second, third) == (128, 160, 224)
    space.free(second)
    assert space.allocate(30) == 160
    assert space.allocate(32) == 192
    assert space.left == 200 - 10 - 32 - 30 - 32


def test_running_out_says_what_was_wanted_and_what_is_left():
    space = Allocator("scratchpad", 0, 96, "rows")
    space.allocate(84, "Q")
    refuses("scratchpad: 64 rows wanted for K, 12 of 96 left", space.allocate, 64, "K")
    assert space.allocate(12) == 84
    refuses("scratchpad: 1 rows wanted, 0 of 96 left", space.allocate, 1)
    pieces = Allocator("scratchpad", 0, 30, "rows")
    pieces.reserve(10, 10)
    refuses("scratchpad: 15 rows wanted, 20 of 30 left but in pieces", pieces.allocate, 15)


def test_what_cannot_be_allocated():
    space = Allocator("memory", 0x100, 0x100, "bytes")
    refuses("memory: 0 bytes wanted: must be at least 1", space.allocate, 0)
    refuses("memory: nothing was allocated at 0x100", space.free, 0x100)
    refuses("memory: bytes 0xf0 to 0x110 wanted for Q: must lie from 0x100 to 0x200", space.reserve, 0xF0, 0x20, "Q")
    space.reserve(0x180, 0x10)
    refuses("memory: bytes 0x17f to 0x181 wanted: must be free, and part is in use", space.reserve, 0x17F, 2)
    space.reserve(0x190, 1)
    refuses("memory: alignment 0: must be at least 1", Allocator, "memory", 0, 1, "bytes", 0)


# Semaphores.

@pytest.mark.parametrize("values", range(2, 9))
def test_a_semaphore_counts_through_its_values(values):
    semaphore = Semaphore(31, values)
    assert [semaphore.value, *(semaphore.advance() for _ in range(values))] == [*range(values), 0]


@pytest.mark.parametrize(("args", "message"), [
    ((32,), "semaphore = 32: must be an integer from 0 to 31"),
    ((-1,), "semaphore = -1: must be an integer from 0 to 31"),
    (("q",), "semaphore = 'q': must be an integer from 0 to 31"),
    ((0, 1), "semaphore values = 1: must be an integer from 2 to 8"),
    ((0, 9), "semaphore values = 9: must be an integer from 2 to 8"),
])
def test_what_is_no_semaphore(args, message):
    refuses(message, Semaphore, *args)


def test_a_context_hands_out_each_semaphore_once():
    context = Context(CONFIG)
    assert context.semaphore(number=1).number == 1
    assert [context.semaphore(values=3).number for _ in range(3)] == [0, 2, 3]
    refuses("semaphore 2: is in use", context.semaphore, number=2)
    refuses("semaphore = 32: must be an integer from 0 to 31", context.semaphore, number=32)
    for _ in range(28):
        context.semaphore()
    refuses("semaphore: all 32 are in use", context.semaphore)


# Instructions.

def test_the_instruction_of_each_call():
    context = Context(CONFIG)
    q, k = context.alloc_scratchpad(4, "Q"), context.alloc_scratchpad(4, "K")
    l, o = context.alloc_accumulator(1, "L"), context.alloc_accumulator(4, "O")
    source = MemoryTensor((4, 8), FP16, BASE).split(4, 1)[1]
    target = MemoryTensor((4, 4), FP32, BASE + 1024)
    s = context.semaphore(values=3, number=5)
    context.load_tile(source, q, s)
    context.load_stationary(q.reverse(), s, release=False)
    context.attn_score(k, l, False, s, causal=True, acquire=False)
    context.attn_value(k, o, True)
    context.reciprocal(l)
    context.attn_lse_norm(o, s)
    context.store_tile(o, target, s)
    context.fence(dma=True)
    context.fence(matrix=True, stop=True)
    load = Dma(0, semaphore=5, acquire=1, acquire_value=0, release=1, release_value=1, rows=4, row=0, stride=1,
               memory_stride=16, address=BASE + 8, size=8)
    assert context.instructions == [
        load,
        Matrix(0, semaphore=5, acquire=1, acquire_value=1, scratchpad_row=3, scratchpad_stride=-1),
        Matrix(1, semaphore=5, release=1, release_value=2, scratchpad_row=4, scratchpad_stride=1, reverse_in=1,
               reverse_out=1, delay=1, accumulator_row=0, accumulator_stride=1, zero=1, causal=1),
        Matrix(2, scratchpad_row=4, scratchpad_stride=1, reverse_in=1, delay=1, accumulator_row=1,
               accumulator_stride=1),
        Matrix(3, wait_idle=1, accumulator_row=0, accumulator_stride=1),
        Matrix(4, semaphore=5, acquire=1, acquire_value=2, release=1, release_value=0, wait_idle=1, accumulator_row=1,
               accumulator_stride=1),
        Dma(1, semaphore=5, acquire=1, acquire_value=0, release=1, release_value=1, rows=4, row=1, stride=1,
            accumulator=1, memory_stride=16, address=BASE + 1024, size=16),
        Fence(dma=1),
        Fence(matrix=1, stop=1),
    ]


def test_calls_that_the_machine_cannot_do():
    context = Context(CONFIG)
    q, o = context.alloc_scratchpad(4), context.alloc_accumulator(4)
    memory = MemoryTensor((4, 4), FP16, BASE)
    refuses("load_tile: memory has [2, 4] of fp16 and the tile [4, 4] of fp16: must be equal",
            context.load_tile, memory.split(2, 0)[0], q)
    refuses("load_tile: memory has [4, 4] of bf16 and the tile [4, 4] of fp16: must be equal",
            context.load_tile, replace(memory, format=BF16), q)
    refuses("load_tile: memory stride 8 within a row: must be 2, the elements of a row side by side",
            context.load_tile, memory.transpose(), q)
    refuses("load_tile: memory stride -2 within a row: must be 2, the elements of a row side by side",
            context.load_tile, memory.reverse(1), q)
    refuses("load_tile: AccumulatorTile: must be a ScratchpadTile", context.load_tile, memory, o)
    refuses("store_tile: ScratchpadTile: must be an AccumulatorTile",
            context.store_tile, q, memory)
    refuses("load_tile: ScratchpadTile: must be a MemoryTensor", context.load_tile, q, q)
    refuses("load_tile: scratchpad tile of [4, 3] fp16: must be [rows, 4] fp16",
            context.load_tile, memory, ScratchpadTile((4, 3), FP16, 0))
    refuses("attn_score: scratchpad tile of [2, 4] fp16: must be [4, 4] fp16",
            context.attn_score, q.split(2)[0], o.split(1)[0], False)
    refuses("attn_score: accumulator tile of [4, 4] fp32: must be [1, 4] fp32", context.attn_score, q, o, False)
    refuses("attn_value: accumulator tile of [4, 4] fp16: must be [4, 4] fp32",
            context.attn_value, q, AccumulatorTile((4, 4), FP16, 0), False)
    refuses("load_stationary: scratchpad tile reaches row 24: must stay below 24",
            context.load_stationary, ScratchpadTile((4, 4), FP16, 21))
    refuses("matrix instruction: scratchpad_stride = 16: must be from -16 to 15", Context(
        CONFIG.replace(scratchpad_rows=64)).load_stationary, ScratchpadTile((4, 4), FP16, 0, 16))
    far = MemoryTensor((4, 4), FP16, BASE, (1 << 20, 2))
    refuses(f"dma instruction: memory_stride = {1 << 20}: must be from {-(1 << 20)} to {(1 << 20) - 1}",
            context.load_tile, far, q)
    assert context.instructions == []


def test_a_context_has_the_memories_of_its_configuration():
    context = Context(CONFIG)
    context.alloc_scratchpad(20, "everything")
    refuses("scratchpad: 5 rows wanted for K, 4 of 24 left", context.alloc_scratchpad, 5, "K")
    context.alloc_accumulator(9)
    refuses("accumulator RAM: 1 rows wanted for L, 0 of 9 left", context.alloc_accumulator, 1, "L")
    size = CONFIG.memory_size
    refuses(f"memory: {2 * size} bytes wanted for Q, {size} of {size} left",
            context.alloc_memory, (size // 2, 2), FP16, "Q")
    refuses("scratchpad tile K: shape 0: must be integers of at least 1", context.alloc_scratchpad, 0, "K")
    refuses("memory tensor O: shape (4, 0): must be integers of at least 1", context.alloc_memory, (4, 0), FP32, "O")
    refuses("memory tensor O: float format 'FP32': must be one of fp16, bf16, fp32, tf32, e4m3, e5m2 or e<E>m<M>, as "
            "in e6m9", context.alloc_memory, (4, 4), "FP32", "O")


def test_a_format_may_be_given_by_name():
    assert MemoryTensor((4, 4), "fp16", 0) == MemoryTensor((4, 4), FP16, 0)
    assert ScratchpadTile((4, 4), "fp16", 0) == ScratchpadTile((4, 4), FP16, 0)
    context = Context(CONFIG)
    assert context.alloc_memory((4, 4), "fp32").format == FP32
    assert context.tensor(np.zeros((4, 4)), "fp16").format == FP16


def test_tensors_from_arrays():
    context = Context(CONFIG)
    floats = np.array([[1.0, -2.5, 65504.0, 1 / 3]])
    tensor = context.tensor(floats)
    bits = context.tensor(from_float(floats, FP32), FP32)
    (first, data), (second, wide) = context.inputs
    assert (first, second) == (tensor, bits)
    assert data == floats.astype("<f2").tobytes()
    assert wide == floats.astype("<f4").tobytes()
    assert tensor.address % 32 == bits.address % 32 == 0
    assert bits.address >= tensor.extent[1]
    refuses("tensor Q: array of int64: must be float16, float32, float64 or unsigned patterns",
            context.tensor, np.zeros((4, 4), int), name="Q")
    refuses("tensor Q: fp16 bit pattern 0x10000 is wider than 16 bits",
            context.tensor, np.array([0x10000], np.uint32), name="Q")
    refuses("memory tensor Q: shape (0, 4): must be integers of at least 1",
            context.tensor, np.zeros((0, 4)), name="Q")


# The decorator.

@kernel
def store_twice(ctx, place, count=1):
    """Stores of an accumulator tile, for their addresses alone."""
    tile = ctx.alloc_accumulator(4)
    results = tuple(ctx.alloc_memory((4, 4)) for _ in range(count))
    for result in results:
        ctx.store_tile(tile, result)
    ctx.fence(dma=True, stop=True)
    return results


def test_a_kernel_has_words_memory_and_outputs():
    array = np.arange(16.0).reshape(4, 4)
    written = store_twice(CONFIG, array, count=2)
    refuses(f"instruction 0 ({here(store_twice, 6)}): stores accumulator rows 0 to 3 before anything is written to "
            "them; compute the tile before it is stored, with ctx.attn_value", written.program)
    program = written.program(watchdog=7, checked=False)
    assert store_twice.__name__ == "store_twice"
    assert program.memory == ((BASE, array.astype("<f2").tobytes()),)
    assert program.outputs == (Region(BASE + 32, 64), Region(BASE + 96, 64))
    assert program.watchdog == 7
    assert program.words == written.words
    assert len(program.words) == 9
    data = tuple(np.full((4, 4), value, np.uint32).tobytes() for value in (1, 2))
    first, second = written.tensors(Execution(State.DONE, ErrorCode.NONE, 0, None, data))
    assert (first == 1).all() and (second == 2).all() and first.shape == (4, 4)
    refuses("execution with 1 outputs: must have 2", written.tensors,
            Execution(State.DONE, ErrorCode.NONE, 0, None, data[:1]))


def test_a_tensor_that_lies_in_memory_already_is_kept_free():
    there = MemoryTensor((4, 4), FP16, BASE + 16)
    written = store_twice(CONFIG, there)
    assert written.inputs == ()
    assert written.outputs[0].address >= there.extent[1]
    refuses("memory: bytes 0x0 to 0x20 wanted: must lie from 0x80000000 to 0x90000000",
            store_twice, CONFIG, MemoryTensor((4, 4), FP16, 0))


def test_kernels_share_nothing():
    assert store_twice(CONFIG, np.zeros((4, 4))) == store_twice(CONFIG, np.zeros((4, 4)))


def test_what_is_no_kernel():
    refuses("store_twice: first argument ndarray: must be a Config", store_twice, np.zeros((4, 4)))
    wrong = kernel(lambda ctx: 5)
    refuses("<lambda>: must return a MemoryTensor, several in a tuple, or None", wrong, CONFIG)
    assert kernel(lambda ctx: None)(CONFIG).outputs == ()


def test_an_output_may_be_any_place():
    @kernel
    def columns(ctx):
        return ctx.alloc_memory((2, 8)).split(4, 1)[1].reverse(0)

    written = columns(CONFIG)
    (region,) = written.program(checked=False).outputs
    assert region == Region(BASE + 16, 48)
    memory = pack(patterns(2, 8, fmt=FP32), FP32)
    execution = Execution(State.DONE, ErrorCode.NONE, 0, None, (memory[16:64],))
    assert written.tensors(execution)[0].tolist() == [[12, 13, 14, 15], [4, 5, 6, 7]]


# Findings of a kernel name its lines.

@kernel
def every_method(ctx, k):
    tile, other = ctx.alloc_scratchpad(4), ctx.alloc_accumulator(4)
    ctx.fence()
    ctx.load_tile(k, tile)
    ctx.fence(dma=True)
    ctx.load_stationary(tile)
    ctx.attn_score(tile, other.split(1)[0], False)
    ctx.attn_value(tile,
                   other, False)
    ctx.reciprocal(other.split(1)[0])
    ctx.attn_lse_norm(other)
    store_by_another_function(ctx, other)
    for _ in range(2):
        ctx.fence(matrix=True, dma=True)
    [ctx.fence(stop=True) for _ in range(1)]


def store_by_another_function(ctx, tile):
    ctx.fence(matrix=True)
    ctx.store_tile(tile, ctx.alloc_memory((4, 4)))


def test_each_instruction_knows_its_line():
    written = every_method(CONFIG, np.zeros((4, 4)))
    lines = [3, 4, 5, 6, 7, 8, 10, 11, None, None, 14, 14, 15]
    expected = [here(every_method, line) for line in lines if line is not None]
    expected[8:8] = [here(store_by_another_function, 1), here(store_by_another_function, 2)]
    expected[-1] = expected[-1].replace("every_method", "<listcomp>")
    assert len(written.instructions) == 13
    assert [str(origin) for origin in written.origins] == expected
    assert str(written.definition) == here(every_method, 0)
    assert written == replace(written, origins=(), definition=None)


def test_a_library_kernel_is_named_itself():
    origins = attention_kernel(*tensors(CONFIG, 2, 2), CONFIG).origins
    assert {origin.function for origin in origins} == {"flash_attention"}
    assert origins[0].file.endswith("dataflows/fsa/kernel.py")
    assert origins[0] is not origins[-1] and origins[0].line < origins[-1].line


def test_findings_of_a_kernel_say_where():
    @kernel
    def used_too_early(ctx):
        tile = ctx.alloc_scratchpad(4)
        ctx.load_stationary(tile)
        ctx.fence(matrix=True, stop=True)

    written = used_too_early(CONFIG)
    (finding,) = check(written)
    where = here(used_too_early, 3)
    assert (finding.index, str(finding.origin)) == (0, where)
    text = (f"instruction 0 ({where}): uses scratchpad rows 0 to 3 before anything is loaded into them; "
            "load the tile first, with ctx.load_tile")
    assert str(finding) == f"error: {text}"
    refuses(text, written.program)
    # for another machine, and without knowing where
    few = CONFIG.replace(memory_ports=2)
    assert check(written, few) == [finding]
    assert check(replace(written, origins=())) == [replace(finding, origin=None)]


def test_what_was_not_written_by_a_method_has_no_line():
    @kernel
    def by_hand(ctx):
        ctx.fence(dma=True)
        ctx.instructions.append(Matrix(9))
        ctx.fence(stop=True)

    written = by_hand(CONFIG)
    assert written.origins == ()
    assert [(finding.index, finding.origin) for finding in check(written)] == [(1, None)]


def test_a_kernel_comes_to_its_end():
    """Words may be followed by more; a kernel is whole, and a device that is never done would end in a TIMEOUT."""
    @kernel
    def empty(ctx):
        pass

    @kernel
    def endless(ctx, k):
        ctx.load_tile(k, ctx.alloc_scratchpad(4))
        ctx.fence(dma=True)

    (finding,) = check(empty(CONFIG))
    assert (finding.severity, finding.index) == ("error", None)
    refuses(f"program ({here(empty, 0)}): no instructions: the device is never done; write instructions, and "
            "ctx.fence(matrix=True, dma=True, stop=True) at the end", empty(CONFIG).program)
    written = endless(CONFIG, np.zeros((4, 4)))
    refuses(f"instruction 1 ({here(endless, 3)}): no fence with stop: the device is never done; add "
            "ctx.fence(matrix=True, dma=True, stop=True) at the end", written.program)
    for nothing, kernel_findings in ((), check(empty(CONFIG))), (written.instructions, check(written)):
        (warning,) = check(nothing, CONFIG)
        assert warning.severity == "warning" and warning.message == kernel_findings[0].message
    assert written.program(checked=False).words == written.words


# Kernels in engines.

def test_an_engine_takes_a_kernel():
    q, k, v = tensors(CONFIG, 1, 2)
    written = attention_kernel(q, k, v, CONFIG)
    machine = engine("golden")
    alone = machine.execute(written, CONFIG)
    assert alone == machine.execute(written.program(), CONFIG)
    assert alone.state is State.DONE
    assert machine.execute_all([written, written.program()], CONFIG) == [alone, alone]


def test_an_engine_examines_a_kernel_for_the_machine_that_it_is():
    machine = engine("golden")
    with pytest.raises(KernelError, match="stores accumulator rows 0 to 3 before anything is written"):
        machine.execute(store_twice(CONFIG, np.zeros((4, 4))), CONFIG)
    written = attention_kernel(*tensors(CONFIG, 2, 2), CONFIG)
    with pytest.raises(KernelError, match=r"flash_attention\): accumulator RAM rows 5 to 8: must be from 0 to 4; keep"):
        machine.execute(written, CONFIG.replace(accumulator_rows=5))


@pytest.mark.parametrize("given", [
    [0], (1, 2), np.zeros(3, np.uint32), "fence stop", attention_kernel, None, 5,
], ids=lambda given: type(given).__name__)
def test_an_engine_refuses_what_is_no_program(given):
    for execute in (engine("golden").execute, lambda given, config: engine("golden").execute_all([given], config)):
        with pytest.raises(TypeError, match=f"^program: {type(given).__name__}: must be a Kernel or a Program, as in "):
            execute(given, CONFIG)


def test_an_engine_refuses_one_program_for_several():
    written = attention_kernel(*tensors(CONFIG, 1, 1), CONFIG)
    for given in (written, written.program(), np.zeros(3)):
        with pytest.raises(TypeError, match=f"^programs: {type(given).__name__}: must be a list"):
            engine("golden").execute_all(given, CONFIG)


# FlashAttention.

def tensors(config, query_tiles, kv_tiles):
    n = config.rows
    rng = np.random.default_rng(1)
    return [rng.standard_normal((tiles * n, n)) for tiles in (query_tiles, kv_tiles, kv_tiles)]


def kinds(written):
    return [type(instruction).__name__ for instruction in written.instructions]


def test_one_tile_of_sixteen_takes_the_published_words():
    config = Config(rows=16, cols=16)
    written = attention_kernel(*tensors(config, 1, 1), config)
    assert len(written.words) == 32
    assert [kinds(written).count(name) for name in ("Matrix", "Dma", "Fence")] == [5, 4, 1]
    assert written.instructions[-1] == Fence(1, 1, 1)
    assert kinds(written)[-1] == "Fence"


def test_the_normalisation_waits_for_the_store_before_and_o_alternates():
    written = attention_kernel(*tensors(CONFIG, 4, 1), CONFIG)
    norms = [i for i in written.instructions if isinstance(i, Matrix) and i.function == 4]
    stores = [i for i in written.instructions if isinstance(i, Dma) and i.function == 1]
    assert [norm.accumulator_row for norm in norms] == [1, 5, 1, 5]
    assert all((n.acquire, n.acquire_value, n.release, n.release_value) == (1, 0, 1, 1) for n in norms)
    assert all((s.acquire, s.acquire_value, s.release, s.release_value) == (1, 1, 1, 0) for s in stores)
    assert {i.semaphore for i in norms + stores} == {6}
    assert kinds(written).count("Fence") == 1


def test_with_the_published_accumulator_ram_a_fence_keeps_o():
    config = CONFIG.replace(accumulator_rows=5)
    written = attention_kernel(*tensors(config, 3, 2), config)
    fences = [i for i, instruction in enumerate(written.instructions) if instruction == Fence(dma=1)]
    assert len(fences) == 2
    for index in fences:
        assert written.instructions[index + 1].function == 2  # ATTN_VALUE
    assert max(i.accumulator_row for i in written.instructions if isinstance(i, Matrix)) == 1


def test_causal_skips_what_lies_wholly_after_the_queries():
    written = attention_kernel(*tensors(CONFIG, 3, 4), CONFIG, causal=True)
    scores = [i for i in written.instructions if isinstance(i, Matrix) and i.function == 1]
    assert [score.causal for score in scores] == [1, 0, 1, 0, 0, 1]
    plain = attention_kernel(*tensors(CONFIG, 3, 4), CONFIG)
    assert sum(isinstance(i, Matrix) and i.function == 1 for i in plain.instructions) == 12


def test_small_scratchpads_have_one_tile_each():
    config = CONFIG.replace(scratchpad_rows=12)
    written = attention_kernel(*tensors(config, 2, 2), config)
    assert {i.row for i in written.instructions if isinstance(i, Dma) and not i.accumulator} == {0, 4, 8}


def test_inputs_are_q_k_and_v_transposed():
    q, k, v = tensors(CONFIG, 2, 3)
    written = attention_kernel(q, k, v, CONFIG)
    held = [tensor.read(data, tensor.address) for tensor, data in written.inputs]
    for bits, array in zip(held, (q, k, v.T), strict=True):
        assert np.array_equal(bits, array.astype(np.float16).view(np.uint16))
    o_t = patterns(4, 8, fmt=FP32)
    execution = Execution(State.DONE, ErrorCode.NONE, 0, None, (o_t.tobytes(),))
    assert np.array_equal(attention_output(written, execution), o_t.T)


def test_attention_that_does_not_fit():
    q, k, v = tensors(CONFIG, 2, 3)
    refuses("k has shape [12, 3]: must have a head dimension of 4, that of q", attention_kernel, q, k[:, :3], v, CONFIG)
    refuses("v has shape [0, 4]: must be [seq, d] with d from 1 to 4, and no size 0", attention_kernel, q, k, v[:0],
            CONFIG)
    refuses("q has shape [8, 5]: must be [seq, d] with d from 1 to 4, and no size 0", attention_kernel,
            np.ones((8, 5)), k, v, CONFIG)
    refuses("q has shape [4]: must be [seq, d] or [batch, heads, seq, d]", attention_kernel, q[0], k, v, CONFIG)
    refuses("k has shape [12, 4]: must be 4 dimensions, as q", attention_kernel, q[None, None], k, v, CONFIG)
    refuses("v has shape [8, 4]: must be that of k, [12, 4], but for the head dimension", attention_kernel, q, k, v[:8],
            CONFIG)
    heads = np.ones((2, 3, 4, 4))
    refuses("k has shape [2, 2, 4, 4]: must have the batch of q, 2, and heads that divide its 3", attention_kernel,
            heads, heads[:, :2], heads[:, :2], CONFIG)
    refuses("scale 0: must be a positive number", attention_kernel, q, k, v, CONFIG, scale=0)
    refuses("v_t has shape [12, 4]: must be that of k reversed, [4, 12]", flash_attention, CONFIG, q, k, v, False)
    refuses("q: array of int64: must be float16, float32, float64 or unsigned patterns",
            attention_kernel, q.astype(int), k, v, CONFIG)
    little = CONFIG.replace(memory_size=256)
    refuses("memory: 128 bytes wanted for O^T, 0 of 256 left", attention_kernel, *tensors(little, 2, 3), little)


HEADS = AttentionShape(5, 6, 3, 2, heads=4, kv_heads=2, batch=2, stacked=True)


def of_shape(config, shape, scale=None, seed=2):
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(size) for size in tensor_shapes(shape)]
    return attention_kernel(*arrays, config, shape.causal, scale), arrays


@pytest.mark.parametrize("fields", [{}, {"scratchpad_rows": 12, "accumulator_rows": 5},
                                    {"dataflow": "stream", "reciprocal": "division"}], ids=["fsa", "small", "stream"])
@pytest.mark.parametrize("scale", [None, 0.2])
@pytest.mark.parametrize("shape", [
    AttentionShape(1, 1, 1, 1), AttentionShape(3, 9, 4, 4), AttentionShape(9, 7, 2, 3, causal=True),
    AttentionShape(4, 13, 1, 4, causal=True), HEADS, replace(HEADS, causal=True),
    AttentionShape(4, 8, 4, 4, heads=3, kv_heads=1, stacked=True),
], ids=lambda shape: "-".join(str(size) for size in (shape.seq_q, shape.seq_kv, shape.query_heads, shape.causal)))
def test_attention_of_any_shape_in_whole_tiles(shape, scale, fields):
    """The interpreter of the words gives what the model of attention gives."""
    config = CONFIG.replace(**fields)
    written, (q, k, v) = of_shape(config, shape, scale)
    assert check(written) == []
    expected = golden.attention(q, k, v, config, causal=shape.causal, scale=scale)
    assert expected.shape == (*shape.leading, shape.seq_q, shape.value_dim)
    execution = engine("golden").execute(written, config)
    assert np.array_equal(attention_output(written, execution), expected)


def test_tensors_are_filled_up_with_zeros():
    """V too, whose rows of hidden keys meet weights of zero: they must be numbers."""
    written, arrays = of_shape(CONFIG, HEADS)
    whole = [tensor.read(data, tensor.address) for tensor, data in written.inputs]
    whole[2] = whole[2].T
    assert [array.shape for array in whole] == [(8 * 8, 4), (4 * 8, 4), (4 * 8, 4)]
    for bits, array in zip(whole, arrays, strict=True):
        heads = array.reshape(-1, *array.shape[2:]).astype(np.float16).view(np.uint16)
        for head, rows in zip(heads, bits.reshape(-1, 8, 4), strict=True):
            assert np.array_equal(rows[:head.shape[0], :head.shape[1]], head)
            assert not rows[head.shape[0]:].any() and not rows[:, head.shape[1]:].any()


def test_the_last_tile_of_keys_hides_what_is_past_them():
    written, _ = of_shape(CONFIG, AttentionShape(9, 10, 4, 4, causal=True))
    scores = [i for i in written.instructions if isinstance(i, Matrix) and i.function == Function.ATTN_SCORE]
    assert [(i.causal, i.hidden) for i in scores] == [(1, 0), (0, 0), (1, 0), (0, 0), (0, 0), (1, 2)]
    assert {i.hidden for i in written.instructions if isinstance(i, Matrix) and i not in scores} == {0}


def test_heads_follow_each_other_and_share_keys():
    written, _ = of_shape(CONFIG, replace(HEADS, batch=1))
    (_, k, _), _ = zip(*written.inputs, strict=True)
    tile = 4 * CONFIG.scratchpad_row_bytes
    first, last = k.extent
    loaded = [(i.address - first) // tile for i in written.instructions
              if isinstance(i, Dma) and first <= i.address < last]
    # two query tiles of two heads each meet the two tiles of a K/V head
    assert loaded == [0, 1] * 4 + [2, 3] * 4
    stored = [i.address for i in written.instructions if isinstance(i, Dma) and i.function == 1]
    assert stored == sorted(stored) and len(stored) == 8


def test_a_scale_is_wanted_where_it_is_not_what_a_reset_leaves():
    for shape, scale, wanted in ((AttentionShape(4, 4, 4, 4), None, None), (AttentionShape(4, 4, 4, 4), 0.5, None),
                                 (AttentionShape(4, 4, 2, 4), 0.5, None),
                                 (AttentionShape(4, 4, 2, 4), None, Scale.of(CONFIG, 2**-0.5)),
                                 (AttentionShape(4, 4, 4, 4), 0.1, Scale.of(CONFIG, 0.1))):
        written, _ = of_shape(CONFIG, shape, scale)
        assert written.scale == written.program().scale == wanted


def test_flash_attention_of_another_shape_than_its_tensors():
    q, k, v = tensors(CONFIG, 2, 3)
    for shape in (AttentionShape(8, 8, 4, 4), AttentionShape(4, 12, 4, 4), AttentionShape(8, 12, 4, 4, causal=True),
                  AttentionShape(8, 12, 4, 4, heads=2, kv_heads=1)):
        with pytest.raises(KernelError, match=r"^shape: .*: must be that of the tensors, \[8, 12\] in whole tiles"):
            flash_attention(CONFIG, q, k, v.T, False, shape)
    assert flash_attention(CONFIG, q, k, v.T, False, AttentionShape(7, 11, 4, 4)).instructions


@pytest.mark.parametrize("hidden", [-1, 4, 1.0, None])
def test_one_key_of_a_tile_counts(hidden):
    context = Context(CONFIG)
    refuses(f"attn_score: hidden = {hidden!r}: must be from 0 to 3, one key of the tile counts", context.attn_score,
            context.alloc_scratchpad(4), context.alloc_accumulator(1), False, hidden=hidden)

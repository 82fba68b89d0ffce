"""Instruction words and their text: the published bit positions, and exact ways there and back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myhdl_fsa import isa
from myhdl_fsa.isa import Dma, Fence, InstructionError, Matrix, decode, decode_all, encode, encode_all
from myhdl_fsa.kernel import KernelError, assemble, disassemble
from myhdl_fsa.kernel.legality import Illegal, parse


def instructions():
    def of(cls):
        fields = {
            name: st.integers(field.allowed[0], field.allowed[-1]) for name, field in cls.LAYOUT.items()
        }
        return st.builds(cls, **fields)

    return st.one_of(of(Fence), of(Matrix), of(Dma))


# words of every type, legal types more often than chance has them
words = st.lists(
    st.one_of(st.integers(0, 0xFFFF_FFFF), st.integers(0, 0x5FFF_FFFF), st.sampled_from([0, 0x2000_0000, 0x4000_0000]))
)


# Bit positions as published, written down a second time.
@pytest.mark.parametrize(("instruction", "expected"), [
    (Fence(matrix=1), [1 << 28]),
    (Fence(dma=1), [1 << 27]),
    (Fence(stop=1), [1 << 26]),
    (Matrix(31), [1 << 29 | 31 << 11, 0, 0]),
    (Matrix(0, semaphore=31), [1 << 29 | 31 << 24, 0, 0]),
    (Matrix(0, acquire=1, acquire_value=7), [1 << 29 | 1 << 23 | 7 << 20, 0, 0]),
    (Matrix(0, release=1, release_value=7), [1 << 29 | 1 << 19 | 7 << 16, 0, 0]),
    (Matrix(0, wait_idle=1), [1 << 29 | 1 << 10, 0, 0]),
    (Matrix(0, scratchpad_row=0xFFFFF, scratchpad_stride=-1), [1 << 29, 0xFFFFF << 12 | 31 << 7, 0]),
    (Matrix(0, reverse_in=1), [1 << 29, 1 << 6, 0]),
    (Matrix(0, reverse_out=1), [1 << 29, 1 << 5, 0]),
    (Matrix(0, delay=1), [1 << 29, 1 << 4, 0]),
    (Matrix(0, accumulator_row=1, accumulator_stride=15), [1 << 29, 0, 1 << 12 | 15 << 7]),
    (Matrix(0, zero=1), [1 << 29, 0, 1 << 6]),
    (Matrix(0, causal=1), [1 << 29, 0, 1 << 5]),
    # ours, in bits that the published header leaves alone
    (Matrix(0, hidden=255), [1 << 29 | 255, 0, 0]),
    (Dma(15), [2 << 29 | 15 << 12, 0, 0, 0]),
    (Dma(0, rows=511), [2 << 29 | 511 << 3, 0, 0, 0]),
    (Dma(0, row=1, stride=-16, accumulator=1), [2 << 29, 1 << 12 | 16 << 7 | 1 << 6, 0, 0]),
    (Dma(0, memory_stride=1 << 15), [2 << 29, 1, 0, 0]),
    (Dma(0, memory_stride=-1), [2 << 29, 0x3F, 0x7FFF << 10, 0]),
    (Dma(0, size=1023), [2 << 29, 0, 1023, 0]),
    (Dma(0, address=1), [2 << 29, 0, 1 << 25, 0]),
    (Dma(0, address=1 << 38), [2 << 29, 0, 0, 1 << 31]),
])
def test_each_field_is_at_its_published_bits(instruction, expected):
    assert encode(instruction) == expected
    assert decode(expected) == instruction


@given(st.lists(instructions(), max_size=6))
def test_words_and_back(program):
    assert list(decode_all(encode_all(program))) == program


@pytest.mark.parametrize(("instruction", "message"), [
    (Matrix(32), "matrix instruction: function = 32: must be from 0 to 31"),
    (Matrix(1, hidden=256), "matrix instruction: hidden = 256: must be from 0 to 255"),
    (Matrix(0, scratchpad_stride=16), "matrix instruction: scratchpad_stride = 16: must be from -16 to 15"),
    (Dma(0, rows=512), "dma instruction: rows = 512: must be from 0 to 511"),
    (Dma(0, memory_stride=1 << 20), f"dma instruction: memory_stride = {1 << 20}: "
                                    f"must be from {-(1 << 20)} to {(1 << 20) - 1}"),
    (Dma(0, address=-1), f"dma instruction: address = -1: must be from 0 to {(1 << 39) - 1}"),
])
def test_a_field_that_does_not_fit_is_named(instruction, message):
    with pytest.raises(InstructionError) as error:
        encode(instruction)
    assert str(error.value) == message
    with pytest.raises(InstructionError, match="instruction 1: "):
        encode_all([Fence(), instruction])


@pytest.mark.parametrize("bad", [[], [7 << 29], [1 << 29, 0], [0, 0]])
def test_words_that_are_no_instruction(bad):
    with pytest.raises(InstructionError):
        decode(bad)


def test_parse_goes_on_after_an_illegal_type_and_keeps_a_cut_instruction():
    program = [*encode(Fence(stop=1)), 5 << 29, *encode(Matrix(1))[:2]]
    stop, illegal, cut = parse(program)
    assert stop == Fence(stop=1)
    assert isinstance(illegal, Illegal) and "type 5" in illegal.message and illegal.part is None
    assert isinstance(cut, Illegal) and cut.code is None and cut.part == Matrix(1)
    assert cut.message == "the last instruction lacks 1 of its 3 words"


# Text.

@given(st.lists(instructions(), max_size=6))
def test_every_instruction_has_its_own_text(program):
    text = disassemble(encode_all(program))
    assert ".word" not in text
    assert text.count("\n") == len(program)
    assert assemble(text) == encode_all(program)


@settings(max_examples=300)
@given(words)
def test_any_words_survive_the_way_through_text(program):
    assert assemble(disassemble(program)) == program


@given(st.data(), instructions())
def test_bits_that_no_field_uses_are_kept(data, instruction):
    program = encode(instruction)
    used = sum(field.insert(-1) for field in [isa.KIND, *instruction.LAYOUT.values()])
    unused = [bit for bit in range(32 * len(program)) if not used >> bit & 1]
    if not unused:
        return
    bit = data.draw(st.sampled_from(unused))
    program[bit // 32] |= 1 << bit % 32
    assert disassemble(program).startswith(".word ")
    assert assemble(disassemble(program)) == program


def test_the_text_of_each_instruction():
    program = [
        Dma(0, semaphore=2, acquire=1, release=1, release_value=1, rows=16, row=32, stride=1, memory_stride=32,
            address=0x8000_0200, size=32),
        Matrix(1, semaphore=2, acquire=1, acquire_value=1, release=1, scratchpad_row=32, scratchpad_stride=1,
               reverse_in=1, reverse_out=1, delay=1, zero=1, causal=1),
        Matrix(4, wait_idle=1, accumulator_row=17, accumulator_stride=-1),
        Matrix(1, scratchpad_row=96, scratchpad_stride=1, accumulator_stride=1, hidden=3, zero=1),
        Matrix(9, release_value=3),
        Dma(1, rows=1, row=1, stride=0, accumulator=1, memory_stride=-64, address=64, size=64),
        Dma(5),
        Fence(1, 1, 1),
        Fence(),
    ]
    assert disassemble(encode_all(program)).splitlines() == [
        "load rows=16 spad=32+1 memory=0x80000200+32 size=32 sem=2 acquire=0 release=1",
        "matrix attn_score sem=2 acquire=1 release=0 spad=32+1 reverse_in reverse_out delay zero causal",
        "matrix attn_lse_norm acc=17-1 wait_idle",
        "matrix attn_score spad=96+1 acc=0+1 hidden=3 zero",
        "matrix 9 idle_release=3",
        "store rows=1 acc=1+0 memory=0x40-64 size=64",
        "dma 5 rows=0 spad=0+0 memory=0x0+0 size=0",
        "fence matrix dma stop",
        "fence",
    ]


def test_comments_blank_lines_and_free_order():
    text = """
    # a comment; and more
    fence stop matrix   ; stops
    load size=0x10 rows=4 memory=4096 acc=0x2 ; into the accumulator RAM: refused later, not here

    .word 0xffffffff 1  # as it is
    """
    assert assemble(text) == [*encode(Fence(matrix=1, stop=1)),
                              *encode(Dma(0, rows=4, row=2, accumulator=1, address=4096, size=16)), 0xFFFF_FFFF, 1]


@pytest.mark.parametrize(("text", "message"), [
    ("fence\nhalt", "line 2: 'halt': must be fence, matrix, load, store, dma or .word"),
    ("matrix", "line 1: matrix: must be followed by a function"),
    ("matrix scores", "line 1: matrix function 'scores': must be one of load_stationary, attn_score, attn_value, "
                      "acc_reciprocal, attn_lse_norm or a number from 0 to 31"),
    ("dma 16", "line 1: dma function '16': must be a number from 0 to 15"),
    ("load rows=512", "line 1: rows '512': must be a number from 0 to 511"),
    ("load rows=-1", "line 1: rows '-1': must be a number from 0 to 511"),
    ("load rows", "line 1: 'rows': must be one of rows=..., spad=..., acc=..., memory=..., size=..., sem=..., "
                  "acquire=..., release=..., idle_acquire=..., idle_release=..."),
    ("fence wait", "line 1: 'wait': must be one of matrix, dma, stop"),
    ("fence stop stop", "line 1: 'stop': stop is given already"),
    ("load spad=1+1 acc=1+1", "line 1: 'acc=1+1': accumulator is given already"),
    ("load acquire=1 idle_acquire=2", "line 1: 'idle_acquire=2': acquire_value is given already"),
    ("matrix 1 spad=1+16", "line 1: spad stride '+16': must be a number from -16 to 15"),
    ("matrix 1 spad=1,1", "line 1: spad=1,1: must be a number and a stride with its sign, as in spad=96+1"),
    ("matrix 1 hidden=256", "line 1: hidden '256': must be a number from 0 to 255"),
    ("matrix 1 hidden", "line 1: 'hidden': must be one of sem=..., acquire=..., release=..., idle_acquire=..., "
                        "idle_release=..., spad=..., acc=..., hidden=..., reverse_in, reverse_out, delay, zero, "
                        "causal, wait_idle"),
    ("matrix 1 sem=32", "line 1: sem '32': must be a number from 0 to 31"),
    ("matrix 1 acquire=8", "line 1: acquire '8': must be a number from 0 to 7"),
    ("store memory=0x8000000000", f"line 1: memory '0x8000000000': must be a number from 0 to {(1 << 39) - 1}"),
    (".word 4294967296", "line 1: word '4294967296': must be a number from 0 to 4294967295"),
    (".word x", "line 1: word 'x': must be a number from 0 to 4294967295"),
])
def test_a_bad_line_is_named_with_what_is_allowed(text, message):
    with pytest.raises(KernelError) as error:
        assemble(text)
    assert str(error.value) == message


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("fencmatrixlodsg .=+-0x129#;\n_w"), max_size=60))
def test_any_text_gives_words_or_one_line(text):
    try:
        assemble(text)
    except KernelError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("word", [-1, 1 << 32])
def test_what_is_no_word(word):
    with pytest.raises(KernelError, match=f"word 1 = {word}: must be from 0 to 0xffffffff"):
        disassemble([0, word])

"""Instruction words as text and back, exactly.

One instruction a line; ``#`` or ``;`` begins a comment. Fields left out are 0, numbers are decimal or 0x... :

    fence matrix dma stop
    matrix attn_score sem=2 acquire=1 release=0 spad=96+1 acc=0+1 reverse_in reverse_out delay zero causal wait_idle
    matrix attn_score spad=96+1 acc=0+1 hidden=3
    load rows=16 spad=32+1 memory=0x80000200+32 size=32 sem=2 acquire=0 release=1
    store rows=16 acc=1+1 memory=0x80000600+64 size=64 sem=6 acquire=1 release=0
    .word 0x12345678

``spad`` and ``acc`` are a row and a stride in rows, ``memory`` an address and a stride in bytes; strides carry a sign.
``hidden`` is a number of keys.
``acquire`` and ``release`` name the value, and leaving them out turns them off; the value that a header holds all the
same is ``idle_acquire`` or ``idle_release``. ``matrix 9`` and ``dma 5`` are functions without a name; ``load`` with
``acc`` and ``store`` with ``spad`` can be written too. Words that are no instruction, or that set bits which no field
uses, are ``.word``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from myhdl_fsa.isa import (
    KIND,
    KINDS,
    WORD_WIDTH,
    Dma,
    Fence,
    Function,
    Instruction,
    InstructionError,
    Matrix,
    Transfer,
    decode,
)
from myhdl_fsa.isa import encode as encode_instruction
from myhdl_fsa.kernel.errors import KernelError

__all__ = ["AssembledWords", "Fields", "Reader", "assemble", "disassemble", "format_instruction"]

_FENCE_FLAGS = ("matrix", "dma", "stop")
_MATRIX_FLAGS = ("reverse_in", "reverse_out", "delay", "zero", "causal", "wait_idle")
_FUNCTIONS = {function.name.lower(): int(function) for function in Function}
_PLACE = re.compile(r"(\w+)([+-]\w+)?")


class AssembledWords(list[int]):
    """Words and the lines, from 1, that they were written on; an ordinary list otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[int] = []


def disassemble(words: Sequence[int]) -> str:
    """The text of a program. Raises KernelError for a word that is not 32 bits."""
    for index, word in enumerate(words):
        if not 0 <= word < 1 << WORD_WIDTH:
            raise KernelError(f"word {index} = {word}: must be from 0 to {(1 << WORD_WIDTH) - 1:#x}")
    return "".join(f"{line}\n" for line in _lines([int(word) for word in words]))


def assemble(text: str) -> AssembledWords:
    """The words of a text, for which ``check`` names lines. Raises KernelError: the line and what is allowed there."""
    words = AssembledWords()
    for number, line in enumerate(text.splitlines(), 1):
        tokens = re.split(r"[#;]", line, maxsplit=1)[0].split()
        try:
            if tokens and tokens[0] == ".word":
                words += [_number(token, "word", range(1 << WORD_WIDTH)) for token in tokens[1:]]
            elif tokens:
                words += encode_instruction(_instruction(tokens))
        except (KernelError, InstructionError) as error:
            raise KernelError(f"line {number}: {error}") from None
        words.lines += [number] * (len(words) - len(words.lines))
    return words


def _lines(words: Sequence[int]) -> Iterator[str]:
    at = 0
    while at < len(words):
        kind = KINDS.get(KIND.extract(words[at]))
        part = words[at:at + (1 if kind is None else kind.WORDS)]
        at += len(part)
        instruction = None if kind is None or len(part) < kind.WORDS else decode(part)
        if instruction is not None and encode_instruction(instruction) == part:
            yield format_instruction(instruction)
        else:
            yield ".word " + " ".join(f"{word:#010x}" for word in part)


def format_instruction(instruction: Instruction) -> str:
    """One instruction as its line of text."""
    match instruction:
        case Fence():
            return " ".join(["fence", *(name for name in _FENCE_FLAGS if getattr(instruction, name))])
        case Matrix():
            names = {number: name for name, number in _FUNCTIONS.items()}
            parts = ["matrix", names.get(instruction.function, str(instruction.function)), *_semaphore(instruction)]
            for name, row, stride in (
                ("spad", instruction.scratchpad_row, instruction.scratchpad_stride),
                ("acc", instruction.accumulator_row, instruction.accumulator_stride),
            ):
                if row or stride:
                    parts.append(f"{name}={row}{stride:+}")
            if instruction.hidden:
                parts.append(f"hidden={instruction.hidden}")
            return " ".join([*parts, *(name for name in _MATRIX_FLAGS if getattr(instruction, name))])
        case Dma():
            known = instruction.function in tuple(Transfer)
            mnemonic = [Transfer(instruction.function).name.lower()] if known else ["dma", str(instruction.function)]
            ram = "acc" if instruction.accumulator else "spad"
            return " ".join([
                *mnemonic, f"rows={instruction.rows}", f"{ram}={instruction.row}{instruction.stride:+}",
                f"memory={instruction.address:#x}{instruction.memory_stride:+}", f"size={instruction.size}",
                *_semaphore(instruction),
            ])


def _semaphore(instruction: Matrix | Dma) -> Iterator[str]:
    if instruction.semaphore or instruction.acquire or instruction.release:
        yield f"sem={instruction.semaphore}"
    for name in ("acquire", "release"):
        value = getattr(instruction, f"{name}_value")
        if getattr(instruction, name):
            yield f"{name}={value}"
        elif value:
            yield f"idle_{name}={value}"


def _instruction(tokens: Sequence[str]) -> Instruction:
    match tokens:
        case ["fence", *rest]:
            return Fence(**_fields(rest, _FENCE_FLAGS, {}))
        case ["matrix", function, *rest]:
            layout = Matrix.LAYOUT["function"]
            code = _FUNCTIONS.get(function)
            if code is None:
                code = _number(function, "matrix function", layout.allowed, tuple(_FUNCTIONS))
            return Matrix(code, **_fields(rest, _MATRIX_FLAGS, _matrix_keys()))
        case ["load" | "store" as name, *rest]:
            return Dma(Transfer[name.upper()], **_fields(rest, (), _dma_keys()))
        case ["dma", function, *rest]:
            code = _number(function, "dma function", Dma.LAYOUT["function"].allowed)
            return Dma(code, **_fields(rest, (), _dma_keys()))
        case ["matrix" | "dma"]:
            raise KernelError(f"{tokens[0]}: must be followed by a function")
    raise KernelError(f"{tokens[0]!r}: must be fence, matrix, load, store, dma or .word")


Fields = dict[str, int]
Reader = Callable[[str], Fields]


def _fields(tokens: Sequence[str], flags: Sequence[str], keys: dict[str, Reader]) -> Fields:
    """The fields that flags and ``key=value`` tokens set."""
    fields: Fields = {}
    for token in tokens:
        key, equals, text = token.partition("=")
        if key in flags and not equals:
            new = {key: 1}
        elif key in keys and equals:
            new = keys[key](text)
        else:
            allowed = [*(f"{name}=..." for name in keys), *flags]
            raise KernelError(f"{token!r}: must be one of {', '.join(allowed)}")
        twice = fields.keys() & new.keys()
        if twice:
            raise KernelError(f"{token!r}: {sorted(twice)[0]} is given already")
        fields.update(new)
    return fields


def _semaphore_keys() -> dict[str, Reader]:
    layout = Matrix.LAYOUT

    def value(name: str, **on: int) -> Reader:
        return lambda text: {f"{name}_value": _number(text, name, layout[f"{name}_value"].allowed), **on}

    return {
        "sem": lambda text: {"semaphore": _number(text, "sem", layout["semaphore"].allowed)},
        "acquire": value("acquire", acquire=1), "release": value("release", release=1),
        "idle_acquire": value("acquire"), "idle_release": value("release"),
    }


def _matrix_keys() -> dict[str, Reader]:
    layout = Matrix.LAYOUT
    return {
        **_semaphore_keys(),
        "spad": lambda text: _place(text, "spad", layout, "scratchpad_row", "scratchpad_stride"),
        "acc": lambda text: _place(text, "acc", layout, "accumulator_row", "accumulator_stride"),
        "hidden": lambda text: {"hidden": _number(text, "hidden", layout["hidden"].allowed)},
    }


def _dma_keys() -> dict[str, Reader]:
    layout = Dma.LAYOUT
    return {
        "rows": lambda text: {"rows": _number(text, "rows", layout["rows"].allowed)},
        "spad": lambda text: {**_place(text, "spad", layout, "row", "stride"), "accumulator": 0},
        "acc": lambda text: {**_place(text, "acc", layout, "row", "stride"), "accumulator": 1},
        "memory": lambda text: _place(text, "memory", layout, "address", "memory_stride"),
        "size": lambda text: {"size": _number(text, "size", layout["size"].allowed)},
        **_semaphore_keys(),
    }


def _place(text: str, name: str, layout: object, first: str, stride: str) -> Fields:
    """``row+stride``, or a row alone for stride 0."""
    assert isinstance(layout, dict)
    match = _PLACE.fullmatch(text)
    if match is None:
        raise KernelError(f"{name}={text}: must be a number and a stride with its sign, as in {name}=96+1")
    return {first: _number(match[1], name, layout[first].allowed),
            stride: _number(match[2] or "0", f"{name} stride", layout[stride].allowed)}


def _number(text: str, what: str, allowed: range, names: Sequence[str] = ()) -> int:
    """A number within ``allowed``."""
    value = None
    if re.fullmatch(r"[+-]?(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})", text):
        value = int(text, 16 if "x" in text.lower() else 10)
    if value is None or value not in allowed:
        choice = f"one of {', '.join(names)} or " if names else ""
        raise KernelError(f"{what} {text!r}: must be {choice}a number from {allowed[0]} to {allowed[-1]}")
    return value

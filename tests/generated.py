"""Random programs in the subset that ``convert`` compiles, and what they do in Python and in a Verilog simulator.

All programs have the same ports, so that one bench holds many of them: every vector of inputs goes to each, and a line
of the simulator's output is what all of them drive.
"""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from myhdl import Signal, intbv
from myhdl._Signal import _siglist

from myhdl_fsa.convert.blocks import processes
from myhdl_fsa.convert.hierarchy import Design
from myhdl_fsa.convert.module import Module

INPUTS = {"a": (8, False), "b": (5, False), "c": (1, False), "s": (6, True), "t": (9, True)}
LISTS = {"v": (4, 4, False), "w": (4, 5, True)}
OUTPUTS = {"y0": (8, False), "y1": (13, False), "y2": (1, False), "y3": (7, True), "y4": (40, False)}
HEADER = "from myhdl import always, always_comb, block\n\n\n"
_INDENT = "    "


@dataclass
class Generator:
    """Writes programs; ``random`` decides."""

    random: random.Random
    defined: list[str] = field(default_factory=list)
    names: int = 0
    signals: bool = True
    functions: dict[str, int] = field(default_factory=dict)
    loops: dict[str, int] = field(default_factory=dict)
    """variables of loops and below what they stay"""

    def program(self, name: str) -> str:
        """A block."""
        chance = self.random
        lines = ["@block", f"def {name}(clock, a, b, c, s, t, v, w, y0, y1, y2, y3, y4):",
                 f"    TABLE = {tuple(chance.randrange(-9, 40) for _ in range(8))}",
                 f"    WORDS = {tuple(chance.randrange(0, 99) for _ in range(4))}",
                 f"    MASK = {chance.choice((1, 3, 7, 12, 16, 255))}", f"    OFFSET = {chance.randrange(-70, 70)}", ""]
        for number in range(chance.randrange(3)):
            lines += [f"    {line}" for line in self.function(f"helper_{number}")] + [""]
        clocked = chance.random() < 0.4
        self.defined, self.signals = [], True
        lines += [f"    @{'always(clock.posedge)' if clocked else 'always_comb'}", "    def work():"]
        body = self.statements(chance.randrange(1, 4), 2)
        body += self.outputs(clocked)
        return "\n".join([*lines, *(f"        {line}" for line in body), "    return work", "", ""])

    def function(self, name: str) -> list[str]:
        count = self.random.randrange(1, 4)
        parameters = [f"q{number}" for number in range(count)]
        self.defined, self.signals = list(parameters), False
        lines = [f"def {name}({', '.join(parameters)}):"]
        lines += [_INDENT + line for line in self.statements(self.random.randrange(3), 1)]
        lines += [f"{_INDENT}return {self.number(2)}"]
        self.functions[name] = count
        return lines

    # -- statements ----------------------------------------------------------------------------------------------------
    def fresh(self) -> str:
        self.names += 1
        return f"x{self.names}"

    def statements(self, count: int, depth: int) -> list[str]:
        return [line for _ in range(count) for line in self.statement(depth)] or ["pass"]

    def statement(self, depth: int) -> list[str]:
        kind = self.random.random()
        if kind < 0.4 or depth == 0:
            value = self.number(3)
            target = self.fresh() if not self.assignable() or self.random.random() < 0.6 else self.random.choice(
                self.assignable())
            if target not in self.defined:
                self.defined.append(target)
            elif target not in self.loops and self.random.random() < 0.3:
                operator = self.random.choice(("+=", "-=", "^=", "|="))
                return [f"{target} = int({target})", f"{target} {operator} {self.number(2)}"]
            return [f"{target} = {value}"]
        if kind < 0.75:
            return self.branch(depth)
        return self.loop(depth)

    def assignable(self) -> list[str]:
        """Locals that may be assigned: not in a loop, where their width could grow with every turn."""
        return [] if self.loops else [name for name in self.defined if name not in self.loops]

    def branch(self, depth: int) -> list[str]:
        before, lines = list(self.defined), []
        ends: list[list[str]] = []
        subject = self.random.choice([*self.words(), "b"]) if self.random.random() < 0.3 else None
        arms = self.random.randrange(1, 4) + (2 if subject else 0)
        for number in range(arms):
            word = "elif" if number else "if"
            self.defined = list(before)
            test = f"{subject} == {number + self.random.randrange(2)}" if subject else self.truth(2)
            if subject and self.random.random() < 0.2:
                test += f" or {subject} == {self.random.randrange(200)}"
            lines += [f"{word} {test}:", *self.arm(depth)]
            ends.append(self.defined)
        self.defined = list(before)
        if self.random.random() < 0.6:
            lines += ["else:", *self.arm(depth)]
        ends.append(self.defined)
        self.defined = [name for name in ends[0] if all(name in end for end in ends)]
        return lines

    def arm(self, depth: int) -> list[str]:
        lines = self.statements(self.random.randrange(1, 3), depth - 1)
        return [_INDENT + line for line in lines]

    def loop(self, depth: int) -> list[str]:
        variable = f"i{len(self.loops)}"
        if len(self.loops) == 2:
            return self.statement(0)
        spans = ("4", "1, 4", "3, -1, -1", "0, 4, 2", "2")
        gathered = self.fresh()
        start = self.number(1) if self.random.random() < 0.5 else "0"
        before = list(self.defined)
        span = self.random.choice(spans)
        self.loops[variable] = 4
        lines = [f"{gathered} = {start}", f"for {variable} in range({span}):"]
        kind = self.random.random()
        if kind < 0.4 and self.signals:
            width = self.random.choice((4, 5, 6))
            lane = self.random.choice((f"v[{variable}]", f"({self.number(1)} & 15)", f"w[{variable}]", "b", "s",
                                       f"v[3 - {variable}]", f"{self.random.choice(('a', 't'))}[5:1]"))
            place = self.random.choice((variable, f"(3 - {variable})"))
            lines += [f"    {gathered} = {gathered} | ({lane} << ({place} * {width}))"]
        else:
            inner = self.statements(self.random.randrange(0, 2), depth - 1)
            update = self.random.choice(("{0} = {0} + ({1})", "{0} = {0} - ({1})", "{0} = {0} ^ ({1})",
                                         "{0} = ({0} & 255) * 3 + ({1})", "{0} = {1}",
                                         "{0} = int({0})\n    {0} += {1}"))
            assigned = update.replace('\n    ', '\n').format(gathered, self.number(2)).split('\n')
            if self.random.random() < 0.4:
                assigned = [f"if {self.truth(1)}:", *(_INDENT + line for line in assigned)]
            lines += [_INDENT + line for line in (*inner, *assigned)]
        del self.loops[variable]
        self.defined = [*before, gathered]
        return lines

    def outputs(self, clocked: bool) -> list[str]:
        lines = [f"y0.next = ({self.number(3)}) & 255", f"y2.next = {self.truth(3)}",
                 f"y3.next = (({self.number(3)}) & 127) - 64", f"y4.next = ({self.number(3)}) & {(1 << 40) - 1}"]
        if self.random.random() < 0.5:
            lines.append(f"y1.next = ({self.number(3)}) & 8191")
        else:
            lines += [f"y1.next[13:8] = ({self.number(2)}) & 31", f"y1.next[8:1] = ({self.number(2)}) & 127",
                      f"y1.next[0] = {self.truth(1)}"]
        if self.random.random() < 0.4:
            lines += [f"if {self.truth(2)}:", f"    y0.next = {self.natural(2)} & 255",
                      f"    y3.next = (({self.number(2)} & 127) ^ 64) - 64"]
        self.random.shuffle(lines[:4])
        if clocked and self.random.random() < 0.3:
            lines = ["if (c or a > 99):", *(_INDENT + line for line in lines)]
        return lines

    # -- expressions ---------------------------------------------------------------------------------------------------
    def words(self) -> list[str]:
        signals = ["a", "b", "c", "s", "t"] if self.signals else []
        return [*signals, *self.defined] or ["OFFSET"]

    def leaf(self) -> str:
        chance = self.random.random()
        if chance < 0.2:
            return str(self.random.choice((0, 1, 2, 3, 5, 8, 15, 100, 255, 1000)))
        if chance < 0.25:
            return self.random.choice(("MASK", "OFFSET"))
        if chance < 0.3 and self.loops:
            return self.random.choice(list(self.loops))
        if self.signals and chance < 0.45:
            index = self.random.choice([str(self.random.randrange(4)), "b & 3", *self.loops])
            return f"{self.random.choice('vw')}[{index}]"
        if self.signals and chance < 0.6:
            word, width = self.random.choice((("a", 8), ("b", 5), ("s", 6), ("t", 9)))
            high = self.random.randrange(1, width + 1)
            low = self.random.randrange(high)
            return self.random.choice((f"{word}[{high}:{low}]", f"{word}[{low}]", f"{word}[{high}:]"))
        return self.random.choice(self.words())

    def natural(self, depth: int) -> str:
        """What is never negative, and small: how far to shift, an index."""
        chance = self.random.random()
        if chance < 0.5:
            return f"({self.number(depth - 1)} & {self.random.choice((1, 3, 7))})"
        if chance < 0.7 and self.loops:
            return self.random.choice(list(self.loops))
        if self.signals:
            return self.random.choice(("b[3:]", "a[2]", "(b & 3)", "a[8:5]", "v[1]"))
        return str(self.random.randrange(9))

    def number(self, depth: int) -> str:
        """An integer."""
        if depth <= 0 or self.random.random() < 0.1:
            return self.leaf()
        sub = self.number
        kinds = [
            lambda: f"({sub(depth - 1)} {self.random.choice('+-')} {sub(depth - 1)})",
            lambda: f"({sub(depth - 1)} {self.random.choice('+-')} {sub(depth - 1)})",
            lambda: f"({sub(depth - 1)} {self.random.choice('&|^')} {sub(depth - 1)})",
            lambda: f"({sub(depth - 1)} * {sub(depth - 2)})",
            lambda: f"({sub(depth - 1)} << {self.random.randrange(6)})",
            lambda: f"({sub(depth - 1)} >> {self.random.choice((0, 1, 2, 3, 7, 12, 40))})",
            lambda: f"({sub(depth - 1)} << {self.natural(1)})",
            lambda: f"({sub(depth - 1)} >> {self.natural(1)})",
            lambda: f"(({sub(depth - 1)} >> {self.natural(1)}) & {(1 << self.random.randrange(1, 12)) - 1})",
            lambda: f"(({sub(depth - 1)} >> {self.random.randrange(12)}) & {(1 << self.random.randrange(1, 9)) - 1})",
            lambda: f"({sub(depth - 1)} & {self.random.choice(('MASK', '1', '15', '240', '511', '-4'))})",
            lambda: f"(-{sub(depth - 1)})",
            lambda: f"(~int({sub(depth - 1)}))",
            lambda: f"({sub(depth - 1)} if {self.truth(depth - 1)} else {sub(depth - 1)})",
            lambda: f"TABLE[({sub(depth - 1)}) & 7]",
            lambda: f"WORDS[({sub(depth - 1)}) & 3]",
            lambda: f"int({self.truth(depth - 1)})",
            lambda: f"({self.truth(depth - 1)} + {sub(depth - 1)})",
            lambda: f"int({sub(depth - 1)})",
        ]
        if self.functions:
            name = self.random.choice(list(self.functions))
            kinds.append(lambda: f"{name}({', '.join(sub(1) for _ in range(self.functions[name]))})")
        if self.signals:
            kinds.append(lambda: f"a[{sub(depth - 1)} & 7]")
            kinds.append(lambda: self.random.choice(("(~a)", "(~b)", "(~s)", "(~c)", "(~v[2])", "(~t[7:2])", "(~w[1])",
                                                     "(~v[b & 3])")))
        return self.random.choice(kinds)()

    def truth(self, depth: int) -> str:
        """A bool."""
        chance = self.random.random()
        compare = self.random.choice(("==", "!=", "<", "<=", ">", ">="))
        if depth <= 0 or chance < 0.45:
            if self.random.random() < 0.3:
                return f"({self.number(depth)} {compare} {self.random.choice((0, 1, 3, -1, -5, 31, 128, 255))})"
            return f"({self.number(depth)} {compare} {self.number(depth - 1)})"
        if chance < 0.6:
            return f"({self.truth(depth - 1)} {self.random.choice(('and', 'or'))} {self.truth(depth - 1)})"
        if chance < 0.7:
            return f"(not {self.number(depth - 1) if self.random.random() < 0.3 else self.truth(depth - 1)})"
        if chance < 0.8:
            return f"bool({self.number(depth - 1)})"
        if chance < 0.85 and self.signals:
            return self.random.choice(("a[3]", "s[5]", "c", "b[0]"))
        return f"({self.number(depth - 1)} & {self.random.choice(('1', 'MASK', '4'))}) {compare} 0"


def generate(count: int, seed: int) -> str:
    """A file of ``count`` blocks ``p0``, ``p1``, ..."""
    return HEADER + "\n".join(Generator(random.Random(f"{seed} {number}")).program(f"p{number}")
                              for number in range(count))


def load(path: Path) -> Any:
    """A file as a Python module."""
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def signal(width: int, signed: bool) -> Any:
    """A plain MyHDL signal."""
    if width == 1:
        return Signal(bool(0))
    return Signal(intbv(0, min=-(1 << (width - 1)), max=1 << (width - 1)) if signed else intbv(0)[width:])


def ports() -> dict[str, Any]:
    """Fresh signals for a program."""
    found: dict[str, Any] = {"clock": signal(1, False)}
    found.update((name, signal(*kind)) for name, kind in INPUTS.items())
    found.update((name, [signal(width, signed) for _ in range(count)])
                 for name, (count, width, signed) in LISTS.items())
    found.update((name, signal(*kind)) for name, kind in OUTPUTS.items())
    return found


@dataclass
class Program:
    """A program that was compiled."""

    name: str
    block: Any
    ports: dict[str, Any]
    module: Module

    @classmethod
    def compiled(cls, source: Any, name: str, prefix: str = "") -> Program:
        """Compiles one of a file's programs."""
        given = ports()
        block = getattr(source, name)(**given)
        modules = Design(block, block, prefix + name).convert()
        assert list(modules) == [prefix + name]
        return cls(prefix + name, block, given, modules[prefix + name])

    def run(self, vectors: list[int]) -> list[int]:
        """What it drives after every vector, in Python; holds each local against its interval."""
        process = processes(self.block)[0]
        scope = self.module.ranges.scopes[process.func.__name__].locals
        code = process.func.__code__

        def check(frame: FrameType, event: str, argument: Any) -> Any:
            for name, value in frame.f_locals.items():
                held = scope.get(name)
                if held is not None and isinstance(value, int | intbv):
                    assert held.low <= int(value) <= held.high, f"{name} is {int(value)}, beyond {held}"
            return check

        found = []
        previous = sys.gettrace()
        for vector in vectors:
            for one, value in zip(driven(self.ports), fields(vector, input_kinds()), strict=True):
                one._val = bool(value) if len(one) == 1 and not isinstance(one._val, intbv) else intbv(
                    value, min=one._min, max=one._max)
            sys.settrace(lambda frame, event, argument: check if frame.f_code is code else None)
            try:
                process.func()
            finally:
                sys.settrace(previous)
            for name in OUTPUTS:
                output = self.ports[name]
                output._val = deepcopy(output._next)
            found.append(pack([(int(self.ports[name]._val), kind[0]) for name, kind in OUTPUTS.items()]))
        del _siglist[:]
        return found


def input_kinds() -> list[tuple[int, bool]]:
    """Width and sign of every input, from the low bits of a vector up."""
    return [*INPUTS.values(), *((width, signed) for count, width, signed in LISTS.values() for _ in range(count))]


def driven(given: dict[str, Any]) -> list[Any]:
    """The signals of the inputs, likewise."""
    return [*(given[name] for name in INPUTS), *(one for name in LISTS for one in given[name])]


def fields(vector: int, kinds: list[tuple[int, bool]]) -> list[int]:
    """The numbers in a word, the first in the low bits."""
    found = []
    for width, signed in kinds:
        value = vector & ((1 << width) - 1)
        found.append(value - (1 << width) if signed and value >> (width - 1) else value)
        vector >>= width
    return found


def pack(values: list[tuple[int, int]]) -> int:
    """The other way round: values and widths."""
    word, at = 0, 0
    for value, width in values:
        word |= (value & ((1 << width) - 1)) << at
        at += width
    return word


INPUT_BITS = sum(width for width, _ in input_kinds())
OUTPUT_BITS = sum(width for width, _ in OUTPUTS.values())


def stimuli(count: int, seed: int) -> list[int]:
    """Vectors: ends of ranges among what is random."""
    chance = random.Random(f"stimuli {seed}")
    found = [0, (1 << INPUT_BITS) - 1]
    while len(found) < count:
        values = []
        for width, _ in input_kinds():
            ends = (0, 1, (1 << width) - 1, 1 << (width - 1), (1 << (width - 1)) - 1)
            values.append((chance.choice(ends) if chance.random() < 0.35 else chance.randrange(1 << width), width))
        found.append(pack(values))
    return found


def bench(programs: list[Program], count: int) -> str:
    """A testbench that gives every vector to every program, and prints what they drive, one line a vector."""
    lines = ["module bench;", "reg clock = 0;", f"reg [{INPUT_BITS - 1}:0] vectors [0:{count - 1}];",
             f"reg [{INPUT_BITS - 1}:0] given = 0;", "integer at;"]
    for program in programs:
        lines.append(f"wire [{OUTPUT_BITS - 1}:0] {program.name}_out;")
        connected, low = [".clock(clock)"], 0
        for name, (width, _) in INPUTS.items():
            connected.append(f".{name}(given[{low} +: {width}])")
            low += width
        for name, (items, width, _) in LISTS.items():
            connected.append(f".{name}(given[{low} +: {items * width}])")
            low += items * width
        low = 0
        for name, (width, _) in OUTPUTS.items():
            connected.append(f".{name}({program.name}_out[{low} +: {width}])")
            low += width
        lines.append(f"{program.module.name} {program.name} ({', '.join(connected)});")
    shown = ", ".join(f"{program.name}_out" for program in programs)
    formats = " ".join("%h" for _ in programs)
    lines += ["initial begin", '    $readmemh("vectors.hex", vectors);', "    #1;",
              f"    for (at = 0; at < {count}; at = at + 1) begin", "        given = vectors[at];",
              "        #1 clock = 1;",
              f'        #1 $display("{formats}", {shown});', "        clock = 0;", "        #1;", "    end",
              "    $finish(0);", "end", "endmodule", ""]
    return "\n".join(lines)


def simulate(programs: list[Program], vectors: list[int], folder: Path, simulator: str) -> list[list[int]]:
    """What every program drives after every vector, in Icarus or Verilator; by program."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for program in programs:
        (folder / f"{program.name}.v").write_text(program.module.text)
        names.append(f"{program.name}.v")
    (folder / "bench.v").write_text(bench(programs, len(vectors)))
    (folder / "vectors.hex").write_text("\n".join(f"{vector:x}" for vector in vectors) + "\n")
    if simulator == "icarus":
        said = tool(["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", "bench.vvp", "-s", "bench", *names,
                     "bench.v"], folder)
        assert said == "", said
        text = tool(["vvp", "-N", "bench.vvp"], folder)
    else:
        tool(["verilator", "--binary", "--timing", "-Wno-fatal", "-Wno-lint", "-O1", "--CFLAGS", "-O0", "-j", "2",
              "--top-module", "bench", *names, "bench.v"], folder)
        text = tool(["obj_dir/Vbench"], folder)
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("-")]
    assert len(rows) == len(vectors), text[:500]
    return [[word(row[column]) for row in rows] for column in range(len(programs))]


def word(text: str) -> int:
    """A number in hexadecimal; -1 where a bit of it is unknown."""
    return -1 if set(text.lower()) & set("xz") else int(text, 16)


def lint(programs: list[Program], folder: Path) -> str:
    """What Verilator has to say of the texts, but for signals and bits that a program does not use.

    And but for comparisons that it finds decided where the intervals do not tell: of ``x ^ x``, say.
    """
    said = []
    for start in range(0, len(programs), 50):
        some = programs[start:start + 50]
        for program in some:
            (folder / f"{program.name}.v").write_text(program.module.text)
        said.append(tool(["verilator", "--lint-only", "-Wall", "-Wno-fatal", "-Wno-MULTITOP", "-Wno-UNUSEDSIGNAL",
                          "-Wno-UNSIGNED", "-Wno-CMPCONST",
                          "-Wno-UNUSEDPARAM", *(f"{program.name}.v" for program in some)], folder))
    return "".join(said)


def tool(command: list[str], folder: Path) -> str:
    """Runs a tool, and gives what it says."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr

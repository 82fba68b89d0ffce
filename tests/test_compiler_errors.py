"""What the compiler refuses: one line with file and line, or the module and net, for each."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

import pytest
from generated import HEADER, load, signal, tool

from myhdl_fsa.convert.hierarchy import Design, HierarchyError
from myhdl_fsa.convert.infer import InferenceError
from myhdl_fsa.convert.read import ReadError

NUMBERS = count(1)
BLOCK = """@block
def refused(clock, a, b, s, v, y, z):
    TABLE = (1, 2, 3, 4)

    def again(x):
        return again(x - 1) + 1

    def early(x):
        if x:
            return 1
        return 0

    def silent(x):
        y = x

    @always_comb
    def work():
{body}

    return work
"""


def convert(folder: Path, text: str, name: str = "refused", **others: object) -> str:
    path = folder / f"refused_{next(NUMBERS)}.py"
    path.write_text(HEADER + text)
    ports = {"clock": signal(1, False), "a": signal(8, False), "b": signal(5, False), "s": signal(6, True),
             "v": [signal(4, False) for _ in range(4)], "y": signal(8, False), "z": signal(8, False), **others}
    block = getattr(load(path), name)(**ports)
    return Design(block, block, name).convert()[name].text


@pytest.mark.parametrize(("body", "said"), [
    ("y.next = a\nwhile a:\n    pass", "while cannot be converted"),
    ("f = lambda: a\ny.next = f()", "Lambda cannot be converted"),
    ("y.next = 0 < a < 3", "a chained comparison"),
    ("y.next = a in (1, 2)", "a chained comparison, or one that is not of integers"),
    ("y.next = min(a, b)", "min cannot be converted"),
    ("y.next = a // 3", "BinOp cannot be converted"),
    ("y.next = a % 3", "BinOp cannot be converted"),
    ("y.next = a ** 2", "BinOp cannot be converted"),
    ("x = z = a\ny.next = x", "several targets of one assignment"),
    ("for i in v:\n    y.next = a", "a loop that is not over a range"),
    ("for i in range(a):\n    y.next = a", "a loop over a range that is not known before"),
    ("for i in range(1 << 20):\n    y.next = a", "a loop of 1048576 turns"),
    ("y.next = early(a)", "early returns before its end"),
    ("y.next = silent(a)", "function silent does not end with a return"),
    ("y.next = again(a)", "again calls itself"),
    ("y.next = early(a, b)", "early"),
    ("y.next = a[b:2]", "a bound that is not known before"),
    ("y.next = a[2:5]", "a slice from 2 to 5"),
    ("y.next = v", "v is no integer"),
    ("y.next = v[7]", "v has no element 7"),
    ("for i in range(4):\n    y.next = a\nx = i", "i is read after its loop"),
    ("for i in range(4):\n    i = a\ny.next = a", "i is assigned, and is the variable of a loop"),
    ("x = a\ny.next = ~x", "~ of x, which holds a word"),
    ("y.next = unknown + a", "unknown is unknown"),
])
def test_what_is_outside_the_subset_is_named_with_its_line(tmp_path, body, said) -> None:
    text = BLOCK.format(body="\n".join(f"        {line}" for line in body.split("\n")))
    with pytest.raises(ReadError, match=r"^refused_\d+\.py:\d+: ") as error:
        convert(tmp_path, text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("body", "said"), [
    ("y.next = (a << (b - 3)) & 255", "a shift by what may be negative, down to -3"),
    ("y.next = (a >> s) & 255", "a shift by what may be negative, down to -32"),
    ("y.next = TABLE[b - 1]", "TABLE at what may be negative, down to -1"),
    ("y.next = v[b - 1]", "v at what may be negative, down to -1"),
    ("if a > 200:\n    pass\ny.next = x & 255\nx = a + 1", "x is read before it is assigned"),
    ("x = 1 << (a << 9)\ny.next = x & 255", "a shift to the left by up to 130560"),
    ("x = a or b\ny.next = x", "or as a value, of what is not 0 or 1 but 0 to 255"),
])
def test_what_cannot_be_bounded_is_named_with_its_line(tmp_path, body, said) -> None:
    text = BLOCK.format(body="\n".join(f"        {line}" for line in body.split("\n")))
    with pytest.raises(InferenceError, match=r"^refused_\d+\.py:\d+: ") as error:
        convert(tmp_path, text)
    assert said in str(error.value)


PORTS = "clock, a, b, s, v, y, z"


@pytest.mark.parametrize(("body", "said"), [
    ("from myhdl import Signal, intbv\nopen_one = Signal(intbv(0)[4:])\n@always_comb\ndef work():\n"
     "    y.next = a + open_one & 255\nreturn work", "refused: net open_one is read and driven by nobody"),
    ("@always_comb\ndef one():\n    y.next = a\n@always_comb\ndef other():\n    y.next = b\nreturn one, other",
     "refused: other drives net y, which is driven already"),
    ("@always_comb\ndef logic():\n    y.next = a\nreturn logic",
     "refused: logic is named like a keyword of Verilog"),
    ("@always(clock.posedge, a)\ndef work():\n    y.next = a\nreturn work", "process work is neither"),
    ("@always(clock)\ndef work():\n    y.next = a\nreturn work", "process work is neither"),
    ("from myhdl import Signal, intbv\nreg = Signal(intbv(0)[4:])\n@always_comb\ndef work():\n    reg.next = b[4:]\n"
     "@always_comb\ndef out():\n    y.next = reg\nreturn work, out",
     "refused: reg is named like a keyword of Verilog"),
    ("@always_comb\ndef y_part():\n    y.next = a\n@always_comb\ndef z():\n    pass\n    z0.next = b\nreturn y_part, z",
     "two of its nets, processes and instances are called z"),
])
def test_what_is_no_module_is_named(tmp_path, body, said) -> None:
    lines = "\n".join(f"    {line}" for line in body.replace("z0.next", "z_port.next").split("\n"))
    first = "    z_port = z\n" if "z_port" in lines else ""
    text = f"@block\ndef refused({PORTS}):\n{first}{lines}\n"
    with pytest.raises(HierarchyError) as error:
        convert(tmp_path, text)
    assert said in str(error.value)


def test_names_that_clash_are_told_apart(tmp_path) -> None:
    """Locals called as nets of a bundle, as constants, as temporaries, and words of Verilog are refused."""
    text = f"""@block
def refused({PORTS}):
    mask = 21
    class Pair:
        pass
    pair = Pair()
    from myhdl import Signal, intbv
    pair.word_1 = Signal(intbv(0)[8:])

    @always_comb
    def drive():
        pair.word_1.next = a

    @always_comb
    def work():
        pair_word_1 = pair.word_1 + 1
        wide = (a + b) >> (b & 3)
        word_1 = (a - b) >> (b & 3)
        MASK = a & mask
        y.next = (pair_word_1 + wide + word_1 + MASK + mask) & 255

    return drive, work
"""
    found = convert(tmp_path, text)
    assert "reg [8:0] pair_word_1_now;" in found
    assert re.search(r"localparam \[\d+:0\] MASK_2 = \d+'d21;", found)
    (tmp_path / "refused.v").write_text(found)
    assert tool(["iverilog", "-g2005", "-Wall", "-Wno-timescale", "-o", "refused.vvp", "refused.v"], tmp_path) == ""

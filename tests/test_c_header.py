"""``fsa-convert --header``: C and C++ take it without a warning, and it says what the hardware's tables say."""

from __future__ import annotations

import random
import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from myhdl_fsa import isa
from myhdl_fsa.arithmetic.formats import as_format
from myhdl_fsa.cli.convert import main
from myhdl_fsa.config import PRESETS, Config
from myhdl_fsa.convert.output import MANIFEST
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.program import ErrorCode, State
from myhdl_fsa.scale import Scale
from myhdl_fsa.workbench.c_header.attribute_docs import attribute_docs
from myhdl_fsa.workbench.c_header.text import c_prefix, header_name, header_text

CONFIG = PRESETS["STREAM16X16Fp16Config"]
STRICT = ["-Wall", "-Wextra", "-Werror", "-pedantic"]
C, CPP = ["gcc", "-std=c99", *STRICT], ["g++", "-std=c++11", *STRICT]


def compiled(command, folder, program, name="program.c"):
    """The executable of a program whose header is in the folder."""
    assert shutil.which(command[0]), f"{command[0]} is missing; run as root: apt-get install g++"
    (folder / name).write_text(program)
    done = subprocess.run([*command, "-o", folder / "program", folder / name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder / "program"


def output(program, given=""):
    return subprocess.run([program], input=given, capture_output=True, text=True, check=True).stdout


def constants(text):
    return re.findall(r"^#define (\w+) \S", text, re.M)


def written(folder, config=CONFIG, prefix="fsa_"):
    text = header_text(config, prefix, "0.1.0")
    (folder / header_name(prefix)).write_text(text)
    return text


def members(group, enumeration):
    return {f"FSA_{group}_{member.name}": member.value for member in enumeration}


def places(kind):
    """The constants of an instruction's fields, from its layout."""
    for name, field in kind.LAYOUT.items():
        begin = f"FSA_{kind.KIND.name}_{name.upper()}"
        yield from ((f"{begin}_LOW", field.low), (f"{begin}_WIDTH", field.width))
        if field.high_part:
            yield from ((f"{begin}_HIGH_LOW", field.high_part[0]), (f"{begin}_HIGH_WIDTH", field.high_part[1]))
        if field.signed:
            yield f"{begin}_MIN", field.allowed[0]
        yield f"{begin}_MAX", field.allowed[-1]


def expected(config):
    scale = Scale.of(config)
    formats = {"FSA_ELEM": config.elem, "FSA_ACC": config.acc}
    return {
        "FSA_N": config.rows, "FSA_MEMORY_PORTS": config.memory_ports, "FSA_BEAT_BYTES": config.beat_bytes,
        "FSA_MEMORY_BASE": config.memory_base, "FSA_MEMORY_SIZE": config.memory_size,
        "FSA_MEMORY_ALIGN": config.memory_align, "FSA_SCRATCHPAD_ROWS": config.scratchpad_rows,
        "FSA_SCRATCHPAD_ROW_BYTES": config.scratchpad_row_bytes, "FSA_ACCUMULATOR_ROWS": config.accumulator_rows,
        "FSA_ACCUMULATOR_ROW_BYTES": config.accumulator_row_bytes,
        "FSA_INSTRUCTION_QUEUE_WORDS": config.instruction_queue, "FSA_SEMAPHORES": isa.SEMAPHORES,
        "FSA_SEMAPHORE_VALUES": isa.SEMAPHORE_VALUES, "FSA_WATCHDOG_RESET": WATCHDOG_CYCLES,
        "FSA_SCALE_ELEM_RESET": scale.elem, "FSA_SCALE_ACC_RESET": scale.acc,
        "FSA_DATAFLOW_FSA": int(config.dataflow == "fsa"), "FSA_DATAFLOW_STREAM": int(config.dataflow == "stream"),
        **{f"{name}_{what}": value for name, fmt in formats.items() for what, value in (
            ("BITS", fmt.width), ("EXPONENT_BITS", fmt.exponent_bits), ("MANTISSA_BITS", fmt.mantissa_bits),
            ("BYTES", fmt.memory_bytes))},
        **members("REGISTER", Register), **members("STATE", State), **members("ERROR", ErrorCode),
        **members("KIND", isa.Kind), **members("FUNCTION", isa.Function), **members("TRANSFER", isa.Transfer),
        "FSA_KIND_LOW": isa.KIND.low, "FSA_KIND_WIDTH": isa.KIND.width,
        **{f"FSA_{kind.KIND.name}_WORDS": kind.WORDS for kind in isa.KINDS.values()},
        **{name: value for kind in isa.KINDS.values() for name, value in places(kind)},
    }


@pytest.mark.parametrize("config", [
    CONFIG, Config(rows=5, elem=as_format("bf16"), memory_base=(1 << 39) - (1 << 20),
                   memory_size=1 << 20),
], ids=["preset", "own"])
def test_every_constant_has_the_value_of_the_tables(tmp_path, config):
    """Printed by a C program; the list of names is the header's own, so that none is left out."""
    names = constants(written(tmp_path, config))
    assert len(names) == len(set(names))
    prints = "\n".join(f'    printf("{name} %lld\\n", (long long)({name}));' for name in names)
    program = f'#include "fsa_registers.h"\n#include <stdio.h>\nint main(void)\n{{\n{prints}\n    return 0;\n}}\n'
    printed = dict(line.split() for line in output(compiled(C, tmp_path, program)).splitlines())
    assert {name: int(value) for name, value in printed.items()} == expected(config)


def encoder():
    """A C program that reads lines of an instruction's kind and fields, and prints how many words, and them."""
    cases = []
    for kind in isa.KINDS.values():
        name = kind.KIND.name.lower()
        reads = "\n".join(f"            if (scanf(\"%lld\", &value) != 1) return 1;\n            it.{field} = value;"
                          for field in kind.LAYOUT)
        cases.append(f"        if (kind == FSA_KIND_{kind.KIND.name}) {{\n            struct fsa_{name} it;\n{reads}\n"
                     f"            count = fsa_encode_{name}(&it, words);\n        }}")
    body = "\n".join(cases)
    return f"""#include "fsa_registers.h"
#include <stdio.h>
int main(void)
{{
    unsigned kind, count = 0, at;
    long long value;
    while (scanf("%u", &kind) == 1) {{
        uint32_t words[5] = {{1, 2, 3, 4, 5}};
{body}
        printf("%u", count);
        for (at = 0; at < 5; at++)
            printf(" %lu", (unsigned long)words[at]);
        printf("\\n");
    }}
    return 0;
}}
"""


def words_of(kind, values):
    """What C must print: the words, and behind them what was there before."""
    before = [1, 2, 3, 4, 5]
    try:
        words = isa.encode(kind(**values))
    except isa.InstructionError:
        return [0, *before]
    return [len(words), *words, *before[len(words):]]


def samples(seed=0, count=200):
    """Instructions: ends of each field alone, values beyond them, and random values of all fields."""
    rng = random.Random(seed)
    for kind in isa.KINDS.values():
        zero = dict.fromkeys(kind.LAYOUT, 0)
        for name, field in kind.LAYOUT.items():
            first, last = field.allowed[0], field.allowed[-1]
            yield from ((kind, {**zero, name: value}) for value in (first, last, first - 1, last + 1))
        for _ in range(count):
            yield kind, {name: rng.choice(field.allowed) for name, field in kind.LAYOUT.items()}


@pytest.mark.parametrize(("command", "name"), [(C, "encode.c"), (CPP, "encode.cpp")], ids=["C99", "C++11"])
def test_c_encodes_every_instruction_as_python_does(tmp_path, command, name):
    written(tmp_path)
    cases = list(samples())
    given = "".join(" ".join(map(str, [kind.KIND.value, *(values[field] for field in kind.LAYOUT)])) + "\n"
                    for kind, values in cases)
    lines = output(compiled(command, tmp_path, encoder(), name), given).splitlines()
    assert [list(map(int, line.split())) for line in lines] == [words_of(kind, values) for kind, values in cases]
    assert {line[0] for line in lines} == {"0", "1", "3", "4"}


def test_registers_are_read_and_written_as_words(tmp_path):
    written(tmp_path)
    program = compiled(C, tmp_path, """#include "fsa_registers.h"
#include <stdio.h>
int main(void)
{
    uint32_t device[32] = {0};
    const uint32_t words[] = {7, 8, 9};
    device[FSA_REGISTER_ERROR / 4] = FSA_ERROR_TIMEOUT;
    fsa_write(device, FSA_REGISTER_WATCHDOG, 1234);
    fsa_push(device, words, 3);
    printf("%u %u %u\\n", (unsigned)device[0], (unsigned)device[16], (unsigned)fsa_read(device, FSA_REGISTER_ERROR));
    return 0;
}
""")
    assert output(program) == "9 1234 9\n"


@pytest.mark.parametrize(("prefix", "names"), [
    ("fsa_", "fsa_"), ("", "fsa_"), ("f", "f_"), ("acme__", "acme_"), ("_", "fsa_"),
])
def test_names_begin_with_the_prefix_and_one_underscore(tmp_path, prefix, names):
    """So that f, or nothing, makes no fwrite, or write, which C has."""
    assert c_prefix(prefix) == names
    text = written(tmp_path, prefix=prefix)
    assert all(name.startswith(names.upper()) for name in re.findall(r"^#(?:define|ifndef) (\w+)", text, re.M))
    others = re.findall(r"^(?:static inline|struct) .*?(\w+)(?:\(| \{)", text, re.M)
    assert len(others) == 10
    assert all(name.startswith(names) for name in others)
    compiled(C, tmp_path, "#define _POSIX_C_SOURCE 200809L\n#include <stdio.h>\n#include <unistd.h>\n"
                          f'#include "{prefix}registers.h"\nint main(void)\n{{\n    return 0;\n}}\n')


def test_a_configurations_name_does_not_end_the_comment(tmp_path):
    text = written(tmp_path, CONFIG.replace(name="a*/ int x; /*/*//??/\n\\ é" + "*" * 90 + "/"))
    assert "\n#ifndef FSA_REGISTERS_H\n" in text
    assert text.isascii()
    compiled(C, tmp_path, '#include "fsa_registers.h"\n' * 2 + "int main(void)\n{\n    return 0;\n}\n")


def test_meanings_are_the_docstrings():
    text = " ".join(header_text(CONFIG, "fsa_", "0.1.0").split())
    docs = attribute_docs(Register)
    assert list(docs) == [member.name for member in Register]
    assert docs["INTERRUPT"] == "bit 0 done, bit 1 error; writing 1 clears a bit, as setting active and resetting do"
    for said in (docs["INTERRUPT"], attribute_docs(ErrorCode)["ORDER"], attribute_docs(isa.Dma)["memory_stride"]):
        assert f"/* {said} */" in text
    assert "program." not in text
    assert max(map(len, header_text(CONFIG, "fsa_", "0.1.0").splitlines())) <= 120


# The command


def fsa_convert(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_the_header_belongs_to_the_folder(tmp_path):
    """Replaced, not when it was edited, and removed when it is no longer written."""
    header = tmp_path / "fsa_registers.h"
    result = fsa_convert("--header", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert re.search(rf" bytes in {tmp_path}, and fsa_registers\.h: \d+\.\d s\n$", result.stdout)
    assert header.read_text() == header_text(PRESETS["FSA4X4Fp16Config"], "fsa_", "0.1.0")
    assert "fsa_registers.h" in (tmp_path / MANIFEST).read_text()
    assert fsa_convert("--header", "--out", tmp_path, "--dataflow", "stream", "--reciprocal", "division").exit_code == 0
    assert "#define FSA_DATAFLOW_STREAM 1u\n" in header.read_text()
    header.write_text("mine")
    result = fsa_convert("--header", "--out", tmp_path)
    assert result.exit_code == 1
    assert "fsa_registers.h was changed since" in result.stderr
    assert header.read_text() == "mine"
    header.unlink()
    assert fsa_convert("--header", "--out", tmp_path).exit_code == 0
    assert fsa_convert("--top", "pe", "--out", tmp_path).exit_code == 0
    assert not header.exists()


@pytest.mark.parametrize("top", ["core", "pe", "registers"])
def test_only_the_device_has_one(tmp_path, top):
    result = fsa_convert("--header", "--top", top, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr == (
        f"fsa-convert: error: --header: --top {top} is not the whole device: must be --top accelerator\n")
    assert not (tmp_path / "out").exists()


def test_the_configuration_is_not_written_over_it(tmp_path):
    where = tmp_path / "fsa_registers.h"
    result = fsa_convert("--header", "--json", where, "--out", tmp_path)
    assert result.exit_code == 2
    assert result.stderr == (
        f"fsa-convert: error: --json {where}: is a file of the converted folder too: must be another\n")
    assert not where.exists()

"""The specification says what the code does: every table and example in it, read and compared."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from myhdl_fsa import golden
from myhdl_fsa.arithmetic.rounding import max_finite, min_normal
from myhdl_fsa.config import PRESETS, Config, parse_format, preset
from myhdl_fsa.dataflows import attention_cycles, iteration_cycles
from myhdl_fsa.dataflows.fsa.control import PE_SIGNALS, Accumulator, Comparator, Constant
from myhdl_fsa.dataflows.fsa.plan import Accumulate, AccumulatorRead, Compare, Direction, Flow, ScratchpadRead
from myhdl_fsa.dataflows.fsa.plans import attention_score, plans
from myhdl_fsa.dataflows.stream.kernel import MOST_REPLACED, residency
from myhdl_fsa.easyfloat import (
    FP16,
    FP32,
    Exp2,
    MultiplyAdd,
    Reciprocal,
    RoundingMode,
    exp2,
    fma,
    from_float,
    maximum,
    reciprocal,
    to_float,
)
from myhdl_fsa.frontend.registers import WATCHDOG_CYCLES, Register
from myhdl_fsa.isa import KIND, SEMAPHORE_VALUES, SEMAPHORES, WORD_WIDTH, Dma, Fence, Matrix, decode
from myhdl_fsa.kernel import assemble, attention_kernel, disassemble
from myhdl_fsa.kernel.legality import faults
from myhdl_fsa.program import Counters, ErrorCode
from myhdl_fsa.scale import Scale
from myhdl_fsa.tiling import AttentionShape
from myhdl_fsa.workbench import timetable_drawing
from myhdl_fsa.workbench.dataflow_activity import Work, pe_row, slots, steady_state, waits
from myhdl_fsa.workbench.metrics import error_metrics, to_float32, torch_attention
from myhdl_fsa.workbench.workload import generate

PATH = Path(__file__).parent.parent / "docs" / "specification.md"
TEXT = PATH.read_text()
PROSE = " ".join(TEXT.split())


def slug(heading):
    """The anchor that Markdown gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def sections(text):
    """Lines below each heading, up to the next heading of any level."""
    found, code = {}, False
    lines = found.setdefault("", [])
    for line in text.splitlines():
        code ^= line.startswith("```")
        heading = None if code else re.fullmatch(r"#+ (.*)", line)
        if heading:
            assert heading[1] not in found, heading[1]
            lines = found.setdefault(heading[1], [])
        else:
            lines.append(line)
    return found


SECTIONS = sections(TEXT)


def tables(heading, document=SECTIONS):
    """The tables of a section: for each a list of rows, a row being a dict of cells by column."""
    found, columns = [], None
    for line in document[heading]:
        if not line.startswith("|"):
            columns = None
            continue
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        if columns is None:
            columns = cells
            assert len(set(columns)) == len(columns), line
            found.append([])
        elif set(line) != set("|-"):
            assert len(cells) == len(columns), line
            found[-1].append(dict(zip(columns, cells, strict=True)))
    assert found and all(found), heading
    return found


def table(heading):
    (only,) = tables(heading)
    return only


def code(heading, number=0, document=SECTIONS):
    """The lines of a fenced block."""
    blocks = "\n".join(document[heading]).split("```")[1::2]
    language, _, text = blocks[number].partition("\n")
    assert language == "text"
    return text.strip("\n").splitlines()


def bits(text, fmt):
    """Patterns in a cell, as an array."""
    assert all(re.fullmatch(rf"0x[0-9a-f]{{{-(-fmt.width // 4)}}}", item) for item in text.split(", ")), text
    return np.array([int(item, 16) for item in text.split(", ")], fmt.dtype)


def one(array):
    (value,) = np.asarray(array).tolist()
    return value


def test_links_lead_somewhere():
    anchors = {slug(heading) for heading in SECTIONS}
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert len(links) > 40
    for link in links:
        path, _, anchor = link.partition("#")
        assert not path or (PATH.parent / path).exists(), link
        assert not anchor or (not path and anchor in anchors), link


def test_sections_that_the_code_cites_are_there():
    numbers = [heading.split()[0] for heading in SECTIONS if re.match(r"\d ", heading)]
    assert numbers == list("123456")
    root = PATH.parent.parent
    cited = set()
    for folder in ("myhdl_fsa", "sims", "convert"):
        for path in (root / folder).rglob("*.py"):
            cited.update(re.findall(r"docs/specification.md\s+sections?\s+(\d)", path.read_text()))
    assert cited == {"1", "2", "3", "4"}


# Section 1.

def test_formats():
    for row in tables("1.1 Formats")[1]:
        fmt = parse_format(row["format"])
        assert [int(row[name]) for name in ("E", "M", "bias")] == [fmt.exponent_bits, fmt.mantissa_bits, fmt.bias]
        patterns = [one(bits(row[name], fmt)) for name in ("1.0", "+Inf", "NaN")]
        assert patterns == [fmt.one, fmt.infinity, fmt.nan]
        assert (float(row["smallest"]), float(row["largest"])) == (min_normal(fmt), max_finite(fmt))


def test_rounding_modes():
    rows = table("1.2 Rounding")
    for row in rows:
        a, b = (bits(item, FP16) for item in row["fp16 operands a, b of a * b"].split(", "))
        for mode in RoundingMode:
            assert one(fma(a, b, bits("0x00000000", FP32), out=FP16, mode=mode)) == one(bits(row[mode.name], FP16))


def test_multiply_and_add():
    rows = table("1.3 FMA: multiply and add")
    assert len(rows) > 10
    for row in rows:
        out = parse_format(row["to"])
        result = fma(bits(row["a (fp16)"], FP16), bits(row["b (fp16)"], FP16), bits(row["c (fp32)"], FP32), out=out)
        assert one(result) == one(bits(row["result"], out)), row
    # the example in the text: rounding the sum to fp32 first, and then to fp16, gives the other answer
    twice = fma(bits("0x3c00", FP16), bits("0x0000", FP16), bits("0x3fc03000", FP32), out=FP16)
    assert one(twice) == 0x3E02 and "the second rounding would then give 0x3e02" in PROSE


def test_maximum():
    for row in table("1.4 MAX: the greater of two"):
        result = maximum(bits(row["a (fp32)"], FP32), bits(row["b (fp32)"], FP32))
        assert one(result) == one(bits(row["MAX"], FP32)), row


def test_exponential():
    coefficients, examples = tables("1.5 EXP2: a power of two, by chords")
    array, accumulators = Exp2(FP16, FP32, 8), Exp2(FP32, FP32, 8)
    assert accumulators.intercepts == array.intercepts
    assert [int(row["piece"]) for row in coefficients] == list(range(8))
    for values, column, fmt in ((array.slopes, "slope (fp16)", FP16), (array.intercepts, "intercept (fp32)", FP32),
                                (accumulators.slopes, "slope (fp32)", FP32),
                                (array.streamed_intercepts, "intercept on its way", FP32)):
        assert [one(bits(row[column], fmt)) for row in coefficients] == list(values)
    slopes = to_float(np.array(array.slopes, np.uint16), FP16)
    assert [float(row["its value"]) for row in coefficients] == slopes.tolist()
    for row in examples:
        x = bits(row["x (fp16)"], FP16)
        assert one(to_float(x, FP16)) == float(row["value"])
        assert one(exp2(x)) == one(bits(row["EXP2 (fp16)"], FP16)), row


def test_one_exponential_step_by_step():
    x = bits("0xc166", FP16)
    value = one(to_float(x, FP16))
    unit = Exp2(FP16, FP32, 8)
    fraction = value + 2
    slope = one(to_float(np.array([unit.slopes[5]], np.uint16), FP16))
    intercept = one(to_float(np.array([unit.intercepts[5]], np.uint32), FP32))
    chord = slope * fraction + intercept
    assert int(8 * -fraction) == 5
    for sentence in (
        f"x = 0xc166 = {value} in fp16. Xi = -2 and Xf = {fraction}; 8 * {-fraction} = {-8 * fraction}, so piece 5.",
        f"The chord is {slope} * {fraction} + {intercept} = {chord}, a quarter of it {chord / 4}, and the nearest fp16 "
        f"number is {one(exp2(x)):#06x} = {one(to_float(exp2(x), FP16))}. The true power is {2**value:.8f}.",
    ):
        assert sentence in PROSE


def test_reciprocals():
    latencies, examples, steps = tables("1.6 RECIPROCAL")
    for row in latencies:
        newton, division = (Reciprocal(parse_format(row["format"]), method) for method in ("newton", "division"))
        assert int(row["newton: n"]) == newton.iterations
        assert (int(row["newton: cycles"]), int(row["division: cycles"])) == (newton.latency, division.latency)
    for row in examples:
        x = bits(row["x (fp32)"], FP32)
        assert one(to_float(x, FP32)) == np.float32(row["value"])
        for method in ("newton", "division"):
            assert one(reciprocal(x, FP32, method)) == one(bits(row[method], FP32)), row
    unit = MultiplyAdd(FP32, FP32)
    minus_d, two, zero, r = (from_float(np.array([value]), FP32) for value in (-1.5, 2.0, 0.0, 1.0))
    for step in range(1, Reciprocal(FP32).iterations + 1):
        t = unit.compute(r, minus_d, two)
        r = unit.compute(r, t, zero)
        shown = steps[min(step, len(steps)) - 1]
        assert int(shown["step"]) == min(step, len(steps))
        assert one(r) == one(bits(shown["r"], FP32))
        assert step > len(steps) or one(t) == one(bits(shown["t"], FP32))
    assert one(unit.compute(r, from_float(np.array([0.5]), FP32), zero)) == one(reciprocal(bits("0x40400000", FP32)))


# Section 2.

def test_one_query_step_by_step():
    config = preset("FSA4X4Fp16Config")
    work = generate(config, 4, 4, 0, "uniform")
    output, steps = golden.attention(work.q, work.k, work.v, config, trace=True)
    steps["output"] = output
    *_, per_key, others = tables("2 Order of operations")
    for row in per_key:
        name = row.pop("name")
        shown = [one(bits(cell, FP32 if name == "S" else FP16)) for cell in row.values()]
        assert shown == steps[name][0].tolist(), name
    for row in others:
        assert bits(row["value"], FP32).tolist() == steps[row["name"]][0].ravel().tolist(), row["name"]
    assert {row["name"] for row in others} <= set(steps)
    scale = Scale.of(config)
    assert scale == Scale.of(config, head_dim=4) == Scale.of(config.replace(rows=8, cols=8), head_dim=4)
    assert (f"(at d = 4: {math.log2(math.e) / math.sqrt(4)}, {scale.elem:#06x} in fp16 and {scale.acc:#010x} in fp32)"
            ) in PROSE


def test_what_is_filled_up_changes_no_bit():
    config = preset("FSA4X4Fp16Config")
    rng = np.random.default_rng(1)
    q, k, v = (rng.standard_normal(shape) for shape in ((5, 3), (6, 3), (6, 2)))
    output, steps = golden.attention(q, k, v, config, trace=True)
    wide = [np.pad(array, ((0, 0), (0, 4 - array.shape[1]))) for array in (q, k, v)]
    scale = 1 / math.sqrt(3)
    assert "In step 1 j then begins at N-1, and the sum is still +0 when it meets d-1" in PROSE
    filled, more = golden.attention(*wide, config, trace=True, scale=scale)
    assert np.array_equal(filled[:, :2], output)
    assert all(np.array_equal(more[name], steps[name]) for name in ("S", "P", "L"))
    # hidden keys have a weight of +0 whatever they are, and a row of V that must be finite
    assert "the rows of V that belong to hidden keys must be finite" in PROSE
    scores = np.array([[3.0], [2.0], [1.0], [np.inf]])
    golden.hide_last(scores, 2)
    assert scores.ravel().tolist() == [3.0, 2.0, -np.inf, -np.inf]


def test_which_heads_go_together():
    assert "query head h goes with K/V head `floor(h / (heads / K/V heads))`" in PROSE
    shape = AttentionShape(4, 4, 4, 4, heads=6, kv_heads=2, batch=2)
    assert [shape.key_head(head) for head in range(12)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


# Section 3.

def commands(unit):
    return {name: value for name, value in vars(unit).items() if name.isupper() and name != "WIDTH"}


def test_control_codes():
    signals = table("3.2 The processing element")
    assert [(int(row["bit"]), row["signal"]) for row in signals] == list(enumerate(PE_SIGNALS))
    for heading, unit, column in (("3.3 The comparator", Comparator, "command"),
                                  ("3.4 The accumulator", Accumulator, "command"),
                                  ("3.5 The edges", Constant, "constant")):
        rows = tables(heading)[0 if unit is Comparator else -1]
        assert {row[column]: int(row["code"]) for row in rows} == commands(unit)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("hidden", range(4))
def test_the_countdown_hides_what_attention_does(causal, hidden):
    past, later, seen = tables("3.3 The comparator")[1]
    assert [row["counter in column 0"] for row in (past, later, seen)] == ["N", "k", "0"]
    assert "one of the last hidden (ours)" in past.values()
    scores = np.zeros((4, 4))
    if causal:
        golden.mask_later(scores[None], range(1))
    golden.hide_last(scores, hidden)
    for k in range(4):
        counter = 4 if k >= 4 - hidden else k if causal else 0
        assert [max(0, counter - c) > 0 for c in range(4)] == np.isneginf(scores[k]).tolist()


def test_skew_flags_are_those_of_the_kernel():
    written = attention_kernel(*[np.ones((4, 4))] * 3, Config())
    flags = {(item.reverse_in, item.reverse_out, item.delay) for item in written.instructions
             if isinstance(item, Matrix) and item.function < 3}
    rows = tables("3.5 The edges")[0]
    assert {tuple(map(int, row["reverse_in, reverse_out, delay"].split(", "))) for row in rows} == flags
    for row in rows:
        turned_in, turned_out, delay = map(int, row["reverse_in, reverse_out, delay"].split(", "))
        assert row["array row r meets element"] == ("R - 1 - r" if turned_in != turned_out else "r")
        assert row["cycles of delay"] == ("0" if not delay else "R - 1 - r" if turned_out else "r")


def number(formula, config):
    """A formula of the plan tables for one machine."""
    letters = {"R": config.rows, "C": config.cols, "p": config.exp2_pieces,
               "lat": Reciprocal(config.acc, config.reciprocal).latency}
    letters["e"] = 2 * letters["R"] + letters["p"] + 3
    assert re.fullmatch(r"[0-9RCpelat+-]+", formula), formula
    value = 0
    for sign, factor, letter in re.findall(r"([+-]?)(\d*)(lat|[RCpe]?)", formula):
        if factor or letter:
            value += (-1 if sign == "-" else 1) * int(factor or 1) * (letters[letter] if letter else 1)
    return value


MACHINES = [Config(rows=n, cols=n, exp2_pieces=pieces, reciprocal=method)
            for n, pieces, method in ((4, 8, "newton"), (16, 8, "division"), (16, 4, "newton"), (128, 8, "newton"))]


def entry(item):
    """A plan's entry as the document writes it."""
    name = {unit: {code: text for text, code in commands(unit).items()} for unit in (Comparator, Accumulator, Constant)}
    match item:
        case Flow():
            unit, control = "PEs", item.signals
        case ScratchpadRead():
            unit, control = "scratchpad", "read" if item.constant is None else name[Constant][item.constant]
        case Compare():
            unit, control = "comparator", name[Comparator][item.command]
        case AccumulatorRead():
            unit, control = "accumulator RAM", "read" if item.write_back else "read, not written back"
        case Accumulate():
            unit, control = "accumulators", name[Accumulator][item.command]
    direction = item.direction.value if isinstance(item, Flow) else ""
    return unit, control, direction, item.start, item.repeat


@pytest.mark.parametrize("config", MACHINES, ids=lambda machine: f"{machine.rows}-{machine.exp2_pieces}")
def test_execution_plans(config):
    summary = {row["plan"]: row for row in table("3.6 Execution plans")}
    assert "In the formulas `e = 2R+p+3`" in TEXT
    assert list(summary) == [plan.name for plan in plans(config)]
    for plan in plans(config):
        row = summary[plan.name]
        assert (int(row["function"]), *(number(row[column], config) for column in (
            "next may start", "semaphore released", "busy cycles",
        ))) == (plan.function, plan.next_may_start, plan.release, plan.busy_cycles)
        shown = [(row["unit"], row["control"], row["direction"], number(row["start"], config),
                  number(row["cycles"], config)) for row in table(plan.name)]
        assert shown == [entry(item) for item in plan.entries]


def test_attn_score_cycle_by_cycle():
    plan = attention_score(4, 4, 8)
    flows = [item for item in plan.entries if isinstance(item, Flow)]
    header, *lines = code("ATTN_SCORE in column 0, R = C = 4, p = 8")
    at = {name: header.index(name) for name in ("port", "comparator", "row 0", "accumulator")}
    assert len(lines) == plan.busy_cycles
    for cycle, line in enumerate(lines):
        line = line.ljust(100)
        now = [item for item in plan.entries if item.start <= cycle < item.start + item.repeat]
        control = {unit: text for unit, text, *_ in map(entry, now) if unit != "PEs"}
        port = control.get("scratchpad", "")
        accumulator = "read L" if "accumulator RAM" in control else control.get("accumulators", "")
        assert int(line[:5]) == cycle
        assert line[at["port"]:at["comparator"]].strip() == (f"K {cycle}" if port == "read" else port)
        assert line[at["comparator"]:at["row 0"]].strip() == control.get("comparator", "")
        assert line[at["accumulator"]:].strip() == accumulator
        for row in range(4):
            later = {Direction.DOWN: row, Direction.UP: 3 - row, Direction.PARALLEL: 0}
            active = "".join(letter for letter, flow in zip("abcdefgh", flows, strict=True)
                             if flow.start <= cycle - later[flow.direction] < flow.start + flow.repeat)
            assert line[at["row 0"] + 6 * row:][:6].strip() == active, (cycle, row)


def test_how_long_it_takes():
    rows = table("3.8 How long it takes")
    for row in rows:
        n = int(row["N"])
        config = Config(rows=n, cols=n)
        lat = {method: Reciprocal(FP32, method).latency for method in ("newton", "division")}
        busy = [plan.busy_cycles for plan in plans(config)]
        assert [int(cell) for cell in row["busy cycles of the five instructions, newton"].split(", ")] == busy
        assert int(row["iteration"]) == 5 * n + 13 == (
            attention_cycles(config, 1, 2) - attention_cycles(config, 1, 1))
        assert int(row["kernel of 1 x 1"]) == attention_cycles(config, 1, 1)
        for method in ("newton", "division"):
            assert int(row[f"of 2 x 3, {method}"]) == attention_cycles(config.replace(reciprocal=method), 2, 3)
        nq, nk, p = 3, 2, 4
        formula = nq * (nk * (5 * n + 5 + p) + 2 * n + 4 + lat["newton"]) + 1
        assert formula == attention_cycles(config.replace(exp2_pieces=p), nq, nk)
    assert "`nq * (nk * (5N + 5 + p) + 2N + 4 + lat) + 1`" in PROSE


# Section 4.

def documented_fields(heading):
    """(field, its bit of the whole instruction and width for each part, signed) of an instruction table."""
    fields = {}
    for row in table(heading):
        name, part, signed = re.fullmatch(r"(\w+)(?: \(bits (\d+:\d+)\))?( \(signed\))?", row["field"]).groups()
        high, low = ([int(bit) for bit in row["bits"].split(":")] * 2)[:2]
        first = WORD_WIDTH * int(row["word"].split(",")[0]) + low
        value_low = int(part.split(":")[1]) if part else 0
        assert part is None or int(part.split(":")[0]) - value_low == high - low
        fields.setdefault(name, []).append((value_low, first, high - low + 1, bool(signed)))
    return fields


@pytest.mark.parametrize("kind", [Fence, Matrix, Dma])
def test_instruction_fields(kind):
    heading = {Fence: "Fence", Matrix: "Matrix", Dma: "DMA"}[kind]
    expected = {}
    for name, field in kind.LAYOUT.items():
        expected[name] = [(0, field.low, field.width, field.signed)]
        if field.high_part:
            expected[name].append((field.width, *field.high_part, False))
    shown = {name: sorted(parts) for name, parts in documented_fields(heading).items()}
    assert shown == expected
    # published fields and ours stay apart
    ours = {row["field"] for row in table(heading) if "published: no field" in row["meaning"]}
    assert ours == ({"hidden"} if kind is Matrix else set())
    assert documented_fields("Header of every instruction") == {"type": [(0, KIND.low, KIND.width, False)]}


def test_functions_and_what_they_read():
    for config in MACHINES:
        rows = table("Functions")
        assert [(int(row["function"]), row["name"], number(row["scratchpad rows"], config),
                 number(row["accumulator rows"], config)) for row in rows] == [
            (plan.function, plan.name, plan.scratchpad_rows, plan.accumulator_rows) for plan in plans(config)]


def test_an_instruction_taken_apart():
    words = [int(word, 16) for word in re.findall(r"^word \d  (0x\w{8})", "\n".join(code("An instruction taken apart")),
                                                  re.MULTILINE)]
    text, listed = re.search(r"`(matrix attn_score [^`]+)`, from the kernel below, is the words ((?:0x\w{8} ?){3})",
                             PROSE).groups()
    assert assemble(text) == words == [int(word, 16) for word in listed.split()]
    for line in code("An instruction taken apart"):
        if line.startswith("word"):
            word, digits = re.fullmatch(r"word \d  (0x\w{8})  ([01 ]+)", line).groups()
            assert digits.replace(" ", "") == f"{int(word, 16):032b}"
    header = decode(words)
    assert (header.semaphore, header.acquire_value, header.release_value, header.function) == (2, 1, 0, 1)
    text, listed = re.search(r"`(load [^`]+)` is ((?:0x\w{8} ?){4})\.", PROSE).groups()
    words = assemble(text)
    assert words == [int(word, 16) for word in listed.split()]
    assert f"the number {words[3] << 32 | words[2]:#018x}" in PROSE


def test_registers():
    rows = table("4.4 Registers")
    assert {row["register"]: int(row["offset"], 16) for row in rows} == {item.name: item.value for item in Register}
    assert f"{WATCHDOG_CYCLES} after a reset" in PROSE
    by_name = {row["register"]: row for row in rows}
    assert by_name["SCALE_ELEM"]["meaning"].endswith("that of log2(e) / sqrt(N) after a reset")
    assert {row["register"]: row["access"] for row in rows if row["access"] != "read"} == {
        "QUEUE": "write", "SET_ACTIVE": "write", "ERROR": "both", "INTERRUPT": "both", "WATCHDOG": "both",
        "SCALE_ELEM": "both", "SCALE_ACC": "both"}
    published = [row["register"] for row in rows[:13]]
    assert published[-1] == "DEQUEUED" and "The first thirteen are the published ones" in PROSE
    assert f"There are {SEMAPHORES}, each a value of {SEMAPHORE_VALUES.bit_length() - 1} bits and a busy bit" in PROSE


def test_counters():
    names = [row["counter"] for row in table("4.5 Counters")]
    assert names == list(Counters().to_dict())
    registers = [row["register"].lower() for row in table("4.4 Registers") if row["register"].lower() in names]
    assert registers == names


def test_errors():
    assert {row["name"]: int(row["code"]) for row in table("4.6 Errors")} == {
        item.name: item.value for item in ErrorCode}
    # two faults at once: the order in which the decoder looks
    config = Config()
    for fields, code in (({"scratchpad_row": 99, "accumulator_row": 99}, ErrorCode.SCRATCHPAD_ROW),
                         ({"accumulator_row": 99}, ErrorCode.ACCUMULATOR_ROW), ({}, ErrorCode.HIDDEN_KEYS)):
        assert next(faults(Matrix(1, hidden=config.rows, **fields), config)).code is code
    assert "the scratchpad rows, then the accumulator rows, then `hidden`" in PROSE
    assert not list(faults(Matrix(1, hidden=config.rows - 1), config))
    assert not list(faults(Matrix(0, hidden=255), config))


def test_sizes():
    for row in table("4.3 Decoder, queues and fences"):
        assert int(row["holds"]) == getattr(Config(), row["configuration"])
    memories, by_size = tables("4.7 Memories")[0], tables("4.7 Memories")[2]
    for config in MACHINES:
        for row, rows in zip(memories[:2], (config.scratchpad_rows, config.accumulator_rows), strict=True):
            formula = re.match(r"[\dRC+ ]+(?= rows)", row["default size"])[0].replace(" ", "")
            assert number(formula, config) == rows
    assert memories[2]["default size"] == f"{Config().memory_size:#x} bytes"
    assert int(memories[2]["base"], 16) == Config().memory_base
    for row in by_size:
        name = row.pop("N")
        for n, cell in row.items():
            config = preset(f"FSA{n}X{n}Fp16Config")
            assert int(cell) == {
                "memory ports": config.memory_ports, "beat in bytes, fp16 and fp32": config.beat_bytes,
                "scratchpad rows": config.scratchpad_rows, "accumulator rows": config.accumulator_rows,
            }[name]


def test_the_kernel():
    written = attention_kernel(*[np.ones((4, 4))] * 3, preset("FSA4X4Fp16Config"))
    assert code("4.8 The kernel") == disassemble(written.words).splitlines()
    assert f"{len(written.words)} words" in PROSE


# Section 5.

def test_published_results():
    for row in table("5 Published results and configuration names"):
        config = preset(f"FSA{row['N']}X{row['N']}Fp16Config")
        work = generate(config, int(row["seq_q"]), int(row["seq_kv"]), 0, "uniform")
        result = to_float32(golden.attention(work.q, work.k, work.v, config), FP32)
        errors = error_metrics(result, torch_attention(work, FP16))
        assert {name: np.float32(row[name]) for name in errors} == errors


def test_configuration_names():
    heading = "5 Published results and configuration names"
    text = " ".join(" ".join(SECTIONS[heading]).split())
    sizes = re.search(r"for N = ([\d, ]+) and (\d+),", text)
    numbers = [*sizes[1].split(", "), sizes[2]]
    names = {prefix + pattern.replace("<N>", n) for prefix in ("", "AXI4") for n in numbers
             for pattern in re.findall(r"FSA<N>X<N>\w+", text)}
    assert names == {name for name, config in PRESETS.items() if config.dataflow == "fsa"}
    assert {config.acc for config in PRESETS.values()} == {FP32}


# docs/dataflows.md.

DATAFLOWS_PATH = PATH.parent / "dataflows.md"
DATAFLOWS_TEXT = DATAFLOWS_PATH.read_text()
DATAFLOWS = sections(DATAFLOWS_TEXT)


def one_row(n, dataflow, **fields):
    """A machine, and how often row 0 does what in an iteration."""
    config = Config(rows=n, dataflow=dataflow, **fields)
    period = iteration_cycles(config)
    works = [item.work for item in steady_state(config, 0, period, [0]) if item.unit == pe_row(0)]
    return config, {work: works.count(work) for work in Work}


def test_links_between_the_pages_of_the_dataflows():
    anchors = {slug(heading) for heading in SECTIONS}
    links = re.findall(r"\]\(([^)]+)\)", DATAFLOWS_TEXT)
    assert {"specification.md#3-dataflow", "stream.md", "dataflows.svg"} <= set(links)
    for link in links:
        path, _, anchor = link.partition("#")
        assert (PATH.parent / path).exists(), link
        assert not anchor or (path == PATH.name and anchor in anchors), link
    assert "](dataflows.md)" in (PATH.parent / "stream.md").read_text()
    assert "](dataflows.md)" in TEXT


STREAM_TEXT = (PATH.parent / "stream.md").read_text()


def test_the_page_of_stream():
    anchors = {slug(heading) for heading in SECTIONS}
    for link in re.findall(r"\]\(([^)]+)\)", STREAM_TEXT):
        path, _, anchor = link.partition("#")
        assert (PATH.parent / path).exists(), link
        assert not anchor or (path == PATH.name and anchor in anchors), link
    assert f"at most {MOST_REPLACED} places each for K and for V" in " ".join(STREAM_TEXT.split())
    fields = {row["instruction"]: row["its fields"] for row in tables("Instructions", sections(STREAM_TEXT))[0]}
    assert all(f"{name}:" in fields["ATTN_SCORE"] for name in ("zero", "causal", "hidden"))
    # a head's tiles make way for the next one's, unless there is one only
    config = Config(dataflow="stream", scratchpad_rows=2 * 4 + 2 * 4 * 20)
    for tiles, heads in ((20, 1), (13, 2), (1, 1)):
        assert residency(config, tiles, heads) == (tiles, 0)
    # those of as many heads as fit stay side by side
    assert residency(config, 1, 2) == (2, 0)
    assert residency(config, 4, 9) == (12, 0)
    assert sum(residency(config, 14, 2)) == MOST_REPLACED


def test_the_drawings_of_the_dataflows_are_those_of_the_plans():
    for number, dataflow in enumerate(("fsa", "stream")):
        shown = code("The timetables, cycle by cycle", number, DATAFLOWS)
        assert shown == timetable_drawing.text(Config(rows=4, dataflow=dataflow)).splitlines()
    figure = timetable_drawing.svg()
    assert (PATH.parent / "dataflows.svg").read_text() == figure
    ElementTree.fromstring(figure)
    for dataflow, formula in (("fsa", "5N+13 = 33"), ("stream", "2N+4 = 12")):
        assert f"{dataflow}: an iteration every {formula} cycles" in figure


def test_the_letters_of_the_drawings():
    letters = [row["letter"] for row in tables("The timetables, cycle by cycle", DATAFLOWS)[0]]
    assert letters == [work.value for work in Work]


@pytest.mark.parametrize(("n", "pieces"), [(4, 8), (5, 4), (16, 8)])
def test_where_the_cycles_of_an_iteration_go(n, pieces):
    rows = tables("Where the cycles go", DATAFLOWS)[0]
    counted = {}
    for dataflow in ("fsa", "stream"):
        config, works = one_row(n, dataflow, exp2_pieces=pieces)
        idle = waits(config) if dataflow == "fsa" else dict.fromkeys(("turn", "drain", "query", "rise"), 0)
        assert sum(idle.values()) == slots(config).idle
        assert works[Work.QUERY] == idle["query"]
        counted[dataflow] = [
            works[Work.SCORE], idle["turn"], works[Work.SUBTRACT], works[Work.SCALE], works[Work.EXP2], works[Work.SUM],
            works[Work.VALUE], idle["drain"], idle["query"], idle["rise"], iteration_cycles(config)]
    for column, numbers in counted.items():
        # the formulas are those of a plan table, which has R for N
        assert [number(row[column].replace("N", "R"), config) for row in rows] == numbers
        assert sum(numbers[:-1]) == numbers[-1]


def test_how_many_multipliers_are_idle():
    rows = tables("Where the cycles go", DATAFLOWS)[1]
    assert {row["dataflow"] for row in rows} == {"fsa", "stream"}
    for row in rows:
        config = Config(rows=int(row["N"]), dataflow=row["dataflow"])
        found = slots(config)
        shown = [int(row[name]) for name in ("cycles", "for products", "for the softmax", "dropped", "idle")]
        assert shown == [found.cycles, found.products, found.softmax, found.dropped, found.idle]
        assert sum(shown[1:]) == shown[0] == iteration_cycles(config)
        assert row["for products, of all"] == f"{100 * shown[1] / shown[0]:.1f} %"
        assert slots(config, config.rows - 1) == found
    alone = [attention_cycles(Config(rows=4, dataflow=dataflow), 1, 1) for dataflow in ("fsa", "stream")]
    assert "one tile pair alone takes {} cycles in `fsa` and {} in `stream`".format(*alone) in DATAFLOWS_TEXT
